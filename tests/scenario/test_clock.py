"""The wall clock jumps a day ahead, two back, and home again (F20).

Ids only ever grow, over starts of the gateway too, and nobody's dashboard
changes.
"""
import pytest

from client import Client, Firehose, context, event
from clock import Clock
from compare import check_everybody, digests
from load import Load
from stacks import Cluster, Solo

DAY_S = 24 * 3600
JUMPS_S = (DAY_S, -DAY_S, 0)
EVENTS = 300
AUTHOR = 900
DRAWN = 500


@pytest.fixture(name="stack", params=["solo", "cluster"])
def make_stack(request, tmp_path):
    """Both ways to run a Comb; not started."""
    if request.param == "solo":
        return Solo(tmp_path)
    return Cluster(tmp_path, request.getfixturevalue("broker").bootstrap)


class Ids:
    """Every id that was given must be greater than the last one."""

    def __init__(self):
        self.last = 0

    def draw(self, stack, load):
        """Some by themselves, and a post that was given one."""
        with Client(Firehose, stack.gateway) as gateway:
            for number in gateway.nextIds(DRAWN, context()):
                self.take(number)
            told = event("post", AUTHOR, post={"body": b"what time is it?"})
            result, = gateway.publish([told], context())
        assert result.position, result
        self.take(result.id)
        load.acknowledged += 1
        load.oracle.add({"kind": "post", "id": result.id, "user": AUTHOR})

    def take(self, number):
        """The next one."""
        assert number > self.last, f"{number} after {self.last}"
        self.last = number


def start_again(stack):
    """What gives ids, which has ended."""
    if isinstance(stack, Solo):
        stack.start()  # its cells have other ports
    else:
        stack.firehose.start()


def check(stack, load):
    """All is there; answers everybody's digests."""
    stack.wait_applied(load.acknowledged)
    return check_everybody(stack.router, load.oracle)


def test_clock_jumps(stack, tmp_path):
    # The first one gives ids.
    daemons = [stack.daemon] if isinstance(stack, Solo) else stack.daemons
    clock = Clock(tmp_path, daemons)
    load, ids = Load(4), Ids()
    with stack:
        load.tell(stack.gateway, EVENTS)
        load.tell_these(stack.gateway, [{
            "kind": "follow", "id": load.world.next_id(), "user": AUTHOR + 1,
            "target": AUTHOR}])
        ids.draw(stack, load)
        found = check(stack, load)
        for ahead_s in JUMPS_S:
            clock.set(ahead_s)
            assert digests(stack.router, found) == found
            ids.draw(stack, load)
            load.tell(stack.gateway, EVENTS)
            found = check(stack, load)
            for end in (daemons[0].kill, daemons[0].stop):
                end()
                start_again(stack)
                ids.draw(stack, load)
            found = check(stack, load)
