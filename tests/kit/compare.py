"""Everybody's dashboards against the oracle's."""
import array
import subprocess

import xxhash

from daemons import program


def expected(oracle, ids_of):
    """user -> (count, hash) of what ids_of (dashboard, timeline) answers."""
    wanted = {}
    for user in oracle.users():
        ids = ids_of(user)
        data = array.array("q", ids).tobytes()
        wanted[user] = (len(ids), xxhash.xxh64_hexdigest(data, 0))
    return wanted


def run_digest(address, users, *flags):
    """Lines of comb-digest, split."""
    done = subprocess.run(
        [program("comb-digest"), *flags, address], text=True,
        input="".join(f"{user}\n" for user in users), capture_output=True)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def digests(address, users, *flags):
    """user -> (count, hash) as a daemon serves them."""
    return {int(user): (int(count), digest)
            for user, count, digest in run_digest(address, users, *flags)}


def explain(address, user, wanted, *flags):
    """What is wrong with one user's ids, in words."""
    (_, _, *served), = run_digest(address, [user], "--ids", *flags)
    served = list(map(int, served))
    missing = sorted(set(wanted) - set(served), reverse=True)
    extra = sorted(set(served) - set(wanted), reverse=True)
    return (f"user {user}: {len(served)} posts served, {len(wanted)} wanted; "
            f"missing {missing[:5]} extra {extra[:5]}")


def check_everybody(address, oracle, timelines=True):
    """Every dashboard, and timeline, equals the oracle's.

    Answers the dashboards' digests, for comparing runs with each other.
    """
    found = check_kind(address, oracle, oracle.dashboard)
    if timelines:
        check_kind(address, oracle, oracle.timeline, "--timeline")
    return found


def check_kind(address, oracle, ids_of, *flags):
    """One call's answers for everybody; the first differences in words."""
    wanted = expected(oracle, ids_of)
    found = digests(address, wanted, *flags)
    wrong = [user for user in wanted if found.get(user) != wanted[user]]
    told = [explain(address, user, ids_of(user), *flags)
            for user in wrong[:5]]
    assert not wrong, f"{len(wrong)} users of {len(wanted)} differ; " + \
        "; ".join(told)
    return found
