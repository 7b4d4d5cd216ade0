#!/usr/bin/python3
"""Hostile peers beside an honest reader of pages (S5), and refusals (S2).

    hostile.py flood HOST:PORT    opens and resets as fast as it can
    hostile.py slow HOST:PORT     200 connections, a byte a second on each
    hostile.py busy HOST:PORT     a flood, of a socket of its own

As a program it is the hostile peer: prints "ready" and goes on until its
standard input ends. measure() runs comb-solo on one core, with an honest
reader (comb-page-read) and, at the lowest priority, those peers on the other.
"""
import importlib.util
import json
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys

SEED = 1
READER, AUTHOR = 1001, 1002
FIRST_ID = 1600000000000 << 21
POSTS = 100
PAGE = 20
READS = 20_000
SLOW = 200
IDLE = 10_000
REFUSALS = 100
TARGETS = ("comb-solo", "comb-page-read", "comb_generated", "combctl")
ATTACKS = ("slow", "idle", "busy", "flood")
HERE = pathlib.Path(__file__).resolve().parent
SERVER_CORE, LOAD_CORE = 0, 1


# --- the peers -------------------------------------------------------------

def is_over(wait_s=0.0):
    """Whether our standard input has ended."""
    return bool(select.select([sys.stdin], [], [], wait_s)[0])


def flood(address):
    """A reset leaves no port in TIME_WAIT."""
    reset = struct.pack("ii", 1, 0)
    count = 0
    while not is_over():
        for _ in range(100):
            with socket.create_connection(address) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      reset)
        count += 100
    return count


def slow(address):
    """Each frame has one byte more than there are seconds in a time-out."""
    held = [socket.create_connection(address) for _ in range(SLOW)]
    count = 0
    data = struct.pack(">I", 4096) + b"\x80\x01\x00\x01"
    while not is_over(1):
        for connection in held:
            try:
                connection.sendall(data[count % 8:count % 8 + 1])
            except OSError:
                pass
        count += 1
    return count


def busy(address):
    """What a flood costs whoever shares its core, and not the server."""
    with socket.create_server((address[0], 0), backlog=4096) as listener:
        listener.setblocking(False)
        count = 0
        while not is_over():
            flooded = [socket.create_connection(listener.getsockname())
                       for _ in range(100)]
            for connection in flooded:
                listener.accept()[0].close()
                connection.close()
            count += 100
    return count


def attack(name, where):
    """As a program."""
    host, port = where.rsplit(":", 1)
    print("ready", flush=True)
    print({"flood": flood, "slow": slow, "busy": busy}[name](
        (host, int(port))), flush=True)


# --- measuring -------------------------------------------------------------

def on_core(core, nice=0):
    """For a child, before exec."""
    def prepare():
        if os.cpu_count() > 1:
            os.sched_setaffinity(0, {core})
        os.nice(nice)
    return prepare


class Peers:
    """Hostile processes while it is entered."""

    def __init__(self, name, address):
        command = [HERE / "hostile.py", name, address]
        if name == "idle":
            command = [HERE / "idle.py", address, str(IDLE), str(READER), "2"]
        self.process = None
        if name != "alone":
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True, preexec_fn=on_core(LOAD_CORE, 19))

    def __enter__(self):
        if self.process and self.process.stdout.readline() != "ready\n":
            sys.exit("the hostile peers could not begin")

    def __exit__(self, *_):
        if self.process:
            self.process.communicate()


def kit_hostile():
    """tests/kit/hostile.py, which has our name."""
    place = HERE.parent / "kit/hostile.py"
    spec = importlib.util.spec_from_file_location("kit_hostile", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Hostile:
    """One comb-solo with a reader and an author, and what is asked of it."""

    def __init__(self, report, directory, runs):
        # They need a finished build.
        # pylint: disable=import-outside-toplevel
        sys.path[:0] = [str(HERE.parent / "kit")]
        import client
        import daemons
        import stacks
        self.client, self.program = client, daemons.program
        self.peers = kit_hostile()
        self.report, self.runs = report, runs
        self.solo = stacks.Solo(directory, "--connections-max", 2 * IDLE,
                                cells=1)

    def start(self):
        """On the server's core; with something to read."""
        here = os.sched_getaffinity(0)
        if len(here) > 1:
            os.sched_setaffinity(0, {SERVER_CORE})
        self.solo.start()
        os.sched_setaffinity(0, here)
        event, context = self.client.event, self.client.context
        told = [event("follow", READER, target_user=AUTHOR, id=FIRST_ID)]
        told += [event("post", AUTHOR, id=FIRST_ID + 5000 + i,
                       post={"body": b"honey" * 100}) for i in range(POSTS)]
        with self.client.Client(self.client.Firehose,
                                self.solo.gateway) as gateway:
            gateway.publish(told, context())
        self.solo.wait_applied(len(told))

    def read(self):
        """What comb-page-read says of a good many pages."""
        done = subprocess.run(
            [self.program("comb-page-read"), "--limit", str(PAGE),
             self.solo.router], input=f"{READER}\n" * READS, text=True,
            check=True, stdout=subprocess.PIPE,
            preexec_fn=on_core(LOAD_CORE))
        return json.loads(done.stdout)

    def s2(self):
        """From the last byte sent to the close, as a client in Python sees
        it."""
        self.report.begin("S2", SEED)
        for port, address in (("gateway", self.solo.gateway),
                              ("router", self.solo.router),
                              ("cell", self.solo.cells[0])):
            took = sorted(
                self.peers.strike(address, data)[1] * 1e6
                for data in self.peers.HAZARDS.values()
                for _ in range(REFUSALS))
            self.report.add(f"{port}_refused_p50_us", [took[len(took) // 2]],
                            "us", aim=1000)
            self.report.add(f"{port}_refused_p99_us",
                            [took[len(took) * 99 // 100]], "us", aim=1000)

    def s5(self):
        """In turns, so that what else the machine does hits all alike."""
        self.report.begin("S5", SEED)
        pages = {name: [] for name in ("alone", *ATTACKS)}
        self.read()
        for _ in range(self.runs):
            for name, figures in pages.items():
                with Peers(name, self.solo.router):
                    figures.append(self.read())
        for name, figures in pages.items():
            for rank in ("p50_us", "p99_us"):
                more = {} if name == "alone" else {
                    "peer": "alone", "less": True,
                    "peer_values": [one[rank] for one in pages["alone"]]}
                self.report.add(f"page_{name}_{rank}",
                                [one[rank] for one in figures], "us", **more)
        for name in ATTACKS:
            self.report.add(
                f"{name}_p99_times_alone",
                [one["p99_us"] / alone["p99_us"]
                 for one, alone in zip(pages[name], pages["alone"])],
                "x", aim=2)
        self.report.add("flood_p99_times_busy",
                        [one["p99_us"] / busy_one["p99_us"] for one, busy_one
                         in zip(pages["flood"], pages["busy"])], "x", aim=2)


def measure(names, report, directory, runs):
    """Those of S2 and S5 that are asked for."""
    hostile = Hostile(report, directory, runs)
    hostile.peers.allow_descriptors()
    hostile.start()
    try:
        if "S2" in names:
            hostile.s2()
        if "S5" in names:
            hostile.s5()
    finally:
        hostile.solo.stop()


if __name__ == "__main__":
    attack(*sys.argv[1:])
