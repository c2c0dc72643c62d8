#!/usr/bin/env python3
"""mutants - proves that each gate of the root helper is held by a test: takes the gate away and sees the test fail.

  mutants.py [--build DIR] [--vm] [--only WORD] [--check] [--list]

The table is mutants.toml: which attack, which gate, what stands in the source and what stands there without it, and
the test that must fail.  A mutant is one source compiled anew and linked with the other objects of
bangerd-root-plain in DIR (a build without sanitizers, default "build"); nothing in the tree changes.

  killed    the test has failed, as it must
  survived  it has passed: the gate is not proved
  invalid   the mutant does not compile or start, the test was skipped: nothing was shown

--check compares the table with the sources, the tests and the attacks, and runs nothing.  --vm runs those whose tests
need device-mapper, all in one scripts/test-vm; without it they are left out.  Needs root.
"""
import argparse
import collections
import json
import os
import shlex
import subprocess
import sys
import tempfile
import tomllib

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
TARGET = "tests/helper/bangerd-root-plain"
TEST_S = 120
RACE_TRIES = 8  # a race is not lost each time
PYTHON = "/usr/bin/python3"


class Mutant:
    def __init__(self, row):
        self.attack, self.gate, self.file = row["attack"], row["gate"], row["file"]
        self.changes = [(c["file"], c["was"], c["becomes"]) for c in [row, *row.get("also", [])]]
        self.script, self.test = row["test"].split()
        self.vm = row.get("vm", False)
        self.tries = RACE_TRIES if row.get("race", False) else 1
        self.binary = None

    def sources(self):
        """{file: its text without the gate}; the table must match each in one place."""
        texts = {}
        for file, was, becomes in self.changes:
            with open(os.path.join(TOP, "src/helper", file), encoding="utf-8") as f:
                text = f.read()
            n = text.count(was)
            if n != 1:
                raise LookupError(f"{file} holds it {n} times, not once: {was!r}")
            texts[file] = text.replace(was, becomes)
        return texts


def load():
    with open(os.path.join(HERE, "mutants.toml"), "rb") as f:
        table = tomllib.load(f)
    return table["attacks"], [Mutant(row) for row in table["mutant"]]


def check(attacks, mutants):
    """What is wrong with the table."""
    wrong, tests = [], {}
    names = collections.Counter(m.gate for m in mutants)
    wrong += [f"two gates are called {name!r}" for name, n in names.items() if n > 1]
    wrong += [f"no gate is proved against {a!r}" for a in attacks if not any(m.attack == a for m in mutants)]
    for m in mutants:
        if m.attack not in attacks:
            wrong.append(f"{m.gate}: {m.attack!r} is none of the attacks")
        try:
            m.sources()
        except (LookupError, OSError) as e:
            wrong.append(f"{m.gate}: {e}")
        path = os.path.join(HERE, m.script + ".py")
        if path not in tests:
            with open(path, encoding="utf-8") as f:
                tests[path] = f.read()
        if f"def {m.test}(" not in tests[path]:
            wrong.append(f"{m.gate}: {m.script} has no test {m.test}")
    return wrong


# ---- building ----

class Builder:
    """Compiles and links as ninja would, elsewhere."""

    def __init__(self, build, to):
        self.build, self.to = build, to
        lines = subprocess.run(["ninja", "-C", build, "-t", "commands", TARGET], capture_output=True, text=True, check=True).stdout.splitlines()
        self.compiles = {}
        for line in lines:
            words = shlex.split(line)
            if "-c" in words and TARGET + ".p/" in line:
                self.compiles[os.path.normpath(os.path.join(build, words[-1]))] = words
        self.link = next(shlex.split(line) for line in reversed(lines) if line.split(" -o ")[-1].startswith(TARGET + " "))

    def compile(self, file, text):
        """(ninja's object, how to make ours, ours)."""
        words = list(self.compiles[os.path.join(TOP, "src/helper", file)])
        stem = os.path.join(self.to, file.replace("/", "_"))
        with open(stem, "w", encoding="utf-8") as f:
            f.write(text)
        theirs = words[words.index("-o") + 1]
        for flag in ("-MF", "-MQ"):
            at = words.index(flag)
            del words[at:at + 2]
        return theirs, [stem + ".o" if w == theirs else w for w in words if w != "-MD"][:-1] + ["-w", stem], stem + ".o"

    def make(self, m, number):
        """True: m.binary is there."""
        binary = os.path.join(self.to, f"root-{number}")
        steps, link = [], [binary if w == TARGET else w for w in self.link]
        for file, text in m.sources().items():
            theirs, words, ours = self.compile(file, text)
            steps.append(words)
            link[link.index(theirs)] = ours
        for argv in [*steps, link]:
            p = subprocess.run(argv, cwd=self.build, capture_output=True, text=True)
            if p.returncode != 0:
                print(f"# {m.gate}: {p.stderr.strip().splitlines()[-1]}")
                return False
        m.binary = binary
        return True


# ---- running ----

def verdict(script, test, binary):
    env = dict(os.environ, BANGERD_ROOT=binary)
    try:
        p = subprocess.run([PYTHON, os.path.join(HERE, script + ".py"), test], env=env, capture_output=True, text=True, timeout=TEST_S)
        out = p.stdout
    except subprocess.TimeoutExpired:
        return "invalid", "it took too long"
    why = next((line[2:] for line in out.splitlines() if line.startswith("# line ")), out.strip()[-200:])
    if f"not ok 1 - {test}" in out:
        return ("invalid", why) if "helper is not ready" in out else ("killed", why)
    if f"ok 1 - {test}" in out and "# SKIP" not in out:
        return "survived", ""
    return "invalid", why


def clear_vm():
    """What a test that failed has left would make the next one fail: all devices of the test VM are ours."""
    for argv in (["dmsetup", "remove_all", "--force"], ["losetup", "-D"]):
        subprocess.run(argv, env=dict(os.environ, DM_DISABLE_UDEV="1"), capture_output=True)
    for name in os.listdir("/dev/mapper"):
        if name != "control":
            os.unlink(os.path.join("/dev/mapper", name))


def run_each(rows, after=lambda: None):
    """[(gate, script, test, binary, tries)] -> [gate, what, why], each as it comes."""
    for gate, script, test, binary, tries in rows:
        what, why = "survived", ""
        while what == "survived" and tries > 0:
            what, why = verdict(script, test, binary)
            tries -= 1
            after()
        yield [gate, what, why]


def environment(build):
    return {"FAKE_VMM": f"{build}/tests/helper/fake_vmm", "FAKE_FSCK": f"{build}/tests/helper/fake_fsck", "PROBE_GUEST": f"{build}/guest/probe/probe.elf",
            "FAKE_RESOLVED": f"{build}/tests/helper/fake_resolved", "BANGERD_ROOT_PLAIN": f"{build}/{TARGET}",
            "BANGER_FILTERS": f"{build}/src/helper/filters.json", "BANGER_HELPERCTL": f"{build}/src/helper/banger-helperctl",
            "PYTHONDONTWRITEBYTECODE": "1"}


def in_vm(rows, build, to):
    """The same in one test VM."""
    listed = os.path.join(to, "rows")
    with open(listed, "w", encoding="utf-8") as f:
        json.dump(rows, f)
    argv = [os.path.join(TOP, "scripts/test-vm"), "--timeout", str(60 + 60 * len(rows))]
    for name, value in environment(build).items():
        argv += ["--env", f"{name}={value}"]
    with subprocess.Popen([*argv, "--", PYTHON, os.path.realpath(__file__), "--inside", listed], stdout=subprocess.PIPE, text=True) as p:
        for line in p.stdout:
            if line.startswith("["):
                yield json.loads(line)


def baseline(mutants, plain):
    """Rows that must survive: each test with nothing taken away."""
    return [(f"nothing: {script} {test}", script, test, plain, 1) for script, test in sorted({(m.script, m.test) for m in mutants})]


class Report:
    """As TAP."""

    def __init__(self):
        self.number = self.failed = 0

    def tell(self, gate, what, why):
        good = what == ("survived" if gate.startswith("nothing: ") else "killed")
        self.number += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {gate}" + ("" if good else f" ({what})"), flush=True)
        if why:
            print(f"# {why[:200]}", flush=True)


def prove(mutants, build, report):
    plain = f"{build}/{TARGET}"
    with tempfile.TemporaryDirectory(prefix="banger-mutants-") as to:
        os.chmod(to, 0o755)
        builder = Builder(build, to)
        for number, m in enumerate(mutants):
            if not builder.make(m, number):
                report.tell(m.gate, "invalid", "it does not compile")
        for vm in (False, True):
            some = [m for m in mutants if m.vm == vm and m.binary]
            rows = baseline(some, plain) + [(m.gate, m.script, m.test, m.binary, m.tries) for m in some]
            for result in in_vm(rows, build, to) if vm and rows else run_each(rows):
                report.tell(*result)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(TOP, "build"))
    parser.add_argument("--vm", action="store_true")
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        with open(args.inside, encoding="utf-8") as f:
            for row in run_each(json.load(f), clear_vm):
                print(json.dumps(row), flush=True)
        return 0
    attacks, mutants = load()
    wrong = check(attacks, mutants)
    for text in wrong:
        print(text)
    if args.check or wrong:
        print(f"{len(mutants)} gates against {len(attacks)} attacks")
        return 1 if wrong else 0
    mutants = [m for m in mutants if (args.vm or not m.vm) and args.only in f"{m.gate} {m.attack} {m.file} {m.test}"]
    if args.list:
        for m in mutants:
            print(f"{m.attack}: {m.gate} ({m.file}), by {m.script} {m.test}")
        return 0
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        return 77
    build = os.path.realpath(args.build)
    os.environ.update(environment(build))
    report = Report()
    total = len(mutants) + sum(len(baseline([m for m in mutants if m.vm == vm], "")) for vm in (False, True))
    print(f"1..{total}", flush=True)
    prove(mutants, build, report)
    return 1 if report.failed or report.number != total else 0


if __name__ == "__main__":
    sys.exit(main())
