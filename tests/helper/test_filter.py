#!/usr/bin/env python3
"""The filters of a build as users have it: a denied system call within an operation is the worker's death; the lists
hold what a run of every operation asks for, and nothing besides."""
import collections
import json
import os
import re
import select
import shutil
import signal
import subprocess

import jail
from harness import CALL, DEADLINE_S, DIE, OWNER, TAP, VM, Client, Place, Refused, children, main, read_file, run
from resolved import Bus

BRIDGE = {"bridge": "br-fc"}
VM_TAP = {"bridge": "br-fc", "slot": 3, "vm": VM}
NAT = {**VM_TAP, "address": "10.97.0.9"}
SLOTS = {"bridge": "br-fc", "first": 10, "count": 2}
PLAIN = os.environ["BANGERD_ROOT_PLAIN"]


class Plain(Place):
    def __init__(self):
        super().__init__(binary=PLAIN)


DENIED = {"open": 2, "mmap": 9, "brk": 12, "socket": 41, "fork": 57, "execve": 59, "kill": 62, "ptrace": 101, "prctl": 157,
          "mount": 165, "openat": 257, "unshare": 272, "io_uring_setup": 425, "openat2": 437}  # numbers of x86-64


def a_denied_call_within_an_operation_is_death(place):
    for name, number in DENIED.items():
        place.faults.plan(1, CALL + number)
        try:
            place.ask("ensure_bridge", **BRIDGE)
            raise AssertionError(f"{name} is allowed")
        except Refused as e:
            assert e.code == "helper.worker" and "system call" in e.message, f"{name}: {e}"
        place.faults.none()
        assert place.report() == {}


# ---- complete and minimal ----

def block(place):
    """Every operation on block devices; they are the whole machine's, so in the test VM alone."""
    for path in ("images/base", "images/disk", f"vms/{VM}/rootfs.cow"):
        path = os.path.join(place.top, "state", path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.truncate(8 << 20)
        os.chown(path, OWNER, OWNER)
    run("mke2fs", "-q", "-F", "-t", "ext4", os.path.join(place.top, "state/images/disk"))
    for _ in range(2):
        view = place.ask("create_dm_snapshot", vm=VM, base="base")
    run("mke2fs", "-q", "-F", "-t", "ext4", view["device"])
    files = [{"path": path, "data": b"x" * 60000} for path in ("/etc/one", "/etc/two")]
    for image in (view["device"], "images/disk"):
        for _ in range(2):
            place.ask("write_ext4_files", image=image, files=files)
            place.ask("read_ext4_file", image=image, path="/etc/one")
    place.ask("fsck_snapshot", device=view["device"])
    run("debugfs", "-w", "-R", "clri /etc/two", view["device"])
    assert place.ask("fsck_snapshot", device=view["device"])["corrected"]
    place.ask("host_report.block")
    place.ask("cleanup_dm_snapshot", **{k: view[k] for k in ("name", "device", "base_loop", "cow_loop")})
    place.ask("remove_dm_snapshot", device=view["name"])


def jails(place):
    """Every operation of `jail`, on files that are there and on what is not."""
    whole = {**jail.RUN, **jail.PARTS, "agent_socket": True, "run": True, "console_stdio": True, "listener": "agent.sock"}
    heard = {**whole, "console_socket": True, "console": ""}
    ahead = {"first": jail.SLOT, "count": 2, "run": True, "console_stdio": True}
    place.ask("prepare_slots.jail", **ahead)
    for ask in (heard, whole):
        place.away()
        for _ in range(2):
            _, fds = place.launch(**ask)
            jail.told(fds[1], "bind /vm/run/api.sock")
            for fd in fds:
                os.close(fd)
    for method, more in (("ensure_socket_access", {"socket": "api.sock"}), ("find_vmm", {"listener": "agent.sock"})):
        place.ask(method, **jail.ID, **more)
        for fd in place.client.take_fds():
            os.close(fd)
    place.ask("signal_vmm", **jail.ID, signal=signal.SIGCONT)
    with open(f"{place.jails}/{jail.VM}/vmm.log", "ab") as f:
        f.write(bytes(64 << 10))
    place.ask("trim_logs", **jail.ID, console_keep=4096, log_keep=4096)
    place.ask("host_report.jail")
    place.away()
    place.ask("release_slots.jail", **ahead)


def everything(place):
    """Every operation."""
    ask = place.ask
    ask("ensure_bridge", **BRIDGE)
    ask("create_tap", **VM_TAP)
    ask("create_tap", **VM_TAP, descriptor=True)
    os.close(*place.client.take_fds())
    ask("ensure_nat", **NAT)
    ask("prepare_slots.net", **SLOTS)
    ask("sync_resolver_routing", **BRIDGE, server="127.0.0.1:42069")
    ask("clear_resolver_routing", **BRIDGE)
    ask("host_report.net")
    jails(place)
    ask("remove_nat", **NAT)
    ask("release_slots.net", **SLOTS)
    ask("delete_tap", **VM_TAP)
    ask("remove_bridge", **BRIDGE)


LINE = re.compile(r"^(\d+) +(\w+)\(([^,)]*)(?:, (\w+))?")
FILTER = re.compile(r"seccomp\(SECCOMP_SET_MODE_FILTER, .*\{len=")


CLONE = re.compile(r"^(\d+) +(?:<\.\.\. )?clone\b.* = (\d+)$", re.M)


def traced(path):
    """{pid: {call}} of what each process asked for once it was confined, and of what before."""
    asked, before, confined = collections.defaultdict(set), collections.defaultdict(set), set()
    for line in read_file(path).splitlines():
        m = LINE.match(line)
        if not m:
            continue
        pid, call, first, second = int(m[1]), *m.groups()[1:]
        where = asked if pid in confined else before
        where[pid] |= {f"ioctl {second}" if call == "ioctl" else call, f"{call}:{first}"}
        if FILTER.search(line):
            confined.add(pid)
    return asked, before


def tools_asked(path, tools, asked, before):
    """{role: {call}} of the tools and their children, which are under their parent's filter until they have their own."""
    used = {"tools": set().union(*(asked[pid] for pid in tools)), "ext4": set(), "fsck": set()}
    for parent, child in CLONE.findall(read_file(path)):
        if int(parent) in tools:
            used["tools"] |= before[int(child)]
            used["fsck" if "execve" in asked[int(child)] else "ext4"] |= asked[int(child)]
    return used


def the_lists_are_complete_and_minimal():
    trace = os.path.join("/run", "trace")
    with Bus():
        place = jail.Jail(binary=PLAIN, prefix=["strace", "-f", "-o", trace])
        workers = {name: pid for name, pid in place.helper.workers().items()}
        workers["supervisor"] = place.helper.main_pid()
        tools = children(workers["block"])
        everything(place)
        if os.environ.get("BANGER_TEST_VM"):
            block(place)
        # What only a supervisor's later days bring: a successor, a stranger, a timeout.
        place.faults.plan(1, DIE)
        try:
            place.ask("ensure_bridge", **BRIDGE)
        except Refused:
            place.faults.none()
        for name, pid in place.helper.workers().items():
            if pid == workers[name]:
                os.kill(pid, signal.SIGKILL)
        while len(now := place.helper.workers()) < len(workers) - 1 or any(now[n] == workers[n] for n in now):
            select.select([], [], [], 0.01)
        everything(place)
        os.chmod(place.helper.path, 0o666)
        Client(place.helper.path).close()
        successors = place.helper.workers()
        tools += children(successors["block"])
        idle = {name for name in successors if f"actor=helper/{name} ev=request" not in place.helper.log()}
        place.close()
    asked, before = traced(trace)
    every = {name: asked[pid] | asked[successors.get(name)] for name, pid in workers.items()}
    if "block" not in idle:
        every |= tools_asked(trace, tools, asked, before)
    with open(os.environ["BANGER_FILTERS"], encoding="utf-8") as f:
        lists = json.load(f)
    wrong = []
    for name, used in every.items():
        rows = {**lists[name]["syscalls"], **{f"ioctl {k}": rare for k, rare in lists[name]["ioctls"].items()}}
        never = sorted(row for row, rare in rows.items() if not rare and row not in used)
        if never and name not in idle:
            wrong.append(f"{name} never asked for {' '.join(never)}")
        unknown = sorted(c for c in used if ":" not in c and c not in rows and not any(r.startswith(c + ":") for r in rows))
        if unknown:
            wrong.append(f"{name} asked for {' '.join(unknown)}, which it may not")
        if not used:
            wrong.append(f"{name} was not traced")
    assert not wrong, "; ".join(wrong)


def need(program):
    if not shutil.which(program):
        print(f"1..0 # SKIP no {program}")
        raise SystemExit(77)


need("strace")
main([a_denied_call_within_an_operation_is_death, the_lists_are_complete_and_minimal], Plain)
