#!/usr/bin/env python3
"""A session's life, as a user types it: the daemon starts by itself, VMs come and go, crashes leave nothing.

Needs QEMU; the guests are probes, so no kernel and no image are fetched.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BANGER = os.environ["BANGER"]


class Session:
    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="banger-e2e-")
        os.chmod(self.top, 0o700)
        self.libexec = os.path.join(self.top, "libexec")
        os.mkdir(self.libexec)
        guest = os.environ["BANGER_GUEST_DIR"]
        for source in (os.environ["BANGER_IMAGER"], f"{guest}/banger-init", f"{guest}/banger-agent",
                       f"{guest}/probe/probe.elf"):
            if os.path.exists(source):
                os.symlink(source, os.path.join(self.libexec, os.path.basename(source)))
        self.env = dict(os.environ, BANGER_RUNTIME_DIR=f"{self.top}/run", BANGER_STATE_DIR=f"{self.top}/state",
                        BANGER_CACHE_DIR=f"{self.top}/cache", BANGER_LIBEXEC_DIR=self.libexec)

    def run(self, *args, check=True):
        p = subprocess.run([BANGER, *args], env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, timeout=120)
        if check and p.returncode != 0:
            raise AssertionError(f"banger {' '.join(args)}: {p.returncode}: {p.stderr}")
        return p

    def info(self):
        return json.loads(self.run("info", "--json").stdout)

    def vms(self):
        p = self.run("vm", "list", "-a", "--json").stdout
        rows = json.loads(p)
        return rows["vms"] if isinstance(rows, dict) else rows

    def processes(self):
        """VMMs whose command line names this session's directory."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if self.top.encode() in f.read() and int(pid) != os.getpid():
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def leftovers(self):
        files = []
        for d in ("run/vm", "state/vms", "state/staging"):
            p = os.path.join(self.top, d)
            files += [os.path.join(p, f) for f in os.listdir(p)] if os.path.isdir(p) else []
        return files

    def settled(self):
        """The states once recovery has ended: what is half done is being undone while we look."""
        deadline = time.monotonic() + 30
        while True:
            states = {v["state"] for v in self.vms()}
            if not states & {"creating", "starting", "stopping", "deleting"} or time.monotonic() > deadline:
                return states

    def kill_daemon(self):
        pid = self.info()["pid"]
        fd = os.pidfd_open(pid)
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        import select
        select.select([fd], [], [])
        os.close(fd)

    def close(self):
        self.run("vm", "delete", "--all", "-f", check=False)
        self.run("daemon", "stop", check=False)
        shutil.rmtree(self.top)


def null_vm_lives_and_goes(s):
    s.run("vm", "create", "--vmm", "null", "--name", "n1")
    assert [v["state"] for v in s.vms()] == ["running"]
    s.run("vm", "stop", "n1")
    assert [v["state"] for v in s.vms()] == ["stopped"]
    s.run("vm", "delete", "n1")
    assert s.vms() == []


def probe_comes_up_and_leaves_nothing(s):
    s.run("vm", "create", "--image", "probe", "--name", "p1")
    assert len(s.processes()) == 1
    s.run("vm", "delete", "-f", "p1")
    assert s.vms() == [] and s.processes() == [] and s.leftovers() == []


def ten_at_once(s):
    s.run("vm", "create", "-n", "10", "--image", "probe", "--name", "ten")
    assert sorted(v["spec"]["name"] for v in s.vms()) == sorted(f"ten-{i}" for i in range(1, 11))
    assert len(s.processes()) == 10
    s.run("vm", "delete", "--all", "-f")
    assert s.vms() == [] and s.processes() == [] and s.leftovers() == []


def same_op_id_is_one_vm(s):
    op = "01J9ZKQ5T0000000000000000A"
    first = s.run("vm", "create", "--vmm", "null", "--op-id", op, "--json")
    again = s.run("vm", "create", "--vmm", "null", "--op-id", op, "--json")
    assert first.stdout == again.stdout and len(s.vms()) == 1
    other = s.run("vm", "create", "--vmm", "null", "--name", "other", "--op-id", op, check=False)
    assert other.returncode != 0 and "op_id" in other.stderr, other.stderr
    s.run("vm", "delete", "--all", "-f")


def running_vm_survives_the_daemons_death(s):
    s.run("vm", "create", "--image", "probe", "--name", "p2")
    pid = s.vms()[0]["pid"]
    s.kill_daemon()
    after = s.vms()
    assert [(v["state"], v["pid"]) for v in after] == [("running", pid)], after
    s.run("vm", "delete", "-f", "p2")
    assert s.processes() == [] and s.leftovers() == []


def crash_in_the_middle_is_undone(s):
    p = subprocess.Popen([BANGER, "vm", "create", "-n", "6", "--image", "probe", "--name", "c"], env=s.env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    s.kill_daemon()
    p.communicate(timeout=60)
    states = s.settled()
    assert states <= {"running", "failed", "stopped", "created"}, states
    running = {v["pid"] for v in s.vms() if v["state"] == "running"}
    assert set(s.processes()) == running, (s.processes(), running)
    s.run("vm", "delete", "--all", "-f")
    assert s.vms() == [] and s.processes() == [] and s.leftovers() == []


def errors_say_what_to_do(s):
    p = s.run("vm", "start", "nobody", check=False)
    assert p.returncode != 0 and "nobody" in p.stderr, p.stderr
    p = s.run("vm", "create", "--image", "nothing", check=False)
    assert p.returncode != 0 and "nothing" in p.stderr, p.stderr


def main():
    if not shutil.which("qemu-system-x86_64"):
        print("1..0 # SKIP no QEMU")
        sys.exit(77)
    tests = [null_vm_lives_and_goes, probe_comes_up_and_leaves_nothing, ten_at_once, same_op_id_is_one_vm,
             running_vm_survives_the_daemons_death, crash_in_the_middle_is_undone, errors_say_what_to_do]
    print(f"1..{len(tests)}", flush=True)
    s = Session()
    failed = 0
    for i, t in enumerate(tests, 1):
        try:
            t(s)
            print(f"ok {i} - {t.__name__}", flush=True)
        except Exception as e:  # each test's story is its own
            failed += 1
            print(f"not ok {i} - {t.__name__}\n# {type(e).__name__}: {e}", flush=True)
            s.run("vm", "delete", "--all", "-f", check=False)
    s.close()
    sys.exit(1 if failed else 0)


main()
