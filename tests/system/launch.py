"""A Debian guest by the root helper alone, asked as the daemon asks, under the restrictions of its unit."""
import os
import re
import socket
import sys

import banger_system
from banger_session import wait_for
from banger_system import GROUP, GROUPS, HELPER, STATE, ask, is_again, kill, main_pid, run

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "helper"))
from harness import Client, links, read_file  # noqa: E402

VM, SLOT = "00000014d2jp", 5
UID = 200000 + SLOT
TAP, ADDRESS = f"bg-{VM}", "10.97.0.7"
ID = {"vm": VM, "slot": SLOT}
ON = {"bridge": "br-fc", **ID}
KERNEL = "kernels/debian/vmlinux"


def client():
    return Client("/run/banger-root/bangerd-root.sock")


def file_of(name, size=None):
    path = f"{STATE}/vms/{VM}/{name}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii"):
        pass
    if size:
        os.truncate(path, size)
    run("chown", "-R", "banger:banger", f"{STATE}/vms")
    return path


def words():
    initrd = "kernels/debian/initrd"
    append = f"console=ttyS0 quiet reboot=t panic=-1 banger.hostname=launch banger.ip={ADDRESS}/16 banger.gw=10.97.0.1 banger.root=/dev/vda"
    argv = ["-name", "guest=launch", "-M", "microvm,x-option-roms=off,pit=off,pic=off,rtc=on,isa-serial=on", "-accel", "kvm", "-cpu",
            "host", "-smp", "1", "-m", "256M", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-sandbox",
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", "-kernel", "/vm/kernel", "-initrd", "/vm/initrd",
            "-append", append, "-chardev", "socket,id=control,fd=3,server=on,wait=on", "-mon", "chardev=control,mode=control",
            "-chardev", "null,id=console,logfile=/vm/console,logappend=on", "-serial", "chardev:console",
            "-blockdev", "driver=raw,node-name=root,discard=unmap,file.driver=host_device,file.filename=/vm/disk",
            "-device", "virtio-blk-device,drive=root", "-netdev", f"tap,id=net,ifname={TAP},script=no,downscript=no",
            "-device", "virtio-net-device,netdev=net,mac=02:00:00:00:00:05"]
    return initrd, b"".join(w.encode() + b"\0" for w in argv)


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return {k: v.split() for k, v in (line.rstrip("\n").split(":", 1) for line in f)}


def answers(address):
    return run("busybox", "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def a_debian_guest_runs_in_its_jail():
    c = client()
    c.ask("ensure_bridge", bridge="br-fc")
    file_of("rootfs.cow", 1 << 30)
    console = file_of("console.log")
    snapshot = c.ask("create_dm_snapshot", vm=VM, base="debian:bookworm/rootfs.ext4")
    c.ask("create_tap", **ON)
    initrd, argv = words()
    launched = c.ask("launch_vmm", **ID, vmm="qemu", control_socket=True, kernel=KERNEL, initrd=initrd, snapshot=True,
                     console=f"vms/{VM}/console.log", args=argv, memory_max=640 << 20, cpu_max=125)
    pid, fds = launched["pid"], c.take_fds()
    assert launched["uid"] == UID and len(fds) == 2
    control = socket.socket(fileno=fds[1])
    greeting = control.recv(4096)
    assert b"QMP" in greeting, read_file(f"{STATE}/jails/{VM}/vmm.log")
    status = status_of(pid)
    assert set(status["Uid"]) == {str(UID)} and status["NoNewPrivs"] == ["1"] and status["Seccomp"] == ["2"], status
    assert status["CapEff"] == status["CapBnd"] == ["0000000000000000"]
    assert set(os.listdir(f"/proc/{pid}/root")) == {"dev", "vm", "usr", "lib", "lib64", "lib32"} & set(os.listdir(f"/proc/{pid}/root"))
    limits_are_in_force(pid)
    assert links()[TAP]["master"] == "br-fc"
    wait_for(lambda: answers(ADDRESS), f"the guest does not answer: {open(console, encoding='utf-8', errors='replace').read()[-2000:]}")
    os.close(fds[0])
    control.close()
    c.close()
    assert snapshot["device"] == f"/dev/mapper/fc-rootfs-{VM}"


def limits_are_in_force(pid):
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as f:
        group = f.read().strip().split("::")[1]
    assert re.fullmatch(rf"{GROUP}/.*{VM}.*", group), group
    with open(f"/sys/fs/cgroup{group}/memory.max", encoding="ascii") as f:
        assert int(f.read()) == 640 << 20
    with open(f"/sys/fs/cgroup{group}/cpu.max", encoding="ascii") as f:
        assert f.read().split()[0] == "125000"


def it_outlives_the_helper():
    pid = client().ask("find_vmm", **ID).get("pid")
    assert pid
    before = main_pid(HELPER)
    kill(before)
    is_again(HELPER, before)
    assert client().ask("find_vmm", **ID).get("pid") == pid and answers(ADDRESS)
    banger_system.systemctl("daemon-reload")
    banger_system.systemctl("restart", "bangerd-root.service")
    limits_are_in_force(pid)
    assert client().ask("find_vmm", **ID).get("pid") == pid and answers(ADDRESS)


def all_of_it_goes():
    c = client()
    for method, args in (("kill_vmm", ID), ("cleanup_jail", ID), ("delete_tap", ON), ("remove_dm_snapshot", {"device": f"fc-rootfs-{VM}"})):
        for _ in range(2):
            c.ask(method, **args)
    report = ask("host_report.jail")
    assert report["jails"] == report["slots"] == report["cgroups"] == [], report
    assert ask("host_report.net")["taps"] == [] and ask("host_report.block")["snapshots"] == []
    assert not os.path.exists(f"/dev/mapper/fc-rootfs-{VM}") and [d for d in os.listdir(GROUPS) if VM in d] == []


banger_system.main([a_debian_guest_runs_in_its_jail, it_outlives_the_helper, all_of_it_goes],
                   prepare=banger_system.install_with_guests)
