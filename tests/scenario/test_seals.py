"""What the seals of records show: damage, repeats, and what is missing.

Events go through the gateway, which seals them; records of a gateway that
never was are appended behind its back, with a hole, a repeat, a damaged one
and one in a wrong partition. Cells count and go on; combctl firehose check
names what is not as it must be.
"""
import json
import re
import subprocess
import sys
import urllib.request

from client import Client, Firehose, context, event
from daemons import TESTS, environment, program
from records import Producer

sys.path.insert(0, str(TESTS / "vectors"))
# pylint: disable=wrong-import-position
from murmur2 import partition_of
from seals import sealed

VECTORS = json.loads((TESTS / "vectors/events.json").read_text())
ONE = next(one for one in VECTORS["good"] if one["name"] == "like")
VALUE, KEY = bytes.fromhex(ONE["value"]), bytes.fromhex(ONE["key"])
PARTITIONS, EVENTS, STRANGER = 4, 40, 2**61 + 1
HOME = partition_of(KEY, PARTITIONS)


def check(stack):
    """combctl firehose check: its exit, and what it says of each partition."""
    done = subprocess.run(
        [program("combctl"), "--gateway", stack.gateway, "firehose", "check",
         "--json"], env=environment(stack.directory), capture_output=True,
        text=True, stdin=subprocess.DEVNULL, check=False)
    return (done.returncode,
            [json.loads(line) for line in done.stdout.splitlines()],
            done.stderr)


def counter(daemon, name):
    """A counter on a cell's /metrics."""
    with urllib.request.urlopen(
            f"http://{daemon.ports['admin']}/metrics") as page:
        found = re.search(rf"^{name}{{[^}}]*}} (\d+)$", page.read().decode(),
                          re.MULTILINE)
    return int(found[1])


def publish(stack):
    """Events through the gateway."""
    with Client(Firehose, stack.gateway) as gateway:
        assert all(one.position for one in gateway.publish(
            [event("follow", user, target_user=9)
             for user in range(1, EVENTS + 1)], context()))


# What gateways write is all sealed and dense, over their restarts; on both
# logs.
def test_sealed(stack):
    publish(stack)
    stack.stop()
    stack.start()
    publish(stack)
    code, parts, _ = check(stack)
    assert code == 0
    assert sum(part["records"] for part in parts) == 2 * EVENTS
    for fault in ("unsealed", "damaged", "lost", "repeated", "misplaced"):
        assert not any(part[fault] for part in parts), parts


def test_what_is_wrong_is_seen(cluster, broker):
    publish(cluster)
    damaged = bytearray(sealed(VALUE, STRANGER, 7))
    damaged[12] ^= 1
    records = [
        (HOME, sealed(VALUE, STRANGER, 0)),
        (HOME, sealed(VALUE, STRANGER, 1)),
        (HOME, sealed(VALUE, STRANGER, 1)),
        (HOME, sealed(VALUE, STRANGER, 5)),
        (HOME, VALUE),
        (HOME, bytes(damaged)),
        ((HOME + 1) % PARTITIONS, sealed(VALUE, STRANGER, 0)),
    ]
    with Producer(broker.bootstrap) as producer:
        for partition, value in records:
            producer.append(partition, value, key=KEY)
    states = cluster.wait_applied(EVENTS + len(records))
    assert [state.quarantined for state in states] == [2, 2]
    for daemon in cluster.cell_daemons:
        assert counter(daemon, "comb_cell_log_holes_total") == 3
        assert counter(daemon, "comb_cell_log_repeats_total") == 1
        assert re.search(
            rf"records of a gateway are not in the log cell=\d partition={HOME} "
            rf"offset=\d+ producer={STRANGER} from=2 to=4", daemon.stderr())
    code, parts, said = check(cluster)
    assert code == 1 and "lost" in said
    home = parts[HOME]
    assert (home["lost"], home["repeated"], home["damaged"],
            home["unsealed"], home["missing"]) == (3, 1, 1, 1, 0)
    assert parts[(HOME + 1) % PARTITIONS]["misplaced"] == 1
    for part in parts:
        assert part["partition"] == HOME or part["lost"] == 0
