"""Fixtures of the scenarios: inputs once a worker, Combs once a test."""
import pytest

import inputs
from kafka import KafkaBroker
from stacks import Cluster, Solo


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The whole demo input."""
    return inputs.make_demo(tmp_path_factory.mktemp("demo") / "demo.ndjson")


@pytest.fixture(scope="session")
def mixed(tmp_path_factory, demo):
    """A fifth of the demo input and the synthetic world."""
    return inputs.make_mixed(tmp_path_factory.mktemp("mixed") / "mixed.ndjson",
                             demo)


@pytest.fixture(scope="session")
def results():
    """Digests that one scenario leaves for another to compare with."""
    return {}


@pytest.fixture
def broker():
    """A Kafka broker of the test's own, empty."""
    with KafkaBroker() as kafka:
        yield kafka


@pytest.fixture
def solo(tmp_path):
    """comb-solo with two cells, running."""
    with Solo(tmp_path / "solo") as stack:
        yield stack


@pytest.fixture
def cluster(tmp_path, broker):
    """Gateway, two cells and router on Kafka, running."""
    with Cluster(tmp_path, broker.bootstrap) as stack:
        yield stack


@pytest.fixture(params=["solo", "cluster"])
def stack(request):
    """Both ways to run a Comb."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def figure(record_property):
    """figure(words): told in the closing lines, with the test's name."""
    return lambda words: record_property("figure", words)


def pytest_terminal_summary(terminalreporter):
    """What tests have measured, in whichever worker."""
    for report in terminalreporter.getreports("passed"):
        for name, words in report.user_properties:
            if name == "figure":
                terminalreporter.write_line(
                    f"{report.nodeid.split('::')[-1]}: {words}")
