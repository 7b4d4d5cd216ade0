"""Seals of records, as firehose/format.md says them."""
import xxhash


def sealed(value, producer, sequence):
    """A record's value with the seal that a gateway would put on it."""
    front = (value[:-1] + b"\x0c\0\x08" +
             b"\x0a\0\x01" + producer.to_bytes(8, "big") +
             b"\x0a\0\x02" + sequence.to_bytes(8, "big"))
    return front + b"\x0a\0\x03" + xxhash.xxh64_intdigest(front).to_bytes(8, "big") + b"\0\0"


def seal_of(value):
    """(producer, sequence) of a sealed value; None where the check fails."""
    front, check = value[:-13], value[-10:-2]
    if xxhash.xxh64_intdigest(front) != int.from_bytes(check, "big"):
        return None
    return (int.from_bytes(front[-19:-11], "big"),
            int.from_bytes(front[-8:], "big"))
