"""What the tests of the worker `block` share: a daemon's state directory, and what dmsetup(8) and losetup(8) tell."""
import ctypes
import json
import os

from harness import OWNER, VM, Place, Refused, Skipped, read_file, run

POINTS_MAX = 100
OTHER_VM = "00000014d2jq"
NAME, DEVICE = "fc-rootfs-" + VM, "/dev/mapper/fc-rootfs-" + VM
SNAPSHOT = {"vm": VM, "base": "debian/disk.ext4"}
GONE = {"device": NAME}
MIB = 1 << 20
EMPTY = {}
LANDLOCK_CREATE_RULESET = 444


class Block(Place):
    """With the state directory of a daemon: an image, and two VMs with nothing written yet."""

    def __init__(self):
        super().__init__()
        self.state = os.path.join(self.top, "state")
        self.images, self.vms = os.path.join(self.state, "images"), os.path.join(self.state, "vms")
        self.base = self.file("images/debian/disk.ext4", 8 * MIB)
        self.cow = self.file(f"vms/{VM}/rootfs.cow", 4 * MIB)
        self.file(f"vms/{OTHER_VM}/rootfs.cow", 4 * MIB)
        with open(self.base, "r+b") as f:
            f.write(b"image")

    def file(self, path, size, owner=OWNER):
        path = os.path.join(self.state, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.truncate(size)
        os.chown(path, owner, owner)
        os.chmod(path, 0o600)
        return path

    def report(self):
        """What it holds.  Whether this host has device-mapper it says as well."""
        report = self.ask("host_report.block")
        assert report.pop("device_mapper", False) == ("device-mapper" in read_file("/proc/misc")), report
        return report

    def refused(self, method, args, code, *words):
        """The request is refused with this code, and its message holds the words: the field above all."""
        try:
            self.ask(method, **args)
        except Refused as e:
            assert e.code == code, f"{method} {args}: {e}"
            for word in words:
                assert word in e.message, f"{method} {args}: {e}"
            return
        raise AssertionError(f"{method} {args} was accepted")

    def close(self):
        if in_vm():
            assert devices() == {} and loops() == {}, f"left behind: {devices()} {loops()}"
        super().close()


def in_vm():
    return os.environ.get("BANGER_TEST_VM") == "1"


def need_vm():
    if not in_vm():
        raise Skipped("only in the test VM: device-mapper and loop devices are the whole machine's")


def need_no_vm():
    if in_vm():
        raise Skipped("runs outside of the test VM, and faster")


def in_place_of_e2fsck(program):
    """Mounts it there; returns what takes it away again."""
    at = os.path.realpath("/sbin/e2fsck")
    run("mount", "--bind", program, at)
    return lambda: run("umount", at)


def opened(text):
    """{path: errno} of what fake_fsck says; without Landlock there is nothing to be seen."""
    if ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1) < 1:
        raise Skipped("this kernel has no Landlock")
    return {path: int(error) for path, error in map(str.split, text.splitlines())}


def devices():
    """{name: uuid} as dmsetup(8) tells."""
    out = run("dmsetup", "info", "-c", "--noheadings", "-o", "name,uuid")
    return dict(line.split(":", 1) for line in out.splitlines() if ":" in line)


def loops():
    """{device: losetup(8)'s row}."""
    out = run("losetup", "--json", "--list", "-O", "NAME,BACK-FILE,RO,AUTOCLEAR,BACK-INO,BACK-MAJ:MIN")
    return {row["name"]: row for row in json.loads(out or '{"loopdevices": []}')["loopdevices"]}


def content(path, length=5):
    with open(path, "rb") as f:
        return f.read(length)


def write(path, data):
    with open(path, "r+b") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
