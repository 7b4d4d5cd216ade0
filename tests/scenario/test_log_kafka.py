"""The Kafka driver against a real broker, in order and through outages.

The checks themselves are in tests/kit/log_check.c, the same table of
behaviours that tests/unit/test_log.c runs over the other drivers.
"""
import json
import subprocess
import time

from client import Client, Firehose, context, event
from daemons import die_with_parent, environment, program

STEADY_S = 12
BEFORE_S = 3  # appends run so long before the outage
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
EVENTS, LATER = 40, 15
PATIENCE_S = 60
PAUSE_S = 7  # longer than log-check's delivery timeout, 5 s


def launch(broker, tmp_path, *flags):
    """log-check in the background; its log lines go to a file."""
    with open(tmp_path / "log-check.err", "wb") as err:
        return subprocess.Popen(
            [program("log-check"), "--brokers", broker.bootstrap, *flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err,
            text=True, env=environment(tmp_path), preexec_fn=die_with_parent)


def finish(process, tmp_path):
    """What it printed; it must have gone well."""
    out, _ = process.communicate()
    err = (tmp_path / "log-check.err").read_text()
    assert process.returncode == 0, out + err
    return out


def steady(broker, tmp_path, outage):
    """Appends and reads while outage(); answers what came of it."""
    process = launch(broker, tmp_path, "--steady", str(STEADY_S))
    assert process.stdout.readline() == "ready\n"
    time.sleep(BEFORE_S)
    outage()
    counts = json.loads(finish(process, tmp_path).splitlines()[-1])
    assert counts["lost"] == 0
    assert counts["acked"] > 1000
    return counts


# Everything the other drivers do, and what only Kafka can get wrong.
def test_behaviours(broker, tmp_path):
    assert "ok 1 " in finish(launch(broker, tmp_path), tmp_path)


# A broker that restarts holds appends up; each is acknowledged in the end.
def test_restart(broker, tmp_path):
    counts = steady(broker, tmp_path, broker.restart)
    assert counts["longest_wait_ms"] > 500
    assert counts["uncertain"] == counts["refused"] == 0


# A broker that is killed loses nothing that it has acknowledged.
def test_kill(broker, tmp_path):
    def outage():
        broker.kill()
        broker.start()

    counts = steady(broker, tmp_path, outage)
    assert counts["longest_wait_ms"] > 500


# Appends that nobody answers in time are given up, with a clear outcome.
def test_pause(broker, tmp_path):
    def outage():
        broker.pause()
        time.sleep(PAUSE_S)
        broker.resume()

    counts = steady(broker, tmp_path, outage)
    assert counts["uncertain"] > 0


def groups(broker):
    """By group what Kafka's tool says: records applied, and its lag."""
    told = {}
    for line in broker.tool(GROUPS, "--bootstrap-server", broker.bootstrap,
                            "--describe", "--all-groups").splitlines():
        words = line.split()
        if len(words) > 5 and words[1] == "comb.firehose.v1":
            applied, lag = told.get(words[0], (0, 0))
            told[words[0]] = (applied + int(words[3]), lag + int(words[5]))
    return told


def await_groups(broker, wanted):
    """Until the tool says so: a cell tells every few seconds."""
    until = time.monotonic() + PATIENCE_S
    while (told := groups(broker)) != wanted:
        assert time.monotonic() < until, told


def publish(cluster, count):
    """So many events."""
    with Client(Firehose, cluster.gateway) as gateway:
        assert all(one.position for one in gateway.publish(
            [event("follow", user, target_user=9)
             for user in range(1, count + 1)], context()))


# Kafka's own tool lists the cells, with the lag of one that is away.
def test_consumer_groups(cluster, broker):
    publish(cluster, EVENTS)
    await_groups(broker, {"comb.cell.0": (EVENTS, 0),
                          "comb.cell.1": (EVENTS, 0)})
    cluster.cell_daemons[1].stop()
    publish(cluster, LATER)
    await_groups(broker, {"comb.cell.0": (EVENTS + LATER, 0),
                          "comb.cell.1": (EVENTS, LATER)})
