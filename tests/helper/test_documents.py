#!/usr/bin/env python3
"""The helper's documents say all there is: keys of helper.conf(5), and options."""
import os
import re
import subprocess
import sys


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def keys(top):
    """Of the table in conf.c, and what bridges and VMMs have."""
    table = re.search(r"\} helper_keys\[\] = \{(.*?)\n\};", read(top, "src/helper/conf.c"), re.S)[1]
    return re.findall(r'\{ "(\w+)",', table) + ["address", "binary", "libraries", "jailer"]


def options(program):
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True, timeout=20).stdout
    return sorted(set(re.findall(r"--\w+", text)))


def main():
    top, *programs = sys.argv[1:]
    wrong = []
    page = read(top, "docs/man/helper.conf.5.in")
    found = re.findall(r"^\.BR (\w+) \" = \"$", page, re.M)
    if sorted(found) != sorted(keys(top)):
        wrong.append(f"helper.conf(5) has {found}, conf.c has {keys(top)}")
    page = read(top, "docs/man/bangerd-root.8.in").replace("\\-", "-")
    for program in programs:
        for option in options(program):
            if not re.search(rf"^\.B {option}\b", page, re.M):
                wrong.append(f"bangerd-root(8) does not tell of {option}")
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


sys.exit(main())
