"""One cell of three is hung, killed, slow, or answers nonsense (I7).

The users of the other two see nothing of it: no error, no wrong page, and
they are not kept waiting until there is nobody left to ask. The hurt cell's
own users are told within their deadline, most of them at once. Timelines,
which any cell has, come from the others. When it is well again, all are.
"""
import contextlib
import json
import random
import threading
import time

import pytest

from client import Client, Dashboard, context, pages, types
from kafka import KafkaBroker
from stacks import Cluster
from troubles import FAULTS, hurt

CELLS = 3
VICTIM = 1
USERS = range(1, 91)
AUTHORS = range(200, 220)
POSTS = 10
FOLLOWS = 5
EPOCH_MS = 1577836800000
ID_SHIFT = 21
# Callers; each has one call under way at most, of anybody.
CALLERS = 12
PAUSE_S = 0.02
# Plenty, so that what is refused was not just waiting for a busy machine's
# processor; while the cell is hurt, its own users have little.
DEADLINE_MS = 20000
OWN_DEADLINE_MS = 1000
WELL_S = 1.5
FAULT_S = 6
RECOVERY_S = 60
# How many of the hurt cell's users wait in vain: each caller twice until the
# router sees after a twentieth of the time-out that most wait for one cell, and
# then the few that it lets wait on each of two connections. Were it all of
# them, it would be callers times seconds.
WAITED_MAX = 2 * CALLERS + 2 * 8
# A busy machine may make an answer this late.
SLACK_S = 10
REFUSALS = (types.Unavailable, types.Overloaded, types.DeadlineExceeded)


def write_world(path):
    """Follows and posts; answers the number of lines."""
    chance = random.Random(1)
    lines = [{"kind": "follow", "user": user, "target": author}
             for user in USERS for author in chance.sample(AUTHORS, FOLLOWS)]
    lines += [{"kind": "post", "user": author, "body": f"{n} of {author}"}
              for n in range(POSTS) for author in AUTHORS]
    with open(path, "w", encoding="utf-8") as out:
        for n, line in enumerate(lines):
            line["id"] = EPOCH_MS + n << ID_SHIFT
            print(json.dumps(line), file=out)
    return len(lines)


def find_home(clients, user):
    """The cell that does not refuse the user as not homed."""
    for number, client in enumerate(clients):
        with contextlib.suppress(types.NotHomed):
            client.getDashboard(user, pages.PageRequest(), context())
            return number
    raise AssertionError(f"nobody is home to {user}")


class Town:
    """Three cells with users, and what each user is to see."""

    def __init__(self, cluster):
        self.cluster = cluster
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(Dashboard, address))
                       for address in cluster.cells]
            self.home = {user: find_home(clients, user) for user in USERS}
            self.pages = {user: ids(clients[home].getDashboard(
                user, pages.PageRequest(limit=20), context()))
                for user, home in self.home.items()}
            self.timelines = {author: ids(clients[0].getTimeline(
                author, pages.PageRequest(limit=20), context()))
                for author in AUTHORS}
        assert set(self.home.values()) == set(range(CELLS))
        assert all(self.pages.values()) and all(self.timelines.values())


def ids(page):
    """Of the posts of a page."""
    return [entry.post.id for entry in page.entries]


@pytest.fixture(scope="module", name="town")
def make_town(tmp_path_factory):
    directory = tmp_path_factory.mktemp("faults")
    lines = write_world(directory / "world.ndjson")
    with KafkaBroker() as broker, \
            Cluster(directory, broker.bootstrap, cells=CELLS) as cluster:
        cluster.run_import(directory / "world.ndjson")
        cluster.wait_applied(lines)
        yield Town(cluster)


class Answer:
    """What became of one call."""

    def __init__(self, cell, begin, end, refusal):
        self.cell = cell        # the user's home; None: a timeline
        self.begin, self.end = begin, end
        self.refusal = refusal  # None: a good page

    @property
    def took_s(self):
        """How long the caller waited."""
        return self.end - self.begin


class Load:
    """Callers who ask for anybody's dashboard, and now and then a timeline."""

    def __init__(self, town):
        self.town = town
        self.answers = []
        self.own_deadline_ms = DEADLINE_MS
        self.wrong = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(seed,))
                         for seed in range(CALLERS)]

    def _run(self, seed):
        chance = random.Random(seed)
        try:
            with Client(Dashboard, self.town.cluster.router) as client:
                while not self._end.wait(PAUSE_S * 2 * chance.random()):
                    self._call(client, chance)
        except Exception as error:  # pylint: disable=broad-except
            self.wrong.append(f"caller {seed}: {error!r}")

    def _call(self, client, chance):
        page = pages.PageRequest(limit=20)
        begin, refusal, cell = time.monotonic(), None, None
        try:
            if chance.random() < 0.1:
                author = chance.choice(AUTHORS)
                expected = self.town.timelines[author]
                got = ids(client.getTimeline(author, page,
                                             context(DEADLINE_MS)))
            else:
                user = chance.choice(USERS)
                cell = self.town.home[user]
                expected = self.town.pages[user]
                got = ids(client.getDashboard(
                    user, page, context(self._deadline_ms(cell))))
            if got != expected:
                self.wrong.append(f"{got} instead of {expected}")
        except REFUSALS as error:
            refusal = error
        self.answers.append(Answer(cell, begin, time.monotonic(), refusal))

    def _deadline_ms(self, cell):
        return self.own_deadline_ms if cell == VICTIM else DEADLINE_MS

    def ask_for(self, seconds):
        """Let it run; from when to when that was."""
        begin = time.monotonic()
        time.sleep(seconds)
        return begin, time.monotonic()

    def between(self, span):
        """Answers to the calls that began then."""
        return [one for one in self.answers if span[0] <= one.begin < span[1]]

    def within(self, span):
        """Those that were answered then, too."""
        return [one for one in self.between(span) if one.end < span[1]]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join()


def p99_ms(answers):
    """Of good ones."""
    took = sorted(one.took_s for one in answers if not one.refusal)
    return took[len(took) * 99 // 100] * 1000 if took else float("nan")


def others(answers):
    """Dashboards of the other cells' users."""
    return [one for one in answers if one.cell not in (None, VICTIM)]


def own(answers):
    """Those of the hurt cell's."""
    return [one for one in answers if one.cell == VICTIM]


def wait_well(town):
    """Until the victim's users get their pages again."""
    users = [user for user, cell in town.home.items() if cell == VICTIM]
    until = time.monotonic() + RECOVERY_S
    with Client(Dashboard, town.cluster.router) as client:
        while users:
            try:
                client.getDashboard(users[-1], pages.PageRequest(), context())
                users.pop()
            except REFUSALS as error:
                assert time.monotonic() < until, error
                time.sleep(0.05)


def has_waited(answer):
    """Whether it is a refusal after a deadline or a time-out."""
    return isinstance(answer.refusal, types.DeadlineExceeded) or \
        "did not answer" in str(answer.refusal)


def check_own(during):
    """Told within the deadline, and with few exceptions at once."""
    for one in during:
        assert one.took_s < OWN_DEADLINE_MS / 1000 + SLACK_S, one.refusal
    assert sum(map(has_waited, during)) <= WAITED_MAX


@pytest.mark.parametrize("fault", FAULTS)
def test_others_see_nothing(town, fault, figure):
    with Load(town) as load:
        well = load.ask_for(WELL_S)
        load.own_deadline_ms = OWN_DEADLINE_MS
        with hurt(town.cluster, VICTIM, fault):
            ill = load.ask_for(FAULT_S)
        load.own_deadline_ms = DEADLINE_MS
        wait_well(town)
        again = load.ask_for(WELL_S)
    before, during = load.within(well), load.between(ill)
    figure(f"others' p99 {p99_ms(others(before)):.1f} ms before, "
           f"{p99_ms(others(during)):.1f} ms during; the hurt cell's: "
           f"{sum(not one.refusal for one in own(during))} good, "
           f"{sum(bool(one.refusal) for one in own(during))} refused")
    assert not load.wrong
    assert not [one.refusal for one in before if one.refusal]
    # The whole time, with the fault's beginning and end.
    assert not [one.refusal for one in load.answers
                if one.refusal and one.cell != VICTIM]
    check_own(own(during))
    assert others(during)
    if fault != "slow":
        assert not [one for one in own(load.within(ill)) if not one.refusal]
    assert own(load.between(again))
    assert not [one.refusal for one in load.between(again) if one.refusal]
