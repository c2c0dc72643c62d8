#!/usr/bin/env python3
"""VMs on Firecracker, as a user has them: without root, chosen or asked for, adopted after a crash; and what it refuses.

With fake_firecracker.py, or, where $REAL_FIRECRACKER names one, the real Firecracker (scripts/test-firecracker): the same stories, but for
those that need a guest with an operating system, which a nested host may not run.  Needs /dev/kvm.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import banger_session
from banger_net import ADDRESS, Guest, Net
from banger_session import Skip, Session, wait_for

REAL = os.environ.get("REAL_FIRECRACKER")
FLEET = 200 if REAL else 10


class FirecrackerSession(Session):
    def __init__(self):
        super().__init__()
        if REAL:
            self.env["BANGER_FIRECRACKER"] = REAL
        else:
            self.fake_firecracker()

    def how(self, text=""):
        if REAL:
            raise Skip("only the fake one does that when it is told to")
        super().how(text)

    def restart(self, **env):
        """The daemon, which looks for VMMs when it starts."""
        self.run("daemon", "stop")
        self.env.update(env)

    def probe(self, name="p", *more, check=True):
        return self.run("vm", "create", "--vmm", "firecracker", "--image", "probe", "--name", name, *more, check=check)

    def guest(self, name="g", *more):
        if REAL:
            raise Skip("no guest that this host could be sure to run")
        self.fake_image()
        self.run("vm", "create", "--vmm", "firecracker", "--image", "none", "--kernel", "none", "--name", name, *more)
        return name

    def show(self, name):
        return self.json("vm", "show", name)

    def kill_agent(self, name):
        pid = self.show(name)["pid"]
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            os.kill(int(f.read()), 9)

    def calls(self, name):
        """How often an agent of a VM of that name has answered."""
        return self.log().count(f"actor=vm/{name} ev=agent.up")

    def ask(self, name, method, path, body=None):
        """The VM's own API: (status, what it said)."""
        text = "" if body is None else json.dumps(body)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(f"{self.runtime}/vm/{self.show(name)['id']}/control.sock")
            s.sendall(f"{method} {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
                      if text else f"{method} {path} HTTP/1.1\r\n\r\n".encode())
            head, _, rest = s.recv(65536).decode().partition("\r\n\r\n")
        return int(head.split()[1]), json.loads(rest) if rest else None


def a_probe_comes_up_and_leaves_nothing(s):
    s.probe()
    v = s.show("p")
    assert (v["state"], v["vmm"], v["accel"]) == ("running", "firecracker", "kvm"), v
    assert s.run("vm", "logs", "p").stdout == "banger-probe: up\n"
    assert len(s.processes()) == 1
    s.run("vm", "delete", "-f", "p")
    s.nothing_left()


def its_life_is_that_of_any_vm(s):
    s.probe()
    first = s.show("p")["pid"]
    s.run("vm", "stop", "p")
    assert s.states() == ["stopped"] and s.processes() == []
    s.run("vm", "start", "p")
    s.run("vm", "restart", "p")
    assert s.states() == ["running"] and s.show("p")["pid"] != first
    s.run("vm", "kill", "p")
    assert s.states() == ["stopped"]
    assert s.run("vm", "logs", "p").stdout == "banger-probe: up\n" * 3
    s.run("vm", "delete", "p")


def many_at_once(s):
    s.probe("many", "-n", str(FLEET))
    assert s.states() == ["running"] * FLEET and len(s.processes()) == FLEET
    s.run("vm", "delete", "--all", "-f")
    s.nothing_left()


def it_outlives_the_daemon_and_is_adopted(s):
    s.probe()
    pid = s.show("p")["pid"]
    s.kill_daemon()
    assert (s.show("p")["state"], s.show("p")["pid"]) == ("running", pid)
    os.kill(pid, 9)
    wait_for(lambda: s.states() != ["running"], "the end of an adopted VMM is not noticed")
    s.run("vm", "delete", "-f", "p")
    s.nothing_left()


def a_crash_in_the_middle_is_undone(s):
    p = s.start("vm", "create", "-n", "6", "--vmm", "firecracker", "--image", "probe", "--name", "c")
    s.kill_daemon()
    p.communicate(timeout=60)
    assert s.settled() <= {"running", "stopped", "failed", "created"}
    s.clear()
    s.nothing_left()


def what_it_refuses_reaches_the_user(s):
    os.rename(f"{s.libexec}/probe.elf", f"{s.libexec}/away")
    p = s.probe(check=False)
    os.rename(f"{s.libexec}/away", f"{s.libexec}/probe.elf")
    assert p.returncode != 0, p
    assert re.search(r"The kernel file cannot be opened: No such file or directory", p.stderr), p.stderr
    assert s.states() == ["failed"]
    assert "cannot be opened" in s.run("vm", "logs", "--vmm", "p").stdout
    s.run("vm", "start", "p")
    s.run("vm", "delete", "-f", "p")


def a_kernel_that_is_none_is_refused(s):
    os.rename(f"{s.libexec}/probe.elf", f"{s.libexec}/away")
    with open(f"{s.libexec}/probe.elf", "wb") as f:
        f.write(b"no ELF at all" * 1000)
    p = s.probe(check=False)
    os.rename(f"{s.libexec}/away", f"{s.libexec}/probe.elf")
    assert p.returncode != 0 and "status 1: Kernel Loader: failed to load ELF kernel image: Kernel Loader: Invalid Elf magic number" in p.stderr, p.stderr
    assert s.states() == ["failed"]
    s.run("vm", "delete", "-f", "p")
    s.nothing_left()


def a_disk_that_is_gone_is_named(s):
    s.fake_image()
    s.run("vm", "create", "--vmm", "firecracker", "--image", "none", "--kernel", "none", "--name", "d", "--no-start")
    disk = f"{s.state}/vms/{s.show('d')['id']}/disk.ext4"
    os.unlink(disk)
    p = s.run("vm", "start", "d", check=False)
    assert p.returncode != 0 and re.search("Error manipulating the backing file: No such file or directory.*disk.ext4", p.stderr), p.stderr
    assert s.states() == ["failed"] and s.processes() == []
    s.run("vm", "delete", "-f", "d")
    s.nothing_left()


def without_kvm_it_says_so(s):
    if not REAL:
        raise Skip("the fake one needs none")
    was = s.env["BANGER_FIRECRACKER"]
    s.restart(BANGER_FIRECRACKER=s.script("no-kvm", f'exec unshare -m sh -c \'mount --bind /dev/null /dev/kvm && exec "$0" "$@"\' {was} "$@"'))
    p = s.probe(check=False)
    assert p.returncode != 0 and re.search("KVM", p.stderr), p.stderr
    s.run("vm", "delete", "-f", "p", check=False)
    s.restart(BANGER_FIRECRACKER=was)


def a_directory_too_deep_for_its_sockets_is_named(s):
    was = s.env["BANGER_RUNTIME_DIR"]
    s.restart(BANGER_RUNTIME_DIR=f"{s.top}/".ljust(88, "x"))  # the daemon's own socket has its place there
    p = s.probe(check=False)
    s.run("vm", "delete", "-f", "p", check=False)
    s.restart(BANGER_RUNTIME_DIR=was)
    assert p.returncode != 0 and "at most 107 bytes" in p.stderr and "the runtime directory is too deep" in p.stderr, p.stderr


def its_disks_move_what_they_may(s):
    """Whatever becomes of the guest: the VMM has the limits that were asked for, and nobody else is promised any."""
    s.fake_image()
    p = s.start("vm", "create", "--vmm", "firecracker", "--image", "none", "--kernel", "none", "--name", "l", "--timeout", "20s",
                "--disk-rate", "100M", "--disk-iops", "2000")
    wait_for(lambda: s.vms() and os.path.exists(f"{s.runtime}/vm/{s.show('l')['id']}/control.sock"), "it does not start")
    spec, drives = s.show("l")["spec"], s.ask("l", "GET", "/vm/config")[1]["drives"]
    status, memory = s.ask("l", "GET", "/balloon/statistics")  # of a guest whose driver has said nothing, or what a driver says
    assert status == 200 and set(memory) >= {"target_pages", "actual_pages", "target_mib", "actual_mib"}, memory
    s.run("vm", "delete", "-f", "l")
    p.communicate(timeout=60)
    assert (spec["disk_rate"], spec["disk_iops"]) == (100 << 20, 2000), spec
    assert len(drives) == 2
    for drive in drives:
        limits = drive["rate_limiter"]
        assert (limits["bandwidth"]["size"], limits["bandwidth"]["refill_time"]) == (100 << 20, 1000), drive
        assert (limits["ops"]["size"], limits["ops"]["refill_time"]) == (2000, 1000), drive
    for limit, words in ((("--disk-rate", "1M"), 'disk_rate: image "probe" has no disk'), (("--net-rate", "1M"), "net_rate: only Firecracker"),
                         (("--disk-rate", "0"), "--disk-rate"), (("--disk-iops", "-1"), "--disk-iops")):
        q = s.probe("q", *limit, check=False)
        assert q.returncode != 0 and words in q.stderr, q.stderr
    s.nothing_left()


def the_command_line_names_the_vm_and_its_daemon(s):
    s.probe()
    v = s.show("p")
    with open(f"/proc/{v['pid']}/cmdline", encoding="utf-8") as f:
        words = f.read().split("\0")
    assert words[words.index("--id") + 1] == v["id"], words
    assert re.fullmatch(rf"process=bg-{v['id']}\.[0-9a-z]{{12}}", words[words.index("--") + 1]), words
    s.run("vm", "delete", "-f", "p")


def its_api_says_what_is_published(s):
    """Of both, the fake one and the real one: so they are alike where it counts."""
    s.probe()
    late = "The requested operation is not supported after starting the microVM."
    status, who = s.ask("p", "GET", "/")
    assert (status, who["id"], who["state"], who["app_name"]) == (200, s.show("p")["id"], "Running", "Firecracker"), who
    assert s.ask("p", "GET", "/version") == (200, {"firecracker_version": who["vmm_version"]})
    assert s.ask("p", "PATCH", "/vm", {"state": "Paused"}) == (204, None)
    assert s.ask("p", "GET", "/")[1]["state"] == "Paused"
    assert s.ask("p", "PATCH", "/vm", {"state": "Resumed"}) == (204, None)
    assert s.ask("p", "GET", "/")[1]["state"] == "Running"
    for method, path, body, words in (
            ("PATCH", "/vm", {"state": "Gone"}, "unknown variant `Gone`, expected `Paused` or `Resumed`"),
            ("PUT", "/actions", {"action_type": "InstanceStart"}, late),
            ("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 16}, late),
            ("PATCH", "/drives/nix", {"drive_id": "nix", "rate_limiter": {"ops": {"size": 1, "refill_time": 1000}}},
             "Drive config error: Unable to patch the block device: Failed perform action on device: Device not found"),
            ("PATCH", "/drives/nix", {"drive_id": "root"}, "The id from the path does not match the id from the body!"),
            ("PATCH", "/drives/nix", {"drive_id": "nix", "x": 1}, "unknown field `x`, expected one of `drive_id`, `path_on_host`, `rate_limiter`"),
            ("PATCH", "/drives/nix", {"drive_id": "nix", "rate_limiter": {"ops": {"size": 1}}}, "missing field `refill_time`"),
            ("PATCH", "/network-interfaces/eth0", {"iface_id": "eth0"}, "Network config error: Unable to update the net device"),
            ("PATCH", "/network-interfaces/eth0", {"iface_id": "eth1"}, "The id from the path [eth0] does not match the id from the body [eth1]!"),
            ("GET", "/balloon/statistics", None, "Failed perform action on device: Device not found"),
            ("GET", "/nothing", None, "Invalid request method and/or path: GET nothing.")):
        status, said = s.ask("p", method, path, body)
        assert status == 400 and words in said["fault_message"], (method, path, status, said)
    s.run("vm", "delete", "-f", "p")


def versions_that_do_not_work_are_refused_and_not_chosen(s):
    was = s.env["BANGER_FIRECRACKER"]
    for said, words in (("Firecracker v1.16.0", "firecracker 1.16.0 is known to be bad"),
                        ("Firecracker v1.4.1", "1.4.1 is none of those that work: 1.5 to 1.16"),
                        ("hello", "--version says nothing that we know: hello")):
        s.restart(BANGER_FIRECRACKER=s.script("other", f"echo '{said}'"))
        p = s.probe(check=False)
        assert p.returncode != 0 and words in p.stderr and "Install a Firecracker" in p.stderr, p.stderr
        assert words in s.info()["vmm_reason"], s.info()
        assert s.info()["vmm"] == "qemu", s.info()
    s.restart(BANGER_FIRECRACKER=f"{s.top}/absent")
    p = s.probe(check=False)
    assert p.returncode != 0 and "absent: No such file or directory" in p.stderr, p.stderr
    s.restart(BANGER_FIRECRACKER=was)


def it_is_chosen_where_it_has_all_that_is_needed(s):
    s.run("vm", "create", "--image", "probe", "--name", "chosen")
    assert s.show("chosen")["vmm"] == "firecracker"
    s.run("vm", "delete", "-f", "chosen")
    assert s.info()["vmm"] == "qemu" and "KVM" in s.info()["vmm_reason"], s.info()
    p = s.probe("p", "--publish", "8080:80", check=False)
    assert p.returncode != 0 and "publish: a probe" in p.stderr, p.stderr
    s.restart(BANGER_NETWORK="passt")
    assert "passt, which is for QEMU" in s.info()["vmm_reason"], s.info()
    del s.env["BANGER_NETWORK"]
    s.restart(BANGER_VMM="qemu")
    assert (s.info()["vmm"], s.info()["vmm_reason"]) == ("qemu", "as configured")
    del s.env["BANGER_VMM"]
    s.restart()


def without_qemu_it_is_what_times_kvm(s):
    qemu = shutil.which("qemu-system-x86_64", path="/usr/local/bin:/usr/bin:/bin")
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        raise Skip("no private mount namespace")
    hidden = ["unshare", "-m", "sh", "-c", f'{f"mount --bind /dev/null {qemu} && " if qemu else ""}exec "$@"', "sh"]
    s.run("daemon", "stop")
    s.run("daemon", "start", wrap=hidden)
    rows = s.run("doctor", wrap=hidden, check=False).stdout  # which has it timed
    assert re.search("PASS +qemu +not in PATH: Firecracker runs all VMs", rows), rows
    i = s.info()
    assert (i["accel"], i["probe_accel"]) == ("kvm", "kvm") and re.search(r"KVM.*[0-9.]+ m?s.* for a loop", i["accel_reason"]), i
    assert (i["vmm"], i["vmm_reason"]) == ("firecracker", "firecracker is here, and QEMU is not"), i
    s.run("vm", "create", "--image", "probe", "--name", "p")
    assert s.show("p")["vmm"] == "firecracker"
    s.run("vm", "delete", "-f", "p")
    s.nothing_left()
    s.restart()


def doctor_says_which_and_why(s):
    s.info()  # starts the daemon
    rows = s.run("doctor", check=False).stdout
    assert re.search(r"firecracker +.*Firecracker v1\.", rows), rows
    assert re.search(r"vmm +.*a new VM runs on \w+: ", rows), rows


# ---- guests with an operating system, or as good as ----

def commands_run_in_its_guest(s):
    name = s.guest()
    p = s.run("vm", "exec", name, "--", "sh", "-c", "echo hello; exit 42", check=False)
    assert (p.returncode, p.stdout) == (42, "hello\n"), p
    assert s.show(name)["boot_id"]
    s.run("vm", "stop", name)
    assert s.states() == ["stopped"] and s.processes() == []
    s.run("vm", "delete", name)


def its_guest_is_heard_again_after_the_daemons_death(s):
    name = s.guest()
    for _ in range(3):
        s.kill_daemon()
        wait_for(lambda: s.run("vm", "exec", name, "--", "true", check=False).returncode == 0, "no command runs")
    assert s.states() == ["running"]
    s.run("vm", "delete", "-f", name)
    s.nothing_left()


def a_probe_that_talks_is_heard_over_its_vsock(s):
    """The daemon's whole way to an agent on a KVM that runs no Linux: guest/probe/talker.c answers, and how soon is printed."""
    if not REAL:
        raise Skip("the fake one has an agent of its own")
    s.fake_image()
    s.run("kernel", "import", f"{os.environ['BANGER_GUEST_DIR']}/probe/talker.elf", "--name", "talker")
    s.run("vm", "create", "--vmm", "firecracker", "--image", "none", "--kernel", "talker", "--name", "t", "--vcpu", "1", "--memory", "32M",
          "--timeout", "30s")
    assert s.show("t")["boot_id"].startswith("00000000-"), s.show("t")
    limits_change_at_once(s, "t")
    row = stats(s, "t")
    assert row["guest_known"] and not row["balloon_known"] and "no driver for its balloon" in row["balloon_error"], row
    pings = sorted(s.json("vm", "ping", "t")[0]["round_trip_us"] for _ in range(50))
    execs = []
    for _ in range(50):
        begun = time.monotonic()
        s.run("vm", "exec", "t", "--", "true")
        execs.append(time.monotonic() - begun)
    print(f"# ping {pings[0]}/{pings[25]}/{pings[47]} us, a command {min(execs) * 1000:.1f}/{sorted(execs)[25] * 1000:.1f} ms", flush=True)
    s.kill_daemon()
    s.run("vm", "exec", "t", "--", "true")  # called again, without having rung
    s.run("vm", "stop", "t")
    assert (s.states(), s.show("t")["failure"]) == (["stopped"], "")
    s.run("vm", "delete", "t")
    s.run("kernel", "rm", "talker")
    s.nothing_left()


def whoever_else_rings_is_not_taken_for_the_agent(s):
    """Any process of a guest can dial the port where the agent rings: it is told nothing, and disturbs nobody."""
    name = s.guest()
    calls = s.calls(name)
    boot_id, rings = s.show(name)["boot_id"], f"{s.runtime}/vm/{s.show(name)['id']}/vsock_1024"
    with subprocess.Popen([banger_session.BANGER, "vm", "exec", name, "--", "sh", "-c", "read line; echo $line"], env=s.env, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as busy:
        for _ in range(50):
            with socket.socket(socket.AF_UNIX) as other:
                other.settimeout(30)
                other.connect(rings)
                try:
                    other.sendall(b"\xff\xff\xff\xffbangersync\r\n" + b"\0" * 64)
                    assert other.recv(1) == b"", "the daemon talks to whoever rings"
                except (BrokenPipeError, ConnectionResetError):
                    pass
        assert s.run("vm", "exec", name, "--", "echo", "hello").stdout == "hello\n"
        out, err = busy.communicate("still there\n", timeout=60)
        assert (out, busy.returncode) == ("still there\n", 0), err
    assert s.show(name)["boot_id"] == boot_id
    assert s.calls(name) == calls, "the agent was called again"
    s.run("vm", "delete", "-f", name)
    s.nothing_left()


def an_agent_that_is_lost_is_called_again(s):
    """It rings, and were it not to, it is called all the same after some seconds."""
    name = s.guest()
    calls = s.calls(name)
    os.unlink(f"{s.runtime}/vm/{s.show(name)['id']}/vsock_1024")  # no ring is heard from now on
    s.kill_agent(name)
    wait_for(lambda: s.run("vm", "exec", name, "--", "true", check=False).returncode == 0, "no command runs")
    assert s.calls(name) == calls + 1
    s.run("vm", "delete", "-f", name)
    s.nothing_left()


def what_is_typed_reaches_its_serial_line(s):
    name = s.guest()
    q = subprocess.Popen([banger_session.BANGER, "vm", "console", name], env=s.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    q.stdin.write(b"hello\n")
    q.stdin.flush()
    wait_for(lambda: "login: hello" in s.run("vm", "logs", name).stdout, "nothing was typed")
    s.run("vm", "kill", name)
    out, _ = q.communicate(timeout=60)  # it ends with the VM
    assert q.returncode == 0 and out == b"login: hello\n", (q.returncode, out)
    p = s.run("vm", "console", name, check=False)
    assert p.returncode == 1 and "vm.state" in p.stderr, p.stderr
    s.run("vm", "delete", "-f", name)


def its_disk_is_its_own_over_the_images(s):
    name = s.guest()
    vm = f"{s.state}/vms/{s.show(name)['id']}"
    config = json.load(open(f"{s.runtime}/vm/{s.show(name)['id']}/vmm.json", encoding="utf-8"))
    assert [(d["path_on_host"], d["is_read_only"]) for d in config["drives"]] == \
        [(f"{s.state}/images/none/rootfs.ext4", True), (f"{vm}/disk.ext4", False)], config
    disk = os.stat(f"{vm}/disk.ext4")
    assert disk.st_size == s.show(name)["spec"]["disk_bytes"] and disk.st_blocks * 512 < 8 << 20, disk
    stats = json.loads(s.run("vm", "stats", name, "--no-stream", "--json").stdout.splitlines()[0])[0]
    assert stats["disk_used_bytes"] == disk.st_blocks * 512 > 0, stats
    s.run("vm", "stop", name)
    s.run("vm", "set", name, "--disk", "16G")
    assert os.stat(f"{vm}/disk.ext4").st_size == 16 << 30
    s.run("vm", "start", name)
    s.run("vm", "delete", "-f", name)


def stats(s, name):
    return json.loads(s.run("vm", "stats", name, "--no-stream", "--json", "--interval", "100ms").stdout)[0]


def its_balloon_says_how_its_memory_is_used(s):
    name = s.guest("g", "--memory", "256M")
    row = stats(s, name)
    assert row["balloon_known"] and row["balloon"] == {
        "memory_bytes": 256 << 20, "free_bytes": 128 << 20, "available_bytes": 192 << 20, "cache_bytes": 32 << 20, "swapped_in_bytes": 0,
        "swapped_out_bytes": 8192, "major_faults": 313, "minor_faults": 54321}, row
    s.kill_daemon()
    assert stats(s, name)["balloon"] == row["balloon"]
    s.run("vm", "delete", "-f", name)


def drives_limits(s, name):
    """What the VMM says that each drive may move: (bytes, requests) a second."""
    def size(drive, kind):
        return ((drive["rate_limiter"] or {}).get(kind) or {"size": 0})["size"]

    return {(size(d, "bandwidth"), size(d, "ops")) for d in s.ask(name, "GET", "/vm/config")[1]["drives"]}


def limits_of(s, name):
    spec = s.show(name)["spec"]
    return spec["disk_rate"], spec["disk_iops"]


def limits_change_at_once(s, name):
    for words, wanted in ((("--disk-rate", "50M", "--disk-iops", "300"), (50 << 20, 300)), (("--unlimit", "disk-rate"), (0, 300)),
                          (("--disk-rate", "2M", "--unlimit", "disk-iops"), (2 << 20, 0)), (("--unlimit", "disk-rate"), (0, 0))):
        s.run("vm", "set", name, *words)
        assert limits_of(s, name) == wanted and drives_limits(s, name) == {wanted}, (words, limits_of(s, name), drives_limits(s, name))
    # What its daemon did not come to tell it, the next one does.
    s.run("vm", "set", name, "--disk-rate", "3M")
    for drive in ("base", "root"):
        assert s.ask(name, "PATCH", f"/drives/{drive}", {"drive_id": drive, "rate_limiter": {"bandwidth": {"size": 0, "refill_time": 0}}}) \
            == (204, None)
    assert drives_limits(s, name) == {(0, 0)}
    s.kill_daemon()
    assert s.show(name)["state"] == "running"
    wait_for(lambda: drives_limits(s, name) == {(3 << 20, 0)}, "what is recorded is not what holds")
    for words, why in ((("--net-rate", "1M"), "net_rate: only Firecracker"), (("--unlimit", "disk"), "--unlimit"), (("--disk-iops", "0"), "--disk-iops")):
        p = s.run("vm", "set", name, *words, check=False)
        assert p.returncode != 0 and why in p.stderr, p.stderr


def what_it_may_move_changes_while_it_runs(s):
    name = s.guest()
    limits_change_at_once(s, name)
    for how, code, words, alive in (("refuse PATCH /drives/root", "vmm.refused", "disk: Internal VMM error: as it was told to", True),
                                    ("hang PATCH /drives/base", "timeout", "limits", True),
                                    ("die PATCH /drives/root", "vmm.refused", "the VMM has hung up", False)):
        s.how(how)
        p = s.run("vm", "set", name, "--disk-rate", "7M", check=False)
        s.how()
        assert p.returncode == 1 and code in p.stderr and words in p.stderr and "step limits" in p.stderr, (how, p.stderr)
        assert limits_of(s, name)[0] == 7 << 20, how
        if alive:
            s.kill_daemon()
            assert s.show(name)["state"] == "running"
            wait_for(lambda: drives_limits(s, name) == {(7 << 20, 0)}, "the next daemon does not tell it")
            s.run("vm", "set", name, "--disk-rate", "8M")
            assert drives_limits(s, name) == {(8 << 20, 0)}
    wait_for(lambda: s.states() != ["running"], "its end is not noticed")
    s.run("vm", "start", name)
    assert drives_limits(s, name) == {(7 << 20, 0)}
    s.run("vm", "delete", "-f", name)
    s.nothing_left()


def a_probe_has_no_balloon(s):
    s.probe()
    row = stats(s, "p")
    assert "balloon" not in row and (row["balloon_known"], row["balloon_error"]) == (False, "the guest has no balloon"), row
    s.run("vm", "delete", "-f", "p")


def stats_come_without_a_vmm_that_does_not_answer(s):
    """Each in its time, though several wait, and what it was asked before it is asked no more."""
    name = s.guest()
    for how, words in (("refuse", "as it was told to"), ("hang", "the VMM does not answer")):
        s.how(f"{how} GET /balloon")
        begun = time.monotonic()
        rows = [stats(s, name) for _ in range(3)]
        assert time.monotonic() - begun < 15, how
        for row in rows:
            assert row["guest_known"] and row["pss_bytes"] > 0 and not row["balloon_known"] and words in row["balloon_error"], (how, row)
    s.how("die GET /balloon")
    s.kill_daemon()  # who has not been answered hangs up
    p = s.run("vm", "stats", name, "--no-stream", check=False)
    s.how()
    assert p.returncode in (0, 1), p
    wait_for(lambda: s.states() != ["running"], "its end is not noticed")
    s.run("vm", "delete", "-f", name)
    s.nothing_left()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def networks(s, name):
    """The processes that are this VM's network."""
    word = f"network=bg-{s.show(name)['id']}."
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as f:
                words = f.read().split("\0")
        except OSError:
            continue
        if any(w.startswith(word) for w in words):
            found.append(int(pid))
    return found


def its_guests_frames_find_their_network(s):
    """By way of vsock_1025, where the guest's agent dials: here one in a namespace with a tap.  The daemon may be dead
    meanwhile, and the process that is the network may die."""
    if os.geteuid() != 0:
        raise Skip("namespaces of one's own need root")
    port = free_port()
    name = s.guest("g", "--publish", f"{port}:80")
    frames = f"{s.runtime}/vm/{s.show(name)['id']}/vsock_1025"

    def asked():
        with socket.socket(socket.AF_UNIX) as way:
            way.connect(frames)
            with Guest(f"{s.libexec}/banger-agent", way) as guest:
                server = Net.serve(guest.place, ADDRESS)
                try:
                    return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read()
                finally:
                    server.kill()
                    server.wait()
                    server.stdout.close()

    assert asked() == b"hello\n"
    (pid,) = networks(s, name)
    s.kill_daemon()
    assert asked() == b"hello\n"
    assert s.show(name)["state"] == "running" and networks(s, name) == [pid]
    os.kill(pid, 9)
    wait_for(lambda: networks(s, name) not in ([], [pid]), "no other one has come")
    assert asked() == b"hello\n"
    p = s.run("vm", "create", "--vmm", "firecracker", "--image", "none", "--kernel", "none", "--name", "late", "--publish", f"{port}:80", check=False)
    assert p.returncode != 0 and "port.busy" in p.stderr and f"Failed to bind 127.0.0.1:{port}" in p.stderr, p.stderr
    (pid,) = networks(s, name)
    s.run("vm", "delete", "-f", "late", name)
    assert not os.path.exists(f"/proc/{pid}")
    s.nothing_left()


def its_death_at_any_moment_is_told(s):
    for when in ("config", "boot"):
        s.how(f"die {when}")
        p = s.probe(check=False)
        assert p.returncode != 0 and "killed by signal 6" in p.stderr, (when, p.stderr)
        s.run("vm", "delete", "-f", "p")
    s.how()
    s.nothing_left()


def its_api_fails_and_it_ends_all_the_same(s):
    """A guest without its agent is stopped by a request, which it dies at, refuses, or does not answer."""
    for how, words in (("die", "vmm.exit status=134"), ("refuse", 'vmm.refused why="Internal VMM error: as it was told to"'), ("hang", "")):
        name = s.guest()
        os.unlink(f"{s.runtime}/vm/{s.show(name)['id']}/vsock_1024")
        mark = len(s.log())
        s.kill_agent(name)
        wait_for(lambda: f"actor=vm/{name} ev=agent.down" in s.log()[mark:], "the agent's end is not noticed")
        s.how(f"{how} PUT /actions")
        begun = time.monotonic()
        s.run("vm", "stop", name, "--timeout", "3s")
        took = time.monotonic() - begun
        assert s.states() == ["stopped"] and s.processes() == []
        assert words in s.log()[mark:], (how, s.log()[mark:])
        assert how == "hang" or took < 2.5, f"{how}: {took:.1f} s"
        s.how()
        s.run("vm", "delete", "-f", name)
    s.nothing_left()


def one_that_says_nothing_is_given_up(s):
    s.how("silent")
    p = s.probe("p", "--timeout", "1s", check=False)
    s.how()
    assert p.returncode != 0 and "boot" in p.stderr, p.stderr
    s.run("vm", "delete", "-f", "p")
    s.nothing_left()


if not os.access("/dev/kvm", os.R_OK | os.W_OK):
    print("1..0 # SKIP /dev/kvm may not be opened")
    sys.exit(77)
banger_session.main([a_probe_comes_up_and_leaves_nothing, its_life_is_that_of_any_vm, many_at_once,
                     it_outlives_the_daemon_and_is_adopted, a_crash_in_the_middle_is_undone, what_it_refuses_reaches_the_user,
                     a_kernel_that_is_none_is_refused, a_disk_that_is_gone_is_named, without_kvm_it_says_so,
                     a_directory_too_deep_for_its_sockets_is_named, its_disks_move_what_they_may,
                     the_command_line_names_the_vm_and_its_daemon, its_api_says_what_is_published,
                     versions_that_do_not_work_are_refused_and_not_chosen, it_is_chosen_where_it_has_all_that_is_needed,
                     without_qemu_it_is_what_times_kvm, doctor_says_which_and_why, commands_run_in_its_guest,
                     its_guest_is_heard_again_after_the_daemons_death, a_probe_that_talks_is_heard_over_its_vsock, whoever_else_rings_is_not_taken_for_the_agent,
                     an_agent_that_is_lost_is_called_again,
                     what_is_typed_reaches_its_serial_line, its_balloon_says_how_its_memory_is_used, what_it_may_move_changes_while_it_runs,
                     a_probe_has_no_balloon, stats_come_without_a_vmm_that_does_not_answer, its_disk_is_its_own_over_the_images, its_guests_frames_find_their_network,
                     its_death_at_any_moment_is_told, its_api_fails_and_it_ends_all_the_same, one_that_says_nothing_is_given_up],
                    session=FirecrackerSession)
