"""The log is not the one that a cell has read (F13): a named stop.

Truncated below the cell's position, truncated and written anew past it, a
topic deleted and made again with fewer records or more, here; another
cluster's log, and one that was lost, in test_bad_start.py. Nothing of such a
log is applied. A cell of its own serves what it has, says that it is stale,
and is rebuilt by the command in its reason; comb-solo refuses to start.
"""
import contextlib
import shlex
import shutil
import subprocess
import time

import pytest

from client import (Client, Dashboard, Firehose, context, event, pages, status)
from content import post_ids
from kafka import KafkaBroker
from stacks import Cluster, Solo

READER, AUTHOR, POSTS, OTHERS, CROWD = 5, 6, 10, 40, 40
TOPIC = "comb.firehose.v1"
TOPICS = "org.apache.kafka.tools.TopicCommand"
PAST_THE_END = "is past the end"
ANOTHER = "has another record now"
STOP_S = 60


def publish(gateway, posts, first_user, crowd=CROWD):
    """Posts of the author's, and a crowd that fills all partitions."""
    told = [event("follow", READER, target_user=AUTHOR)]
    told += [event("post", AUTHOR, {"body": b"wax"}) for _ in range(posts)]
    told += [event("follow", user, target_user=AUTHOR)
             for user in range(first_user, first_user + crowd)]
    with Client(Firehose, gateway) as client:
        assert all(one.position for one in client.publish(told, context()))
    return len(told)


class SoloLog:
    """comb-solo's log, and what its cells say of it."""

    def __init__(self, directory):
        self.stack = Solo(directory / "solo")
        self.log = self.stack.data / "log"
        self.cells = [self.stack.data / f"cell-{i}" for i in range(2)]

    def stop(self):
        """All is at rest."""
        self.stack.stop()

    def start(self):
        """All is ready."""
        self.stack.start()

    def expect_stop(self, words, _):
        """It refuses to start."""
        assert self.stack.daemon.run_to_end() == 1
        said = self.stack.daemon.stderr()
        assert words in said and "partition" in said, said

    def write_anew(self):
        """With other cells: it does not run with those that are stopped."""
        for cell in self.cells:
            cell.rename(cell.with_suffix(".aside"))
        self.start()
        publish(self.stack.gateway, OTHERS, 300, 4 * CROWD)
        self.stop()
        for cell in self.cells:
            shutil.rmtree(cell)
            cell.with_suffix(".aside").rename(cell)


class KafkaLog:
    """The log of a broker, and what the cells on it say of it."""

    def __init__(self, directory):
        self.broker = KafkaBroker().start()
        self.log = self.broker.directory / "data"
        self.stack = Cluster(directory, self.broker.bootstrap)
        self.cells = [daemon.directory / "data"
                      for daemon in self.stack.cell_daemons]

    def stop(self):
        """All is at rest."""
        self.stack.stop()
        self.broker.stop()

    def start(self):
        """All is ready."""
        if self.broker.process is None:
            self.broker.start()
        self.stack.start()

    def expect_stop(self, words, shown):
        """All cells stop, show what they had, and say why."""
        if self.broker.process is None:
            self.broker.start()
        for daemon in self.stack.daemons:
            if not daemon.is_running():
                daemon.start()
        reasons = wait_stopped(self.stack.cells, words)
        with Client(Dashboard, self.stack.router) as client:
            page = client.getDashboard(READER, pages.PageRequest(), context())
        assert post_ids(page) == shown and words in page.stale
        return reasons

    def write_anew(self):
        """The gateway does not mind; the cells are to start again."""
        publish(self.stack.gateway, OTHERS, 300, 4 * CROWD)
        for daemon in self.stack.cell_daemons:
            daemon.stop()


def wait_stopped(cells, words):
    """Every cell stops with these words; the reasons."""
    until = time.monotonic() + STOP_S
    while True:
        states = [status(cell) for cell in cells]
        if all(state and state.stopped for state in states):
            break
        assert time.monotonic() < until, states
        time.sleep(0.1)
    for state in states:
        assert words in state.stopped and "partition" in state.stopped
    return [state.stopped for state in states]


def rebuild(reasons):
    """The command of each reason, word for word."""
    for reason in reasons:
        command = reason.split("rebuild from the log: ")[1]
        move = shlex.split(command.removesuffix(" and start again"))
        assert move[0] == "mv"
        subprocess.run(move, check=True)


def shown_in(stack):
    """The reader's dashboard, which is not stale."""
    with Client(Dashboard, stack.router) as client:
        page = client.getDashboard(READER, pages.PageRequest(), context())
        assert not page.stale
        return post_ids(page)


@pytest.fixture(params=[SoloLog, KafkaLog])
def log(request, tmp_path):
    """One log or the other, with a Comb on it that runs."""
    made = request.param(tmp_path)
    with contextlib.ExitStack() as ending:
        if hasattr(made, "broker"):
            ending.callback(made.broker.remove)
        ending.callback(made.stack.kill)
        made.start()
        yield made


# A log that was put back from an older copy lacks what the cells have read;
# what is then written takes the places of that. On Kafka, the topic may go.
def test_truncated_and_written_anew(log, tmp_path):
    told = publish(log.stack.gateway, POSTS, 100)
    log.stack.wait_applied(told)
    log.stop()
    shutil.copytree(log.log, tmp_path / "copy")
    log.start()
    log.stack.wait_applied(told + publish(log.stack.gateway, POSTS, 200))
    shown = shown_in(log.stack)
    assert len(shown) == 2 * POSTS
    log.stop()

    shutil.rmtree(log.log)
    (tmp_path / "copy").rename(log.log)
    log.expect_stop(PAST_THE_END, shown)

    log.write_anew()
    reasons = log.expect_stop(ANOTHER, shown)
    if isinstance(log, KafkaLog):
        for daemon in log.stack.cell_daemons:
            daemon.stop()
        rebuild(reasons)
        for daemon in log.stack.cell_daemons:
            daemon.start()
        log.stack.wait_applied(told + OTHERS + 4 * CROWD)
        assert len(shown_in(log.stack)) == 20
        check_topic_made_anew(log)


def check_topic_made_anew(log):
    """A topic that was deleted is made again by the gateway, under the same
    name in the same cluster. Cells that come back find fewer records in it than
    they have read, or more."""
    shown = shown_in(log.stack)
    log.stack.stop()
    flags = ("--bootstrap-server", log.broker.bootstrap)
    log.broker.tool(TOPICS, *flags, "--delete", "--topic", TOPIC)
    for crowd, words in ((1, PAST_THE_END), (8 * CROWD, ANOTHER)):
        log.stack.firehose.start()
        publish(log.stack.gateway, OTHERS, 1000, crowd)
        log.expect_stop(words, shown)
        log.stack.stop()
