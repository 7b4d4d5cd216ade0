"""The peers' servers: started for one run, pinned, and always stopped."""
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SERVER_CORE = 0
PR_SET_PDEATHSIG = 1
START_S = 20
_libc = ctypes.CDLL(None)


def pin_server():
    """In the child: on the server's core, and gone when we are."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.cpu_count() > 1:
        os.sched_setaffinity(0, {SERVER_CORE})


class Scratch:
    """A directory on the disk that the worlds are on, gone afterwards."""

    def __init__(self, world):
        self.parent = world.path.parent
        self.path = None

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="bench-run-",
                                                  dir=self.parent))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def wait_for(process, there):
    """Until the server answers."""
    until = time.monotonic() + START_S
    while not there():
        if process.poll() is not None or time.monotonic() > until:
            sys.exit(f"{process.args[0]} did not start")
        time.sleep(0.05)


def stop(process):
    """A server is stopped by its own process id."""
    process.terminate()
    process.wait()


def redis(world, flags, command, settings):
    """One run over a fresh redis-server."""
    with Scratch(world) as scratch:
        # A socket's path must be short.
        with tempfile.TemporaryDirectory(prefix="comb-") as short:
            socket = pathlib.Path(short) / "s"
            server = subprocess.Popen(
                ["redis-server", "--port", "0", "--unixsocket", socket,
                 "--dir", scratch, "--save", "", "--daemonize", "no",
                 *settings], stdout=subprocess.DEVNULL, preexec_fn=pin_server)
            try:
                wait_for(server, socket.exists)
                time.sleep(0.1)
                result = world.tool("comb-bench-peer", command, *flags,
                                    "--socket", socket)
                result["rss"] = memory_peak(server.pid)
                return result
            finally:
                stop(server)


def memory_peak(pid):
    """Most bytes that a process had resident."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def rocksdb_rows(world, flags):
    """One run over a fresh RocksDB."""
    with Scratch(world) as scratch:
        return world.tool("comb-bench-peer", "rocksdb-rows", *flags, "--dir",
                          scratch / "db")


class Postgres:
    """A database cluster of one run. Root may not run one: postgres does."""

    def __init__(self, scratch):
        self.data = scratch / "data"
        self.as_user = []
        if os.geteuid() == 0:
            self.as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(scratch, "postgres")
        self.socket = tempfile.TemporaryDirectory(prefix="comb-")
        if self.as_user:
            shutil.chown(self.socket.name, "postgres")
        self.server = None

    def program(self, name):
        """Debian keeps the server's programs beside its libraries."""
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob(
            f"*/bin/{name}"))
        if not found:
            sys.exit("PostgreSQL is not installed (package postgresql)")
        return str(found[-1])

    def __enter__(self):
        subprocess.run([*self.as_user, self.program("initdb"), "-D", self.data,
                        "-A", "trust", "-U", "postgres", "--no-sync"],
                       check=True, stdout=subprocess.DEVNULL)
        self.server = subprocess.Popen(
            [*self.as_user, self.program("postgres"), "-D", self.data,
             "-k", self.socket.name, "-c", "listen_addresses=",
             "-c", "synchronous_commit=off", "-c", "shared_buffers=1GB",
             "-c", "max_wal_size=8GB", "-c", "wal_level=minimal",
             "-c", "max_wal_senders=0", "-c", "autovacuum=off"],
            stderr=subprocess.DEVNULL, preexec_fn=pin_server)
        socket = pathlib.Path(self.socket.name) / ".s.PGSQL.5432"
        wait_for(self.server, socket.exists)
        time.sleep(1)
        return self

    def __exit__(self, *_):
        stop(self.server)
        self.socket.cleanup()

    def psql(self, statement, **more):
        """One statement."""
        return subprocess.run(
            ["psql", "-h", self.socket.name, "-U", "postgres", "-qAtX",
             "-v", "ON_ERROR_STOP=1", "-c", statement], check=True, **more)


def postgresql(world, flags):
    """(user, post) rows by COPY, synchronous_commit off."""
    peer = [str(flag) for flag in
            [world.build / "bin/comb-bench-peer", "{}", *flags]]

    def ours(command, **more):
        return subprocess.Popen([peer[0], command, *peer[2:]], **more)

    with Scratch(world) as scratch, Postgres(scratch) as base:
        base.psql("CREATE TABLE inbox (user_id bigint, post_id bigint, "
                  "PRIMARY KEY (user_id, post_id))")
        begin = time.monotonic()
        with ours("copy", stdout=subprocess.PIPE) as rows:
            base.psql("COPY inbox FROM STDIN (FORMAT binary)",
                      stdin=rows.stdout)
        took = time.monotonic() - begin
        count = int(base.psql("SELECT count(*) FROM inbox", text=True,
                              stdout=subprocess.PIPE).stdout)
        size = int(base.psql("SELECT pg_total_relation_size('inbox')",
                             text=True, stdout=subprocess.PIPE).stdout)
        with ours("rows-digest", stdin=subprocess.PIPE, text=True,
                  stdout=subprocess.PIPE) as digest:
            base.psql("COPY (SELECT user_id, post_id FROM inbox ORDER BY "
                      "user_id, post_id DESC) TO STDOUT",
                      stdout=digest.stdin)
            digest.stdin.close()
            result = json.loads(digest.stdout.read())
    return {**result, "deliveries": count, "per_s": count / took,
            "bytes_per_entry": size / count, "cpu_us": None}


AOF = ["--appendonly", "yes", "--appendfsync", "everysec",
       "--auto-aof-rewrite-percentage", "0"]
MEMORY = ["--appendonly", "no"]

# name: (level of durability, by default, how it is run)
PEERS = {
    "redis-list": ("L0", True, lambda world, flags:
                   redis(world, flags, "redis-list", MEMORY)),
    "redis-list-aof": ("L1", True, lambda world, flags:
                       redis(world, flags, "redis-list", AOF)),
    "rocksdb-rows": ("L1", True, rocksdb_rows),
    "redis-zset": ("L0", False, lambda world, flags:
                   redis(world, flags, "redis-zset", MEMORY)),
    "redis-zset-aof": ("L1", False, lambda world, flags:
                       redis(world, flags, "redis-zset", AOF)),
    "postgresql": ("L1", False, postgresql),
}
