#!/usr/bin/env python3
"""docs/threat-model.md: each row that says what somebody cannot do names a test, and each test that is named is there, in
the file that is named, and runs.

  `test_net NAME`      tests/helper/test_net.py       `system units NAME`   tests/system/units.py
  `confine`            tests/helper/confine.c         `e2e hostile NAME`    tests/e2e/hostile.py
  `fuzz_helper`        tests/fuzz/fuzz_helper.c       `unit tree NAME`      tests/unit/test_tree.c, `sim story NAME` likewise
"""
import os
import re
import sys

POINTER = re.compile(r"`((?:test_\w+|(?:system|e2e|unit|sim) \w+)(?: \w+)?|confine|fuzz_\w+)`")
CLAIMS = re.compile(r"^\| (?:it|he) cannot \|")


def place_of(words):
    """(the file, the name in it) of a pointer."""
    if words[0] == "confine":
        return "tests/helper/confine.c", None
    if words[0].startswith("fuzz_"):
        return f"tests/fuzz/{words[0]}.c", None
    if words[0] in ("system", "e2e"):
        return f"tests/{words[0]}/{words[1]}.py", words[2] if len(words) > 2 else ""
    if words[0] in ("unit", "sim"):
        return f"tests/{words[0]}/test_{words[1]}.c", words[2] if len(words) > 2 else ""
    return f"tests/helper/{words[0]}.py", words[1] if len(words) > 1 else ""


def is_there(text, name):
    """A story that is defined and is in its script's list; a Test of Criterion's."""
    if re.search(rf"^Test\(\w+, {name}\b", text, re.M):
        return True
    return bool(re.search(rf"^def {name}\(", text, re.M)) and len(re.findall(rf"\b{name}\b", text)) > 1


def wrong_pointers(top, page):
    for pointer in POINTER.findall(page):
        file, name = place_of(pointer.split())
        try:
            with open(os.path.join(top, file), encoding="utf-8") as f:
                text = f.read()
        except OSError:
            yield f"`{pointer}`: there is no {file}"
            continue
        if name == "":
            yield f"`{pointer}`: names no test of {file}"
        elif name and not is_there(text, name):
            yield f"`{pointer}`: {file} has no such test, or does not run it"


def rows_without(page):
    """Of tables of what somebody cannot do."""
    claims = False
    for line in page.splitlines():
        if CLAIMS.match(line):
            claims = True
        elif not line.startswith("|"):
            claims = False
        elif claims and not line.startswith("|---") and not POINTER.search(line.rstrip("|").rpartition("|")[2]):
            yield f"no test: {line}"


def check(top, page):
    wrong = [*wrong_pointers(top, page), *rows_without(page)]
    if len(POINTER.findall(page)) < 60:
        wrong.append("points at fewer tests than it has had: are they recognised?")
    return wrong


def main():
    top = sys.argv[1]
    with open(os.path.join(top, "docs/threat-model.md"), encoding="utf-8") as f:
        page = f.read()
    wrong = check(top, page)
    # What would be wrong is seen to be.
    table = "| it cannot | because | test |\n|---|---|---|\n"
    for bad in ("`test_net there_is_no_such_test`", "`test_nett x`", "`system units`", "`e2e hostile memory_kib_`", "`unit tree none`", "",
                "said by `grep`"):
        if not check(top, f"{page}\n{table}| do that | reasons | {bad} |\n"):
            wrong.append(f"a row with {bad or 'no test'} is not noticed")
    print("\n".join(f"threat-model.md: {text}" for text in wrong), file=sys.stderr)
    return 1 if wrong else 0


sys.exit(main())
