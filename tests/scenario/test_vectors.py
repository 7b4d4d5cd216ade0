"""The firehose's test vectors, read by Thrift's own library for Python.

What it shares with Comb is the IDL and tests/vectors/events.json: if this
passes, a consumer in any language of Thrift's can be written from them.
"""
import json
import sys

import pytest

from client import types
from daemons import TESTS
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

sys.path.insert(0, str(TESTS / "vectors"))
# pylint: disable=wrong-import-position
from murmur2 import partition_of
from seals import seal_of

VECTORS = json.loads((TESTS / "vectors/events.json").read_text())
GOOD = {one["name"]: one for one in VECTORS["good"]}
BAD = {one["name"]: one for one in VECTORS["bad"]}


def expand(value):
    """A value's bytes: hex, or [hex, times] pieces."""
    if isinstance(value, str):
        return bytes.fromhex(value)
    return b"".join(bytes.fromhex(piece) * times for piece, times in value)


def decode(data):
    """A struct Event, and the bytes that are left."""
    buffer = TMemoryBuffer(data)
    event = types.Event()
    event.read(TBinaryProtocol(buffer, strictRead=True,
                               string_length_limit=len(data),
                               container_length_limit=len(data)))
    return event, buffer._buffer.read()


def encode(event):
    """A struct Event's bytes."""
    buffer = TMemoryBuffer()
    event.write(TBinaryProtocol(buffer))
    return buffer.getvalue()


def as_json(event):
    """An Event in the words of the vectors."""
    told = {key: value for key, value in vars(event).items()
            if value is not None}
    told["kind"] = types.EventKind._VALUES_TO_NAMES[event.kind].lower()
    if event.post is not None:
        post = {key: value for key, value in vars(event.post).items()
                if value is not None}
        if "body" in post:
            post["body_hex"] = post.pop("body").hex()
        told["post"] = post
    return told


def from_json(told):
    """The Event that the vectors' words say."""
    post = told.get("post")
    if post is not None:
        post = {**post}
        if "body_hex" in post:
            post["body"] = bytes.fromhex(post.pop("body_hex"))
        post = types.Post(**post)
    return types.Event(**{
        **told, "post": post,
        "kind": types.EventKind._NAMES_TO_VALUES[told["kind"].upper()]})


# The library reads what the log holds, and passes over what it does not know.
@pytest.mark.parametrize("name", GOOD)
def test_decode(name):
    event, rest = decode(bytes.fromhex(GOOD[name]["value"]))
    assert rest == b""
    assert as_json(event) == GOOD[name]["event"]


# A sealed record is the same event, with a seal that anybody can check.
@pytest.mark.parametrize("name", GOOD)
def test_sealed(name):
    one = GOOD[name]
    value = bytes.fromhex(one["sealed"])
    event, rest = decode(value)
    assert rest == b""
    assert (event.seal.producer, event.seal.sequence) == seal_of(value)
    assert vars(event.seal).items() >= one["seal"].items()
    assert value.hex().startswith(one["value"][:-2])
    event.seal = None
    assert as_json(event) == one["event"]
    assert seal_of(value[:9] + bytes([value[9] ^ 1]) + value[10:]) is None


# What the library writes is the log's form, where nothing unknown is in it.
@pytest.mark.parametrize("name", [name for name, one in GOOD.items()
                                  if not one["unknown"]
                                  and "reverse" not in name])
def test_encode(name):
    assert encode(from_json(GOOD[name]["event"])).hex() == GOOD[name]["value"]


# Key and partition follow from the user by what format.md says.
@pytest.mark.parametrize("name", GOOD)
def test_partition(name):
    one = GOOD[name]
    key = one["event"]["user"].to_bytes(8, "big")
    assert key.hex() == one["key"]
    for count, partition in one["partition"].items():
        assert partition_of(key, int(count)) == partition


# The fields of a newer version that a client sent are in the record.
@pytest.mark.parametrize("name", [name for name, one in GOOD.items()
                                  if one["unknown"]])
def test_unknown_fields_survive(name):
    for field in GOOD[name]["unknown"]:
        assert field in GOOD[name]["value"]
        assert field in GOOD[name]["sent"]


# Every kind there is has a vector, with and without what is optional.
def test_every_kind():
    kinds = [one["event"]["kind"] for one in GOOD.values()]
    for kind in types.EventKind._NAMES_TO_VALUES:
        assert kinds.count(kind.lower()) >= 2, kind


# A library decodes some of what Comb refuses, as it knows no limits, and
# never what has no structure.
@pytest.mark.parametrize("name", BAD)
def test_bad(name):
    data = expand(BAD[name]["value"])
    malformed = (BAD[name]["field"], BAD[name]["reason"]) == (
        "event", "is malformed")
    try:
        event, rest = decode(data)
    except Exception:  # what libraries raise varies
        return
    if malformed:
        # Behind the end, twice, or deep: a library does not look.
        assert rest or "deep" in name or "twice" in name, name
    else:
        assert not rest and isinstance(event, types.Event)
