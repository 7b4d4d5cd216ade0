"""A wall clock that is set while daemons run; everybody else's stays as it is.

By a library between a daemon and the C library (wallclock.c). Time-outs, and
whatever else counts by the monotonic clock, go on as they were.
"""
import mmap
import struct

from daemons import program


class Clock:
    """Some daemons' clock, from their next start on."""

    def __init__(self, directory, daemons):
        path = directory / "wallclock"
        path.write_bytes(bytes(8))
        with open(path, "r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), 8)
        for daemon in daemons:
            daemon.environment.update({
                "LD_PRELOAD": str(program("comb-wallclock.so")),
                "COMB_WALLCLOCK": str(path),
                # ASan wants to be the first library.
                "ASAN_OPTIONS": "detect_stack_use_after_return=1:"
                                "verify_asan_link_order=0"})

    def set(self, ahead_s):
        """So many seconds ahead of everybody else's from now on, or behind."""
        self._bytes[:] = struct.pack("=q", ahead_s)
