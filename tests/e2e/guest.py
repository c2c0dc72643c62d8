#!/usr/bin/env python3
"""An unmodified Debian guest, as the user of a command line meets it: commands with their arguments, streams, signals and
statuses; disks, names, ports; and how it ends.

Guests run in emulation where KVM is missing or slow, so everything waits for events, with generous deadlines.
"""
import hashlib
import os
import socket
import subprocess
import sys

import banger_session
from banger_guests import IMAGE, Guests
from banger_session import BANGER, wait_for

PATIENCE_S = 120
BOOT_ID = "/proc/sys/kernel/random/boot_id"
CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib", "banger_client.py")

# A server in one line of the perl that every Debian has: answers each connection with the guest's name.
SERVER = ("use IO::Socket::INET; use Sys::Hostname;"
          "my $l = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) or die;"
          "print qq(ready\\n); close STDOUT;"
          "while (my $c = $l->accept) { print $c hostname; close $c }")


def view(s, name):
    return s.json("vm", "show", name)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def popen(s, *args):
    return subprocess.Popen([BANGER, *args], env=s.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def there(s, name, *args):
    """The guest of this name, made or started where a story before this one failed."""
    states = {v["spec"]["name"]: v["state"] for v in s.vms()}
    if name not in states:
        s.create(name, *args)
    elif states[name] != "running":
        s.run("vm", "start", name)


def the_g(s):
    if not hasattr(s, "port"):
        s.port = free_port()
    there(s, "g", "--env", "PLAIN=1", "--env", "ODD=a b='\"$HOME", "--publish", f"{s.port}:80")


def the_status_of_the_command(s):
    p = s.run("vm", "run", "--rm", "--memory", "256M", "--", "sh", "-c", "exit 42", check=False)
    assert p.returncode == 42, p
    s.nothing_left()


def the_guest_of_these_stories(s):
    """One for those that need no fresh one; its name is its host name, and its environment reaches commands."""
    the_g(s)
    assert s.exec("g", "hostname") == "g\n"
    assert s.exec("g", "cat", "/proc/sys/kernel/hostname") == "g\n"
    lines = s.exec("g", "env").splitlines()
    assert "PLAIN=1" in lines and "ODD=a b='\"$HOME" in lines, lines
    lines = s.run("vm", "exec", "-e", "PLAIN=2", "g", "--", "env").stdout.splitlines()
    assert "PLAIN=2" in lines and "PLAIN=1" not in lines, lines
    assert s.exec("g", "cat", "/etc/debian_version").startswith("12")


def arguments_arrive_as_they_are(s):
    the_g(s)
    odd = ["", " ", "a b", "'", '"', "it's \"so\"", "new\nline", "\ttab", "\\", "\\n", "$HOME", "$(id)", "`id`", "*", "?",
           "-n", "--", "--help", "a=b", "#", "~", "!", ";", "&", "|", "é", "漢字", "🎉", "\x01\x7f", "x" * 20000, ""]
    p = s.exec("g", "printf", "%s\\0", *odd)
    assert p.split("\0")[:-1] == odd, p
    p = s.exec("g", "sh", "-c", 'printf "%s\\0" "$0" "$@"', *odd)
    assert p.split("\0")[:-1] == odd, p
    p = s.exec("g", "sh", "-c", "echo $#; exit 3", "sh", *["x"] * 3000, check=False)
    assert (p.returncode, p.stdout) == (3, "3000\n"), p
    p = s.run("vm", "exec", "g", "--", "echo", b"\xff", check=False)
    assert p.returncode == 125 and "UTF-8" in p.stderr, p


def statuses(s):
    the_g(s)
    for argv, status in [(["true"], 0), (["false"], 1), (["sh", "-c", "exit 255"], 255), (["/etc/passwd"], 126),
                         (["/"], 126), (["/no/such/thing"], 127), (["no-such-thing"], 127),
                         (["sh", "-c", "kill -9 $$"], 137), (["sh", "-c", "kill -TERM $$"], 143)]:
        p = s.exec("g", *argv, check=False)
        assert p.returncode == status, (argv, p)
    assert s.exec("nobody", "true", check=False).returncode == 125
    assert s.run("vm", "exec", "g", "--", check=False).returncode == 125


def outputs_apart(s):
    the_g(s)
    p = s.exec("g", "sh", "-c", "echo out; echo err >&2; printf unended", check=False)
    assert (p.stdout, p.stderr) == ("out\nunended", "err\n"), p
    data = s.exec("g", "sh", "-c", "head -c 3000000 /dev/zero", text=False)
    assert data == b"\0" * 3000000
    assert s.run("vm", "exec", "-w", "/etc", "g", "--", "pwd").stdout == "/etc\n"


def standard_input(s):
    the_g(s)
    data = os.urandom(1 << 20) + b"no end of line"
    p = s.run("vm", "exec", "g", "--", "sha256sum", input=data, text=False)
    assert p.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest(), p
    p = s.run("vm", "exec", "g", "--", "cat", input="", text=True)
    assert p.stdout == ""
    p = s.run("vm", "exec", "g", "--", "true", input="x" * 300000)  # which does not read it
    p = s.run("vm", "exec", "g", "--", "head", "-c", "3", input="abcdef" * 50000)
    assert p.stdout == "abc", p
    assert s.exec("g", "cat") == ""  # of nothing at all


def signals_pass_through(s):
    the_g(s)
    for signo, status in (("TERM", 7), ("HUP", 8), ("INT", 130)):
        script = "trap 'echo term; exit 7' TERM; trap 'echo hup; exit 8' HUP; echo ready; while :; do sleep 0.1; done"
        p = popen(s, "vm", "exec", "g", "--", "sh", "-c", script)
        assert p.stdout.readline() == "ready\n"
        p.send_signal(getattr(__import__("signal"), f"SIG{signo}"))
        out, err = p.communicate(timeout=PATIENCE_S)
        assert p.returncode == status, (signo, p.returncode, out, err)
        assert signo == "INT" or signo.lower() in out, out


def a_published_port(s):
    the_g(s)
    server = popen(s, "vm", "exec", "g", "--", "perl", "-e", SERVER)
    assert server.stdout.readline() == "ready\n", server.stderr.read()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", s.port), timeout=PATIENCE_S) as c:
            assert c.recv(100) == b"g"
    rows = [r for r in s.json("vm", "ports", "g") if r["port"] == 80]
    assert [(r["proto"], r["process"], r["endpoint"], r["http_status"]) for r in rows] == \
        [("tcp", "perl", f"127.0.0.1:{s.port}", 0)], rows
    p = s.run("vm", "create", "--name", "late", "--memory", "256M", "--publish", f"{s.port}:80", check=False)
    assert p.returncode != 0 and str(s.port) in p.stderr, p.stderr
    s.run("vm", "delete", "-f", "late")
    server.terminate()
    server.communicate(timeout=PATIENCE_S)


def the_guest_says_how_it_is(s):
    the_g(s)
    assert 0 < s.json("vm", "ping", "g")[0]["round_trip_us"] < PATIENCE_S * 10**6
    h = s.json("vm", "health", "g")[0]
    guest = h["guest"]
    assert h["state"] == "healthy" and h["os"].startswith("Debian GNU/Linux 12") and h["kernel"].startswith("6."), h
    assert h["boot_id"] == s.exec("g", "cat", BOOT_ID).strip(), h
    assert 64 << 20 < guest["memory_bytes"] and 0 < guest["memory_available_bytes"] < guest["memory_bytes"], guest
    blocks, size = s.exec("g", "stat", "-f", "-c", "%b %S", "/").split()
    assert guest["disk_bytes"] == int(blocks) * int(size) and not guest["disk_read_only"], guest
    assert guest["uptime_ms"] > 0 and guest["processes"] > 3 and guest["rx_bytes"] > 0, guest
    busy = popen(s, "vm", "exec", "g", "--", "sh", "-c", "echo ready; while :; do :; done")
    assert busy.stdout.readline() == "ready\n"
    wait_for(lambda: s.json("vm", "stats", "g", "--no-stream")[0]["cpu_milli"] > 100, "a guest that is busy is not seen to be")
    row = s.json("vm", "stats", "g", "--no-stream")[0]
    busy.terminate()
    busy.communicate(timeout=PATIENCE_S)
    assert row["guest_known"] and row["cpu_us"] > 100_000, row
    assert row["pss_bytes"] > 64 << 20 and row["disk_used_bytes"] > 0 and row["guest"]["tx_bytes"] > 0, row
    balloon = row["balloon"]
    assert row["balloon_known"] and abs(balloon["memory_bytes"] - row["guest"]["memory_bytes"]) < 1 << 20, row
    assert 0 < balloon["free_bytes"] <= balloon["available_bytes"] < balloon["memory_bytes"] and balloon["minor_faults"] > 0, row


def what_was_written_survives_a_stop(s):
    """No sync in between: that is the stop's."""
    the_g(s)
    digest = s.exec("g", "sh", "-c", "head -c 8000000 /dev/urandom > /root/big; echo small > /root/small;"
                    "sha256sum < /root/big")
    before = view(s, "g")["boot_id"]
    s.run("vm", "stop", "g")
    assert view(s, "g")["state"] == "stopped" and s.processes() == []
    p = s.exec("g", "true", check=False)
    assert p.returncode == 125 and "stopped" in p.stderr, p
    s.run("vm", "start", "g")
    assert s.exec("g", "sha256sum", "/root/big").split()[0] == digest.split()[0]
    assert s.exec("g", "cat", "/root/small") == "small\n"
    assert view(s, "g")["boot_id"] != before


def boot_id(s):
    """A restart is another boot; the daemon's end is nothing to the guest."""
    the_g(s)
    def now():
        told = view(s, "g")["boot_id"]
        assert s.exec("g", "cat", BOOT_ID).strip() == told
        return told

    first = now()
    s.run("vm", "restart", "g")
    second = now()
    assert second != first
    pid = view(s, "g")["pid"]
    s.exec("g", "sh", "-c", "echo here > /run/witness")
    for end in (lambda: s.run("daemon", "stop"), s.kill_daemon, s.kill_daemon):
        end()
        assert now() == second
        assert view(s, "g")["pid"] == pid
        assert s.exec("g", "cat", "/run/witness") == "here\n"


def a_command_when_the_daemon_dies(s):
    """Its client says so, and the guest is there for the next one."""
    the_g(s)
    p = popen(s, "vm", "exec", "g", "--", "sh", "-c", "echo ready; sleep 1000")
    assert p.stdout.readline() == "ready\n"
    s.kill_daemon()
    _, err = p.communicate(timeout=PATIENCE_S)
    assert p.returncode == 125 and "closed the connection" in err, (p.returncode, err)
    assert s.exec("g", "echo", "again") == "again\n"


def two_of_one_image(s):
    the_g(s)
    there(s, "h")
    s.exec("g", "sh", "-c", "echo g > /etc/who; rm /etc/issue")
    s.exec("h", "sh", "-c", "echo h > /etc/who")
    assert s.exec("g", "cat", "/etc/who") == "g\n" and s.exec("h", "cat", "/etc/who") == "h\n"
    assert s.exec("h", "cat", "/etc/issue").startswith("Debian")
    assert s.exec("h", "test", "-e", "/root/small", check=False).returncode == 1
    out = s.run("vm", "exec", "--all", "--", "hostname").stdout
    assert sorted(line.split()[-1] for line in out.splitlines()) == ["g", "h"], out


def a_guest_that_powers_itself_off(s):
    the_g(s)
    there(s, "h")
    s.exec("h", "sh", "-c", "echo o > /proc/sysrq-trigger", check=False)
    s.run("vm", "wait", "--timeout", f"{PATIENCE_S}s", "h")
    assert view(s, "h")["state"] == "stopped", view(s, "h")
    assert not view(s, "h").get("failure"), view(s, "h")
    assert s.exec("g", "hostname") == "g\n"


def a_guest_whose_kernel_panics(s):
    there(s, "h")
    s.exec("h", "sh", "-c", "echo c > /proc/sysrq-trigger", check=False)
    s.run("vm", "wait", "--timeout", f"{PATIENCE_S}s", "h", check=False)
    after = view(s, "h")
    assert after["state"] == "failed" and "panic" in after["failure"], after
    with open(after["console_log"], encoding="utf-8", errors="replace") as f:
        assert "sysrq triggered crash" in f.read()


def a_guest_that_is_killed(s):
    there(s, "h")
    assert s.exec("h", "hostname") == "h\n"
    s.run("vm", "kill", "h")
    assert view(s, "h")["state"] == "stopped", view(s, "h")
    s.run("vm", "delete", "h")


def the_client_of_eighty_lines(s):
    """tests/lib/banger_client.py, written from docs/protocol.md alone, creates, watches, lists, runs a command, deletes."""
    p = subprocess.run([sys.executable, CLIENT, s.socket(), IMAGE], capture_output=True, text=True,
                       timeout=PATIENCE_S, env=os.environ)
    assert p.returncode == 0, p.stderr
    said = dict(line.split(" ", 1) for line in p.stdout.splitlines())
    assert list(said) == ["hello", "created", "event", "listed", "exec", "deleted,"], p.stdout
    assert said["created"].endswith(" ok") and said["event"] == "created", p.stdout
    assert said["created"].split()[0] in said["listed"], p.stdout
    assert said["exec"].startswith("0 b'Linux ") and said["deleted,"] == "failed: 0", p.stdout


def ten_at_once(s):
    s.clear()
    out = s.run("vm", "run", "--rm", "-n", "10", "--name", "ten", "--memory", "256M", "--", "hostname",
                deadline=3 * PATIENCE_S).stdout
    names = sorted(f"ten-{i}" for i in range(1, 11))
    assert sorted(line.split()[0] for line in out.splitlines()) == names, out
    assert sorted(line.split()[-1] for line in out.splitlines()) == names, out
    s.nothing_left()


def no_sockets_are_left(s):
    s.run("daemon", "stop")
    wait_for(lambda: not os.path.exists(f"{s.runtime}/bangerd.sock"), "the daemon's socket is there")
    left = [f for _, _, files in os.walk(s.runtime) for f in files if f not in ("start.lock", "daemon.lock")]
    assert left == [] and s.processes() == [], (left, s.processes())


banger_session.needs_qemu()
banger_session.main([
    the_status_of_the_command, the_guest_of_these_stories, arguments_arrive_as_they_are, statuses, outputs_apart,
    standard_input, signals_pass_through, a_published_port, the_guest_says_how_it_is, what_was_written_survives_a_stop, boot_id,
    a_command_when_the_daemon_dies, two_of_one_image, a_guest_that_powers_itself_off, a_guest_whose_kernel_panics,
    a_guest_that_is_killed, the_client_of_eighty_lines, ten_at_once, no_sockets_are_left], session=Guests)
