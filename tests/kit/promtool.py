"""Prometheus' own check of what we tell it: promtool check metrics.

promtool is one static program in Debian's package prometheus. Installing that
would start a server and bring fonts and scripts for its pages, so the package
is only fetched (apt-get download, 19 MB, no root) and unpacked, once, into
$XDG_CACHE_HOME/comb or ~/.cache/comb. A promtool on the PATH is taken first.
"""
import os
import pathlib
import shutil
import subprocess
import tempfile

PACKAGE = "prometheus"
FETCH_S = 120


def _cache():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "comb/promtool"


def _fetch(target):
    """Fetch and unpack into target; raises what goes wrong."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as directory:
        subprocess.run(["apt-get", "-q", "download", PACKAGE], cwd=directory,
                       check=True, capture_output=True, timeout=FETCH_S)
        package, = pathlib.Path(directory).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", package, f"{directory}/unpacked"],
                       check=True, capture_output=True, timeout=FETCH_S)
        os.replace(f"{directory}/unpacked/usr/bin/promtool", target)


def find():
    """(path, None), or (None, why there is none)."""
    there = shutil.which("promtool")
    if there:
        return there, None
    target = _cache()
    try:
        if not target.exists():
            _fetch(target)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return None, f"no promtool, and cannot fetch {PACKAGE}: {error}"
    return str(target), None


def complaints(promtool, text):
    """What promtool says of an exposition; empty where all is well."""
    done = subprocess.run([promtool, "check", "metrics"], input=text,
                          text=True, capture_output=True, check=False)
    if done.returncode == 0 and not done.stdout and not done.stderr:
        return ""
    return f"status {done.returncode}\n{done.stdout}{done.stderr}"
