"""F24: a gateway, a cell and a router, each with no more memory than its budget.

The kernel kills whoever takes more, as it does in a container. Frames that do
not end, many connections, calls for the largest pages that nobody reads, posts
as fast as they can be sent: some are refused or closed, no daemon dies, and
when it is over everything is there and is served.

The limits are those of ops/README.md, "Memory".
"""
import contextlib
import struct
import threading
import time

import pytest

import hostile
import raw
from client import (Client, Dashboard, Firehose, context, event, pages, types)
from memory import Limit
from stacks import Cluster
from thrift.transport.TTransport import TTransportException

MIB = 1 << 20
# Settings, small, so that what they do not bound would show.
MEMORY_MB, CACHE_MB, PENDING_MB = 32, 16, 16
# Frames, calls and answers of all connections; and what is fixed.
HELD_MB = 256
BUDGET_MB = {"comb-firehose": 2 * PENDING_MB + HELD_MB + 128,
             "comb-cell": MEMORY_MB + CACHE_MB + 128 + HELD_MB + 128,
             "comb-router": HELD_MB + 128}
# Shadow, red zones and what is kept of what was freed.
SANITIZER_MB = {"": 0, "address": 64}
READER, AUTHOR, FIRST_ID = 1001, 1002, 1600000000000 << 21
BODY = b"h" * 65000
POSTS = 100
CROWD = 64
PIECE = b"\0" * MIB
DEAF, CALLS = 300, 40
IDLE = 3000
# Publishers, calls of each, posts in a call: 250 MB.
WRITERS, FRAMES, FRAME_POSTS = 8, 3, 160


def posts_of(author, first, count):
    """Large ones, with ids."""
    return [event("post", author, {"body": BODY}, id=first + i)
            for i in range(count)]


@pytest.fixture(name="limited")
def start_limited(tmp_path, broker):
    """A Comb of three daemons with their limits, and what a page needs."""
    hostile.allow_descriptors()
    cluster = Cluster(tmp_path, broker.bootstrap, cells=1)
    cluster.firehose.flags += ["--pending-mb", str(PENDING_MB)]
    cluster.cell_daemons[0].flags += ["--memory-mb", str(MEMORY_MB),
                                      "--cache-mb", str(CACHE_MB)]
    with contextlib.ExitStack() as ending:
        for daemon in cluster.daemons:
            most = BUDGET_MB[daemon.name] + SANITIZER_MB[hostile.sanitizer()]
            daemon.memory = Limit(daemon.name, most * MIB)
            daemon.environment = hostile.LEAN
            ending.callback(daemon.memory.close)
        ending.enter_context(cluster)
        with Client(Firehose, cluster.gateway) as gateway:
            told = [event("follow", READER, target_user=AUTHOR, id=FIRST_ID),
                    *posts_of(AUTHOR, FIRST_ID + 1, POSTS)]
            assert all(one.position for one in gateway.publish(
                told, context()))
        cluster.wait_applied(len(told))
        yield cluster


def page_call():
    """For a page of 6.5 MB."""
    return raw.frame(raw.encode_call("getDashboard", Dashboard.getDashboard_args(
        user=READER, page=pages.PageRequest(limit=POSTS), ctx=context())))


def unfinished_frames(address, ending):
    """From many at once, of the most that a frame may have; how many of them
    were closed."""
    crowd = [ending.enter_context(raw.dial(address)) for _ in range(CROWD)]
    for connection in crowd:
        connection.sendall(struct.pack(">I", 16 * MIB))
    lost = set()
    for _ in range(15):
        for connection in crowd:
            try:
                connection.sendall(PIECE)
            except OSError:
                lost.add(connection)
    return len(lost)


def deaf_readers(address, ending):
    """Who ask for far more than sockets hold, and read nothing; how many of
    them were closed."""
    crowd = [ending.enter_context(raw.dial(address)) for _ in range(DEAF)]
    for connection in crowd:
        hostile.send_some(connection, page_call() * CALLS)
    # So long until each of them has been served what it may have.
    time.sleep(5)
    return sum(hostile.is_reset(connection, 0) for connection in crowd)


def idle_connections(address, ending):
    """Many that say nothing; none is refused."""
    for _ in range(IDLE):
        ending.enter_context(raw.dial(address))
    return 0


class Writers:
    """Publish as fast as they can; who is refused tries again a little later."""

    def __init__(self, address):
        self.address = address
        self.taken = self.refused = 0
        self._lock = threading.Lock()

    def _write(self, number):
        author = 2000 + number
        for round_ in range(FRAMES):
            first = FIRST_ID + 1_000_000 * (number + 1) + 1000 * round_
            told = posts_of(author, first, FRAME_POSTS)
            while not self._publish(told):
                time.sleep(0.25)

    def _publish(self, told):
        """Once; whether all of them are in the log."""
        try:
            with Client(Firehose, self.address) as gateway:
                results = gateway.publish(told, context())
        except (types.Overloaded, types.DeadlineExceeded, types.Unavailable,
                OSError, EOFError, TTransportException):
            results = []
        good = bool(results) and all(one.position for one in results)
        with self._lock:
            self.taken += len(told) if good else 0
            self.refused += not good
        return good

    def run(self):
        """Until all is taken."""
        threads = [threading.Thread(target=self._write, args=(number,))
                   for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def check_whole(cluster, shown):
    """The reader's page is what it was, with a new post on it: the next one."""
    with Client(Firehose, cluster.gateway) as gateway, \
            Client(Dashboard, cluster.router) as router:
        done = gateway.createPost(AUTHOR, types.Post(body=b"done"), 0,
                                  context())
        page = router.getDashboard(READER, pages.PageRequest(limit=POSTS),
                                   context(at_least=[done.position]))
    shown[:] = [done.id, *shown[:-1]]
    assert [entry.post.id for entry in page.entries] == shown
    assert not page.stale and page.entries[-1].post.body == BODY


def peaks(cluster):
    """All daemons live within their limits; the most each has had."""
    return ", ".join(
        f"{daemon.name} {daemon.memory.check(daemon) >> 20} of {daemon.memory}"
        for daemon in cluster.daemons)


@pytest.mark.skipif(hostile.sanitizer() == "thread",
                    reason="TSan's shadow is most of the memory")
def test_limits_of_memory(limited, figure):
    ports = {"gateway": limited.gateway, "cell": limited.cells[0],
             "router": limited.router}
    shown = list(reversed(range(FIRST_ID + 1, FIRST_ID + 1 + POSTS)))
    closed = {}
    for attack in (unfinished_frames, deaf_readers, idle_connections):
        for port, address in ports.items():
            if (attack, port) == (deaf_readers, "gateway"):
                continue
            with contextlib.ExitStack() as ending:
                closed[f"{attack.__name__} at the {port}"] = attack(address,
                                                                    ending)
            print(attack.__name__, port, peaks(limited))
            check_whole(limited, shown)
    writers = Writers(limited.gateway)
    writers.run()
    limited.wait_applied(writers.taken)
    check_whole(limited, shown)
    figure(f"{peaks(limited)}; closed: {closed}; {writers.taken} large posts "
           f"taken, {writers.refused} calls refused")
    assert all(closed[f"unfinished_frames at the {port}"]
               for port in ("gateway", "cell"))
