"""What no honest client sends (S2, S4): it costs its connection, nobody else.

S2 is what breaks Thrift's own servers for C; S4 is every size in a message of
every method, made to lie. Each is sent to each port while honest clients go
on, who must not see a thing. How long a refusal takes is printed (-s), not
judged.
"""
import struct
import time

import pytest

import hostile
import raw
from client import (Cell, Client, Dashboard, Firehose, context, event, pages,
                    types)
from comb.cell.ttypes import CellEntry, CellMap, SlotRange
from comb.firehose.ttypes import FetchRequest, RewindRequest
from hostile import Honest, strike
from kafka import KafkaBroker
from stacks import Cluster, Solo

READER, AUTHOR = 1001, 1002
FIRST_ID = 1600000000000 << 21
POSTS = 45
PORTS = ("gateway", "router", "cell")
NEVER_ID = FIRST_ID + 10**6
ROUNDS = 10
# What sanitizers keep of memory that was freed.
GROWTH_BYTES_MAX = {"": 1 << 20, "address": 8 << 20, "thread": 8 << 20}


def fill(stack):
    """A reader, an author, some posts."""
    told = [event("follow", READER, target_user=AUTHOR, id=FIRST_ID)]
    told += [event("post", AUTHOR, id=FIRST_ID + 5000 + i,
                   post={"body": b"honey", "tags": ["wax"]})
             for i in range(POSTS)]
    with Client(Firehose, stack.gateway) as gateway:
        for result in gateway.publish(told, context()):
            assert result.position, result
    stack.wait_applied(len(told))


@pytest.fixture(scope="module")
def solo(tmp_path_factory):
    """All in one process."""
    stack = Solo(tmp_path_factory.mktemp("solo"))
    stack.daemon.environment = hostile.LEAN
    with stack:
        fill(stack)
        stack.daemon_of = dict.fromkeys(PORTS, stack.daemon)
        yield stack


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Gateway, a cell and router by themselves, on Kafka."""
    with KafkaBroker() as kafka:
        stack = Cluster(tmp_path_factory.mktemp("cluster"), kafka.bootstrap,
                        cells=1)
        for daemon in stack.daemons:
            daemon.environment = hostile.LEAN
        with stack:
            fill(stack)
            stack.daemon_of = {"gateway": stack.firehose,
                               "router": stack.router_daemon,
                               "cell": stack.cell_daemons[0]}
            yield stack


@pytest.fixture(params=["solo", "cluster"])
def world(request):
    """Both ways to run a Comb."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=PORTS)
def port(request):
    """The name of each Thrift port in turn."""
    return request.param


def address_of(world, port):
    """Where a port is."""
    return {"gateway": world.gateway, "router": world.router,
            "cell": world.cells[0]}[port]


def ids(page):
    """Of a page's posts."""
    return [entry.post.id for entry in page.entries]


def honest(world, port):
    """A well-behaved client of the port."""
    newest = [FIRST_ID + 5000 + i for i in reversed(range(POSTS))][:20]
    if port == "gateway":
        return Honest(Firehose, world.gateway,
                      lambda c: len(c.nextIds(3, context())), 3)
    if port == "router":
        return Honest(
            Dashboard, world.router, lambda c: ids(c.getDashboard(
                READER, pages.PageRequest(), context())), newest)
    return Honest(Dashboard, world.cells[0], lambda c: ids(c.getTimeline(
        AUTHOR, pages.PageRequest(), context())), newest)


@pytest.fixture
def bystander(world, port):
    """It goes on during the test and must see nothing."""
    with honest(world, port) as client:
        yield client
    for other in PORTS:
        with honest(world, other):
            pass


# --- S2: what breaks c_glib ------------------------------------------------

def test_what_breaks_c_glib_is_refused(world, port, bystander):
    address, daemon = address_of(world, port), world.daemon_of[port]
    took = {name: [] for name in hostile.HAZARDS}
    for turn in range(2 * ROUNDS):
        if turn == ROUNDS:
            before = hostile.status_bytes(daemon, "VmRSS")
        for name, data in hostile.HAZARDS.items():
            answer, seconds = strike(address, data)
            assert answer == b"", name
            took[name].append(seconds)
    for name, seconds in took.items():
        print(f"{port}, {name}: refused in {hostile.spread(seconds)}")
    print(bystander.line("bystander"))
    grown = hostile.status_bytes(daemon, "VmRSS") - before
    assert grown < GROWTH_BYTES_MAX[hostile.sanitizer()]


# The other end of a truncated message never comes: an endless loop there.
def test_truncated_messages_are_refused(world, port, bystander):
    address = address_of(world, port)
    message = hostile.with_every_type(hostile.some_call())
    took = [strike(address, raw.frame(message[:length]))
            for length in range(len(message))]
    assert [answer for answer, _ in took] == [b""] * len(message)
    print(f"{port}: refused in {hostile.spread([t for _, t in took])}")


# Thrift crashes at it where a service extends another. Here it is answered,
# and the connection lives, its calls in step.
def test_unknown_methods_are_answered(world, port, bystander):
    with raw.dial(address_of(world, port)) as connection:
        for _ in range(50):
            for method in ("getNothing", "status\0", "x" * 64):
                connection.sendall(raw.frame(hostile.some_call(method)))
                answer = raw.receive_frame(connection)
                assert answer[:4] == b"\x80\x01\x00\x03"
                assert method.encode() in answer


# send() to it would raise SIGPIPE.
def test_callers_that_reset_before_the_answer(world, port, bystander):
    for i in range(200):
        connection = raw.dial(address_of(world, port))
        connection.sendall(raw.frame(hostile.some_call()) * (1 + i % 5))
        hostile.vanish(connection)


# --- S4: sizes that lie ----------------------------------------------------

POST = types.Post(id=0, author=0, kind=1, body=b"honey", tags=["wax", "bee"],
                  reply_to=NEVER_ID)
PAGE = pages.PageRequest(cursor="0" * 50, limit=5, direction=1)
# The wrong epoch, lest one of it is taken.
MAP = CellMap(epoch=99, cells=[CellEntry(cell=0, host="127.0.0.1", port=9)],
              ranges=[SlotRange(first=0, last=4095, cell=0)],
              overrides={5001: 0})
EVENTS = [types.Event(version=1, kind=1, user=5001, post=POST),
          types.Event(kind=4, user=5001, target_user=5002)]
READS = [
    (Dashboard, "getDashboard", {"user": READER, "page": PAGE}),
    (Dashboard, "getTimeline", {"author": AUTHOR, "page": PAGE}),
    (Dashboard, "getPosts", {"posts": [NEVER_ID, NEVER_ID + 1]}),
]
ON_A_USER = {"user": 5001, "target": 5002, "event_id": 0}
ON_A_POST = {"user": 5001, "post_id": NEVER_ID, "event_id": 0}
CALLS = {
    "router": READS,
    "cell": READS + [(Cell, "status", {}), (Cell, "checkpoint", {}),
                      (Cell, "listQuarantine", {"count": 20})],
    "gateway": [
        (Firehose, "publish", {"events": EVENTS}),
        (Firehose, "createPost", {"user": 5001, "post": POST, "event_id": 0}),
        (Firehose, "editPost", {"post": POST, **ON_A_POST}),
        *((Firehose, method, ON_A_POST)
          for method in ("deletePost", "like", "unlike", "markRead")),
        *((Firehose, method, ON_A_USER)
          for method in ("follow", "unfollow", "block", "unblock", "mute",
                         "unmute")),
        (Firehose, "deleteUser", {"user": 5001, "event_id": 0}),
        (Firehose, "nextIds", {"count": 3}),
        (Firehose, "fetch", {"request": FetchRequest(
            since="earliest", kinds=[1, 4], authors=[AUTHOR], max_events=3)}),
        (Firehose, "getPartitions", {}),
        (Firehose, "commit", {"client_id": "hostile", "position": b"none"}),
        (Firehose, "rewind", {"request": RewindRequest(
            client_id="hostile", to="earliest", dry_run=True)}),
        (Firehose, "getLag", {"client_id": "hostile"}),
        (Firehose, "getCellMap", {}),
        (Firehose, "setCellMap", {"cell_map": MAP}),
    ],
}


def valid_message(service, method, arguments):
    """A call with every field and every type."""
    message = raw.encode_call(method, getattr(service, method + "_args")(
        ctx=context(traceparent="00-0-0-00", last_id=1), **arguments))
    return hostile.with_every_type(message)


# The tables above have every method there is.
def test_no_method_is_left_out():
    for port, services in (("router", [Dashboard]),
                           ("cell", [Dashboard, Cell]),
                           ("gateway", [Firehose])):
        there = {name for service in services for name in vars(service.Iface)
                 if not name.startswith("_")}
        assert there == {method for _, method, _ in CALLS[port]}


# Valid calls are answered as such: what is refused is not for the rest of it.
def test_calls_with_unknown_fields_are_answered(world, port):
    for service, method, arguments in CALLS[port]:
        answer, _ = strike(address_of(world, port), raw.frame(
            valid_message(service, method, arguments)))
        assert answer[:4] == b"\x80\x01\x00\x02", method


def test_sizes_that_lie(world, port, bystander):
    address, daemon = address_of(world, port), world.daemon_of[port]
    frames = [(method, *one) for service, method, arguments in CALLS[port]
              for one in hostile.hostile_frames(
                  valid_message(service, method, arguments))]
    for _, _, data, _ in frames[::4]:
        strike(address, data)
    before = hostile.status_bytes(daemon, "VmRSS")
    begin = time.monotonic()
    for method, what, data, is_hopeless in frames:
        answer, _ = strike(address, data)
        assert not (answer and is_hopeless), f"{method}, {what}: {answer}"
        assert answer[:3] in (b"", b"\x80\x01\x00"), f"{method}, {what}"
    grown = hostile.status_bytes(daemon, "VmRSS") - before
    print(f"{port}: {len(frames)} frames in {time.monotonic() - begin:.1f} s, "
          f"{grown >> 10} KiB more resident; {bystander.line('bystander')}")
    assert grown < GROWTH_BYTES_MAX[hostile.sanitizer()]
