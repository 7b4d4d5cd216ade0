"""The page benchmarks: a real comb-solo on loopback, its peer and its limit."""
import json
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import peers
import scatter
import worlds

LOAD_CORE = 1
READY_S = 900
PAGE = 20
# How the generator asks: one call at a time on each connection, as Thrift
# clients do; and pipelined, as a router does.
SHAPES = {"": (64, 1), "pipelined_": (16, 8)}
WARM_S = 5
RUN_S = 2
OPEN_S = 5
OPEN_SHARE = 0.6
# Where neither router nor cell is busy.
QUIET_RATE = 1000
IDLE = 50_000
# Of the files that a process may have, those that are no idle connection.
IDLE_SPARE = 1200
HOLDER_MAX = 15_000
HERE = pathlib.Path(__file__).resolve().parent

# The cell must have applied it within a minute or two; how many users there
# are beyond those who read changes little.
SIZES = {"XS": 10_000, "S": 100_000, "M": 100_000, "L": 1_000_000}
FILL = 100
TARGETS = ("comb-solo", "combctl", "comb-bench-serve")


class PageWorld:
    """A graph, and a comb-solo directory that has applied it and its posts.

    Nothing is published later, so that every run may use the same directory.
    """

    def __init__(self, build, size):
        self.build = build
        self.size = size
        self.users = SIZES[size]
        self.path = (worlds.ROOT / "build" /
                     f"bench-pages-{self.users}-{worlds.disk_format()}")
        self.graph = self.path / "graph"
        self.readers = self.path / "readers"
        self.data = self.path / "data"
        self.facts = {}

    def tool(self, name, *flags, **more):
        """One of our programs on the generator's core; what it prints."""
        done = subprocess.run(
            [self.build / "bin" / name, *map(str, flags)], text=True,
            capture_output=True, check=False, preexec_fn=pin_first,
            env={**os.environ, "XDG_STATE_HOME": str(self.path)}, **more)
        if done.returncode:
            sys.exit(f"{name} {flags[0]} failed ({done.returncode}); if the "
                     f"cell has changed, try --fresh\n{done.stderr}")
        return done.stdout

    def serve(self, command, *flags):
        """One command of comb-bench-serve over this world."""
        return self.tool("comb-bench-serve", command, "--graph", self.graph,
                         "--users", self.users, "--fill", FILL, "--limit",
                         PAGE, *flags)

    def pipe(self, command):
        """A command of comb-bench-serve whose output somebody reads."""
        return subprocess.Popen(
            [self.build / "bin/comb-bench-serve", command, "--graph",
             self.graph, "--fill", str(FILL)], stdout=subprocess.PIPE,
            preexec_fn=pin_load)

    def prepare(self, fresh):
        """Make it, unless it is there."""
        told = self.path / "world.json"
        if fresh or not told.exists():
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.mkdir(parents=True)
            print(f"preparing {self.path.name} (kept for the next time)",
                  file=sys.stderr)
            facts = json.loads(self.serve("log", "--log", self.data / "log"))
            self.readers.write_text(self.serve("readers"))
            with Solo(self):
                pass
            told.write_text(json.dumps(facts))
        self.facts = json.loads(told.read_text())


def pin_load():
    """In the child: on the generator's core."""
    if os.cpu_count() > 1:
        os.sched_setaffinity(0, {LOAD_CORE})


def pin_first():
    """The same, and before whoever else wants that core, as root.

    Not a real-time class: of those Linux takes 50 ms of every second for
    others, which then look like 50 ms of the server's.
    """
    pin_load()
    try:
        os.nice(-20)
    except PermissionError:
        pass


class Server:
    """A server process on the server's core; stopped by its process id."""
    pin = staticmethod(peers.pin_server)

    def __init__(self, path, command):
        self.output = path / f"{pathlib.Path(command[0]).name}.out"
        with open(self.output, "wb") as out, \
                open(self.output.with_suffix(".err"), "wb") as err:
            self.process = subprocess.Popen(
                list(map(str, command)), stdout=out, stderr=err,
                stdin=subprocess.DEVNULL, preexec_fn=self.pin)

    def wait_ready(self):
        """The addresses of its ready line."""
        until = time.monotonic() + READY_S
        while True:
            for line in self.output.read_text().splitlines(keepends=True):
                if line.startswith("ready ") and line.endswith("\n"):
                    return dict(word.split("=", 1)
                                for word in line.split()[1:])
            if self.process.poll() is not None or time.monotonic() > until:
                sys.exit(f"{self.process.args[0]} did not start; see "
                         f"{self.output.with_suffix('.err')}")
            time.sleep(0.02)

    def threads(self):
        """CPU seconds of each of its threads so far, by thread id."""
        used = {}
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                used[int(task.name)] = int(
                    (task / "schedstat").read_text().split()[0]) / 1e9
            except FileNotFoundError:
                pass
        return used

    def memory(self, name="VmRSS"):
        """Bytes of memory, by a line of /proc/PID/status."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(f"{name}:")[1].split()[0]) * 1024

    def stop(self):
        """SIGTERM and wait."""
        peers.stop(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# What is asked for is capacity: nothing is refused.
PATIENT = "--queue-ms=1000"


class Solo(Server):
    """comb-solo with one cell over a prepared world."""

    def __init__(self, world, flags=()):
        super().__init__(world.path, [
            world.build / "bin/comb-solo", "--data-dir", world.data,
            "--cells", 1, "--partitions", 1, "--retention-hours", 87600,
            "--router-port", 0, "--gateway-port", 0, "--admin-port", 0,
            "--http-port", 0, *flags])
        ports = self.wait_ready()
        self.cell, self.router = ports["cell0"], ports["router"]
        self.gateway = ports["gateway"]
        self.admin = ports["admin"]

    def lookups(self):
        """Facts for pages that were in memory so far, and that were not."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics") as page:
            text = page.read().decode()
        return [sum(float(line.rsplit(" ", 1)[1])
                    for line in text.splitlines()
                    if line.startswith(f"comb_cell_cache_{what}_total"))
                for what in ("hits", "misses")]


class Limit(Server):
    """One page, precomputed, from a bare epoll loop."""

    def __init__(self, world, cell):
        super().__init__(world.path, [
            world.build / "bin/comb-bench-serve", "limit", "--address", cell,
            "--readers", world.readers, "--limit", PAGE])
        self.address = self.wait_ready()["limit"]


class Redis(Server):
    """redis-server with the readers' lists and the posts."""

    def __init__(self, world):
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        super().__init__(world.path, [
            "redis-server", "--port", port, "--bind", "127.0.0.1", "--save",
            "", "--appendonly", "no", "--daemonize", "no"])
        peers.wait_for(self.process, lambda: "Ready to accept" in
                       self.output.read_text())
        world.serve("redis-fill", "--address", self.address)


def core_busy():
    """Seconds that the server's core was not idle, whoever had it."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        words = line.split()
        if words[0] == f"cpu{peers.SERVER_CORE}":
            user, nice, system, _, _, irq, soft, steal = map(int, words[1:9])
            return (user + nice + system + irq + soft + steal) / \
                os.sysconf("SC_CLK_TCK")
    return 0


def free_port():
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Serving:
    """Measures one page world; a method a benchmark."""

    def __init__(self, world, report, runs, flags, extra):
        self.world = world
        self.report = report
        self.runs = runs
        self.flags = flags
        self.extra = extra # peers asked for
        self.others = []   # shares of the server's core, a run each

    def begin(self, name):
        """The heading: what world it is."""
        facts = self.world.facts
        self.report.begin(name, facts["seed"], graph=facts["graph"],
                          size=self.world.size, users=facts["users"],
                          edges=facts["edges"])

    # ---- one run ----

    def bench(self, address, shape, seconds, *flags):
        """combctl bench; its JSON. Anything but good answers ends it all."""
        connections, depth = shape
        result = json.loads(self.world.tool(
            "combctl", "bench", "--json", "--address", address,
            "--users-file", self.world.readers, "--limit", PAGE,
            "--connections", connections, "--depth", depth, "--duration-s",
            seconds, "--warmup-s", 0, *flags))
        for trouble in ("exceptions", "unanswered", "broken_connections"):
            if result[trouble]:
                sys.exit(f"{address}: {trouble}: {result}")
        return result

    def redis_read(self, address, shape, seconds):
        """The same of redis-server."""
        connections, depth = shape
        return json.loads(self.world.tool(
            "comb-bench-serve", "redis-read", "--address", address,
            "--readers", self.world.readers, "--limit", PAGE, "--connections",
            connections, "--depth", depth, "--duration-s", seconds,
            "--warmup-s", 0))

    def watched(self, server, run, *args):
        """A warm-up, then a run with the server's CPU time a page, and how
        much of its core others had meanwhile."""
        run(*args[:2], WARM_S, *args[3:])
        used, busy, begin = server.threads(), core_busy(), time.monotonic()
        result = run(*args)
        took = time.monotonic() - begin
        pages = result["calls_per_s"] * args[2]
        result["threads"] = {thread: (now - used.get(thread, 0)) * 1e6 / pages
                             for thread, now in server.threads().items()}
        result["cpu_us"] = sum(result["threads"].values())
        others = core_busy() - busy - result["cpu_us"] * pages / 1e6
        self.others.append(max(others / took, 0))
        return result

    def add_others(self):
        """What the figures are worth: 0 on a machine of one's own."""
        self.report.add("others_share_of_core", self.others, "")
        self.others = []

    def compare_pages(self, solo, redis):
        """First pages are compared before rates are."""
        expected = json.loads(self.world.serve("expected"))
        for who, command, address in (
                ("comb", "digest", solo.cell),
                ("redis-list", "redis-digest", redis.address)):
            result = json.loads(self.world.tool(
                "comb-bench-serve", command, "--address", address,
                "--readers", self.world.readers, "--limit", PAGE))
            if result != expected:
                sys.exit(f"{who}: {result}, but the world says {expected}: "
                         f"its pages are wrong, there is no figure")
        return expected

    # ---- B2 ----

    def b2(self):
        """Pages a second a core, and how long they take at 60 % of that."""
        with Solo(self.world, [PATIENT, *self.flags]) as solo, \
                Redis(self.world) as redis, \
                Limit(self.world, solo.cell) as limit:
            expected = self.compare_pages(solo, redis)
            self.begin("B2")
            for name, shape in SHAPES.items():
                self.b2_shape(name, shape, (solo, redis, limit))
            self.add_others()
            self.report.note(
                f"Closed loops of 64 connections with one call each, "
                f"pipelined: 16 with 8; {RUN_S} s a run, hot. Redis: L0, "
                f"LRANGE then MGET. p50 and p99: open loop (Poisson) at "
                f"{OPEN_SHARE:.0%} of the rate. Digests of first pages "
                f"agree: {expected['digest']} over {expected['entries']:,} "
                f"entries.")
        if "postgresql" in self.extra:
            self.report.add(
                "postgresql_pages_per_s_core",
                scatter.measure(self.world, PAGE, SHAPES[""],
                                (self.runs, RUN_S), pin_load), "1/s")

    def b2_shape(self, name, shape, servers):
        """One way to ask."""
        solo, redis, limit = servers
        ours, theirs, still, missed = [], [], [], []
        for _ in range(self.runs):
            hits, misses = solo.lookups()
            ours.append(self.watched(solo, self.bench, solo.cell, shape,
                                     RUN_S))
            hits, misses = (now - before for now, before in
                            zip(solo.lookups(), (hits, misses)))
            missed.append(misses / (hits + misses))
            theirs.append(self.watched(redis, self.redis_read, redis.address,
                                       shape, RUN_S))
            still.append(self.watched(limit, self.bench, limit.address, shape,
                                      RUN_S))
        self.b2_rates(name, ours, theirs, still)
        self.report.add(f"{name}misses", missed, "")
        self.report.add(f"{name}rss_mb", [solo.memory() / 1e6], "MB")
        self.b2_latency(name, shape, solo, ours)

    def b2_rates(self, name, ours, theirs, still):
        """Rates and CPU time, beside the peer's and the limit's."""
        rates = [run["calls_per_s"] for run in ours]
        ceiling = [run["calls_per_s"] for run in still]
        cpu = [run["cpu_us"] for run in ours]
        middle = sorted(cpu)[len(cpu) // 2]
        self.report.add(f"{name}pages_per_s_core", rates, "1/s",
                        peer="redis-list", peer_level="L0", cpu_us=middle,
                        peer_values=[run["calls_per_s"] for run in theirs],
                        limit=sorted(ceiling)[len(ceiling) // 2])
        self.report.add(f"{name}of_limit",
                        [rate / most for rate, most in zip(rates, ceiling)],
                        "", peer="redis-list", peer_values=[
                            run["calls_per_s"] / most
                            for run, most in zip(theirs, ceiling)])
        self.report.add(f"{name}cpu_us_per_page", cpu, "us", less=True,
                        peer="redis-list", peer_level="L0",
                        peer_values=[run["cpu_us"] for run in theirs],
                        limit=sorted(run["cpu_us"] for run in still)
                        [len(still) // 2])
        self.report.add(f"{name}client_cpu_us_per_page",
                        [run["client_cpu_us_per_call"] for run in ours], "us")

    def b2_latency(self, name, shape, solo, ours):
        """The open loop."""
        rates = sorted(run["calls_per_s"] for run in ours)
        rate = rates[len(rates) // 2] * OPEN_SHARE
        runs = [self.watched(solo, self.bench, solo.cell, shape, OPEN_S,
                             "--rate", rate, "--seed", turn + 1)
                for turn in range(self.runs)]
        for figure in ("p50", "p99"):
            self.report.add(f"{name}{figure}_ms",
                            [run[f"{figure}_us"] / 1000 for run in runs],
                            "ms", rate=rate)
        self.report.add(f"{name}sent_late_p99_ms",
                        [run["sent_late_p99_us"] / 1000 for run in runs],
                        "ms")

    # ---- B10 ----

    def b10(self):
        """What the router adds: at a rate that keeps neither busy, and its
        CPU time a page beside the cell's."""
        direct, routed, cells, routers = [], [], [], []
        shape = SHAPES[""]
        with Solo(self.world, [PATIENT, *self.flags]) as solo:
            for turn in range(self.runs):
                quiet = ("--rate", QUIET_RATE, "--seed", turn + 1)
                for address, into in ((solo.cell, direct),
                                      (solo.router, routed)):
                    into.append(self.watched(solo, self.bench, address, shape,
                                             OPEN_S, *quiet))
                cell, alone = self.busiest(self.watched(
                    solo, self.bench, solo.cell, shape, RUN_S))
                _, router = self.busiest(self.watched(
                    solo, self.bench, solo.router, shape, RUN_S), cell)
                cells.append(alone)
                routers.append(router)
        self.begin("B10")
        for figure in ("p50_us", "p99_us"):
            self.report.add(f"added_{figure}",
                            [with_it[figure] - without[figure] for
                             with_it, without in zip(routed, direct)], "us")
            self.report.add(f"direct_{figure}",
                            [run[figure] for run in direct], "us")
        self.report.add("pages_ratio",
                        [cell / router for cell, router in
                         zip(cells, routers)], "")
        self.report.add("router_pages_per_s_core",
                        [1e6 / router for router in routers], "1/s",
                        peer="cell", peer_values=[1e6 / cell
                                                  for cell in cells])
        self.add_others()
        self.report.note(
            f"p50 and p99: {QUIET_RATE:,} pages/s (Poisson), router and cell "
            f"on one core, direct and routed in turns. Pages/s of a core by "
            f"the CPU time of the router's and of the cell's thread, closed "
            f"loops.")

    @staticmethod
    def busiest(run, other_than=None):
        """The thread with the most CPU time a page; and how much."""
        return max(((thread, used) for thread, used in run["threads"].items()
                    if thread != other_than), key=lambda pair: pair[1])

    # ---- B12 ----

    def b12(self):
        """Idle connections beside a few that are used."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        count = min(IDLE, most - IDLE_SPARE)
        bytes_each, before, beside = [], [], []
        for turn in range(self.runs):
            with Solo(self.world, [f"--connections-max={count + 1000}",
                                   PATIENT, *self.flags]) as solo:
                quiet = ("--rate", QUIET_RATE, "--seed", turn + 1)
                shape = SHAPES[""]
                before.append(self.watched(solo, self.bench, solo.cell, shape,
                                           OPEN_S, *quiet))
                memory = solo.memory()
                with Idle(self.world, solo.cell, count, 2 + 10 * turn):
                    bytes_each.append((solo.memory() - memory) / count)
                    beside.append(self.watched(solo, self.bench, solo.cell,
                                               shape, OPEN_S, *quiet))
        self.begin("B12")
        self.report.add("connections", [count], "", limit=IDLE)
        self.report.add("bytes_per_connection", bytes_each, "B", limit=20_000)
        for rank in ("p50", "p99"):
            self.report.add(f"{rank}_ratio",
                            [with_them[f"{rank}_us"] / without[f"{rank}_us"]
                             for with_them, without in zip(beside, before)],
                            "", limit=2)
        self.report.add("p99_us", [run["p99_us"] for run in beside], "us")
        self.report.add("p99_without_us", [run["p99_us"] for run in before],
                        "us")
        self.add_others()
        self.report.note(
            f"{count:,} connections, each of which has read one page and then "
            f"does nothing"
            + ("" if count == IDLE else
               f" (not {IDLE:,}: a process may have {most:,} files here)")
            + f"; resident memory of the cell's process, sockets of the "
            f"kernel not in it; p99 of {QUIET_RATE:,} pages/s (Poisson).")


class Idle:
    """Connections that do nothing, in as many processes as it takes."""

    def __init__(self, world, address, count, first):
        # Each turn has addresses of its own: 127.0.0.FIRST and those after it.
        user = world.readers.read_text().split("\n", 1)[0]
        self.holders = []
        for i, begin in enumerate(range(0, count, HOLDER_MAX)):
            self.holders.append(subprocess.Popen(
                [HERE / "idle.py", address,
                 str(min(HOLDER_MAX, count - begin)), user, str(first + i)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                preexec_fn=pin_load))

    def __enter__(self):
        for holder in self.holders:
            if holder.stdout.readline() != "ready\n":
                sys.exit("idle connections could not be opened")
        return self

    def __exit__(self, *_):
        for holder in self.holders:
            holder.communicate()
