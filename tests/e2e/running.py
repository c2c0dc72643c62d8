#!/usr/bin/env python3
"""Work in a Debian guest at the size that people have: trees and large files copied both ways, many commands at once,
streams that nobody reads, a client that is killed.  What it may cost of memory is said in limits and read from the kernel.
"""
import hashlib
import os
import select
import signal
import subprocess
import threading
import time

import banger_session
import trees
from banger_guests import Guests
from banger_session import BANGER, memory_kib, wait_for
from screen import Screen

PATIENCE_S = 600
BIG_MIB = int(os.environ.get("RUNNING_BIG_MIB", "64"))  # 1024 takes four minutes in emulation
KIB = 1024

# What a copy or a command may take of memory, whatever its size.  The daemon, besides what it had: a window of 256 KiB
# for each of three streams, on both of its sides, and what waits between them.  The command and the agent: all in all.
DAEMON_GROWTH_KIB = 2 * KIB
COMMAND_KIB = 4 * KIB
AGENT_KIB = 4 * KIB
# What a command gets rid of before it waits: a window, and what the pipes on the way hold.
UNREAD_BYTES = 1 << 20
GONE_S = 1.0

# Of every process of the agent the most it ever took, until the file says that it is enough.
AGENT_PEAK = ("while [ ! -e /run/enough ]; do for d in /proc/[0-9]*; do "
              "{ read -r n < $d/comm && [ \"$n\" = banger-agent ] && grep VmHWM $d/status; } 2>/dev/null; done; "
              "sleep 0.1; done | sort -n -k2 | tail -n 1")

# Every file's kind, mode, owners, time, links, size and target, by the find of whoever is asked.
DESCRIBE = (r"cd {0} && find . -type d -printf '%P %y %m %U:%G %T@\0' -o -printf '%P %y %m %U:%G %T@ %n %s %l\0' | "
            "LC_ALL=C sort -z | sha256sum; find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum")


def the_g(s):
    states = {v["spec"]["name"]: v["state"] for v in s.vms()}
    if states.get("g") != "running":
        s.run("vm", "delete", "-f", "g", check=False)
        s.create("g")


def cp(s, *args, status=0, says="", **more):
    p = s.run("vm", "cp", *args, check=False, deadline=PATIENCE_S, **more)
    assert p.returncode == status and says in p.stderr, (args, p.returncode, p.stderr)
    return p


def place(s, name):
    path = f"{s.top}/{name}"
    os.mkdir(path)
    return path


class Peak:
    """The most that the daemon, the command and the agent take until the command ends."""

    def __init__(self, s, *args):
        s.run("vm", "exec", "g", "--", "rm", "-f", "/run/enough")
        self.daemon = s.info()["pid"]
        before = memory_kib(self.daemon)
        agents = s.start("vm", "exec", "g", "--", "sh", "-c", AGENT_PEAK)
        p = s.start(*args)
        self.growth = self.command = 0
        while True:
            self.growth = max(self.growth, memory_kib(self.daemon) - before)
            try:
                self.command = max(self.command, memory_kib(p.pid, "Rss"))
            except (ProcessLookupError, StopIteration, FileNotFoundError):
                pass  # has ended, and waits for us
            try:
                p.wait(timeout=0.05)
                break
            except subprocess.TimeoutExpired:
                pass
        assert p.returncode == 0, p.stderr.read()
        s.exec("g", "touch", "/run/enough")
        self.agent = int(agents.communicate(timeout=PATIENCE_S)[0].split()[1])

    def within_bounds(self):
        print(f"# daemon +{self.growth} KiB, command {self.command} KiB, agent {self.agent} KiB", flush=True)
        assert self.growth < DAEMON_GROWTH_KIB, self.growth
        assert 0 < self.command < COMMAND_KIB, self.command
        assert 0 < self.agent < AGENT_KIB, self.agent


# ---- copies ----

def a_tree_of_five_thousand_files_both_ways(s):
    """Equal in all that a copy keeps: there, as the guest's own find and sha256sum say, and here again."""
    the_g(s)
    top = place(s, "tree")
    trees.make(f"{top}/src", files=5000)
    Peak(s, "vm", "cp", f"{top}/src", "g:/root/copy").within_bounds()
    told = s.exec("g", "sh", "-c", DESCRIBE.format("/root/copy"), deadline=PATIENCE_S)
    here = subprocess.run(["sh", "-c", DESCRIBE.format(f"{top}/src")], capture_output=True, text=True, check=True)
    assert told == here.stdout, (told, here.stdout)
    Peak(s, "vm", "cp", "g:/root/copy", f"{top}/back").within_bounds()
    trees.same(f"{top}/src", f"{top}/back")
    s.exec("g", "rm", "-r", "/root/copy")


def a_big_file_both_ways(s):
    """As large as RUNNING_BIG_MIB says; what it takes of memory does not depend on that."""
    the_g(s)
    top = place(s, "big")
    digest = hashlib.sha256()
    with open(f"{top}/big", "wb") as f:
        for _ in range(BIG_MIB):
            piece = os.urandom(1 << 20)
            digest.update(piece)
            f.write(piece)
    for args in ((f"{top}/big", "g:/root/big"), ("g:/root/big", f"{top}/back")):
        begun = time.monotonic()
        peak = Peak(s, "vm", "cp", *args)
        print(f"# {BIG_MIB} MiB in {time.monotonic() - begun:.1f} s", flush=True)
        peak.within_bounds()
    assert s.exec("g", "sha256sum", "/root/big", deadline=PATIENCE_S).split()[0] == digest.hexdigest()
    assert subprocess.run(["cmp", f"{top}/big", f"{top}/back"], check=False).returncode == 0
    s.exec("g", "rm", "/root/big")
    for name in ("big", "back"):
        os.unlink(f"{top}/{name}")


def into_a_full_disk(s):
    """The guest's, not ours: said so, by the name that did not fit; nothing half is left, and all goes on."""
    the_g(s)
    top = place(s, "full")
    trees.write(f"{top}/small", b"fits\n")
    trees.write(f"{top}/large", os.urandom(8 << 20))
    s.exec("g", "sh", "-c", "mkdir /root/in && mount -t tmpfs -o size=4m none /mnt && echo ready")
    s.exec("g", "sh", "-c", "free=$(stat -f -c '%a * %S' /root); fallocate -l $(($free - 4194304)) /root/filler")
    for where in ("/root/in", "/mnt"):
        cp(s, f"{top}/small", f"{top}/large", f"g:{where}", status=1, says=f"g: {where}/large: No space left on device")
        assert s.exec("g", "ls", "-A", where) == "small\n"
    s.exec("g", "rm", "/root/filler")
    cp(s, f"{top}/large", "g:/root/in")
    s.exec("g", "sh", "-c", "rm -r /root/in; umount /mnt")


# ---- commands ----

def a_million_lines_through_a_pipe(s):
    the_g(s)
    numbers = "".join(f"{i}\n" for i in range(1, 1000001)).encode()
    seq = subprocess.Popen(["seq", "1", "1000000"], stdout=subprocess.PIPE)
    p = s.run("vm", "exec", "g", "--", "sha256sum", stdin=seq.stdout, deadline=PATIENCE_S)
    seq.stdout.close()
    assert seq.wait() == 0 and p.stdout.split()[0] == hashlib.sha256(numbers).hexdigest(), p.stdout


def written(s, pid):
    """Bytes that a process of the guest has written."""
    text = s.exec("g", "cat", f"/proc/{pid}/io")
    return int(text.split("wchar: ")[1].split()[0])


def a_reader_that_stops(s):
    """The command waits in the guest, the daemon keeps no more than the windows, and nobody else is held up."""
    the_g(s)
    s.run("vm", "create", "--name", "other", "--memory", "256M")
    daemon = s.info()["pid"]
    before = memory_kib(daemon)
    p = subprocess.Popen([BANGER, "vm", "exec", "g", "--", "sh", "-c", "echo $$; exec cat /dev/zero"], env=s.env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    pid = int(p.stdout.readline())
    seen = [0, 1]

    def rests():
        seen.append(written(s, pid))
        return seen[-1] == seen[-2]

    wait_for(rests, "cat goes on writing", PATIENCE_S)
    growth = memory_kib(daemon) - before
    print(f"# {seen[-1]} bytes were written; daemon +{growth} KiB", flush=True)
    assert seen[-1] < UNREAD_BYTES and growth < DAEMON_GROWTH_KIB, (seen[-1], growth)
    assert s.exec("other", "hostname") == "other\n" and s.exec("g", "hostname") == "g\n"
    data = s.run("vm", "exec", "other", "--", "head", "-c", "3000000", "/dev/zero", text=False).stdout
    assert data == bytes(3000000)
    assert written(s, pid) == seen[-1]
    assert len(p.stdout.read(8 << 20)) == 8 << 20  # it goes on where somebody reads again
    p.kill()
    p.communicate()
    wait_for(lambda: s.exec("g", "test", "-e", f"/proc/{pid}", check=False).returncode == 1, "cat lives on", PATIENCE_S)
    s.run("vm", "delete", "-f", "other")


def two_hundred_at_once(s):
    """Each with its own input, outputs and status."""
    the_g(s)
    script = 'read -r word; echo "out $0 $word"; echo "err $0" >&2; exit $(($0 % 256))'
    running = []
    for i in range(200):
        p = subprocess.Popen([BANGER, "vm", "exec", "-i", "g", "--", "sh", "-c", script, str(i)], env=s.env, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        running.append(p)
    ends = [None] * len(running)

    def talk(i):
        ends[i] = running[i].communicate(f"word-{i}\n", timeout=PATIENCE_S)

    # All have begun before one may end: each waits for its line.
    threads = [threading.Thread(target=talk, args=(i,)) for i in range(len(running))]
    count = "n=0; for f in /proc/[0-9]*/cmdline; do grep -qs 'read -r word' $f && n=$((n + 1)); done; echo $n"
    wait_for(lambda: int(s.exec("g", "sh", "-c", count)) >= 200, "not all run", PATIENCE_S)
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i, p in enumerate(running):
        assert (ends[i], p.returncode) == ((f"out {i} word-{i}\n", f"err {i}\n"), i % 256), (i, ends[i], p.returncode)


def a_killed_client_takes_its_vm_along(s):
    """The best of three, since the machine may be busy with something else for a second."""
    took = []
    for _ in range(3):
        p = subprocess.Popen([BANGER, "vm", "run", "--rm", "--name", "leased", "--memory", "256M", "--", "sh", "-c",
                              "echo ready; exec sleep 1000"], env=s.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert p.stdout.readline() == b"ready\n", p.stderr.read()
        vmm = os.pidfd_open(s.json("vm", "show", "leased")["pid"])
        begun = time.monotonic()
        p.send_signal(signal.SIGKILL)
        assert select.select([vmm], [], [], PATIENCE_S)[0]
        wait_for(lambda: "leased" not in {v["spec"]["name"] for v in s.vms()}, "the VM is there", PATIENCE_S)
        took.append(time.monotonic() - begun)
        os.close(vmm)
        p.communicate()
    print(f"# gone after {', '.join(f'{t:.2f}' for t in took)} s", flush=True)
    assert min(took) < GONE_S, took


def a_disk_that_does_not_answer(s):
    """The agent says that it lives without asking the disk: what it says of the system it has read before."""
    the_g(s)
    s.exec("g", "sh", "-c", "mv /etc/os-release /etc/real; mkfifo /etc/os-release")  # who reads it waits for ever
    s.kill_daemon()  # the next one asks
    assert s.exec("g", "echo", "hello", deadline=60) == "hello\n"
    s.exec("g", "sh", "-c", "mv /etc/real /etc/os-release; cp -p /etc/passwd /etc/real; rm /etc/passwd; mkfifo /etc/passwd")
    waits = s.start("vm", "exec", "g", "--", "true")  # in the guest, and nobody with it
    assert s.run("vm", "ping", "--timeout", "60s", "g").returncode == 0
    cp(s, "g:/etc/real", f"{s.top}/passwd")
    cp(s, f"{s.top}/passwd", "g:/etc/passwd")
    assert s.exec("g", "sh", "-c", "rm /etc/real; echo hello") == "hello\n" and waits.poll() is None
    waits.kill()
    waits.communicate()


# ---- sizes ----

def what_was_set_is_there_after_a_start(s):
    """Processors, memory, and a root file system that takes all of its disk, with what was on it."""
    the_g(s)
    had = s.exec("g", "sh", "-c", "head -c 1000000 /dev/urandom > /root/kept; sha256sum /root/kept; df -k --output=size / | tail -1")
    s.run("vm", "stop", "g")
    s.run("vm", "set", "g", "--vcpu", "2", "--memory", "384M", "--disk", "20G")
    s.run("vm", "start", "g")
    nproc, total = s.exec("g", "sh", "-c", "nproc; grep MemTotal /proc/meminfo").splitlines()
    assert nproc == "2" and 320 * KIB < int(total.split()[1]) < 384 * KIB, (nproc, total)
    now = s.exec("g", "sh", "-c", "sha256sum /root/kept; df -k --output=size / | tail -1")
    assert now.split()[0] == had.split()[0], (had, now)
    assert int(had.split()[-1]) < 8 << 20 and 19 << 20 < int(now.split()[-1]) < 20 << 20, (had, now)
    s.exec("g", "sh", "-c", "head -c 1000000 /dev/zero > /root/more; rm /root/more /root/kept")
    s.run("vm", "restart", "g")  # which has nothing to grow
    assert int(s.exec("g", "sh", "-c", "df -k --output=size / | tail -1")) == int(now.split()[-1])
    s.run("vm", "create", "--name", "large", "--memory", "256M", "--disk", "100G")
    assert int(s.exec("large", "sh", "-c", "df -k --output=size / | tail -1")) > 95 << 20
    s.run("vm", "delete", "-f", "g", "large")


# ---- the console ----

def at_the_console(s):
    """A shell of the guest's on its serial line; keys, Ctrl-C and output are its own, and a daemon's end is nothing to it."""
    the_g(s)
    # What a command leaves behind ends with it, unless it has a session of its own by then.
    s.exec("g", "sh", "-c", "setsid -cf bash -i < /dev/ttyS0 > /dev/ttyS0 2>&1; "
           "until grep -qsx bash /proc/[0-9]*/comm; do :; done")
    pid = s.json("vm", "show", "g")["pid"]
    for i, end in enumerate((lambda: s.run("daemon", "stop"), s.kill_daemon, None)):
        with Screen([BANGER, "vm", "console", "g"], s.env) as t:
            t.until("the console of g")
            t.until(r"root@g:\S+# *$")
            t.press(f"echo it-is-$(({i} + 40))\r")
            t.until(f"\nit-is-{i + 40}")
            t.press("sleep 1000\r")
            t.until(r"~# sleep 1000$")
            t.press("\x03")
            t.until(r"\^C")
            t.press(f"echo on-it-goes-$(({i} + 50))\r")
            t.until(f"\non-it-goes-{i + 50}")
            if end:
                end()
            else:
                t.press("~.")
            screen, status = t.end()
            said = "daemon" if end else "left the console of g, which runs on"
            assert status == (1 if end else 0) and said in screen, (status, screen)
    assert s.json("vm", "show", "g")["pid"] == pid


def a_boot_is_watched(s):
    """From its first line to its last: the console is there before the agent is, and its end is told."""
    s.run("vm", "create", "--no-start", "--name", "watched", "--memory", "256M")
    start = s.start("vm", "start", "watched")
    wait_for(lambda: s.json("vm", "show", "watched")["state"] != "created", "it does not start")
    with Screen([BANGER, "vm", "console", "--read-only", "--tail", "all", "watched"], s.env) as t:
        assert start.wait(PATIENCE_S) == 0
        s.exec("watched", "sh", "-c", "echo hello from inside > /dev/ttyS0")
        t.until("hello from inside")
        s.run("vm", "delete", "-f", "watched")
        screen, status = t.end()
    assert status == 0 and "watched has ended" in screen, (status, screen)


banger_session.needs_qemu()
banger_session.main([
    a_tree_of_five_thousand_files_both_ways, a_big_file_both_ways, into_a_full_disk, a_million_lines_through_a_pipe,
    a_reader_that_stops, two_hundred_at_once, a_disk_that_does_not_answer,
    what_was_set_is_there_after_a_start, at_the_console, a_boot_is_watched,
    a_killed_client_takes_its_vm_along], session=Guests)
