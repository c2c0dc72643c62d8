#!/usr/bin/env python3
"""selftest - each check is shown a tree that it must refuse, and one that it must pass.  TAP.

A row of BAD: check, what the complaint must say, the files that differ from GOOD.
"""
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import checks  # noqa: E402
import rooms  # noqa: E402
from tree import Tree  # noqa: E402

INCLUDES = "rooms include only whom they may"
OWN = "a source includes its own header first"
FORM = "headers open with what they are, and once"
ALONE = "headers compile alone"
TABLES = "tables over an enum have a row for each member"
CODES = "every error code is raised somewhere, and says what to do"
CALLS = "no banned call, but for the allow list"
LENGTH = "no file is too long"
UNFINISHED = "nothing is marked as unfinished"
MACHINE = "nothing names one machine or its package mirror"
TEXT = "text files are plain: LF, no trailing blanks, a newline at the end"
SCRIPTS = "shell scripts parse and can be run"
ADR = "a decision has a number of its own"
MESON = "every source is in a list of meson's"
FORMAT = "C sources are as clang-format writes them"


def header(name, body=""):
    return f"/* {name} - for a test. */\n#pragma once\n{body}"


GOOD = {
    "src/base/err.h": header("err.h", "#include <stdint.h>\n"),
    "src/base/err.c": '#include "base/err.h"\n\n#include <errno.h>\n',
    "src/base/meson.build": "files('err.c')\n",
    "src/io/io.h": header("io.h", '#include "base/err.h"\n'),
    "src/io/io.c": '#include "io/io.h"\n\n#include <liburing.h>\n',
    "src/io/meson.build": "files('io.c')\n",
    "src/actors/vm.c": '#include "io/io.h"\n',
    "src/actors/meson.build": "files('vm.c')\n",
    "src/bangerd.c": '#include "io/io.h"\n',
    "src/meson.build": "files('bangerd.c')\n",
    "tests/unit/test_io.c": '#include <criterion/criterion.h>\n\n#include "io/io.h"\n',
    "tests/unit/meson.build": "unit_tests = {\n  'io': [],\n}\n",
    "tests/tidy/allow.txt": "# none\n",
    ".clang-format": "BasedOnStyle: LLVM\n",
}


def in_io(code):
    """io.c with this code in it."""
    return {"src/io/io.c": GOOD["src/io/io.c"] + code}


FILL = "enum part { PART_A, PART_B, PART_NPARTS };\n"

ERRORS = 'ERROR(NEVER, "never", EIO, false, "A cause.", "%s")\n'

BAD = [
    (INCLUDES, "may not include src/io/", {"src/base/err.c": '#include "base/err.h"\n#include "io/io.h"\n'}),
    (INCLUDES, "may not include src/actors/", {"src/actors/vm.h": header("vm.h"), **in_io('#include "actors/vm.h"\n')}),
    (INCLUDES, "may not include src/io/", {"cli/main.c": '#include "io/io.h"\n'}),
    (INCLUDES, "may not include src/io/", {"cli/main.c": '#include "../src/io/io.h"\n'}),
    (INCLUDES, "lives in src/io/", {"src/actors/vm.c": "#include <liburing.h>\n"}),
    (INCLUDES, "lives in src/proto/", {"src/actors/vm.c": "#include <msgpack.h>\n"}),
    (INCLUDES, "lives in src/store/", {"src/bangerd.c": "#  include <lmdb.h>\n"}),
    (INCLUDES, "lives in tests/", {"src/actors/vm.c": "#include <criterion/criterion.h>\n"}),
    (INCLUDES, "neither libc's", {"src/actors/vm.c": "#include <glib.h>\n"}),
    (INCLUDES, "to be pure", {"src/base/err.c": '#include "base/err.h"\n#include <linux/fs.h>\n'}),
    (INCLUDES, "no header", {"src/actors/vm.c": '#include "io/gone.h"\n'}),
    (INCLUDES, "lies in no room", {"src/odd.h": header("odd.h"), "extra/x.h": header("x.h"),
                                   "cli/main.c": '#include "extra/x.h"\n'}),
    (OWN, "not its first", {"src/io/io.c": '#include <liburing.h>\n#include "io/io.h"\n'}),
    (FORM, "does not begin", {"src/io/io.h": "#pragma once\n"}),
    (FORM, "no #pragma once", {"src/io/io.h": "/* io.h - for a test. */\n"}),
    (ALONE, "src/io/io.h", {"src/io/io.h": header("io.h", "size_t io_len(void);\n")}),
    (ALONE, "redefinition", {"src/io/io.h": "struct io {\n\tint x;\n};\n"}),
    (TABLES, "no row for PART_B", in_io(FILL + "static const int t[PART_NPARTS] = {\n\t[PART_A] = 1,\n};\n")),
    (CALLS, "strcpy()", in_io("void f(char *s)\n{\n\tstrcpy(s, s);\n}\n")),
    (CALLS, "atoi()", in_io("int f(char *s)\n{\n\treturn atoi(s);\n}\n")),
    (CALLS, "an event and a deadline", {"tests/unit/test_io.c": "void f(void)\n{\n\tusleep(1);\n}\n"}),
    (CALLS, "sigaction", in_io("void f(void)\n{\n\tsignal(1, 0);\n}\n")),
    (CALLS, "F_DUPFD_CLOEXEC", in_io("void f(void)\n{\n\tint a = dup(1);\n}\n")),
    (CALLS, "without SOCK_CLOEXEC", in_io("void f(void)\n{\n\tint a = socket(AF_UNIX, SOCK_STREAM, 0);\n}\n")),
    (CALLS, "without O_CLOEXEC", in_io('void f(void)\n{\n\tint a = open("(O_CLOEXEC", O_RDONLY);\n}\n'.replace(
        "(O_CLOEXEC", "x"))),
    (CALLS, "without O_CLOEXEC", in_io('void f(void)\n{\n\tint a = openat(d, "x", /* O_CLOEXEC */ O_RDONLY);\n}\n')),
    (CALLS, "fopen() without", in_io('void f(void)\n{\n\tFILE *a = fopen("exe", "r");\n}\n')),
    (CALLS, "does not speak", in_io('void f(void)\n{\n\tfprintf(stderr, "x");\n}\n')),
    (CALLS, "does not speak", in_io('void f(void)\n{\n\tLOG_INFO(c, NULL, "x");\n}\n')),
    (CALLS, "nothing needs the row", {"tests/tidy/allow.txt": "src/io/io.c  atoi  because\n"}),
    (LENGTH, "at most", in_io("\n" * (rooms.LINES_MAX + 1))),
    (UNFINISHED, "TO" "DO", in_io("/* TO" "DO: more */\n")),
    (UNFINISHED, "FIX" "ME", {"README.md": "FIX" "ME\n"}),
    (MACHINE, "mirror", {"README.md": "https://debian-mirror.example.net/debian\n"}),
    (MACHINE, "10.1.2.3", {"README.md": "see http://10.1.2.3/x\n"}),
    (TEXT, "no newline", {"README.md": "x"}),
    (TEXT, "carriage", {"README.md": "x\r\n"}),
    (TEXT, "blanks at the end", {"README.md": "x \n"}),
    (TEXT, "a blank in", {"RE ADME.md": "x\n"}),
    (ADR, "has this number", {"docs/adr/0001-a.md": "# 1. A\n", "docs/adr/0001-b.md": "# 1. B\n"}),
    (ADR, "does not begin with", {"docs/adr/0002-a.md": "# A\n"}),
    (SCRIPTS, "not executable", {"scripts/x": "#!/bin/sh\n"}),
    (SCRIPTS, "yntax", {"scripts/x!": "#!/bin/sh\nif\n"}),
    (MESON, "src/io/new.c", {"src/io/new.c": "\n"}),
    (MESON, "tests/unit/test_new.c", {"tests/unit/test_new.c": "\n"}),
    (FORMAT, "src/io/io.c", in_io("void f( void ) {}\n")),
    (CODES, "nothing raises ERR_NEVER", {"src/base/errors.def": ERRORS % "Do that."}),
    (CODES, "NEVER has no hint", {"src/base/errors.def": ERRORS % ""}),
]

# What looks like a finding and is none: comments, strings, methods, declarations, allowed rows.
QUIET = [
    (INCLUDES, in_io('/* #include <lmdb.h> */\n#include "io/io.h"\n')),
    (CALLS, in_io('/* strcpy(a, b) */\nstatic const char *t = "system(x)";\n')),
    (CALLS, in_io("void f(struct x *x)\n{\n\tx->open(1);\n\tx.signal(2);\n}\nint open(const char *, int);\n")),
    (CALLS, in_io('void f(void)\n{\n\tint a = open("x",\n\t\tO_RDONLY | O_CLOEXEC);\n}\n')),
    (CALLS, in_io("void f(void)\n{\n\t(void)signal(SIGPIPE, SIG_IGN);\n}\n")),
    (CALLS, {**in_io("void f(char *s)\n{\n\tatoi(s);\n}\n"),
             "tests/tidy/allow.txt": "src/io/io.c  atoi  a test\n"}),
    (TABLES, in_io(FILL + "static const int t[PART_NPARTS] = { /* sparse: a test */\n\t[PART_A] = 1,\n};\n")),
    (TABLES, in_io(FILL + "static const int t[PART_NPARTS] = { [PART_A] = 1, [PART_B] = 2 };\n")),
    (UNFINISHED, in_io('static char t[] = "/tmp/a-XX' 'XXXX";\n')),
]


def complaints(name, changes):
    """What the check says of GOOD with these files changed; a '!' at a name's end: executable."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**GOOD, **changes}.items():
            full = os.path.join(root, path.rstrip("!"))
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8", newline="") as f:
                f.write(text)
            os.chmod(full, 0o755 if path.endswith("!") else 0o644)
        return list(checks.CHECKS[name](Tree(root)))


def judge():
    """(passed, sentence) of every test; None for passed: skipped."""
    for name in checks.CHECKS:
        try:
            said = complaints(name, {})
        except checks.Skip:
            yield None, f"passes a good tree: {name}"
            continue
        yield not said, f"passes a good tree: {name} {said or ''}"
    for name, want, changes in BAD:
        try:
            said = complaints(name, changes)
        except checks.Skip:
            yield None, f"refuses {want!r}: {name}"
            continue
        yield any(want in line for line in said), f"refuses {want!r}: {name} {'' if said else '(silent)'}"
    for name, changes in QUIET:
        said = complaints(name, changes)
        yield not said, f"is quiet about what only looks bad: {name} {said or ''}"
    untested = set(checks.CHECKS) - {row[0] for row in BAD}
    yield not untested, f"every check is seen to fail {sorted(untested) or ''}"


def main():
    results = list(judge())
    print(f"1..{len(results)}")
    for number, (passed, sentence) in enumerate(results, 1):
        sentence = sentence.replace("#", "\\#").strip()
        if passed is None:
            print(f"ok {number} - {sentence} # SKIP the tool is not installed")
        else:
            print(f"{'ok' if passed else 'not ok'} {number} - {sentence}")
    return 0 if all(p is not False for p, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
