"""TLS: who is let in, who may call what, and certificates replaced in use."""
import contextlib
import pathlib
import signal
import ssl
import subprocess
import threading
import time

import pytest

import raw
from certs import LOCAL, Authority
from client import (Cell, Client, Dashboard, Firehose, context, event, pages,
                    types)
from daemons import Daemon, environment, program
from stacks import Cluster, Solo
from thrift.transport.TTransport import TTransportException

SERVICES = {"Dashboard": Dashboard, "Cell": Cell, "Firehose": Firehose}
METHODS = {f"{name}.{method}" for name, service in SERVICES.items()
           for method in vars(service.Iface) if not method.startswith("_")}
REFUSED = (ssl.SSLError, ConnectionError, EOFError, TTransportException)
WEB = "spiffe://comb.example/web"

# Who may call what. The router shows its certificate to the cells.
TABLE = {
    WEB: {"Dashboard.getDashboard", "Dashboard.getTimeline"},
    "operator": {name for name in METHODS if not name.startswith("Firehose.")}
                | {"Firehose.getCellMap", "Firehose.setCellMap"},
    "publisher": {"Firehose.publish", "Firehose.createPost",
                  "Firehose.nextIds", "Firehose.follow"},
    "router": {name for name in METHODS if name.startswith("Dashboard.")},
    "everything": METHODS,
    "nothing": set(),
}


def table_text(table):
    """The file of tls-allow."""
    text = ""
    for identity, allowed in table.items():
        text += f"[{identity}]\n"
        for service in sorted({name.split(".")[0] for name in allowed}):
            text += f"{service}=" + ";".join(sorted(
                name.split(".")[1] for name in allowed
                if name.startswith(service + "."))) + "\n"
    return text


class Pki:
    """A CA, a certificate for each identity, and a table."""

    def __init__(self, directory):
        self.ca = Authority(directory, "ca")
        self.other = Authority(directory, "other")
        self.server = self.ca.issue("server", LOCAL)
        self.own = {name: self.ca.issue(name) for name in TABLE
                    if name != WEB}
        self.own[WEB] = self.ca.issue("web", f"URI:{WEB}")
        self.own["unknown"] = self.ca.issue("unknown")
        self.table = directory / "table"
        self.table.write_text(table_text(TABLE))

    def flags(self, router="router"):
        """All of comb-solo's."""
        return [*self.ca.server_flags(self.server, self.table),
                *self.ca.cell_flags(self.own[router])]

    def context(self, identity):
        """A Python client's."""
        return self.ca.context(self.own[identity])


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """Made once; tests that replace files make their own."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def tls_solo(tmp_path_factory, pki):
    """comb-solo with all of TLS, running."""
    with Solo(tmp_path_factory.mktemp("solo"), *pki.flags()) as stack:
        yield stack


def dashboard(router, tls, user=7):
    """One call."""
    with Client(Dashboard, router, tls=tls) as client:
        return client.getDashboard(user, pages.PageRequest(), context())


# --- who is let in (S6) ----------------------------------------------------

# Nobody without a good certificate gets an answer from any port.
def test_certificates(tls_solo, pki):
    bad = {
        "none": pki.ca.context(),
        "expired": pki.ca.context(pki.ca.issue("late", expired=True)),
        "of another CA": pki.ca.context(pki.other.issue("operator")),
        "for servers": pki.ca.context(
            pki.ca.issue("wrong-use", usage="serverAuth")),
    }
    ports = [(Dashboard, tls_solo.router), (Firehose, tls_solo.gateway)]
    ports += [(Dashboard, cell) for cell in tls_solo.cells]
    for service, address in ports:
        for why, tls in bad.items():
            with pytest.raises(REFUSED):
                with Client(service, address, tls=tls) as client:
                    pytest.fail(f"{why}: {client.getCellMap(context())}"
                                if service is Firehose else
                                f"{why}: {client.getPosts([1], context())}")
    assert dashboard(tls_solo.router, pki.context("operator")).complete


# A client believes only the host that it asked for.
def test_server_name(tmp_path, pki):
    elsewhere = pki.ca.issue("elsewhere", "DNS:elsewhere.example")
    flags = [*pki.ca.server_flags(elsewhere),
             *pki.ca.cell_flags(pki.own["router"])]
    with Solo(tmp_path, *flags, cells=1) as stack:
        with pytest.raises(ssl.SSLCertVerificationError):
            dashboard(stack.router, pki.context("operator"))
        tls = pki.context("operator")
        tls.check_hostname = False
        # The router does not believe its cell either.
        with pytest.raises(types.Unavailable, match="IP address mismatch"):
            dashboard(stack.router, tls)
        done = combctl(tmp_path, stack, pki, "operator", "map", "show")
        assert done.returncode == 1 and "mismatch" in done.stderr


# Plain text and TLS do not meet, in no direction, and nobody waits.
def test_plain_and_tls(tls_solo, pki, tmp_path):
    time.sleep(1.1)  # the log takes 10 lines a second from one place
    begin = time.monotonic()
    with pytest.raises(REFUSED):
        dashboard(tls_solo.router, None)
    assert raw.exchange(tls_solo.router, b"GET / HTTP/1.1\r\n\r\n") == b""
    with Solo(tmp_path, cells=1) as plain:
        with pytest.raises(REFUSED):
            dashboard(plain.router, pki.context("operator"))
        assert dashboard(plain.router, None).complete
    assert time.monotonic() - begin < 20
    assert dashboard(tls_solo.router, pki.context("operator")).complete
    assert "http request" in tls_solo.daemon.stderr()


# Events are not to be had in plain text beside TLS.
def test_no_stream(tls_solo):
    assert tls_solo.daemon.ports["http"] == "off"


# Handshakes that never end hold nobody up; the stall timer, which is 30 s
# here and cuts them off in the unit test, is theirs alone.
def test_slow_handshakes(tls_solo, pki):
    with contextlib.ExitStack() as stack:
        for address in [tls_solo.router, *tls_solo.cells] * 30:
            slow = stack.enter_context(raw.dial(address))
            slow.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        for _ in range(10):
            assert dashboard(tls_solo.router, pki.context(WEB)).complete


# --- who may call what (S7) ------------------------------------------------

def denied(connection, service, method):
    """Calls with nothing in its arguments; whether that is not permitted."""
    arguments = getattr(service, method + "_args")()
    result = getattr(service, method + "_result")()
    connection.sendall(raw.frame(raw.encode_call(method, arguments)))
    reply = raw.decode_reply(raw.receive_frame(connection), result)
    return reply.denied is not None


# Every method by every identity, at every port that has it.
@pytest.mark.parametrize("identity", [*TABLE, "unknown"])
def test_every_method(tls_solo, pki, identity):
    ports = {"Dashboard": [tls_solo.router, *tls_solo.cells],
             "Cell": tls_solo.cells, "Firehose": [tls_solo.gateway]}
    allowed = TABLE.get(identity, set())
    assert len(METHODS) >= 22
    for name in sorted(METHODS):
        service, method = name.split(".")
        for address in ports[service]:
            host = address.rsplit(":", 1)[0]
            with raw.dial(address) as plain, pki.context(
                    identity).wrap_socket(plain, server_hostname=host) as tls:
                assert denied(tls, SERVICES[service], method) == \
                    (name not in allowed), f"{identity} {name} {address}"


# Names that look like another's are nobody's.
@pytest.mark.parametrize("name, names", [
    ("Operator", None), ("operator ", None), ("*", None), ("", None),
    ("operator", "URI:spiffe://comb.example/other"),
    ("everything", f"URI:{WEB}x"), (WEB + "/", None)])
def test_similar_names(tls_solo, pki, name, names):
    own = pki.ca.issue("similar", names, subject=name)
    with pytest.raises(types.PermissionDenied):
        dashboard(tls_solo.router, pki.ca.context(own))


# The refusal says who and what; the router's own is passed on as it is.
def test_reason(tls_solo, pki, tmp_path):
    with pytest.raises(types.PermissionDenied) as caught:
        dashboard(tls_solo.router, pki.context("publisher"))
    assert caught.value.reason == '"publisher" may not call getDashboard'
    with Solo(tmp_path, *pki.flags(router="nothing"), cells=1) as stack:
        with pytest.raises(types.PermissionDenied) as caught:
            dashboard(stack.router, pki.context("operator"))
    assert caught.value.reason == '"nothing" may not call getDashboard'


# --- reload ----------------------------------------------------------------

class Caller(threading.Thread):
    """Calls in a loop: over one connection, and over new ones."""

    def __init__(self, address, tls):
        super().__init__(daemon=True)
        self.address, self.tls = address, tls
        self.done = threading.Event()
        self.calls, self.errors, self.serials = 0, [], set()

    def run(self):
        try:
            with Client(Dashboard, self.address, tls=self.tls) as kept:
                while not self.done.is_set():
                    kept.getPosts([1], context())
                    with Client(Dashboard, self.address,
                                tls=self.tls) as fresh:
                        fresh.getPosts([1], context())
                        self.serials.add(
                            fresh.certificate()["serialNumber"])
                    self.calls += 2
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(error)


def reload(daemon, times):
    """SIGHUP; waits until it has been acted on that often in all."""
    daemon.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 20
    while log_of(daemon).count("thrift.tls read again side=server") + \
            log_of(daemon).count("old ones kept side=server") < times:
        assert time.monotonic() < until, daemon.stderr()
        time.sleep(0.01)


def log_of(daemon):
    """All that this run has logged."""
    # pylint: disable=protected-access
    return daemon._log("err").read_text()


# Certificates are replaced under callers that see no error; whoever connects
# afterwards sees the new one.
def test_reload_under_load(tmp_path):
    pki = Pki(tmp_path)
    with Solo(tmp_path / "solo", *pki.flags()) as stack:
        callers = [Caller(address, pki.context("operator"))
                   for address in (stack.router, stack.router,
                                   stack.cells[0])]
        for caller in callers:
            caller.start()
        serials = {pki.server.serial()}
        for times in range(1, 6):
            serials.add(pki.ca.issue("server", LOCAL).serial())
            reload(stack.daemon, times)
            with Client(Dashboard, stack.router,
                        tls=pki.context("operator")) as fresh:
                assert fresh.certificate()["serialNumber"] == \
                    pki.server.serial()
            time.sleep(0.2)
        for caller in callers:
            caller.done.set()
            caller.join(20)
            assert not caller.errors, caller.errors
            assert caller.calls > 20 and caller.serials <= serials
        assert len(callers[0].serials | callers[1].serials) > 3
        assert stack.daemon.is_running()


# Bad files change nothing and are told, by file and reason; good ones after
# them are taken.
def test_reload_bad(tmp_path):
    pki = Pki(tmp_path)
    with Solo(tmp_path / "solo", *pki.flags(), cells=1) as stack:
        good = pki.server.cert.read_text()
        serial = pki.server.serial()
        pki.server.cert.write_text("honey")
        pki.table.write_text("[web]\nDashbord=*\n")
        reload(stack.daemon, 1)
        with Client(Dashboard, stack.router,
                    tls=pki.context("operator")) as client:
            assert client.certificate()["serialNumber"] == serial
            client.getPosts([1], context())
        crit = [line for line in log_of(stack.daemon).splitlines()
                if " crit " in line]
        assert len(crit) == 2
        assert f"{pki.table}: [web]: there is no service Dashbord" in crit[0]
        assert f"{pki.server.cert}: no start line" in crit[1]
        pki.server.cert.write_text(good)
        pki.table.write_text(table_text(
            {**TABLE, "operator": set(), "unknown": METHODS}))
        reload(stack.daemon, 2)
        dashboard(stack.router, pki.context("unknown"))
        with pytest.raises(types.PermissionDenied):
            dashboard(stack.router, pki.context("operator"))


# Without TLS there is nothing to reload: SIGHUP is one more clean stop.
def test_hangup_without_tls(tmp_path):
    with Solo(tmp_path, cells=1) as stack:
        stack.daemon.process.send_signal(signal.SIGHUP)
        assert stack.daemon.process.wait(60) == 0


# --- settings --------------------------------------------------------------

def check_config(tmp_path, name, *flags):
    """The exit code and what is said."""
    done = subprocess.run(
        [program(name), *map(str, flags), "--check-config"], text=True,
        capture_output=True, env=environment(tmp_path), check=False)
    return done.returncode, done.stderr


# Half of TLS is none: each missing file is asked for by name.
@pytest.mark.parametrize("name", ["comb-cell", "comb-firehose", "comb-router",
                                  "comb-solo"])
def test_all_or_nothing(tmp_path, name):
    must = [] if name == "comb-solo" else ["--brokers", "127.0.0.1:1"]
    wrong = [(["--tls-cert", "f"], "tls-key: is missing"),
             (["--tls-key", "f"], "tls-cert: is missing"),
             (["--tls-ca", "f"], "tls-cert: is missing"),
             (["--tls-allow", "f"], "tls-ca: is missing"),
             (["--tls-cert", "f", "--tls-key", "f", "--tls-allow", "f"],
              "tls-ca: is missing"),
             (["--tls-cert="], "tls-cert: is empty")]
    if name in ("comb-router", "comb-solo"):
        wrong += [(["--cell-tls-cert", "f", "--cell-tls-ca", "f"],
                   "cell-tls-key: is missing"),
                  (["--cell-tls-cert", "f", "--cell-tls-key", "f"],
                   "cell-tls-ca: is missing")]
    if name == "comb-solo":
        wrong += [(["--tls-cert", "f", "--tls-key", "f"],
                   "cell-tls-ca: is missing"),
                  (["--cell-tls-ca", "f"], "tls-cert: is missing"),
                  (["--tls-cert", "f", "--tls-key", "f", "--tls-ca", "f",
                    "--cell-tls-ca", "f"], "cell-tls-cert: is missing")]
    for flags, words in wrong:
        code, said = check_config(tmp_path, name, *must, *flags)
        assert code == 2 and f"{name}: {words}" in said, (flags, said)
        daemon = Daemon(name, tmp_path, *must, *flags)
        assert daemon.run_to_end() == 2
    assert check_config(tmp_path, name, *must)[0] == 0


# Files that cannot be used end the start, and are named.
def test_unusable_files(tmp_path, pki):
    late = pki.ca.issue("too-late", LOCAL, expired=True)
    other = pki.ca.issue("one-more", LOCAL)
    other.key = pki.server.key
    for own, words in ((late, f"{late.cert}: the certificate has expired"),
                       (other, f"{other.key}: key values mismatch")):
        daemon = Daemon("comb-solo", tmp_path, "--data-dir", tmp_path / "data",
                        *pki.ca.server_flags(own),
                        *pki.ca.cell_flags(pki.own["router"]))
        assert daemon.run_to_end() == 1
        assert "crit solo.main stopped" in daemon.stderr()
        assert words in daemon.stderr()


# It is said at the start that TLS is on, and for whom.
def test_told(tls_solo, pki):
    log = log_of(tls_solo.daemon)
    assert f'callers_of="{pki.ca.pem}" allow="{pki.table}"' in log
    assert f'serial={pki.server.serial()}' in log
    assert f'side=client cert="{pki.own["router"].cert}"' in log


# --- everybody over TLS ----------------------------------------------------

def combctl(directory, stack, pki, identity, *args):
    """combctl over TLS, as identity."""
    return subprocess.run(
        [program("combctl"), "--gateway", stack.gateway, "--router",
         stack.router, *pki.ca.combctl_flags(pki.own[identity]), *args],
        text=True, capture_output=True, stdin=subprocess.DEVNULL,
        env=environment(directory), check=False)


def post_and_read(stack, pki):
    """A post goes through the gateway and comes back from the cells."""
    with Client(Firehose, stack.gateway,
                tls=pki.context("publisher")) as gateway:
        results = gateway.publish(
            [event("follow", 7, target_user=8),
             event("post", 8, post={"body": b"x" * 60000})] +
            [event("post", 8, post={"body": b"y" * 60000})] * 30, context())
    assert all(result.position for result in results)
    until = time.monotonic() + 60
    with Client(Dashboard, stack.router, tls=pki.context(WEB)) as router:
        while True:
            page = router.getDashboard(7, pages.PageRequest(limit=100),
                                       context())
            if len(page.entries) == 31:
                return
            assert time.monotonic() < until, len(page.entries)
            time.sleep(0.05)


def test_solo(tls_solo, pki):
    post_and_read(tls_solo, pki)


# combctl speaks TLS to gateway, router and cells, and says why not.
def test_combctl(tls_solo, pki, tmp_path):
    done = combctl(tmp_path, tls_solo, pki, "everything", "status")
    assert done.returncode == 0, done.stderr
    done = combctl(tmp_path, tls_solo, pki, "everything", "post", "9", "hello")
    assert done.returncode == 0, done.stderr
    done = combctl(tmp_path, tls_solo, pki, "operator", "post", "9", "hello")
    assert done.returncode == 1 and "may not call" in done.stderr, done.stderr
    done = combctl(tmp_path, tls_solo, pki, "operator", "--tls-key", "",
                   "map", "show")
    assert done.returncode == 2 and "tls-key: is empty" in done.stderr
    plain = subprocess.run(
        [program("combctl"), "--gateway", tls_solo.gateway, "map", "show"],
        text=True, capture_output=True, env=environment(tmp_path),
        check=False)
    assert plain.returncode == 1


# The same as daemons of their own, each with its own certificate.
def test_cluster(tmp_path, broker, pki, monkeypatch):
    for name, file in (("CA", pki.ca.pem),
                       ("CERT", pki.own["everything"].cert),
                       ("KEY", pki.own["everything"].key)):
        monkeypatch.setenv(f"COMB_TLS_{name}", str(file))
    stack = Cluster(tmp_path, broker.bootstrap)
    for daemon in stack.daemons:
        own = pki.ca.issue(pathlib.Path(daemon.directory).name, LOCAL)
        daemon.flags += map(str, pki.ca.server_flags(own, pki.table))
    stack.router_daemon.flags += map(
        str, pki.ca.cell_flags(pki.own["router"]))
    with stack:
        post_and_read(stack, pki)
        for daemon in stack.daemons:
            reload(daemon, 1)
        for daemon in stack.cell_daemons:
            daemon.kill()
            daemon.start().wait_readyz()
        until = time.monotonic() + 30
        while True:
            try:
                for user in range(1, 9):
                    dashboard(stack.router, pki.context(WEB), user)
                break
            except types.Unavailable:
                assert time.monotonic() < until
                time.sleep(0.1)
        post = combctl(tmp_path, stack, pki, "everything", "status")
        assert post.returncode == 0, post.stderr
