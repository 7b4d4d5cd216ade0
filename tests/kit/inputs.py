"""What the scenarios import: files of NDJSON and the oracle's view of them."""
import functools
import json
import subprocess
import zlib

import synthetic
from daemons import ROOT
from oracle import Oracle


class Input:
    """A file of events; read when somebody asks for what is in it."""

    def __init__(self, path):
        self.path = path

    @functools.cached_property
    def lines(self):
        """How many."""
        with open(self.path, "rb") as lines:
            return sum(1 for _ in lines)

    @functools.cached_property
    def oracle(self):
        """What must come of them."""
        with open(self.path, encoding="utf-8") as lines:
            return Oracle().read(lines)

    def split(self, directory, parts):
        """The same lines in several files, in order."""
        lines = self.path.read_text(encoding="utf-8").splitlines(True)
        files = []
        for i in range(parts):
            files.append(directory / f"part{i}.ndjson")
            files[-1].write_text("".join(
                lines[len(lines) * i // parts:len(lines) * (i + 1) // parts]),
                encoding="utf-8")
        return files


def make_demo(path):
    """What quickstart imports: this machine's packages."""
    with open(path, "wb") as out:
        subprocess.run([ROOT / "ops/demo/debian-news"], stdout=out, check=True)
    return Input(path)


def is_kept(event, parts):
    """Whether a line of the demo belongs to its deterministic part."""
    if event["kind"] == "post":
        return True
    return zlib.crc32(str(event["user"]).encode()) % parts == 0


def make_mixed(path, demo, parts=5):
    """A part of the demo's follows and all its posts, and the synthetic world.

    The two are interleaved evenly, so that wherever an import is cut both are
    cut.
    """
    with open(demo.path, encoding="utf-8") as lines:
        kept = [line for line in lines if is_kept(json.loads(line), parts)]
    invented = [json.dumps(one, ensure_ascii=False) + "\n"
                for one in synthetic.generate()]
    placed = [(i / len(kept), line) for i, line in enumerate(kept)]
    placed += [(i / len(invented), line) for i, line in enumerate(invented)]
    placed.sort(key=lambda pair: pair[0])
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(line for _, line in placed)
    print(f"synthetic world of seed {synthetic.SEED}")
    return Input(path)
