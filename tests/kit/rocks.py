"""Puts one row into a closed RocksDB, to make a store of another making."""
import ctypes

_rocks = ctypes.CDLL("librocksdb.so.7.8")
for _name in ("options_create", "open", "writeoptions_create"):
    getattr(_rocks, f"rocksdb_{_name}").restype = ctypes.c_void_p


def put(directory, key, value):
    """Write one row; nobody may have the store open."""
    error = ctypes.c_char_p()
    options = ctypes.c_void_p(_rocks.rocksdb_options_create())
    store = ctypes.c_void_p(_rocks.rocksdb_open(
        options, str(directory).encode(), ctypes.byref(error)))
    assert not error.value, error.value
    write = ctypes.c_void_p(_rocks.rocksdb_writeoptions_create())
    _rocks.rocksdb_put(store, write, key, ctypes.c_size_t(len(key)), value,
                       ctypes.c_size_t(len(value)), ctypes.byref(error))
    assert not error.value, error.value
    _rocks.rocksdb_writeoptions_destroy(write)
    _rocks.rocksdb_close(store)
    _rocks.rocksdb_options_destroy(options)
