"""Twenty-five times the load for a second, and how long it is felt (F22).

tests/bench/run F22 has the figures of a fast build, and ten minutes of three
times the load.
"""
import time

from client import applied, status
from compare import check_everybody
from load import Load, Steady

RATE = 100
TIMES = 25
STEADY_S = 1
# For a machine that has no time for us.
BURST_S_MAX = 60
RECOVERED_S = 60


def lag(stack):
    """Events that the cell furthest behind has before it; None: not known."""
    lags = []
    for address in stack.cells:
        state = status(address)
        ends = [part.log_end for part in state.partitions]
        if min(ends) < 0:
            return None
        lags.append(sum(ends) - applied(state))
    return max(lags)


def wait_level(stack):
    """Until no cell is further behind than by a second's load."""
    until = time.monotonic() + RECOVERED_S
    while (behind := lag(stack)) is None or behind > RATE:
        assert time.monotonic() < until, f"still {behind} events behind"
        time.sleep(0.02)


def test_burst(stack, figure):
    load = Load(22)
    steady = Steady(load, stack.gateway, RATE)
    time.sleep(STEADY_S)
    before, begin = load.acknowledged, time.monotonic()
    steady.rate = RATE * TIMES
    while load.acknowledged - before < RATE * TIMES:
        assert time.monotonic() < begin + BURST_S_MAX, steady.reasons
        time.sleep(0.01)
    steady.rate = RATE
    told, end = load.acknowledged - before, time.monotonic()
    wait_level(stack)
    recovered = time.monotonic()
    steady.finish()
    stack.wait_applied(load.acknowledged)
    check_everybody(stack.router, load.oracle)
    figure(f"{told} events in {end - begin:.1f} s, {RATE} a second are usual; "
           f"no lag again {recovered - end:.2f} s later")
