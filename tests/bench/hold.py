"""B5: a cell that delivers and serves at the same time, and keeps doing it.

comb-solo with one cell over a page world, on both cores, and who publishes and
reads beside it: posts of the world's authors through the gateway, at a steady
rate, and pages of 20 from the cell, open loop. What the cell delivers is its
own count; its lag is looked at twice a second.
"""
import copy
import json
import multiprocessing
import os
import subprocess
import sys
import time
import urllib.request

import replay
import serving
import worlds

DELIVERIES = 1_000_000  # a second
LAG_S = 1
BATCH = 50
SAMPLE_S = 0.5
WARM_S = 5


class Free(serving.Solo):
    """On all cores."""
    pin = None


def post_frames(kit, world):
    """Calls of BATCH posts each, of the world's authors as often as they post;
    without ids, so that one may be sent again and is new posts."""
    service, client = kit.client.Firehose, kit.client
    events, frames = [], []
    with world.pipe("copy-posts") as rows:
        for row in rows.stdout:
            _, author, body = row.rstrip(b"\n").split(b"\t")
            events.append(client.event("post", int(author), {"body": body}))
            if len(events) == BATCH:
                frames.append(kit.raw.frame(kit.raw.encode_call(
                    "publish", service.publish_args(
                        events=events, ctx=client.context(60000)))))
                events = []
    return frames


def look(admin):
    """The cell's deliveries so far, and its lag in seconds."""
    with urllib.request.urlopen(f"http://{admin}/metrics") as page:
        lines = page.read().decode().splitlines()

    def total(name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines
                   if line.startswith(name) and not line.startswith("#"))
    return total("comb_cell_deliveries_total"), total("comb_cell_lag_seconds")


class Hold:
    """Measures one page world."""

    def __init__(self, world, out, seconds, pages):
        self.world = world
        self.out = out
        self.seconds = seconds
        self.pages = pages

    def readers(self, solo):
        """combctl bench at the rate asked for."""
        command = [
            self.world.build / "bin/combctl", "bench", "--json", "--address",
            solo.cell, "--users-file", self.world.readers, "--limit",
            serving.PAGE, "--connections", 16, "--depth", 4, "--rate",
            self.pages, "--duration-s", self.seconds, "--warmup-s", 1]
        return subprocess.Popen(list(map(str, command)), text=True,
                                stdout=subprocess.PIPE)

    def watch(self, solo):
        """Deliveries a second while readers read, their result, and lags."""
        readers = self.readers(solo)
        begin, (before, _) = time.monotonic(), look(solo.admin)
        lags = []
        while readers.poll() is None:
            time.sleep(SAMPLE_S)
            now, lag = look(solo.admin)
            lags.append(lag)
            took = time.monotonic() - begin
        return ((now - before) / took, json.loads(readers.stdout.read()),
                sorted(lags))

    def run(self, directory):
        """One hold in a copy of the world."""
        world = copy.copy(self.world)
        world.data = directory / "data"
        frames = post_frames(replay.Kit(), world)
        facts = self.world.facts
        # A little more, since the rate is of the mean post.
        rate = (1.02 * DELIVERIES * facts["posts"] / facts["deliveries"] /
                BATCH)
        with Free(world) as solo:
            author = multiprocessing.Process(
                target=replay.pump_paced, daemon=True,
                args=(solo.gateway, frames, rate))
            author.start()
            try:
                time.sleep(WARM_S)
                found = self.watch(solo)
                if not author.is_alive():
                    sys.exit("who publishes has given up")
                return found
            finally:
                author.kill()
                author.join()

    def b5(self):
        """Once."""
        with worlds.Copy(self.world.path, ("data",)) as directory:
            deliveries, pages, lags = self.run(directory)
        facts = self.world.facts
        self.out.begin("B5", facts["seed"], graph=facts["graph"],
                       size=self.world.size, users=facts["users"],
                       edges=facts["edges"], seconds=self.seconds)
        self.out.add("deliveries_per_s", [deliveries], "1/s",
                     limit=DELIVERIES)
        self.out.add("pages_per_s", [pages["calls_per_s"]], "1/s",
                     limit=self.pages)
        self.out.add("pages_refused", [pages["exceptions"]], "", limit=0)
        for rank in ("p50", "p99"):
            self.out.add(f"page_{rank}_ms", [pages[f"{rank}_us"] / 1e3], "ms",
                         less=True)
        self.out.add("lag_p50_s", [lags[len(lags) // 2]], "s", less=True,
                     limit=LAG_S)
        self.out.add("lag_max_s", [lags[-1]], "s", less=True, limit=LAG_S)
        self.out.note(
            f"Posts of the world's authors at {DELIVERIES:,} deliveries a "
            f"second, {self.pages:,} pages of {serving.PAGE} a second (open "
            f"loop), all on {os.cpu_count()} cores: who publishes and reads "
            f"take their part of them. Lag: sampled every {SAMPLE_S} s.")
