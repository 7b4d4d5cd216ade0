"""combctl bench against a real comb-solo: load, its figures, its refusals."""
import json
import re
import signal
import subprocess
import time
import urllib.request

import pytest

from client import Client, Firehose, context, event
from daemons import environment, free_port, program
from stacks import Solo

READERS, AUTHOR, POSTS = 20, 5000, 45


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A Comb in which twenty readers follow an author of 45 posts."""
    with Solo(tmp_path_factory.mktemp("solo")) as stack:
        with Client(Firehose, stack.gateway) as gateway:
            told = [event("follow", reader, target_user=AUTHOR)
                    for reader in range(1, READERS + 1)]
            told += [event("post", AUTHOR, post={"body": b"honey" * 100})
                     for _ in range(POSTS)]
            for result in gateway.publish(told, context()):
                assert result.position, result
        stack.wait_applied(len(told))
        yield stack


def launch(world, *flags):
    """combctl bench in the background, answers in JSON."""
    return subprocess.Popen(
        [program("combctl"), "bench", "--json", *map(str, flags)], text=True,
        env=environment(world.directory), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def bench(world, *flags):
    """One second of load; its figures."""
    process = launch(world, "--address", world.router, "--users",
                     f"1-{READERS}", "--duration-s", 1, "--warmup-s", 0.2,
                     *flags)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    return json.loads(out)


def assert_sane(told):
    """Only good answers, and numbers that fit together."""
    assert told["calls"] > 0
    for trouble in ("exceptions", "unanswered", "unsent", "incomplete",
                    "broken_connections"):
        assert told[trouble] == 0, told
    assert 0 < told["p50_us"] <= told["p90_us"] <= told["p99_us"] \
        <= told["p999_us"] <= told["max_us"]
    assert told["client_cpu_us_per_call"] > 0


def test_closed_loop(world):
    told = bench(world, "--check")
    assert_sane(told)
    assert told["loop"] == "closed"
    assert told["entries_per_call"] == 20
    assert told["bytes_per_s"] > told["calls_per_s"] * 20 * 500
    assert list(told["methods"]) == ["dashboard"]


def test_open_loop_keeps_its_rate(world):
    told = bench(world, "--rate", 100, "--constant", "--check")
    assert_sane(told)
    assert told["loop"] == "open"
    assert 98 <= told["calls"] <= 102


def test_mix_of_methods(world):
    told = bench(world, "--mix", "dashboard=50,timeline=30,posts=20",
                 "--limit", 7, "--check")
    assert_sane(told)
    assert set(told["methods"]) == {"dashboard", "timeline", "posts"}
    assert sum(one["calls"] for one in told["methods"].values()) \
        == told["calls"]


def test_straight_to_a_cell_counts_strangers(world):
    """A cell refuses users who live elsewhere, and that is told."""
    told = bench(world, "--address", world.cells[0])
    assert told["calls"] > 0
    assert told["exceptions"] == told["exceptions_by_kind"]["not_homed"] > 0


def test_a_stall_is_not_left_out(world):
    """Calls that were due while the service stood still waited that long,
    though only a few of them could be sent."""
    process = launch(world, "--address", world.router, "--users",
                     f"1-{READERS}", "--duration-s", 4, "--warmup-s", 0,
                     "--rate", 200, "--connections", 1, "--depth", 1)
    time.sleep(1.5)
    world.daemon.pause()
    time.sleep(1)
    world.daemon.resume()
    out, err = process.communicate()
    assert process.returncode == 0, err
    told = json.loads(out)
    # A quarter of the calls; half of those waited for half a second or more.
    assert told["max_us"] > 900_000
    assert told["p90_us"] > 400_000


def test_interrupt_ends_with_what_was_measured(world):
    process = launch(world, "--address", world.router, "--users",
                     f"1-{READERS}", "--duration-s", 600, "--warmup-s", 0)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told["interrupted"] is True
    assert told["calls"] > 0 and told["exceptions"] == 0
    assert 0 < told["seconds"] < 60


def wait_calls(admin):
    """Until the router that has just begun has passed calls on."""
    until = time.monotonic() + 15
    while True:
        with urllib.request.urlopen(f"http://{admin}/metrics") as answer:
            text = answer.read().decode()
        calls = re.search(
            r"^comb_router_calls_total{.*getDashboard.*} (\d+)$", text, re.M)
        if int(calls[1]) > 100:
            return
        assert time.monotonic() < until, text
        time.sleep(0.1)


def test_a_lost_connection_comes_back(world, tmp_path):
    """A daemon that ends and starts again is asked again."""
    with Solo(tmp_path) as other:
        process = launch(other, "--address", other.router, "--users", "1-9",
                         "--duration-s", 20, "--warmup-s", 0)
        time.sleep(1)
        other.kill()
        other.start()
        wait_calls(other.admin)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told["broken_connections"] >= 8
    assert told["unanswered"] > 0


@pytest.mark.parametrize("flags, words", [
    ((), ("--users", "--users-file")),
    (("--users", "1-9", "--users-file", "x"), ("--users", "--users-file")),
    (("--users", "9-1"), ("--users", "9-1")),
    (("--users", "1-99999999"), ("--users", "10000000")),
    (("--users", "1-9", "--limit", "0"), ("--limit", "1 to 100")),
    (("--users", "1-9", "--limit", "101"), ("--limit", "1 to 100")),
    (("--users", "1-9", "--depth", "0"), ("--depth", "1 to 1000")),
    (("--users", "1-9", "--connections", "0"),
     ("--connections", "1 to 10000")),
    (("--users", "1-9", "--rate", "-1"), ("--rate", "0 to")),
    (("--users", "1-9", "--rate", "nan"), ("--rate", "0 to")),
    (("--users", "1-9", "--zipf", "-1"), ("--zipf", "0 to 5")),
    (("--users", "1-9", "--duration-s", "0"), ("--duration-s", "0.1 to")),
    (("--users", "1-9", "--deadline-ms", "0"), ("--deadline-ms", "1 to")),
    (("--users", "1-9", "--caller", "x" * 65), ("--caller", "64")),
    (("--users", "1-9", "--constant"), ("--constant", "--rate")),
    (("--users", "1-9", "--mix", "dashboard=99"), ("--mix", "100 in all")),
    (("--users", "1-9", "--mix", "likes=100"), ("--mix", "100 in all")),
    (("--users", "1-9", "--address", "nowhere"), ("--address", "HOST:PORT")),
    (("--users", "1-9", "--no-such-flag"), ("no-such-flag",)),
    (("--users", "1-9", "stray"), ("usage",)),
])
def test_bad_flag_is_refused(world, flags, words):
    process = launch(world, *flags)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    for word in words:
        assert word in err
    assert err.count("\n") == 1


def test_nobody_there_is_told(world):
    nobody = f"127.0.0.1:{free_port()}"
    process = launch(world, "--address", nobody, "--users", "1-9")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    assert nobody in err and "refused" in err


def test_missing_file_is_told(world):
    process = launch(world, "--address", world.router, "--users-file",
                     "/nonexistent/users")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    assert "/nonexistent/users" in err
