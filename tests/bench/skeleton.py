"""The walking skeleton's figures: comb-solo with two cells on the demo input."""
import json
import pathlib
import random
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SEED = 1
RUNS = 5
READS = 2000
PAGE = 20
TARGETS = ("comb-solo", "combctl", "comb-page-read")


def wait_last_inbox(clients, context, lines):
    """Until each cell has applied all lines; the cells' statuses."""
    while True:
        states = [client.status(context()) for client in clients]
        if all(sum(p.applied for p in s.partitions) >= lines for s in states):
            return states
        time.sleep(0.01)


def measure_import(kit, demo, directory):
    """Seconds, deliveries, peak bytes and disk bytes of one import."""
    with kit.Solo(directory) as solo:
        clients = [kit.Client(kit.Cell, address) for address in solo.cells]
        begin = time.monotonic()
        importing = solo.launch_import(demo.path)
        states = wait_last_inbox(clients, kit.context, demo.lines)
        took = time.monotonic() - begin
        _, said = importing.communicate()
        if importing.returncode:
            sys.exit(said)
        figures = (took, sum(s.deliveries for s in states),
                   solo.daemon.memory_peak())
    used = sum(file.stat().st_blocks * 512
               for file in solo.data.rglob("*") if file.is_file())
    return solo, (*figures, used)


def measure_start(solo):
    """Seconds from launch to the ready line."""
    begin = time.monotonic()
    solo.start()
    took = time.monotonic() - begin
    solo.stop()
    return took


def measure_pages(kit, solo, oracle):
    """Results of comb-page-read: its five runs over the same users."""
    active = [user for user in oracle.users()
              if len(oracle.dashboard(user)) >= PAGE]
    users = random.Random(SEED).choices(active, k=READS)
    lines = "".join(f"{user}\n" for user in users)
    with solo:
        solo.wait_applied()
        return [json.loads(subprocess.run(
            [kit.program("comb-page-read"), "--limit", str(PAGE), solo.router],
            input=lines, text=True, check=True, stdout=subprocess.PIPE).stdout)
            for _ in range(RUNS)]


def measure(kit, report, directory, imports):
    """The walking skeleton's figures."""
    demo = kit.make_demo(directory / "demo.ndjson")
    report.begin("skeleton", SEED)
    runs = []
    for number in range(imports):
        solo, figures = measure_import(kit, demo, directory / f"run{number}")
        runs.append(figures)
    took, deliveries, peak, used = zip(*runs)
    report.add("import_s", took, "s", aim=10)
    report.add("events_per_s", [demo.lines / t for t in took], "1/s")
    report.add("deliveries_per_s",
               [d / t for d, t in zip(deliveries, took)], "1/s")
    report.add("peak_rss_mb", [p / 1e6 for p in peak], "MB")
    report.add("disk_mb", [u / 1e6 for u in used], "MB")

    pages = measure_pages(kit, solo, demo.oracle)
    report.add("page_p50_us", [p["p50_us"] for p in pages], "us")
    report.add("page_p99_us", [p["p99_us"] for p in pages], "us")
    report.add("start_full_s", [measure_start(solo) for _ in range(RUNS)],
               "s", aim=1)
    fresh = [kit.Solo(directory / f"fresh{i}") for i in range(RUNS)]
    report.add("start_fresh_s", [measure_start(one) for one in fresh], "s",
               aim=1)


class Kit:
    """The scenarios' tools, which need a finished build to be imported."""

    def __init__(self):
        sys.path[:0] = [str(HERE.parent / "kit"), str(HERE.parent / "oracle")]
        # pylint: disable=import-outside-toplevel
        import client
        import daemons
        import inputs
        import stacks
        self.Client, self.Cell = client.Client, client.Cell
        self.context = client.context
        self.program = daemons.program
        self.make_demo = inputs.make_demo
        self.Solo = stacks.Solo
