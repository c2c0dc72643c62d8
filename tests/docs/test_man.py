#!/usr/bin/env python3
"""The man pages: one for every command, with every option, and nothing that mandoc or groff complains about.

usage: test_man.py BANGER BANGERD MAN_DIRECTORY
"""
import os
import re
import shutil
import subprocess
import sys
import unittest

BANGER = os.path.abspath(sys.argv[1])
BANGERD = os.path.abspath(sys.argv[2])
MAN = os.path.abspath(sys.argv[3])


def run(*args, **kw):
    return subprocess.run(args, capture_output=True, text=True, timeout=60, **kw)


def page_of(command):
    return f"man1/banger-{command.replace(' ', '-')}.1"


def pages():
    return sorted(os.path.relpath(os.path.join(d, f), MAN) for s in ("man1", "man5", "man7", "man8")
                  if os.path.isdir(os.path.join(MAN, s)) for d, _, files in os.walk(os.path.join(MAN, s)) for f in files)


def commands():
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", run(BANGER, "--help").stdout.split("Short forms")[0], re.M)


def read(page):
    with open(os.path.join(MAN, page), encoding="utf-8") as f:
        return f.read()


class Pages(unittest.TestCase):
    def test_every_command_has_one_with_every_option_and_example(self):
        self.assertGreater(len(commands()), 30)
        for c in commands():
            page = read(page_of(c))
            text = run(BANGER, *c.split(), "--help").stdout
            text, _, examples = text.partition("Examples:")
            for option in re.findall(r"^  .{3} (--[a-z-]+)", text, re.M):
                self.assertIn("\\fB" + option.replace("-", "\\-"), page, c)
            for line in filter(None, examples.splitlines()):
                self.assertIn(line.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq"), page, c)

    def test_every_page_of_a_command_is_one_that_exists(self):
        forms = run(BANGER, "--help").stdout.partition("Short forms\n")[2].partition("\n\n")[0]
        short = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", forms, re.M)
        known = {page_of(c.strip()) for c in commands() + short} | {page_of(c.split()[0]) for c in commands()}
        known.add("man1/banger.1")
        self.assertEqual({p for p in pages() if p.startswith("man1")} - known, set())

    def test_every_option_of_the_daemon_is_there(self):
        page = read("man8/bangerd.8")
        options = re.findall(r"--[a-z-]+", run(BANGERD, "--help").stdout)
        self.assertGreater(len(options), 4)
        for option in options:
            self.assertIn(option.replace("-", "\\-"), page)

    def test_short_forms_have_the_page_of_their_command(self):
        self.assertEqual(read(page_of("run")), read(page_of("vm run")))
        for p in pages():
            self.assertTrue(os.path.exists(os.path.join(MAN, p)), p)

    def test_see_also_names_pages_that_exist(self):
        ours = {os.path.basename(p) for p in pages()}
        for p in pages():
            for name, section in re.findall(r"^\.BR (banger\S*) \((\d)\)", read(p), re.M):
                self.assertIn(name.replace("\\-", "-") + "." + section, ours, p)

    @unittest.skipUnless(shutil.which("mandoc"), "no mandoc")
    def test_mandoc_finds_nothing(self):
        for p in pages():
            self.assertEqual(run("mandoc", "-Tlint", "-Wall", p, cwd=MAN).stdout, "", p)

    @unittest.skipUnless(shutil.which("groff"), "no groff")
    def test_groff_warns_of_nothing(self):
        for p in pages():
            self.assertEqual(run("groff", "-man", "-Tutf8", "-ww", "-z", p, cwd=MAN).stderr, "", p)

    @unittest.skipUnless(shutil.which("mandoc"), "no mandoc")
    def test_they_read_well(self):
        text = run("mandoc", "-Tutf8", page_of("vm run"), cwd=MAN).stdout
        text = re.sub(".\b", "", text)
        self.assertIn("banger-vm-run - create a VM and run a command or a shell in it", text)
        self.assertRegex(text, r"-m, --memory SIZE\n +Memory: 4G")
        self.assertRegex(text, r"125 +The failure is banger's")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
