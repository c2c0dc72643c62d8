#!/usr/bin/env python3
"""Commands in VMs, and VMs that live as long as their command: what the user of a terminal, a pipe or a script sees.

The agent is the real one, running here and not in a guest (tests/lib/fake_qemu.py): seconds instead of minutes.
"""
import concurrent.futures
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import banger_session
from banger_session import BANGER, wait_for

IMAGE = ("--image", "none", "--kernel", "none")
# A dash that is just forking for a command loses an interrupt to it: only a short one is sure to end.
UNTIL_STOPPED = "echo ready; while :; do sleep 0.1; done"
GROWTH_KIB = 16 * 1024
WAIT_S = 60


def names(s):
    return [v["spec"]["name"] for v in s.vms()]


def guest(s, name="guest", *more):
    """A VM that runs; one that a story has ended, be it with the daemon that it was connected to, is made anew."""
    if s.run("exec", name, "--", "true", check=False).returncode != 0:
        s.run("vm", "delete", "-f", name, check=False)
        s.fake_guest(*more, name=name)


def popen(s, *args, **more):
    kw = dict(env=s.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return subprocess.Popen([BANGER, *args], **{**kw, **more})


def ready(p):
    """The command has begun: it says so first."""
    assert p.stdout.readline() == b"ready\n"


def memory_kib(s):
    with open(f"/proc/{s.info()['pid']}/smaps_rollup", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


# ---- leases ----

def rm_deletes_whatever_the_status(s):
    for argv, status in ((["true"], 0), (["sh", "-c", "exit 42"], 42), (["/nope"], 127), (["/etc/passwd"], 126),
                         (["sh", "-c", "kill -9 $$"], 137)):
        p = s.run("run", "--rm", *IMAGE, "--name", "once", "--", *argv, check=False)
        assert p.returncode == status, (argv, p)
        assert "once" not in names(s)


def rm_deletes_on_interrupt(s):
    with popen(s, "run", "--rm", *IMAGE, "--name", "once", "--", "sh", "-c", UNTIL_STOPPED) as p:
        ready(p)
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=WAIT_S)
    assert p.returncode == 130 and "once" not in names(s)


def rm_deletes_when_the_client_is_killed(s):
    with popen(s, "run", "--rm", *IMAGE, "--name", "once", "--", "sh", "-c", "echo ready; sleep 1000") as p:
        ready(p)
        p.kill()
        begun = time.monotonic()
        wait_for(lambda: "once" not in names(s), "the VM lives on")
        took = time.monotonic() - begun
    print(f"# gone {took * 1000:.0f} ms after the client")
    assert took < 1 and not [l for l in s.leftovers() if "once" in l]


def rm_deletes_what_was_starting_when_the_client_was_killed(s):
    with popen(s, "run", "--rm", *IMAGE, "--name", "noise", "--", "true") as p:
        wait_for(lambda: "starting" in s.states(), "it does not start")
        p.kill()
        begun = time.monotonic()
        wait_for(lambda: "noise" not in names(s), "the VM lives on")
        assert time.monotonic() - begun < 1


def rm_deletes_when_the_daemon_was_killed(s):
    with popen(s, "run", "--rm", *IMAGE, "--name", "once", "--", "sh", "-c", "echo ready; sleep 1000") as p:
        ready(p)
        s.kill_daemon()
        _, err = p.communicate(timeout=WAIT_S)
    assert p.returncode == 125 and b"exit status is not known" in err, err
    assert "once" not in names(s)


def rm_keeps_what_never_came_up_and_names_its_log(s):
    p = s.run("run", "--rm", *IMAGE, "--name", "noise", "--timeout", "1s", "--", "true", check=False)
    assert p.returncode == 125 and "noise is kept" in p.stderr, p
    path = p.stderr.split("console log: ")[1].split(" ")[0]
    assert path.startswith(s.state) and path.endswith("/console.log"), path
    wait_for(lambda: not s.info().get("starting"), "it is still starting")
    assert [v["state"] for v in s.vms() if v["spec"]["name"] == "noise"] == ["failed"]
    s.kill_daemon()  # nor does the next one take it for a leased one
    assert [v["state"] for v in s.vms() if v["spec"]["name"] == "noise"] == ["failed"]
    s.run("vm", "delete", "noise")


def contradictions_are_refused_before_anything_is_made(s):
    before = names(s)
    for args, why in ((["-d", "--rm"], "-d with --rm"), (["-d", "--", "true"], "-d with a command"),
                      (["-n", "2"], "needs a command"), (["-t", "-n", "2", "--", "true"], "one VM")):
        p = s.run("run", *IMAGE, *args, check=False)
        assert p.returncode == 125 and why in p.stderr, (args, p)
    assert names(s) == before


# ---- a command and its streams ----

def arguments_environment_and_directory(s):
    guest(s, "guest", "-e", "WHO=vm", "-e", "BOTH=vm")
    argv = ["", "a b", "*", "$HOME", "it's", 'quo"te', "-n", "--", "ü\n"]
    p = s.run("exec", "guest", "--", "printf", "[%s]", *argv)
    assert p.stdout == "".join(f"[{a}]" for a in argv), p.stdout
    p = s.run("exec", "-e", "BOTH=request", "-e", "EMPTY=", "-w", "/usr", "guest", "--", "sh", "-c",
              'echo "$WHO $BOTH [${EMPTY-unset}] $PWD $HOME"')
    assert p.stdout == "vm request [] /usr /root\n", p.stdout
    p = s.run("exec", "-w", "/nowhere", "guest", "--", "true", check=False)
    assert p.returncode == 125 and "working directory" in p.stderr, p


def input_of_any_kind(s):
    guest(s)
    data = os.urandom(3 << 20)
    p = subprocess.run([BANGER, "exec", "guest", "--", "cat"], input=data, env=s.env, capture_output=True, check=True,
                       timeout=WAIT_S)
    assert p.stdout == data
    p = subprocess.run([BANGER, "exec", "guest", "--", "wc", "-c"], input=b"", env=s.env, capture_output=True,
                       check=True, timeout=WAIT_S)
    assert p.stdout.strip() == b"0"
    p = subprocess.run([BANGER, "exec", "guest", "--", "head", "-c", "3"], input=data, env=s.env, capture_output=True,
                       check=True, timeout=WAIT_S)  # who does not read on is no error
    assert p.stdout == data[:3]
    lines = "\n".join(str(i) for i in range(1, 1000001)) + "\n"
    here = subprocess.run(["sha256sum"], input=lines.encode(), capture_output=True, check=True)
    there = subprocess.run([BANGER, "vm", "exec", "guest", "--", "sha256sum"], input=lines.encode(), env=s.env,
                           capture_output=True, check=True, timeout=WAIT_S)
    assert here.stdout == there.stdout


def signals_pass_without_a_terminal(s):
    guest(s)
    for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        with popen(s, "exec", "guest", "--", "sh", "-c", UNTIL_STOPPED) as p:
            ready(p)
            p.send_signal(signo)
            p.communicate(timeout=WAIT_S)
            assert p.returncode == 128 + signo, p.returncode
    with popen(s, "exec", "guest", "--", "sh", "-c", "trap 'exit 7' USR2; echo ready; while :; do sleep 0.1; done") as p:
        ready(p)
        p.send_signal(signal.SIGUSR2)
        p.communicate(timeout=WAIT_S)
        assert p.returncode == 7


def a_killed_client_ends_its_command(s):
    guest(s)
    mark = f"{s.top}/alive"
    with popen(s, "exec", "guest", "--", "sh", "-c", f"echo ready; trap '' HUP; while :; do touch {mark}; sleep 0.05; done") \
            as p:
        ready(p)
        wait_for(lambda: os.path.exists(mark), "it does not run")
        p.kill()

    def still():
        os.unlink(mark) if os.path.exists(mark) else None
        select.select([], [], [], 0.3)
        return not os.path.exists(mark)
    wait_for(still, "the command lives on")


def a_vm_that_does_not_run_is_refused(s):
    guest(s, "halted")
    s.run("vm", "stop", "--force", "halted")
    p = s.run("exec", "halted", "--", "true", check=False)
    assert p.returncode == 125 and "halted is stopped" in p.stderr, p
    p = s.run("exec", "nobody", "--", "true", check=False)
    assert p.returncode == 125 and "nobody" in p.stderr, p
    s.run("vm", "delete", "halted")


def two_hundred_at_once(s):
    guest(s)

    def one(i):
        p = s.run("exec", "guest", "--", "sh", "-c", f"seq {i} {i + 1000}; echo {i} >&2; exit {i}", check=False)
        return (p.returncode, p.stdout, p.stderr) == (i, "".join(f"{n}\n" for n in range(i, i + 1001)), f"{i}\n")
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        right = list(pool.map(one, range(200)))
    assert all(right), [i for i, r in enumerate(right) if not r]


def a_reader_that_stops_stops_the_writer(s):
    """The daemon holds no more than the windows, and the other VM does not notice."""
    guest(s)
    guest(s, "other")
    before = memory_kib(s)
    with popen(s, "vm", "exec", "guest", "--", "cat", "/dev/zero") as p:
        os.read(p.stdout.fileno(), 1)
        for i in range(20):
            assert s.run("exec", "other", "--", "echo", str(i)).stdout == f"{i}\n"
        after = memory_kib(s)
        p.kill()
    print(f"# the daemon took {before} KiB, then {after}")
    assert after - before < GROWTH_KIB


def the_daemons_death_is_told(s):
    guest(s)
    with popen(s, "exec", "guest", "--", "sh", "-c", "echo ready; sleep 1000") as p:
        ready(p)
        s.kill_daemon()
        _, err = p.communicate(timeout=WAIT_S)
    assert p.returncode == 125 and b"exit status is not known" in err and b"daemon" in err, err


# ---- several VMs ----

def a_fan_out_says_who_said_what(s):
    for i in (1, 2, 3):
        guest(s, f"web-{i}", "-l", "tier=web")
    p = s.run("vm", "exec", "-l", "tier=web", "--", "sh", "-c", "echo one; echo two; echo err >&2")
    assert sorted(p.stdout.splitlines()) == sorted(f"web-{i} | {w}" for i in (1, 2, 3) for w in ("one", "two"))
    assert sorted(p.stderr.splitlines()) == [f"web-{i} | err" for i in (1, 2, 3)]
    p = s.run("vm", "exec", "--no-prefix", "-l", "tier=web", "--", "echo", "same")
    assert p.stdout == "same\n" * 3, p.stdout
    p = s.run("vm", "exec", "--json", "-l", "tier=web", "--", "sh", "-c",
              "echo out; printf 'e\\001' >&2; exit 3", check=False)
    rows = [json.loads(line) for line in p.stdout.splitlines()]
    assert p.returncode == 3 and p.stderr == "" and len(rows) == 9, p
    for i in (1, 2, 3):
        mine = sorted((r["event"], r.get("text"), r.get("status")) for r in rows if r["vm"] == f"web-{i}")
        assert mine == [("exit", None, 3), ("stderr", "e\x01", None), ("stdout", "out", None)], mine
    rows = [json.loads(line) for line in
            s.run("vm", "exec", "--json", "-l", "tier=web", "--", "/nope", check=False).stdout.splitlines()]
    assert [(r["event"], r["status"], r["code"]) for r in rows] == [("exit", 127, "exec.not_found")] * 3, rows
    s.run("vm", "delete", "-f", "web-1", "web-2", "web-3")


def its_status_says_how_many_failed(s):
    for name in ("web-1", "web-2"):
        guest(s, name, "-l", "tier=web", "-e", f"STATUS={3 if name == 'web-1' else 0}")
    p = s.run("vm", "exec", "-l", "tier=web", "--", "sh", "-c", "exit $STATUS", check=False)
    assert p.returncode == 1 and "web-1: exit status 3" in p.stderr and "web-2" not in p.stderr, p
    p = s.run("vm", "exec", "-l", "tier=web", "--", "/nope", check=False)
    assert p.returncode == 2, p
    p = s.run("vm", "exec", "-l", "tier=none", "--", "true", check=False)
    assert p.returncode == 125 and "no VM" in p.stderr, p
    s.run("vm", "delete", "-f", "web-1", "web-2")


# ---- a terminal ----

class Terminal:
    """banger in a terminal of its own, as its foreground job."""

    def __init__(self, s, *args, rows=40, cols=100):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            select.select([0], [], [])  # until the parent has looked at the terminal
            os.read(0, 1)
            os.execve(BANGER, [BANGER, *args], s.env)
        self.seen = b""
        self.before = termios.tcgetattr(self.fd)
        self.resize(rows, cols)
        os.write(self.fd, b"\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def resize(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def read(self, seconds):
        """What comes next; false when nothing does, or it has ended."""
        if not select.select([self.fd], [], [], max(0, seconds))[0]:
            return False
        try:
            data = os.read(self.fd, 4096)
        except OSError:  # nobody has the other end open
            return False
        self.seen += data
        return bool(data)

    def until(self, text):
        deadline = time.monotonic() + WAIT_S
        while text not in self.seen:
            assert self.read(deadline - time.monotonic()), (text, self.seen)

    def type(self, text):
        os.write(self.fd, text)

    def end(self):
        """The exit status; what is left of the output is in `seen`."""
        while self.read(WAIT_S):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def restored(self):
        return termios.tcgetattr(self.fd) == self.before


def a_terminal_in_the_guest(s):
    guest(s)
    with Terminal(s, "exec", "-t", "guest", "--", "sh", "-c", "stty size; tty; echo $TERM; exit 5") as t:
        assert t.end() == 5
        assert b"40 100\r\n/dev/pts/" in t.seen, t.seen


def a_terminals_size_follows(s):
    guest(s)
    with Terminal(s, "exec", "-t", "guest", "--", "sh", "-c",
                  "trap 'stty size' WINCH; echo ready; while ! read -r x; do :; done") as t:
        t.until(b"ready\r\n")
        t.resize(50, 132)
        t.until(b"50 132\r\n")
        t.type(b"x\n")
        assert t.end() == 0


def keys_are_the_guests(s):
    """Ctrl-C interrupts the command there, not banger here; Ctrl-D ends its input."""
    guest(s)
    with Terminal(s, "exec", "-t", "guest", "--", "sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done") as t:
        t.until(b"ready\r\n")
        assert termios.tcgetattr(t.fd)[3] & (termios.ISIG | termios.ICANON | termios.ECHO) == 0
        t.type(b"\x03")
        assert t.end() == 9 and b"caught" in t.seen
    with Terminal(s, "exec", "-t", "guest", "--", "cat") as t:
        t.type(b"hello\n")
        t.until(b"hello\r\nhello\r\n")
        t.type(b"\x04")
        assert t.end() == 0


def terminal_is_restored(s, end, status):
    with Terminal(s, "exec", "-t", "guest", "--", "sh", "-c", UNTIL_STOPPED) as t:
        t.until(b"ready\r\n")
        end(t)
        deadline = time.monotonic() + WAIT_S
        while not t.restored():
            assert time.monotonic() < deadline, "the terminal stays raw"
            t.read(0.02)
        assert t.end() == status, t.seen


def the_terminal_is_restored_on_every_way_out(s):
    guest(s)
    terminal_is_restored(s, lambda t: t.type(b"\x03"), 130)
    terminal_is_restored(s, lambda t: os.kill(t.pid, signal.SIGTERM), 143)
    terminal_is_restored(s, lambda t: os.kill(t.pid, signal.SIGHUP), 129)
    terminal_is_restored(s, lambda t: s.kill_daemon(), 125)
    guest(s)
    terminal_is_restored(s, lambda t: s.run("vm", "kill", "guest"), 125)
    guest(s)


def a_shell_is_a_login_shell(s):
    guest(s)
    with Terminal(s, "shell", "guest") as t:
        t.type(b"echo $0-$((40+2))\n")
        t.until(b"sh-42\r\n")
        t.type(b"exit 3\n")
        assert t.end() == 3
    p = subprocess.run([BANGER, "shell", "guest"], input=b"echo $((40+2)); exit 4\n", env=s.env, capture_output=True,
                       check=False, timeout=WAIT_S)
    assert (p.returncode, p.stdout) == (4, b"42\n"), p


def prepare(s):
    s.env["ASAN_OPTIONS"] = "quarantine_size_mb=1"
    s.fake_vmm(os.path.join(os.path.dirname(os.path.abspath(banger_session.__file__)), "hostile_agent.py"))
    s.fake_image()


banger_session.main([
    rm_deletes_whatever_the_status, rm_deletes_on_interrupt, rm_deletes_when_the_client_is_killed,
    rm_deletes_what_was_starting_when_the_client_was_killed, rm_deletes_when_the_daemon_was_killed,
    rm_keeps_what_never_came_up_and_names_its_log, contradictions_are_refused_before_anything_is_made,
    arguments_environment_and_directory, input_of_any_kind, signals_pass_without_a_terminal,
    a_killed_client_ends_its_command, a_vm_that_does_not_run_is_refused, two_hundred_at_once,
    a_reader_that_stops_stops_the_writer, the_daemons_death_is_told, a_fan_out_says_who_said_what,
    its_status_says_how_many_failed, a_terminal_in_the_guest, a_terminals_size_follows, keys_are_the_guests,
    the_terminal_is_restored_on_every_way_out, a_shell_is_a_login_shell], prepare=prepare)
