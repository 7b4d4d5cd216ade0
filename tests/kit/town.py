"""A gateway over either log, events published to it, and streams from it.

    with town.solo_town(directory) as made:
        made.events = town.publish(made, 600, random.Random(1))
        town.stream(made, "since=earliest&follow=0")
"""
import contextlib
import dataclasses
import http.client
import json
import subprocess
import time

from client import Client, Firehose, context, event, types
from daemons import Daemon, environment, program
from kafka import KafkaBroker
from stacks import PARTITIONS, Solo

USERS = range(1, 21)
TARGETS = {"follow": "target_user", "unfollow": "target_user",
           "block": "target_user", "like": "target_post",
           "unlike": "target_post", "delete": "target_post",
           "read_mark": "target_post"}


class Stream:
    """An HTTP stream; iterate over its objects."""

    def __init__(self, town, query, headers=(), timeout_s=30):
        host, port = town.http.rsplit(":", 1)
        self.connection = http.client.HTTPConnection(host, int(port),
                                                     timeout=timeout_s)
        self.connection.request("GET", f"/v1/stream?{query}",
                                headers=dict(headers))
        self.socket = self.connection.sock
        self.response = self.connection.getresponse()

    def __iter__(self):
        while line := self.response.readline():
            yield json.loads(line)

    def __enter__(self):
        assert self.response.status == 200, self.response.read()
        return self

    def __exit__(self, *_):
        self.connection.close()


def stream(town, query):
    """All of a stream that ends by itself."""
    with Stream(town, query) as lines:
        return list(lines)


@dataclasses.dataclass
class Town:
    """A gateway, and what was published to it."""

    daemon: Daemon
    gateway: str
    http: str
    broker: KafkaBroker = None
    events: list = dataclasses.field(default_factory=list)

    def wanted(self, since=0, until=2**62, kinds=None, authors=None):
        """By partition, the ids that a stream must give, in order."""
        parts = {}
        for one in self.events:
            if since <= one["logged_ms"] < until \
                    and (kinds is None or one["kind"] in kinds) \
                    and (authors is None or one["user"] in authors):
                parts.setdefault(one["partition"], []).append(one["id"])
        return parts

    def combctl(self, *args):
        """The output of combctl firehose."""
        done = subprocess.run(
            [program("combctl"), "--gateway", self.gateway, "firehose", *args],
            env=environment(self.daemon.directory), capture_output=True,
            text=True, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr


def random_event(dice, number):
    kind = dice.choice(["post", "post", *TARGETS])
    fields = {"id": (1764000000000 << 21) + (number << 8)}
    if kind == "post":
        body = dice.choice([b"caf\xc3\xa9 \"x\"\n", b"plain", b"\x01"])
        fields["post"] = {"body": body, "tags": ["a\"b"]}
        if dice.random() < 0.3:
            fields["post"] = {"kind": types.PostKind.PHOTO,
                              "body": dice.randbytes(9)}
    else:
        fields[TARGETS[kind]] = dice.randrange(1, 2**62)
    return kind, event(kind, dice.choice(USERS), **fields)


def publish(town, count, dice, pause_s=0.02, first=0):
    """Random events in small batches at uneven times."""
    told = []
    with Client(Firehose, town.gateway) as gateway:
        while len(told) < count:
            batch = [random_event(dice, first + len(told) + i)
                     for i in range(min(dice.randrange(1, 6),
                                        count - len(told)))]
            results = gateway.publish([one for _, one in batch], context())
            for (kind, one), result in zip(batch, results):
                assert result.position, result
                told.append({"id": one.id, "kind": kind, "user": one.user,
                             "place": result.position, "event": one})
            time.sleep(dice.random() * pause_s)
    return told


@contextlib.contextmanager
def solo_town(directory):
    with Solo(directory, cells=1) as stack:
        yield Town(stack.daemon, stack.gateway, stack.http)


@contextlib.contextmanager
def kafka_town(directory):
    with KafkaBroker() as broker:
        with Daemon("comb-firehose", directory, "--brokers", broker.bootstrap,
                    "--data-dir", directory / "data", "--port", 0,
                    "--http-port", 0, "--admin-port", 0, "--partitions",
                    PARTITIONS).start() as daemon:
            yield Town(daemon, daemon.ports["gateway"], daemon.ports["http"],
                       broker)
