"""The admin port: the same four pages in every daemon, for people and tools.

One solo and one cluster for the whole file. The pages are read as a browser
would (html.parser), the metrics as Prometheus would (promtool).
"""
import html.parser
import http.client
import json
import re
import socket
import subprocess
import time

import pytest

import promtool
from client import Client, Dashboard, Firehose, context, event, pages, types
from daemons import Daemon, die_with_parent, environment, program
from kafka import KafkaBroker
from stacks import Cluster, Solo

HOT = 4711
CALLS = 50
HOSTILE = "<script>alert('x')</script>\"&"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECTIONS = ["Lag and positions", "Rates and latencies", "Hottest users",
            "Slowest calls of the last hour", "Connections", "Memory",
            "Settings", "What it is"]
VOID = {"meta", "link", "br"}


class Page(html.parser.HTMLParser):
    """A page as a browser sees it; a tag left open or unopened is an error."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.links, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value for name, value in attrs
                       if name in ("href", "src")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data.strip())

    def term(self, name):
        """The texts that stand behind each <dt>name</dt>."""
        return [self.texts[i + 1] for i, text in enumerate(self.texts)
                if text == name]

    def behind(self, text, n):
        """The n texts that are not empty behind the first text."""
        rest = [it for it in self.texts[self.texts.index(text) + 1:] if it]
        return rest[:n]


def ask(address, path, method="GET"):
    """(status, headers, body) of a request to an admin port."""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


def daemons_of(stack):
    """Its daemons by name; each has an admin port."""
    if isinstance(stack, Solo):
        return {"solo": stack.daemon}
    return {"firehose": stack.firehose, "cell": stack.cell_daemons[0],
            "router": stack.router_daemon}


def admins(stack):
    """Admin addresses by daemon."""
    return {name: daemon.ports["admin"]
            for name, daemon in daemons_of(stack).items()}


@pytest.fixture(scope="module", params=["solo", "cluster"])
def town(request, tmp_path_factory):
    """A Comb in which somebody follows somebody and reads."""
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "solo":
        with Solo(directory, cells=1) as stack:
            yield filled(stack)
    else:
        with KafkaBroker() as broker, \
                Cluster(directory, broker.bootstrap, cells=1) as stack:
            stack.broker = broker
            yield filled(stack)


def filled(stack):
    """The stack, with a post, a follow, reads, and a hostile caller."""
    evil = types.RequestContext(caller=HOSTILE, deadline_ms=20000,
                                traceparent=TRACE)
    with Client(Firehose, stack.gateway) as gateway:
        gateway.publish([event("follow", HOT, target_user=7),
                         event("post", 7, post={"body": b"honey"})], evil)
    stack.wait_applied(2)
    with Client(Dashboard, stack.router) as router:
        for _ in range(CALLS):
            router.getDashboard(HOT, pages.PageRequest(), evil)
        router.getDashboard(8, pages.PageRequest(), context())
    return stack


def status_of(address, query=""):
    code, headers, text = ask(address, f"/status{query}")
    assert code == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    return text


def test_same_set_everywhere(town):
    for address in admins(town).values():
        for path in ("/healthz", "/readyz"):
            assert ask(address, path)[::2] == (200, "ok\n")
        for path in ("/healthz", "/readyz", "/metrics", "/status"):
            code, headers, body = ask(address, path, "HEAD")
            assert code == 200 and int(headers["Content-Length"]) > 0
            assert body == ""
            for method in ("POST", "PUT", "DELETE", "OPTIONS"):
                code, headers, _ = ask(address, path, method)
                assert code == 405 and headers["Allow"] == "GET, HEAD"
        for path in ("/", "/statuses", "/status/", "/metrics/x",
                     "/%2e%2e/etc/passwd"):
            assert ask(address, path)[0] == 404, path


def test_bounds(town):
    """What is too long is refused, and the port goes on answering."""
    for address in admins(town).values():
        host, port = address.rsplit(":", 1)
        for head in (b"GET /status?" + b"a" * 100000,
                     b"GET /status HTTP/1.1\r\nX: " + b"a" * 100000):
            with socket.create_connection((host, int(port)), 30) as peer:
                try:
                    peer.sendall(head + b"\r\n\r\n")
                    answer = peer.recv(4096)
                except ConnectionError:
                    answer = b""
            assert not answer.startswith(b"HTTP/1.1 200")
        assert ask(address, "/healthz")[0] == 200


def test_status_page(town):
    for name, address in admins(town).items():
        text = status_of(address)
        page = Page(text)
        for section in SECTIONS:
            assert section in page.texts, (name, section)
        assert f"comb-{name}" in page.texts and "ready" in page.texts
        assert "http-equiv" not in text
        assert 'content="5"' in status_of(address, "?refresh=5")
        # Nothing to fetch, nothing to run.
        assert not {"script", "img", "iframe", "object"} & set(page.tags)
        assert all(re.fullmatch(r"#\w+|/metrics|/status(\?refresh=5)?|data:,",
                                link) for link in page.links), page.links
        daemon = daemons_of(town)[name]
        assert page.term("Process") == [str(daemon.process.pid)]
        assert page.term("host") == ["127.0.0.1"]
        assert page.term("tls-key") == ["not given"]


def test_status_calls(town):
    """Calls, users and slow calls, with a caller who would write HTML."""
    where = admins(town)
    for address in {where.get(name, where.get("solo"))
                    for name in ("router", "cell")}:
        text = status_of(address)
        page = Page(text)
        assert f"{CALLS + 1} so far" in page.texts
        # Hottest first: user, calls, share.
        heads = page.texts.index("share")
        numbers = [it for it in page.texts[heads + 1:] if it][:3]
        assert numbers == [str(HOT), str(CALLS),
                           f"{100 * CALLS / (CALLS + 1):.1f} %"]
        assert "<script" not in text
        assert HOSTILE in page.texts and TRACE in page.texts


def test_status_lag(town):
    """A cell tells how far it is in each partition; its sum is what came."""
    where = admins(town)
    page = Page(status_of(where.get("cell", where.get("solo"))))
    assert page.behind("Lag and positions", 1)[0].startswith(
        "Behind the log by 0 events")
    rows = page.behind("behind", 20)
    assert sum(int(number) for number in rows[2::5]) == 2
    assert rows[2::5] == rows[3::5] and rows[4::5] == ["0"] * 4


def test_lag_of_cells(town):
    """combctl firehose lag without a name: every partition of every cell."""
    done = subprocess.run(
        [program("combctl"), "--gateway", town.gateway, "firehose", "lag",
         "--json"], capture_output=True, text=True, check=True,
        env=environment("."))
    lags = [json.loads(line) for line in done.stdout.splitlines()]
    assert [lag["partition"] for lag in lags] == list(range(len(lags)))
    assert sum(lag["applied_offset"] for lag in lags) == 2
    for lag in lags:
        assert (lag["cell"], lag["events"], lag["behind_ms"]) == (0, 0, 0)
        assert lag["end_offset"] == lag["applied_offset"]


def test_silent_log(town):
    """With a log that does not answer the page comes, and says how old."""
    if isinstance(town, Solo):
        pytest.skip("the local log always answers")
    town.broker.pause()
    try:
        time.sleep(1.5)
        for name in ("cell", "firehose"):
            began = time.monotonic()
            text = status_of(admins(town)[name])
            assert time.monotonic() - began < 5
            assert "The log told its ends " in text, name
            assert ask(admins(town)[name], "/metrics")[0] == 200
    finally:
        town.broker.resume()
    until = time.monotonic() + 60
    while "The log told its ends" in status_of(admins(town)["cell"]):
        assert time.monotonic() < until
        time.sleep(0.2)


def test_not_ready(tmp_path):
    """A daemon that waits for something says for what, and why."""
    with Daemon("comb-router", tmp_path, "--brokers", "127.0.0.1:1",
                "--port", 0, "--admin-port", 0, "--data-dir",
                tmp_path / "data").start() as router:
        admin = router.ports["admin"]
        why = "there is no cell map yet"
        assert ask(admin, "/readyz")[::2] == (503, f"{why}\n")
        assert ask(admin, "/healthz")[0] == 200
        page = Page(status_of(admin))
        assert f"not ready: {why}" in page.texts
        assert "no map yet" in page.texts


def samples(text):
    """{name and labels: value} of an exposition."""
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
            for line in text.splitlines() if not line.startswith("#")}


def test_call_seconds(town):
    """Every call is in the histogram, once, and buckets are cumulative."""
    where = admins(town)
    told = samples(ask(where.get("router", where.get("solo")), "/metrics")[2])
    labels = 'server="router",method="getDashboard"'
    buckets = [value for name, value in told.items()
               if name.startswith(f"comb_call_seconds_bucket{{{labels},")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == told[f"comb_call_seconds_count{{{labels}}}"] \
        == CALLS + 1
    assert 0 < told[f"comb_call_seconds_sum{{{labels}}}"] < 60 * CALLS


@pytest.fixture(scope="module")
def checker():
    """promtool's path; a skip with the reason where there is none."""
    path, why = promtool.find()
    if not path:
        pytest.skip(why)
    return path


def test_promtool_can_complain(checker):
    """The check fails on what it should: no HELP, and a unit in ms."""
    bad = "# TYPE comb_x_ms gauge\ncomb_x_ms 1\n"
    assert "comb_x_ms" in promtool.complaints(checker, bad)


def test_promtool(town, checker):
    """Idle, then under load, promtool has nothing to say."""
    def check():
        for name, address in admins(town).items():
            text = ask(address, "/metrics")[2]
            assert "comb_build_info{" in text
            assert promtool.complaints(checker, text) == "", name

    check()
    load = subprocess.Popen(
        [program("combctl"), "bench", "--address", town.router, "--users",
         f"{HOT}-{HOT + 1000}", "--duration-s", "3", "--warmup-s", "0"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
        env=environment(town.directory), preexec_fn=die_with_parent)
    try:
        while load.poll() is None:
            check()
            for address in admins(town).values():
                Page(status_of(address))
    finally:
        load.kill()
        out = load.communicate()[0]
    assert load.returncode == 0, out
