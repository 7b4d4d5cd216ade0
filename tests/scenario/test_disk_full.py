"""The data directory's disk is full: a clear refusal, no loss, no crash."""
import contextlib
import os
import subprocess

import pytest

from client import Client, Dashboard, Firehose, context, event, pages, types
from content import post_ids, walk_older
from stacks import Solo

READER, AUTHOR = 31, 32
DISK_MB, DISK_MB_LATER = 48, 512
BODY_BYTES = 60000
POSTS_MAX = DISK_MB * 1024 * 1024 // BODY_BYTES


@contextlib.contextmanager
def small_disk(directory):
    """A file system of its own on the directory; tests need root for it."""
    directory.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m",
                           "comb-test", directory], capture_output=True,
                          text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


def publish(gateway):
    """One post that does not compress: its id if acknowledged, else why."""
    one = event("post", AUTHOR, post={"kind": types.PostKind.PHOTO,
                                      "body": os.urandom(BODY_BYTES)})
    try:
        result, = gateway.publish([one], context())
    except (types.Unavailable, types.Overloaded, types.DeadlineExceeded) as e:
        return None, str(e)
    if result.position:
        return result.id, None
    assert result.refused is None
    return None, result.failed.reason


def fill(gateway):
    """Publish until refused: what was acknowledged, and the reason."""
    taken = []
    for _ in range(POSTS_MAX):
        number, reason = publish(gateway)
        if number is None:
            return taken, reason
        taken.append(number)
    raise AssertionError("the disk never filled")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk")
def test_full_disk(tmp_path):
    solo = Solo(tmp_path)
    with small_disk(solo.data):
        try:
            run_out_of_space(solo)
        finally:
            solo.kill()


def run_out_of_space(solo):
    """Fill up, read, free space, start again, look for everything."""
    solo.start()
    with Client(Firehose, solo.gateway) as gateway:
        gateway.follow(READER, AUTHOR, 0, context())
        taken, reason = fill(gateway)
        assert len(taken) > 10 and reason
        # There may be room again: RocksDB has given back an old log.
        number, _ = publish(gateway)
        taken += [number] if number else []
    with Client(Dashboard, solo.router) as router:
        page = router.getDashboard(READER, pages.PageRequest(), context())
        assert page.entries, "nothing can be read"
    assert solo.daemon.is_running(), solo.daemon.stderr()

    solo.kill()
    subprocess.run(["mount", "-o", f"remount,size={DISK_MB_LATER}m",
                    solo.data], check=True)
    solo.start()
    solo.wait_applied(len(taken) + 1)
    with Client(Dashboard, solo.router) as router:
        found = sum(map(post_ids, walk_older(
            router.getDashboard, READER, 100)), [])
    assert set(taken) <= set(found)
    assert found == sorted(set(found), reverse=True)
    with Client(Firehose, solo.gateway) as gateway:
        assert publish(gateway)[0], "still refused with space"
    solo.stop()
