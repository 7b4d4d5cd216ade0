"""Reading the firehose: HTTP streams, fetch and combctl, on both logs.

One log of random events for each driver, published over some seconds. The
oracle is the list of what was published, with the places that publish gave and
the times that the log gave; every test compares what comes out with it.

COMB_STREAM_TIMES says from how many random times to stream (a few hundred).
"""
import http.client
import json
import os
import random
import socket
import subprocess
import threading
import time

import pytest

from client import Client, Firehose, context, event, types
from comb.firehose import ttypes as firehose
from daemons import environment, program
from stacks import PARTITIONS
from town import USERS, Stream, kafka_town, publish, solo_town, stream

SEED = 20
TIMES = int(os.environ.get("COMB_STREAM_TIMES", "200"))
EVENTS = 600
BIG = 200  # posts of 60 KB, more than sockets hold
STALL_S = 30
POST_KINDS = [None, "text", "photo"]


# --- the client ------------------------------------------------------------

def sse(town, query, last_id=None, limit=None):
    """(id, object) of a stream of server-sent events; up to limit."""
    headers = {"Accept": "text/event-stream"}
    if last_id:
        headers["Last-Event-ID"] = last_id
    with Stream(town, query, headers) as events:
        assert events.response.headers["Content-Type"] == "text/event-stream"
        told, number = [], None
        while limit is None or len(told) < limit:
            line = events.response.readline().decode()
            if not line:
                break
            if line.startswith("id: "):
                number = line[4:-1]
            elif line.startswith("data: "):
                told.append((number, json.loads(line[6:])))
        return told


def refusal(town, query, headers=()):
    """Status and body of a stream that is refused."""
    lines = Stream(town, query, headers)
    answer = json.loads(lines.response.read())
    lines.connection.close()
    return lines.response.status, answer


# --- the town and its oracle -------------------------------------------------

def by_partition(lines):
    """By partition, the ids that came, in order."""
    parts = {}
    for line in lines:
        parts.setdefault(line["partition"], []).append(line["id"])
    return parts


def add_log_times(town):
    """Holds the whole log against what was published, and takes its times."""
    before = [one["logged_ms"] for one in town.events if "logged_ms" in one]
    by_id = {one["id"]: one for one in town.events}
    lines = stream(town, "since=earliest&follow=0")
    assert len(lines) == len(by_id)
    for line in lines:
        one = by_id[line["id"]]
        assert (line["kind"], line["user"]) == (one["kind"], one["user"])
        # A Position: version, partition, offset, check.
        assert line["partition"] == int.from_bytes(one["place"][1:5], "big")
        assert line["offset"] == int.from_bytes(one["place"][5:13], "big")
        one |= {key: line[key] for key in
                ("partition", "offset", "logged_ms", "position")}
    town.events.sort(key=lambda one: (one["partition"], one["offset"]))
    for one, after in zip(town.events, town.events[1:]):
        if one["partition"] == after["partition"]:
            assert one["offset"] + 1 == after["offset"]
            assert one["logged_ms"] <= after["logged_ms"]
    assert len(before) in (0, len(town.events))


@pytest.fixture(scope="module", params=["solo", "kafka"])
def town(request, tmp_path_factory):
    """One log for all tests of a driver."""
    make = {"solo": solo_town, "kafka": kafka_town}[request.param]
    with make(tmp_path_factory.mktemp(request.param)) as made:
        made.events = publish(made, EVENTS, random.Random(SEED))
        add_log_times(made)
        time.sleep(1.1)  # what is past is past in every partition
        yield made


@pytest.fixture(scope="module", autouse=True)
def slow_reader(tmp_path_factory):
    """A client that reads nothing, on a gateway of its own, from the first
    test on: cutting it off takes its time."""
    with solo_town(tmp_path_factory.mktemp("slow")) as made:
        with Client(Firehose, made.gateway) as gateway:
            posts = [event("post", 1, post={"body": b"x" * 60000})
                     for _ in range(BIG // 2)]
            for _ in range(2):
                gateway.publish(posts, context())
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = made.http.rsplit(":", 1)
        link.connect((host, int(port)))
        link.sendall(b"GET /v1/stream?since=earliest HTTP/1.1\r\n\r\n")
        yield made, link, time.monotonic()
        link.close()


# --- times -----------------------------------------------------------------

# From any time on: in every partition exactly what is not before it.
def test_random_times(town):
    dice = random.Random(SEED + 1)
    stamps = [one["logged_ms"] for one in town.events]
    for _ in range(TIMES):
        since = dice.randrange(min(stamps) - 20, max(stamps) + 200)
        query = f"since={since}&follow=0"
        wanted = town.wanted(since=since)
        if dice.random() < 0.3:
            until = since + dice.randrange(1, 1500)
            if until > max(stamps) + 50:
                continue
            query = f"since={since}&until={until}"
            wanted = town.wanted(since=since, until=until)
        assert by_partition(stream(town, query)) == wanted, query


# The same time in other words.
def test_words_for_times(town):
    first = min(one["logged_ms"] for one in town.events)
    middle = first + 700
    iso = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(middle // 1000))
    iso += f".{middle % 1000:03}"
    wanted = town.wanted(since=middle)
    for words in (f"{iso}Z", f"{iso}+00:00", f"{iso}%2B00:00"):
        assert by_partition(stream(town, f"since={words}&follow=0")) == wanted
    assert by_partition(stream(town, "since=PT1H&follow=0")) == town.wanted()
    assert stream(town, "since=now&follow=0") == []


# --- resuming ----------------------------------------------------------------

# Broken off after any line, gone on from its position: nothing is lost and
# nothing comes twice.
def test_resume(town):
    dice = random.Random(SEED + 2)
    for _ in range(10):
        lines = stream(town, f"since=earliest&limit={dice.randrange(1, 400)}")
        while len(lines) < EVENTS:
            query = f"position={lines[-1]['position']}&follow=0"
            more = stream(town, f"{query}&limit={dice.randrange(1, 400)}")
            assert more
            lines += more
        assert by_partition(lines) == town.wanted()


# A browser comes back with the id of the last event it saw.
def test_last_event_id(town):
    dice = random.Random(SEED + 3)
    events = sse(town, "since=earliest", limit=dice.randrange(1, 300))
    while len(events) < EVENTS:
        events += sse(town, "since=earliest", last_id=events[-1][0],
                      limit=min(dice.randrange(1, 300), EVENTS - len(events)))
    assert by_partition(one for _, one in events) == town.wanted()
    assert all(number == one["position"] for number, one in events)


# From a published event's own position: it comes, and what is not older.
def test_from_published_event(town):
    dice = random.Random(SEED + 4)
    for one in dice.sample(town.events, 10):
        with Client(Firehose, town.gateway) as gateway:
            answer = gateway.fetch(firehose.FetchRequest(
                position=one["place"], max_events=1000), context())
        wanted = town.wanted(since=one["logged_ms"])
        mine = wanted[one["partition"]]
        wanted[one["partition"]] = mine[mine.index(one["id"]):]
        got = {}
        for logged in answer.events:
            got.setdefault(logged.partition, []).append(logged.event.id)
        while not answer.at_end:
            with Client(Firehose, town.gateway) as gateway:
                answer = gateway.fetch(firehose.FetchRequest(
                    position=answer.position, max_events=1000), context())
            for logged in answer.events:
                got.setdefault(logged.partition, []).append(logged.event.id)
        assert got == wanted


# --- filters and content -----------------------------------------------------

def test_filters(town):
    dice = random.Random(SEED + 5)
    kinds = sorted({one["kind"] for one in town.events})
    for _ in range(10):
        some = dice.sample(kinds, dice.randrange(1, 4))
        users = dice.sample(USERS, dice.randrange(1, 8))
        lines = stream(town, f"since=earliest&follow=0&kinds={','.join(some)}"
                       f"&authors={','.join(map(str, users))}")
        assert by_partition(lines) == town.wanted(kinds=some, authors=users)


# A stream can be imported again: what it gives is what was published.
def test_import_again(town, tmp_path):
    (tmp_path / "again.ndjson").write_text("".join(
        json.dumps(line) + "\n"
        for line in stream(town, "since=earliest&follow=0")))
    with solo_town(tmp_path / "other") as other:
        done = subprocess.run(
            [program("combctl"), "import", tmp_path / "again.ndjson",
             "--gateway", other.gateway, "--no-wait"],
            env=environment(tmp_path), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        place = ("position", "logged_ms", "partition", "offset")

        def content(lines):
            return sorted(json.dumps({key: value for key, value in line.items()
                                      if key not in place}, sort_keys=True)
                          for line in lines)

        assert content(stream(other, "since=earliest&follow=0")) == \
            content(stream(town, "since=earliest&follow=0"))


# --- fetch and combctl -------------------------------------------------------

def test_fetch(town):
    dice = random.Random(SEED + 6)
    got, request = {}, firehose.FetchRequest(since="earliest")
    with Client(Firehose, town.gateway) as gateway:
        while True:
            request.max_events = dice.randrange(1, 200)
            answer = gateway.fetch(request, context())
            for one in answer.events:
                got.setdefault(one.partition, []).append(one.event.id)
                assert one.undecodable is None
            request = firehose.FetchRequest(position=answer.position)
            if answer.at_end:
                break
    assert got == town.wanted()


def test_combctl(town):
    code, out, err = town.combctl("tail", "--from-earliest", "--json")
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert by_partition(lines) == town.wanted()
    half = lines[len(lines) // 2]["position"]
    code, out, err = town.combctl("tail", "--from-position", half, "--json",
                                  "--kinds", "post", "--limit", "20")
    assert code == 0 and 0 < len(out.splitlines()) <= 20, err
    code, out, err = town.combctl("topics", "--json")
    assert code == 0, err
    bounds = [json.loads(line) for line in out.splitlines()]
    for part in bounds:
        mine = [one["logged_ms"] for one in town.events
                if one["partition"] == part["partition"]]
        assert part["end_offset"] - part["first_offset"] == len(mine)
        assert (part["first_ms"], part["last_ms"]) == (mine[0], mine[-1])
    code, out, err = town.combctl("check", "--json")
    assert code == 0, err
    assert sum(json.loads(line)["records"] for line in out.splitlines()) == \
        EVENTS
    code, _, err = town.combctl("tail", "--from-datetime", "soon")
    assert code == 1 and "request.since" in err
    assert town.combctl("tail", "--from-duration", "5")[0] == 2


# --- refusals ----------------------------------------------------------------

@pytest.mark.parametrize("query, field", [
    ("since=yesterday", "since"),
    ("since=2026-01-01T00:00:00", "since"),
    ("since=9999-01-01T00:00:00Z", "since"),
    ("since=P1M", "since"),
    ("position=AgAB", "position"),
    ("position=%00%ff", "position"),
    ("until=never", "until"),
    ("since=PT1H&until=P1D", "until"),
    ("kinds=poke", "kinds"),
    ("authors=alice", "authors"),
    ("limit=0", "limit"),
    ("format=xml", "format"),
    ("follow=maybe", "follow"),
    ("client=x", "client"),
    ("limit=1&limit=2", "limit"),
])
def test_bad_query(town, query, field):
    status, answer = refusal(town, query)
    assert status == 400
    assert answer["field"] == field and answer["reason"]


def test_bad_last_event_id(town):
    status, answer = refusal(town, "", {"Last-Event-ID": "AgAB"})
    assert (status, answer["field"]) == (400, "Last-Event-ID")


# --- live --------------------------------------------------------------------

# While events are published a client comes and goes: it misses none. These
# events are the last of the log, so this test and those below it come last.
def test_live(town):
    dice = random.Random(SEED + 7)
    came, query = [], "since=now"
    done = []
    with Stream(town, query) as lines:
        writer = threading.Thread(target=lambda: done.extend(
            publish(town, 300, random.Random(SEED + 8), first=EVENTS)))
        writer.start()
        iterator = iter(lines)
        for _ in range(dice.randrange(1, 60)):
            came.append(next(iterator))
    while len(came) < 300:
        rest = min(dice.randrange(1, 60), 300 - len(came))
        with Stream(town, f"position={came[-1]['position']}"
                    f"&limit={rest}") as lines:
            came += lines
    writer.join()
    assert sorted(one["id"] for one in came) == \
        sorted(one["id"] for one in done)
    for ids in by_partition(came).values():
        places = [next(one["place"] for one in done if one["id"] == number)
                  for number in ids]
        assert places == sorted(places)


# A broker that restarts holds a stream up, and no more.
def test_broker_restart(town):
    if town.broker is None:
        pytest.skip("there is no broker")
    with Stream(town, "since=now&limit=60") as lines:
        done = publish(town, 30, random.Random(SEED + 9), first=EVENTS + 300)
        town.broker.restart()
        done += publish(town, 30, random.Random(SEED + 10), first=EVENTS + 330)
        assert sorted(one["id"] for one in lines) == \
            sorted(one["id"] for one in done)


# A broker that does not answer holds a fetch up to its deadline, no longer.
def test_broker_away(town):
    if town.broker is None:
        pytest.skip("there is no broker")
    town.broker.pause()
    begin = time.monotonic()
    with Client(Firehose, town.gateway) as gateway:
        with pytest.raises(types.DeadlineExceeded):
            gateway.fetch(firehose.FetchRequest(since="earliest"),
                          context(deadline_ms=1000))
        assert 0.9 < time.monotonic() - begin < 4
        town.broker.resume()
        answer = gateway.fetch(firehose.FetchRequest(since="earliest"),
                               context())
    assert len(answer.events) > 0


def drop_records(town, tmp_path, firsts):
    """Takes away what is before these offsets, by partition."""
    asked = tmp_path / "offsets.json"
    asked.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": "comb.firehose.v1", "partition": i, "offset": first}
        for i, first in firsts.items()]}))
    town.broker.tool("org.apache.kafka.tools.DeleteRecordsCommand",
                     "--bootstrap-server", town.broker.bootstrap,
                     "--offset-json-file", asked)


# Where the log has dropped records a time before that is refused, with the
# earliest one that loses nothing, unless what is left is asked for.
def test_dropped(town, tmp_path):
    if town.broker is None:
        pytest.skip("only Kafka's records can be dropped by hand")
    begin = min(one["logged_ms"] for one in town.events)
    old = stream(town, "since=earliest&limit=1")[0]["position"]
    firsts = {part: sum(1 for one in town.events
                        if one["partition"] == part) // (part + 2)
              for part in range(1, PARTITIONS)}
    drop_records(town, tmp_path, firsts)
    left = stream(town, "since=earliest&follow=0")
    for place in (f"since={begin}", f"position={old}"):
        status, answer = refusal(town, f"{place}&follow=0")
        assert (status, answer["field"]) == (400, place.split("=")[0])
        assert "or_earliest" in answer["reason"]
        again = stream(town, f"{place}&follow=0&or_earliest=1")
        assert len(left) - len(again) in (0, 1)
    status, answer = refusal(town, f"since={begin}&follow=0")
    dropped = [one["logged_ms"] for one in town.events
               if one["offset"] < firsts.get(one["partition"], 0)]
    assert answer["limit"] > max(dropped)
    lines = stream(town, f"since={answer['limit']}&follow=0")
    wanted = town.wanted(since=answer["limit"])
    for part, ids in by_partition(lines).items():
        assert ids[:len(wanted.get(part, []))] == wanted.get(part, [])
    assert refusal(town, f"since={answer['limit'] - 1}&follow=0")[0] == 400


# A stop of the daemon ends a stream with a line that says so.
def test_stop(town):
    with Stream(town, "since=now") as lines:
        town.daemon.process.terminate()
        last = list(lines)
    town.daemon.process.wait()
    town.daemon.process = None
    town.daemon.check_output()
    assert [one["kind"] for one in last] == ["stopped"]
    assert last[0]["position"] and last[0]["reason"] == "the gateway stops"
    town.daemon.start()


# --- the slow reader ---------------------------------------------------------

# A client that takes nothing is cut off after its time, others read on.
def test_slow_reader(slow_reader):
    town, link, begin = slow_reader
    assert len(stream(town, "since=earliest&follow=0")) == BIG
    admin = town.daemon.ports["admin"]
    while True:
        connection = http.client.HTTPConnection(admin)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        if "comb_stream_cut_off_total 1\n" in text:
            break
        assert time.monotonic() - begin < STALL_S + 20
        time.sleep(0.2)
    assert time.monotonic() - begin > STALL_S - 5
    assert "a client that takes nothing is cut off" in town.daemon.stderr()
    came = b""
    while data := link.recv(65536):
        came += data
    assert not came.endswith(b"\r\n0\r\n\r\n")
