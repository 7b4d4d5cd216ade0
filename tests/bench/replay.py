"""The way in, and a cell's way through a whole log: publish, ids, B6, B11.

Real daemons: gateway, one cell and router on a Kafka broker, and comb-solo on
the local log. Calls are encoded once and sent as bytes, several under way, so
that what is measured is not Python; answers are looked at for their kind, and
the log's own count says how many events it took.
"""
import contextlib
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = ("comb-solo", "comb-firehose", "comb-cell", "comb-router",
           "combctl", "comb-bench-consume")
NAMES = ("B6", "B11", "publish", "ids")
SEED = 1
EVENTS = {"XS": 50_000, "S": 200_000, "M": 1_000_000, "L": 4_000_000}
BATCH, FRAMES = 100, 200
USERS = 100_000
POSTS_SHARE = 0.8
BODY = 500
CONNECTIONS, DEPTH = 4, 16
# So few a call that the clock, which has 8.2 million a second, keeps up and
# does not live from the second that it may borrow.
IDS, ID_CALLS, ONE_CALLS = 100, 30_000, 2000
FRESH_POSTS = 400
LOADED = 20_000  # events a second behind the loaded B11
READER, AUTHOR = 900_001, 900_002
WAIT_S = 600


class Kit:
    """The scenarios' tools, which need a finished build to be imported."""

    def __init__(self):
        sys.path[:0] = [str(HERE.parent / "kit")]
        # pylint: disable=import-outside-toplevel
        import client
        import daemons
        import kafka
        import raw
        import stacks
        self.client, self.raw, self.stacks = client, raw, stacks
        self.program = daemons.program
        self.KafkaBroker = kafka.KafkaBroker


# --- calls as bytes ----------------------------------------------------------

def publish_frames(kit):
    """Batches of posts and follows, in which nobody follows who posts; without
    ids, so that one may be sent again and is new events."""
    chance = random.Random(SEED)

    def word():
        return "".join(chance.choices("etaoinshrdlu", k=6))

    def one():
        user = chance.randrange(1, USERS)
        if chance.random() < POSTS_SHARE:
            body = " ".join(word() for _ in range(BODY // 7 + 1))[:BODY]
            return kit.client.event("post", user, {"body": body.encode()})
        return kit.client.event("follow", user,
                                target_user=USERS + chance.randrange(1, USERS))
    service = kit.client.Firehose
    return [kit.raw.frame(kit.raw.encode_call("publish", service.publish_args(
        events=[one() for _ in range(BATCH)],
        ctx=kit.client.context(60000)))) for _ in range(FRAMES)]


class Pipe:
    """A connection with several calls under way."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 20)
        self.waiting = 0

    def send(self, frame):
        """A call."""
        self.socket.sendall(frame)
        self.waiting += 1

    def receive(self):
        """The next answer: the bytes of its result struct."""
        size, = struct.unpack(">i", self.file.read(4))
        body = self.file.read(size)
        name, = struct.unpack_from(">i", body, 4)
        self.waiting -= 1
        if body[3] != 2 or body[12 + name + 1:12 + name + 3] != b"\0\0":
            sys.exit(f"a call was refused: {body[:200]}")
        return body[12 + name:]

    def close(self):
        """Hang up."""
        self.file.close()
        self.socket.close()


def pump(address, frames, calls):
    """So many calls over a few connections; seconds from first to last."""
    pipes = [Pipe(address) for _ in range(CONNECTIONS)]
    sent = answered = 0
    begin = time.perf_counter()
    for _ in range(DEPTH):
        for pipe in pipes:
            if sent < calls:
                pipe.send(frames[sent % len(frames)])
                sent += 1
    while answered < calls:
        for pipe in pipes:
            if pipe.waiting:
                pipe.receive()
                answered += 1
                if sent < calls:
                    pipe.send(frames[sent % len(frames)])
                    sent += 1
    took = time.perf_counter() - begin
    for pipe in pipes:
        pipe.close()
    return took


def pump_paced(address, frames, rate):
    """So many calls a second, until it is killed; a process of its own."""
    pipe = Pipe(address)
    due, sent = time.monotonic(), 0
    while True:
        pipe.send(frames[sent % len(frames)])
        sent += 1
        while pipe.waiting >= DEPTH:
            pipe.receive()
        due += 1 / rate
        time.sleep(max(0, due - time.monotonic()))


@contextlib.contextmanager
def load(address, frames):
    """Others publish meanwhile."""
    other = multiprocessing.Process(target=pump_paced, daemon=True,
                                    args=(address, frames, LOADED / BATCH))
    other.start()
    try:
        time.sleep(0.5)
        yield
        if not other.is_alive():
            sys.exit("the load has ended before what it was to disturb")
    finally:
        other.kill()
        other.join()


def percentile(values, percent):
    """The nearest rank."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * percent / 100))]


# --- one stack ----------------------------------------------------------------

def in_the_log(kit, stack):
    """How many records it has."""
    with kit.client.Client(kit.client.Firehose, stack.gateway) as gateway:
        return sum(one.end_offset - one.first_offset
                   for one in gateway.getPartitions(kit.client.context()))


def measure_publish(kit, stack, frames, events, runs):
    """Events a second of each run, which together make the log."""
    rates = []
    for _ in range(runs):
        before = in_the_log(kit, stack)
        calls = max(1, events // BATCH // runs)
        took = pump(stack.gateway, frames, calls)
        if in_the_log(kit, stack) - before != calls * BATCH:
            sys.exit("the log has not what was acknowledged")
        rates.append(calls * BATCH / took)
    return rates


def measure_ids(kit, stack, runs):
    """Ids a second, and the time of a call for one, in us."""
    service, context = kit.client.Firehose, kit.client.context
    many, one = (kit.raw.frame(kit.raw.encode_call(
        "nextIds", service.nextIds_args(count=count, ctx=context())))
        for count in (IDS, 1))
    rates, times = [], []
    for _ in range(runs):
        rates.append(ID_CALLS * IDS / pump(stack.gateway, [many], ID_CALLS))
        pipe = Pipe(stack.gateway)
        took = []
        for _ in range(ONE_CALLS):
            begin = time.perf_counter()
            pipe.send(one)
            pipe.receive()
            took.append((time.perf_counter() - begin) * 1e6)
        pipe.close()
        times.append(took)
    return rates, times


def measure_freshness(kit, stack):
    """ms from a post's acknowledgement to a page with it, by at_least."""
    client = kit.client
    took = []
    with client.Client(client.Firehose, stack.gateway) as gateway, \
            client.Client(client.Dashboard, stack.router) as router:
        gateway.follow(READER, AUTHOR, 0, client.context())
        for _ in range(FRESH_POSTS):
            result = gateway.createPost(
                AUTHOR, client.types.Post(kind=1, body=b"x" * BODY), 0,
                client.context())
            begin = time.perf_counter()
            page = router.getDashboard(
                READER, client.pages.PageRequest(limit=1),
                client.context(at_least=[result.position]))
            took.append((time.perf_counter() - begin) * 1e3)
            if page.entries[0].post.id != result.id:
                sys.exit("a page is without the post it was to have")
    return took


def wait_all(kit, cell, records):
    """Until a cell has applied so many, all of them since it started."""
    until = time.monotonic() + WAIT_S
    while True:
        state = kit.client.status(cell)
        if kit.client.applied(state) >= records:
            break
        if time.monotonic() > until:
            sys.exit("the cell does not get to the end of the log")
        time.sleep(0.01)
    # Counted a moment before the positions were, so some may be missing.
    if sum(state.events.values()) < records / 2:
        sys.exit("the cell was not empty")


def cpu_s(process):
    """User and system time of a process so far."""
    stat = pathlib.Path(f"/proc/{process.pid}/stat").read_text()
    user, system = stat.rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def replay_kafka(kit, stack):
    """Of an emptied comb-cell: records, and seconds and CPU seconds from its
    start to the log's end."""
    records = in_the_log(kit, stack)
    cell = stack.cell_daemons[0]
    cell.stop()
    shutil.rmtree(cell.directory / "data")
    begin = time.perf_counter()
    cell.start()
    wait_all(kit, stack.cells[0], records)
    return records, time.perf_counter() - begin, cpu_s(cell.process)


def replay_local(kit, stack):
    """Likewise of comb-solo, whose cell's directory was removed."""
    records = in_the_log(kit, stack)
    stack.stop()
    for directory in stack.data.glob("cell*"):
        shutil.rmtree(directory)
    begin = time.perf_counter()
    stack.start()
    wait_all(kit, stack.cells[0], records)
    return (records, time.perf_counter() - begin,
            cpu_s(stack.daemon.process))


def consume(kit, broker, records):
    """Events a second of librdkafka alone over the same topic."""
    told = subprocess.run(
        [kit.program("comb-bench-consume"), broker.bootstrap,
         "comb.firehose.v1", str(records)], check=True, text=True,
        stdout=subprocess.PIPE).stdout
    return json.loads(told)["events_per_s"]


# --- the figures ---------------------------------------------------------------

def tell(name, log, out, kit, stack, args, broker):
    """One benchmark's figures over one log."""
    frames, runs, rates = args
    if name == "publish":
        out.add(f"{log}_publish_events_per_s", rates, "1/s")
    elif name == "ids":
        many, times = measure_ids(kit, stack, runs)
        out.add(f"{log}_ids_per_s", many, "1/s", aim=10_000)
        for percent in (50, 99):
            out.add(f"{log}_one_id_p{percent}_us",
                    [percentile(one, percent) for one in times], "us",
                    less=True, limit=1000)
    elif name == "B11":
        idle, loaded = [], []
        for _ in range(runs):
            idle.append(measure_freshness(kit, stack))
            with load(stack.gateway, frames):
                loaded.append(measure_freshness(kit, stack))
        for kind, times in (("", idle), ("loaded_", loaded)):
            for percent, aim in ((50, 10), (99, 50)):
                out.add(f"{log}_{kind}p{percent}_ms",
                        [percentile(one, percent) for one in times], "ms",
                        less=True, limit=aim)
    else:
        found, cpu, peer = [], [], []
        for _ in range(runs):
            records, took, used = (
                replay_kafka if broker else replay_local)(kit, stack)
            found.append(records / took)
            cpu.append(used / records * 1e6)
            if broker:
                peer.append(consume(kit, broker, records))
        out.add(f"{log}_events_per_s", found, "1/s", aim=200_000,
                cpu_us=statistics.median(cpu), **({"peer": "librdkafka", "peer_values": peer} if peer
                   else {}))


@contextlib.contextmanager
def town(kit, log, directory):
    """A stack on this log, and its broker or None."""
    with contextlib.ExitStack() as stack:
        if log == "local":
            yield stack.enter_context(kit.stacks.Solo(
                directory / log, cells=1)), None
        else:
            broker = stack.enter_context(kit.KafkaBroker())
            yield stack.enter_context(kit.stacks.Cluster(
                directory / log, broker.bootstrap, cells=1)), broker


def measure(names, out, directory, size, runs):
    """What is asked for, over both logs."""
    kit = Kit()
    frames = publish_frames(kit)
    events = EVENTS[size]
    for log in ("local", "kafka"):
        with town(kit, log, directory) as (stack, broker):
            rates = measure_publish(kit, stack, frames, events, runs)
            stack.wait_applied(events // BATCH // runs * BATCH * runs)
            for name in names:
                out.begin(name, SEED, events=events)
                tell(name, log, out, kit, stack, (frames, runs, rates),
                     broker)
