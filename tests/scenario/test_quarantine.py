"""What is no event: set aside, counted, listed, alike in every cell (I8).

Records that no gateway would write are appended to the Kafka topic: all bad
test vectors, garbage larger than an event may be, good events in a partition
that is not their user's. Pages stay as they were, the cells go on, and both
say the same about it.
"""
import json
import subprocess
import sys

import pytest

from client import (Cell, Client, Dashboard, Firehose, context, event, pages,
                    types)
from content import post_ids
from daemons import TESTS, environment, program
from records import Producer

sys.path.insert(0, str(TESTS / "vectors"))
# pylint: disable=wrong-import-position
from murmur2 import partition_of

VECTORS = json.loads((TESTS / "vectors/events.json").read_text())
FIRST_ID = 1600000000000 << 21
AUTHOR, READERS = 7, range(100, 120)
PARTITIONS = 4
POSTS = 10
HUGE = 900_000


def expand(value):
    """A vector's bytes: hex, or [hex, times] pieces."""
    if isinstance(value, str):
        return bytes.fromhex(value)
    return b"".join(bytes.fromhex(piece) * times for piece, times in value)


def bad_records():
    """(partition, value, reason): where, what, and what a cell says of it."""
    for number, one in enumerate(VECTORS["bad"]):
        yield (number % PARTITIONS, expand(one["value"]),
               f"{one['field']}: {one['reason']}")
    yield 3, b"\x0b\x00\x5a" + HUGE.to_bytes(4, "big") + b"x" * HUGE + b"\0", \
        "event.kind: is missing"
    yield 2, None, "event: is malformed"
    for one in VECTORS["good"][:3]:
        home = partition_of(bytes.fromhex(one["key"]), PARTITIONS)
        yield ((home + 1) % PARTITIONS, bytes.fromhex(one["value"]),
               "record.partition: is not that of the event's user")


BAD = list(bad_records())


def combctl(cell, *flags):
    """combctl quarantine; its JSON lines."""
    done = subprocess.run(
        [program("combctl"), "quarantine", "--cell", cell, "--json", *flags],
        capture_output=True, text=True, check=True, env=environment("."))
    return [json.loads(line) for line in done.stdout.splitlines()]


def posts_of(router):
    """What every reader's dashboard shows."""
    with Client(Dashboard, router) as client:
        return [post_ids(client.getDashboard(reader, pages.PageRequest(),
                                             context()))
                for reader in READERS]


@pytest.fixture
def town(cluster):
    """A cluster in which readers of both cells follow an author."""
    told = [event("follow", reader, target_user=AUTHOR, id=FIRST_ID + reader)
            for reader in READERS]
    told += [event("post", AUTHOR, {"body": b"honey"}, id=FIRST_ID + 5000 + i)
             for i in range(POSTS)]
    with Client(Firehose, cluster.gateway) as gateway:
        assert all(one.position for one in gateway.publish(told, context()))
    cluster.wait_applied(len(told))
    cluster.events = len(told)
    return cluster


def same_everywhere(town):
    """Both cells' counters and lists, which must be equal; one of them."""
    states = town.wait_applied(town.events + len(BAD))
    assert [state.quarantined for state in states] == [len(BAD)] * 2
    lists = [combctl(cell, "--last", "100") for cell in town.cells]
    assert lists[0] == lists[1]
    return lists[0]


# All of them, through a restart and a late replay, and good ones go on.
def test_quarantine(town, broker):
    before = posts_of(town.router)
    assert all(len(ids) == POSTS for ids in before)
    with Producer(broker.bootstrap) as producer:
        for partition, value, _ in BAD:
            producer.append(partition, value, key=b"anything")
    listed = same_everywhere(town)
    assert sorted((one["partition"], one["size"], one["reason"])
                  for one in listed) == sorted(
        (partition, len(value or b""), reason)
        for partition, value, reason in BAD)
    for one in listed:
        assert any(one["partition"] == partition and
                   one["head_hex"] == (value or b"")[:64].hex()
                   for partition, value, _ in BAD)
    order = [(one["logged_ms"], one["partition"], one["offset"])
             for one in listed]
    assert order == sorted(order, reverse=True) and order[-1][0] > 0
    assert posts_of(town.router) == before
    town.cell_daemons[0].kill()
    town.cell_daemons[0].start().wait_readyz()
    assert same_everywhere(town) == listed
    with Client(Firehose, town.gateway) as gateway:
        new, = gateway.publish([event("post", AUTHOR, {"body": b"more"})],
                               context())
    town.wait_applied(town.events + len(BAD) + 1)
    assert posts_of(town.router) == [[new.id, *ids] for ids in before]


# The newest N, and what is asked wrongly.
def test_list(solo):
    for cell in solo.cells:
        assert combctl(cell) == []
        with Client(Cell, cell) as client:
            for count in (0, -1, 101):
                with pytest.raises(types.InvalidRequest) as caught:
                    client.listQuarantine(count, context())
                assert (caught.value.field, caught.value.limit) == ("count",
                                                                    100)
    wrong = subprocess.run([program("combctl"), "quarantine"], text=True,
                           capture_output=True, check=False)
    assert wrong.returncode == 2 and "--cell" in wrong.stderr
