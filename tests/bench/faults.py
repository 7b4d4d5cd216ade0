"""F25: what the users of two cells see while a third one is in trouble.

Three cells, gateway, router and a broker; two open loops of combctl bench
through the router, one of the hurt cell's users and one of the others', each
over connections of its own. Before each fault the same is measured without.
Then once more with one loop, whose connections are everybody's.
"""
import contextlib
import json
import os
import pathlib
import random
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SERVER_CORE, LOAD_CORE = 0, 1
SEED = 1
CELLS = 3
VICTIM = 1
USERS = range(1, 3001)
AUTHORS = range(10_001, 10_501)
FOLLOWS = 40
POSTS = 30
BODY = 500
EPOCH_MS = 1577836800000
ID_SHIFT = 21
# A second, of all users, each as often as another.
RATE = 900
CONNECTIONS = 64
WARM_S = 0.5
RUN_S = 2.5
# All of it is to end within five minutes.
RUNS_MAX = 3
WELL_WITHIN_S = 60
TARGETS = ("comb-firehose", "comb-cell", "comb-router", "combctl")


class Kit:
    """The scenarios' tools, which need a finished build to be imported."""

    def __init__(self):
        sys.path[:0] = [str(HERE.parent / "kit")]
        # pylint: disable=import-outside-toplevel
        import client
        import daemons
        import kafka
        import stacks
        import troubles
        self.client = client
        self.program = daemons.program
        self.troubles = troubles
        self.KafkaBroker = kafka.KafkaBroker
        self.Cluster = stacks.Cluster


def write_world(path):
    """Follows and posts as combctl imports them; the number of lines."""
    chance = random.Random(SEED)
    lines = [{"kind": "follow", "user": user, "target": author}
             for user in USERS for author in chance.sample(AUTHORS, FOLLOWS)]
    lines += [{"kind": "post", "user": author, "body": "x" * BODY}
              for _ in range(POSTS) for author in AUTHORS]
    with open(path, "w", encoding="utf-8") as out:
        for n, line in enumerate(lines):
            line["id"] = EPOCH_MS + n << ID_SHIFT
            print(json.dumps(line), file=out)
    return len(lines)


def pin(core):
    """What this thread starts from now on is on one core, or on any."""
    cores = range(os.cpu_count())
    os.sched_setaffinity(0, set(cores) if core is None or core not in cores
                         else {core})


class Town:
    """The cluster, and the two kinds of users in a file each."""

    def __init__(self, kit, cluster, directory):
        self.kit = kit
        self.cluster = cluster
        self.files = {name: directory / name
                      for name in ("own", "others", "shared")}
        self.shares = {}
        types, pages = kit.client.types, kit.client.pages
        own, others = [], []
        with kit.client.Client(kit.client.Dashboard,
                               cluster.cells[VICTIM]) as cell:
            for user in USERS:
                try:
                    cell.getDashboard(user, pages.PageRequest(limit=1),
                                      kit.client.context())
                    own.append(user)
                except types.NotHomed:
                    others.append(user)
        for name, users in zip(self.files, (own, others, USERS)):
            self.shares[name] = len(users) / len(USERS)
            self.files[name].write_text(
                "".join(f"{user}\n" for user in users))

    def launch(self, name):
        """combctl bench over some of the users, in the background."""
        return subprocess.Popen(
            [self.kit.program("combctl"), "bench", "--address",
             self.cluster.router, "--users-file", self.files[name],
             "--rate", f"{RATE * self.shares[name]:.0f}", "--zipf", "0",
             "--connections", str(CONNECTIONS), "--depth", "1",
             "--warmup-s", str(WARM_S), "--duration-s", str(RUN_S), "--json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: pin(LOAD_CORE))

    def load(self, *names, fault=None):
        """Loops of these users for a while; what they say.

        The fault begins with what is measured, so that its first moments
        are in it.
        """
        loops = [self.launch(name) for name in names]
        try:
            with contextlib.ExitStack() as stack:
                if fault:
                    time.sleep(WARM_S)
                    stack.enter_context(self.kit.troubles.hurt(
                        self.cluster, VICTIM, fault))
                said = [loop.communicate()[0] for loop in loops]
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
        return [json.loads(one) for one in said]

    def wait_well(self):
        """Until both kinds get nothing but pages again."""
        until = time.monotonic() + WELL_WITHIN_S
        while True:
            done = subprocess.run(
                [self.kit.program("combctl"), "bench", "--address",
                 self.cluster.router, "--users-file", self.files["own"],
                 "--connections", "2", "--depth", "1", "--warmup-s", "0",
                 "--duration-s", "0.2", "--json"], text=True, check=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            if errors(json.loads(done.stdout)) == 0:
                return
            if time.monotonic() > until:
                sys.exit("the cell does not come back")


def errors(result):
    """Calls that did not get a page."""
    return sum(result[key] for key in ("exceptions", "unanswered", "unsent",
                                       "broken_connections"))


def refused(result):
    """The share of calls that did not get a page."""
    return errors(result) / (errors(result) + result["calls"])


def measure_fault(town, out, fault, runs):
    """The figures of one fault."""
    before, during, own, shared = [], [], [], []
    for _ in range(runs):
        before.append(town.load("others", "own")[0])
        others, hurt = town.load("others", "own", fault=fault)
        town.wait_well()
        during.append(others)
        own.append(hurt)
        shared += town.load("shared", fault=fault)
        town.wait_well()
    values = {"p50_ms": lambda result: result["p50_us"] / 1000,
              "p99_ms": lambda result: result["p99_us"] / 1000,
              "errors": errors}
    for name, value in values.items():
        out.add(f"{fault}_others_{name}", list(map(value, during)),
                "calls" if value is errors else "ms", peer="before",
                peer_values=list(map(value, before)))
    out.add(f"{fault}_own_refused", list(map(refused, own)), "share")
    out.add(f"{fault}_shared_p99_ms", list(map(values["p99_ms"], shared)),
            "ms")


def measure(kit, out, directory, runs):
    """All faults over one cluster."""
    lines = write_world(directory / "world.ndjson")
    pin(SERVER_CORE)
    with kit.KafkaBroker() as broker, \
            kit.Cluster(directory, broker.bootstrap, cells=CELLS) as cluster:
        # Ours are the relay and the liars: on any core.
        pin(None)
        cluster.run_import(directory / "world.ndjson", "--no-wait")
        cluster.wait_applied(lines)
        town = Town(kit, cluster, directory)
        town.load("others", "own")
        out.begin("F25", SEED)
        for fault in kit.troubles.FAULTS:
            measure_fault(town, out, fault, runs)
        out.note("the ratio is during by before; aim: 1.1 and no errors")
