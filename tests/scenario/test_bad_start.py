"""Starts that must be refused, with a line that says why.

1: the world is not as it must be (data of another, no broker); 2: a setting is
wrong. Better no cell than one that serves a quietly wrong inbox (I10).
"""
import re
import shlex
import shutil
import struct
import subprocess
import time

import pytest

import rocks
from client import Client, Firehose, context, event
from daemons import Daemon, free_port
from kafka import KafkaBroker
from stacks import Cluster, Solo

CONNECT_MS, CONNECT_S = 1000, 30


def refused(daemon, *words, code=1):
    """The daemon ends with the code and says each word on stderr."""
    assert daemon.run_to_end() == code, daemon.stderr()
    said = daemon.stderr()
    for word in words:
        assert word in said, said
    daemon.check_output()


def cell_directory(solo, number):
    """Where comb-solo keeps a cell."""
    return solo.data / f"cell-{number}"


@pytest.fixture
def founded(tmp_path):
    """A comb-solo that has run, with something in it, and is stopped."""
    return found(Solo(tmp_path / "solo"))


def found(solo):
    """Start, publish a little, stop."""
    with solo:
        with Client(Firehose, solo.gateway) as gateway:
            gateway.publish([event("follow", i, target_user=i + 1)
                             for i in range(1, 50)], context())
        solo.wait_applied(49)
    return solo


# --- data of another -------------------------------------------------------

def test_data_of_another_cell(founded, tmp_path):
    zero, one = (cell_directory(founded, i) for i in (0, 1))
    zero.rename(tmp_path / "aside")
    one.rename(zero)
    (tmp_path / "aside").rename(one)
    refused(founded.daemon, "cell: the data directory says 1, this is 0")


def test_data_of_a_newer_version(founded):
    rocks.put(cell_directory(founded, 0) / "store", b"mformat",
              struct.pack("<I", 99))
    refused(founded.daemon, "format", "99")


def test_data_of_another_log(founded, tmp_path):
    other = found(Solo(tmp_path / "other"))
    shutil.rmtree(cell_directory(founded, 0))
    shutil.copytree(cell_directory(other, 0), cell_directory(founded, 0))
    refused(founded.daemon, "another log")


def test_log_that_was_lost(founded):
    shutil.rmtree(founded.data / "log")
    refused(founded.daemon, "another log")


def test_two_processes_on_one_directory(founded, tmp_path):
    second = Daemon("comb-solo", tmp_path / "second", "--data-dir",
                    founded.data, "--router-port", 0, "--gateway-port", 0,
                    "--http-port", 0, "--admin-port", 0)
    with founded:
        refused(second)
    found(founded)


def test_cell_of_another_cell_and_log_on_kafka(tmp_path, broker):
    with Cluster(tmp_path, broker.bootstrap, cells=1) as cluster:
        data = cluster.cell_daemons[0].directory / "data"
    common = ("comb-cell", tmp_path / "again", "--data-dir", data,
              "--port", 0, "--admin-port", 0)
    refused(Daemon(*common, "--brokers", broker.bootstrap, "--cell", 1),
            "cell: the data directory says 0, this is 1")
    with KafkaBroker() as other:
        with Cluster(tmp_path / "other", other.bootstrap, cells=1):
            refused(Daemon(*common, "--brokers", other.bootstrap,
                           "--cell", 0), "another log")


# --- what to do is said ----------------------------------------------------

# Whole, however deep the directory: the line's command mends it.
def test_command_in_the_log(tmp_path):
    solo = found(Solo(tmp_path / ("deep" * 50)))
    (cell_directory(solo, 0) / "highwater").unlink()
    refused(solo.daemon, "the high-water file is missing")
    reason, = re.findall(r'crit solo.main stopped reason="(.+)"$',
                         solo.daemon.stderr(), re.M)
    command = re.search("rebuild from the log: (.+) and start again", reason)
    subprocess.run(shlex.split(command[1]), check=True)
    with solo:
        solo.wait_applied(49)


# --- no broker -------------------------------------------------------------

@pytest.mark.parametrize("name, flags", [
    ("comb-cell", ("--cell", 0)), ("comb-firehose", ())])
def test_missing_broker(tmp_path, name, flags):
    nobody = f"127.0.0.1:{free_port()}"
    daemon = Daemon(name, tmp_path, "--brokers", nobody, "--data-dir",
                    tmp_path / "data", "--port", 0, "--admin-port", 0,
                    "--connect-timeout-ms", CONNECT_MS, *flags)
    begin = time.monotonic()
    refused(daemon, nobody)
    assert time.monotonic() - begin < CONNECT_S


# --- settings --------------------------------------------------------------

@pytest.mark.parametrize("name, flags, word", [
    ("comb-solo", ("--cells", "0"), "cells"),
    ("comb-solo", ("--cells", "two"), "cells"),
    ("comb-solo", ("--partitions", "-1"), "partitions"),
    ("comb-solo", ("--gateway-port", "65536"), "gateway-port"),
    ("comb-solo", ("--no-such-flag",), "no-such-flag"),
    ("comb-solo", ("stray",), "stray"),
    ("comb-cell", ("--cell", "4096"), "cell"),
    ("comb-cell", ("--cell", "0"), "brokers"),
    ("comb-firehose", (), "brokers"),
    ("comb-router", (), "brokers"),
    ("comb-router", ("--config", "/nonexistent"), "/nonexistent"),
])
def test_bad_setting(tmp_path, name, flags, word):
    data = ("--data-dir", tmp_path / "data") if flags != ("stray",) else ()
    refused(Daemon(name, tmp_path, *data, *flags), word, code=2)


@pytest.mark.parametrize("taken", ["--gateway-port", "--http-port"])
def test_port_in_use(founded, tmp_path, taken):
    port = founded.daemon.flags[founded.daemon.flags.index(taken) + 1]
    ports = {"--router-port": 0, "--gateway-port": 0, "--http-port": 0,
             "--admin-port": 0, taken: port}
    second = Daemon("comb-solo", tmp_path / "second", "--data-dir",
                    tmp_path / "data", *(word for flag in ports.items()
                                         for word in flag))
    with founded:
        refused(second, port)
