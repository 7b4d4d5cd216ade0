"""Rows of a closed RocksDB, to lay them out in tables as a cell might have."""
import contextlib
import ctypes

_rocks = ctypes.CDLL("librocksdb.so.7.8")
for _name in ("options_create", "open", "readoptions_create",
              "writeoptions_create", "flushoptions_create",
              "create_iterator", "iter_key", "iter_value"):
    getattr(_rocks, f"rocksdb_{_name}").restype = ctypes.c_void_p
_rocks.rocksdb_iter_valid.restype = ctypes.c_ubyte


def _bytes(text):
    return text, ctypes.c_size_t(len(text))


class Rows:
    """An open store; nobody else may have it open."""

    def __init__(self, directory):
        self._options = ctypes.c_void_p(_rocks.rocksdb_options_create())
        self._write = ctypes.c_void_p(_rocks.rocksdb_writeoptions_create())
        _rocks.rocksdb_writeoptions_disable_WAL(self._write, 1)
        self._store = ctypes.c_void_p(self._call(
            _rocks.rocksdb_open, self._options, str(directory).encode()))

    @staticmethod
    def _call(function, *args):
        error = ctypes.c_char_p()
        result = function(*args, ctypes.byref(error))
        assert not error.value, error.value
        return result

    def last(self, prefix):
        """Key and value of the last row with this prefix; None without."""
        read = ctypes.c_void_p(_rocks.rocksdb_readoptions_create())
        rows = ctypes.c_void_p(
            _rocks.rocksdb_create_iterator(self._store, read))
        try:
            _rocks.rocksdb_iter_seek_for_prev(rows,
                                              *_bytes(prefix + b"\xff" * 16))
            if not _rocks.rocksdb_iter_valid(rows):
                return None
            size = ctypes.c_size_t()
            pair = [ctypes.string_at(get(rows, ctypes.byref(size)), size.value)
                    for get in (_rocks.rocksdb_iter_key,
                                _rocks.rocksdb_iter_value)]
            return pair if pair[0].startswith(prefix) else None
        finally:
            _rocks.rocksdb_iter_destroy(rows)
            _rocks.rocksdb_readoptions_destroy(read)

    def put(self, key, value):
        """Write a row."""
        self._call(_rocks.rocksdb_put, self._store, self._write, *_bytes(key),
                   *_bytes(value))

    def delete(self, key):
        """Remove a row."""
        self._call(_rocks.rocksdb_delete, self._store, self._write,
                   *_bytes(key))

    def flush(self):
        """What was written since becomes a table."""
        how = ctypes.c_void_p(_rocks.rocksdb_flushoptions_create())
        self._call(_rocks.rocksdb_flush, self._store, how)
        _rocks.rocksdb_flushoptions_destroy(how)

    def compact(self):
        """All tables become as few as can be."""
        _rocks.rocksdb_compact_range(self._store, None, ctypes.c_size_t(0),
                                     None, ctypes.c_size_t(0))

    def close(self):
        """Close the store."""
        _rocks.rocksdb_close(self._store)
        _rocks.rocksdb_writeoptions_destroy(self._write)
        _rocks.rocksdb_options_destroy(self._options)


def open_rows(directory):
    """Rows to be used in a with statement."""
    return contextlib.closing(Rows(directory))
