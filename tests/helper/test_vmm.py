#!/usr/bin/env python3
"""What a VMM in its jail has from the other workers: its disk in device-mapper, its tap.

In the test VM alone: device-mapper is the whole machine's."""
import errno
import json
import os
import stat
import time

from block import DEVICE, MIB, NAME, SNAPSHOT, content, devices, loops, need_vm
from harness import OWNER, TAP, VM, Skipped, links, main, read_file, run
from jail import ID, OTHER, PARTS, RUN, SLOT, UID, Jail, probe_is_up, refused, told

OTHER_ID = {"vm": OTHER, "slot": SLOT + 1}
TAP_OF = {"bridge": "br-fc", **ID}
MINOR_FIRST = 1 << 19
FIRECRACKER = os.environ.get("FIRECRACKER", "/usr/bin/firecracker")


class Vmm(Jail):
    """With an image, and two VMs' files for what differs from it."""

    def __init__(self, **options):
        super().__init__(**options)
        self.base = self.sized("images/debian/disk.ext4", 8 * MIB)
        for vm in (VM, OTHER):
            self.sized(f"vms/{vm}/rootfs.cow", 4 * MIB)
        with open(self.base, "r+b") as f:
            f.write(b"image")

    def sized(self, path, size, own=True):
        self.put(path, "", 0o600)
        at = os.path.join(self.state, path)
        os.truncate(at, size)
        if own:
            self.own_all()
        return at

    def snapshot(self, vm=VM):
        return self.ask("create_dm_snapshot", vm=vm, base=SNAPSHOT["base"])

    def close(self):
        for vm in (VM, OTHER):
            self.ask("remove_dm_snapshot", device=f"fc-rootfs-{vm}")
        assert devices() == {}, devices()
        super().close()


def minor(path):
    return os.minor(os.lstat(path).st_rdev)


def launched(place, **args):
    """(what it answers on, what to close)."""
    _, fds = place.launch(**{**RUN, **args})
    return fds[1], fds


def closed(fds):
    for fd in fds:
        os.close(fd)


def dmsetup(*words):
    os.environ["DM_DISABLE_UDEV"] = "1"
    return run("dmsetup", *words)


# ---- disk ----

def a_snapshot_is_its_disk(place):
    need_vm()
    place.snapshot()
    control, fds = launched(place, snapshot=True)
    assert "disk" in told(control, "list /dev").split()
    mode, uid = told(control, "mode /dev/disk").split()
    assert int(mode, 8) == stat.S_IFBLK | 0o600 and int(uid) == UID, (mode, uid)
    assert told(control, "read /vm/disk").startswith("image") and told(control, "poke /vm/disk") == "errno 0"
    closed(fds)
    place.away()
    assert (content(DEVICE), content(place.base)) == (b"guest", b"image")
    assert stat.S_IMODE(os.lstat(DEVICE).st_mode) == 0o600 and os.lstat(DEVICE).st_uid == 0, "the host's node stays root's"


def a_snapshot_in_use_stays(place):
    need_vm()
    place.snapshot()
    control, fds = launched(place, snapshot=True)
    assert told(control, "hold /vm/disk") == "errno 0"
    refused(place, "remove_dm_snapshot", {"device": NAME}, "is in use", code="block.busy")
    closed(fds)
    place.away()
    place.ask("remove_dm_snapshot", device=NAME)


def a_file_as_disk_makes_way_and_is_given_back(place):
    """The disk was a file at the last launch, whose VMM ended; now it is a snapshot."""
    need_vm()
    path = f"{place.state}/vms/{VM}/disk"
    _, fds = launched(place, disk=f"vms/{VM}/disk")
    assert os.stat(path).st_uid == UID
    place.ask("kill_vmm", **ID)
    closed(fds)
    place.snapshot()
    control, fds = launched(place, snapshot=True)
    assert told(control, "read /vm/disk").startswith("image")
    assert (os.stat(path).st_uid, os.stat(path).st_nlink) == (OWNER, 1)
    closed(fds)
    place.away()


def only_the_vms_own_snapshot_is_given(place):
    """None; another VM's; somebody else's of that name; one without a table; one whose number may become another's."""
    need_vm()
    wanted = {**RUN, "snapshot": True}
    refused(place, "launch_vmm", wanted, f"snapshot: {NAME} is not there")
    place.snapshot(OTHER)
    refused(place, "launch_vmm", wanted, f"snapshot: {NAME} is not there")
    table = ["--table", "0 8 zero"]
    for words, why in (([*table], "is there and is not ours"), ([*table, "-u", "banger-rootfs-" + OTHER[:-1] + "z"], "is there and is not ours"),
                       (["--notable", "-u", "banger-rootfs-" + VM], "is not whole"),
                       ([*table, "-u", "banger-rootfs-" + VM], "is not whole")):
        dmsetup("create", NAME, *words)
        refused(place, "launch_vmm", wanted, "snapshot: ", why)
        dmsetup("remove", NAME)
    place.snapshot()
    table = dmsetup("table", NAME).strip()
    one = [os.open(loop, os.O_RDONLY) for loop in loops()]
    place.ask("remove_dm_snapshot", device=NAME)
    dmsetup("create", NAME, "--table", table, "-u", "banger-rootfs-" + VM)
    closed(one)
    refused(place, "launch_vmm", wanted, "snapshot: ", "is not whole")
    place.snapshot()
    assert minor(DEVICE) >= MINOR_FIRST, "it is made anew"
    assert place.report() == {}


def a_number_is_never_that_of_others(place):
    """A VMM keeps its node when its snapshot has gone: it must not become that of whatever is made next."""
    need_vm()
    place.snapshot()
    first = minor(DEVICE)
    control, fds = launched(place, snapshot=True)
    assert first >= MINOR_FIRST
    place.ask("remove_dm_snapshot", device=NAME)
    for i in range(8):
        dmsetup("create", f"others-{i}", "--table", "0 8 zero")
    other = place.snapshot(OTHER)
    assert minor(other["device"]) >= MINOR_FIRST and minor(other["device"]) != first
    assert told(control, "open /vm/disk") in (f"errno {errno.ENXIO}", f"errno {errno.ENODEV}")
    for i in range(8):
        assert int(dmsetup("info", "-c", "--noheadings", "-o", "minor", f"others-{i}")) < MINOR_FIRST
        dmsetup("remove", f"others-{i}")
    closed(fds)
    place.away()


def a_number_that_is_taken_is_passed_over(place):
    need_vm()
    place.snapshot()
    first, major = minor(DEVICE), os.major(os.lstat(DEVICE).st_rdev)
    place.ask("remove_dm_snapshot", device=NAME)
    dmsetup("create", "others", "-j", str(major), "-m", str(first), "--table", "0 8 zero")
    place.snapshot()
    assert minor(DEVICE) == first + 1 and content(DEVICE) == b"image"
    dmsetup("remove", "others")
    place.ask("remove_dm_snapshot", device=NAME)
    place.snapshot()
    assert minor(DEVICE) == first, "the same VM, the same number"


# ---- KVM ----

def kvm_is_its_to_open(place):
    if not os.path.exists("/dev/kvm"):
        raise Skipped("no /dev/kvm here")
    control, fds = launched(place)
    mode, uid = told(control, "mode /dev/kvm").split()
    assert int(mode, 8) == stat.S_IFCHR | 0o600 and int(uid) == UID, (mode, uid)
    assert told(control, "open /dev/kvm") == "errno 0"
    closed(fds)
    place.away()


# ---- tap ----

def it_opens_its_own_tap_by_name(place):
    need_vm()
    place.ask("ensure_bridge", bridge="br-fc")
    place.ask("create_tap", **TAP_OF)
    place.ask("create_tap", bridge="br-fc", **OTHER_ID)
    control, fds = launched(place)
    assert told(control, f"tap bg-{OTHER}") == f"errno {errno.EPERM}", "another slot's"
    assert told(control, "tap mine") == f"errno {errno.EPERM}", "nor does it make any"
    assert "LOWER_UP" not in links()[TAP]["flags"]
    assert told(control, f"tap {TAP}") == "errno 0"
    assert "LOWER_UP" in links()[TAP]["flags"]
    closed(fds)
    place.away()
    for which in (ID, OTHER_ID):
        place.ask("delete_tap", bridge="br-fc", **which)
    place.ask("remove_bridge", bridge="br-fc")


# ---- a hundred ----

def a_hundred_vms_come_and_go():
    """Tap, NAT and disk of each; nothing is left, and the helper starts no process for any of it."""
    need_vm()
    forks = "/run/forks"
    for prefix in ([], ["strace", "-f", "--seccomp-bpf", "-e", "trace=fork,vfork,clone,clone3,execve,execveat", "-o", forks]):
        place = Vmm(prefix=prefix)
        ids = [f"00000014d2{b}{c}" for b in "0123" for c in "0123456789abcdefghjkmnpqr"]
        for vm in ids:
            place.sized(f"vms/{vm}/rootfs.cow", 4 * MIB, own=False)
        place.own_all()
        place.ask("ensure_bridge", bridge="br-fc")
        started = read_file(forks).count("\n")
        began, cpu = time.monotonic(), cpu_of(place)
        for slot, vm in enumerate(ids):
            which = {"bridge": "br-fc", "vm": vm, "slot": slot}
            place.ask("create_tap", **which)
            place.ask("ensure_nat", **which, address=f"10.97.1.{slot + 2}")
            place.snapshot(vm)
        up = time.monotonic()
        assert len(devices()) == 100 and len(place.ask("host_report.net")["nat"]) == 100
        report = time.monotonic()
        for slot, vm in enumerate(ids):
            which = {"bridge": "br-fc", "vm": vm, "slot": slot}
            place.ask("remove_dm_snapshot", device=f"fc-rootfs-{vm}")
            place.ask("remove_nat", **which, address=f"10.97.1.{slot + 2}")
            place.ask("delete_tap", **which)
        down = time.monotonic()
        assert place.ask("host_report.block") == {"device_mapper": True} and place.report() == {}
        assert place.ask("host_report.net") == {"bridges": ["br-fc"]}
        assert devices() == {} and loops() == {} and [n for n in links() if n.startswith("bg-")] == []
        assert read_file(forks).count("\n") == started, read_file(forks)[-500:]
        figures = {"bench": "helper.hundred", "vms": 100, "up_ms": round((up - began) * 1e3), "down_ms": round((down - report) * 1e3),
                   "cpu_ms": cpu_of(place) - cpu, "forks": 0 if prefix else None}
        print("# " + json.dumps(figures), flush=True)
        place.ask("remove_bridge", bridge="br-fc")
        place.close()


def cpu_of(place):
    """Milliseconds that the workers have run for."""
    ticks = 0
    for pid in place.helper.workers().values():
        words = read_file(f"/proc/{pid}/stat").rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks * 1000 // os.sysconf("SC_CLK_TCK")


# ---- Firecracker, with all that it takes by name ----

def firecracker_has_all_by_name():
    """Boots Linux until it speaks: there is no root disk for it, which ends it."""
    need_vm()
    if not os.path.exists(FIRECRACKER) or not os.path.exists("/dev/kvm"):
        raise Skipped("no firecracker, or no KVM")
    place = Vmm(more=f"[vmm firecracker]\nbinary = {FIRECRACKER}\nlibraries = /usr\n")
    kernel = os.path.realpath(f"/lib/modules/{os.uname().release}").rsplit("/lib/modules/", 1)[0] + "/vmlinux"  # as test-vm lays it
    with open(kernel, "rb") as f, open(f"{place.state}/vmlinux", "wb") as to:
        to.write(f.read())
    place.put("config.json", json.dumps({
        "boot-source": {"kernel_image_path": "/vm/kernel", "boot_args": "console=ttyS0 reboot=k panic=-1"},
        "drives": [{"drive_id": "root", "path_on_host": "/vm/disk", "is_root_device": False, "is_read_only": False}],
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 256},
        "network-interfaces": [{"iface_id": "net", "host_dev_name": TAP}],
        "vsock": {"guest_cid": 3, "uds_path": "/vm/run/vsock.sock"}}))
    place.own_all()
    place.ask("ensure_bridge", bridge="br-fc")
    place.ask("create_tap", **TAP_OF)
    place.snapshot()
    words = ["--api-sock", "/vm/run/api.sock", "--config-file", "/vm/config", "--log-path", "/vm/vmm.log", "--level", "Info"]
    args = {**ID, "vmm": "firecracker", "snapshot": True, "kernel": "vmlinux", "config": "config.json", "console": PARTS["console"],
            "console_stdio": True, "run": True, "listener": "vsock.sock_1024", "args": "\0".join(words).encode() + b"\0"}
    pid, fds = place.launch(**args)
    said = ""
    until = time.monotonic() + 60
    while "Linux version" not in said:
        said = read_file(f"{place.state}/{PARTS['console']}")
        assert time.monotonic() < until and os.path.exists(f"/proc/{pid}"), f"{said}\n{read_file(f'{place.jails}/{VM}/vmm.log')}"
        time.sleep(0.05)
    assert "LOWER_UP" in links()[TAP]["flags"], "the tap is attached"
    assert int(dmsetup("info", "-c", "--noheadings", "-o", "open", NAME)) == 1, "the disk is open"
    for name in ("api.sock", "vsock.sock"):
        place.ask("ensure_socket_access", **ID, socket=name)
        closed(place.client.take_fds())
    closed(fds)
    place.away()
    place.ask("delete_tap", **TAP_OF)
    place.ask("remove_bridge", bridge="br-fc")
    place.close()


# ---- QEMU, with both ----

def qemu_has_disk_and_tap(place):
    """As docs/helper.md says that the daemon writes it."""
    need_vm()
    place.put("kernels/k/probe", "")
    with open(os.environ["PROBE_GUEST"], "rb") as f, open(f"{place.state}/kernels/k/probe", "wb") as to:
        to.write(f.read())
    place.own_all()
    place.ask("ensure_bridge", bridge="br-fc")
    place.ask("create_tap", **TAP_OF)
    place.snapshot()
    words = ["-M", "microvm,accel=tcg,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on,acpi=off,auto-kernel-cmdline=off",
             "-m", "16M", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
             "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", "-kernel", "/vm/kernel",
             "-blockdev", "driver=raw,node-name=root,discard=unmap,file.driver=host_device,file.filename=/vm/disk",
             "-device", "virtio-blk-device,drive=root",
             "-netdev", f"tap,id=net,ifname={TAP},script=no,downscript=no", "-device", "virtio-net-device,netdev=net",
             "-chardev", "socket,id=c,fd=3,server=on,wait=on", "-serial", "chardev:c"]
    _, fds = place.launch(**ID, vmm="qemu", console_socket=True, kernel="kernels/k/probe", snapshot=True,
                          args="\0".join(words).encode() + b"\0")
    probe_is_up(place, fds[1])
    assert "LOWER_UP" in links()[TAP]["flags"], "the tap is attached"
    assert int(dmsetup("info", "-c", "--noheadings", "-o", "open", NAME)) == 1, "the disk is open"
    os.close(fds[0])
    place.away()
    place.ask("delete_tap", **TAP_OF)
    place.ask("remove_bridge", bridge="br-fc")


main([
    a_snapshot_is_its_disk,
    a_snapshot_in_use_stays,
    a_file_as_disk_makes_way_and_is_given_back,
    only_the_vms_own_snapshot_is_given,
    a_number_is_never_that_of_others,
    a_number_that_is_taken_is_passed_over,
    kvm_is_its_to_open,
    it_opens_its_own_tap_by_name,
    qemu_has_disk_and_tap,
    a_hundred_vms_come_and_go,
    firecracker_has_all_by_name,
], Vmm)
