"""Read your own writes: a call brings positions, its page has them applied.

What a stalled log looks like to a cell is a position that does not come: it is
made here from one that was given, some events further on.
"""
import json
import struct
import threading
import time

import pytest

from client import Client, Dashboard, Firehose, context, event, pages, types
from content import post_ids

READER, AUTHOR = 71, 72
ROUNDS = 500
NEWEST = pages.PageRequest(limit=5)


def ahead(position, events):
    """A position so many events after one that publish gave."""
    version, partition, offset, check = struct.unpack(">BIQI", position)
    return struct.pack(">BIQI", version, partition, offset + events, check)


@pytest.fixture
def town(stack):
    """A running Comb in which READER follows AUTHOR and itself."""
    with Client(Firehose, stack.gateway) as gateway:
        for user in (AUTHOR, READER):
            assert gateway.follow(READER, user, 0, context()).position
    return stack


def post(gateway, user):
    """A post; its PublishResult."""
    return gateway.createPost(user, types.Post(kind=types.PostKind.TEXT,
                                               body=b"nectar"), 0, context())


# Published, and read at once: the own post is there, each time, through the
# router, on the dashboard, the timeline and by id.
def test_own_posts(town):
    missed = 0
    with Client(Firehose, town.gateway) as gateway, \
            Client(Dashboard, town.router) as router:
        for _ in range(ROUNDS):
            done = post(gateway, READER)
            asked = context(at_least=[done.position])
            page = router.getDashboard(READER, NEWEST, asked)
            assert post_ids(page)[0] == done.id and not page.stale
            assert page.as_of >= done.id
            done = post(gateway, READER)
            page = router.getDashboard(READER, NEWEST, context())
            missed += done.id not in post_ids(page)
            asked = context(at_least=[done.position])
            page = router.getTimeline(READER, NEWEST, asked)
            assert post_ids(page)[0] == done.id and not page.stale
            found = router.getPosts([done.id], asked)
            assert [it.id for it in found.found] == [done.id]
    print(f"{missed} of {ROUNDS} missed without at_least")


# A batch of several users' events is in several partitions: all its positions
# go into the call as they came.
def test_batch(town):
    users = range(1000, 1040)
    with Client(Firehose, town.gateway) as gateway, \
            Client(Dashboard, town.router) as router:
        follows = [event("follow", READER, target_user=user) for user in users]
        done = gateway.publish(follows + [
            event("post", user, post={"body": b"nectar"}) for user in users],
            context())
        page = router.getDashboard(READER, pages.PageRequest(limit=100),
                                   context(at_least=[it.position
                                                     for it in done]))
        assert sorted(post_ids(page)) == sorted(it.id for it in done[40:])


# Where it does not come, the page comes by the deadline, old and saying so;
# others of the same router are not kept waiting.
def test_stalled(town):
    with Client(Firehose, town.gateway) as gateway, \
            Client(Dashboard, town.router) as router, \
            Client(Dashboard, town.router) as second, \
            Client(Dashboard, town.router) as third:
        done = post(gateway, AUTHOR)
        asked = context(deadline_ms=4000,
                        at_least=[ahead(done.position, 1000)])
        answers = []

        def wait():
            begin = time.monotonic()
            answers.append(router.getDashboard(READER, NEWEST, asked))
            answers.append(time.monotonic() - begin)

        waiter = threading.Thread(target=wait)
        waiter.start()
        calls = 0
        slowest = 0
        while waiter.is_alive():
            before = time.monotonic()
            for client in (second, third):
                client.getDashboard(READER, NEWEST, context())
            slowest = max(slowest, time.monotonic() - before)
            calls += 1
        waiter.join()
        # An answer at all: a router gives none after the deadline.
        assert 3.5 < answers[1] < 5
        assert "at_least was not reached in time" in answers[0].stale
        assert done.id in post_ids(answers[0])
        assert calls > 20 and slowest < 2
        third.getDashboard(READER, NEWEST, context())


# The event that is waited for comes while the call waits: it is answered then.
def test_comes_in_time(town):
    with Client(Firehose, town.gateway) as gateway, \
            Client(Dashboard, town.router) as router:
        done = post(gateway, AUTHOR)
        wanted = []

        def publish():
            time.sleep(1)
            wanted.append(post(gateway, AUTHOR).id)

        later = threading.Thread(target=publish)
        later.start()
        begin = time.monotonic()
        page = router.getDashboard(
            READER, NEWEST, context(at_least=[ahead(done.position, 1)]))
        took = time.monotonic() - begin
        later.join()
        assert 0.9 < took < 3 and not page.stale
        assert post_ids(page)[0] == wanted[0]


# What is no position of this log is refused by name and limit.
def test_refused(town):
    with Client(Firehose, town.gateway) as gateway, \
            Client(Dashboard, town.router) as router:
        good = post(gateway, AUTHOR).position
        version, partition, offset, check = struct.unpack(">BIQI", good)
        bad = {
            b"": None,
            b"rubbish": None,
            good[:-1]: None,
            struct.pack(">BIQI", version, partition, offset, check ^ 1): None,
            struct.pack(">BIQI", version, 4, offset, check): 3,
            struct.pack(">BIqI", version, partition, -1, check): ...,
            ahead(good, 1 << 40): ...,
        }
        for position, limit in bad.items():
            with pytest.raises(types.InvalidRequest) as refusal:
                router.getDashboard(READER, NEWEST,
                                    context(at_least=[good, position]))
            assert refusal.value.field == "ctx.at_least"
            if limit is ...:
                assert refusal.value.limit >= 1 << 32
            else:
                assert refusal.value.limit == limit
        with pytest.raises(types.InvalidRequest) as refusal:
            router.getDashboard(READER, NEWEST,
                                context(at_least=[good] * 1001))
        assert refusal.value.limit == 1000


# By hand: combctl post --json prints the position that --at-least takes.
def test_combctl(town):
    for _ in range(20):
        done = json.loads(town.combctl("post", str(READER), "nectar",
                                       "--json"))
        ids = town.combctl("dashboard", str(READER), "--ids", "--router",
                           town.router, "--at-least", done["position"])
        assert ids.split()[0] == str(done["id"])


# A restart in between changes nothing: the position is still good.
def test_restart(town):
    with Client(Firehose, town.gateway) as gateway:
        done = post(gateway, READER)
    town.kill()
    town.start()
    town.wait_applied(3)
    with Client(Dashboard, town.router) as router:
        page = router.getDashboard(READER, NEWEST,
                                   context(at_least=[done.position]))
        assert post_ids(page) == [done.id] and not page.stale
