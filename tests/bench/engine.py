"""The inbox engine's benchmarks, B1 to B9 as far as they need no server."""
import sys

from peers import PEERS

READERS = 2000
LOAD = 500_000
B3_ROUNDS = 10
KILL_AFTER_S = 12
B9_RUNS = 3 # each one ends with a full compaction


class Engine:
    """Measures one world; a method a benchmark."""

    def __init__(self, world, report, runs, peers):
        self.world = world
        self.report = report
        self.runs = runs
        self.peers = [name for name, (_, usual, _) in PEERS.items()
                      if usual or name in peers]
        self.peer_flags = [*world.plan(), "--prefix", world.params["prefix"]]

    def begin(self, name):
        """The heading: what world it is."""
        facts = self.world.facts
        self.report.begin(name, facts["seed"], graph=facts["graph"],
                          size=self.world.size, users=facts["users"],
                          edges=facts["edges"])

    def run_cell(self, command, *flags):
        """One command over a fresh copy of the prepared cell."""
        with self.world.copy() as directory:
            return self.world.cell(command, directory, *flags)

    def load(self):
        """Deliveries a second behind B3 and before B7's kill: of a small
        world no more than lasts."""
        return min(LOAD, self.world.params["deliveries"] // (KILL_AFTER_S + 3))

    # ---- B1 ----

    def check(self, who, result, expected):
        """Inboxes are compared before rates are."""
        for key in ("digest", "digest_entries"):
            if result[key] != expected[key]:
                sys.exit(f"{who}: {key} {result[key]}, but the world says "
                         f"{expected[key]}: its inboxes are wrong, there is "
                         f"no figure (comb-bench-cell expected --tell and "
                         f"digest --tell print each inbox's)")

    def b1(self):
        """Deliveries a second a core, with and without readers."""
        prefix = ["--prefix", self.world.params["prefix"]]
        expected = self.world.tool("comb-bench-cell", "expected",
                                   *self.world.plan(), *prefix)
        alone, beside, limits = [], [], []
        others = {name: [] for name in self.peers}
        for _ in range(self.runs):
            alone.append(self.run_cell("apply", *prefix))
            self.check("comb", alone[-1], expected)
            for name in self.peers:
                result = PEERS[name][2](self.world, self.peer_flags)
                self.check(name, result, expected)
                others[name].append(result)
            beside.append(self.run_cell("apply", "--readers", READERS, *prefix))
            self.check("comb with readers", beside[-1], expected)
            limits.append(self.world.tool("comb-bench-cell", "limit")["per_s"])
        self.begin("B1")
        self.b1_rates("deliveries_per_s_core", alone, others, max(limits))
        self.b1_rates("deliveries_per_s_core_with_readers", beside, {},
                      max(limits))
        for figure in ("page_p50_us", "page_p99_us"):
            self.report.add(f"with_readers_{figure}",
                            [run[figure] for run in beside], "us")
        self.report.add("with_readers_pages_per_s",
                        [run["pages"] / run["seconds"] for run in beside],
                        "1/s", limit=READERS)
        self.report.note(
            f"Comb: L1, checkpoint included, from {self.world.params['fill']} "
            f"entries a user, {alone[0]['sealed'] / alone[0]['counted']:.2f} "
            f"ids sealed a delivery; readers: {READERS} pages/s on the other "
            f"core. "
            f"Digests of all agree: {expected['digest']} over "
            f"{expected['digest_entries']:,} entries.")

    def b1_rates(self, figure, runs, others, limit):
        """One line a peer; each peer's own figures beside."""
        more = {"limit": limit, "cpu_us": median(runs, "cpu_us"),
                "rss": max(run["rss"] for run in runs), "level": "L1"}
        rates = [run["per_s"] for run in runs]
        if not others:
            self.report.add(figure, rates, "1/s", **more)
        for name, results in others.items():
            if median(results, "cpu_us"):
                self.report.add(
                    "cpu_us_per_delivery", [run["cpu_us"] for run in runs],
                    "us", peer=name, less=True, peer_level=PEERS[name][0],
                    peer_values=[result["cpu_us"] for result in results])
        for name, results in others.items():
            self.report.add(
                figure, rates, "1/s", peer=name,
                peer_values=[result["per_s"] for result in results],
                peer_min=min(result["per_s"] for result in results),
                peer_max=max(result["per_s"] for result in results),
                peer_level=PEERS[name][0],
                peer_cpu_us=median(results, "cpu_us"), **more)

    # ---- B3 ----

    def b3(self):
        """A post of the author whom everybody follows."""
        limit = self.world.tool("comb-bench-cell", "limit")["per_s"]
        runs = [self.run_cell("bigpost", "--rounds", B3_ROUNDS, "--rate",
                              LOAD) for _ in range(self.runs)]
        self.begin("B3")
        least = self.world.facts["users"] / limit * 1000
        rss = max(run["rss"] for run in runs)
        for prefix, how, behind in (("", "idle", 0),
                                    ("loaded_", "loaded", LOAD)):
            for what, key in (("p50_ms", "seen_p50_ms"),
                              ("p99_ms", "seen_p99_ms"),
                              ("verified_p50_ms", "verified_p50_ms")):
                self.report.add(f"{prefix}{what}",
                                [run[f"{how}_{key}"] for run in runs], "ms",
                                limit=least, rss=rss, behind=behind)
        self.report.add("settled_p50_ms",
                        [run["idle_settled_p50_ms"] for run in runs], "ms")
        self.report.note(
            f"{self.world.facts['users']:,} followers, {B3_ROUNDS} posts a "
            f"run idle, as many with {LOAD:,} deliveries/s behind.")

    # ---- B4 ----

    def b4(self):
        """Pages far down."""
        runs = [self.run_cell("deep") for _ in range(self.runs)]
        self.begin("B4")
        rss = max(run["rss"] for run in runs)
        self.report.add("page500_ratio",
                        [run["page500_warm_us"] / run["page1_warm_us"]
                         for run in runs], "", rss=rss)
        self.report.add("below_window_ms",
                        [run["below_warm_us"] / 1000 for run in runs], "ms")
        self.report.add("below_window_cold_ms",
                        [run["below_cold_us"] / 1000 for run in runs], "ms")
        for place in ("page1", "page500"):
            for how in ("warm", "cold"):
                self.report.add(f"{place}_{how}_us",
                                [run[f"{place}_{how}_us"] for run in runs],
                                "us")
        self.report.note(f"The 20 longest inboxes, {runs[0]['shortest']:,} to "
                         f"{runs[0]['longest']:,} entries.")

    # ---- B7 ----

    def b7(self):
        """Kill and restart; and the rebuild that preparing was."""
        load = self.load()
        runs = [self.run_cell("restart", "--rate", load, "--seconds",
                              KILL_AFTER_S) for _ in range(self.runs)]
        self.begin("B7")
        entries = self.world.facts["fill_deliveries"]
        self.report.add("restart_s", [run["restart_s"] for run in runs], "s",
                        entries=entries,
                        rss=max(run["probe"]["rss"] for run in runs))
        self.report.add("restart_replayed_posts",
                        [run["probe"]["replayed"] for run in runs], "")
        self.report.add("rebuild_s", [self.world.facts["rebuild_s"]], "s",
                        entries=entries)
        self.report.note(
            f"{entries:,} entries; killed after {KILL_AFTER_S} s of {load:,} "
            f"deliveries/s. Rebuild: measured once, when the world was "
            f"prepared, from an empty directory and the log alone, of it "
            f"{self.world.facts['graph_s']:.1f} s for the edges.")

    # ---- B8, B9 ----

    @staticmethod
    def inbox_bytes(rest):
        """Rows, their share of indexes and filters, and the tails."""
        rows = sum(size for letter, size in rest["rows"].items()
                   if letter != "all")
        share = rest["rows"]["all"] / rows if rows else 1
        return rest["inbox"] * share + rest["tails"]

    def b8(self):
        """Bytes on disk and in memory."""
        entries = self.world.facts["fill_deliveries"]
        users = self.world.facts["users"]
        rest = self.run_cell("rest")
        memory = [self.run_cell("memory") for _ in range(self.runs)]
        peer = PEERS["rocksdb-rows"][2](self.world, self.peer_flags)
        listed = PEERS["redis-list"][2](self.world, self.peer_flags)
        self.begin("B8")
        self.report.add("bytes_per_entry", [self.inbox_bytes(rest) / entries],
                        "B", less=True, peer="rocksdb-rows",
                        peer_values=[peer["bytes_per_entry"]], limit=5)
        self.report.add("tails_per_entry", [rest["tails"] / entries], "B")
        self.report.add("ram_bytes_per_user",
                        [run["anon"] / users for run in memory], "B")
        self.report.add("ram_bytes_per_entry",
                        [run["anon"] / entries for run in memory], "B",
                        less=True, peer="redis-list",
                        peer_values=[listed["bytes_per_entry"]])
        for figure, key in (("ram_user_fixed_bytes", "user_bytes"),
                            ("ram_tail_idle_bytes", "tail_p1"),
                            ("ram_tail_median_bytes", "tail_p50"),
                            ("ram_tail_busy_bytes", "tail_p99"),
                            ("ram_bytes_per_edge", "edge_bytes")):
            self.report.add(figure, [run[key] for run in memory], "B")
        self.report.add("disk_bytes_all",
                        [rest["rows"]["all"] + rest["tails"]], "B")
        kinds = ", ".join(f"{letter} {size / 1e6:.1f} MB"
                          for letter, size in rest["rows"].items())
        self.report.note(
            f"{entries:,} entries, "
            f"{self.world.facts['edges'] / users:.0f} edges a user (in RAM "
            f"too); after full compaction, by kind of row: {kinds}.")

    def b9(self):
        """Bytes written by bytes that are there afterwards."""
        before = self.run_cell("rest")
        alone, whole, checkpoints = [], [], 0
        for _ in range(min(self.runs, B9_RUNS)):
            with self.world.copy() as directory:
                run = self.world.cell("apply", directory)
                after = self.world.cell("rest", directory)
            inbox = self.inbox_bytes(after) - self.inbox_bytes(before)
            everything = after["rows"]["all"] + after["tails"] - \
                before["rows"]["all"] - before["tails"]
            alone.append(run["written"] / inbox)
            whole.append(run["written"] / everything)
            checkpoints = run["checkpoints"]
        self.begin("B9")
        self.report.add("write_amplification", alone, "", limit=1)
        self.report.add("write_amplification_with_posts", whole, "", limit=1)
        self.report.note(
            f"All that the process wrote, posts included, by new inbox bytes "
            f"alone (an upper bound), and by all new bytes; "
            f"{self.world.facts['deliveries']:,} deliveries at full speed, "
            f"{checkpoints} checkpoints.")


def median(runs, key):
    """Of what runs know."""
    values = sorted(run[key] for run in runs if run.get(key) is not None)
    return values[len(values) // 2] if values else None
