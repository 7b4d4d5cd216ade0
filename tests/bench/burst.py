"""More posts than usual: how far a cell falls behind, and for how long (F22).

Gateway, one cell and router on a Kafka broker, and comb-solo on the local
log. Somebody posts at a steady rate; then 25 times as much for a second, and
3 times as much for ten minutes (less in small worlds). Calls are encoded once
and sent by a process of its own (replay.py).
"""
import contextlib
import multiprocessing
import random
import sys
import time

import replay

SEED = 1
# Posts a second, and how long 3 times as many last.
RATE = {"XS": 200, "S": 500, "M": 1000, "L": 2000}
SUSTAINED_S = {"XS": 5, "S": 60, "M": 600, "L": 600}
BURSTS = (("burst", 25), ("sustained", 3))
BURST_S = 1
STEADY_S = 2
AUTHORS = range(1, 1001)
FOLLOWERS = 20
FOLLOWER = 100_000  # the first one
LIMIT_S = 60
WAIT_S = 1200
LOOK_S = 0.02


def frames(kit, events):
    """publish() of these, some at a time."""
    service = kit.client.Firehose
    return [kit.raw.frame(kit.raw.encode_call("publish", service.publish_args(
        events=events[i:i + replay.BATCH], ctx=kit.client.context(60000))))
        for i in range(0, len(events), replay.BATCH)]


def follow_frames(kit):
    """Every author has some followers."""
    chance = random.Random(SEED)
    return frames(kit, [
        kit.client.event("follow", FOLLOWER + chance.randrange(10_000),
                         target_user=author)
        for author in AUTHORS for _ in range(FOLLOWERS)])


def post_frames(kit):
    """Posts without ids, so that they may be sent again and are new ones."""
    chance = random.Random(SEED)
    return frames(kit, [
        kit.client.event("post", chance.choice(AUTHORS),
                         {"body": b"x" * replay.BODY})
        for _ in range(100 * replay.BATCH)])


def pump(address, calls, rate, ended, acknowledged):
    """Send at a rate that others change, until they say that it ends."""
    pipe = replay.Pipe(address)
    due, sent = time.monotonic(), 0
    while not ended.value:
        pipe.send(calls[sent % len(calls)])
        sent += 1
        while pipe.waiting >= replay.DEPTH:
            pipe.receive()
            acknowledged.value += replay.BATCH
        due = max(due, time.monotonic()) + replay.BATCH / rate.value
        time.sleep(max(0, due - time.monotonic()))
    while pipe.waiting:
        pipe.receive()
        acknowledged.value += replay.BATCH


class Posters:
    """The process that posts."""

    def __init__(self, address, calls, rate):
        self.rate = multiprocessing.Value("d", rate)
        self.acknowledged = multiprocessing.Value("q", 0)
        self._ended = multiprocessing.Value("b", 0)
        self._process = multiprocessing.Process(
            target=pump, daemon=True,
            args=(address, calls, self.rate, self._ended, self.acknowledged))
        self._process.start()

    def finish(self):
        """Stop; how many posts were acknowledged."""
        self._ended.value = 1
        self._process.join(WAIT_S)
        if self._process.exitcode != 0:
            sys.exit("the load has ended before its time")
        return self.acknowledged.value


def lag(kit, stack):
    """Events that the cell has before it."""
    while True:
        state = kit.client.status(stack.cells[0])
        if all(part.log_end >= 0 for part in state.partitions):
            return sum(part.log_end - part.applied
                       for part in state.partitions)


def surge(kit, stack, posters, rate, times, seconds):
    """So many times the rate for a while: posts a second that were taken, the
    most that the cell was behind, and how long it was afterwards."""
    before, begin, most = posters.acknowledged.value, time.monotonic(), 0
    posters.rate.value = rate * times
    while time.monotonic() < begin + seconds:
        most = max(most, lag(kit, stack))
        time.sleep(LOOK_S)
    taken = posters.acknowledged.value - before
    end = time.monotonic()
    posters.rate.value = rate
    while (behind := lag(kit, stack)) > rate:
        most = max(most, behind)
        if time.monotonic() > end + WAIT_S:
            sys.exit(f"the cell stays {behind} events behind")
        time.sleep(LOOK_S)
    return taken / (end - begin), most, time.monotonic() - end


def measure_log(kit, stack, log, out, size, runs):
    """Both kinds of surges over one log."""
    rate = RATE[size]
    follows = follow_frames(kit)
    replay.pump(stack.gateway, follows, len(follows))
    posters = Posters(stack.gateway, post_frames(kit), rate)
    time.sleep(STEADY_S)
    for name, times in BURSTS:
        seconds = BURST_S if name == "burst" else SUSTAINED_S[size]
        found = [surge(kit, stack, posters, rate, times, seconds)
                 for _ in range(runs if name == "burst" else 1)]
        taken, most, recovered = zip(*found)
        out.add(f"{log}_{name}_posts_per_s", list(taken), "1/s",
                aim=rate * times)
        out.add(f"{log}_{name}_lag_max_events", list(most), "events",
                less=True)
        out.add(f"{log}_{name}_recovered_s", list(recovered), "s", less=True,
                limit=LIMIT_S)
    total = posters.finish() + len(follows) * replay.BATCH
    stack.wait_applied(total)
    if replay.in_the_log(kit, stack) != total:
        sys.exit("the log has not what was acknowledged")


def measure(out, directory, size, runs):
    """F22 over both logs."""
    kit = replay.Kit()
    for log in ("local", "kafka"):
        with contextlib.ExitStack() as stack:
            town, _ = stack.enter_context(replay.town(kit, log, directory))
            out.begin("F22", SEED, posts_per_s=RATE[size])
            measure_log(kit, town, log, out, size, runs)
