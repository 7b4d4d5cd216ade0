"""A daemon takes so many connections and closes the ones beyond (I9)."""
import time

import pytest

from client import Client, Dashboard, context, pages
from stacks import Solo
from thrift.transport.TTransport import TTransportException

MOST = 3
AGAIN_S = 20


def ask(client):
    """A page of somebody nobody knows."""
    return client.getDashboard(1, pages.PageRequest(), context())


def is_served(address):
    """Whether one more connection gets an answer."""
    try:
        with Client(Dashboard, address) as client:
            return not ask(client).entries
    except (OSError, EOFError, TTransportException):
        return False


@pytest.mark.parametrize("where", ["router", "cell"])
def test_connections_max(tmp_path, where):
    with Solo(tmp_path, "--connections-max", MOST, cells=1) as solo:
        address = solo.router if where == "router" else solo.cells[0]
        # The router has one of a cell's for itself once it has been asked.
        own = MOST if where == "router" else MOST - 1
        assert is_served(solo.router)
        held = [Client(Dashboard, address) for _ in range(own)]
        for client in held:
            assert not ask(client).entries
        assert not is_served(address)
        for client in held:
            assert not ask(client).entries
        held.pop().close()
        until = time.monotonic() + AGAIN_S
        while not is_served(address):
            assert time.monotonic() < until
            time.sleep(0.05)
        for client in held:
            client.close()
