"""What may happen to files, and what a Comb then makes of them.

A trial starts comb-solo on a damaged copy of a directory and finds out whether
it noticed. Whoever did not notice must serve everything, and go on doing so:
after the first comparison more is told, because a row that is silently gone
(an edge, a parent) may be missed only by what comes later.
"""
import collections
import re
import shutil
import signal
import struct
import subprocess
import urllib.error
import urllib.request

import content
import synthetic
from client import Client, Dashboard, Firehose, context, types
from compare import expected, run_digest
from daemons import program
from load import GONE, Load, to_event
from oracle import Oracle
from stacks import Solo
from town import ANY_PORTS, wait_level

# How a trial may end. The first five are good.
EQUAL = "equal"              # everything served, before and after more
REFUSED = "refused"          # no start, and a reason
UNHEALTHY = "unhealthy"      # /healthz gives a reason
UNAVAILABLE = "unavailable"  # some pages are refused with a reason
# Debian's RocksDB has its assertions on, and believes a table's properties
# (bit 7 of the block's last byte) before it looks at their checksum. That is
# loud, and nothing was served; we cannot do better from outside.
ABORTED = "aborted"          # no start, by an assertion of RocksDB
WRONG = "WRONG"              # pages that are not the oracle's, as if good
STALE = "STALE"              # such pages, but marked stale
CRASHED = "CRASHED"          # ended by a signal
HUNG = "HUNG"                # neither ready nor refused
NOTICED = {REFUSED, UNHEALTHY, UNAVAILABLE, ABORTED}
GOOD = {EQUAL, *NOTICED}

APPLIED_S = 20
REFUSALS_MAX = 5
PAGES_OF_USERS = 3
# RocksDB's own text log and lock say nothing about data.
IGNORED = re.compile(r"store/(LOG|LOCK)")
CELLS = ("cell-0", "cell-1")

Outcome = collections.namedtuple("Outcome", "name detail")


def kind_of(path):
    """A file's kind: its name in the cell's directory without numbers."""
    return re.sub(r"\d+", "N", str(path))


def kinds(cell):
    """kind -> files of it with something in them, relative to the cell."""
    found = collections.defaultdict(list)
    for path in sorted(cell.rglob("*")):
        name = path.relative_to(cell)
        if path.is_file() and path.stat().st_size and \
                not IGNORED.match(str(name)):
            found[kind_of(name)].append(name)
    return found


def flip(path, offset, bit):
    """Turn one bit over."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def manifest_records(path):
    """Where the records of a MANIFEST begin (RocksDB's log format: in blocks
    of 32 KiB; checksum u32, length u16, type u8 before each)."""
    data = path.read_bytes()
    assert len(data) < 32768, "more than one block"
    at = 0
    while at + 7 <= len(data):
        yield at
        at += 7 + struct.unpack_from("<H", data, at + 4)[0]


class Base:
    """A cleanly stopped directory, copies of it, and what is in it.

    older is of an earlier moment, killed holds the same events but was left by
    kill -9: the cells have the last round in the log alone.
    """

    ROUNDS, EVENTS = 6, 450
    OLDER = 4  # rounds that the older copy has
    READERS = 4  # who follow everybody, so that there are many chunks

    def __init__(self, directory, seed):
        self.directory, self.seed = directory, seed
        self.data, self.older, self.killed = (
            directory / name for name in ("data", "older", "killed"))
        load = Load(seed)
        solo = Solo(directory, "--checkpoint-s", 3600, *ANY_PORTS)
        for number in range(self.ROUNDS):
            if number == self.OLDER:
                shutil.copytree(solo.data, self.older)
            with solo:
                if number == 0:
                    load.tell_these(solo.gateway, self.readers(load))
                load.tell(solo.gateway, self.EVENTS)
                wait_level(solo, load.acknowledged)
                if number == self.ROUNDS - 1:
                    solo.kill()
                    shutil.copytree(solo.data, self.killed)
                    solo.start()
        self.acknowledged = load.acknowledged
        self.oracle = load.oracle
        self.more = self.told_later(load)
        self.later = self.oracle_of([*load.heard, *self.more])
        self.wanted = self.digests(self.oracle)
        self.wanted_later = self.digests(self.later)

    def readers(self, load):
        """They follow everybody before there is a post."""
        return [{"kind": "follow", "id": load.world.next_id(),
                 "user": synthetic.USERS + 1 + reader, "target": author + 1}
                for reader in range(self.READERS)
                for author in range(synthetic.USERS)]

    def told_later(self, load):
        """More of the world, and a post by everybody that replies to an old
        one, a refollow of pairs that were followed, an unfollow of others."""
        world = load.world
        old = [post for post, _ in world.posts]
        more = load.next_events(300)
        for user in self.oracle.users():
            number = world.next_id()
            more.append({"kind": "post", "id": number, "user": user,
                         "post_kind": "text", "body": "later", "tags": [],
                         "reply_to": load.random.choice(old)})
            for author in sorted(self.oracle.following(user))[:1]:
                kind = load.random.choice(("follow", "unfollow"))
                more.append({"kind": kind, "id": world.next_id(),
                             "user": user, "target": author})
        return more

    @staticmethod
    def oracle_of(events):
        """An oracle that has heard these."""
        oracle = Oracle()
        for one in events:
            oracle.add(one)
        return oracle

    @staticmethod
    def digests(oracle):
        """What comb-digest must say of dashboards and of timelines."""
        return (((), expected(oracle, oracle.dashboard)),
                (("--timeline",), expected(oracle, oracle.timeline)))


class Trial:
    """One damaged copy."""

    def __init__(self, base, directory, killed=False):
        self.base, self.directory = base, directory
        self.data = directory / "data"
        shutil.copytree(base.killed if killed else base.data, self.data)
        self.solo = Solo(directory, "--checkpoint-s", 1, *ANY_PORTS)
        self.told_more = False

    def run(self):
        """An Outcome: of a start, and of another one where it was noticed.

        Whatever supervises a daemon starts it again: what was noticed once
        must not be forgotten because of what the first start has mended.
        """
        outcome = self.start_and_look()
        if outcome.name in NOTICED:
            again = self.start_and_look()
            if again.name not in GOOD:
                return Outcome(again.name, f"{again.detail}; at the second "
                               f"start, the first was {outcome}")
        return outcome

    def start_and_look(self):
        """Start, look, tell more, look again."""
        try:
            self.solo.start()
        except AssertionError as error:
            return self.refusal(str(error))
        try:
            return self.look()
        finally:
            died = not self.solo.daemon.is_running()
            self.solo.kill()
            self.solo.daemon.check_output()
            if died:
                return Outcome(CRASHED, self.solo.daemon.stderr()[-600:])

    def refusal(self, said):
        """The start failed: was it a refusal?"""
        self.solo.daemon.check_output()
        code = re.search(r"ended with (-?\d+) before", said)
        if code is None:
            return Outcome(HUNG, said[-600:])
        reason = re.search(r'crit solo.main stopped reason="(.+)"', said)
        if int(code[1]) == 1 and reason:
            return Outcome(REFUSED, reason[1])
        if int(code[1]) == -signal.SIGABRT and "rocksdb::" in said and \
                "Assertion" in said:
            return Outcome(ABORTED, said[-600:])
        return Outcome(CRASHED, said[-600:])

    def look(self):
        """The running daemon against the oracle, twice."""
        if not self.told_more:
            outcome = self.compare(self.base.wanted, self.base.oracle)
            if outcome.name != EQUAL:
                return outcome
            self.tell_more()
        outcome = self.wait_more()
        if outcome.name != EQUAL:
            return outcome
        return self.compare(self.base.wanted_later, self.base.later)

    def tell_more(self):
        """The events that come later."""
        more = self.base.more
        self.told_more = True
        with Client(Firehose, self.solo.gateway) as gateway:
            for begin in range(0, len(more), 1000):
                results = gateway.publish(
                    [to_event(one) for one in more[begin:begin + 1000]],
                    context())
                assert all(result.position for result in results)

    def wait_more(self):
        """Until they are applied, or the cell says that it has stopped."""
        at_least = self.base.acknowledged + len(self.base.more)
        try:
            wait_level(self.solo, at_least, APPLIED_S)
        except AssertionError as error:
            reason = self.unhealthy()
            return Outcome(UNHEALTHY if reason else HUNG, reason or str(error))
        return Outcome(EQUAL, "")

    def compare(self, wanted, oracle):
        """Every digest, and some users' pages."""
        refused = {}
        for flags, digests in wanted:
            wrong, refusals = self.digest(digests, flags)
            if wrong:
                return self.wrong(wrong, flags)
            refused.update(refusals)
        reason = self.unhealthy()
        if reason:
            return Outcome(UNHEALTHY, reason)
        if refused:
            user, why = next(iter(refused.items()))
            return Outcome(UNAVAILABLE, f"user {user}: {why}")
        return self.check_pages(oracle)

    def digest(self, wanted, flags):
        """Who is served wrongly (user: how), and who is refused (user: why).

        comb-digest ends at the first refusal; it is asked again without.
        """
        left, wrong, refused = dict(wanted), {}, {}
        while left and len(refused) < REFUSALS_MAX:
            done = subprocess.run(
                [program("comb-digest"), *flags, self.solo.router], text=True,
                input="".join(f"{user}\n" for user in left),
                capture_output=True)
            for line in done.stdout.splitlines():
                user, count, digest = line.split()
                right = left.pop(int(user))
                if right != (int(count), digest):
                    wrong[int(user)] = f"{count} of {right[0]} posts"
            if done.returncode == 0:
                break
            said = re.search(r"user (\d+): (.*)", done.stderr)
            if said is None:
                wrong[0] = done.stderr
                break
            user = int(said[1])
            left.pop(user)
            why = self.ask(user, flags)
            if "exception 5" in said[2] and why:
                refused[user] = why
            else:
                wrong[user] = said[2]
        return wrong, refused

    def ask(self, user, flags):
        """Why a user's page is refused, in words; None where it is served."""
        with Client(Dashboard, self.solo.router) as router:
            call = router.getTimeline if flags else router.getDashboard
            try:
                for page in content.walk_older(call, user, 100):
                    if page.stale:
                        return page.stale
            except types.Unavailable as error:
                return error.reason
        return None

    def wrong(self, wrong, flags):
        """Wrong pages; are they at least marked?"""
        user, how = next(iter(wrong.items()))
        detail = f"{len(wrong)} users; {' '.join(flags)} user {user}: {how}; " \
            f"healthz: {self.unhealthy()}"
        stale = user and self.ask(user, flags)
        if stale:
            return Outcome(STALE, f"{detail}; stale: {stale}")
        return Outcome(WRONG, detail)

    def check_pages(self, oracle):
        """Whole pages, word by word."""
        try:
            with Client(Dashboard, self.solo.router) as router:
                for user in content.sample(oracle, PAGES_OF_USERS):
                    content.check_user(router.getDashboard, user, oracle, 50)
        except GONE as error:
            return Outcome(UNAVAILABLE, str(error))
        except AssertionError as error:
            return self.wrong_pages(user, oracle, str(error))
        return Outcome(EQUAL, "")

    def wrong_pages(self, user, oracle, said):
        """A page was not as it should be; perhaps it was marked stale alone.

        Compaction may meet the damage at any time, and stop the applying.
        """
        ids = oracle.dashboard(user)
        (_, _, *served), = run_digest(self.solo.router, [user], "--ids")
        reason = self.unhealthy()
        if reason and self.ask(user, ()) and list(map(int, served)) == ids:
            return Outcome(UNHEALTHY, reason)
        return Outcome(WRONG, f"pages of {user}: {said}; healthz: {reason}")

    def unhealthy(self):
        """What /healthz complains of, or None."""
        try:
            urllib.request.urlopen(f"http://{self.solo.admin}/healthz",
                                   timeout=10).close()
        except urllib.error.HTTPError as error:
            return error.read().decode().strip()
        return None
