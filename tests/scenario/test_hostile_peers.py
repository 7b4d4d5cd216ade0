"""Peers that are slow, many, silent or gone, and ends of what a machine has.

S5: slow senders, floods of connections, idle ones. F28: peers that vanish, stop
reading, or are stopped. F24: no descriptors left, too much memory asked for.
An honest client goes on meanwhile and gets right answers only; how long it
waits is printed (-s), and measured by tests/bench/run S5.

A peer that stalls is closed after half a minute (SERVER_STALL_MS_DEFAULT), so
those of the last tests are there from the beginning.
"""
import contextlib
import os
import pathlib
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import pytest

import hostile
import raw
from client import Client, Dashboard, Firehose, context, event, pages
from comb.firehose.ttypes import FetchRequest
from daemons import die_with_parent
from hostile import Honest
from stacks import Solo

READER, AUTHOR = 1001, 1002
FIRST_ID = 1600000000000 << 21
POSTS = 100
THREADS = 3
IDLE = int(os.environ.get("COMB_IDLE_CONNECTIONS", "2000"))
# It takes 4,096.
GATEWAY_MOST = 4000
FLOOD = 5000
SLOW = 200
STALL_S = 30
# Far more than the time-out, for a machine that has no time for us.
PATIENCE_S = STALL_S + 120
DESCRIPTORS = 256
# Nobody else's processes count against it.
NOBODY = 61234
PORTS = ("gateway", "router", "cell")
METRICS = {"gateway": "comb_gateway_connections",
           "router": "comb_router_connections",
           "cell": "comb_cell_connections"}


def fill(stack):
    """A reader and an author whose 100 posts make a page of 200 KB."""
    told = [event("follow", READER, target_user=AUTHOR, id=FIRST_ID)]
    told += [event("post", AUTHOR, id=FIRST_ID + 5000 + i,
                   post={"body": b"honey" * 400}) for i in range(POSTS)]
    with Client(Firehose, stack.gateway) as gateway:
        for result in gateway.publish(told, context()):
            assert result.position, result
    stack.wait_applied(len(told))


def address_of(solo, port):
    """Where a port is."""
    return {"gateway": solo.gateway, "router": solo.router,
            "cell": solo.cells[0], "http": solo.http,
            "admin": solo.admin}[port]


def ask_of(port, limit=100):
    """A call that a port answers with much, as a frame."""
    if port == "gateway":
        return raw.frame(raw.encode_call("nextIds", Firehose.nextIds_args(
            count=limit * 10, ctx=context())))
    return raw.frame(raw.encode_call(
        "getDashboard", Dashboard.getDashboard_args(
            user=READER, page=pages.PageRequest(limit=limit),
            ctx=context())))


def honest(solo):
    """A reader of pages."""
    newest = [FIRST_ID + 5000 + i for i in reversed(range(POSTS))][:5]
    return Honest(Dashboard, solo.router, lambda c: [
        entry.post.id for entry in c.getDashboard(
            READER, pages.PageRequest(limit=5), context()).entries], newest)


def every_thread_answers(solo):
    """Sockets are dealt out in turn: of so many each thread has some."""
    for port in PORTS:
        asked = [raw.dial(address_of(solo, port), 60)
                 for _ in range(4 * THREADS)]
        for connection in asked:
            connection.sendall(ask_of(port, 1))
        for connection in asked:
            assert raw.receive_frame(connection)[:4] == b"\x80\x01\x00\x02"
            connection.close()


def connections(solo):
    """Open ones of each port, by /metrics."""
    return {port: hostile.metric(solo.admin, METRICS[port])
            for port in PORTS}


@pytest.fixture(scope="module")
def solo(tmp_path_factory):
    """All in one process, and how many connections it has by itself."""
    hostile.allow_descriptors()
    stack = Solo(tmp_path_factory.mktemp("solo"), "--threads", THREADS,
                 "--connections-max", 20000, cells=1)
    stack.daemon.environment = hostile.LEAN
    with stack:
        fill(stack)
        # Afterwards the router has its connections to the cell.
        every_thread_answers(stack)
        hostile.wait_for(lambda: connections(stack)["gateway"] == 0, "no one")
        hostile.wait_for(lambda: connections(stack)["router"] == 0, "no one")
        hostile.wait_for(lambda: connections(stack)["cell"] <= THREADS, "few")
        stack.own_connections = connections(stack)
        yield stack


# --- those that stall ------------------------------------------------------

HELD_BY_A_CHILD = """
import socket, sys, time
held = []
for address in sys.argv[2:]:
    for i in range(int(sys.argv[1])):
        host, port = address.rsplit(":", 1)
        held.append(socket.create_connection((host, int(port))))
        held[-1].sendall(bytes([0, 0, 1, 0]) + b"x" * i)
print("ready", flush=True)
time.sleep(3600)
"""


class Stalled:
    """Peers that begin and do not go on; close() ends what they need."""

    def __init__(self, solo):
        self.begin = time.monotonic()
        self.half = [raw.dial(address_of(solo, port))
                     for port in PORTS for _ in range(5)]
        self.dripping = [raw.dial(address_of(solo, port))
                         for port in PORTS for _ in range(5)]
        self.deaf = [self._deaf(solo, port) for port in PORTS]
        for i, connection in enumerate(self.half):
            connection.sendall(ask_of("router")[:1 + i * 4])
        self.child = subprocess.Popen(
            [sys.executable, "-c", HELD_BY_A_CHILD, "5",
             *(address_of(solo, port) for port in PORTS)],
            stdout=subprocess.PIPE, preexec_fn=die_with_parent)
        assert self.child.stdout.readline() == b"ready\n"
        self.child.send_signal(signal.SIGSTOP)
        self._over = threading.Event()
        self._dripper = threading.Thread(target=self._drip, daemon=True)
        self._dripper.start()

    @staticmethod
    def _deaf(solo, port):
        """Asks for far more than sockets hold and reads nothing."""
        host, number = address_of(solo, port).rsplit(":", 1)
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((host, int(number)))
        hostile.send_some(connection, ask_of(port) * 1000)
        return connection

    def _drip(self):
        frame = ask_of("router")
        for byte in frame:
            for connection in self.dripping:
                hostile.send_some(connection, bytes([byte]))
            if self._over.wait(1):
                return

    def close(self):
        """No process or thread is left."""
        self._over.set()
        self._dripper.join()
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()
        for connection in self.half + self.dripping + self.deaf:
            connection.close()


@pytest.fixture(scope="module")
def stalled(solo):
    """There from the first test on."""
    peers = Stalled(solo)
    yield peers
    peers.close()


@pytest.fixture(autouse=True)
def bystander(solo, stalled):
    """An honest client, in every test."""
    with honest(solo) as client:
        yield client
        seen = len(client.seconds)
        hostile.wait_for(lambda: len(client.seconds) > seen or client.wrong,
                         "a last answer")


# --- S5 --------------------------------------------------------------------

# The figure without anybody else but the few that stall.
def test_honest_client_alone(bystander):
    time.sleep(1)
    print(bystander.line("alone"))


# Slow is no fault: who ends in time is answered.
def test_slow_senders(solo, bystander):
    frame = ask_of("router", 1)
    slow = [raw.dial(address_of(solo, port), 60)
            for port in PORTS for _ in range(SLOW)]
    for byte in frame[:3]:
        for connection in slow:
            connection.sendall(bytes([byte]))
        time.sleep(1)
    for connection in slow:
        connection.sendall(frame[3:])
    for connection in slow:
        assert raw.receive_frame(connection)
        connection.close()
    print(bystander.line(f"{SLOW} slow senders to each port"))


@pytest.mark.parametrize("port", PORTS)
def test_connect_flood(solo, port, bystander):
    begin = time.monotonic()
    for i in range(FLOOD):
        connection = raw.dial(address_of(solo, port))
        if i % 2:
            hostile.vanish(connection)
        else:
            connection.close()
    print(f"{FLOOD / (time.monotonic() - begin):.0f} connections a second; "
          + bystander.line(f"flood of the {port}"))


@pytest.mark.parametrize("port", PORTS)
def test_idle_connections(solo, port, bystander):
    before = hostile.status_bytes(solo.daemon, "VmRSS")
    count = min(IDLE, GATEWAY_MOST) if port == "gateway" else IDLE
    crowd = [raw.dial(address_of(solo, port)) for _ in range(count)]
    hostile.wait_for(lambda: connections(solo)[port] >= count, "all are there")
    grown = hostile.status_bytes(solo.daemon, "VmRSS") - before
    time.sleep(1)
    for connection in crowd[::100]:
        connection.sendall(ask_of(port, 1))
        assert raw.receive_frame(connection)
    for connection in crowd:
        connection.close()
    print(f"{grown / count / 1024:.1f} KiB a connection; " +
          bystander.line(f"{count} idle connections at the {port}"))


# --- F28 -------------------------------------------------------------------

# Cut at every place of a frame, behind a whole call or not.
@pytest.mark.parametrize("port", PORTS)
def test_resets_in_a_frame(solo, port):
    frame = ask_of(port)
    for length in range(len(frame)):
        for data in (frame[:length], frame + frame[:length]):
            connection = raw.dial(address_of(solo, port))
            connection.sendall(data)
            hostile.vanish(connection)
    every_thread_answers(solo)


# A peer that has finished sending gets its answers still.
@pytest.mark.parametrize("port", PORTS)
def test_half_closed(solo, port):
    with raw.dial(address_of(solo, port)) as connection:
        connection.sendall(ask_of(port, 1) * 3)
        connection.shutdown(socket.SHUT_WR)
        answers = connection.makefile("rb")
        for _ in range(3):
            size, = struct.unpack(">I", answers.read(4))
            assert len(answers.read(size)) == size
        assert answers.read() == b""


# --- F24 -------------------------------------------------------------------

@pytest.fixture(scope="module")
def poor(tmp_path_factory, stalled):
    """A Comb with few descriptors."""
    # No checkpoint, which wants descriptors, while there are none.
    stack = Solo(tmp_path_factory.mktemp("poor"), "--checkpoint-s", 86400,
                 cells=1)
    stack.daemon.limits = {resource.RLIMIT_NOFILE: DESCRIPTORS}
    with stack:
        fill(stack)
        yield stack


def log_lines(daemon):
    """How many it has written."""
    return len(daemon.log_path().read_bytes().splitlines())


class Calm:
    """How much a daemon works and says while nothing happens to it."""

    SECONDS = 1.5

    def __init__(self, daemon):
        lines, cpu = log_lines(daemon), hostile.cpu_seconds(daemon)
        begin = time.monotonic()
        time.sleep(self.SECONDS)
        self.cpu = hostile.cpu_seconds(daemon) - cpu
        self.lines = log_lines(daemon) - lines
        self.took = time.monotonic() - begin

    def __str__(self):
        return (f"{self.cpu:.2f} s of CPU and {self.lines} lines in "
                f"{self.took:.1f} s")


def descriptors_of(daemon):
    """The numbers of those it has."""
    return {int(name) for name in
            os.listdir(f"/proc/{daemon.process.pid}/fd")}


def wait_for_descriptors(stack):
    """Until those of a crowd that has gone are given back."""
    hostile.wait_for(lambda: len(descriptors_of(stack.daemon)) <
                     DESCRIPTORS // 2, "most are free again")


def crowd_at(address, count):
    """Connections that may wait in the kernel for ever."""
    host, number = address.rsplit(":", 1)
    crowd = [socket.socket() for _ in range(count)]
    for connection in crowd:
        connection.setblocking(False)
        connection.connect_ex((host, int(number)))
    return crowd


# Whoever is connected goes on; others are closed or wait; nothing spins.
@pytest.mark.parametrize("port", [*PORTS, "http", "admin"])
def test_descriptors_exhausted(poor, port):
    if port not in PORTS and hostile.sanitizer() == "thread":
        pytest.skip("libevent closes before it forgets: see tsan.supp")
    with honest(poor) as client, Client(Firehose, poor.gateway) as gateway:
        crowd = crowd_at(address_of(poor, port), DESCRIPTORS + 200)
        time.sleep(0.5)
        calm = Calm(poor.daemon)
        used = len(descriptors_of(poor.daemon))
        result, = gateway.publish([event("follow", 1, target_user=2)],
                                  context())
        assert result.position, result
        print(f"{port}: {used} descriptors, {calm}; " +
              client.line("meanwhile"))
        assert used < DESCRIPTORS - 16, "none is left for files"
        if port == "http":
            assert hostile.strike(poor.router, ask_of("router"))[0]
        # The honest client has its part of it.
        assert calm.cpu < 0.75 * calm.took
        # Ten a second from each place that logs, should they still come.
        assert calm.lines <= 20 * (calm.took + 1)
        for connection in crowd:
            connection.close()
    wait_for_descriptors(poor)
    assert hostile.strike(poor.router, ask_of("router"))[0]


# Others may take the last ones: then accept() itself fails.
def test_accept_fails(poor):
    pid = poor.daemon.process.pid
    taken = descriptors_of(poor.daemon)
    free = min(set(range(DESCRIPTORS)) - taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, DESCRIPTORS))
    waiting = {port: crowd_at(address_of(poor, port), 20)
               for port in (*PORTS, "http", "admin")}
    time.sleep(0.5)
    calm = Calm(poor.daemon)
    print(f"accept() fails: {calm}")
    assert len(descriptors_of(poor.daemon)) <= len(taken)
    assert calm.cpu < 0.75 * calm.took
    # Each server's line a second.
    assert calm.lines <= len(PORTS) * (calm.took + 1)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    for port in PORTS:
        for connection in waiting[port]:
            connection.settimeout(60)
            connection.sendall(ask_of(port, 1))
            assert raw.receive_frame(connection)
    for connection in sum(waiting.values(), []):
        connection.close()
    wait_for_descriptors(poor)


def ask_for_stream(stack):
    """A connection that wants every event, and the status it got."""
    connection = raw.dial(stack.http)
    connection.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: comb\r\n\r\n")
    return connection, int(connection.recv(1 << 16).split()[1])


def stream_is_given(stack):
    """Whether one more stream is."""
    connection, code = ask_for_stream(stack)
    connection.close()
    return code == 200


def ask_for_fetch(stack):
    """A connection on which a fetch waits for an event."""
    connection = raw.dial(stack.gateway)
    connection.sendall(raw.frame(raw.encode_call(
        "fetch", Firehose.fetch_args(request=FetchRequest(wait_ms=2000),
                                     ctx=context()))))
    return connection


@contextlib.contextmanager
def few_threads(directory, extra):
    """A Comb that may have so many threads more than it starts with."""
    # RocksDB cannot do without a thread that it wants for a flush.
    stack = Solo(directory, "--checkpoint-s", 86400, cells=1)
    stack.daemon.user = NOBODY
    with stack:
        fill(stack)
        tasks = os.listdir(f"/proc/{stack.daemon.process.pid}/task")
    stack.daemon.limits = {resource.RLIMIT_NPROC: len(tasks) + extra}
    with stack:
        yield stack


# Streams and fetches have a thread each: beyond what there is they are
# refused, and the rest goes on.
@pytest.mark.skipif(os.geteuid() != 0, reason="root may have any number")
def test_threads_exhausted(stalled):
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        place = pathlib.Path(directory) / "solo"
        place.mkdir()
        os.chown(place, NOBODY, NOBODY)
        with few_threads(place, 12) as stack, contextlib.ExitStack() as held:
            with honest(stack):
                streams = [ask_for_stream(stack) for _ in range(20)]
                fetches = [ask_for_fetch(stack) for _ in range(20)]
                for connection in fetches + [one for one, _ in streams]:
                    held.callback(connection.close)
                assert {code for _, code in streams} == {200, 503}
                answers = [raw.decode_reply(raw.receive_frame(connection),
                                            Firehose.fetch_result())
                           for connection in fetches]
                assert any(answer.overloaded for answer in answers)
            for connection, _ in streams:
                connection.close()
            hostile.wait_for(lambda: stream_is_given(stack), "a stream")


# Frames of 16 MiB that do not end, from many at once: what is over the bound
# is closed, and small calls pass.
@pytest.mark.skipif(hostile.sanitizer() == "thread",
                    reason="TSan's shadow is most of the memory")
def test_memory_of_unfinished_frames(solo, bystander):
    before = hostile.status_bytes(solo.daemon, "VmRSS")
    piece = b"\0" * (1 << 20)
    crowd = [raw.dial(solo.gateway) for _ in range(64)]
    for connection in crowd:
        connection.sendall(struct.pack(">I", 1 << 24))
    for _ in range(15):
        for connection in crowd:
            try:
                connection.sendall(piece)
            except OSError:
                pass
    grown = hostile.status_bytes(solo.daemon, "VmRSS") - before
    for connection in crowd:
        connection.close()
    print(f"960 MiB sent, {grown >> 20} MiB more resident; " +
          bystander.line("meanwhile"))
    assert grown < 400 << 20


# --- the end of those that stall -------------------------------------------

def test_stalled_peers_are_closed(solo, stalled):
    left = max(stalled.begin + PATIENCE_S - time.monotonic(), 1)
    for connection in stalled.half + stalled.dripping:
        assert hostile.is_closed(connection, left)
    for connection in stalled.deaf:
        assert hostile.is_reset(connection, left), "to read would go on"
    print(f"closed after {time.monotonic() - stalled.begin:.1f} s")


# Of all that has been, nothing is left, and no thread is stuck in it.
def test_connections_fall_back(solo, stalled, bystander):
    own = dict(solo.own_connections, router=1)
    hostile.wait_for(lambda: connections(solo) == own,
                     f"{own}", PATIENCE_S)
    assert stalled.child.poll() is None
    every_thread_answers(solo)
