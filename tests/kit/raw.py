"""Bytes on the wire that no Thrift library would send."""
import socket
import struct

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer


def encode_call(method, arguments, seqid=1):
    """A call's message without length prefix; arguments: a generated _args."""
    memory = TMemoryBuffer()
    protocol = TBinaryProtocol(memory, strictWrite=True)
    protocol.writeMessageBegin(method, TMessageType.CALL, seqid)
    arguments.write(protocol)
    protocol.writeMessageEnd()
    return memory.getvalue()


def decode_reply(message, result):
    """Fills a generated _result from a reply's message; answers it."""
    protocol = TBinaryProtocol(TMemoryBuffer(message))
    _, kind, _ = protocol.readMessageBegin()
    assert kind == TMessageType.REPLY, kind
    result.read(protocol)
    return result


def frame(message):
    """A message with its length before it."""
    return struct.pack(">I", len(message)) + message


def dial(address, timeout_s=10):
    """A plain connected socket."""
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout_s)


def receive_frame(connection):
    """The next frame's message; b"" where the peer has closed."""
    file = connection.makefile("rb")
    head = file.read(4)
    return file.read(struct.unpack(">I", head)[0]) if len(head) == 4 else b""


def exchange(address, data):
    """Send bytes as they are; the first frame that comes back, or b""."""
    with dial(address) as connection:
        try:
            connection.sendall(data)
            return receive_frame(connection)
        except ConnectionError:
            return b""
