"""The house check checked: each rule finds what it is there to find.

Each test builds a small tree that is in order, plants one violation in it
and looks for the finding's file, line and words.
"""
import shutil
import subprocess
from pathlib import Path

import pytest

LINT = Path(__file__).with_name("run")
FORMAT = LINT.parents[2] / ".clang-format"
FOLDERS = ("cell", "firehose", "router", "thrift", "tests", "ops", "ops/kit")
NEEDS_FORMAT = pytest.mark.skipif(not shutil.which("clang-format-14"),
                                  reason="clang-format-14 is not installed")

GOOD_HEADER = """/*
 * good.h - a goto in a comment is no goto
 */
#pragma once

#include <glib.h>

typedef struct Good {
    int (*call)(int n); /* no declaration of a function */
} Good;

/** good_new() - one, and its end. */
Good *good_new(void);
void good_free(Good *good);

/* A group under one comment. */
int good_add(int n);
int good_multiply(const Good *first, const Good *second, const Good *third,
                  int n);

/** good_one() - inline is declared, too. */
static inline int
good_one(void)
{
    return 1;
}
"""

GOOD_SOURCE = """/*
 * In order.
 */
#include "ops/kit/good.h"

#include <stdio.h>

int
good_add(int n)
{
    printf("goto {\\n");
    return n;
}
"""


@pytest.fixture
def tree(tmp_path):
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "README.md").write_text("A page.\n")
    (tmp_path / "ops/kit/good.h").write_text(GOOD_HEADER)
    (tmp_path / "ops/kit/good.c").write_text(GOOD_SOURCE)
    shutil.copy(FORMAT, tmp_path / ".clang-format")
    return tmp_path


def plant(tree, name, text):
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def lint(tree):
    """The exit status and the findings."""
    done = subprocess.run([LINT, tree], capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout.splitlines()


def function_of(lines):
    body = "    puts(\"line\");\n" * (lines - 4)
    return f"static void\nlong_one(void)\n{{\n{body}}}\n"


def test_order_is_silent(tree):
    """A tree in order has no finding and exit status 0."""
    assert lint(tree) == (0, [])


# Each row: the file, its text, and how its only finding starts.
VIOLATIONS = {
    "kit includes wire": (
        "ops/kit/bad.c", '#include "thrift/wire.h"\n',
        "ops/kit/bad.c:1: includes thrift/wire.h; it may include ops/kit/*"),
    "thrift includes the log": (
        "thrift/bad.c", '#include "firehose/log.h"\n',
        "thrift/bad.c:1: includes firehose/log.h;"),
    "log includes the map": (
        "firehose/log_bad.c", '#include "router/cellmap.h"\n',
        "firehose/log_bad.c:1: includes router/cellmap.h;"),
    "map includes the log": (
        "router/cellmap.c", '\n#include "firehose/log.h"\n',
        "router/cellmap.c:2: includes firehose/log.h;"),
    "router includes the cell": (
        "router/bad.c", '#include "cell/cell.h"\n',
        "router/bad.c:1: includes cell/cell.h;"),
    "cell includes a driver": (
        "cell/bad.c", '#include "firehose/log_driver.h"\n',
        "cell/bad.c:1: includes firehose/log_driver.h;"),
    "cell includes the gateway": (
        "cell/bad.c", '#include "firehose/gateway.h"\n',
        "cell/bad.c:1: includes firehose/gateway.h;"),
    "combctl includes the log": (
        "ops/combctl/bad.c", '#include "firehose/log.h"\n',
        "ops/combctl/bad.c:1: includes firehose/log.h;"),
    "cell includes generated code": (
        "cell/bad.c", "#include <comb_types_types.h>\n",
        "cell/bad.c:1: includes comb_types_types.h, generated code;"),
    "server includes c_glib": (
        "thrift/server.c", "#include <thrift/c_glib/thrift.h>\n",
        "thrift/server.c:1: includes thrift/c_glib/thrift.h, generated code;"),
    "a path beside the root": (
        "cell/bad.c", '#include "../router/router.h"\n',
        'cell/bad.c:1: includes "../router/router.h"; write our headers\''),
    "a second file with RocksDB": (
        "cell/inbox.c", "#include <rocksdb/c.h>\n",
        "cell/inbox.c:1: includes rocksdb/c.h; call what cell/store.c"),
    "a second file with librdkafka": (
        "router/bad.c", "#include <librdkafka/rdkafka.h>\n",
        "router/bad.c:1: includes librdkafka/rdkafka.h; call what"),
    "own header second": (
        "ops/kit/good.c",
        '#include <stdio.h>\n\n#include "ops/kit/good.h"\n',
        "ops/kit/good.c:1: includes stdio.h first; include ops/kit/good.h"),
    "no pragma once": (
        "cell/bad.h", "/* bad.h */\n",
        "cell/bad.h:1: a header without #pragma once;"),
    "goto": (
        "cell/bad.c", "void\nbad(void)\n{\nend:\n    goto end;\n}\n",
        "cell/bad.c:5: goto; return early"),
    "71 lines": (
        "cell/bad.c", "/* Head. */\n\n" + function_of(71),
        "cell/bad.c:3: a function of 71 lines; 70 at most"),
    "801 lines": (
        "cell/bad.c", "/* line */\n" * 801,
        "cell/bad.c:801: 801 lines; 800 at most"),
    "no comment": (
        "cell/bad.h", "#pragma once\n\nint bad_one(void);\n",
        "cell/bad.h:3: bad_one() has no comment; say its effect"),
    "no comment after a gap": (
        "cell/bad.h",
        "#pragma once\n\n/** bad_a() - a. */\nint bad_a(void);\n\n"
        "int bad_b(int n,\n          int m);\n",
        "cell/bad.h:6: bad_b() has no comment;"),
    "no comment over an inline function": (
        "cell/bad.h",
        "#pragma once\n\nstatic inline int\nbad_one(void)\n{\n"
        "    return 1;\n}\n",
        "cell/bad.h:3: bad_one() has no comment;"),
    "a comment of another function": (
        "cell/bad.h",
        "#pragma once\n\n/**\n * bad_old() - a.\n */\nint bad_new(void);\n",
        "cell/bad.h:6: the comment above bad_new() tells of bad_old();"),
    "a machine's path": (
        "ops/bad", "#!/bin/sh\ncd /work/main\n",
        "ops/bad:2: a path of one machine: /work/;"),
    "a home": (
        "tests/bad.py", "open('/home/me/x')\n",
        "tests/bad.py:1: a path of one machine: /home/me/;"),
    "a registry": (
        "ops/bad.xml", "<url>https://repo1.maven.org/maven2</url>\n",
        "ops/bad.xml:1: a package registry's host: repo1.maven.org;"),
    "a mirror": (
        "README.md", "Use http://mirror.internal:8081/debian\n",
        "README.md:1: a host and port: http://mirror.internal:8081;"),
    "a folder without a page": (
        "extra/notes.txt", "Notes.\n", "extra:1: no README.md; write a page"),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_violation(tree, name):
    """Each violation is found, at its line, and nothing else is."""
    path, text, finding = VIOLATIONS[name]
    plant(tree, path, text)
    status, findings = lint(tree)
    findings = [it for it in findings if "not in the house's format" not in it]
    assert status == 1
    assert len(findings) == 1
    assert findings[0].startswith(finding)


@pytest.mark.parametrize("path, text", [
    ("cell/store.c", "#include <rocksdb/c.h>\n"),
    ("cell/ok.c", '#include "router/mapfeed.h"\n'),
    ("router/mapfeed.c", '#include "firehose/log.h"\n'),
    ("firehose/gateway.c", '#include "router/mapfeed.h"\n'),
    ("ops/solo/main.c", '#include "cell/cell.h"\n'),
    ("tests/unit/ok.c", '#include "cell/store.h"\n'),
    ("thrift/client.c", '#include "comb_types_types.h"\n'),
    ("cell/ok.c", function_of(70)),
    ("cell/ok.c", "/* line */\n" * 800),
    ("ops/ok", 'cd "$top/work/x"; curl http://127.0.0.1:9180/readyz\n'),
    ("build/bad.c", '#include "../x.h"\n'),
])
def test_allowed(tree, path, text):
    """What the rules allow, up to their bounds, is not found."""
    plant(tree, path, text)
    assert lint(tree) == (0, [])


@NEEDS_FORMAT
def test_format(tree):
    """A file in another format is told once, with the command to run."""
    plant(tree, "cell/bad.c", "int  a;\nint  b;\n")
    status, findings = lint(tree)
    assert status == 1
    assert findings == ["cell/bad.c:1: not in the house's format; "
                        "run clang-format-14 -i cell/bad.c"]


def test_missing_page(tree):
    """A code folder's README.md is wanted even below the top."""
    (tree / "ops/kit/README.md").unlink()
    assert lint(tree)[1][0].startswith("ops/kit:1: no README.md;")
