"""A cursor never lies: paging neither skips nor repeats while posts arrive."""
import threading

from client import Client, Dashboard, Firehose, context, event, pages
from content import post_ids, walk_newer, walk_older

READER = 501
AUTHORS = (601, 602, 603)
FIRST_ID = 1650000000000 << 21
BEFORE, DURING = 600, 400


def publish(gateway, first, count, authors=AUTHORS):
    """Posts with rising ids by the authors in turn; their ids."""
    ids = [FIRST_ID + (first + i) * 1000 for i in range(count)]
    results = gateway.publish(
        [event("post", authors[i % len(authors)], id=number,
               post={"body": b"nectar"}) for i, number in enumerate(ids)],
        context())
    assert all(result.position for result in results)
    return ids


class Stream(threading.Thread):
    """Posts that arrive while somebody reads."""

    def __init__(self, address, authors=AUTHORS):
        super().__init__(daemon=True)
        self.address, self.authors = address, authors
        self.ids = []

    def run(self):
        with Client(Firehose, self.address) as gateway:
            for i in range(0, DURING, 4):
                self.ids += publish(gateway, BEFORE + i, 4, self.authors)


def prepare(stack):
    """A reader of three authors who have written already; the ids."""
    with Client(Firehose, stack.gateway) as gateway:
        for i, author in enumerate(AUTHORS):
            gateway.follow(READER, author, FIRST_ID - 100 + i, context())
        ids = publish(gateway, 0, BEFORE)
    stack.wait_applied(len(AUTHORS) + BEFORE)
    return ids


# Down from the newest: exactly what was there when the walk began. Then up
# from where it began: exactly what came since.
def test_paging_while_posts_arrive(stack):
    ids = prepare(stack)
    stream = Stream(stack.gateway)
    with Client(Dashboard, stack.router) as router:
        first = next(walk_older(router.getDashboard, READER, 7))
        stream.start()
        rounds = 0
        while stream.is_alive() or not rounds:
            down = sum(map(post_ids, walk_older(
                router.getDashboard, READER, 7, first.older)), [])
            assert post_ids(first) + down == ids[::-1]
            rounds += 1
        stream.join()
        stack.wait_applied(len(AUTHORS) + BEFORE + DURING)
        up = [post_ids(page) for page in walk_newer(
            router.getDashboard, READER, 7, first.newer)]
        assert sum(reversed(up), []) == stream.ids[::-1]


# A reader who follows the stream sees every post once, in order. One author:
# between authors a cell may see the newer of two posts first.
def test_following_the_stream(stack):
    ids = prepare(stack)
    stream = Stream(stack.gateway, AUTHORS[:1])
    with Client(Dashboard, stack.router) as router:
        cursor = router.getDashboard(READER, pages.PageRequest(limit=1),
                                     context()).newer
        stream.start()
        seen = []
        while stream.is_alive() or len(seen) < DURING:
            page = None
            for page in walk_newer(router.getDashboard, READER, 9, cursor):
                seen += post_ids(page)[::-1]
            cursor = page.newer
            assert seen == sorted(set(seen))
        assert seen == stream.ids and seen[0] > ids[-1]


# A cursor outlives a restart.
def test_cursor_after_restart(stack):
    ids = prepare(stack)
    with Client(Dashboard, stack.router) as router:
        page = next(walk_older(router.getDashboard, READER, 50))
    stack.stop()
    stack.start()
    stack.wait_applied()
    with Client(Dashboard, stack.router) as router:
        rest = sum(map(post_ids, walk_older(
            router.getDashboard, READER, 50, page.older)), [])
    assert post_ids(page) + rest == ids[::-1]
