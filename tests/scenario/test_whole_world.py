"""The main job on the whole demo input: every dashboard equals the oracle's.

Once in one process over the local log, once daemon by daemon over Kafka; the
two are equal to each other too. Then the same after a restart.
"""
from client import Client, Dashboard
from compare import check_everybody, digests
from content import check_user, sample


def import_and_check(stack, world):
    """Import, compare everybody, look closely at some; digests."""
    stack.run_import(world.path)
    states = stack.wait_applied(world.lines)
    assert sum(state.quarantined for state in states) == 0
    found = check_everybody(stack.router, world.oracle)
    with Client(Dashboard, stack.router) as router:
        for number, user in enumerate(sample(world.oracle)):
            check_user(router.getDashboard, user, world.oracle,
                       limit=(100, 20, 33)[number % 3])
            check_user(router.getTimeline, user, world.oracle, limit=20,
                       timeline=True)
    return found


def check_restarted(stack, found):
    """A second start finds everything, as every tenth user sees it."""
    tenth = dict(list(found.items())[::10])
    stack.stop()
    stack.start()
    stack.wait_applied()
    assert digests(stack.router, tenth) == tenth


# (a) One process, two cells, local log; and a second start.
def test_demo_on_local_log(solo, demo, results):
    results["local"] = import_and_check(solo, demo)
    check_restarted(solo, results["local"])


# (b) Separate daemons over Kafka; equal to (a) as well.
def test_demo_on_kafka(cluster, demo, results):
    found = import_and_check(cluster, demo)
    assert results.get("local", found) == found
    check_restarted(cluster, found)


# (d) The synthetic world too, on either log; and importing the same file again
# changes nothing.
def test_second_import_changes_nothing(stack, mixed):
    found = import_and_check(stack, mixed)
    before = stack.wait_applied()
    stack.run_import(mixed.path)
    after = stack.wait_applied(2 * mixed.lines)
    assert digests(stack.router, found) == found
    for old, new in zip(before, after):
        assert (old.users, old.edges) == (new.users, new.edges)
