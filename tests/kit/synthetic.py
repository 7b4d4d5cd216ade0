"""A small invented world with everything that real input lacks.

Deletes before and after the post and by strangers, unfollows and refollows,
replies and reblogs that come before their parents or whose parents never come,
likes and other kinds that must change nothing, lines told twice, ids that come
late and out of order. Deterministic for a seed; print the seed with a failure.
"""
import json
import random

SEED = 20240607
USERS = 300
EVENTS = 12000
# 2020-01-01 in milliseconds, as the high bits of an id.
EPOCH_MS = 1577836800000
ID_SHIFT = 21
# How far from its place a line may be moved: many, and the whole file.
DELAYS = (0, 0, 0, 5, 50, 500, EVENTS)

KINDS = {"post": 40, "follow": 25, "unfollow": 8, "delete": 6, "like": 6,
         "read_mark": 5, "mute": 4, "block": 4, "edit": 2}
POST_KINDS = ("text", "photo", "quote", "link", "chat", "audio", "video",
              "answer")
WORDS = ("honey", "wax", "drone", "queen", "nectar", "Wabe", "蜂", "🐝")


class World:
    """Makes events one by one and remembers the posts it made."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.posts = []    # (id, user)
        self.number = 0

    def next_id(self):
        """An id some milliseconds after the last, sequence and node set."""
        self.number += 1
        time_ms = EPOCH_MS + self.number * 7
        low = self.random.randrange(1 << 13) << 8 | 3
        return time_ms << ID_SHIFT | low

    def user(self):
        """Somebody; the lower numbers are the busier ones."""
        return 1 + int(USERS * self.random.random() ** 2)

    def event(self):
        """The next event as a dictionary."""
        kind, = self.random.choices(list(KINDS), KINDS.values())
        if kind != "post" and not self.posts:
            kind = "post"
        one = {"kind": kind, "id": self.next_id(), "user": self.user()}
        if kind in ("follow", "unfollow", "mute", "block"):
            one["target"] = self.user()
            if one["target"] == one["user"]:
                one["target"] = one["user"] % USERS + 1
        elif kind == "post":
            one.update(self.content(one["id"]))
            self.posts.append((one["id"], one["user"]))
        else:
            one["post"], author = self.random.choice(self.posts)
            if kind in ("edit", "delete") and self.random.random() < 0.9:
                one["user"] = author
            if kind == "edit":
                one["body"], one["post_kind"] = "edited", "text"
        return one

    def content(self, own_id):
        """A post's fields; some answer others, one in fifty nothing at all."""
        fields = {
            "post_kind": self.random.choice(POST_KINDS),
            "body": " ".join(self.random.choices(
                WORDS, k=self.random.randrange(40))),
            "tags": self.random.sample(WORDS, self.random.randrange(4)),
        }
        answers = self.random.random()
        if answers < 0.35 and self.posts:
            field = "reply_to" if answers < 0.2 else "reblog_of"
            fields[field], _ = self.random.choice(self.posts)
            if self.random.random() < 0.02:
                fields[field] = own_id - 1
        return fields


def generate(seed=SEED, events=EVENTS):
    """The events, in the order in which they are to be told."""
    world = World(seed)
    told = []
    for place in range(events):
        one = world.event()
        for _ in range(2 if world.random.random() < 0.03 else 1):
            delay = world.random.choice(DELAYS)
            told.append((place + delay * world.random.random(), one))
    told.sort(key=lambda pair: pair[0])
    return [one for _, one in told]


def write(path, seed=SEED, events=EVENTS):
    """The events as NDJSON in a file; answers the number of lines."""
    lines = generate(seed, events)
    with open(path, "w", encoding="utf-8") as file:
        for one in lines:
            file.write(json.dumps(one, ensure_ascii=False) + "\n")
    return len(lines)
