"""A limit of memory that the kernel holds a daemon to, as a container's is.

A control group of version 2 or 1, made where this process may make one: who
takes more than it gives is killed. Where it may not, Limit.check() still holds
the most that was resident to the same number.
"""
import contextlib
import os
import pathlib

V2, V1 = pathlib.Path("/sys/fs/cgroup"), pathlib.Path("/sys/fs/cgroup/memory")
# What a group is told, and where it says whom the kernel has killed.
FILES = {V2: ("memory.max", "memory.swap.max", "memory.events"),
         V1: ("memory.limit_in_bytes", None, "memory.oom_control")}


class Limit:
    """For Daemon.memory; close() when the daemon has ended."""

    def __init__(self, name, most):
        self.most = most
        self.group = self.events = None
        for root, (limit, swap, events) in FILES.items():
            if self._make(root / f"comb-{name}-{os.getpid()}", limit, swap):
                self.events = self.group / events
                break

    def _make(self, group, limit, swap):
        if not (group.parent / "cgroup.procs").exists():
            return False
        try:
            group.mkdir()
        except OSError:
            return False
        try:
            # A group without the file has no controller of memory.
            with open(group / limit, "r+", encoding="ascii") as file:
                file.write(str(self.most))
            if swap:
                with contextlib.suppress(OSError):
                    (group / swap).write_text("0")
            self.group = group
            return True
        except OSError:
            group.rmdir()
            return False

    def join(self):
        """In the child, before exec."""
        if self.group:
            (self.group / "cgroup.procs").write_text(str(os.getpid()))

    def kills(self):
        """How often the kernel has killed for it."""
        if not self.group:
            return 0
        told = dict(line.split() for line in
                    self.events.read_text().splitlines())
        return int(told["oom_kill"])

    def check(self, daemon):
        """It lives, within the limit; the most that it ever had."""
        assert self.kills() == 0, f"{daemon.name} was killed for its memory"
        assert daemon.is_running(), f"{daemon.name} ended: {daemon.stderr()}"
        peak = daemon.memory_peak()
        assert peak <= self.most, f"{daemon.name}: {peak} of {self.most}"
        return peak

    def __str__(self):
        return f"{self.most >> 20} MiB " + (
            "by the kernel" if self.group else "as measured")

    def close(self):
        """After the last process in it."""
        if self.group:
            self.group.rmdir()
            self.group = None
