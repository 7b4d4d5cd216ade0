"""What hostile peers do, and how it is seen that a daemon does not mind.

Frames: walk() finds every size in a valid message, bombs() and sizes() make
hostile ones of it. Peers: strike() sends bytes and times the refusal, vanish()
resets in the middle, Honest is a client that goes on meanwhile and remembers
whatever goes wrong for it.
"""
import os
import pathlib
import re
import resource
import select
import socket
import struct
import threading
import time
import urllib.request

import raw
from client import Client, Dashboard, context
from daemons import BUILD

BOOL, BYTE, DOUBLE, I16, I32, I64 = 2, 3, 4, 6, 8, 10
STRING, STRUCT, MAP, SET, LIST = 11, 12, 13, 14, 15
FIXED = {BOOL: 1, BYTE: 1, DOUBLE: 8, I16: 2, I32: 4, I64: 8}
# No input can have so many bytes or elements.
IMPOSSIBLE = (2**31 - 1, -1, -2**31, 100_000_000, 2**24 + 1)
# 240 KB of structs were enough for c_glib; a router takes 64 KiB.
DEPTHS = (17, 1000, 20_000)
# For daemons whose memory is looked at: ASan keeps little of what is freed.
LEAN = {"ASAN_OPTIONS": "detect_stack_use_after_return=1:quarantine_size_mb=1:"
                        "thread_local_quarantine_size_kb=64"}


def sanitizer():
    """"address", "thread" or "": what the daemons were built with."""
    cache = (BUILD / "CMakeCache.txt").read_text()
    found = re.search(r"COMB_SANITIZE:\w+=(\w*)", cache)
    return found.group(1) if found else ""


# --- frames ----------------------------------------------------------------

class Walk:
    """Every size in a message, and the first byte of every struct's fields."""

    def __init__(self, message):
        self.message = message
        self.sizes = []    # (offset, what): 4 bytes, big-endian
        self.structs = []  # offsets where a field may be put in
        self._at = 4
        self._string("method")
        self._at += 4
        self._struct("arguments")
        assert self._at == len(message)

    def _number(self, layout):
        number, = struct.unpack_from(">" + layout, self.message, self._at)
        self._at += struct.calcsize(">" + layout)
        return number

    def _size(self, what):
        self.sizes.append((self._at, what))
        return self._number("i")

    def _string(self, what):
        length = self._size(what)
        self._at += length

    def _struct(self, what):
        self.structs.append(self._at)
        while kind := self._number("b"):
            field = self._number("h")
            self._value(kind, f"{what}.{field}")

    def _value(self, kind, what):
        if kind in FIXED:
            self._at += FIXED[kind]
        elif kind == STRING:
            self._string(what)
        elif kind == STRUCT:
            self._struct(what)
        else:
            kinds = [self._number("b") for _ in range(2 if kind == MAP else 1)]
            for _ in range(self._size(what)):
                for one in kinds:
                    self._value(one, what + "[]")


def field(kind, number, value):
    """A field's bytes."""
    return struct.pack(">bh", kind, number) + value


def put_in(message, offset, data):
    """Bytes more in the middle of a message."""
    return message[:offset] + data + message[offset:]


def with_every_type(message):
    """A valid call with unknown fields: each kind of value there is."""
    text = struct.pack(">i", 3) + b"wax"
    inner = field(STRING, 1, text) + b"\0"
    every = (
        field(SET, 90, struct.pack(">bi", STRING, 2) + text * 2) +
        field(MAP, 91, struct.pack(">bbi", STRING, STRUCT, 1) + text + inner) +
        field(LIST, 92, struct.pack(">bi", STRUCT, 2) + inner * 2) +
        field(LIST, 93, struct.pack(">bibi", LIST, 1, I64, 1) + b"\0" * 8) +
        field(STRUCT, 94, inner) +
        field(MAP, 95, struct.pack(">bbi", I32, BOOL, 1) + b"\0" * 5) +
        field(DOUBLE, 96, b"\0" * 8) + field(BYTE, 97, b"\0") +
        field(I16, 98, b"\0" * 2) + field(BOOL, 99, b"\1"))
    return message[:-1] + every + b"\0"


def bombs(depth):
    """Fields nested so deep, closed as they should be and not at all."""
    structs = b"\x0c\x00\x01" * depth
    lists = b"\x0f\x00\x00\x00\x01" * depth
    sets = b"\x0e\x00\x00\x00\x01" * depth
    maps = b"\x02\x0d\x00\x00\x00\x01\x01" * depth
    yield field(STRUCT, 80, structs + b"\0" * (depth + 1))
    yield field(STRUCT, 80, structs)
    yield field(LIST, 80, lists)
    yield field(SET, 80, sets)
    yield field(MAP, 80, maps)


def hostile_frames(message):
    """(what, frame, whether it must be refused) from a valid message."""
    walk = Walk(message)
    for size in (2**31 - 1, -1, -2**31, 2**24 + 1):
        yield "frame length", struct.pack(">i", size) + message, True
    for offset, what in walk.sizes:
        true, = struct.unpack_from(">i", message, offset)
        for size in (*IMPOSSIBLE, len(message), true + 1, true - 1):
            frame = bytearray(message)
            struct.pack_into(">i", frame, offset, size)
            yield (f"{what}: {size} for {true}", raw.frame(bytes(frame)),
                   size not in (true + 1, true - 1))
    for offset in walk.structs:
        for bomb in bombs(DEPTHS[0]):
            yield (f"depth {DEPTHS[0]} at {offset}",
                   raw.frame(put_in(message, offset, bomb)), True)
    for depth in DEPTHS[1:]:
        for bomb in bombs(depth):
            yield (f"depth {depth}",
                   raw.frame(put_in(message, walk.structs[0], bomb)), True)


# --- what breaks Thrift's own servers for C --------------------------------

def some_call(method="getPosts", kind=1):
    """A good call's message; of another kind, what kind says."""
    message = raw.encode_call(method, Dashboard.getPosts_args(
        posts=[1], ctx=context()))
    return message[:3] + bytes([kind]) + message[4:]


def with_field(data):
    """The good call with a field more."""
    return some_call()[:-1] + data + b"\0"


TEXT = struct.pack(">i", 3) + b"wax"
TWO_FRAMES = with_field(field(STRING, 70,
                              struct.pack(">i", 64) + b"x" * 64))
# 240 KB; and as much as the router takes.
HAZARDS = {
    "nested structs": raw.frame(some_call()[:-1] + b"\x0c\x00\x01" * 60000 +
                                b"\0" * 60001),
    "nested structs in 60 KB": raw.frame(
        some_call()[:-1] + b"\x0c\x00\x01" * 15000 + b"\0" * 15001),
    "nested lists": raw.frame(some_call()[:-1] + b"\x0f\x00\x46" +
                              b"\x0f\x00\x00\x00\x01" * 12000),
    "list of 100 M": raw.frame(with_field(
        b"\x0f\x00\x46" + struct.pack(">bi", I64, 100_000_000))),
    "list of 100 M structs": raw.frame(with_field(
        b"\x0f\x00\x46" + struct.pack(">bi", STRUCT, 100_000_000))),
    "list of nothings": raw.frame(with_field(
        b"\x0f\x00\x46" + struct.pack(">bi", 1, 100_000_000))),
    "value over two frames": raw.frame(TWO_FRAMES[:-40]) +
                             raw.frame(TWO_FRAMES[-40:]),
    "oneway": raw.frame(some_call(kind=4)),
    "oneway of no method": raw.frame(some_call("getNothing", kind=4)),
    "a reply": raw.frame(some_call(kind=2)),
    "an exception": raw.frame(some_call(kind=3)),
    "a field twice": raw.frame(with_field(field(STRING, 14, TEXT) * 2)),
    "a field twice inside": raw.frame(with_field(
        field(STRUCT, 70, field(STRING, 1, TEXT) * 2 + b"\0"))),
    "over max_message_size": struct.pack(">i", 2**24 + 1) + some_call(),
    "no frame": some_call(),
    "compact protocol": raw.frame(b"\x82\x21\x01\x08getPosts\x00"),
    "json protocol": raw.frame(b'[1,"getPosts",1,1,{"2":{"lst":["i64",0]}}]'),
    "empty frame": raw.frame(b""),
    "no name": raw.frame(b"\x80\x01\x00\x01" + b"\0" * 9),
    "long name": raw.frame(b"\x80\x01\x00\x01" + struct.pack(">i", 65) +
                           b"x" * 65 + b"\0" * 5),
}


# --- peers -----------------------------------------------------------------

def strike(address, data, timeout_s=30):
    """Send bytes; (the first frame or b"" where it was closed, seconds).

    The time is from the last byte sent to the answer or the close.
    """
    with raw.dial(address, timeout_s) as connection:
        try:
            connection.sendall(data)
        except ConnectionError:
            return b"", 0.0
        begin = time.perf_counter()
        try:
            answer = raw.receive_frame(connection)
        except ConnectionError:
            answer = b""
        return answer, time.perf_counter() - begin


def vanish(connection):
    """Close with a reset, as a peer does that is killed or unplugged."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))
    connection.close()


def send_some(connection, data):
    """As much as goes without waiting; how many bytes."""
    connection.setblocking(False)
    sent = 0
    try:
        while sent < len(data):
            sent += connection.send(data[sent:sent + (1 << 16)])
    except (BlockingIOError, ConnectionError):
        pass
    return sent


def is_closed(connection, timeout_s):
    """Whether the peer closes within the time; what it says is passed over."""
    connection.settimeout(timeout_s)
    try:
        while connection.recv(1 << 20):
            pass
        return True
    except socket.timeout:
        return False
    except ConnectionError:
        return True


def is_reset(connection, timeout_s):
    """Whether the peer closes within the time; nothing is read."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(timeout_s * 1000))


def allow_descriptors():
    """As many as this process may have; how many that is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


class Honest(threading.Thread):
    """Calls again and again on a connection of its own, and judges.

    Once it is entered it has had an answer, and the router its connection to
    the cell.

    call: of a Client, gives whatever is right; expected: what that is.
    """

    def __init__(self, service, address, call, expected):
        super().__init__(daemon=True)
        self._client = Client(service, address, timeout_s=60)
        self._call = call
        self._expected = expected
        self._over = threading.Event()
        self.seconds = []
        self.wrong = []

    def run(self):
        while not self._over.is_set() and not self.wrong:
            begin = time.perf_counter()
            try:
                got = self._call(self._client)
            except Exception as error:  # pylint: disable=broad-except
                got = error
            if got != self._expected:
                self.wrong.append(got)
            self.seconds.append(time.perf_counter() - begin)
            time.sleep(0.001)

    def __enter__(self):
        self.start()
        wait_for(lambda: self.seconds or self.wrong, "a first answer")
        return self

    def __exit__(self, failed, *_):
        self._over.set()
        self.join()
        self._client.close()
        if not failed:
            assert not self.wrong, self.wrong

    def line(self, name):
        """A line for people: how long it has waited."""
        return f"{name}: {len(self.seconds)} calls, {spread(self.seconds)}"


def spread(seconds):
    """"p50 ..., p99 ..., most ... ms"."""
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    at = {"p50": len(ordered) // 2, "p99": len(ordered) * 99 // 100,
          "most": -1}
    return ", ".join(f"{name} {ordered[i] * 1000:.2f} ms"
                     for name, i in at.items())


# --- what is seen of a daemon ----------------------------------------------

def status_bytes(daemon, name):
    """A line of /proc/PID/status that is in kB: VmRSS, VmHWM."""
    text = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(text.split(name + ":")[1].split()[0]) * 1024


def cpu_seconds(daemon):
    """User and system time so far."""
    text = pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text()
    fields = text.rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def metric(address, name):
    """The sum of a metric's series on an admin port."""
    with urllib.request.urlopen(f"http://{address}/metrics",
                                timeout=30) as answer:
        text = answer.read().decode()
    values = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.M)
    assert values, f"no {name} in:\n{text}"
    return sum(map(float, values))


def wait_for(is_so, what, timeout_s=60):
    """Until is_so() is true."""
    until = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until, f"not in {timeout_s} s: {what}"
        time.sleep(0.05)
