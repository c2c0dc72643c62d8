#!/usr/bin/python3
"""The commands that look, against a fake daemon: what is printed on which width, and as JSON.

usage: test_looking.py BANGER
"""
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fake  # noqa: E402
from fake import OP_ID_TEXT, WAIT_S  # noqa: E402

BANGER = os.path.abspath(sys.argv[1])


class Case(fake.Case):
    banger = BANGER

    def on_terminal(self, columns, *args):
        """What the command shows on a terminal that wide, as lines."""
        main, sub = pty.openpty()
        fcntl.ioctl(sub, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        p = self.popen(*args, stdin=sub, stdout=sub, stderr=sub)
        os.close(sub)
        text = b""
        while True:
            try:
                b = os.read(main, 65536)
            except OSError:  # the other end is closed
                break
            text += b
        os.close(main)
        self.assertEqual(p.wait(timeout=WAIT_S), 0, text)
        return text.decode().splitlines()


class Width(Case):
    def test_nothing_wraps_at_any_width(self):
        for command in (["ps"], ["op", "list"], ["op", "show", OP_ID_TEXT], ["op", "show", "-a", OP_ID_TEXT],
                        ["image", "list"], ["kernel", "list"]):
            for columns in (40, 60, 80, 200):
                lines = self.on_terminal(columns, *command)
                if "show" in command:  # text, a table, text
                    lines = lines[lines.index("") + 1:]
                    lines = lines[:lines.index("") if "" in lines else None]
                self.assertLessEqual(max(map(len, lines)), columns, (command, lines))

    def test_a_narrow_list_keeps_what_matters(self):
        self.assertEqual(self.on_terminal(40, "ps")[0].split(), ["ID", "NAME", "STATE", "AGE"])
        self.assertEqual(self.run_cli("ps")[1].splitlines()[0].split(),
                         ["ID", "NAME", "STATE", "IMAGE", "IP", "VCPU", "MEM", "DISK", "AGE"])


class Operations(Case):
    def test_bars_lie_where_the_steps_were(self):
        lines = self.on_terminal(80, "op", "show", "-a", OP_ID_TEXT)
        boot = next(x for x in lines if x.startswith("boot"))
        late = next(x for x in lines if x.startswith("undo boot"))
        self.assertEqual(boot.count("█"), 14)
        self.assertEqual(boot.index("█"), lines[lines.index(boot) - 1].index("▏"))
        self.assertEqual(late.count("▒"), 8)
        self.assertIn("Connection timed out", boot)

    def test_a_trace_is_what_viewers_read(self):
        status, out, _ = self.run_cli("op", "show", "--trace", OP_ID_TEXT)
        trace = json.loads(out)
        self.assertEqual((status, trace["displayTimeUnit"], trace["otherData"]["op_id"]), (0, "ms", OP_ID_TEXT))
        for e in trace["traceEvents"]:
            self.assertEqual(sorted(e), ["args", "cat", "dur", "name", "ph", "pid", "tid", "ts"])
            self.assertIn(e["ph"], "XM")
            for key in ("ts", "dur", "pid", "tid"):
                self.assertIsInstance(e[key], int)
        spans = {(e["name"], e["tid"]): e for e in trace["traceEvents"] if e["ph"] == "X"}
        self.assertEqual(sorted(n for n, _ in spans), ["admit", "boot", "commit", "queue", "undo boot", "vm.create"])
        whole, boot = spans["vm.create", 0], next(v for (n, _), v in spans.items() if n == "boot")
        self.assertEqual((boot["ts"] - whole["ts"], boot["dur"]), (1000, 50000))
        self.assertEqual(boot["args"]["result"], "Connection timed out")

    def test_wait_says_how_it_ended(self):
        self.assertEqual(self.run_cli("op", "wait", OP_ID_TEXT)[:2], (1, "failed\n"))


class Logs(Case):
    def setUp(self):
        super().setUp()
        self.console = self.dir + "/logs/console"
        os.mkdir(self.dir + "/logs")
        self.env["FAKE_CONSOLE"] = self.console

    def write(self, text, mode="w"):
        with open(self.console, mode) as f:
            f.write(text)

    def test_tail_counts_lines_from_the_end(self):
        text = "".join("line %d %s\n" % (i, "x" * (i % 200)) for i in range(2000))
        for end in ("", "unended"):
            self.write(text + end)
            lines = (text + end).splitlines(keepends=True)
            for n in (0, 1, 2, 50, 1999, 2000, 2001, 5000):
                self.assertEqual(self.run_cli("logs", "-n", str(n), "web")[1], "".join(lines[-n:] if n else []), n)
            self.assertEqual(self.run_cli("logs", "-n", "all", "web")[1], text + end)
        self.assertEqual(self.run_cli("logs", "-n", "x", "web")[0], 1)

    def test_follows_what_is_written_and_ends_when_the_log_is_gone(self):
        p = self.popen("logs", "-f", "web")
        self.until("request vm.show")
        self.write("first\n")  # it was not there yet
        self.assertEqual(p.stdout.readline(), b"first\n")
        self.write("second\n", "a")
        self.assertEqual(p.stdout.readline(), b"second\n")
        self.write("anew\n")  # cut
        self.assertEqual(p.stdout.readline(), b"anew\n")
        os.rename(self.console, self.console + ".1")  # rotated: it goes on where the name is
        os.unlink(self.console + ".1")
        self.write("rotated\n")
        self.assertEqual(p.stdout.readline(), b"rotated\n")
        os.unlink(self.console)
        os.rmdir(self.dir + "/logs")
        out, err = p.communicate(timeout=WAIT_S)
        self.assertEqual((p.returncode, out, err), (0, b"", b""))

    def test_follow_outlives_the_daemon_and_ends_with_its_reader(self):
        self.write("first\n")
        p = self.popen("logs", "-f", "-n", "0", "web")
        self.until("request vm.show")
        self.assertEqual(self.run_cli("daemon", "stop")[0], 0)
        end = time.monotonic() + WAIT_S
        while p.poll() is None and not select.select([p.stdout], [], [], 0)[0]:  # until it looks at the file
            self.assertLess(time.monotonic(), end)
            self.write("second\n", "a")
            select.select([p.stdout], [], [], 0.05)
        self.assertEqual(p.stdout.readline(), b"second\n")
        p.stdout.close()
        self.assertEqual(p.wait(timeout=WAIT_S), 1 if self.write("third\n", "a") else p.returncode)
        p.stdin.close()
        p.stderr.close()

    def test_a_vm_that_was_never_started_has_none(self):
        status, _, err = self.run_cli("logs", "web")
        self.assertEqual(status, 1)
        self.assertIn("never started", err)

    def test_the_vmms_own(self):
        with open(self.dir + "/vmm.log", "w") as f:
            f.write("qemu: hello\n")
        self.assertEqual(self.run_cli("logs", "--vmm", "web", env=dict(self.env, FAKE_VMM_LOG=self.dir + "/vmm.log"))[1],
                         "qemu: hello\n")


class Prune(Case):
    def test_without_a_terminal_it_needs_force(self):
        status, _, err = self.run_cli("vm", "prune", input=b"y\n")
        self.assertEqual(status, 2)
        self.assertIn("--force", err)
        self.assertEqual(self.lines("request"), [])
        status, out, _ = self.run_cli("vm", "prune", "-f", env=dict(self.env, FAKE_STATES="running,stopped,failed"))
        self.assertEqual((status, len(out.split())), (0, 2))
        self.assertEqual(self.lines("delete"), ["delete stopped_only 2"])

    def answer(self, word):
        env = dict(self.env, FAKE_STATES="created,running,stopped,starting")
        main, sub = pty.openpty()
        p = self.popen("vm", "prune", stdin=sub, stdout=subprocess.PIPE, stderr=sub, env=env)
        os.close(sub)
        text = b""
        while b"[y/N]" not in text:
            text += os.read(main, 65536)
        os.write(main, word)
        out, _ = p.communicate(timeout=WAIT_S)
        os.close(main)
        return p.returncode, text.decode(), out.decode().split()

    def test_asks_and_takes_no_for_an_answer(self):
        for word in (b"n\n", b"\n", b"\x04", b"yesno\n"):
            status, text, out = self.answer(word)
            self.assertEqual((status, out, self.lines("delete")), (1, [], []), word)
            self.assertIn("stopped", text)
            self.assertNotIn("running", text)
        status, _, out = self.answer(b"y\n")
        self.assertEqual((status, len(out)), (0, 2))


class Events(Case):
    def test_are_lines_for_people(self):
        status, out, err = self.run_cli("events")
        lines = [x[21:].split() for x in out.splitlines()]
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(lines[0][:1] + lines[0][2:], ["vm", "web", "running"])
        self.assertEqual(lines[1], ["op", OP_ID_TEXT, "vm.start", "done", "in", "2.0", "s,", "1", "of", "3", "VMs", "failed"])
        self.assertEqual(lines[2], ["image", "debian", "added"])
        self.assertEqual(lines[3][:3], ["lost", "7", "events,"])
        self.assertEqual(len(lines), 4, "what is not known is not shown")

    def test_are_objects_for_programs(self):
        rows = [json.loads(x) for x in self.run_cli("watch", "--json")[1].splitlines()]
        self.assertEqual([r["event"] for r in rows], ["vm", "op", "image", "lost"])
        self.assertEqual((rows[0]["state"], rows[1]["vms"], rows[3]["events"]), ("running", 3, 7))

    def test_type_is_checked_and_passed_on(self):
        status, _, err = self.run_cli("events", "--type", "vms")
        self.assertEqual(status, 2)
        self.assertIn("vms", err)
        self.run_cli("events", "--type", "vm", "--type", "op")
        self.assertEqual(self.lines("types"), ["types vm op"])

    def test_a_reader_that_leaves_ends_it(self):
        p = self.popen("events", env=dict(self.env, FAKE_ENDLESS="1"))
        p.stdout.readline()
        p.stdout.close()
        self.assertEqual(p.wait(timeout=WAIT_S), 1)
        p.stdin.close()
        p.stderr.close()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
