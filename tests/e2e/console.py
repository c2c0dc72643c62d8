#!/usr/bin/env python3
"""The serial console of a VM, as one sits in front of it.  The guest's line is a fake one (tests/lib/fake_qemu.py): it
prints what is typed; a Ctrl-C makes it print more than any buffer on the way holds.  The same with a real guest is in
running.py.
"""
import os
import pty
import signal
import subprocess
import termios

import banger_session
from banger_session import BANGER, wait_for
from screen import Screen

WAIT_S = 120
FLOOD_BYTES = 600000


def console(s, *args):
    return Screen([BANGER, "vm", "console", *args], s.env)


def the_guest(s):
    states = {v["spec"]["name"]: v["state"] for v in s.vms()}
    if states.get("guest") != "running":
        s.run("vm", "delete", "-f", "guest", check=False)
        s.fake_guest()
    return "guest"


def log_of(s, name):
    with open(s.json("vm", "show", name)["console_log"], "rb") as f:
        return f.read()


def typist(s, name, **more):
    """Somebody who types through a pipe, and what they see in another."""
    return subprocess.Popen([BANGER, "vm", "console", name], env=s.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **more)


def is_raw(t):
    return not termios.tcgetattr(t.child.fileno())[3] & termios.ICANON


def keys_are_the_guests_and_an_escape_leaves(s):
    name = the_guest(s)
    with console(s, name) as t:
        t.until(r"the console of guest; Enter ~\. leaves")
        t.until("login:")
        assert is_raw(t)
        t.press("root~.\r")
        t.until(r"root~\.")
        t.press("~?")
        t.until(r"~\.  leaves\n *~~  sends ~\n")
        t.press("~~twice\r")
        t.until(r"\n~twice")
        t.press("~.")
        screen, status = t.end()
    assert status == 0 and "left the console of guest, which runs on" in screen, (status, screen)
    assert s.json("vm", "show", name)["state"] == "running"


def another_escape_or_none(s):
    name = the_guest(s)
    with console(s, "--escape", "^", name) as t:
        t.until(r"Enter \^\. leaves")
        t.press("~.\r^.")
        screen, status = t.end()
    assert status == 0 and "left the console" in screen, (status, screen)
    with console(s, "--escape", "none", name) as t:
        t.until("there is no key to leave with")
        t.press("~.alone\r")
        t.until(r"~\.alone")
    p = s.run("vm", "console", "--escape", "ab", name, check=False)
    assert p.returncode == 1 and "not one character" in p.stderr, p


def it_begins_with_the_last_lines(s):
    name = the_guest(s)
    p = typist(s, name)
    p.stdin.write(b"one\r\ntwo\r\nthree\r\n")
    p.stdin.flush()
    wait_for(lambda: b"three" in log_of(s, name), "nothing is printed")
    for tail, first in (("1", b"three\r\n"), ("2", b"two\r\nthree\r\n"), ("all", b"login: ")):
        q = subprocess.Popen([BANGER, "vm", "console", "--read-only", "--tail", tail, name], env=s.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert q.stdout.read(len(first)) == first
        q.send_signal(signal.SIGINT)
        assert q.wait(WAIT_S) == 130 and q.stderr.read() == b""
    p.kill()
    p.communicate()


def one_types_and_others_watch(s):
    name = the_guest(s)
    p = typist(s, name)
    watchers = [subprocess.Popen([BANGER, "vm", "console", "--read-only", "--tail", "0", name], env=s.env,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) for _ in range(5)]
    p.stdin.write(b"first\r\n")
    p.stdin.flush()
    wait_for(lambda: b"first" in log_of(s, name), "nothing is printed")
    q = s.run("vm", "console", name, check=False)
    assert q.returncode == 1 and "vm.console_busy" in q.stderr and "--read-only" in q.stderr, q.stderr
    p.stdin.write(b"second\r\n")
    p.stdin.flush()
    for w in watchers:
        seen = b""
        while b"second\r\n" not in seen:
            seen += os.read(w.stdout.fileno(), 4096)
        w.kill()
        w.communicate()
    p.kill()  # nobody holds the console any more
    p.communicate()
    wait_for(lambda: took_over(s, name), "the console stays taken")


def took_over(s, name):
    with console(s, name) as t:
        t.press("~.")
        screen, status = t.end()
    return status == 0 and "left the console" in screen


def who_does_not_read_holds_nobody_up(s):
    """Neither the guest's line, which prints a flood, nor other commands, nor who watches."""
    name = the_guest(s)
    at = len(log_of(s, name))
    p = typist(s, name)  # whose output nobody takes
    p.stdin.write(b"\3")
    p.stdin.flush()
    wait_for(lambda: len(log_of(s, name)) - at >= FLOOD_BYTES, "the guest's line stands still")
    assert s.run("exec", name, "--", "echo", "hello").stdout == "hello\n"
    p.kill()
    p.communicate()
    assert took_over(s, name)


def its_end(s):
    name = the_guest(s)
    with console(s, name) as t:
        t.until("the console of guest")
        s.run("vm", "stop", "--force", name)
        screen, status = t.end()
    assert status == 0 and "guest has ended" in screen, (status, screen)
    p = s.run("vm", "console", name, check=False)
    assert p.returncode == 1 and "guest is stopped" in p.stderr, p.stderr
    p = s.run("vm", "console", "--read-only", "--tail", "all", name)
    assert "guest has ended" in p.stderr and "login: " in p.stdout
    assert s.run("vm", "console", "nobody", check=False).returncode == 1
    s.run("vm", "delete", name)


def the_daemons_death(s):
    """Who typed is told, and types again at the next daemon."""
    name = the_guest(s)
    p = typist(s, name)
    p.stdin.write(b"before\r\n")
    p.stdin.flush()
    wait_for(lambda: b"before" in log_of(s, name), "nothing is printed")
    s.kill_daemon()
    _, err = p.communicate(timeout=WAIT_S)
    assert p.returncode == 1 and b"daemon" in err, (p.returncode, err)
    assert took_over(s, name)


def a_vm_without_one(s):
    s.run("vm", "create", "--vmm", "null", "--name", "none")
    p = s.run("vm", "console", "none", check=False)
    assert p.returncode == 1 and "none has no process" in p.stderr, p.stderr
    s.run("vm", "delete", "-f", "none")


def no_terminal_is_touched_when_it_is_refused(s):
    main, side = pty.openpty()
    before = termios.tcgetattr(side)
    p = subprocess.run([BANGER, "vm", "console", "nobody"], env=s.env, stdin=side, capture_output=True, check=False)
    assert p.returncode == 1 and termios.tcgetattr(side) == before
    os.close(main)
    os.close(side)


banger_session.main([
    keys_are_the_guests_and_an_escape_leaves, another_escape_or_none, it_begins_with_the_last_lines,
    one_types_and_others_watch, who_does_not_read_holds_nobody_up, its_end, the_daemons_death, a_vm_without_one,
    no_terminal_is_touched_when_it_is_refused], prepare=lambda s: s.fake_vmm())
