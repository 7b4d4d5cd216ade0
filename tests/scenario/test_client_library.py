"""Programs of Comb's users: built against what is installed, nothing else.

`cmake --install` puts the C client and the IDL into an empty directory; the
examples are built there as anybody would, with pkg-config and the Thrift
compiler, and run while comb-solo is killed and comes back.
"""
import os
import shutil
import subprocess
import sys
import time

import pytest

from client import Client, Dashboard, context, pages
from content import post_ids
from daemons import BUILD, ROOT, die_with_parent

EXAMPLES = ROOT / "thrift/examples"
USER = 42
POSTS = 400
WAIT_S = 120


def run(*command, **options):
    """A command that must work; what it prints."""
    done = subprocess.run([str(word) for word in command], text=True,
                          capture_output=True, check=False, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """Where it is installed; moved, so that no path of the build counts."""
    built = tmp_path_factory.mktemp("installed") / "first"
    run("cmake", "--build", BUILD, "--target", "comb_client_shared")
    run("cmake", "--install", BUILD, "--prefix", built,
        "--component", "client")
    return built.rename(built.with_name("moved"))


def installed(prefix):
    """The environment in which it is found."""
    libdir = next(prefix.rglob("libcomb-client.so")).parent
    return {**os.environ, "LD_LIBRARY_PATH": str(libdir),
            "PKG_CONFIG_PATH": str(libdir / "pkgconfig"),
            "G_DEBUG": "fatal-criticals"}


@pytest.fixture(scope="module")
def in_c(prefix, tmp_path_factory):
    """The example in C: the command and its environment."""
    directory = tmp_path_factory.mktemp("c")
    environment = installed(prefix)
    flags = run("pkg-config", "--cflags", "--libs", "comb-client",
                env=environment).split()
    assert not any(str(ROOT) in flag for flag in flags)
    run("gcc", "-Wall", "-Wextra", "-Werror",
        EXAMPLES / "read_your_writes.c", "-o", directory / "example", *flags,
        env=environment, cwd=directory)
    return [directory / "example"], environment


@pytest.fixture(scope="module")
def in_python(prefix, tmp_path_factory):
    """The same in Python, from the installed IDL."""
    directory = tmp_path_factory.mktemp("python")
    for file in ("dashboard", "firehose"):
        run("thrift", "-r", "-gen", "py", "-o", directory,
            prefix / f"share/comb/thrift/{file}.thrift")
    shutil.copy(EXAMPLES / "read_your_writes.py", directory)
    return ([sys.executable, directory / "read_your_writes.py"],
            {**os.environ, "PYTHONPATH": str(directory / "gen-py")})


@pytest.fixture(params=["in_c", "in_python"])
def example(request):
    """Both."""
    return request.getfixturevalue(request.param)


class Running:
    """An example on its way against a stack."""

    def __init__(self, example, solo, directory, posts):
        command, environment = example
        self.out, self.err = directory / "out", directory / "err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                [*map(str, command), "127.0.0.1",
                 solo.gateway.split(":")[1], solo.router.split(":")[1],
                 str(USER), str(posts)],
                env=environment, stdin=subprocess.DEVNULL, stdout=out,
                stderr=err, preexec_fn=die_with_parent)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def seen(self):
        """The ids that it has seen."""
        return [int(line.split()[1])
                for line in self.out.read_text().splitlines()
                if len(line.split()) == 2]

    def wait_seen(self, count):
        """Until it has seen so many."""
        until = time.monotonic() + WAIT_S
        while len(self.seen()) < count:
            assert self.process.poll() is None, self.err.read_text()
            assert time.monotonic() < until, self.err.read_text()
            time.sleep(0.005)

    def finish(self):
        """Its end, which must be a good one."""
        assert self.process.wait(WAIT_S) == 0, self.err.read_text()
        return self.seen()


def timeline(address):
    """All of the user's posts, oldest first."""
    ids, cursor = [], None
    with Client(Dashboard, address) as router:
        while True:
            page = router.getTimeline(
                USER, pages.PageRequest(limit=100, cursor=cursor), context())
            ids += post_ids(page)
            cursor = page.older
            if page.page_end != pages.PageEnd.MORE:
                return ids[::-1]


# Undisturbed, it writes and sees each, without a word about trouble.
def test_example(example, solo, tmp_path):
    with Running(example, solo, tmp_path, 100) as running:
        ids = running.finish()
    assert len(ids) == 100 and ids == timeline(solo.router)
    assert running.err.read_text() == ""


# Killed and started again twice under it, Comb has each post once, and the
# program has seen each: it connects anew, and repeats by the event's id.
def test_example_reconnects(example, solo, tmp_path):
    with Running(example, solo, tmp_path, POSTS) as running:
        for seen in (POSTS // 4, POSTS // 2):
            running.wait_seen(seen)
            solo.kill()
            time.sleep(0.3)
            assert running.process.poll() is None
            solo.start()
        ids = running.finish()
    assert len(ids) == POSTS and ids == timeline(solo.router)
    assert "again in" in running.err.read_text()


# Idle while Comb restarts, a client's next call works at once: what the peer
# has closed meanwhile is noticed before anything is sent.
IDLE = r"""
#include <comb/client.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
    CombClientOptions options = {
        .port = (guint16)g_ascii_strtoull(argv[argc - 1], NULL, 10)};
    g_autoptr(CombClient) client = comb_client_new(&options, NULL);

    while (getchar() != EOF) {
        g_auto(CombRefusals) no = {0};
        g_autoptr(GError) error = NULL;
        g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
        gboolean done = comb_firehose_client_next_ids(
            comb_client_firehose(client), &ids, 3,
            comb_client_begin(client, 1000), &no.invalid, &no.overloaded,
            &no.deadline, &no.unavailable, &no.denied, &error);

        puts(done ? "done" : error->message);
        fflush(stdout);
    }
    return 0;
}
"""


def test_idle_over_a_restart(prefix, solo, tmp_path):
    environment = installed(prefix)
    flags = run("pkg-config", "--cflags", "--libs", "comb-client",
                env=environment).split()
    (tmp_path / "idle.c").write_text(IDLE)
    run("gcc", "-Wall", "-Werror", tmp_path / "idle.c", "-o",
        tmp_path / "idle", *flags, env=environment)
    with subprocess.Popen([tmp_path / "idle", solo.gateway.split(":")[1]],
                          env=environment, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, bufsize=1,
                          preexec_fn=die_with_parent) as process:
        def call():
            process.stdin.write("x")
            process.stdin.flush()
            return process.stdout.readline().strip()

        assert call() == "done"
        solo.stop()
        solo.start()
        assert call() == "done"
        solo.kill()
        assert "cannot connect" in call()
        begin = time.monotonic()
        assert "again in" in call() and time.monotonic() - begin < 0.5
        solo.start()
        time.sleep(0.2)
        assert call() == "done"
        process.stdin.close()
        assert process.wait(10) == 0
