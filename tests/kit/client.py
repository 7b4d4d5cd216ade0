"""Thrift clients from the code that the compiler generates for Python.

Nothing here knows how Comb encodes anything: what works here works in every
language that Thrift serves.
"""
import logging
import sys
import time

from daemons import BUILD

sys.path.insert(0, str(BUILD / "thrift/gen-py"))
# pylint: disable=wrong-import-position
from comb.cell import Cell
from comb.dashboard import Dashboard, ttypes as pages
from comb.firehose import Firehose
from comb.types import ttypes as types
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import (TFramedTransport,
                                         TTransportException)

# Connections that fail are normal here, and told by the exception.
logging.getLogger("thrift.transport.TSocket").setLevel(logging.CRITICAL)

__all__ = ["Cell", "Client", "Dashboard", "Firehose", "applied", "context",
           "event", "pages", "status", "types", "wait_applied"]


class Client:
    """A connection; calls are methods: Client(Dashboard, a).getPosts(...).

    tls: an ssl.SSLContext; without, in plain text.
    """

    def __init__(self, service, address, timeout_s=30, tls=None):
        host, port = address.rsplit(":", 1)
        self._socket = TSocket(host, int(port))
        self._socket.setTimeout(timeout_s * 1000)
        self._transport = TFramedTransport(self._socket)
        self._calls = service.Client(
            TBinaryProtocolAccelerated(self._transport))
        self._socket.open()
        if tls:
            self._wrap(tls, host)

    def _wrap(self, tls, host):
        try:
            self._socket.setHandle(tls.wrap_socket(self._socket.handle,
                                                   server_hostname=host))
        except BaseException:
            self._socket.close()
            raise

    def certificate(self):
        """What the server has shown, as getpeercert() has it."""
        return self._socket.handle.getpeercert()

    def __getattr__(self, name):
        return getattr(self._calls, name)

    def close(self):
        """Hang up."""
        self._transport.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def context(deadline_ms=20000, **fields):
    """A RequestContext."""
    return types.RequestContext(caller="scenario", deadline_ms=deadline_ms,
                                **fields)


def event(kind, user, post=None, **fields):
    """An Event; post is a dictionary of the Post's fields, a text post's."""
    content = post and types.Post(**{"kind": types.PostKind.TEXT, **post})
    return types.Event(kind=types.EventKind._NAMES_TO_VALUES[kind.upper()],
                       user=user, post=content, **fields)


def status(address):
    """A cell's CellStatus, or None while it does not answer."""
    try:
        with Client(Cell, address) as cell:
            return cell.status(context())
    except (OSError, EOFError, TTransportException, types.Unavailable):
        return None


def applied(state):
    """Records of the log that a cell has applied, by its CellStatus."""
    return sum(part.applied for part in state.partitions) if state else 0


def wait_applied(addresses, at_least, timeout_s=240):
    """Wait until every cell has applied the whole log, and it is at rest.

    at_least: records that are known to be in the log. A cell may not have
    heard of the newest ones yet; that guards against believing it too early.
    """
    until = time.monotonic() + timeout_s
    previous = None
    while True:
        states = [status(address) for address in addresses]
        ends = [[(part.applied, part.log_end) for part in state.partitions]
                if state else None for state in states]
        done = all(end and all(a == b for a, b in end) for end in ends)
        if done and min(map(applied, states)) >= at_least:
            if ends == previous and all(end == ends[0] for end in ends):
                return states
            previous = ends
        for state in states:
            assert not (state and state.stopped), state.stopped
        assert time.monotonic() < until, \
            f"not applied in {timeout_s} s, {at_least} wanted: {states}"
        time.sleep(0.2)
