#!/usr/bin/python3
"""Firecracker in system mode: probes in jails of the real root helper, in namespaces of their own; each story with a jail of our own and
with a jailer.

With stand-ins, or, where $REAL_FIRECRACKER (and $REAL_JAILER) name them, the real ones (scripts/test-firecracker).
Needs root and /dev/kvm.
"""
import json
import os
import re
import socket

import banger_session
from banger_jailed import OWNER, UID_FIRST, JailedSession, exit_of, in_namespaces
from banger_session import Skip, wait_for
from banger_vsock import JailedGuest
from harness import read_file

REAL = os.environ.get("REAL_FIRECRACKER")
FIRECRACKER = REAL or os.environ["FAKE_FIRECRACKER"]
JAILER = os.environ.get("REAL_JAILER") if REAL else os.environ["FAKE_JAILER"]
FLEET = 200 if REAL else 20
UP = "banger-probe: up\n"


def probe(s, name="p", *more, check=True):
    return s.run("vm", "create", "--image", "probe", "--name", name, *more, check=check)


def show(s, name):
    return s.json("vm", "show", name)


def api(s, name, method, path, body=None):
    """The VM's own API, through its jail: (status, what it said)."""
    text = json.dumps(body) if body else ""
    with socket.socket(socket.AF_UNIX) as c:
        c.settimeout(30)
        c.connect(f"{s.state}/jails/{show(s, name)['id']}/run/control.sock")
        c.sendall(f"{method} {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        head, _, rest = c.recv(65536).decode().partition("\r\n\r\n")
    return int(head.split()[1]), json.loads(rest) if rest else None


def a_probe_comes_up_and_leaves_nothing(s):
    probe(s)
    v = show(s, "p")
    assert (v["state"], v["vmm"], v["accel"]) == ("running", "firecracker", "kvm"), v
    assert s.run("vm", "logs", "p").stdout == UP
    s.run("vm", "delete", "-f", "p")
    s.nothing_left()


def its_jail_and_its_user_are_right(s):
    probe(s, "p", "-n", "2")
    rows = s.vms()
    uids = {int(v["pid"]): None for v in rows}
    for v in rows:
        pid, jail = v["pid"], f"{s.state}/jails/{v['id']}"
        status = dict(line.split(":\t", 1) for line in read_file(f"/proc/{pid}/status").splitlines() if ":\t" in line)
        uids[pid] = int(status["Uid"].split()[0])
        assert len(set(status["Uid"].split() + status["Gid"].split())) == 1 and status["Groups"].strip() == "", status
        assert status["NoNewPrivs"] == "1" and int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0, status
        assert status["NSpid"].split()[1:] == ["1"], status["NSpid"]
        assert read_file(f"/proc/{pid}/cgroup").rstrip().endswith(f"{s.group.rpartition('/')[2]}/{v['id']}")
        root = set(os.listdir(f"/proc/{pid}/root"))
        assert {"dev", "vm"} <= root and not root & {"home", "tmp", "etc", "proc", "var"}, root
        assert os.stat(f"/proc/{pid}/root/vm").st_ino == os.stat(jail).st_ino
        assert set(os.listdir(f"/proc/{pid}/root/dev")) >= {"kvm", "null"}
        assert os.stat(jail).st_uid == 0 and os.stat(f"{jail}/run").st_uid == uids[pid]
        assert read_file(f"/proc/{pid}/environ") == ""
    assert len(set(uids.values())) == 2 and min(uids.values()) >= UID_FIRST, uids
    s.clear()
    s.nothing_left()


def what_it_uses_is_told(s):
    probe(s)
    row = s.json("vm", "stats", "p", "--no-stream")[0]
    with open(f"/proc/{show(s, 'p')['pid']}/status", encoding="ascii") as f:
        held = next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS:"))
    assert held / 2 < row["rss_bytes"] < held * 2 and row["cpu_us"] > 0, (held, row)


def its_life_is_that_of_any_vm(s):
    probe(s)
    first = show(s, "p")["pid"]
    s.run("vm", "stop", "p")
    assert s.states() == ["stopped"] and s.processes() == []
    s.run("vm", "start", "p")
    s.run("vm", "restart", "p")
    assert s.states() == ["running"] and show(s, "p")["pid"] != first
    s.run("vm", "kill", "p")
    assert s.states() == ["stopped"] and show(s, "p")["exit_status"] == 137
    assert s.run("vm", "logs", "p").stdout == UP * 3
    s.run("vm", "delete", "p")
    s.nothing_left()


def it_is_paused_and_resumed(s):
    probe(s)
    for state, said in (("Paused", "Paused"), ("Resumed", "Running")):
        assert api(s, "p", "PATCH", "/vm", {"state": state})[0] == 204
        assert api(s, "p", "GET", "/")[1]["state"] == said
    s.run("vm", "delete", "-f", "p")


def many_at_once(s):
    probe(s, "many", "-n", str(FLEET))
    found = s.vmms()
    assert s.states() == ["running"] * FLEET and len(found) == FLEET and len(set(found.values())) == FLEET, found
    s.run("vm", "delete", "--all", "-f")
    s.nothing_left()


def killed(v, status=137):
    assert v["state"] == "failed" and v["failure"].startswith("the VMM was killed by signal 9") and v["exit_status"] == status, v


def its_death_is_noticed(s):
    """Its parent is the helper, which knows of what it died; also where no daemon ran then."""
    probe(s)
    os.kill(show(s, "p")["pid"], 9)
    wait_for(lambda: s.states() == ["failed"], "its death is not noticed")
    killed(show(s, "p"))
    s.run("vm", "start", "p")
    pid = show(s, "p")["pid"]
    s.end_daemon()
    os.kill(pid, 9)
    exit_of(pid)
    s.start_daemon()
    wait_for(lambda: s.states() == ["failed"], "what died meanwhile is not missed")
    killed(show(s, "p"))
    s.run("vm", "start", "p")
    s.kill_helper()
    os.kill(show(s, "p")["pid"], 9)  # the helper that has launched it is gone
    wait_for(lambda: s.states() == ["stopped"], "its death is not noticed")
    s.run("vm", "start", "p")
    s.run("vm", "delete", "-f", "p")
    s.nothing_left()


def it_outlives_daemon_and_helper_and_is_adopted(s):
    probe(s)
    pid = show(s, "p")["pid"]
    s.kill_daemon()
    assert (show(s, "p")["state"], show(s, "p")["pid"]) == ("running", pid)
    s.kill_helper()
    probe(s, "q")
    s.end_daemon()
    s.kill_helper()
    s.start_daemon()
    assert s.settled() == {"running"} and show(s, "p")["pid"] == pid
    s.end_daemon()
    os.kill(pid, 9)
    exit_of(pid)
    s.start_daemon()
    wait_for(lambda: "running" in s.states() != ["running"] * 2, "what died meanwhile is not missed", 20)
    s.run("vm", "delete", "--all", "-f")
    s.nothing_left()


def a_crash_in_the_middle_is_undone(s):
    for crash in (s.kill_daemon, s.kill_helper):
        p = s.start("vm", "create", "-n", "8", "--image", "probe", "--name", "c")
        wait_for(s.processes, "no VMM has started")
        crash()
        p.communicate(timeout=60)
        assert s.settled() <= {"running", "stopped", "failed", "created"}
        s.clear()
        s.nothing_left()


def what_it_refuses_reaches_the_user(s):
    """A kernel that is none."""
    path = f"{s.state}/probe.elf"
    kept = f"{s.top}/probe.elf"
    os.rename(path, kept)
    with open(path, "w", encoding="ascii") as f:
        f.write("no kernel")
    os.chmod(path, 0o644)
    os.chown(path, OWNER, OWNER)
    p = probe(s, check=False)
    os.rename(kept, path)
    if REAL:
        assert p.returncode != 0 and re.search("[Kk]ernel", p.stderr), p.stderr
    s.run("vm", "delete", "-f", "p")
    s.nothing_left()


# ---- guests with an agent, of the stand-in alone: no such guest that this host could be sure to run ----

def guest(s, *more):
    if REAL:
        raise Skip("no guest that this host could be sure to run")
    s.fake_image()
    g = JailedGuest(s)
    s.run("vm", "create", "--image", "none", "--kernel", "none", "--name", "g", "--timeout", "20s", *more)
    return g


def says(s, word):
    p = s.run("vm", "exec", "g", "--", "echo", word, check=False)
    return p.returncode == 0 and p.stdout == f"{word}\n"


def its_disk_is_a_copy_and_its_guest_answers(s):
    """Where there is no device-mapper; the file is the slot's while the jail is there."""
    assert "root disks by copy" in s.info()["helper"] or "root disks by reflink" in s.info()["helper"], s.info()
    guest(s, "--disk", "9G")
    row = show(s, "g")
    disk = f"{s.state}/vms/{row['id']}/disk.raw"
    assert says(s, "hello")
    st = os.stat(disk)
    assert (st.st_size, st.st_uid, st.st_nlink) == (9 << 30, s.vmms()[row["pid"]], 2), st
    assert st.st_blocks * 512 < 8 << 20, "sparse"
    s.run("vm", "stop", "g")
    assert (os.stat(disk).st_uid, os.stat(disk).st_nlink) == (OWNER, 1), "it is the owner's again"
    s.run("vm", "set", "g", "--disk", "10G")
    assert os.stat(disk).st_size == 10 << 30
    s.run("vm", "delete", "g")
    s.nothing_left()


def its_guest_is_heard_again_after_a_restart(s):
    """Its agent is called back when the daemon is there again; and one that began anew after that, too."""
    g = guest(s)
    for crash in (s.kill_daemon, s.kill_helper, s.kill_daemon):
        crash()
        wait_for(lambda: says(s, "again"), "no command runs")
    s.kill_daemon()
    wait_for(lambda: says(s, "again"), "no command runs")
    g.agents[-1].kill()
    g.ring()  # the socket is there again: else this is refused
    wait_for(lambda: says(s, "rung"), "no command runs")
    s.run("vm", "delete", "-f", "g")
    s.nothing_left()


def its_logs_are_cut_while_it_runs(s):
    """They are the slot's, so the helper does it."""
    guest(s)
    ident = show(s, "g")["id"]
    logs = {f"{s.state}/vms/{ident}/console.log": 4 << 20, f"{s.state}/jails/{ident}/vmm.log": 64 << 10}
    for path, keep in logs.items():
        assert os.stat(path).st_uid not in (0, OWNER), path
        with open(path, "ab") as f:
            f.write(b"it goes on and on\n" * (keep // 6))
    wait_for(lambda: all(os.stat(p).st_blocks * 512 <= 2 * keep for p, keep in logs.items()), "its logs are not cut", 20)
    assert all(os.stat(p).st_size > 2 * keep for p, keep in logs.items())
    assert s.run("vm", "logs", "g", "--tail", "1").stdout == "it goes on and on\n"
    s.run("vm", "delete", "-f", "g")
    s.nothing_left()


STORIES = [a_probe_comes_up_and_leaves_nothing, its_jail_and_its_user_are_right, what_it_uses_is_told, its_life_is_that_of_any_vm, it_is_paused_and_resumed,
           many_at_once, its_death_is_noticed, it_outlives_daemon_and_helper_and_is_adopted, a_crash_in_the_middle_is_undone,
           what_it_refuses_reaches_the_user, its_disk_is_a_copy_and_its_guest_answers, its_guest_is_heard_again_after_a_restart, its_logs_are_cut_while_it_runs]


def with_jail(jailer, story):
    def told():
        with JailedSession(FIRECRACKER, jailer) as s:
            story(s)
    told.__name__ = f"{'jailer' if jailer else 'own'}_{story.__name__}"
    return told


def main():
    in_namespaces()
    kinds = [None] + ([JAILER] if JAILER else [])
    banger_session.main([with_jail(kind, story) for kind in kinds for story in STORIES], shared=False)


main()
