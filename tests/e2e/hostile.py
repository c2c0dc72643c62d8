#!/usr/bin/env python3
"""Guests that flood their agent's channel or lie on it: their commands fail, the daemon's memory stays bounded, and
other VMs do not notice.  The agents are tests/lib/hostile_agent.py; nothing is booted.

With HOSTILE_VMM=firecracker their channel is its vsock, and there is more that a guest can do, or a VMM that one has taken over.
"""
import os
import subprocess
import sys
import time

import banger_session
from banger_session import BANGER, wait_for

GROWTH_KIB = 32 * 1024  # of the daemon's memory under any flood: a stream's buffers are bounded by 4 MiB each


def memory_kib(s):
    with open(f"/proc/{s.info()['pid']}/smaps_rollup", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def cpu_ticks(s):
    with open(f"/proc/{s.info()['pid']}/stat", encoding="ascii") as f:
        return sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:13])


def rests(s, name):
    return [l for l in s.log().splitlines() if f"actor=vm/{name} ev=agent.rest" in l]


def good_one(s):
    """The other VM: its commands give what they should, as ever."""
    if not any(v["spec"]["name"] == "good" for v in s.vms()):
        s.fake_guest(name="good")
    for i in range(5):
        p = s.run("exec", "good", "--", "sh", "-c", f"echo {i}; exit {i}", check=False)
        assert (p.returncode, p.stdout) == (i, f"{i}\n"), p


def guest(s, name, *more, check=True):
    good_one(s)
    return s.fake_guest(*more, name=name, check=check)


def rested(s, name):
    """It was told off, and is not heard: a second of its flood costs the daemon next to nothing."""
    wait_for(lambda: rests(s, name), f"{name} floods, and nothing is done about it")
    before, begun = cpu_ticks(s), time.monotonic()
    good_one(s)
    wait_for(lambda: time.monotonic() - begun > 1, "a second")
    assert cpu_ticks(s) - before < 60, "the daemon listens to the flood"
    s.run("vm", "delete", "-f", name)


def bounded(story):
    def run(s):
        good_one(s)
        before = memory_kib(s)
        story(s)
        good_one(s)
        after = memory_kib(s)
        assert after - before < GROWTH_KIB, f"{before} KiB, then {after}"
        print(f"# {story.__name__}: the daemon took {before} KiB, then {after}")
    run.__name__ = story.__name__
    return run


@bounded
def a_flood_of_anything_is_not_listened_to(s):
    for name in ("garbage", "markers", "events", "strays"):
        rested(s, guest(s, name))


@bounded
def a_guest_that_never_greets_is_given_up(s):
    for name in ("noise", "hellos"):
        p = subprocess.run([BANGER, "vm", "create", "--image", "none", "--kernel", "none", "--name", name,
                            "--timeout", "3s"], env=s.env, capture_output=True, text=True, check=False, timeout=60)
        assert p.returncode == 1 and "boot" in p.stderr, p
        assert rests(s, name), name
        s.run("vm", "delete", "-f", name)


@bounded
def who_says_more_than_was_granted_loses_its_commands(s):
    for name in ("beyond", "ends", "credits"):
        guest(s, name)
        p = s.run("exec", name, "--", "anything", check=False)
        assert p.returncode == 125 and ("stream 1: " in p.stderr or "stdin: " in p.stderr), p.stderr
        rested(s, name)


def a_result_that_is_none_fails_its_command(s):
    guest(s, "status")
    p = s.run("exec", "status", "--", "anything", check=False)
    assert p.returncode == 125 and "status" in p.stderr, p
    s.run("vm", "delete", "-f", "status")


@bounded
def output_in_crumbs_is_output(s):
    """Two million frames of one byte each, at once and to a client that reads only after a while."""
    guest(s, "crumbs")
    p = subprocess.run([BANGER, "exec", "crumbs", "--", "x"], env=s.env, capture_output=True, check=True, timeout=300)
    assert p.stdout == b"x" * (2 << 20)
    s.run("vm", "delete", "-f", "crumbs")
    guest(s, "crumbs-2")
    with subprocess.Popen([BANGER, "exec", "crumbs-2", "--", "x"], env=s.env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        os.read(p.stdout.fileno(), 1)
        good_one(s)  # meanwhile nobody reads
        out, err = p.communicate(timeout=300)
        assert (len(out) + 1, p.returncode) == (2 << 20, 0), err
    s.run("vm", "delete", "-f", "crumbs-2")


@bounded
def who_never_reads_gets_no_input(s):
    guest(s, "deaf")
    with subprocess.Popen([BANGER, "exec", "deaf", "--", "cat"], env=s.env, stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as p:
        os.set_blocking(p.stdin.fileno(), False)
        for _ in range(100):  # as much as is taken
            try:
                os.write(p.stdin.fileno(), b"x" * 65536)
            except BlockingIOError:
                break
        else:
            raise AssertionError("input goes where nobody granted credit")
        good_one(s)
        p.kill()
    for _ in range(40):  # requests that it never reads are refused at some time, not heaped up
        with subprocess.Popen([BANGER, "exec", "deaf", "--", "x" * 100000], env=s.env, stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as p:
            try:
                _, err = p.communicate(timeout=0.5)
                assert p.returncode == 125 and "does not read its channel" in err, (p.returncode, err)
                break
            except subprocess.TimeoutExpired:
                p.kill()
    else:
        raise AssertionError("forty requests of 100 KiB wait for an agent that does not read")
    s.run("vm", "delete", "-f", "deaf")


def an_agent_that_died_is_noticed(s):
    """The command fails at once, and the next one is run by the next agent."""
    guest(s, "dies")
    wait_for(lambda: time.time() * 1000 - s.json("vm", "show", "dies")["started_ms"] > 700, "an agent's usual age")
    p = s.run("exec", "dies", "--", "anything", check=False)
    assert p.returncode == 125 and "agent ended" in p.stderr, p
    wait_for(lambda: s.run("exec", "dies", "--", "echo", "again", check=False).stdout == "again\n", "no new agent")
    s.run("vm", "delete", "-f", "dies")


def what_is_printed_for_ever_is_not_kept_for_ever(s):
    """By the guest and by its VMM, who write their logs themselves: the end stays, the rest is given back, and lines are whole."""
    good_one(s)
    v = s.json("vm", "show", "good")
    for path, keep, which in ((v["console_log"], 4 << 20, ()), (v["vmm_log"], 64 << 10, ("--vmm",))):
        count = 3 * keep // 32
        with open(path, "ab") as f:
            f.write(b"\n" + b"".join(b"line %026d\n" % i for i in range(count)))
        wait_for(lambda: os.stat(path).st_blocks * 512 <= keep + 8192, f"{path} grows")
        with open(path, "ab") as f:
            f.write(b"the end\n")
        shown = s.run("vm", "logs", *which, "good").stdout.splitlines()
        first = int(shown[0].split()[1])
        assert shown == [f"line {i:026d}" for i in range(first, count)] + ["the end"], (shown[0], len(shown))
        assert keep - 8192 <= (count - first) * 32 <= keep + 8192, first
        assert s.run("vm", "logs", *which, "--tail", "2", "good").stdout == f"line {count - 1:026d}\nthe end\n"
        assert s.run("vm", "logs", *which, "--tail", str(count), "good").stdout.splitlines() == shown
    good_one(s)


# ---- over vsock ----

def descriptors(s):
    return len(os.listdir(f"/proc/{s.info()['pid']}/fd"))


def latency(s):
    """Of a command in the other VM: the median of some."""
    took = []
    for _ in range(9):
        begun = time.monotonic()
        s.run("exec", "good", "--", "true")
        took.append(time.monotonic() - begun)
    return sorted(took)[len(took) // 2]


RINGER = """
import socket, sys
rings, held = 0, []
while True:
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    rings += 1
    try:
        s.connect(sys.argv[1])
        s.send(b"x" * 4096)
        held.append(s)
    except OSError:
        s.close()
    for old in held[:-1000]:
        old.close()
    held = held[-1000:]
    if rings % 1000 == 0:
        print(rings, flush=True)
"""


@bounded
def ten_thousand_connections_of_a_guest(s):
    """It rings as fast as it can and lets go of nothing: somebody looks now and then, and the others do not notice."""
    name = guest(s, "ringer")
    rings = f"{s.runtime}/vm/{s.json('vm', 'show', name)['id']}/vsock_1024"
    quiet, open_before, begun = latency(s), descriptors(s), time.monotonic()
    ticks = cpu_ticks(s)
    with subprocess.Popen([sys.executable, "-c", RINGER, rings], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as p:
        while int(p.stdout.readline()) < 10000:
            pass
        loud, open_then = latency(s), descriptors(s)
        spent, took = (cpu_ticks(s) - ticks) / os.sysconf("SC_CLK_TCK"), time.monotonic() - begun
        p.kill()
    print(f"# a command elsewhere took {quiet * 1000:.1f} ms, then {loud * 1000:.1f} ms; the daemon {spent / took:.1%} of a processor")
    assert open_then - open_before < 100, f"{open_before} descriptors, then {open_then}"
    assert spent < 0.25 * took, f"{spent:.2f} s of a processor in {took:.2f} s"
    assert loud < 10 * quiet + 0.2, (quiet, loud)
    assert s.run("exec", name, "--", "echo", "here").stdout == "here\n"
    s.run("vm", "delete", "-f", name)


@bounded
def a_guest_that_is_never_put_through(s):
    """The VMM takes the daemon's call and says no more: the start is given up, and the stop does not wait."""
    good_one(s)
    s.how("mute")
    p = guest(s, "mute", "--timeout", "2s", check=False)
    s.how()
    assert "boot" in s.json("vm", "show", p)["failure"], s.json("vm", "show", p)
    s.run("vm", "delete", "-f", p)


@bounded
def a_vmm_that_babbles_is_hung_up_on(s):
    good_one(s)
    s.how("babble")
    name = guest(s, "babbler")
    s.how()
    wait_for(lambda: f"actor=vm/{name} ev=vmm.protocol" in s.log(), "the daemon listens to it")
    good_one(s)
    s.run("vm", "stop", name)
    assert s.json("vm", "show", name)["state"] == "stopped"
    s.run("vm", "delete", name)


def prepare(s):
    s.env["ASAN_OPTIONS"] = "quarantine_size_mb=1"  # what is freed is not held: it would count
    agent = os.path.join(os.path.dirname(os.path.abspath(banger_session.__file__)), "hostile_agent.py")
    if VSOCK:
        s.env["BANGER_VMM"] = "firecracker"
        s.fake_firecracker(agent)
    else:
        s.fake_vmm(agent)


VSOCK = os.environ.get("HOSTILE_VMM") == "firecracker"
if VSOCK and not os.access("/dev/kvm", os.R_OK | os.W_OK):
    print("1..0 # SKIP /dev/kvm may not be opened")
    sys.exit(77)


banger_session.main([a_flood_of_anything_is_not_listened_to, a_guest_that_never_greets_is_given_up,
                     who_says_more_than_was_granted_loses_its_commands, a_result_that_is_none_fails_its_command,
                     output_in_crumbs_is_output, who_never_reads_gets_no_input, an_agent_that_died_is_noticed,
                     what_is_printed_for_ever_is_not_kept_for_ever,
                     *([ten_thousand_connections_of_a_guest, a_guest_that_is_never_put_through,
                        a_vmm_that_babbles_is_hung_up_on] if VSOCK else [])], prepare=prepare)
