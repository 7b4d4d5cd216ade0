"""Records in a Kafka topic, past the gateway: what anybody may append.

Over librdkafka, which is there because Comb needs it; no Python package is.
"""
import ctypes

TOPIC = "comb.firehose.v1"
CONTROL_TOPIC = "comb.control.v1"
PRODUCER = 0
COPY = 2
FLUSH_MS = 20000
QUEUE_FULL = -184


class RecordError(Exception):
    """librdkafka does not want to."""


def _library():
    lib = ctypes.CDLL("librdkafka.so.1")
    pointer = ctypes.c_void_p
    text = ctypes.c_char_p
    for name, result, arguments in (
            ("conf_new", pointer, []),
            ("conf_set", ctypes.c_int,
             [pointer, text, text, text, ctypes.c_size_t]),
            ("new", pointer, [ctypes.c_int, pointer, text, ctypes.c_size_t]),
            ("topic_new", pointer, [pointer, text, pointer]),
            ("produce", ctypes.c_int,
             [pointer, ctypes.c_int32, ctypes.c_int, pointer, ctypes.c_size_t,
              pointer, ctypes.c_size_t, pointer]),
            ("last_error", ctypes.c_int, []),
            ("err2str", text, [ctypes.c_int]),
            ("poll", ctypes.c_int, [pointer, ctypes.c_int]),
            ("flush", ctypes.c_int, [pointer, ctypes.c_int]),
            ("topic_destroy", None, [pointer]),
            ("destroy", None, [pointer])):
        function = getattr(lib, "rd_kafka_" + name)
        function.restype, function.argtypes = result, arguments
    return lib


class Producer:
    """Appends bytes to a topic; flush() waits until the log has them."""

    def __init__(self, bootstrap, topic=TOPIC):
        self._lib = _library()
        reason = ctypes.create_string_buffer(256)
        conf = self._lib.rd_kafka_conf_new()
        for name, value in (("bootstrap.servers", bootstrap),
                            ("acks", "all"), ("enable.idempotence", "true"),
                            ("linger.ms", "5"),
                            ("message.max.bytes", "4000000")):
            if self._lib.rd_kafka_conf_set(conf, name.encode(),
                                           value.encode(), reason, 256):
                raise RecordError(reason.value.decode())
        self._handle = self._lib.rd_kafka_new(PRODUCER, conf, reason, 256)
        if not self._handle:
            raise RecordError(reason.value.decode())
        self._topic = self._lib.rd_kafka_topic_new(self._handle,
                                                   topic.encode(), None)

    def append(self, partition, value, key=b""):
        """One record; value None is a null value."""
        while self._lib.rd_kafka_produce(
                self._topic, partition, COPY, value,
                len(value) if value else 0, key, len(key), None):
            error = self._lib.rd_kafka_last_error()
            if error != QUEUE_FULL:
                raise RecordError(self._lib.rd_kafka_err2str(error).decode())
            self._lib.rd_kafka_poll(self._handle, 100)
        self._lib.rd_kafka_poll(self._handle, 0)

    def flush(self):
        """All that was appended is in the log, or a RecordError."""
        error = self._lib.rd_kafka_flush(self._handle, FLUSH_MS)
        if error:
            raise RecordError(self._lib.rd_kafka_err2str(error).decode())

    def close(self):
        """Flush and free."""
        self.flush()
        self._lib.rd_kafka_topic_destroy(self._topic)
        self._lib.rd_kafka_destroy(self._handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
