"""F23 and S8: more calls than a cell can answer, and a caller who takes all.

Pages come from the store, not the cache (--cache-mb=1): a page then costs the
cell much more than it costs the generator, which is what lets one core ask ten
times as much as another can answer.
"""
import collections
import json
import subprocess
import time

import serving

COLD = "--cache-mb=1"
SHAPE = (64, 64)
TIMES = (2, 5, 10)
RUN_S = 10
HONEST_SHARE = 0.2
HEAVY = 50
# What the abuser asks for, closed loop, as much as it gets.
ABUSES = {
    "large_pages": ("--limit", "100"),
    "timelines": ("--limit", "100", "--mix", "timeline=100"),
    "most_follows": ("--limit", "100"),
}


class Overload:
    """Measures one page world with one cell."""

    def __init__(self, world, report, runs, flags):
        self.world = world
        self.report = report
        self.runs = runs
        self.flags = [COLD, *flags]

    def begin(self, name):
        """The heading."""
        facts = self.world.facts
        self.report.begin(name, facts["seed"], graph=facts["graph"],
                          size=self.world.size, users=facts["users"],
                          edges=facts["edges"])

    def command(self, solo, shape, seconds, *flags):
        """combctl bench against the cell."""
        connections, depth = shape
        return [str(word) for word in (
            self.world.build / "bin/combctl", "bench", "--json", "--address",
            solo.cell, "--users-file", self.world.readers, "--connections",
            connections, "--depth", depth, "--duration-s", seconds,
            "--warmup-s", 1, *flags)]

    def load(self, *args):
        """A run of it; its JSON."""
        done = subprocess.run(self.command(*args), check=True, text=True,
                              stdout=subprocess.PIPE, preexec_fn=serving.pin_first)
        return json.loads(done.stdout)

    # ---- F23 ----

    def f23(self):
        """Goodput and refusals at so many times the most, and after."""
        peaks = []
        found = collections.defaultdict(list)
        for turn in range(self.runs):
            with serving.Solo(self.world, self.flags) as solo:
                page = ("--limit", serving.PAGE, "--seed", turn + 1)
                self.load(solo, (64, 1), 5, *page)
                peak = self.load(solo, (64, 1), 5, *page)["calls_per_s"]
                peaks.append(peak)
                for times in TIMES:
                    run = self.load(solo, SHAPE, RUN_S, "--rate",
                                    peak * times, *page)
                    self.note_run(found, times, run, peak)
                    # Begins a second after the overload has ended.
                    calm = self.load(solo, SHAPE, 3, "--rate", peak / 2, *page)
                    found[times, "after_p99_ms"].append(calm["p99_us"] / 1e3)
                    found[times, "after_refused"].append(
                        calm["exceptions_by_kind"]["overloaded"])
        self.begin("F23")
        self.report.add("peak_pages_per_s", peaks, "1/s")
        for times in TIMES:
            for figure, unit, limit in (
                    ("offered_times", "", times), ("goodput", "", 0.9),
                    ("good_p99_ms", "ms", None), ("refused_p50_ms", "ms", 5),
                    ("refused_p99_ms", "ms", 5), ("sent_late_p99_ms", "ms",
                                                  None),
                    ("after_p99_ms", "ms", None), ("after_refused", "", 0)):
                self.report.add(f"{times}x_{figure}", found[times, figure],
                                unit, limit=limit)
        self.report.note(
            f"Open loop (Poisson) of so many times the most that 64 "
            f"connections of one call each got; 64 connections with {SHAPE[1]} "
            f"calls each, {RUN_S} s. Goodput: good pages beside that most. "
            f"Refusals count from when they were sent; sent_late is what the "
            f"generator, on a core of its own, was behind. After: half the "
            f"rate, from a second after the overload on.")

    @staticmethod
    def note_run(found, times, run, peak):
        """One run at so many times the peak."""
        asked = run["calls"] + run["exceptions"] + run["unsent"]
        found[times, "offered_times"].append(
            (asked - run["unsent"]) / run["seconds"] / peak)
        found[times, "goodput"].append(run["calls_per_s"] / peak)
        found[times, "good_p99_ms"].append(run["p99_us"] / 1e3)
        refused = run.get("refused", {"p50_us": 0, "p99_us": 0})
        for rank in ("p50", "p99"):
            found[times, f"refused_{rank}_ms"].append(
                refused[f"{rank}_us"] / 1e3)
        found[times, "sent_late_p99_ms"].append(run["sent_late_p99_us"] / 1e3)

    # ---- S8 ----

    def heavy(self):
        """A file of the users who follow most."""
        path = self.world.path / "heavy"
        if not path.exists():
            follows = collections.Counter()
            with self.world.pipe("copy-follows") as rows:
                for line in rows.stdout:
                    follows[line.split(b"\t", 1)[0]] += 1
            path.write_bytes(b"\n".join(
                user for user, _ in follows.most_common(HEAVY)) + b"\n")
        return path

    def s8(self):
        """A caller at a fifth of the rate, alone and beside an abuser."""
        heavy = self.heavy()
        found = collections.defaultdict(list)
        for turn in range(self.runs):
            with serving.Solo(self.world, self.flags) as solo:
                page = ("--limit", serving.PAGE, "--seed", turn + 1)
                self.load(solo, (64, 1), 5, *page)
                rate = HONEST_SHARE * self.load(
                    solo, (64, 1), 5, *page)["calls_per_s"]
                honest = (solo, (16, 4), 5, "--rate", rate, "--caller", "web",
                          *page)
                found["rate"].append(rate)
                found["alone"].append(self.load(*honest))
                for name, flags in ABUSES.items():
                    extra = ("--users-file", heavy) \
                        if name == "most_follows" else ()
                    found[name].append(self.beside(solo, honest,
                                                   (*flags, *extra)))
        self.begin("S8")
        alone = [run["p99_us"] / 1e3 for run in found["alone"]]
        self.report.add("rate", found["rate"], "1/s")
        self.report.add("alone_p99_ms", alone, "ms")
        for name in ABUSES:
            runs = found[name]
            self.report.add(f"{name}_p99_ms",
                            [run["p99_us"] / 1e3 for run in runs], "ms")
            self.report.add(f"{name}_p99_ratio", [
                run["p99_us"] / 1e3 / base for run, base in zip(runs, alone)],
                            "", limit=1.2)
            self.report.add(f"{name}_refused", [
                run["exceptions"] for run in runs], "", limit=0)
        self.report.note(
            f"A caller with {HONEST_SHARE:.0%} of the most pages/s (Poisson), "
            f"alone, then beside one that keeps 32 connections of 4 calls "
            f"busy: pages of 100; timelines of 100; pages of 100 for the "
            f"{HEAVY} users who follow most.")

    def beside(self, solo, honest, flags):
        """The honest caller's run while the other one asks."""
        abuser = subprocess.Popen(
            self.command(solo, (32, 4), 60, "--caller", "abuser", *flags),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=serving.pin_load)
        try:
            time.sleep(1)
            result = self.load(*honest)
            assert abuser.poll() is None, "the abuser gave up"
            return result
        finally:
            abuser.kill()
            abuser.wait()
