"""Real Kafka brokers for tests, from pinned Maven jars.

    with KafkaBroker() as broker:
        use(broker.bootstrap)
    with KafkaCluster() as kafka:
        use(kafka.bootstrap)
        kafka.brokers[0].kill()

The jars (kafka/pom.xml, 54 MB) are fetched once by Maven into
$XDG_CACHE_HOME/comb or ~/.cache/comb, and so are their classes (49 MB). A broker listens on free ports of
127.0.0.1, keeps its data in a directory of its own, and is killed by the
kernel if the test process dies.
"""
import base64
import concurrent.futures
import contextlib
import ctypes
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import typing
import uuid

from daemons import free_port

POM = pathlib.Path(__file__).resolve().parent / "kafka/pom.xml"
VERSION = "4.1.1"
COPY = ("org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
        ":copy-dependencies")
JAVA = ("java", "-Xms128m", "-Xmx256m", "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1")
START_S = 60
STOP_S = 30

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

SETTINGS = """\
process.roles=broker,controller
node.id={node}
{quorum}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},\
CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=1
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=2097152
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=500
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
auto.create.topics.enable=false
"""


class KafkaError(Exception):
    """The broker, or what it needs, is not to be had."""


@contextlib.contextmanager
def _first_use(name):
    """The path of something in our cache, to be made where it is not there.

    By one test run at a time: Maven's own cache does not stand two.
    """
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME")
                         or pathlib.Path.home() / ".cache") / "comb"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / f"{name}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache / name


def jars():
    """The directory of the broker's jars, fetched on first use."""
    with _first_use(f"kafka-{VERSION}") as directory:
        if not directory.is_dir():
            _fetch_jars(directory)
    return directory


def _classes():
    """Java's flags for a copy of the classes as a broker has them in memory.

    It makes a start twice as fast. Made on first use; a Java that it does not
    suit goes without.
    """
    with _first_use(f"kafka-{VERSION}.jsa") as path:
        if not path.exists():
            part = path.with_suffix(".part")
            broker = KafkaBroker(java=())
            try:
                broker.launch(f"-XX:ArchiveClassesAtExit={part}").wait()
                broker.stop()
            finally:
                broker.remove()
            part.rename(path)
    return (f"-XX:SharedArchiveFile={path}", "-Xlog:disable")


def _fetch_jars(directory):
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise KafkaError(f"no {tool}: apt-get install "
                             "openjdk-17-jre-headless maven")
    with tempfile.TemporaryDirectory(dir=directory.parent) as part:
        target = pathlib.Path(part) / "jars"
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", POM, COPY,
             f"-DoutputDirectory={target}"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise KafkaError("Maven cannot fetch the broker's jars "
                             f"({POM}):\n{done.stdout}")
        target.rename(directory)


def _start_child():
    # In the child, before exec: a process group of its own, and killed when
    # the test process ends.
    os.setpgid(0, 0)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _answers(port):
    """Whether the broker answers ApiVersions (version 0) on this port."""
    request = struct.pack(">hhih", 18, 0, 7, -1)
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as link:
            link.sendall(struct.pack(">i", len(request)) + request)
            return link.recv(8)[4:] == struct.pack(">i", 7)
    except OSError:
        return False


def _cluster_id():
    # The first bits are 0, so that it never begins with a dash, which the
    # tool would take for a flag.
    number = uuid.uuid4().int >> 8
    return base64.urlsafe_b64encode(number.to_bytes(16, "big")).decode() \
        .rstrip("=")


class _Reader:
    """Takes what Kafka's protocol has in an answer, one after the other."""

    def __init__(self, data):
        self._data, self._at = data, 0

    def take(self, form):
        """A number of struct's format."""
        value, = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return value

    def text(self):
        """A string, or None."""
        size = self.take(">h")
        self._at += max(size, 0)
        return self._data[self._at - size:self._at].decode() \
            if size >= 0 else None

    def array(self, element):
        """Whatever element() takes, as often as it is there."""
        return [element() for _ in range(self.take(">i"))]


def _exchange(port, key, version, body):
    """A request and its answer, as it came."""
    request = struct.pack(">hhih", key, version, 7, -1) + body
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        link.sendall(struct.pack(">i", len(request)) + request)
        with link.makefile("rb") as answer:
            size, number = struct.unpack(">ii", answer.read(8))
            assert number == 7
            return _Reader(answer.read(size - 4))


def _ask_partitions(port, topic):
    """Number -> Partition, by Metadata, version 4."""
    name = topic.encode()
    answer = _exchange(port, 3, 4, struct.pack(">ih", 1, len(name)) + name +
                       b"\0")
    answer.take(">i")  # throttled
    answer.array(lambda: (answer.take(">i"), answer.text(),
                          answer.take(">i"), answer.text()))  # brokers
    answer.text()      # cluster
    answer.take(">i")  # controller

    def partition():
        answer.take(">h")  # error
        return answer.take(">i"), Partition(
            answer.take(">i"), answer.array(lambda: answer.take(">i")),
            answer.array(lambda: answer.take(">i")))

    (_, _, _, found), = answer.array(
        lambda: (answer.take(">h"), answer.text(), answer.take(">b"),
                 answer.array(partition)))
    return dict(found)


class _Running:
    """Started by with, removed after it, and where it does not start."""

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *_):
        self.remove()


class KafkaBroker(_Running):
    """One broker. Ports and data stay the same from start to start.

    Alone, or a member of a KafkaCluster, which says what it has to know.
    java: flags, instead of those for a quick start.
    """

    def __init__(self, node=1, controller=None, voters=None, cluster=None,
                 java=None):
        self.node, self.port = node, free_port()
        controller = controller or free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.process, self.paused = None, False
        self._jars = jars()
        self._flags = _classes() if java is None else java
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="comb-kafka-"))
        self._settings = self.directory / "server.properties"
        own = f"controller.quorum.bootstrap.servers=127.0.0.1:{controller}"
        self._settings.write_text(SETTINGS.format(
            node=node, port=self.port, controller=controller,
            data=self.directory / "data",
            quorum=f"controller.quorum.voters={voters}" if voters else own,
            replicas=voters.count("@") if voters else 1))
        try:
            self.tool("kafka.tools.StorageTool", "format",
                      *(() if voters else ("--standalone",)),
                      "-t", cluster or _cluster_id(), "-c", self._settings)
        except BaseException:
            self.remove()
            raise

    def start(self):
        """Start and wait until it answers."""
        return self.launch().wait()

    def launch(self, *flags):
        """Start the process, with more of Java's flags; wait for nothing."""
        assert self.process is None, "the broker runs already"
        with open(self.directory / "broker.log", "ab") as log:
            self.process = subprocess.Popen(
                self._java(*flags, "kafka.Kafka", self._settings),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.directory, preexec_fn=_start_child)
        return self

    def wait(self):
        """Until it answers."""
        until = time.monotonic() + START_S
        while not _answers(self.port):
            if self.process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise KafkaError(f"the broker does not start:\n{self.log()}")
            time.sleep(0.05)
        return self

    def stop(self):
        """Clean stop; the data stays."""
        if self.process is None:
            return
        self.resume()
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self):
        """kill -9; the data stays."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self.process = None

    def restart(self):
        """Clean stop and start."""
        self.stop()
        return self.start()

    def pause(self):
        """Freeze the process: connections stay, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        """Undo pause()."""
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def tool(self, main, *args):
        """Run a Kafka tool by its Java class; answers what it prints."""
        done = subprocess.run(
            self._java(main, *args), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=self.directory, preexec_fn=_start_child)
        if done.returncode != 0:
            raise KafkaError(f"{main} failed:\n{done.stdout}")
        return done.stdout

    def log(self):
        """The end of what the broker printed."""
        path = self.directory / "broker.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def remove(self):
        """Kill it and remove its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _java(self, *args):
        return [*JAVA, *self._flags, "-cp", f"{self._jars}/*",
                *map(str, args)]


class Partition(typing.NamedTuple):
    """Who has a partition, as a broker sees it."""

    leader: int  # node; -1: nobody
    replicas: list
    in_sync: list


class KafkaCluster(_Running):
    """Several brokers, each a controller too; all run, or some."""

    def __init__(self, count=3):
        ports = [free_port() for _ in range(count)]
        voters = ",".join(f"{node}@127.0.0.1:{port}"
                          for node, port in enumerate(ports, 1))
        cluster = _cluster_id()
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            self.brokers = list(pool.map(
                lambda node: KafkaBroker(node, ports[node - 1], voters,
                                         cluster), range(1, count + 1)))
        self.bootstrap = ",".join(one.bootstrap for one in self.brokers)

    def partitions(self, topic):
        """Number -> Partition, as the first broker knows that is there."""
        for broker in self.brokers:
            if broker.process is not None and not broker.paused:
                return _ask_partitions(broker.port, topic)
        raise KafkaError("no broker runs")

    def wait_partitions(self, topic, condition, timeout_s=START_S):
        """Until each Partition of a topic fulfils a condition; all of them."""
        until = time.monotonic() + timeout_s
        while True:
            found = self.partitions(topic)
            if found and all(map(condition, found.values())):
                return found
            if time.monotonic() > until:
                raise KafkaError(f"{topic}: still {found}")
            time.sleep(0.05)

    def remove_topics(self, *names):
        """Delete topics, by DeleteTopics, version 1."""
        body = b"".join(struct.pack(">h", len(name)) + name.encode()
                        for name in names)
        answer = _exchange(self.brokers[0].port, 20, 1, struct.pack(
            ">i", len(names)) + body + struct.pack(">i", START_S * 1000))
        answer.take(">i")  # throttled
        errors = answer.array(lambda: (answer.text(), answer.take(">h")))
        if any(error for _, error in errors):
            raise KafkaError(f"topics are not deleted: {errors}")

    def start(self):
        """Start all, beside each other, and wait until they answer."""
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait()
        return self

    def remove(self):
        """Kill all and remove their data."""
        for broker in self.brokers:
            broker.remove()
