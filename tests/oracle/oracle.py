#!/usr/bin/python3
"""The dashboard equation, slowly and plainly.

dashboard(u) = the posts of the authors u follows now, newest first, less what
is deleted (invariant I2 of ARCHITECTURE.md). The daemons keep that answer up
to date with tails, chunks, checkpoints and replays; this model reads the whole
set of events and works it out from the definition. It shares no code with
them, so that the two can only agree by both being right.

What it holds to be true:

- The answer depends on the set of events alone. Order and repetition of lines
  change nothing.
- For each pair of follower and author the follow or unfollow with the greatest
  event id decides.
- A delete counts if it comes from the post's author, before or after the post,
  and for ever.
- A reply or reblog is shown only where its parent or original has been seen,
  that is, where a post event with that id exists, deleted or not.
- Edits, likes, blocks, mutes, read marks and departures of users change no
  dashboard yet.

Cost: all events are held as two dictionaries (pairs and posts), about 300
bytes an event without bodies; a dashboard is put together only when it is
asked for, by sorting the followed authors' lists, so that 6.8 million entries
need no memory beyond one user's at a time.

Reads the NDJSON of `combctl import`; every line must bring its event id.
"""
import argparse
import json
import sys

import xxhash

USER_MASK = 0x7FFF_FFFF_FFFF_FFFF


def user_id(user):
    """The number of a user given by number or by name."""
    if isinstance(user, int):
        return user
    return (xxhash.xxh64_intdigest(user.encode(), 0) & USER_MASK) or 1


class Oracle:
    """The set of events, and what follows from it."""

    def __init__(self):
        self._pairs = {}      # (follower, author) -> (event id, follows)
        self._posts = {}      # post id -> its event
        self._deletes = set() # (user, post id)
        self._users = set()   # who acts or is acted upon
        self._authors = None  # user -> authors followed now
        self._shown = None    # author -> ids of posts shown

    def add(self, event):
        """One event, as a dictionary of the NDJSON's fields."""
        kind, user = event["kind"], user_id(event["user"])
        self._users.add(user)
        self._authors = self._shown = None
        if kind in ("follow", "unfollow"):
            author = user_id(event["target"])
            self._users.add(author)
            fact = (event["id"], kind == "follow")
            pair = (user, author)
            self._pairs[pair] = max(fact, self._pairs.get(pair, fact))
        elif kind == "post":
            self._posts[event["id"]] = event
        elif kind == "delete":
            self._deletes.add((user, event["post"]))

    def read(self, lines):
        """Every line of an NDJSON file; empty ones are passed over."""
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            event = json.loads(line)
            if not event.get("id"):
                raise ValueError(f"line {number}: an event without id")
            self.add(event)
        return self

    def users(self):
        """Everybody the events mention, ascending."""
        return sorted(self._users)

    def following(self, user):
        """The authors a user follows now, in no order."""
        if self._authors is None:
            self._authors = {}
            for (follower, author), (_, follows) in self._pairs.items():
                if follows:
                    self._authors.setdefault(follower, []).append(author)
        return self._authors.get(user, [])

    def timeline(self, author):
        """Ids of an author's posts that may be shown, newest first."""
        if self._shown is None:
            self._shown = {}
            for post in sorted(self._posts, reverse=True):
                if self.may_show(post):
                    writer = user_id(self._posts[post]["user"])
                    self._shown.setdefault(writer, []).append(post)
        return self._shown.get(author, [])

    def dashboard(self, user):
        """Ids of the posts in a user's dashboard, newest first."""
        ids = []
        for author in self.following(user):
            ids += self.timeline(author)
        ids.sort(reverse=True)
        return ids

    def may_show(self, post):
        """Whether a known post is not deleted and its parents are known."""
        event = self._posts[post]
        if self.is_deleted(post):
            return False
        parents = (event.get("reply_to"), event.get("reblog_of"))
        return all(not parent or parent in self._posts for parent in parents)

    def is_deleted(self, post):
        """Whether a known post was deleted by its author."""
        author = user_id(self._posts[post]["user"])
        return (author, post) in self._deletes

    def post(self, post):
        """The event that brought a post, or None."""
        return self._posts.get(post)


def main():
    """Print a user's dashboard or timeline, an id a line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("file", help="NDJSON events, - for standard input")
    parser.add_argument("--user", required=True, help="a number or a name")
    parser.add_argument("--timeline", action="store_true",
                        help="the user's own posts, not the dashboard")
    args = parser.parse_args()
    user = user_id(int(args.user) if args.user.isdigit() else args.user)
    if args.file == "-":
        oracle = Oracle().read(sys.stdin)
    else:
        with open(args.file, encoding="utf-8") as lines:
            oracle = Oracle().read(lines)
    ids = oracle.timeline(user) if args.timeline else oracle.dashboard(user)
    sys.stdout.writelines(f"{post}\n" for post in ids)


if __name__ == "__main__":
    main()
