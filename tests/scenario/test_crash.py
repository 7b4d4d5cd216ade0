"""kill -9 in the middle of the work, and a broker that goes away.

Whatever dies comes back and everybody's dashboard is the oracle's: what was
acknowledged was kept, and what was not is imported again.
"""
import threading
import time

import client
import inputs
from client import Client, Firehose, context, event, types
from compare import check_everybody
from thrift.transport.TTransport import TTransportException

CELL_KILLS = 10
OTHER_KILLS = 4
OUTAGE_S = 10


def wait_progress(address, since, process, step=200):
    """Until a cell has applied some more, or the import has ended.

    Answers whether the import was caught in the middle.
    """
    while process.poll() is None:
        if client.applied(client.status(address)) >= since + step:
            return True
        time.sleep(0.01)
    return False


def finish(process):
    """The import's end, whatever it was; its status and what it said."""
    out, err = process.communicate(timeout=300)
    assert process.returncode in (0, 1), f"{process.returncode}\n{err}"
    assert process.returncode == 0 or err.strip(), "failed without a word"
    return process.returncode, out + err


def check(stack, world):
    """All is there and nothing else."""
    stack.wait_applied(world.lines)
    check_everybody(stack.router, world.oracle)


# (c) A cell dies ten times while the import goes on without it.
def test_cell_killed_during_import(cluster, mixed, tmp_path):
    caught = 0
    for number, part in enumerate(mixed.split(tmp_path, CELL_KILLS)):
        victim = cluster.cell_daemons[number % 2]
        address = cluster.cells[number % 2]
        since = client.applied(client.status(address))
        process = cluster.launch_import(part)
        caught += wait_progress(address, since, process)
        victim.kill()
        victim.start()
        code, _ = finish(process)
        if code:
            cluster.run_import(part, "--resume")
    assert caught >= CELL_KILLS // 2, f"only {caught} kills were mid-import"
    check(cluster, mixed)


# (e) The gateway dies; the import says so or waits, and is resumed.
def test_gateway_killed_during_import(cluster, mixed, tmp_path):
    caught = 0
    for part in mixed.split(tmp_path, OTHER_KILLS):
        since = client.applied(client.status(cluster.cells[0]))
        process = cluster.launch_import(part)
        caught += wait_progress(cluster.cells[0], since, process)
        cluster.firehose.kill()
        cluster.firehose.start()
        code, _ = finish(process)
        if code:
            cluster.run_import(part, "--resume")
    assert caught >= OTHER_KILLS // 2, f"only {caught} kills were mid-import"
    check(cluster, mixed)


# Everything dies at once: comb-solo with its log, its cells and its gateway.
def test_solo_killed_during_import(solo, mixed, tmp_path):
    caught = 0
    for part in mixed.split(tmp_path, OTHER_KILLS):
        since = client.applied(client.status(solo.cells[0]))
        process = solo.launch_import(part)
        caught += wait_progress(solo.cells[0], since, process)
        solo.kill()
        solo.start()
        code, _ = finish(process)
        if code:
            solo.run_import(part, "--resume")
    assert caught >= OTHER_KILLS // 2, f"only {caught} kills were mid-import"
    check(solo, mixed)


# A paused cell holds nobody up and catches up by itself.
def test_cell_paused_during_import(cluster, mixed):
    cluster.cell_daemons[0].pause()
    cluster.run_import(mixed.path, "--no-wait")
    cluster.cell_daemons[0].resume()
    check(cluster, mixed)


class Publisher(threading.Thread):
    """Publishes one post after the other and notes what was acknowledged."""

    def __init__(self, address, author, first_id):
        super().__init__(daemon=True)
        self.address, self.author = address, author
        self.next_id = first_id
        self.acknowledged, self.refused, self.reasons = [], [], []
        self.slowest_s = 0
        self._end = threading.Event()

    def run(self):
        while not self._end.is_set():
            begin = time.monotonic()
            self.publish(self.next_id)
            self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
            self.next_id += 1
            time.sleep(0.02)

    def publish(self, number):
        """One post; True if it was acknowledged."""
        one = event("post", self.author, id=number, post={
            "body": b"during the outage"})
        try:
            with Client(Firehose, self.address) as gateway:
                result, = gateway.publish([one], context(deadline_ms=3000))
        except (types.Unavailable, types.Overloaded, types.DeadlineExceeded,
                TTransportException) as error:
            self.reasons.append(str(error))
            self.refused.append(number)
            return False
        assert result.refused is None, result
        if result.failed:
            self.reasons.append(result.failed.reason)
        done = result.position is not None
        (self.acknowledged if done else self.refused).append(number)
        return done

    def finish(self):
        """Stop, and publish again what was not acknowledged."""
        self._end.set()
        self.join()
        return [number for number in self.refused[:]
                if not self.publish(number)]

    def lines(self):
        """What it has told, in the oracle's words."""
        return [{"kind": "post", "id": number, "user": self.author,
                 "body": "during the outage"}
                for number in {*self.acknowledged, *self.refused}]


# (f) The broker is away for ten seconds: a clear error or a wait, no loss.
def test_broker_stopped_during_import(cluster, broker, mixed):
    world = inputs.Input(mixed.path)
    author = world.oracle.users()[-1] - 1
    follow = {"kind": "follow", "id": 77 << 21, "user": author - 1,
              "target": author}
    with Client(Firehose, cluster.gateway) as gateway:
        gateway.follow(author - 1, author, follow["id"], context())
    publisher = Publisher(cluster.gateway, author, 1700000000000 << 21)
    process = cluster.launch_import(mixed.path)
    assert wait_progress(cluster.cells[0], 0, process)
    publisher.start()
    broker.stop()
    time.sleep(OUTAGE_S)
    broker.start()
    code, _ = finish(process)
    if code:
        cluster.run_import(mixed.path, "--resume")
    assert publisher.finish() == []
    assert publisher.slowest_s > 1 or publisher.reasons, "nobody noticed"
    assert all(publisher.reasons), "refused without a reason"
    assert len(publisher.acknowledged) > 1
    for line in (follow, *publisher.lines()):
        world.oracle.add(line)
    check(cluster, world)
    for daemon in cluster.daemons:
        assert daemon.is_running(), daemon.name


# Without the broker nothing is said to be taken.
def test_publish_without_broker(cluster, broker):
    broker.kill()
    publisher = Publisher(cluster.gateway, 7, 1700000000000 << 21)
    assert not publisher.publish(publisher.next_id)
    assert publisher.reasons[0]
    broker.start()
    until = time.monotonic() + 60
    while not publisher.publish(publisher.next_id):
        assert time.monotonic() < until, publisher.reasons[-1]
    cluster.wait_applied(1)
