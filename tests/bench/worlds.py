"""Prepared worlds: made once a size and format, copied for each run."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CELL_SECONDS = 3600

# Users; entries a user before the measured range; deliveries in it; of them,
# what peers repeat and digests cover: no more than five turns of all peers and
# Comb take five minutes.
SIZES = {
    "XS": {"users": 10_000, "fill": 100, "deliveries": 2_000_000,
           "prefix": 500_000},
    "S": {"users": 100_000, "fill": 100, "deliveries": 10_000_000,
          "prefix": 3_000_000},
    "M": {"users": 1_000_000, "fill": 100, "deliveries": 40_000_000,
          "prefix": 2_000_000},
    "L": {"users": 10_000_000, "fill": 30, "deliveries": 100_000_000,
          "prefix": 3_000_000},
}


def disk_format():
    """The number that says how a cell's directory is laid out."""
    for header in sorted((ROOT / "cell").glob("*.h")):
        found = re.search(r"#define (?:META|STORE)_FORMAT (\d+)",
                          header.read_text())
        if found:
            return found[1]
    return "0"


class World:
    """A graph, a log of posts and a cell that has applied graph and fill."""

    def __init__(self, build, size, changed):
        self.params = {**SIZES[size], **changed}
        self.build = build
        self.size = size
        fill = self.params["fill"]
        name = size if fill == SIZES[size]["fill"] else f"{size}-{fill}"
        self.path = ROOT / "build" / f"bench-world-{name}-{disk_format()}"
        self.graph = self.path / "graph"
        self.facts = {}

    def prepare(self, fresh):
        """Make it, unless it is there and of these parameters."""
        told = self.path / "world.json"
        if fresh or not told.exists() or \
                json.loads(told.read_text())["params"] != self.params:
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.mkdir(parents=True)
            print(f"preparing {self.path.name} (kept for the next time)",
                  file=sys.stderr)
            facts = self.cell("prepare", self.path, "--users",
                              self.params["users"])
            told.write_text(json.dumps({"params": self.params,
                                        "facts": facts}))
        self.facts = json.loads(told.read_text())["facts"]

    def plan(self):
        """The flags that say which posts fill and which are measured."""
        return ["--graph", self.graph, "--fill", self.params["fill"]]

    def cell(self, command, directory, *flags):
        """One command of comb-bench-cell over a copy; its JSON."""
        return self.tool("comb-bench-cell", command, *self.plan(),
                         "--deliveries", self.params["deliveries"],
                         "--cell", directory / "cell",
                         "--log", directory / "log", *flags)

    def tool(self, program, *flags):
        """One of our programs; its line of JSON."""
        done = subprocess.run(
            [self.build / "bin" / program, *map(str, flags)], text=True,
            capture_output=True, timeout=CELL_SECONDS, check=False)
        if done.returncode:
            sys.exit(f"{program} {flags[0]} failed ({done.returncode}); if the "
                     f"engine has changed, try --fresh\n{done.stderr}")
        return json.loads(done.stdout)

    def copy(self):
        """A copy of cell and log that may be written to, as a context."""
        return Copy(self.path)


def copy_file(source, target):
    """Table files never change once written: a second name is enough."""
    if source.endswith(".sst"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


class Copy:
    """A directory with parts of another one; removed at the end."""

    def __init__(self, source, parts=("cell", "log")):
        self.source = source
        self.parts = parts
        self.directory = None

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(
            prefix="bench-run-", dir=self.source.parent))
        for part in self.parts:
            shutil.copytree(self.source / part, self.directory / part,
                            copy_function=copy_file)
        os.sync()
        return self.directory

    def __exit__(self, *_):
        shutil.rmtree(self.directory)
