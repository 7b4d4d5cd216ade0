"""A program that writes posts and sees each at once; from the IDL alone.

    thrift -r -gen py dashboard.thrift
    thrift -r -gen py firehose.thrift
    PYTHONPATH=gen-py python3 read_your_writes.py HOST GATEWAY ROUTER USER POSTS

User 42, say, follows itself and writes posts; after each the newest page of
its dashboard, read with the post's position, must begin with it. What can go
wrong in between does not end it, unless the same call would be refused again.
Each event gets its id first, so that one that was taken although the answer
was lost is not there twice.
"""
import logging
import sys
import time

from comb.dashboard import Dashboard
from comb.dashboard.ttypes import PageRequest
from comb.firehose import Firehose
from comb.types.ttypes import (DeadlineExceeded, Overloaded, Post, PostKind,
                               RequestContext, Unavailable)
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import (TFramedTransport,
                                         TTransportException)

DEADLINE_MS = 2000
# The socket waits longer, so that the answer about the deadline comes in.
SOCKET_MS = DEADLINE_MS + 500
TRIES_MAX = 200


class Service:
    """One of Comb's services at an address; connects when it has to.

    A call waits and is made again where that may help. InvalidRequest,
    PermissionDenied and NotFound are the caller's.
    """

    def __init__(self, service, host, port):
        self._service, self._host, self._port = service, host, port
        self._transport = self._client = None

    def _connect(self):
        socket = TSocket(self._host, self._port)
        socket.setTimeout(SOCKET_MS)
        self._transport = TFramedTransport(socket)
        self._transport.open()
        self._client = self._service.Client(
            TBinaryProtocolAccelerated(self._transport))

    def _hang_up(self):
        if self._transport:
            self._transport.close()
        self._client = None

    def call(self, method, *args, **context):
        """The answer of a method; the context is its last argument."""
        pause_s = 0.05
        for _ in range(TRIES_MAX):
            try:
                if not self._client:
                    self._connect()
                return getattr(self._client, method)(
                    *args, RequestContext(caller="example",
                                          deadline_ms=DEADLINE_MS, **context))
            except (Overloaded, Unavailable) as refusal:
                why, wait_s = refusal, refusal.retry_after_ms / 1000
            except DeadlineExceeded as refusal:
                why, wait_s = refusal, 0
            except (OSError, EOFError, TTransportException) as lost:
                # Half an answer may be on its way: never use it again.
                self._hang_up()
                why, wait_s = lost, pause_s
                pause_s = min(2 * pause_s, 2)
            print(f"{method}: {why}; again in {wait_s} s", file=sys.stderr)
            time.sleep(wait_s)
        raise TimeoutError(f"{method}: {TRIES_MAX} times in vain")


def write_and_read(gateway, router, user, body):
    """Writes a post and returns its id once it has been seen."""
    [event_id] = gateway.call("nextIds", 1)
    done = gateway.call("createPost", user,
                        Post(kind=PostKind.TEXT, body=body), event_id)
    while True:
        page = router.call("getDashboard", user, PageRequest(limit=1),
                           at_least=[done.position])
        if not page.stale:
            break
        print(f"getDashboard: stale: {page.stale}", file=sys.stderr)
    if not page.entries or page.entries[0].post.id != event_id:
        sys.exit(f"post {event_id} is missing")
    return event_id


def main(host, gateway_port, router_port, user, posts):
    """The whole program."""
    logging.getLogger("thrift").setLevel(logging.CRITICAL)
    gateway = Service(Firehose, host, int(gateway_port))
    router = Service(Dashboard, host, int(router_port))
    [event_id] = gateway.call("nextIds", 1)
    gateway.call("follow", int(user), int(user), event_id)
    for i in range(1, int(posts) + 1):
        print(i, write_and_read(gateway, router, int(user),
                                f"post {i}".encode()), flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(f"usage: {sys.argv[0]} HOST GATEWAY-PORT ROUTER-PORT USER "
                 "POSTS")
    main(*sys.argv[1:])
