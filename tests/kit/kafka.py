"""A real Kafka broker for tests: one node from pinned Maven jars.

    with KafkaBroker() as broker:
        use(broker.bootstrap)

The jars (kafka/pom.xml, 54 MB) are fetched once by Maven into
$XDG_CACHE_HOME/comb or ~/.cache/comb. The broker listens on free ports of
127.0.0.1, keeps its data in a directory of its own, and is killed by the
kernel if the test process dies.
"""
import base64
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import uuid

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
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},\
CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
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


def jars():
    """The directory of the broker's jars, fetched on first use."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME")
                         or pathlib.Path.home() / ".cache") / "comb"
    directory = cache / f"kafka-{VERSION}"
    if directory.is_dir():
        return directory
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise KafkaError(f"no {tool}: apt-get install "
                             "openjdk-17-jre-headless maven")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as part:
        target = pathlib.Path(part) / "jars"
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", POM, COPY,
             f"-DoutputDirectory={target}"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise KafkaError("Maven cannot fetch the broker's jars "
                             f"({POM}):\n{done.stdout}")
        try:
            target.rename(directory)
        except OSError:  # another test run was faster
            if not directory.is_dir():
                raise
    return directory


def _free_ports(n):
    probes = [socket.socket() for _ in range(n)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


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


class KafkaBroker:
    """One broker. Ports and data stay the same from start to start."""

    def __init__(self):
        self.port, self._controller = _free_ports(2)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.process = None
        self._jars = jars()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="comb-kafka-"))
        self._settings = self.directory / "server.properties"
        self._settings.write_text(SETTINGS.format(
            port=self.port, controller=self._controller,
            data=self.directory / "data"))
        try:
            self._format()
        except BaseException:
            self.remove()
            raise

    def start(self):
        """Start and wait until it answers."""
        assert self.process is None, "the broker runs already"
        with open(self.directory / "broker.log", "ab") as log:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", self._settings),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.directory, preexec_fn=_start_child)
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

    def resume(self):
        """Undo pause()."""
        self.process.send_signal(signal.SIGCONT)

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

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *_):
        self.remove()

    def _java(self, main, *args):
        return [*JAVA, "-cp", f"{self._jars}/*", main, *map(str, args)]

    def _format(self):
        # The first bits are 0, so that it never begins with a dash, which the
        # tool would take for a flag.
        number = uuid.uuid4().int >> 8
        cluster = base64.urlsafe_b64encode(number.to_bytes(16, "big"))
        self.tool("kafka.tools.StorageTool", "format", "--standalone",
                  "-t", cluster.decode().rstrip("="), "-c", self._settings)
