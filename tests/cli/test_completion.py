#!/usr/bin/python3
"""Completion: what `banger __complete` answers, and what bash, zsh and fish make of it when TAB is pressed.

usage: test_completion.py BANGER SCRIPTS
"""
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
from fake import Case  # noqa: E402
from terminal import Terminal  # noqa: E402

BANGER = os.path.abspath(sys.argv[1])
SCRIPTS = os.path.abspath(sys.argv[2])


class Answers(Case):
    banger = BANGER

    def complete(self, *words):
        """The head, and the candidates with what is said of them."""
        status, out, _ = self.run_cli("__complete", *words)
        self.assertEqual(status, 0)
        head, *lines = out.splitlines()
        return head, dict(line.split("\t") for line in lines)

    def words(self, *words):
        return set(self.complete(*words)[1])

    def test_commands_groups_and_short_forms(self):
        first = self.words("")
        self.assertTrue({"vm", "image", "run", "ps", "doctor", "help"} <= first, first)
        self.assertEqual(self.words("vm", "st"), {"start", "stats", "stop"})
        self.assertEqual(self.words("image", "ls"), {"ls"})
        self.assertEqual(self.words("--json", "doc"), {"doctor"})
        self.assertEqual(self.words("help", "vm", "cr"), {"create"})
        self.assertEqual(self.words("nonsense", ""), set())

    def test_every_command_is_offered(self):
        shown = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", self.run_cli("--help")[1].split("Short forms")[0], re.M)
        for c in shown:
            *group, last = c.split()
            self.assertIn(last, self.words(*group, ""))

    def test_options_of_the_command_and_none_twice(self):
        self.assertEqual(self.words("vm", "run", "--na"), {"--name", "--nat"})
        self.assertEqual(self.words("run", "--name", "x", "--na"), {"--nat"})
        self.assertEqual(self.words("run", "--label", "a=b", "--lab"), {"--label"})
        self.assertEqual(self.words("vm", "list", "--mem"), set())
        self.assertIn("--memory", self.words("vm", "create", ""))

    def test_values(self):
        self.assertEqual(self.words("vm", "wait", "--state", "st"), {"starting", "stopping", "stopped"})
        self.assertEqual(self.words("vm", "wait", "--state=run"), {"--state=running"})
        self.assertEqual(self.words("vm", "kill", "-s", "TER"), {"TERM"})
        self.assertEqual(self.words("completion", ""), {"bash", "zsh", "fish"})
        self.assertEqual(self.complete("image", "import", "")[0], ":files")
        self.assertEqual(self.complete("kernel", "import", "--modules", "")[0], ":dirs")
        self.assertEqual(self.complete("run", "--name", ""), (":none", {}))

    def test_nothing_in_the_guests_command(self):
        for words in (["run", "--", ""], ["exec", "web-1", "ls", "--"], ["exec", "web-1", "--", "-"]):
            self.assertEqual(self.complete(*words), (":none", {}))

    def test_starts_no_daemon(self):
        self.assertEqual(self.words("vm", "show", ""), set())
        self.assertEqual(self.lines("start"), [])
        self.assertEqual(os.listdir(self.dir), [])

    def test_live_names(self):
        self.run_cli("ping")
        self.assertEqual(self.complete("vm", "show", "web-")[1], {f"web-{i}": "running" for i in range(1, 6)})
        self.assertEqual(self.words("vm", "stop", "web-2", "web-4", "web-"), {"web-1", "web-3", "web-5"})
        self.assertEqual(self.words("run", "--image", "deb"), {"debian:bookworm", "debian:trixie"})
        self.assertEqual(self.words("run", "--image=debian:t"), {"--image=debian:trixie"})
        self.assertEqual(self.words("image", "rm", "debian:trixie", "debian"), {"debian:bookworm"})
        self.assertEqual(self.words("kernel", "show", ""), {"cloud-6.1"})
        self.assertEqual(self.words("ps", "-l", "ti"), {"tier=web"})
        self.assertEqual(self.complete("op", "show", "01")[1], {"01J9ZKQ5T00000000000000000": "vm.create done"})

    def test_a_daemon_that_does_not_answer_costs_little(self):
        self.env["FAKE_MUTE"] = "vm.list"
        self.run_cli("ping")
        began = time.monotonic()
        self.assertEqual(self.words("vm", "show", ""), set())
        # 200 ms of waiting; the rest is a loaded machine's.
        self.assertLess(time.monotonic() - began, 5)
        self.until("request vm.list")


class Shell(Case):
    """One shell in a terminal; TAB is pressed in it."""
    banger = BANGER

    def setUp(self):
        super().setUp()
        os.mkdir(self.dir + "/bin")
        os.symlink(BANGER, self.dir + "/bin/banger")
        os.mkdir(self.dir + "/home")
        with open(self.dir + "/home/rootfs.tar", "w"):
            pass
        self.env.update(PATH=self.dir + "/bin:" + self.env["PATH"], HOME=self.dir + "/home",
                        XDG_CONFIG_HOME=self.dir + "/home", LANG="C.UTF-8")
        self.env.pop("XDG_DATA_HOME", None)
        self.run_cli("ping")
        self.terminal = None

    def tearDown(self):
        if self.terminal:
            self.terminal.close()
        super().tearDown()

    def start(self, *argv):
        self.terminal = Terminal(argv, self.env, cwd=self.dir + "/home")

    def line(self, typed, becomes):
        """What a unique completion makes of a line; it is not run."""
        self.terminal.send(typed + "\t")
        self.terminal.expect(becomes)
        self.terminal.send("\x15")  # ^U: the line is gone

    def offers(self, typed, *words):
        self.terminal.send(typed + "\t\t")
        self.terminal.expect(*words)
        self.terminal.send("\x15")

    def completes(self):
        self.line("banger doc", "doctor")
        self.line("banger vm cre", "vm create")
        self.line("banger vm run --mem", "--memory")
        self.line("banger vm show web-3", "web-3 ")
        self.line("banger vm run --image debian:t", "debian:trixie")
        self.line("banger vm run --image=debian:t", "--image=debian:trixie")
        self.line("banger image import roo", "rootfs.tar")
        self.offers("banger vm st", "start", "stop")
        self.offers("banger vm show web-", "web-1", "web-5")


class Bash(Shell):
    @unittest.skipUnless(shutil.which("bash"), "no bash")
    def test_completes(self):
        self.start("bash", "--norc", "--noprofile", "-i")
        self.terminal.send("PS1='ready> '; source <(banger completion bash); bind 'set enable-bracketed-paste off'\n")
        self.terminal.expect("\nready> ")
        self.completes()

    @unittest.skipUnless(os.path.exists("/usr/share/bash-completion/bash_completion"), "no bash-completion")
    def test_is_found_where_it_is_installed(self):
        data = self.dir + "/share/bash-completion/completions"
        os.makedirs(data)
        shutil.copy(SCRIPTS + "/banger.bash", data + "/banger")
        self.env["XDG_DATA_DIRS"] = self.dir + "/share"
        self.start("bash", "--norc", "--noprofile", "-i")
        self.terminal.send("PS1='ready> '; source /usr/share/bash-completion/bash_completion\n")
        self.terminal.expect("\nready> ")
        self.completes()


class Zsh(Shell):
    @unittest.skipUnless(shutil.which("zsh"), "no zsh")
    def test_completes(self):
        self.start("zsh", "-f", "-i")
        self.terminal.send("PS1='rea''dy> '; autoload -Uz compinit; compinit -D; source <(banger completion zsh)\n")
        self.terminal.expect("ready> ")
        self.completes()
        self.offers("banger vm st", "start +-- start stopped VMs")

    @unittest.skipUnless(shutil.which("zsh"), "no zsh")
    def test_is_found_where_it_is_installed(self):
        self.start("zsh", "-f", "-i")
        self.terminal.send(f"PS1='rea''dy> '; fpath=({SCRIPTS} $fpath); autoload -Uz compinit; compinit -D -u\n")
        self.terminal.expect("ready> ")
        self.completes()


class Fish(Shell):
    @unittest.skipUnless(shutil.which("fish"), "no fish")
    def test_completes(self):
        self.start("fish", "--no-config", "-i")
        self.terminal.send("function fish_prompt; echo -n rea'dy> '; end; banger completion fish | source\n")
        self.terminal.expect("ready> ")
        self.completes()
        self.offers("banger vm st", "start stopped VMs")

    @unittest.skipUnless(shutil.which("fish"), "no fish")
    def test_is_found_where_it_is_installed(self):
        where = self.dir + "/share/fish/vendor_completions.d"
        os.makedirs(where)
        shutil.copy(SCRIPTS + "/banger.fish", where)
        self.env["XDG_DATA_DIRS"] = self.dir + "/share"
        self.start("fish", "-i", "-C", "function fish_prompt; echo -n rea'dy> '; end")
        self.terminal.expect("ready> ")
        self.completes()


class Install(unittest.TestCase):
    def test_the_printed_script_is_the_installed_one(self):
        for shell, name in (("bash", "banger.bash"), ("zsh", "_banger"), ("fish", "banger.fish")):
            with open(os.path.join(SCRIPTS, name), encoding="utf-8") as f:
                out = subprocess.run([BANGER, "completion", shell], capture_output=True, text=True, check=True).stdout
                self.assertEqual(out, f.read())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
