"""What may stand in a cell's place: a relay that delays, and liars.

Each listens on 127.0.0.1, serves on a thread of its own, and is gone with
everything it has open at the end of its with block.
"""
import asyncio
import random
import struct
import threading

CHUNK = 1 << 16
# Thrift's strict binary protocol: version 1, kind REPLY.
REPLY = 0x80010002
SEED = 20240607


class Impostor:
    """A server; a subclass says what it does with a connection."""

    def __init__(self, port=0):
        self.port = port
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server = None

    @property
    def address(self):
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader, writer):
        """One connection, to its end."""
        raise NotImplementedError

    async def _take(self, reader, writer):
        self.connections += 1
        try:
            await self.serve(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async def _open(self):
        self._server = await asyncio.start_server(
            self._take, "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self):
        if self._server:
            self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, coroutine):
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def __enter__(self):
        self._thread.start()
        try:
            self._run(self._open())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Relay(Impostor):
    """Passes everything on to a target; answers after a delay."""

    def __init__(self, target, delay_s):
        super().__init__()
        self.target = target
        self.delay_s = delay_s

    async def serve(self, reader, writer):
        host, port = self.target.rsplit(":", 1)
        answers, calls = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(self._pump(reader, calls, 0),
                                 self._pump(answers, writer, self.delay_s))
        finally:
            calls.close()

    async def _pump(self, source, sink, delay_s):
        # Delayed, not throttled: what comes meanwhile is under way, too.
        loop = asyncio.get_running_loop()
        while data := await source.read(CHUNK):
            if delay_s:
                loop.call_later(delay_s, sink.write, data)
            else:
                sink.write(data)
        raise EOFError


async def read_call(reader):
    """The next call's method and seqid."""
    size, = struct.unpack(">I", await reader.readexactly(4))
    message = await reader.readexactly(size)
    length, = struct.unpack(">I", message[4:8])
    seqid, = struct.unpack(">i", message[8 + length:12 + length])
    return message[8:8 + length], seqid


def random_bytes(_method, _seqid):
    """No frame at all."""
    return random.Random(SEED).randbytes(4096)


def wrong_seqid(method, seqid):
    """A good frame, and the answer to another call: an empty result."""
    message = struct.pack(">II", REPLY, len(method)) + method + \
        struct.pack(">ib", seqid + 1, 0)
    return struct.pack(">I", len(message)) + message


def huge_length(_method, _seqid):
    """A frame of 2 GiB, it says."""
    return struct.pack(">I", 0x7fffffff) + b"x" * 100


def half_a_frame(_method, _seqid):
    """A frame that ends before its end; after it nothing more."""
    return struct.pack(">I", 1000) + b"x" * 500


class Liar(Impostor):
    """Answers the first call of each connection with one of the lies."""

    def __init__(self, port, lie):
        super().__init__(port)
        self.lie = lie

    async def serve(self, reader, writer):
        writer.write(self.lie(*await read_call(reader)))
        while await reader.read(CHUNK):
            pass
