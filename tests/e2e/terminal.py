#!/usr/bin/env python3
"""What a person sees: each story at a pseudo-terminal, its screens held against docs/screens.md.

The VMs are fake ones (fake_qemu.py), so that each stage lasts as long as the story wants.
`terminal.py --bless` writes the document anew.
"""
import contextlib
import os
import re
import signal
import subprocess
import sys

import banger_session
from screen import Screen, steady

SCREENS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "screens.md")
BLESS = "--bless" in sys.argv
HEAD = """# What you see
Screens of the command line on a terminal, as a test plays them (`tests/e2e/terminal.py`): times, ids and paths are made
equal, everything else is what the program prints. `^C` is the interrupt key.
"""
CTRL_C = "\x03"
seen = {}


def show(title, command, *screens):
    """One section of the document: the command as typed, and one or more screens."""
    blocks = [f"```console\n$ {command}\n{steady(s)}\n```" for s in screens]
    seen[title] = f"## {title}\n" + "\n\n".join(blocks) + "\n"


def terminal(s, *words, **size):
    return Screen([banger_session.BANGER, *words], s.env, **size)


def prepare(s):
    """The newest image is the default one; it is called as Debian's, so that the document reads as life does."""
    s.fake_vmm(os.path.join(os.path.dirname(os.path.abspath(banger_session.__file__)), "hostile_agent.py"))
    s.fake_image()
    s.run("image", "import", f"{s.top}/root.tar", "--name", "debian:bookworm")


@contextlib.contextmanager
def slow_imager(s):
    """An imager that begins, and has not ended yet."""
    path = f"{s.libexec}/banger-imager"
    os.rename(path, f"{path}.real")
    with open(path, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\necho 'progress bootstrap 12345678 104857600'\nexec sleep 1000\n")
    os.chmod(path, 0o700)
    try:
        yield
    finally:
        os.rename(f"{path}.real", path)


def a_command_and_its_status(s):
    with terminal(s, "vm", "run", "--rm", "--name", "web", "--", "sh", "-c", "echo hello; exit 42") as t:
        screen, status = t.end()
    assert status == 42 and "hello" in screen, (status, screen)
    show("A command in a VM of its own", "banger vm run --rm --name web -- sh -c 'echo hello; exit 42'", screen)
    s.nothing_left()


def a_few_have_a_line_each(s):
    with terminal(s, "vm", "create", "-n", "2", "--name", "hang", "--memory", "512M") as t:
        middle = t.until(r"hang-1 +booting +1\.\d s\n")
        assert re.search(r"hang-2 +booting", middle), middle
        t.press(CTRL_C)
        screen, status = t.end()
    assert status == 130 and "cancelled: 2 of 2 undone" in screen, (status, screen)
    assert "hang-1  booting" not in screen, screen
    show("A few VMs have a line each; an interrupt undoes them", "banger vm create -n 2 --name hang --memory 512M",
         middle, screen + "\n")
    s.nothing_left()


def many_share_a_bar(s):
    with terminal(s, "vm", "create", "-n", "12", "--name", "hang") as t:
        middle = t.until(r"\[\.+\] 0 of 12 done +1\.\d s")
        t.press(CTRL_C)
        t.until("interrupt again")
        screen, status = t.end()
    assert status == 130 and "cancelled: 12 of 12 undone" in screen, (status, screen)
    show("Many share a bar", "banger vm create -n 12 --name hang", middle)
    s.nothing_left()


def the_console(s):
    s.fake_guest(name="db")
    with terminal(s, "vm", "console", "db") as t:
        t.until("login:")
        t.press("root\r")
        t.until(r"login: root$")
        t.press("~.")
        screen, status = t.end()
    assert status == 0 and "left the console of db, which runs on" in screen, (status, screen)
    show("A VM's serial console; `~.` leaves", "banger vm console db", screen)
    s.run("vm", "delete", "-f", "db")


def ten_have_a_line_each_until_all_are_up(s):
    with terminal(s, "vm", "create", "-n", "10", "--name", "web", rows=30) as t:
        screen, status = t.end()
    assert status == 0 and len(re.findall(r"(?m)^\w{12} web-\d+ ready in ", screen)) == 10, screen
    assert "10 of 10 VMs are up" in screen, screen
    show("Ten", "banger vm create -n 10 --name web", re.sub(r" +ready in", " ready in", screen))
    with terminal(s, "vm", "delete", "--all", "-f") as t:
        screen, status = t.end()
    assert status == 0 and sorted(screen.splitlines()) == sorted(f"web-{i}" for i in range(1, 11)), screen
    s.nothing_left()


def an_interrupt_while_an_image_is_made(s):
    """The first run: nothing is there, all is made first."""
    with slow_imager(s), terminal(s, "run", "--rm", "--image", "debian:trixie", "--", "true") as t:
        middle = t.until(r"installing packages .*100 MiB +\d")
        t.press(CTRL_C)
        screen, status = t.end()
    assert status == 130 and "cancelled" in screen, (status, screen)
    show("An interrupt while an image is made", "banger run --rm --image debian:trixie -- true", middle, screen)
    assert "debian:trixie" not in s.run("image", "list", "-q").stdout
    banger_session.wait_for(lambda: s.processes() == [] and s.leftovers() == [], "the imager is there")


def an_interrupt_while_a_vm_stops(s):
    """A stop that has begun goes on to its end, whether one waits for it (once) or not (twice)."""
    s.fake_guest(name="deaf")
    with terminal(s, "vm", "stop", "deaf", "--timeout", "3s") as t:
        middle = t.until(r"deaf +powering off +\d")
        t.press(CTRL_C)
        screen, status = t.end()
    assert status == 0 and "what has begun goes on" in screen, (status, screen)
    show("An interrupt while a VM stops", "banger vm stop deaf --timeout 3s", middle, screen)
    assert s.states() == ["stopped"]
    s.run("vm", "start", "deaf")
    with terminal(s, "vm", "stop", "deaf", "--timeout", "3s") as t:
        t.until("deaf +powering off")
        t.press(CTRL_C)
        t.until("interrupt again")
        t.press(CTRL_C)
        _, status = t.end()
    assert status == 130, status
    banger_session.wait_for(lambda: s.states() == ["stopped"], "it is stopped")
    s.clear()


def a_daemon_that_dies_under_a_command(s):
    s.fake_guest(name="web")
    with terminal(s, "exec", "web", "--", "sh", "-c", "echo working; sleep 60", cols=130) as t:
        t.until("working")
        s.kill_daemon()
        screen, status = t.end()
    assert status == 125 and "exit status is not known" in screen, (status, screen)
    show("The daemon is killed while a command runs", "banger exec web -- sh -c 'echo working; sleep 60'", screen)
    s.clear()


def errors_fit_forty_columns(s):
    """They are not cut: a terminal breaks the line, and every word is there."""
    with terminal(s, "vm", "stop", "nobody", cols=40) as t:
        screen, status = t.end()
    assert status == 1 and "See `banger vm list --all`." in screen, screen
    assert "vm.not_found" in screen.replace("\n", ""), screen


def a_second_interrupt_leaves_at_once(s):
    with terminal(s, "vm", "create", "--name", "hang-stop") as t:
        t.until("booting")
        t.press(CTRL_C + CTRL_C)
        screen, status = t.end()
    assert status == 130, (status, screen)
    banger_session.wait_for(lambda: s.vms() == [], "what was left is undone by the daemon")


def an_interrupt_goes_to_the_command(s):
    with terminal(s, "vm", "run", "--rm", "--name", "web", "--", "sh", "-c",
                  "trap 'echo caught; kill $p; exit 7' INT; sleep 60 & p=$!; echo ready; wait") as t:
        t.until("ready$|ready\n")
        t.press(CTRL_C)
        screen, status = t.end()
    assert status == 7 and "caught" in screen, (status, screen)
    s.nothing_left()


def a_failing_command_says_so(s):
    with terminal(s, "vm", "run", "--rm", "--name", "web", "--", "no-such-program") as t:
        screen, status = t.end()
    assert status == 127 and "no-such-program" in screen, (status, screen)
    show("A command that is not there", "banger vm run --rm --name web -- no-such-program", screen)
    s.nothing_left()


def typing_errors_are_answered(s):
    s.run("vm", "create", "--vmm", "null", "--name", "web")
    screens = []
    for words, says in ((["vm", "creat"], "did you mean"), (["vm", "create", "--memroy", "1G"], "did you mean"),
                        (["vm", "create", "--memory", "lots"], "lots"), (["vm", "stop", "wbe"], 'Did you mean "web"')):
        with terminal(s, *words) as t:
            screen, status = t.end()
        assert status != 0 and says in screen, (status, screen)
        screens.append((f"banger {' '.join(words)}", screen))
    blocks = "\n".join(f"$ {c}\n{steady(t)}" for c, t in screens)
    s.clear()
    seen["Typing errors"] = f"## Typing errors\n```console\n{blocks}\n```\n"


def tables_fit_forty_columns(s):
    s.run("vm", "create", "--vmm", "null", "--no-start", "--name", "a-name-that-is-rather-longer-than-the-others")
    s.run("vm", "create", "--vmm", "null", "--name", "b")
    with terminal(s, "vm", "list", "-a", cols=40) as t:
        narrow, status = t.end()
    assert status == 0 and all(len(line) <= 40 for line in narrow.splitlines()), narrow
    assert len(narrow.splitlines()) == 3, narrow
    with terminal(s, "vm", "list", "-a", cols=120) as t:
        wide, _ = t.end()
    assert "a-name-that-is-rather-longer-than-the-others" in wide, wide
    show("Tables fit the terminal", "banger vm list -a     # 40 columns, then 120", narrow, wide)
    with terminal(s, "vm", "create", "-n", "12", "--name", "hang", cols=40) as t:
        screen = t.until("0 of 12 done +1")
        assert "[" not in screen.splitlines()[-1], screen
        t.press(CTRL_C)
        t.end()
    s.clear()


def stats_are_drawn_over_themselves(s):
    for name in ("web", "db"):
        s.fake_guest(name=name)
    with terminal(s, "vm", "stats", "--interval", "100ms") as t:
        first = t.until(r"TOTAL")
        assert re.search(r"(?m)^web +- ", first), first  # there is no rate yet
        screen = t.until(r"(?m)^TOTAL +\d+\.\d%")
        t.press(CTRL_C)
        last, status = t.end()
    assert status == 130 and last.count("NAME") == 1, (status, last)
    assert [line.split()[0] for line in screen.splitlines()] == ["NAME", "web", "db", "TOTAL"], screen
    assert t.raw.endswith(b"\033[?25h"), t.raw[-20:]  # the cursor is back
    with terminal(s, "vm", "stats", "--interval", "100ms", cols=40, rows=6) as t:
        narrow = t.until("and 1 more")
        t.press(CTRL_C)
        t.end()
    assert all(len(line) <= 40 for line in narrow.splitlines()), narrow


def top_has_a_screen_of_its_own(s):
    for name in ("web", "db"):
        if name not in [v["spec"]["name"] for v in s.vms()]:
            s.fake_guest(name=name)
    for key, wanted in (("q", 0), (CTRL_C, 130)):
        with terminal(s, "top", "--interval", "100ms") as t:
            screen = t.until(r"(?m)^TOTAL +\d+\.\d%")
            assert screen.startswith("2 VMs run; q leaves\nNAME"), screen
            t.press(key)
            _, status = t.end()
        assert status == wanted, status
        assert t.raw.count(b"\033[?1049h") == t.raw.count(b"\033[?1049l") == 1, t.raw
    s.clear()


def no_terminal_no_live_display(s):
    """To a pipe and to a file: plain lines, no escape, results on stdout alone."""
    for env in ({}, {"NO_COLOR": "1"}):
        p = subprocess.run([banger_session.BANGER, "vm", "run", "--rm", "--name", "web", "--", "echo", "hello"],
                           env={**s.env, **env}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        assert p.returncode == 0 and p.stdout == b"hello\n" and b"\033" not in p.stderr, p
        assert b"booting" not in p.stderr, p
    p = subprocess.Popen([banger_session.BANGER, "vm", "create", "--name", "hang"], env=s.env, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while (line := p.stderr.readline()) != b"hang  booting\n":  # what lasts is told
        assert line.startswith(b"banger: creating"), line
    p.send_signal(signal.SIGINT)
    assert p.wait(60) == 130 and b"1 of 1 undone" in p.stderr.read()
    p.stderr.close()
    out = f"{s.top}/out"
    with open(out, "wb") as f:
        p = subprocess.run([banger_session.BANGER, "vm", "list", "-a", "--json"], env=s.env, stdout=f, timeout=60)
    with open(out, "rb") as f:
        assert p.returncode == 0 and b"\033" not in f.read()
    with terminal(s, "--no-color", "vm", "create", "--name", "plain") as t:
        screen, status = t.end()
    assert status == 0 and b"\033" not in t.raw, t.raw
    s.clear()


def the_document_is_true(s):
    text = HEAD + "\n" + "\n".join(seen.values())
    if BLESS:
        with open(SCREENS, "w", encoding="utf-8") as f:
            f.write(text)
        return
    with open(SCREENS, encoding="utf-8") as f:
        was = f.read()
    for title, section in seen.items():
        assert section in was, f"docs/screens.md differs in \"{title}\"; terminal.py --bless writes it:\n{section}"


STORIES = [a_command_and_its_status, a_few_have_a_line_each, many_share_a_bar, ten_have_a_line_each_until_all_are_up,
           an_interrupt_while_an_image_is_made, an_interrupt_while_a_vm_stops, a_daemon_that_dies_under_a_command,
           errors_fit_forty_columns, a_second_interrupt_leaves_at_once,
           an_interrupt_goes_to_the_command, a_failing_command_says_so, typing_errors_are_answered,
           tables_fit_forty_columns, stats_are_drawn_over_themselves, top_has_a_screen_of_its_own,
           the_console, no_terminal_no_live_display, the_document_is_true]

if __name__ == "__main__":
    sys.argv = [a for a in sys.argv if a != "--bless"]
    banger_session.main(STORIES, prepare=prepare)
