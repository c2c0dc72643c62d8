#!/usr/bin/env python3
"""tidy - what keeps the tree as its drawing says.  TAP on stdout.

  tidy.py [--root DIR]           every check on the checkout
  tidy.py --fast                 without those that start compilers
  tidy.py --only TEXT            checks whose name holds TEXT

selftest.py proves that each check can fail.
"""
import argparse
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import checks  # noqa: E402 (the path above comes first)
from tree import Tree  # noqa: E402

SHOWN_MAX = 40  # complaints of one check


def run(tree, names):
    """Prints TAP; returns how many checks failed."""
    failed = 0
    print(f"1..{len(names)}")
    for number, name in enumerate(names, 1):
        try:
            complaints = list(checks.CHECKS[name](tree))
        except checks.Skip as why:
            print(f"ok {number} - {name} # SKIP {why}")
            continue
        print(f"{'not ok' if complaints else 'ok'} {number} - {name}")
        failed += bool(complaints)
        for line in complaints[:SHOWN_MAX]:
            print(f"# {line}")
            print(line, file=sys.stderr)
        if len(complaints) > SHOWN_MAX:
            print(f"# and {len(complaints) - SHOWN_MAX} more")
    return failed


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(here)))
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    names = [n for n in checks.CHECKS if args.only in n and not (args.fast and n in checks.SLOW)]
    return 1 if run(Tree(args.root), names) else 0


if __name__ == "__main__":
    sys.exit(main())
