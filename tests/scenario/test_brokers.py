"""Three brokers: leaders move, one is lost, one of several partitions stalls.

Somebody publishes through the gateway all the while. What was acknowledged is
in the cells exactly once, and everything else by I1 when it is told again.
"""
import collections
import os
import sys
import time

import pytest

import hostile
from client import Client, Firehose, status, types
from compare import check_everybody
from daemons import TESTS
from kafka import KafkaCluster
from load import GONE, Load, Steady
from records import CONTROL_TOPIC, TOPIC
from stacks import PARTITIONS, Cluster

sys.path.insert(0, str(TESTS / "vectors"))
# pylint: disable=wrong-import-position
from murmur2 import partition_of

# Brokers that are lost, in turn; more of them for a longer run.
LOSSES = int(os.environ.get("COMB_BROKER_LOSSES", "2"))
RATE = 400
BEFORE_S = 0.5
RESUMED_S = 60
# What is told while a partition stalls: ROUNDS times so many events of the
# others' users, and of one of its own as much again as may wait for the log.
EVENTS = 200
ROUNDS = 5
# Longer than a cell needs to find that nothing comes and to ask the log why.
PAUSE_S = 1.2
# So long whoever waits for the silent broker: longer than we do.
CONNECT_MS = 120_000
PENDING_MB = 4
BODY_BYTES = 50_000
CALL_POSTS = 10
GIVEN_UP_MS = 3000
# Of memory; ASan keeps what was freed for a while, 256 MiB of it.
GROWTH_MAX = (256 + 64) << 20


@pytest.fixture(name="brokers_started", scope="module")
def start_brokers():
    """Three."""
    with KafkaCluster() as kafka:
        yield kafka


@pytest.fixture(name="brokers")
def empty_brokers(brokers_started):
    """Three, without topics of ours."""
    yield brokers_started
    brokers_started.remove_topics(TOPIC, CONTROL_TOPIC)


def busiest(brokers):
    """The broker that leads most partitions, and which they are."""
    found = brokers.partitions(TOPIC)
    led = {broker: {number for number, part in found.items()
                    if part.leader == broker.node}
           for broker in brokers.brokers}
    broker = max(led, key=lambda one: len(led[one]))
    return broker, led[broker]


def lose(brokers, steady, kill, figure):
    """A leader goes, by SIGKILL or in good order, and comes back."""
    broker, led = busiest(brokers)
    assert led
    lost = time.monotonic()
    broker.kill() if kill else broker.stop()
    moved = brokers.wait_partitions(
        TOPIC, lambda part: part.leader not in (-1, broker.node))
    elected = time.monotonic()
    wait_acknowledged(steady, elected)
    resumed = time.monotonic()
    broker.start()
    brokers.wait_partitions(TOPIC, lambda part: len(part.in_sync) == 3)
    how = "killed" if kill else "stopped"
    figure(f"leader of {len(led)} of {len(moved)} partitions {how}: new "
           f"leaders after {elected - lost:.1f} s, acknowledged again "
           f"{resumed - elected:.1f} s later; the longest gap was "
           f"{steady.longest_gap_s(lost):.1f} s")


def wait_acknowledged(steady, since):
    """Until a call that was told since then is acknowledged, all of it."""
    until = time.monotonic() + RESUMED_S
    while not steady.acknowledged or steady.acknowledged[-1] < since:
        assert time.monotonic() < until, steady.reasons
        time.sleep(0.01)


# F11: no loss and no duplicate, and it goes on by itself.
def test_leaders_move(brokers, tmp_path, figure):
    load = Load(1)
    cluster = Cluster(tmp_path, brokers.bootstrap)
    cluster.firehose.flags += ["--replication", "3"]
    with cluster:
        steady = Steady(load, cluster.gateway, RATE)
        wait_acknowledged(steady, time.monotonic() + BEFORE_S)
        for number in range(LOSSES):
            lose(brokers, steady, number % 2 == 0, figure)
        steady.finish()
        cluster.wait_applied(load.acknowledged)
        check_everybody(cluster.router, load.oracle)


def home(user):
    """The partition of a user's events."""
    return partition_of(user.to_bytes(8, "big"), PARTITIONS)


def choose_victim(brokers):
    """A broker whose loss stalls the firehose in part and nothing else."""
    control = brokers.partitions(CONTROL_TOPIC)[0].leader
    found = brokers.partitions(TOPIC)
    for broker in brokers.brokers:
        led = {number for number, part in found.items()
               if part.leader == broker.node}
        if led and broker.node != control:
            return broker, led
    raise AssertionError(f"{control} leads everything: {found}")


def wait_others(cluster, load, stalled):
    """Until cells have all that the other partitions have been told."""
    told = collections.Counter(home(one["user"]) for one in load.heard)
    until = time.monotonic() + RESUMED_S
    for address in cluster.cells:
        while True:
            state = status(address)
            assert state, "the cell does not answer"
            if all(part.applied >= told[number]
                   for number, part in enumerate(state.partitions)
                   if number not in stalled):
                break
            assert time.monotonic() < until, (told, state)
            time.sleep(0.02)


def big_posts(load, *authors):
    """A call's, by each in turn."""
    return [{"kind": "post", "id": load.world.next_id(),
             "user": authors[i % len(authors)], "post_kind": "text",
             "body": "x" * BODY_BYTES, "tags": []} for i in range(CALL_POSTS)]


def tell_others(cluster, load, others):
    """As much as a call of the flood, of one partition and of several."""
    with Client(Firehose, cluster.gateway) as gateway:
        assert not load.publish(gateway, big_posts(load, others[0]))
        assert not load.publish(gateway, big_posts(load, *others))


def flood(cluster, load, author, others):
    """More posts of one author than may wait; what callers were told.

    Whenever one is refused, others are not.
    """
    told = collections.Counter()
    for _ in range(2 * (PENDING_MB << 20) // (CALL_POSTS * BODY_BYTES)):
        posts = big_posts(load, author)
        try:
            with Client(Firehose, cluster.gateway) as gateway:
                reasons = load.publish(gateway, posts, deadline_ms=100)
            assert len(reasons) == len(posts), "taken by a stalled partition"
            told.update(reasons)
        except GONE as error:
            told[str(error)] += len(posts)
            if isinstance(error, types.Overloaded):
                tell_others(cluster, load, others)
    return told


def go_on(cluster, load, stalled):
    """Others' users tell and are heard; the slowest round, in seconds."""
    slowest = 0
    with Client(Firehose, cluster.gateway) as gateway:
        for _ in range(ROUNDS):
            begin = time.monotonic()
            told = load.next_events(EVENTS)
            assert not load.publish(gateway, [
                one for one in told if home(one["user"]) not in stalled])
            load.hold([one for one in told if home(one["user"]) in stalled])
            wait_others(cluster, load, stalled)
            slowest = max(slowest, time.monotonic() - begin)
            time.sleep(PAUSE_S)
    return slowest


# F19: the others go on, memory is bounded, and then it is all there. Also where
# somebody floods the one that stalls.
def test_partition_stalls(brokers, tmp_path, figure):
    load = Load(2)
    cluster = Cluster(tmp_path, brokers.bootstrap)
    cluster.firehose.flags += ["--pending-mb", str(PENDING_MB),
                               "--delivery-timeout-ms", str(GIVEN_UP_MS)]
    for daemon in cluster.cell_daemons:
        daemon.flags += ["--connect-timeout-ms", str(CONNECT_MS)]
    with cluster:
        load.tell(cluster.gateway, EVENTS)
        cluster.wait_applied(load.acknowledged)
        victim, stalled = choose_victim(brokers)
        author = next(user for user in range(1, 100) if home(user) in stalled)
        others = [user for user in range(1, 100) if home(user) not in stalled]
        before = [hostile.status_bytes(daemon, "VmRSS")
                  for daemon in cluster.daemons]
        victim.pause()
        try:
            slowest = go_on(cluster, load, stalled)
            reasons = flood(cluster, load, author, others)
            grown = [hostile.status_bytes(daemon, "VmRSS") - rss
                     for daemon, rss in zip(cluster.daemons, before)]
        finally:
            victim.resume()
        load.settle(cluster.gateway)
        cluster.wait_applied(load.acknowledged)
        check_everybody(cluster.router, load.oracle)
    figure(f"{len(stalled)} of {PARTITIONS} partitions stalled; others' "
           f"events in cells after {slowest:.1f} s at the latest; memory grew "
           f"by {max(grown) >> 20} MiB; told: {dict(reasons)}")
    assert max(grown) < GROWTH_MAX
    assert any("Overloaded" in why and f"partition {home(author)}" in why
               for why in reasons), reasons
