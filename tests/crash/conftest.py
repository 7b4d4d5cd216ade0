"""Options and counts of the crash tests."""
import collections
import random

import pytest

# Of each test; in total about four times as many.
KILLS = 25
FLIPS = 60


def pytest_addoption(parser):
    """--kills, --flips, --seed."""
    parser.addoption("--kills", type=int, default=KILLS,
                     help=f"kills of each kind (default {KILLS})")
    parser.addoption("--flips", type=int, default=FLIPS,
                     help=f"bits flipped (default {FLIPS})")
    parser.addoption("--seed", type=int, default=None,
                     help="of everything random (default: another each time)")


def pytest_configure(config):
    """One seed for all workers of pytest-xdist."""
    given = config.getoption("--seed", None)
    if hasattr(config, "workerinput"):
        given = config.workerinput["seed"]
    elif given is None:
        given = random.SystemRandom().randrange(1 << 30)
    config.stash[SEED] = given


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """A worker begins."""
    node.workerinput["seed"] = node.config.stash[SEED]


@pytest.fixture(scope="session")
def seed(request):
    """Printed in the closing lines; --seed brings it back."""
    return request.config.stash[SEED]


@pytest.fixture(scope="session")
def tally(request):
    """What really happened, counted; told in the closing lines."""
    return request.config.stash.setdefault(TALLY, collections.Counter())


@pytest.fixture
def kills(request):
    """How many kills a test is to make."""
    return request.config.getoption("--kills", KILLS)


@pytest.fixture
def flips(request):
    """How many bits are to be flipped."""
    return request.config.getoption("--flips", FLIPS)


SEED = pytest.StashKey()
TALLY = pytest.StashKey()


def pytest_sessionfinish(session):
    """A worker's counts for the process that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tally"] = dict(
            session.config.stash.get(TALLY, {}))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """A worker of pytest-xdist has ended, and this is what it counted."""
    node.config.stash.setdefault(TALLY, collections.Counter()).update(
        getattr(node, "workeroutput", {}).get("tally", {}))


def pytest_terminal_summary(terminalreporter, config):
    """Where kills landed and what became of damage."""
    counts = config.stash.get(TALLY, {})
    if counts:
        terminalreporter.write_line(f"seed {config.stash[SEED]}")
        for name, count in sorted(counts.items()):
            terminalreporter.write_line(f"{count:6} {name}")
