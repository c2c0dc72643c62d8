#!/usr/bin/env python3
"""Limits of VMs by control groups, in the test VM: a kernel with cgroup v2, as root, with nothing to lose."""
import os
import signal
import subprocess
import sys

import banger_session
from banger_session import wait_for

TOP = "/sys/fs/cgroup"
MIB = 1 << 20
USER = 1000

# What a VMM should not do: it leaves a process of its own behind that nobody else knows, in the same group.
LITTERBUG = """#!/bin/sh
setsid sleep 1000 </dev/null >/dev/null 2>&1 &
exec qemu-system-x86_64 "$@"
"""

GREEDY = """#!/bin/sh
exec {python} -c 'b = bytearray({mib} << 20)
for i in range(0, len(b), 4096): b[i] = 1'
"""


def get(group, name):
    with open(f"{group}/{name}", encoding="ascii") as f:
        return f.read().strip()


def put(group, name, text):
    with open(f"{group}/{name}", "w", encoding="ascii") as f:
        f.write(str(text))


def groups(root):
    return sorted(d for d in os.listdir(root) if d.startswith("bg-"))


def group_of(pid):
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as f:
        return TOP + f.read().strip().split("::")[1]


def processes(group):
    return [int(p) for p in get(group, "cgroup.procs").split()]


def vmm_script(s, text):
    path = f"{s.top}/vmm"
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, 0o755)
    s.env["BANGER_QEMU"] = path


class Limited(banger_session.Session):
    """VMs in a group that the settings name."""

    def __init__(self):
        super().__init__()
        self.root = f"{TOP}/{os.path.basename(self.top)}"
        self.env.update(BANGER_CGROUP=self.root, BANGER_ACCEL="tcg")

    def close(self):
        super().close()
        assert groups(self.root) == [], groups(self.root)
        os.rmdir(self.root)


def a_vm_is_born_in_a_group_with_its_limits():
    with Limited() as s:
        assert s.info()["limits"] == f"memory, cpu, pids of each VM, in {s.root}", s.info()["limits"]
        s.run("vm", "create", "--image", "probe", "--name", "a")
        vm = s.json("vm", "show", "a")
        group = group_of(vm["pid"])
        assert os.path.dirname(group) == s.root and os.path.basename(group).startswith(f"bg-{vm['id']}."), group
        assert processes(group) == [vm["pid"]], processes(group)
        # 16 MiB of guest, and what the driver says a VMM needs: 128 + 16 + 256 + 1.
        assert int(get(group, "memory.max")) == 417 * MIB, get(group, "memory.max")
        assert get(group, "memory.oom.group") == "1" and get(group, "cpu.max") == "125000 100000"
        assert get(group, "pids.max") == "129"
        assert "PASS  limits" in s.run("doctor", check=False).stdout
        s.run("vm", "stop", "a")
        assert groups(s.root) == []
        s.run("vm", "start", "a")
        assert len(groups(s.root)) == 1
        s.run("vm", "delete", "-f", "a")


def a_whole_fleet_comes_and_goes():
    with Limited() as s:
        s.run("vm", "create", "-n", "6", "--image", "probe", deadline=300)
        assert len(groups(s.root)) == 6
        s.run("vm", "delete", "--all", "-f")
        assert groups(s.root) == []


def what_a_vmm_leaves_behind_is_killed_with_its_group():
    with Limited() as s:
        vmm_script(s, LITTERBUG)
        s.run("vm", "create", "--image", "probe", "--name", "a")
        pid = s.json("vm", "show", "a")["pid"]
        stray = [p for p in processes(group_of(pid)) if p != pid]
        assert len(stray) == 1, stray
        fd = os.pidfd_open(stray[0])
        s.run("vm", "stop", "a")
        assert groups(s.root) == []
        os.close(fd)
        wait_for(lambda: not os.path.exists(f"/proc/{stray[0]}") or "State:\tZ" in open(f"/proc/{stray[0]}/status").read(),
                 "the stray process lives")


def a_vmm_that_wants_more_than_its_limit_is_killed_and_the_vm_says_why():
    with Limited() as s:
        vmm_script(s, GREEDY.format(python=sys.executable, mib=600))
        p = s.run("vm", "create", "--image", "probe", "--name", "a", check=False)
        assert p.returncode == 1 and "used up its memory.max" in p.stderr, p
        assert s.states() == ["failed"] and groups(s.root) == []


def groups_are_found_again_after_a_crash():
    with Limited() as s:
        s.run("vm", "create", "-n", "2", "--image", "probe", "--name", "a")
        pids = [v["pid"] for v in s.vms()]
        s.kill_daemon()
        os.kill(pids[0], signal.SIGKILL)
        # The next one is told to keep its VMs elsewhere: what there is stays where it is.
        elsewhere = f"{s.root}-2"
        s.env["BANGER_CGROUP"] = elsewhere
        assert s.settled() == {"stopped", "running"}
        assert [group_of(pids[1])] == [f"{s.root}/{g}" for g in groups(s.root)]
        s.run("vm", "start", "--all")
        assert len(groups(s.root)) == len(groups(elsewhere)) == 1
        s.run("vm", "delete", "--all", "-f")
        assert groups(s.root) == groups(elsewhere) == []
        s.run("daemon", "stop")
        os.rmdir(elsewhere)


def what_cannot_be_used_is_said_and_not_passed_over():
    with Limited() as s:
        s.run("daemon", "stop", check=False)
        os.mkdir(f"{s.root}-plain")  # its parent gives it no controllers below this one
        s.env["BANGER_CGROUP"] = f"{s.root}-plain/x"
        p = s.run("info", check=False)
        assert p.returncode != 0 and "has no controllers" in p.stderr + s.log(), p
        s.env["BANGER_CGROUP"] = "none"
        assert s.info()["limits"] == "none: as configured"
        s.run("vm", "create", "--image", "probe", "--name", "a")
        assert groups(f"{s.root}-plain") == []
        assert "WARN  limits" in s.run("doctor", check=False).stdout
        s.run("vm", "delete", "--all", "-f")
        s.run("daemon", "stop")
        os.rmdir(f"{s.root}-plain/x")
        os.rmdir(f"{s.root}-plain")
        os.mkdir(s.root)


def step_fails_when_the_group_cannot_be_made():
    with Limited() as s:
        s.info()
        put(s.root, "cgroup.max.descendants", 0)
        p = s.run("vm", "create", "--image", "probe", "--name", "a", check=False)
        assert p.returncode == 1 and "mkdir" in p.stderr and s.root in p.stderr, p
        assert s.states() == ["failed"] and s.processes() == []
        put(s.root, "cgroup.max.descendants", "max")
        s.run("vm", "start", "a")


class Delegated(banger_session.Session):
    """An ordinary user's, in a group of their own; `marked` as systemd marks what it delegates."""

    def __init__(self, marked):
        super().__init__()
        self.root = f"{TOP}/{os.path.basename(self.top)}"
        os.mkdir(self.root)
        if marked:
            os.setxattr(self.root, "user.delegate", b"1")
        for path in [self.root] + [f"{self.root}/{f}" for f in ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")]:
            os.chown(path, USER, USER)
        for top, dirs, files in os.walk(self.top):
            for path in [top] + [os.path.join(top, f) for f in dirs + files]:
                os.chown(path, USER, USER, follow_symlinks=False)
        self.env.update(BANGER_ACCEL="tcg", HOME=self.top)
        self.neighbour = None

    def run(self, *args, **more):
        inside = ["sh", "-c", f'echo $$ > {self.root}/"$0" && exec setpriv --reuid {USER} --regid {USER} --clear-groups "$@"',
                  self.door()]
        return super().run(*args, wrap=inside, **more)

    def door(self):
        """Once a group has limited children, who comes later comes in beside the daemon."""
        return "daemon/cgroup.procs" if os.path.isdir(f"{self.root}/daemon") else "cgroup.procs"

    def close(self):
        super().close()
        assert groups(self.root) == []
        if os.path.isdir(f"{self.root}/daemon"):
            wait_for(lambda: processes(f"{self.root}/daemon") == [], "the daemon's group is in use")
            os.rmdir(f"{self.root}/daemon")
        wait_for(lambda: processes(self.root) == [], "the group is in use")
        os.rmdir(self.root)


def an_ordinary_user_has_limits_where_a_group_is_delegated():
    with Delegated(marked=True) as s:
        info = s.info()
        assert info["limits"] == f"memory, cpu, pids of each VM, in {s.root}", info["limits"]
        assert group_of(info["pid"]) == f"{s.root}/daemon"
        s.run("vm", "create", "--image", "probe", "--name", "a")
        pid = s.json("vm", "show", "a")["pid"]
        assert os.path.dirname(group_of(pid)) == s.root and os.stat(f"/proc/{pid}").st_uid == USER
        s.run("daemon", "stop")  # and the next one begins in the group that the first has made for itself
        assert s.info()["limits"] == info["limits"]
        s.run("vm", "delete", "-f", "a")


def a_group_that_is_shared_is_left_alone():
    with Delegated(marked=False) as s:
        with subprocess.Popen(["sleep", "1000"]) as neighbour:
            put(s.root, "cgroup.procs", neighbour.pid)
            limits = s.info()["limits"]
            assert limits.startswith("none: ") and "busy" in limits, limits
            assert processes(s.root).count(neighbour.pid) == 1
            s.run("vm", "create", "--image", "probe", "--name", "a")
            assert groups(s.root) == []
            s.run("vm", "delete", "-f", "a")
            neighbour.kill()


if os.environ.get("BANGER_TEST_VM") != "1":
    print("1..0 # SKIP only inside scripts/test-vm")
    sys.exit(77)
banger_session.needs_qemu()
put(TOP, "cgroup.subtree_control", "+memory +cpu +pids")
banger_session.main([a_vm_is_born_in_a_group_with_its_limits, a_whole_fleet_comes_and_goes,
                     what_a_vmm_leaves_behind_is_killed_with_its_group,
                     a_vmm_that_wants_more_than_its_limit_is_killed_and_the_vm_says_why,
                     groups_are_found_again_after_a_crash, what_cannot_be_used_is_said_and_not_passed_over,
                     step_fails_when_the_group_cannot_be_made,
                     an_ordinary_user_has_limits_where_a_group_is_delegated, a_group_that_is_shared_is_left_alone],
                    shared=False)
