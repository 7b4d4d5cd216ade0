"""kill -9, at random moments and at named points, under load and in recovery.

After every kill the daemon is started again, what was not acknowledged is
published again, and everybody's dashboard is the oracle's (F1 to F4, F21).
"""
import math

import pytest

from client import status
from load import GONE
from town import Town, wait_level

# Kills that one world sees; then a new one, or dashboards grow without end.
WORLD_KILLS = 25
# The longest life of a daemon between two kills at random moments.
LIFE_S = 1.0
# How long a named point may take to be hit, and which hit it may be at most.
POINT_S = 5
POINTS = {
    "batch": 100, "commit": 100, "seal": 8, "sealed": 8, "checkpoint": 8,
    "flush": 8, "flushed": 8, "tails-write": 8, "tails-rename": 8,
    "highwater": 8, "recovery": 4}
# Of the kills at points that are there, so many must land.
LANDED = 0.8
RECOVERIES = 4
RECOVERY_S = 0.5

AUTHOR = 1 << 20
FOLLOWERS = 6000
FANOUT_HITS = 12


def in_worlds(directory, seed, tally, count, strike):
    """strike(town, number) so often, in as many worlds as it takes."""
    for world in range(math.ceil(count / WORLD_KILLS)):
        with Town(directory / f"world{world}", seed + world, tally) as town:
            first = world * WORLD_KILLS
            for number in range(first, min(count, first + WORLD_KILLS)):
                strike(town, number)
            town.check(timelines=True)
            town.check_pages()


# F1: whenever it strikes.
def test_random_moments(tmp_path, seed, tally, kills):
    def strike(town, _):
        town.begin_load()
        town.publisher.wait(town.random.uniform(0, LIFE_S))
        town.kill("kill at a random moment")
        town.start()
        town.check()

    in_worlds(tmp_path, seed, tally, kills, strike)


# F2: between any two steps that write.
def test_named_points(tmp_path, seed, tally, kills):
    order = list(POINTS)
    landed = []

    def strike(town, number):
        point = order[number % len(order)]
        town.kill()
        landed.append(strike_at(town, point, POINTS[point]))
        town.start()
        town.check()

    in_worlds(tmp_path, seed, tally, max(kills, len(order)), strike)
    assert sum(landed) >= LANDED * len(landed), tally


def strike_at(town, point, hits_max):
    """Start, load, and die at a random hit of the point; whether it did."""
    hits = town.random.randint(1, hits_max)
    died = not town.start_armed(point, hits)
    if not died:
        town.begin_load()
        died = town.wait_death(POINT_S)
    town.kill(f"kill at {point}" if died else f"{point} was not reached")
    return died


# The first start of all, which makes log, stores and tail files, is cut short.
@pytest.mark.parametrize("point", ["recovery", "tails-rename", "highwater"])
@pytest.mark.parametrize("hits", [1, 2])
def test_founding(tmp_path, seed, tally, point, hits):
    town = Town(tmp_path, seed, tally)
    died = not town.start_armed(point, hits) or town.wait_death(1)
    town.kill(f"kill at {point} of a first start")
    assert died, f"{point} was not reached {hits} times"
    with town:
        town.load.tell(town.solo.gateway, 300)
        town.check(timelines=True)


# Likewise at any moment, and more than once.
def test_founding_at_random_moments(tmp_path, seed, tally, kills):
    for number in range(math.ceil(kills / 5)):
        town = Town(tmp_path / str(number), seed + number, tally)
        for _ in range(2):
            town.solo.daemon.launch()
            assert not town.wait_death(town.random.uniform(0, RECOVERY_S))
            town.kill("kill in a first start, at a random moment")
        with town:
            town.load.tell(town.solo.gateway, 300)
            town.check(timelines=True)


# F3: in recovery, again and again; it gets through in the end, in time.
def test_recovery(tmp_path, seed, tally, kills):
    def strike(town, _):
        town.begin_load()
        town.publisher.wait(town.random.uniform(0, LIFE_S))
        town.kill("kill before recoveries")
        for _ in range(RECOVERIES):
            interrupt_recovery(town)
        town.start()
        town.check()

    rounds = math.ceil(kills / RECOVERIES)
    in_worlds(tmp_path, seed, tally, rounds, strike)


def interrupt_recovery(town):
    """Start, and kill before it is ready, mostly."""
    if town.random.random() < 0.5:
        town.solo.daemon.launch()
        died = town.wait_death(town.random.uniform(0, RECOVERY_S))
        assert not died, "died unbidden"
        town.kill("kill in recovery, at a random moment")
        return
    hits = town.random.randint(1, POINTS["recovery"])
    died = not town.start_armed("recovery", hits)
    town.kill("kill at recovery" if died else "recovery was not reached")


# F4: SIGTERM under load loses nothing; at rest, nothing is replayed.
def test_clean_stop(tmp_path, seed, tally):
    with Town(tmp_path, seed, tally) as town:
        for _ in range(3):
            town.begin_load()
            town.publisher.wait(town.random.uniform(0.2, LIFE_S))
            town.solo.stop()
            town.end_load()
            town.start()
            town.check()
            tally["clean stop under load"] += 1
        town.solo.stop()
        town.start()
        wait_level(town.solo, town.load.acknowledged)
        for address in town.solo.cells:
            replayed = sum(status(address).events.values())
            assert not replayed, f"{replayed} events after a clean stop"
        town.check()


def everybody_follows(town):
    """Thousands follow one author."""
    return [{"kind": "follow", "id": town.load.world.next_id(),
             "user": AUTHOR + 1 + number, "target": AUTHOR}
            for number in range(FOLLOWERS)]


def one_post(town):
    """The author's next post."""
    number = town.load.world.next_id()
    return {"kind": "post", "id": number, "user": AUTHOR, "post_kind": "text",
            "body": "for everybody", "tags": []}


# F21: in the middle of a fan-out to everybody; all have the post afterwards.
def test_fanout(tmp_path, seed, tally, kills):
    rounds = math.ceil(kills / 5)
    landed = 0
    with Town(tmp_path, seed, tally) as town:
        town.load.tell_these(town.solo.gateway, everybody_follows(town))
        town.check()
        for _ in range(rounds):
            town.solo.stop()
            landed += strike_fanout(town)
            town.start()
            town.check()
    assert landed >= LANDED * rounds, tally


def strike_fanout(town):
    """Post until the armed fan-out kills; whether it did."""
    hits = town.random.randint(1, FANOUT_HITS)
    died = not town.start_armed("fanout", hits)
    if not died:
        try:
            for _ in range(3):
                town.load.tell_one(town.solo.gateway, one_post(town))
        except GONE:
            pass
        died = town.wait_death(POINT_S)
    town.kill("kill at fanout" if died else "fanout was not reached")
    return died
