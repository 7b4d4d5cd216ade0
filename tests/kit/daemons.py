"""Real daemons for tests: started, watched, and always stopped.

A Daemon is one process with its captured output. It counts as started when it
has printed its "ready" line; it must end with status 0 on SIGTERM and leave no
sanitizer report, and stop() holds it to that. The kernel kills it if the test
process dies.
"""
import contextlib
import ctypes
import itertools
import os
import pathlib
import random
import resource
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
BUILD = pathlib.Path(os.environ.get("COMB_BUILD_DIR", ROOT / "build/dev"))
READY_S = 60
STOP_S = 60
# Below those that the kernel gives to whoever asks for any.
PORTS = range(16384, 32768)
WORKERS = 8
REPORTS = ("Sanitizer", "runtime error:", "CRITICAL", " does not hold")

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def program(name):
    """The path of one of our executables."""
    return BUILD / "bin" / name


def _any_order():
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % WORKERS
    ports = list(PORTS[worker::WORKERS])
    random.SystemRandom().shuffle(ports)
    return itertools.cycle(ports)


_ports = _any_order()


def free_port():
    """A port that nobody has now, and that nobody else is given.

    A daemon that was killed finds it free again: those that the kernel gives
    to the near ends of connections are others, and so are those of other
    workers of pytest-xdist.
    """
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def environment(directory):
    """What daemons and tools run with: every sanitizer at its strictest.

    directory: for what they would else keep in the user's home.
    """
    return {
        **os.environ,
        "XDG_STATE_HOME": str(directory),
        "ASAN_OPTIONS": "detect_stack_use_after_return=1",
        "LSAN_OPTIONS": f"suppressions={TESTS}/lsan.supp:print_suppressions=0",
        "TSAN_OPTIONS": f"suppressions={TESTS}/tsan.supp",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "G_DEBUG": "fatal-criticals",
        "G_SLICE": "always-malloc",
    }


def die_with_parent():
    """In the child, before exec: be killed when the test process ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# How long they wait before they refuse: for their thread, and for a cell. A
# loaded machine or a sanitizer is not what a test is about.
PATIENCE = {"--queue-ms": ("60000", ("comb-cell", "comb-router", "comb-solo")),
            "--cell-timeout-ms": ("40000", ("comb-router", "comb-solo"))}


class Daemon:
    """A daemon that can be started again and again with the same flags."""

    def __init__(self, name, directory, *flags):
        self.name = name
        self.flags = [str(flag) for flag in flags]
        for flag, (value, names) in PATIENCE.items():
            if name in names and flag not in self.flags:
                self.flags += [flag, value]
        self.directory = pathlib.Path(directory)
        self.ports = {}
        self.process = None
        self.environment = {}  # more than environment() has
        self.limits = {}       # resource.RLIMIT_...: the most it may have
        self.memory = None     # memory.Limit: what all of it may be
        self.user = None       # who runs it, by number; root's only
        self._runs = 0

    def launch(self):
        """Start the process, wait for nothing."""
        assert self.process is None, f"{self.name} runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        self._runs += 1
        with open(self._log("out"), "wb") as out, \
                open(self._log("err"), "wb") as err:
            self.process = subprocess.Popen(
                [program(self.name), *self.flags], stdin=subprocess.DEVNULL,
                stdout=out, stderr=err,
                env={**environment(self.directory), **self.environment},
                preexec_fn=self._prepare)
        return self

    def _prepare(self):
        if self.memory is not None:
            self.memory.join()
        for limit, most in self.limits.items():
            resource.setrlimit(limit, (most, most))
        if self.user is not None:
            os.setgroups([])
            os.setresgid(self.user, self.user, self.user)
            os.setresuid(self.user, self.user, self.user)
        die_with_parent()

    def start(self, timeout_s=READY_S):
        """Start and wait for the ready line; its addresses are in ports."""
        self.launch()
        until = time.monotonic() + timeout_s
        while not (line := self._ready_line()):
            if self.process.poll() is not None:
                code, self.process = self.process.returncode, None
                raise AssertionError(f"{self.name} ended with {code} before "
                                     f"it was ready:\n{self.stderr()}")
            if time.monotonic() > until:
                self.kill()
                raise AssertionError(f"{self.name} was not ready in "
                                     f"{timeout_s} s:\n{self.stderr()}")
            time.sleep(0.01)
        self.ports = dict(word.split("=", 1) for word in line.split()[1:])
        return self

    def wait_readyz(self, timeout_s=READY_S):
        """Wait until its admin page says that it is ready, not just there."""
        until = time.monotonic() + timeout_s
        while True:
            try:
                with urllib.request.urlopen(
                        f"http://{self.ports['admin']}/readyz", timeout=10):
                    return
            except urllib.error.HTTPError as error:
                why = error.read().decode()
            assert time.monotonic() < until, f"{self.name} is not ready: {why}"
            time.sleep(0.05)

    def run_to_end(self, timeout_s=READY_S):
        """Start and wait for the end: for starts that must be refused."""
        self.launch()
        try:
            return self.process.wait(timeout_s)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process = None

    def stop(self):
        """SIGTERM; a clean end or an AssertionError."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop in {STOP_S} s:\n"
                                 f"{self.stderr()}") from None
        self.process = None
        assert code == 0, f"{self.name} ended with {code}:\n{self.stderr()}"
        self.check_output()

    def kill(self):
        """SIGKILL, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self):
        """SIGSTOP: alive and silent."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def is_running(self):
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def memory_peak(self):
        """Most bytes resident so far (VmHWM)."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def stderr(self):
        """What this run has logged, its end where it is long."""
        return self._log("err").read_text(errors="replace")[-8000:]

    def check_output(self):
        """No run of this daemon has left a report of a bug."""
        for run in range(1, self._runs + 1):
            text = self._log("err", run).read_text(errors="replace")
            for report in REPORTS:
                assert report not in text, f"{self.name}, run {run}:\n{text}"

    def log_path(self):
        """Where this run logs."""
        return self._log("err")

    def _log(self, kind, run=None):
        return self.directory / f"{self.name}.{run or self._runs}.{kind}"

    def _ready_line(self):
        for line in self._log("out").read_text().splitlines(keepends=True):
            if line.startswith("ready ") and line.endswith("\n"):
                return line
        return None

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        if failed:
            self.kill()
        else:
            self.stop()
