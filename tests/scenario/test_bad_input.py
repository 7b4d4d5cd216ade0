"""Bad calls: each is refused with its reason, and the daemon goes on (I8).

One comb-solo for the whole file: what one test does to it, the next would
notice. Every test ends by asking all ports for something good.
"""
import pytest

import raw
from client import (Cell, Client, Dashboard, Firehose, context, event, pages,
                    types)
from stacks import Solo

READER, AUTHOR, STRANGER = 1001, 1002, 1003
FIRST_ID = 1600000000000 << 21
POSTS = 45
ID_MAX = 2**63 - 1
PORTS = ("gateway", "router", "cell")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A Comb in which two readers follow an author of 45 posts."""
    with Solo(tmp_path_factory.mktemp("solo")) as stack:
        with Client(Firehose, stack.gateway) as gateway:
            told = [event("follow", reader, target_user=AUTHOR,
                          id=FIRST_ID + reader)
                    for reader in (READER, STRANGER)]
            told += [event("post", AUTHOR, id=FIRST_ID + 5000 + i,
                           post={"body": b"honey", "tags": ["wax"]})
                     for i in range(POSTS)]
            for result in gateway.publish(told, context()):
                assert result.position, result
        stack.wait_applied(len(told))
        yield stack


@pytest.fixture(autouse=True)
def healthy(world):
    """After each test every port still gives good answers."""
    yield
    assert world.daemon.is_running(), world.daemon.stderr()
    with Client(Firehose, world.gateway) as gateway:
        assert len(gateway.nextIds(3, context())) == 3
    with Client(Dashboard, world.router) as router:
        page = router.getDashboard(READER, pages.PageRequest(limit=5),
                                   context())
        assert len(page.entries) == 5
    for address in world.cells:
        with Client(Cell, address) as cell:
            assert cell.status(context()).stopped is None


@pytest.fixture
def gateway(world):
    """A client of the gateway."""
    with Client(Firehose, world.gateway) as client:
        yield client


@pytest.fixture
def router(world):
    """A client of the router."""
    with Client(Dashboard, world.router) as client:
        yield client


@pytest.fixture(params=PORTS)
def port(world, request):
    """The address of each Thrift port in turn."""
    return {"gateway": world.gateway, "router": world.router,
            "cell": world.cells[0]}[request.param]


def ask(router, user=READER, **fields):
    """A dashboard page."""
    return router.getDashboard(user, pages.PageRequest(**fields), context())


def refusal(call, *args, **fields):
    """The InvalidRequest that a call must end in; it always has a reason."""
    with pytest.raises(types.InvalidRequest) as caught:
        call(*args, **fields)
    assert caught.value.reason
    return caught.value


# --- reads -----------------------------------------------------------------

def test_unknown_user_has_an_empty_dashboard(router):
    page = ask(router, user=424242)
    assert page.entries == [] and page.complete
    assert page.page_end == pages.PageEnd.END_OF_INBOX


@pytest.mark.parametrize("user", [0, -1, -ID_MAX - 1])
def test_user_out_of_range(router, user):
    assert refusal(ask, router, user=user).field == "user"
    assert refusal(router.getTimeline, user, pages.PageRequest(),
                   context()).field == "author"


def test_greatest_user_is_a_user(router):
    assert ask(router, user=ID_MAX).entries == []


@pytest.mark.parametrize("limit", [0, 101, -1, 2**31 - 1])
def test_limit_out_of_range(router, limit):
    wrong = refusal(ask, router, limit=limit)
    assert (wrong.field, wrong.limit) == ("page.limit", 100)


@pytest.mark.parametrize("direction", [0, 3, -1])
def test_unknown_direction(router, direction):
    cursor = ask(router, limit=5).older
    wrong = refusal(ask, router, cursor=cursor, direction=direction)
    assert wrong.field == "page.direction"


def test_newer_wants_a_cursor(router):
    wrong = refusal(ask, router, direction=pages.Direction.NEWER)
    assert wrong.field.startswith("page.")


def test_cursor_of_another_user(router):
    cursor = ask(router, limit=5).older
    wrong = refusal(ask, router, user=STRANGER, cursor=cursor)
    assert wrong.field == "page.cursor"


def test_cursor_of_another_call(router):
    cursor = ask(router, limit=5).older
    wrong = refusal(router.getTimeline, READER,
                    pages.PageRequest(cursor=cursor), context())
    assert wrong.field == "page.cursor"


# Each character changed in turn, cut short, and made longer.
def test_damaged_cursor(router):
    cursor = ask(router, limit=5).older
    damaged = [cursor[:i] + ("A" if cursor[i] != "A" else "B") +
               cursor[i + 1:] for i in range(len(cursor))]
    damaged += [cursor[:i] for i in range(1, len(cursor))]
    damaged += [cursor + "A", cursor * 2, "x", " ", "🐝", "A" * 10000]
    for one in damaged:
        assert refusal(ask, router, cursor=one).field == "page.cursor"


@pytest.mark.parametrize("number", [0, -1])
def test_post_id_out_of_range(router, number):
    assert refusal(router.getPosts, [number], context()).field == "posts"


def test_too_many_posts(router):
    wrong = refusal(router.getPosts, list(range(1, 102)), context())
    assert (wrong.field, wrong.limit) == ("posts", 100)


def test_unknown_posts_are_missing(router):
    known = FIRST_ID + 5000
    answer = router.getPosts([99, known, ID_MAX], context())
    assert [post.id for post in answer.found] == [known]
    assert answer.missing == [99, ID_MAX]


@pytest.mark.parametrize("deadline_ms", [0, -1, 600001])
def test_deadline_out_of_range(router, deadline_ms):
    wrong = refusal(router.getDashboard, READER, pages.PageRequest(),
                    context(deadline_ms=deadline_ms))
    assert wrong.field == "ctx.deadline_ms"


# --- writes ----------------------------------------------------------------

def post(**fields):
    """An otherwise good post event."""
    return event("post", AUTHOR + 100, post={"body": b"good", **fields})


BAD_EVENTS = [
    (post(body=b"x" * 65537), "event.post.body", 65536),
    (post(tags=["t"] * 31), "event.post.tags", 30),
    (post(tags=["t" * 141]), "event.post.tags", 140),
    (post(tags=[""]), "event.post.tags", None),
    (post(kind=99), "event.post.kind", None),
    (post(kind=0), "event.post.kind", None),
    (post(kind=1, body=b"\xff\xfe"), "event.post.body", None),
    (post(reply_to=-1), "event.post.reply_to", None),
    (post(reblog_of=-5), "event.post.reblog_of", None),
    (post(author=AUTHOR), "event.post.author", None),
    (post(id=5), "event.post.id", None),
    (event("post", AUTHOR), "event.post", None),
    (event("post", 0, post={"body": b"x"}), "event.user", None),
    (event("post", -1, post={"body": b"x"}), "event.user", None),
    (event("follow", 5), "event.target_user", None),
    (event("follow", 5, target_user=-2), "event.target_user", None),
    (event("delete", 5), "event.target_post", None),
    (event("delete", 5, target_post=-2), "event.target_post", None),
    (event("like", 5, target_post=9, id=-4), "event.id", None),
    (types.Event(kind=99, user=5), "event.kind", None),
    (types.Event(kind=0, user=5), "event.kind", None),
    (types.Event(user=5), "event.kind", None),
    (types.Event(kind=4, user=5, target_user=6, version=2), "event.version",
     None),
    (types.Event(), None, None),
]


# One bad event is refused by itself; its neighbours are taken.
@pytest.mark.parametrize("bad, field, limit", BAD_EVENTS)
def test_bad_event(gateway, bad, field, limit):
    before, result, after = gateway.publish([post(), bad, post()], context())
    assert before.position and after.position
    assert result.position is None and result.failed is None
    assert result.refused.reason
    assert field is None or result.refused.field == field
    assert limit is None or result.refused.limit == limit


# What stands just within the limits is taken.
@pytest.mark.parametrize("good", [
    post(body=b"x" * 65536, kind=types.PostKind.PHOTO),
    post(tags=["t" * 140] * 30), post(tags=["蜂" * 46]),
    post(body=b"\xff\xfe", kind=types.PostKind.PHOTO), post(body=b"")])
def test_event_at_the_limit(gateway, good):
    result, = gateway.publish([good], context())
    assert result.position, result


# Thrift libraries do not send invalid UTF-8, so it is put in by hand.
@pytest.mark.parametrize("tag", [b"\xff\xff\xff\xff", b"\xc3\x28ab",
                                 b"\xed\xa0\x80a", b"\xf8\x88\x80\x80"])
def test_invalid_utf8_in_tags(world, tag):
    arguments = Firehose.publish_args(
        events=[post(tags=["@@@@"]), post()], ctx=context())
    message = raw.encode_call("publish", arguments).replace(b"@@@@", tag)
    answer = raw.exchange(world.gateway, raw.frame(message))
    bad, good = raw.decode_reply(answer, Firehose.publish_result()).success
    assert bad.refused.field == "event.post.tags" and not bad.position
    assert good.position and not good.refused


def test_batch_over_the_limit(gateway):
    wrong = refusal(gateway.publish, [post()] * 1001, context())
    assert (wrong.field, wrong.limit) == ("events", 1000)


def test_empty_batch(gateway):
    assert gateway.publish([], context()) == []


@pytest.mark.parametrize("count", [0, -1, 10001])
def test_count_of_ids(gateway, count):
    assert refusal(gateway.nextIds, count, context()).field == "count"


def test_friendly_forms_refuse(gateway):
    assert refusal(gateway.follow, AUTHOR, -1, 0, context()).reason
    assert refusal(gateway.createPost, 0, types.Post(kind=1, body=b"x"), 0,
                   context()).reason
    assert refusal(gateway.createPost, AUTHOR,
                   types.Post(kind=1, body=b"x" * 65537), 0,
                   context()).limit == 65536


# --- frames ----------------------------------------------------------------

def good_call():
    """A well-formed message of a method that no port has."""
    return raw.encode_call("getNothing", Dashboard.getPosts_args(posts=[1]))


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: comb\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 500,
    "zeros": b"\x00" * 4096,
    "ones": b"\xff" * 4096,
    "oversized": b"\x01\x00\x00\x01" + b"\x80\x01\x00\x01" + b"x" * 1000,
    "negative length": b"\x80\x00\x00\x00" + b"x" * 1000,
    "not thrift": raw.frame(b"honey, wax and other matters"),
    "one byte": raw.frame(b"\x80"),
    "old protocol": raw.frame(
        b"\x00\x00\x00\x06status\x01\x00\x00\x00\x01\x00"),
    "no stop": raw.frame(good_call()[:-1]),
    "bytes left over": raw.frame(good_call() + b"\x00"),
    "deep structs": raw.frame(good_call()[:-1] + b"\x0c\x00\x01" * 80000 +
                              b"\x00" * 80001),
    "deep lists": raw.frame(good_call()[:-1] + b"\x0f\x00\x01" +
                            b"\x0f\x00\x00\x00\x01" * 80000),
    "long list": raw.frame(good_call()[:-1] +
                           b"\x0f\x00\x02\x0a\x06\x00\x00\x00\x00"),
    "negative list": raw.frame(good_call()[:-1] +
                               b"\x0f\x00\x02\x0a\xff\xff\xff\xff\x00"),
    "long string": raw.frame(good_call()[:-1] +
                             b"\x0b\x00\x09\x7f\xff\xff\xff\x00"),
    "unknown type": raw.frame(good_call()[:-1] + b"\x01\x00\x09\x00\x00"),
}


# What cannot be a call closes its connection.
@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_closes_the_connection(port, name):
    assert raw.exchange(port, GARBAGE[name]) == b""


# Thrift's own answer for a method that is not there; the connection lives.
def test_unknown_method(port):
    with raw.dial(port) as connection:
        for _ in range(2):
            connection.sendall(raw.frame(good_call()))
            answer = raw.receive_frame(connection)
            assert answer[:4] == b"\x80\x01\x00\x03" and b"getNothing" in answer


# A frame that stops half-way holds nobody else up, hung up or not.
@pytest.mark.parametrize("sent", [1, 3, 4, 20])
def test_truncated_frame(port, sent):
    with raw.dial(port) as waiting, raw.dial(port) as closed:
        for connection in (waiting, closed):
            connection.sendall(raw.frame(good_call())[:sent])
        closed.close()
        assert raw.exchange(port, raw.frame(good_call()))


# A frame may come byte by byte.
def test_slow_frame(port):
    with raw.dial(port) as connection:
        for byte in raw.frame(good_call()):
            connection.send(bytes([byte]))
        assert raw.receive_frame(connection)


# Many connections that say nothing and go away.
def test_idle_connections(port):
    crowd = [raw.dial(port) for _ in range(200)]
    assert raw.exchange(port, raw.frame(good_call()))
    for connection in crowd:
        connection.close()


# A call without arguments where they are needed is refused, not believed.
@pytest.mark.parametrize("method, service", [
    ("getDashboard", Dashboard), ("getTimeline", Dashboard)])
def test_missing_user(world, method, service):
    arguments = getattr(service, method + "_args")()
    result = getattr(service, method + "_result")()
    for address in (world.router, world.cells[0]):
        answer = raw.exchange(address, raw.frame(
            raw.encode_call(method, arguments)))
        assert raw.decode_reply(answer, result).invalid.reason
