"""A Comb that is killed, its load, and what must hold after every start."""
import contextlib
import os
import random
import shutil
import time

import content
from client import Client, Dashboard, status
from compare import check_everybody
from load import Load, Publisher
from stacks import Solo

# Any ports, told anew at each start: a fixed one may be taken meanwhile, as
# the near end of somebody's connection.
ANY_PORTS = ("--router-port", 0, "--gateway-port", 0,
             "--http-port", 0, "--admin-port", 0)
APPLIED_S = 60
CHECKPOINT_S = 1
# Small, so that a post to all is delivered by many slices.
FANOUT_SLICE = "256"
# A restart: opening, and replaying what came after the last checkpoint.
RESTART_S = 20
PAGES_OF_USERS = 6


def wait_level(stack, at_least, timeout_s=APPLIED_S):
    """Until every cell has applied the whole log, and it holds so much."""
    until = time.monotonic() + timeout_s
    for address in stack.cells:
        while True:
            state = status(address)
            if state is not None:
                assert not state.stopped, state.stopped
                ends = [(part.applied, part.log_end)
                        for part in state.partitions]
                if all(applied == end for applied, end in ends):
                    if sum(applied for applied, _ in ends) >= at_least:
                        break
            assert time.monotonic() < until, \
                f"not applied, {at_least} records were acknowledged: {state}"
            time.sleep(0.02)


@contextlib.contextmanager
def armed(point, hits):
    """Daemons started inside die at the hits-th hit of a kill point."""
    os.environ["COMB_KILL_POINT"] = f"{point}:{hits}"
    try:
        yield
    finally:
        del os.environ["COMB_KILL_POINT"]


class Town:
    """comb-solo with two cells under load.

    Names of kills go to tally, a Counter: where each really landed.
    """

    def __init__(self, directory, seed, tally):
        self.directory, self.seed, self.tally = directory, seed, tally
        self.random = random.Random(seed)
        self.load = Load(seed)
        self.solo = Solo(directory, "--checkpoint-s", CHECKPOINT_S,
                         "--fanout-slice", FANOUT_SLICE, *ANY_PORTS)
        self.publisher = None

    @property
    def data(self):
        """The data directory."""
        return self.solo.data

    def start(self):
        """Start, in bounded time."""
        begin = time.monotonic()
        self.solo.start()
        took = time.monotonic() - begin
        assert took < RESTART_S, f"a restart took {took:.1f} s"

    def start_armed(self, point, hits):
        """Start with a kill point armed; False where it struck already."""
        with armed(point, hits):
            try:
                self.solo.start()
            except AssertionError as error:
                if "ended with -9 before" not in str(error):
                    raise
                return False
        return True

    def wait_death(self, timeout_s):
        """Whether the daemon died by itself, by SIGKILL, within the time."""
        process = self.solo.daemon.process
        until = time.monotonic() + timeout_s
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        assert process.returncode in (None, -9), \
            f"ended with {process.returncode}:\n{self.solo.daemon.stderr()}"
        return process.returncode == -9

    def begin_load(self):
        """Publish from now on."""
        self.publisher = Publisher(self.load, self.solo)

    def end_load(self):
        """No more; what was not acknowledged is published later."""
        if self.publisher is not None:
            publisher, self.publisher = self.publisher, None
            publisher.finish()

    def kill(self, name=None):
        """kill -9, now."""
        self.solo.kill()
        self.end_load()
        if name:
            self.tally[name] += 1

    def check(self, timelines=False):
        """All that was acknowledged is there, and everything is as told."""
        wait_level(self.solo, self.load.acknowledged)
        self.load.settle(self.solo.gateway)
        wait_level(self.solo, self.load.acknowledged)
        check_everybody(self.solo.router, self.load.oracle, timelines)

    def check_pages(self, users=PAGES_OF_USERS):
        """Some users' pages, word by word, by the generated client."""
        oracle = self.load.oracle
        with Client(Dashboard, self.solo.router) as router:
            for user in content.sample(oracle, users):
                content.check_user(router.getDashboard, user, oracle, 50)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, failed, *_):
        self.end_load_quietly()
        if failed:
            self.solo.kill()
            print(f"seed {self.seed}; data is kept in {self.data}")
            return
        self.solo.stop()
        shutil.rmtree(self.data)

    def end_load_quietly(self):
        """For the end of a test that has failed already."""
        with contextlib.suppress(Exception):
            self.end_load()
