"""An invented world that is told to a Comb for as long as the Comb lives.

Events bring their ids. What was acknowledged goes to the oracle at once: from
then on it must be there. What was not acknowledged may or may not have been
taken; settle() publishes it again with the same ids, and by I1 that makes no
difference.
"""
import collections
import random
import threading
import time

import synthetic
from client import Cell, Client, Firehose, context, event, types
from oracle import Oracle
from thrift.transport.TTransport import TTransportException

# What a call may meet while the daemon dies or is gone.
GONE = (OSError, EOFError, TTransportException, types.Unavailable,
        types.Overloaded, types.DeadlineExceeded)
BATCH_MAX = 40
PAUSE_S = 0.04
# Of a hundred events, so many are told late, and so many twice.
LATE, TWICE = 10, 3
# Those told late are at most so many at a time.
LATE_MAX = 200
SETTLE_S = 60
CHECKPOINT_PAUSE_S = 0.15
TICK_S = 0.05


def to_event(told):
    """A line of the synthetic world as the Event of the interface."""
    fields = {"id": told["id"]}
    if "target" in told:
        fields["target_user"] = told["target"]
    if "post" in told:
        fields["target_post"] = told["post"]
    if told["kind"] in ("post", "edit"):
        fields["post"] = {
            "kind": types.PostKind._NAMES_TO_VALUES[told["post_kind"].upper()],
            "body": told["body"].encode()}
        fields["post"].update({
            name: told[name] for name in ("tags", "reply_to", "reblog_of")
            if told.get(name)})
    return event(told["kind"], told["user"], **fields)


class Load:
    """Tells a world, and knows what of it was acknowledged."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.world = synthetic.World(seed)
        self.oracle = Oracle()
        self.acknowledged = 0  # records that are in the log at least
        self.heard = []        # events of those records
        self._late = []
        self._unsure = []

    @property
    def unsure(self):
        """How many events were told and not acknowledged."""
        return len(self._unsure)

    def next_events(self, count):
        """More of the world; some comes late, some twice."""
        told = []
        for _ in range(count):
            one = self.world.event()
            chance = self.random.randrange(100)
            if chance >= LATE:
                told.append(one)
            if chance < LATE + TWICE:
                self._late.append(one)
        while len(self._late) > LATE_MAX:
            at = self.random.randrange(len(self._late))
            told.append(self._late.pop(at))
        return told

    def publish(self, gateway, told, deadline_ms=5000):
        """One call; what it does not acknowledge is kept for settle().

        Answers why in words, for each event that was not taken.
        """
        self._unsure += told
        results = gateway.publish([to_event(one) for one in told],
                                  context(deadline_ms=deadline_ms))
        del self._unsure[len(self._unsure) - len(told):]
        for one, result in zip(told, results):
            assert result.refused is None, f"{one}: {result.refused}"
            if result.position:
                self.acknowledged += 1
                self.heard.append(one)
                self.oracle.add(one)
            else:
                self._unsure.append(one)
        return [result.failed.reason for result in results if result.failed]

    def hold(self, told):
        """Keep events for settle()."""
        self._unsure += told

    def tell(self, address, count):
        """So many events, all of them acknowledged."""
        with Client(Firehose, address) as gateway:
            for begin in range(0, count, 500):
                self.publish(gateway, self.next_events(min(500,
                                                           count - begin)))
        self.settle(address)

    def tell_one(self, address, one):
        """One event, by a connection of its own; GONE where nobody answers."""
        with Client(Firehose, address) as gateway:
            self.publish(gateway, [one])

    def tell_these(self, address, told):
        """These events, all of them acknowledged."""
        with Client(Firehose, address) as gateway:
            for begin in range(0, len(told), 1000):
                self.publish(gateway, told[begin:begin + 1000])
        self.settle(address)

    def settle(self, address):
        """Publish again whatever was not acknowledged, until all is."""
        until = time.monotonic() + SETTLE_S
        while self._unsure:
            told, self._unsure = self._unsure, []
            try:
                with Client(Firehose, address) as gateway:
                    while told:
                        self.publish(gateway, told[:1000])
                        del told[:1000]
            except GONE:
                assert time.monotonic() < until, "the gateway takes nothing"
                time.sleep(0.02)
            finally:
                # Of these publish() has noted the first ones, if it came so
                # far; twice does no harm.
                self._unsure += told


class Publisher:
    """Publishes in the background until told to end or nobody answers.

    Beside it, somebody asks the cells for checkpoints all the time, so that
    kills meet them.
    """

    def __init__(self, load, stack):
        self._load, self._stack = load, stack
        self._end = threading.Event()
        self._failure = None
        self._threads = [threading.Thread(target=work, daemon=True)
                         for work in (self._publish, self._checkpoint)]
        for thread in self._threads:
            thread.start()

    def _publish(self):
        try:
            with Client(Firehose, self._stack.gateway) as gateway:
                while not self._end.is_set():
                    count = self._load.random.randint(1, BATCH_MAX)
                    self._load.publish(gateway, self._load.next_events(count))
                    self._end.wait(self._load.random.random() * PAUSE_S)
        except GONE:
            pass
        except BaseException as failure:  # told by finish()
            self._failure = failure

    def _checkpoint(self):
        chance = random.Random(1)
        while not self._end.wait(chance.random() * CHECKPOINT_PAUSE_S):
            try:
                with Client(Cell, chance.choice(self._stack.cells)) as cell:
                    cell.checkpoint(context(deadline_ms=5000))
            except GONE:
                self._end.wait(0.05)

    def wait(self, time_s):
        """Let it work; a failure of the load itself ends the test."""
        self._end.wait(time_s)
        if self._failure:
            raise self._failure

    def finish(self):
        """Stop; the daemon may be long gone."""
        self._end.set()
        for thread in self._threads:
            thread.join()
        if self._failure:
            raise self._failure


class Steady:
    """Publishes at a rate in the background, through any outage.

    rate may be changed meanwhile. acknowledged has the time of each call all
    of whose events were; reasons, in words and counted, why others were not.
    """

    def __init__(self, load, address, rate):
        self.rate = rate
        self.acknowledged = []
        self.reasons = collections.Counter()
        self._load, self._address = load, address
        self._end = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while not self._end.is_set():
                try:
                    with Client(Firehose, self._address) as gateway:
                        self._publish(gateway)
                except GONE as error:
                    self.reasons[type(error).__name__] += 1
                    self._end.wait(0.02)
        except BaseException as failure:  # told by finish()
            self._failure = failure

    def _publish(self, gateway):
        while not self._end.wait(TICK_S):
            unsure = self._load.unsure
            self._load.publish(gateway, self._load.next_events(
                max(1, round(self.rate * TICK_S))))
            if self._load.unsure == unsure:
                self.acknowledged.append(time.monotonic())
            else:
                self.reasons["in results"] += 1

    def longest_gap_s(self, begin):
        """The longest time without an acknowledgement since begin."""
        times = [begin, *(at for at in self.acknowledged if at > begin)]
        return max(b - a for a, b in zip(times, times[1:]))

    def finish(self):
        """Stop; what was not acknowledged is published again."""
        self._end.set()
        self._thread.join()
        if self._failure:
            raise self._failure
        self._load.settle(self._address)
