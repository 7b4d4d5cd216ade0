"""Whole Combs for tests: all in one process, or daemon by daemon on Kafka.

Both offer the same: gateway, router and cells (addresses), start, stop, and
run_import. Ports are fixed when a stack is made, so that a daemon that was
killed comes back where the cell map says it is.
"""
import contextlib
import json
import subprocess

from client import wait_applied
from daemons import (Daemon, die_with_parent, environment, free_port, program)

PARTITIONS = 4


class Stack:
    """What both kinds share."""

    gateway = router = http = None
    cells = ()

    def __init__(self, directory):
        self.directory = directory

    def launch_import(self, file, *flags):
        """combctl import in the background, its output on pipes."""
        return subprocess.Popen(
            [program("combctl"), "import", str(file), "--gateway",
             self.gateway, "--json", *flags], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(self.directory), preexec_fn=die_with_parent)

    def run_import(self, file, *flags):
        """combctl import to its end; answers its JSON lines."""
        process = self.launch_import(file, *flags)
        out, err = process.communicate()
        assert process.returncode == 0, f"{out}\n{err}"
        return [json.loads(line) for line in out.splitlines()]

    def combctl(self, *args):
        """Any other combctl command; answers what it prints."""
        done = subprocess.run(
            [program("combctl"), "--gateway", self.gateway, *args], text=True,
            env=environment(self.directory), stdin=subprocess.DEVNULL,
            capture_output=True)
        assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"
        return done.stdout

    def wait_applied(self, at_least=0):
        """Until every cell has the whole log; their statuses."""
        return wait_applied(self.cells, at_least)

    def __enter__(self):
        return self.start()

    def __exit__(self, failed, *_):
        if failed:
            self.kill()
        else:
            self.stop()


class Solo(Stack):
    """comb-solo over the local log."""

    def __init__(self, directory, *flags, cells=2):
        super().__init__(directory)
        self.n_cells = cells
        self.data = directory / "data"
        self.daemon = Daemon(
            "comb-solo", directory, "--data-dir", self.data,
            "--cells", cells, "--partitions", PARTITIONS,
            "--router-port", free_port(), "--gateway-port", free_port(),
            "--http-port", free_port(), "--admin-port", free_port(), *flags)

    def start(self):
        """Start; addresses are known from here on."""
        self.daemon.start()
        ports = self.daemon.ports
        self.gateway, self.router = ports["gateway"], ports["router"]
        self.http = ports["http"]
        self.admin = ports["admin"]
        self.cells = [ports[f"cell{i}"] for i in range(self.n_cells)]
        return self

    def stop(self):
        """Clean stop."""
        self.daemon.stop()

    def kill(self):
        """kill -9."""
        self.daemon.kill()


class Cluster(Stack):
    """comb-firehose, comb-cells and comb-router over a Kafka broker."""

    def __init__(self, directory, bootstrap, cells=2):
        super().__init__(directory)
        self.ports = [free_port() for _ in range(cells + 2)]
        self.gateway = f"127.0.0.1:{self.ports[-2]}"
        self.router = f"127.0.0.1:{self.ports[-1]}"
        self.cells = [f"127.0.0.1:{port}" for port in self.ports[:cells]]
        common = ("--brokers", bootstrap, "--admin-port", "0", "--data-dir")
        self.firehose = Daemon(
            "comb-firehose", directory / "firehose", *common,
            directory / "firehose/data", "--port", self.ports[-2],
            "--http-port", "0", "--partitions", PARTITIONS)
        self.cell_daemons = [
            Daemon("comb-cell", directory / f"cell{i}", *common,
                   directory / f"cell{i}/data", "--port", self.ports[i],
                   "--cell", i) for i in range(cells)]
        self.router_daemon = Daemon(
            "comb-router", directory / "router", *common,
            directory / "router/data", "--port", self.ports[-1])

    @property
    def daemons(self):
        """All, in the order in which they start."""
        return [self.firehose, *self.cell_daemons, self.router_daemon]

    def start(self):
        """Start all; the gateway makes the topics, so it comes first."""
        try:
            self.firehose.start()
            self.http = self.firehose.ports["http"]
            if self._needs_map():
                self._set_map()
            for daemon in self.daemons[1:]:
                daemon.start()
            for daemon in self.daemons:
                daemon.wait_readyz()
        except BaseException:
            self.kill()
            raise
        return self

    def _needs_map(self):
        # Only a first start finds no data of the router.
        return not (self.router_daemon.directory / "data").exists()

    def _set_map(self):
        entries = [f"{i}={a}" for i, a in enumerate(self.cells)]
        self.combctl("map", "set", *entries)

    def stop(self):
        """Clean stop of all that run."""
        with contextlib.ExitStack() as stack:
            for daemon in self.daemons:
                stack.callback(daemon.stop)

    def kill(self):
        """kill -9 all."""
        for daemon in self.daemons:
            daemon.kill()
