"""The consumers of firehose/examples, through kills: each event once.

A publisher sends every batch until it is acknowledged, with the events' ids,
and some twice on purpose, so the log has events twice. The gateway is killed
and comes back, and so is the consumer. What the consumer has done must in the
end be every event exactly once.
"""
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from thrift.transport.TTransport import TTransportException

from client import Client, Firehose, context, event, types
from daemons import ROOT, die_with_parent
from records import Producer

EXAMPLES = ROOT / "firehose/examples"
FIRST_ID = 1600000000000 << 21
BATCH, BATCHES = 25, 60
PAUSE_S = 0.03  # so that kills meet it on its way
WAIT_S = 120
MAY_HELP = (OSError, EOFError, TTransportException, types.Overloaded,
            types.Unavailable, types.DeadlineExceeded)


def make(number):
    """An event, a function of its number."""
    fields = {"id": FIRST_ID + (number << 8)}
    if number % 3 == 0:
        return event("post", 1 + number % 17, {"body": b"honey %d" % number},
                     **fields)
    if number % 3 == 1:
        return event("follow", 1 + number % 17, target_user=99, **fields)
    return event("like", 1 + number % 17, target_post=FIRST_ID, **fields)


class Publisher(threading.Thread):
    """Sends all batches; every seventh twice, any as often as it takes."""

    def __init__(self, gateway):
        super().__init__(daemon=True)
        self.gateway = gateway
        self.done = 0
        self.resent = 0

    def run(self):
        for batch in range(BATCHES):
            for _ in range(2 if batch % 7 == 0 else 1):
                self.send([make(batch * BATCH + i) for i in range(BATCH)])
            self.done = batch + 1
            time.sleep(PAUSE_S)

    def send(self, events):
        """Until it is acknowledged."""
        while True:
            try:
                with Client(Firehose, self.gateway, timeout_s=5) as gateway:
                    results = gateway.publish(events, context(4000))
                if all(result.position for result in results):
                    return
            except MAY_HELP:
                pass
            self.resent += 1
            time.sleep(0.05)

    def wait_done(self, batches):
        """Until so many batches are in the log."""
        until = time.monotonic() + WAIT_S
        while self.done < batches:
            assert time.monotonic() < until and self.is_alive()
            time.sleep(0.01)


WANTED = {FIRST_ID + (number << 8) for number in range(BATCH * BATCHES)}


class Consumer:
    """An example's process, and its errors in a file."""

    def __init__(self, directory, *command):
        self.command = [str(word) for word in command]
        self.log = directory / "consumer.err"
        self.process = None

    def start(self):
        """Start it, again perhaps."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=die_with_parent)

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def wait(self, seen, count):
        """Until seen() is so many."""
        until = time.monotonic() + WAIT_S
        while seen() < count:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, \
                f"{seen()} of {count}: {self.log.read_text()}"
            time.sleep(0.02)


# --- Python, over HTTP -------------------------------------------------------

def rows(path, what="count(*)"):
    """Of the table that stream.py fills."""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as file:
            return file.execute(f"SELECT {what} FROM events").fetchall()
    except sqlite3.OperationalError:  # not made yet
        return [(0,)]


def test_stream_in_python(solo, tmp_path):
    database = tmp_path / "events.db"
    publisher = Publisher(solo.gateway)
    with Consumer(tmp_path, sys.executable, EXAMPLES / "stream.py",
                  f"http://{solo.http}", database) as consumer:
        publisher.start()
        consumer.wait(lambda: rows(database)[0][0], 100)
        solo.kill()
        time.sleep(0.3)
        solo.start()
        consumer.wait(lambda: "again in" in consumer.log.read_text(), 1)
        publisher.wait_done(BATCHES // 2)
        consumer.kill()
        publisher.wait_done(BATCHES // 2 + 3)
        consumer.start()
        consumer.wait(lambda: rows(database)[0][0], len(WANTED))
        publisher.join(WAIT_S)
        assert publisher.resent > 0
        # What comes last shows that nothing is behind it.
        last = make(10**6)
        publisher.send([last])
        consumer.wait(lambda: rows(database)[0][0], len(WANTED) + 1)
    assert {one for one, in rows(database, "id")} == WANTED | {last.id}


# A wrong parameter would be refused again: it ends.
def test_stream_in_python_refused(solo, tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "stream.py", f"http://{solo.http}",
         tmp_path / "x.db", "no-such-kind"], capture_output=True, text=True,
        timeout=60, check=False)
    assert done.returncode == 1 and "refused: 400" in done.stderr


# --- C, from the topic -------------------------------------------------------

@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    """topic.c as anybody would build it."""
    program = tmp_path_factory.mktemp("c") / "topic"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "rdkafka", "glib-2.0"],
        check=True, text=True, stdout=subprocess.PIPE).stdout.split()
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-g",
                    "-fsanitize=address,undefined", EXAMPLES / "topic.c",
                    "-o", program, *flags], check=True)
    return program


def effects(path):
    """The whole lines that topic.c has written, as words."""
    text = path.read_text() if path.exists() else ""
    return [line.split() for line in text.splitlines(keepends=True)
            if line.endswith("\n")]


def test_topic_in_c(cluster, broker, in_c, tmp_path):
    file = tmp_path / "effects"
    publisher = Publisher(cluster.gateway)
    with Consumer(tmp_path, in_c, broker.bootstrap, file) as consumer:
        publisher.start()
        consumer.wait(lambda: len(effects(file)), 100)
        cluster.firehose.kill()
        time.sleep(0.3)
        cluster.firehose.start()
        publisher.wait_done(BATCHES // 2)
        consumer.kill()
        with Producer(broker.bootstrap) as producer:
            producer.append(0, b"honey, wax and other matters")
            producer.append(1, None)
        # Half a line, as a kill may leave it.
        with open(file, "a", encoding="ascii") as half:
            half.write("3 99999")
        publisher.wait_done(BATCHES // 2 + 3)
        consumer.start()
        publisher.join(WAIT_S)
        last = make(10**6)
        publisher.send([last])
        consumer.wait(lambda: sum(line[2] == "event"
                                  for line in effects(file)),
                      len(WANTED) + 1)
    lines = effects(file)
    ids = [int(line[3]) for line in lines if line[2] == "event"]
    assert len(ids) == len(set(ids)) and set(ids) == WANTED | {last.id}
    assert sum(line[2] == "undecodable" for line in lines) == 2
    assert publisher.resent > 0
    assert sum(line[2] == "again" for line in lines) >= BATCH
    # Every offset once, in order, from the first.
    for partition in {line[0] for line in lines}:
        offsets = [int(line[1]) for line in lines if line[0] == partition]
        assert offsets == list(range(len(offsets)))
