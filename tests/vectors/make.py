#!/usr/bin/python3
"""Writes events.json: what records of the firehose look like, byte for byte.

    tests/vectors/make.py build/dev/bin/comb-stamp > tests/vectors/events.json

The events are encoded here by hand, as any client may; keys, values and the
words of refusals come from the real encoder (comb-stamp), seals from seals.py
(and test_vectors.c compares them). Run it again only
for new vectors: a change of one that is there is a change of the format.
"""
import json
import pathlib
import struct
import subprocess
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]
# pylint: disable=wrong-import-position
from murmur2 import partition_of
from seals import sealed

I32, I64, BINARY, STRUCT, LIST = 8, 10, 11, 12, 15
STOP = b"\0"
KINDS = ("post", "edit", "delete", "follow", "unfollow", "like", "unlike",
         "block", "unblock", "mute", "unmute", "read_mark", "delete_user")
PARTITIONS = (1, 2, 3, 4, 8, 12, 64, 100)
GIVEN = 1700000000000 << 21
BIG = 2**63 - 1
EVENT_FIELDS = {"version": (1, I32), "id": (2, I64), "kind": (3, I32),
                "user": (4, I64), "target_user": (5, I64),
                "target_post": (6, I64), "post": (7, STRUCT)}
POST_FIELDS = {"id": (1, I64), "author": (2, I64), "kind": (3, I32),
               "body": (4, BINARY), "tags": (5, LIST), "reply_to": (6, I64),
               "reblog_of": (7, I64)}


def field(number, kind, value):
    """A field: header and encoded value."""
    return struct.pack(">bh", kind, number) + value


def binary(value):
    """Length and bytes."""
    return struct.pack(">i", len(value)) + value


def encode(kind, value):
    """A value of a type."""
    if kind == I32:
        return struct.pack(">i", value)
    if kind == I64:
        return struct.pack(">q", value)
    if kind == BINARY:
        return binary(value)
    if kind == LIST:
        return struct.pack(">bi", BINARY, len(value)) + b"".join(
            binary(one if isinstance(one, bytes) else one.encode())
            for one in value)
    return post(**value)


def fields(table, values):
    """The known fields of a struct, without its end."""
    return b"".join(field(table[name][0], table[name][1],
                          encode(table[name][1], value))
                    for name, value in values.items())


def post(more=b"", **values):
    """A Post; more: encoded fields besides."""
    return fields(POST_FIELDS, values) + more + STOP


def event(kind, more=b"", first=b"", **values):
    """An Event; kind by name or number."""
    number = KINDS.index(kind) + 1 if isinstance(kind, str) else kind
    return (first + fields(EVENT_FIELDS, {"kind": number, **values}) + more +
            STOP)


TEXT_77 = field(77, BINARY, binary(b"of a newer event"))
BELOW_0 = field(-5, I64, struct.pack(">q", -1))
NESTED_80 = field(80, STRUCT, field(1, LIST, struct.pack(">bi", I32, 2) +
                                    struct.pack(">ii", 7, 8)) + STOP)
TEXT_99 = field(99, BINARY, binary("of a newer post: \u00fc".encode()))
MAP_60 = field(60, 13, struct.pack(">bbi", BINARY, I64, 1) + binary(b"k") +
               struct.pack(">q", 9))

# Name, as a client sends it, the fields in it that we do not know.
GOOD = [
    ("post, nothing but what must be", event("post", user=5, post={}), []),
    ("post, everything",
     event("post", user=1001, id=GIVEN + 256, version=1, post={
         "id": GIVEN + 256, "author": 1001, "kind": 1,
         "body": "na\u00efve \U0001f41d\n".encode(),
         "tags": ["wax", "\u8702", "two words"], "reply_to": 7,
         "reblog_of": BIG - 1}), []),
    ("post, fields in reverse",
     fields(EVENT_FIELDS, {"post": {"tags": ["t"], "body": b"x", "kind": 2},
                           "user": 5, "kind": 1, "version": 1}) + STOP, []),
    ("post, body is no text",
     event("post", user=6, post={"kind": 2, "body": b"\xff\xfe\x00\x01"}), []),
    ("post, empty body and no tags",
     event("post", user=6, post={"kind": 8, "body": b"", "tags": []}), []),
    ("post, NUL in a text", event("post", user=6, post={"body": b"a\0b"}), []),
    ("post, greatest numbers", event("post", user=BIG, id=BIG, post={}), []),
    ("post, fields of a newer version",
     event("post", user=5, post={"more": TEXT_99 + MAP_60, "body": b"x"},
           more=TEXT_77 + NESTED_80, first=BELOW_0),
     [TEXT_77, NESTED_80, BELOW_0, TEXT_99, MAP_60]),
    ("edit", event("edit", user=5, target_post=300,
                   post={"body": b"better", "tags": ["new"]}), []),
    ("edit, the post's id given",
     event("edit", user=5, target_post=300, post={"id": 300, "kind": 4}), []),
    ("edit, fields of a newer version",
     event("edit", user=5, target_post=300, post={"more": TEXT_99},
           more=TEXT_77), [TEXT_77, TEXT_99]),
    ("follow, fields that the kind does not use",
     event("follow", user=5, target_user=9, target_post=-1), []),
    ("follow of oneself", event("follow", user=5, target_user=5), []),
    ("delete_user", event("delete_user", user=5), []),
    ("delete_user, id given and a newer field",
     event("delete_user", user=5, id=77, more=TEXT_77), [TEXT_77]),
    ("id 0 is none", event("like", user=5, id=0, target_post=12), []),
]
for _kind in ("follow", "unfollow", "block", "unblock", "mute", "unmute"):
    GOOD += [(_kind, event(_kind, user=2**40 + 1, target_user=3), []),
             (f"{_kind}, greatest numbers and a newer field",
              event(_kind, user=BIG, id=BIG - 5, version=1, target_user=BIG,
                    more=TEXT_77), [TEXT_77])]
for _kind in ("delete", "like", "unlike", "read_mark"):
    GOOD += [(_kind, event(_kind, user=7, target_post=GIVEN - 256), []),
             (f"{_kind}, greatest numbers and a newer field",
              event(_kind, user=BIG, id=BIG - 5, version=1, target_post=BIG,
                    more=NESTED_80), [NESTED_80])]


def logged(kind="post", **values):
    """A whole event as it would lie in the log, to be made wrong."""
    values = {"version": 1, "id": 256, "user": 5, **values}
    if kind == "post":
        values.setdefault("post", {})
        if isinstance(values["post"], dict):
            values["post"] = {"id": 256, "author": 5, "kind": 1,
                              **values["post"]}
    return event(kind, **values)


PRODUCER = 2**62 + 5
SEALED = sealed(logged(post={"body": b"honey"}), PRODUCER, 0)
DEEP = field(50, STRUCT, field(1, STRUCT, b"") * 9 + STOP * 10)
BAD = [
    ("empty, or null", b""),
    ("not Thrift", b"honey, wax and other matters"),
    ("JSON", b'{"kind": "post", "user": 5}'),
    ("cut short", logged()[:-1]),
    ("bytes behind the end", logged() + b"\0"),
    ("a length past the end",
     logged("like", target_post=3)[:-1] + b"\x0b\0\x50\x7f\xff\xff\xff\0"),
    ("a negative length",
     logged("like", target_post=3)[:-1] + b"\x0b\0\x50\xff\xff\xff\xff\0"),
    ("an unknown type of field",
     logged("like", target_post=3)[:-1] + b"\x01\0\x50\0\0"),
    ("an unknown field nested too deep",
     logged("like", target_post=3, more=DEEP)),
    ("a field twice",
     logged("like", target_post=3, more=field(4, I64, bytes(7) + b"\5"))),
    ("a field of another type",
     event("like", version=1, id=256, target_post=3,
           more=field(4, I32, bytes(3) + b"\5"))),
    ("an empty struct", STOP),
    ("a newer version", logged("like", target_post=3, version=2)),
    ("no kind", fields(EVENT_FIELDS, {"id": 256, "user": 5}) + STOP),
    ("an unknown kind", logged(14)),
    ("a kind below 0", logged(-1)),
    ("no id", event("like", user=5, target_post=3)),
    ("an id below 0", logged("like", target_post=3, id=-1)),
    ("no user", event("like", id=256, target_post=3)),
    ("a user below 0", logged("like", target_post=3, user=-5)),
    ("no target user", logged("follow")),
    ("a target user below 0", logged("follow", target_user=-3)),
    ("no target post", logged("read_mark", target_user=3)),
    ("a target post below 0", logged("delete", target_post=-3)),
    ("no post", event("post", version=1, id=256, user=5)),
    ("a post of another type",
     event("post", version=1, id=256, user=5,
           more=field(7, I32, bytes(4)))),
    ("a post's id is another", logged(post={"id": 257})),
    ("a post without id", event("post", version=1, id=256, user=5,
                                post={"author": 5})),
    ("a post's author is another", logged(post={"author": 6})),
    ("an edit of another post",
     logged("edit", target_post=3, post={"id": 4, "author": 5})),
    ("an unknown kind of post", logged(post={"kind": 9})),
    ("a body too long", logged(post={"body": b"x" * 65537})),
    ("a text that is not UTF-8", logged(post={"body": b"cut \xc3"})),
    ("a text with a surrogate", logged(post={"body": b"\xed\xa0\x80"})),
    ("too many tags", logged(post={"tags": ["t"] * 31})),
    ("a tag too long", logged(post={"tags": ["t" * 141]})),
    ("an empty tag", logged(post={"tags": ["a", ""]})),
    ("a tag that is not UTF-8", logged(post={"tags": [b"\xff"]})),
    ("a tag with a NUL", logged(post={"tags": [b"a\0b"]})),
    ("tags of another type", logged(post={
        "more": field(5, LIST, struct.pack(">bii", I32, 1, 7))})),
    ("a reply to itself", logged(post={"reply_to": 256})),
    ("a reply to a number below 0", logged(post={"reply_to": -1})),
    ("a reblog of itself", logged(post={"reblog_of": 256})),
    ("an event too long", logged("like", target_post=3, more=field(
        90, BINARY, binary(b"x" * 131072)))),
    ("a seal, the body damaged", SEALED.replace(b"honey", b"hcney")),
    ("a seal, its sequence damaged", SEALED[:-21] + b"\1" + SEALED[-20:]),
    ("a seal, its check damaged", SEALED[:-3] + b"!" + SEALED[-2:]),
    ("a seal, cut short", SEALED[:-13] + b"\0\0"),
    ("a seal with nothing in it",
     event("delete_user", id=9, user=5, more=field(8, STRUCT, STOP))),
    ("a seal shorter than a check, in a short event",
     event("delete_user", more=field(8, STRUCT, field(
         1, I64, bytes(7) + b"\1") + STOP))),
    ("a seal with a field of its own", logged("like", target_post=3, more=field(
        8, STRUCT, TEXT_77 + sealed(STOP, PRODUCER, 0)[3:-1]))),
    ("a seal without a producer", sealed(logged(), 0, 0)),
    ("a seal with a sequence below 0",
     sealed(logged(), PRODUCER, 2**64 - 1)),
    ("a seal with its numbers in another order",
     logged("like", target_post=3, more=field(8, STRUCT, b"".join(
         field(n, I64, bytes(7) + b"\1") for n in (2, 1, 3)) + STOP))),
    ("a seal that is not the last field",
     SEALED[:-1] + TEXT_77 + STOP),
    ("a seal of another type", logged("like", target_post=3, more=field(
        8, I64, bytes(8)))),
    ("a seal on a seal", sealed(SEALED, PRODUCER, 1)),
]


def ask(stamp, lines):
    """What the real encoder says to each line."""
    told = subprocess.run([stamp], check=True, text=True,
                          stdout=subprocess.PIPE,
                          input="".join(f"{line}\n" for line in lines)).stdout
    return [json.loads(line) for line in told.splitlines()]


def describe_post(data):
    """A struct Post as JSON has it, and where it ends; what is unknown is
    passed over."""
    at, found = 0, {}
    names = {number: name for name, (number, _) in POST_FIELDS.items()}
    while data[at]:
        kind, number = struct.unpack_from(">bh", data, at)
        value, at = read(kind, data, at + 3)
        if number in names:
            name = names[number]
            found["body_hex" if name == "body" else name] = (
                value.hex() if name == "body" else
                [one.decode() for one in value] if name == "tags" else value)
    return found


def read(kind, data, at):
    """A value and where it ends; a struct as its bytes."""
    if kind == I32:
        return struct.unpack_from(">i", data, at)[0], at + 4
    if kind == I64:
        return struct.unpack_from(">q", data, at)[0], at + 8
    if kind == BINARY:
        size, = struct.unpack_from(">i", data, at)
        return data[at + 4:at + 4 + size], at + 4 + size
    if kind == LIST:
        of, count = struct.unpack_from(">bi", data, at)
        values, at = [], at + 5
        for _ in range(count):
            one, at = read(of, data, at)
            values.append(one)
        return values, at
    if kind == 13:
        key, of, count = struct.unpack_from(">bbi", data, at)
        at += 6
        for _ in range(count):
            _, at = read(key, data, at)
            _, at = read(of, data, at)
        return None, at
    begin = at
    while data[at]:
        inner = data[at]
        _, at = read(inner, data, at + 3)
    return data[begin:at + 1], at + 1


def describe(data):
    """A struct Event as JSON has it, from its encoding."""
    at, found = 0, {}
    names = {number: name for name, (number, _) in EVENT_FIELDS.items()}
    while data[at]:
        kind, number = struct.unpack_from(">bh", data, at)
        value, at = read(kind, data, at + 3)
        if number in names:
            name = names[number]
            found[name] = (describe_post(value) if name == "post" else
                           KINDS[value - 1] if name == "kind" else value)
    return found


def shorten(data):
    """Hex, or [hex, times] pieces where a byte is repeated very often."""
    for byte in (b"x",):
        run = data.count(byte)
        if run > 1000:
            begin = data.index(byte * 1000)
            end = data.rindex(byte * 1000) + 1000
            return [[data[:begin].hex(), 1], [byte.hex(), end - begin],
                    [data[end:].hex(), 1]]
    return data.hex()


def main():
    """Print all of it."""
    stamp = sys.argv[1]
    good = []
    for sequence, ((name, sent, unknown), told) in enumerate(zip(GOOD, ask(
            stamp, [f"{GIVEN} {sent.hex()}" for _, sent, _ in GOOD]))):
        value = bytes.fromhex(told["value"])
        good.append({
            "name": name, "event": describe(value),
            "unknown": [one.hex() for one in unknown], "sent": sent.hex(),
            "key": told["key"], "value": told["value"],
            "seal": {"producer": PRODUCER, "sequence": sequence},
            "sealed": sealed(value, PRODUCER, sequence).hex(),
            "partition": {str(n): partition_of(bytes.fromhex(told["key"]), n)
                          for n in PARTITIONS}})
    bad = []
    for (name, value), told in zip(BAD, ask(
            stamp, [f"- {value.hex()}" for _, value in BAD])):
        bad.append({"name": name, "value": shorten(value),
                    "field": told["field"], "reason": told["reason"],
                    "limit": told["limit"], "cell": "quarantine"})
    lines = ["{", '"format": 1,', f'"given_id": {GIVEN},', '"good": [',
             ",\n".join(json.dumps(one) for one in good), "],", '"bad": [',
             ",\n".join(json.dumps(one) for one in bad), "]", "}"]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
