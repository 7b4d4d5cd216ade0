"""Consumers by client_id: committed, gone on from, moved, and how far behind.

The same tests on both logs; over Kafka its own tool sees and moves the same
places. The oracle is one reading of the whole log.
"""
import json
import random
import socket
import threading
import time

import pytest

from client import Client, Firehose, context, types
from comb.firehose import ttypes as firehose
from stacks import PARTITIONS
from town import Stream, kafka_town, publish, solo_town, stream

SEED = 30
EVENTS = 200
GROUPS_TOOL = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"


@pytest.fixture(scope="module", params=["solo", "kafka"])
def town(request, tmp_path_factory):
    """One log for all tests of a driver; its lines are the events."""
    make = {"solo": solo_town, "kafka": kafka_town}[request.param]
    with make(tmp_path_factory.mktemp(request.param)) as made:
        publish(made, EVENTS, random.Random(SEED))
        made.events = stream(made, "since=earliest&follow=0")
        assert len(made.events) == EVENTS
        yield made


def places(lines):
    """Partition and offset of each line, sorted."""
    return sorted((line["partition"], line["offset"]) for line in lines)


def read(town, client, **query):
    """What a stream gives this consumer, to the end or its limit."""
    words = "".join(f"&{key}={value}" for key, value in query.items())
    return stream(town, f"client_id={client}&follow=0{words}")


def commit(town, client, position):
    with Client(Firehose, town.gateway) as gateway:
        gateway.commit(client, position.encode(), context())


def combctl(town, *args):
    """The JSON lines of combctl firehose; it must work."""
    code, out, err = town.combctl(*args, "--json")
    assert code == 0, (args, out, err)
    return [json.loads(line) for line in out.splitlines()]


def committed(town, client):
    return [line.get("committed_offset")
            for line in combctl(town, "lag", client)]


# Piece by piece, each committed when it is done: every event once.
def test_go_on(town):
    dice = random.Random(SEED + 1)
    lines = []
    while len(lines) < EVENTS:
        more = read(town, "go-on", since="earliest",
                    limit=dice.randrange(1, 60))
        assert more
        lines += more
        if dice.random() < 0.5:
            commit(town, "go-on", lines[-1]["position"])
        else:
            assert combctl(town, "commit", "go-on",
                           lines[-1]["position"]) == []
    assert places(lines) == places(town.events)
    assert read(town, "go-on", since="earliest") == []


# What was read and not committed comes again, and nothing before it; another
# client is not concerned.
def test_at_least_once(town):
    lines = read(town, "again", since="earliest", limit=90)
    commit(town, "again", lines[39]["position"])
    assert places(lines[:40] + read(town, "again")) == places(town.events)
    assert len(read(town, "nobody", since="earliest")) == EVENTS
    assert read(town, "nobody") == []


# fetch begins at the same place, and its position can be committed.
def test_fetch(town):
    lines = read(town, "fetcher", since="earliest", limit=50)
    commit(town, "fetcher", lines[-1]["position"])
    got = [(line["partition"], line["offset"]) for line in lines]
    with Client(Firehose, town.gateway) as gateway:
        while True:
            answer = gateway.fetch(firehose.FetchRequest(
                client_id="fetcher", max_events=30), context())
            if not answer.events:
                break
            got += [(one.partition, one.offset) for one in answer.events]
            gateway.commit("fetcher", answer.position, context())
    assert answer.at_end
    assert sorted(got) == places(town.events)


# By time, exactly; then by duration and words; a dry run changes nothing.
def test_rewind(town):
    dice = random.Random(SEED + 2)
    for _ in range(5):
        since = dice.choice(town.events)["logged_ms"]
        iso = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since // 1000))
        changes = combctl(town, "rewind", "mover", "--to-datetime",
                          f"{iso}.{since % 1000:03}Z")
        assert [change["partition"] for change in changes] == \
            list(range(PARTITIONS))
        assert places(read(town, "mover")) == places(
            line for line in town.events if line["logged_ms"] >= since)
    before = committed(town, "mover")
    dry = combctl(town, "rewind", "mover", "--by-duration", "PT1H",
                  "--dry-run")
    assert [change["old_offset"] for change in dry] == before
    assert [change["new_offset"] for change in dry] == [0] * PARTITIONS
    assert committed(town, "mover") == before
    combctl(town, "rewind", "mover", "--to-latest")
    assert read(town, "mover") == []
    combctl(town, "rewind", "mover", "--shift-by", "-3")
    assert len(read(town, "mover")) == 3 * PARTITIONS
    combctl(town, "rewind", "mover", "--to-earliest")
    assert places(read(town, "mover")) == places(town.events)


# A mistake is told, and changes nothing.
def test_rewind_refused(town):
    for flags, words in [
            ((), "one of"), (("--to-earliest", "--to-latest"), "one of"),
            (("--to-datetime", "2026-01-31T12:00:00"), "no time zone"),
            (("--shift-by", "1"), "committed nothing"),
            (("--to-position", "AgAB"), "is no position")]:
        code, _, err = town.combctl("rewind", "fresh", *flags)
        assert code != 0 and words in err, (flags, err)
    code, _, err = town.combctl("rewind", "comb.x", "--to-earliest")
    assert code == 1 and "client_id" in err and "limit 100" in err, err
    assert committed(town, "fresh") == [None] * PARTITIONS
    with Client(Firehose, town.gateway) as gateway:
        with pytest.raises(types.InvalidRequest) as refused:
            gateway.commit("x" * 101, b"AgAB", context())
    assert (refused.value.field, refused.value.limit) == ("client_id", 100)


# In events and in seconds, by partition.
def test_lag(town):
    ends = [0] * PARTITIONS
    for line in town.events:
        ends[line["partition"]] += 1
    assert [line["end_offset"] for line in combctl(town, "lag", "late")] == ends
    lines = read(town, "late", since="earliest", limit=120)
    commit(town, "late", lines[-1]["position"])
    before = time.time() * 1000
    lags = combctl(town, "lag", "late")
    after = time.time() * 1000
    assert sum(lag["events"] for lag in lags) == EVENTS - 120
    for lag in lags:
        waiting = [line["logged_ms"] for line in town.events
                   if line["partition"] == lag["partition"]
                   and line["offset"] >= lag["committed_offset"]]
        assert lag["events"] == len(waiting)
        if waiting:
            assert before - min(waiting) - 1 <= lag["behind_ms"]
            assert lag["behind_ms"] <= after - min(waiting) + 1
        else:
            assert lag["behind_ms"] == 0
    code, out, _ = town.combctl("lag", "late")
    assert code == 0 and "events behind" in out


# Kafka's tool sees the place, and where it moves it to the consumer goes on.
def test_kafka_tool(town):
    if not town.broker:
        pytest.skip("there is no Kafka")
    lines = read(town, "tool", since="earliest", limit=120)
    commit(town, "tool", lines[-1]["position"])
    tool = ("--bootstrap-server", town.broker.bootstrap, "--group", "tool")
    rows = [line.split() for line in town.broker.tool(
        GROUPS_TOOL, *tool, "--describe").splitlines()
        if line.startswith("tool ")]
    lags = combctl(town, "lag", "tool")
    assert sorted((int(row[2]), int(row[3]), int(row[5])) for row in rows) == [
        (lag["partition"], lag["committed_offset"], lag["events"])
        for lag in lags]
    town.broker.tool(GROUPS_TOOL, *tool, "--reset-offsets", "--all-topics",
                     "--shift-by", "-2", "--execute")
    assert committed(town, "tool") == [
        max(lag["committed_offset"] - 2, 0) for lag in lags]
    town.broker.tool(GROUPS_TOOL, *tool, "--reset-offsets", "--all-topics",
                     "--to-earliest", "--execute")
    assert places(read(town, "tool")) == places(town.events)


# --- sharing -----------------------------------------------------------------

class Sharer(threading.Thread):
    """A stream of a group that commits every so many lines, until it is
    killed; what it saw and what it had committed stay."""

    def __init__(self, town, client, every):
        super().__init__(daemon=True)
        self.town, self.client, self.every = town, client, every
        self.seen, self.done, self.assigned = [], 0, []
        self.exposed = 0  # lines not committed when partitions moved
        self.lines = Stream(town, f"client_id={client}&group=1&since=earliest",
                            timeout_s=120)
        self.killed = False
        self.start()

    def run(self):
        try:
            for line in self.lines:
                self.take(line)
        except (OSError, ValueError, AttributeError):
            assert self.killed

    def take(self, line):
        assert line["kind"] != "stopped" or self.killed, line
        if line["kind"] == "assigned":
            self.assigned = line["partitions"]
            self.exposed += len(self.seen) - self.done
            self.mark(line["position"])
        elif line["kind"] != "stopped":
            self.seen.append((line["partition"], line["offset"]))
            if len(self.seen) % self.every == 0:
                self.mark(line["position"])

    def mark(self, position):
        """Commits; a partition that is on its way to another is refused."""
        try:
            commit(self.town, self.client, position)
            self.done = len(self.seen)
        except types.Unavailable as refused:
            assert "this member" in refused.reason, refused

    def kill(self):
        """Hangs up without a word."""
        self.killed = True
        self.lines.socket.shutdown(socket.SHUT_RDWR)
        self.join()


def wait_until(reached, timeout_s=60):
    until = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.02)


def held(sharers):
    return sorted(part for one in sharers for part in one.assigned)


# Three share, each partition one's; one is killed and its partitions go to the
# others: every event comes, and twice only what was not committed. Kafka's
# tool sees the members, and nobody else commits for them.
def test_share(town):
    sharers = [Sharer(town, "share", 7) for _ in range(3)]
    wait_until(lambda: held(sharers) == list(range(PARTITIONS))
               and all(one.assigned for one in sharers))
    if town.broker:
        told = town.broker.tool(
            GROUPS_TOOL, "--bootstrap-server", town.broker.bootstrap,
            "--group", "share", "--describe", "--members")
        assert len([line for line in told.splitlines()
                    if line.startswith("share ")]) == 3
    code, _, err = town.combctl("rewind", "share", "--to-latest")
    assert code == 1 and "has members" in err, err
    wait_until(lambda: len({place for one in sharers for place in one.seen})
               == EVENTS)
    sharers[0].kill()
    wait_until(lambda: held(sharers[1:]) == list(range(PARTITIONS)))
    new = publish(town, 40, random.Random(SEED + 3), first=EVENTS)
    wait_until(lambda: len({place for one in sharers for place in one.seen})
               == EVENTS + len(new))
    for one in sharers[1:]:
        one.kill()
    seen = [place for one in sharers for place in one.seen]
    assert len(seen) - EVENTS - len(new) <= sum(
        one.exposed + len(one.seen) - one.done for one in sharers)
