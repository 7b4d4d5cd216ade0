#!/usr/bin/python3
"""Holds connections open that do nothing.

    idle.py HOST:PORT N USER FIRST

Opens N connections, reads one dashboard page of USER over each, prints
"ready" and holds them until its standard input ends. Loopback has some 28,000
ports an address: those of FIRST, 127.0.0.FIRST, are used for the first 20,000,
then the next address's.
"""
import resource
import socket
import struct
import sys

PER_ADDRESS = 20_000
# The port is chosen when connecting, so that one still in TIME_WAIT towards
# another server will do; Python has no name for it.
IP_BIND_ADDRESS_NO_PORT = 24
DASHBOARD = b"getDashboard"


def call(user):
    """getDashboard(user, PageRequest(), RequestContext()) as a frame."""
    message = b"".join((
        struct.pack(">II", 0x80010001, len(DASHBOARD)), DASHBOARD,
        struct.pack(">I", 1),
        struct.pack(">bhq", 10, 1, user),    # user
        struct.pack(">bhb", 12, 2, 0),       # page: empty
        struct.pack(">bhbb", 12, 15, 0, 0),  # ctx: empty; the end
    ))
    return struct.pack(">I", len(message)) + message


def read_answer(connection):
    """One whole frame."""
    stream = connection.makefile("rb")
    size, = struct.unpack(">I", stream.read(4))
    if len(stream.read(size)) != size:
        sys.exit("the server closed a connection")


def main():
    """Open, ask, wait."""
    host, port = sys.argv[1].rsplit(":", 1)
    count, user, first = map(int, sys.argv[2:])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    held = []
    for i in range(count):
        connection = socket.socket()
        connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((f"127.0.0.{first + i // PER_ADDRESS}", 0))
        connection.connect((host, int(port)))
        connection.sendall(call(user))
        read_answer(connection)
        held.append(connection)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
