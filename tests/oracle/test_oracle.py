"""The oracle's own tests: each rule of its head comment by a small story."""
import itertools
import json
import pathlib
import subprocess

import pytest

from oracle import Oracle, user_id

ANN, BEN, EVE = 1, 2, 3


def event(kind, number, user, **fields):
    """An event as a line of NDJSON has it."""
    return {"kind": kind, "id": number, "user": user, **fields}


def told(*events):
    """An oracle that has been told the events."""
    oracle = Oracle()
    for one in events:
        oracle.add(one)
    return oracle


# A reader sees what the followed authors wrote, before and after the follow.
def test_follow_shows_all_posts_newest_first():
    oracle = told(event("post", 10, BEN), event("follow", 20, ANN, target=BEN),
                  event("post", 30, BEN), event("post", 25, EVE),
                  event("follow", 31, ANN, target=EVE))
    assert oracle.dashboard(ANN) == [30, 25, 10]
    assert oracle.dashboard(BEN) == []
    assert oracle.timeline(BEN) == [30, 10]


# Of follow and unfollow the greater event id decides, whatever comes first.
@pytest.mark.parametrize("order", itertools.permutations(range(3)))
def test_newest_decision_on_a_pair_wins(order):
    decisions = [event("follow", 20, ANN, target=BEN),
                 event("unfollow", 21, ANN, target=BEN),
                 event("follow", 22, ANN, target=BEN)]
    oracle = told(event("post", 10, BEN), *(decisions[i] for i in order))
    assert oracle.dashboard(ANN) == [10]
    oracle.add(event("unfollow", 23, ANN, target=BEN))
    assert oracle.dashboard(ANN) == []


# A delete by the author is final in either order; by others it is nothing.
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("who, left", [(BEN, []), (EVE, [10])])
def test_delete(order, who, left):
    story = [event("post", 10, BEN), event("delete", 11, who, post=10)]
    oracle = told(event("follow", 5, ANN, target=BEN),
                  *(story[i] for i in order))
    assert oracle.dashboard(ANN) == left
    assert oracle.timeline(BEN) == left


# A reply waits for its parent; a deleted parent has been seen.
@pytest.mark.parametrize("field", ["reply_to", "reblog_of"])
def test_parent_must_have_been_seen(field):
    oracle = told(event("follow", 5, ANN, target=BEN),
                  event("post", 30, BEN, **{field: 10}))
    assert oracle.dashboard(ANN) == []
    oracle.add(event("delete", 31, EVE, post=10))
    assert oracle.dashboard(ANN) == []
    oracle.add(event("post", 10, EVE))
    assert oracle.dashboard(ANN) == [30]
    assert oracle.timeline(EVE) == []


# A parent counts by itself: that it is not shown yet hides no reply to it.
def test_parent_need_not_be_shown():
    oracle = told(event("post", 30, BEN, reply_to=20),
                  event("post", 20, BEN, reply_to=10))
    assert oracle.timeline(BEN) == [30]


# Events told twice, or backwards, leave the same dashboards.
def test_order_and_repetition_change_nothing():
    story = [event("post", i, 1 + i % 3) for i in range(100, 130)]
    story += [event("follow", 90 + i, 1 + i, target=1 + (i + 1) % 3)
              for i in range(3)]
    story += [event("delete", 140, 1 + 105 % 3, post=105)]
    once, twice = told(*story), told(*reversed(story), *story)
    for user in (ANN, BEN, EVE):
        assert once.dashboard(user) == twice.dashboard(user)


# Kinds that change no dashboard yet change none.
def test_other_kinds_change_nothing():
    oracle = told(event("follow", 5, ANN, target=BEN), event("post", 10, BEN),
                  event("block", 20, ANN, target=BEN),
                  event("mute", 21, ANN, target=BEN),
                  event("like", 22, ANN, post=10),
                  event("edit", 23, BEN, post=10, body="new"),
                  event("read_mark", 24, ANN, post=10),
                  event("delete_user", 25, BEN))
    assert oracle.dashboard(ANN) == [10]


# Names map to numbers by XXH64, without its top bit.
def test_names():
    assert user_id("") == 0xEF46DB3751D8E999 & (2**63 - 1)
    assert user_id("libc6") == user_id("libc6") != user_id("libc7")
    assert user_id(17) == 17


# A line without an id is refused by its number.
def test_missing_id_is_refused():
    with pytest.raises(ValueError, match="line 2"):
        Oracle().read(['{"kind":"post","id":1,"user":1}',
                       '{"kind":"post","user":1}'])


# The command line prints a dashboard for a name.
def test_command_line(tmp_path):
    lines = [event("post", 10, "ben"), event("post", 12, "ben"),
             event("follow", 11, "ann", target="ben")]
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(map(json.dumps, lines)) + "\n")
    oracle = pathlib.Path(__file__).with_name("oracle.py")
    done = subprocess.run([oracle, file, "--user", "ann"],
                          capture_output=True, text=True, check=True)
    assert done.stdout == "12\n10\n"
