#!/usr/bin/env python3
"""The worker `block`, file systems in disks: checked by e2fsck, read and written by libext2fs, each in a child that has
the disk and nothing else; looked at with e2fsprogs.

Snapshots are in the test VM alone (suite "kernel"), images everywhere."""
import errno
import os
import shutil
import signal
import stat

from block import DEVICE, EMPTY, GONE, MIB, NAME, POINTS_MAX, SNAPSHOT, Block, content, in_place_of_e2fsck, need_no_vm, need_vm, opened, write
from harness import DIE, OWNER, VM, Refused, children, main, read_file, run


# ---- files in disks ----

IMAGE = {"image": f"vms/{VM}/disk.ext4"}


def disk(place, path=IMAGE["image"], options=()):
    """An ext4 file system, seen by e2fsprogs afterwards."""
    path = place.file(path, 16 * MIB)
    tree = os.path.join(place.top, "tree")
    os.makedirs(tree + "/etc/deep", exist_ok=True)
    os.makedirs(tree + "/usr/lib", exist_ok=True)
    with open(tree + "/etc/hostname", "w", encoding="ascii") as f:
        f.write("old\n")
    os.chmod(tree + "/etc/hostname", 0o640)
    with open(tree + "/big", "wb") as f:
        f.write(b"x" * (64 * 1024 + 1))
    for name, target in (("lib", "usr/lib"), ("etc/resolv.conf", "../run/resolv.conf"), ("etc/loop", "loop"), ("etc/name", "hostname"),
                         ("up", "../../../../../../etc")):
        if not os.path.lexists(os.path.join(tree, name)):
            os.symlink(target, os.path.join(tree, name))
    run("mke2fs", "-q", "-F", "-t", "ext4", *options, "-d", tree, path)
    shutil.rmtree(tree)
    return path


def debugfs(path, command):
    return run("debugfs", "-R", command, path)


def is_sound(path):
    run("e2fsck", "-fn", path)


def one(path, data=b"new\n", **more):
    return {"path": path, "data": data, **more}


def a_file_is_read(place):
    path = disk(place)
    debugfs(path, "stat /etc/hostname")
    got = place.ask("read_ext4_file", **IMAGE, path="/etc/hostname")
    assert got == {"path": "/etc/hostname", "mode": 0o640, "data": b"old\n"}, got
    assert place.ask("read_ext4_file", **IMAGE, path="/etc/name")["data"] == b"old\n", "links are followed within the disk"
    assert place.ask("read_ext4_file", **IMAGE, path="/up/hostname")["data"] == b"old\n", "and never lead out of it"
    place.ask("write_ext4_files", **IMAGE, files=[one("/empty", b"")])
    assert place.ask("read_ext4_file", **IMAGE, path="/empty").get("data", b"") == b""
    for bad, code, word in (("/none", "file.not_found", "is not there"), ("/etc", "file.kind", "no regular file"), ("/etc/loop", "file.kind", "link"),
                            ("/etc/hostname/x", "file.kind", "no directory"), ("/big", "request.bad", "at most 65536")):
        place.refused("read_ext4_file", {**IMAGE, "path": bad}, code, bad, word)


def files_are_written_twice(place):
    path = disk(place)
    files = [one("/etc/hostname", mode=0o644, uid=100000, gid=7), one("/root/.ssh/authorized_keys", b"key" * 20000, mode=0o600, uid=1000, gid=1000),
             one("/etc/resolv.conf", b"nameserver 10.97.0.1\n", mode=0o644), one("/lib/linked", mode=0o755)]
    for _ in range(2):
        assert place.ask("write_ext4_files", **IMAGE, files=files) == {}
        is_sound(path)
        for f in files:
            got = place.ask("read_ext4_file", **IMAGE, path=f["path"])
            assert got == {k: v for k, v in f.items() if v}, (f, got)
    assert "Type: regular" in debugfs(path, "stat /etc/resolv.conf"), "a link is replaced, not followed"
    assert "Type: regular" in debugfs(path, "stat /usr/lib/linked"), "directories are found through links"
    folder = debugfs(path, "stat /root/.ssh")
    assert "Mode:  0755" in folder and "User:  1000" in folder, folder
    assert "Type: symlink" in debugfs(path, "stat /etc/name")
    place.ask("write_ext4_files", **IMAGE, files=[one(f"/many/{i}") for i in range(16)])
    is_sound(path)


def names_of_a_file_are_its_own(place):
    """Another name of what is replaced keeps what it had."""
    path = disk(place)
    run("debugfs", "-w", "-R", "ln /etc/hostname /etc/other", path)
    run("debugfs", "-w", "-R", "sif /etc/hostname links_count 2", path)
    place.ask("write_ext4_files", **IMAGE, files=[one("/etc/hostname")])
    is_sound(path)
    assert place.ask("read_ext4_file", **IMAGE, path="/etc/other")["data"] == b"old\n"


def many_kinds_of_ext4_are_written(place):
    need_no_vm()
    for options in (["-O", "^extents,^metadata_csum,^64bit"], ["-O", "inline_data"], ["-O", "64bit,metadata_csum", "-b", "1024"], ["-O", "bigalloc"],
                    ["-O", "^has_journal,^dir_index"]):
        path = disk(place, options=options)
        place.ask("write_ext4_files", **IMAGE, files=[one("/etc/hostname", b"x" * 60000), one("/new/dir/file", b"y")])
        is_sound(path)
        assert place.ask("read_ext4_file", **IMAGE, path="/etc/hostname")["data"] == b"x" * 60000, options


def a_full_disk_is_told(place):
    need_no_vm()
    path = disk(place, options=["-N", "64"])
    try:
        for n in range(40):
            place.ask("write_ext4_files", **IMAGE, files=[one(f"/f{n}-{i}", b"z" * 60000 if i == 0 else b"") for i in range(16)])
        raise AssertionError("it has room for everything")
    except Refused as e:
        assert e.code == "file.no_space", e
    run("e2fsck", "-fy", path, check=False)


def a_disk_that_was_not_unmounted_is_not_written(place):
    path = disk(place)
    run("debugfs", "-w", "-R", "feature needs_recovery", path)
    place.refused("write_ext4_files", {**IMAGE, "files": [one("/etc/hostname")]}, "block.busy", "fsck_snapshot")
    assert place.ask("read_ext4_file", **IMAGE, path="/etc/hostname")["data"] == b"old\n"


def disks_that_are_none_harm_nobody(place):
    """Noise, cut short, and each of the first sectors noise: the worker and its tools live."""
    need_no_vm()
    place.file(IMAGE["image"], MIB)
    place.refused("read_ext4_file", {**IMAGE, "path": "/etc/hostname"}, "image.bad", "image: ")
    path = disk(place)
    sound = content(path, 16 * MIB)
    block, tools = place.helper.workers()["block"], tools_of(place)
    for at in [*range(1024, 4096, 256), *range(4096, 400 * 1024, 9 * 1024)]:
        with open(path, "r+b") as f:
            f.write(sound)
            f.seek(at)
            f.write(os.urandom(512))
        for method, args in (("read_ext4_file", {"path": "/etc/hostname"}), ("write_ext4_files", {"files": [one("/etc/hostname"), one("/a/b")]})):
            try:
                place.ask(method, **IMAGE, **args)
            except Refused as e:
                assert e.code in ("image.bad", "block.busy", "file.not_found", "file.kind", "file.no_space", "request.bad"), e
    os.truncate(path, MIB)
    try:
        place.ask("read_ext4_file", **IMAGE, path="/etc/hostname")
    except Refused as e:
        assert e.code in ("image.bad", "file.not_found"), e
    assert (place.helper.workers()["block"], tools_of(place)) == (block, tools)
    strange = [line for line in place.helper.log().splitlines() if not line.startswith("<")]
    assert not strange, f"the disk speaks in the log: {strange}"


def tools_of(place):
    found, = children(place.helper.workers()["block"])
    return found


def the_tools_have_no_capability(place):
    pid = tools_of(place)
    s = dict(line.split(":\t", 1) for line in read_file(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    for field in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
        assert int(s[field], 16) == 0, f"{field} {s[field]}"
    assert s["Uid"].split() == s["Gid"].split() == ["204096"] * 4 and s["Groups"].split() == [], s
    assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2", s
    fds = sorted(int(fd) for fd in os.listdir(f"/proc/{pid}/fd"))
    assert fds == [0, 1, 2, 3], fds


def without_its_tools_the_worker_is_replaced(place):
    disk(place)
    os.kill(tools_of(place), signal.SIGKILL)
    place.refused("read_ext4_file", {**IMAGE, "path": "/etc/hostname"}, "helper.worker")
    assert place.ask("read_ext4_file", **IMAGE, path="/etc/hostname")["data"] == b"old\n"


def ext4_arguments_are_checked(place):
    disk(place)
    for method, args in (("read_ext4_file", {"path": "/etc/hostname"}), ("write_ext4_files", {"files": [one("/etc/hostname")]})):
        for image in ("/dev/sda1", "/dev/loop0", "/etc/shadow", place.base, NAME, DEVICE + "/", "../state/" + IMAGE["image"], "vms/../vms/x", "./vms",
                      "/dev/mapper/../sda1", "vms//x", "/"):
            if image == NAME:
                continue  # a path below the state directory, where there is no such file
            place.refused(method, {"image": image, **args}, "helper.refused", "image: ")
        place.refused(method, {"image": NAME, **args}, "helper.refused", "image: ", "No such file")
        place.refused(method, {"image": "", **args}, "request.bad", "image: ")
    for path in ("etc/hostname", "/etc/../etc/hostname", "/./x", "//etc", "/etc/", "/.."):
        place.refused("read_ext4_file", {**IMAGE, "path": path}, "helper.refused", "path: ")
        place.refused("write_ext4_files", {**IMAGE, "files": [one("/fine"), one(path)]}, "helper.refused", "path: ")
    place.refused("read_ext4_file", {**IMAGE, "path": "/"}, "request.bad", "path: ")
    place.refused("read_ext4_file", {**IMAGE, "path": "/a\0b"}, "request.bad", "path: ")
    place.refused("write_ext4_files", {**IMAGE, "files": []}, "request.bad", "files: ")
    place.refused("write_ext4_files", {**IMAGE, "files": [one("/x")] * 17}, "request.bad", "files: ")
    place.refused("write_ext4_files", {**IMAGE, "files": [one("/x", b"x" * 65537)]}, "request.bad", "files[0].data: ")
    place.refused("write_ext4_files", {**IMAGE, "files": [one("/x", mode=0o10000)]}, "request.bad", "files[0].mode: ")
    assert place.ask("read_ext4_file", **IMAGE, path="/etc/hostname")["data"] == b"old\n"


def files_outside_the_state_directory_are_not_disks(place):
    outside = disk(place, "../outside.ext4")
    write = {"files": [one("/etc/hostname")]}
    inside = os.path.join(place.state, "vms", "link.ext4")

    def is_refused(image, *words):
        place.refused("read_ext4_file", {"image": image, "path": "/etc/hostname"}, "helper.refused", "image: ", *words)
        place.refused("write_ext4_files", {"image": image, **write}, "helper.refused", "image: ", *words)

    is_refused("../outside.ext4")
    is_refused(outside)
    os.symlink(outside, inside)
    is_refused("vms/link.ext4", "symbolic links")
    os.unlink(inside)
    os.link(outside, inside)
    os.chown(outside, 0, 0)
    is_refused("vms/link.ext4", "belongs to uid 0")
    os.symlink(place.top, os.path.join(place.state, "vms", "up"))
    is_refused("vms/up/outside.ext4", "symbolic links")
    fifo = os.path.join(place.state, "vms", "fifo")
    os.mkfifo(fifo)
    os.chown(fifo, OWNER, OWNER)
    is_refused("vms/fifo", "no regular file")
    assert debugfs(outside, "cat /etc/hostname") == "old\n"


def writing_fails_and_dies_where_it_must(place):
    path = disk(place)
    for action, code in ((errno.EIO, None), (DIE, "helper.worker")):
        for point in (1, 2):
            place.faults.plan(point, action)
            try:
                place.ask("write_ext4_files", **IMAGE, files=[one("/etc/hostname", b"%d\n" % point)])
                raise AssertionError("nothing failed")
            except Refused as e:
                assert code in (None, e.code), e
            place.faults.none()
            is_sound(path)
            place.ask("write_ext4_files", **IMAGE, files=[one("/etc/hostname")])
            assert debugfs(path, "cat /etc/hostname") == "new\n"


# ---- e2fsck, and files in a snapshot ----

def snapshot_of_ext4(place):
    """A snapshot of an image that holds a file system."""
    disk(place, "images/debian/disk.ext4")
    return place.ask("create_dm_snapshot", **SNAPSHOT)


def a_snapshot_is_checked_and_mended(place):
    need_vm()
    snapshot_of_ext4(place)
    for _ in range(2):
        view = place.ask("fsck_snapshot", device=DEVICE)
        assert not view.get("corrected") and "clean" not in view["text"] and "Pass 5" in view["text"], view
    run("debugfs", "-w", "-R", "clri /etc/hostname", DEVICE)
    view = place.ask("fsck_snapshot", device=DEVICE)
    assert view["corrected"] and "MODIFIED" in view["text"], view
    is_sound(DEVICE)
    with open(DEVICE, "r+b") as f:
        for at in (0, 8 * MIB):  # the superblock, and the first of its copies
            f.seek(at)
            f.write(b"\0" * 65536)
        os.fsync(f.fileno())
    place.refused("fsck_snapshot", {"device": DEVICE}, "block.failed", "e2fsck: status 8")
    assert set(os.listdir("/dev/mapper")) == {"control", NAME}
    place.ask("remove_dm_snapshot", **GONE)


def one_that_is_taken_over_opens_its_disk_and_programs_alone(place):
    need_vm()
    snapshot_of_ext4(place)
    taken_away = in_place_of_e2fsck(os.environ["FAKE_FSCK"])
    try:
        found = opened(place.ask("fsck_snapshot", device=DEVICE)["text"])
    finally:
        taken_away()
    assert len(found) == 12, found
    for path, error in found.items():
        mine = path in ("/proc/self/fd/3", "/dev/null", "/usr/bin/env", "/usr/lib", "/proc/self/mounts")
        assert error == (0 if mine else errno.EACCES), f"{path}: {os.strerror(error)}"
    assert not place.ask("fsck_snapshot", device=DEVICE).get("corrected"), "and the disk is whole"
    place.ask("remove_dm_snapshot", **GONE)


def a_full_snapshot_is_told(place):
    need_vm()
    snapshot_of_ext4(place)
    try:
        write(DEVICE, b"x" * 8 * MIB)  # into a file of 4
        raise AssertionError("it has room for everything")
    except OSError as e:
        assert e.errno == errno.EIO, e
    place.refused("fsck_snapshot", {"device": DEVICE}, "block.failed", "e2fsck")
    place.refused("create_dm_snapshot", SNAPSHOT, "file.no_space", NAME, "Invalid")
    assert place.report() == EMPTY, "what cannot be used is not left behind"
    place.refused("create_dm_snapshot", SNAPSHOT, "file.no_space", NAME)


def files_of_a_snapshot_are_read_and_written(place):
    need_vm()
    snapshot_of_ext4(place)
    before = content(place.base, 16 * MIB)
    place.ask("write_ext4_files", image=DEVICE, files=[one("/etc/hostname", b"web-1\n"), one("/root/.ssh/authorized_keys", b"key", mode=0o600)])
    assert place.ask("read_ext4_file", image=DEVICE, path="/etc/hostname")["data"] == b"web-1\n"
    assert not place.ask("fsck_snapshot", device=DEVICE).get("corrected")
    assert content(place.base, 16 * MIB) == before, "the image is as it was"
    place.ask("remove_dm_snapshot", **GONE)


def a_disk_in_use_is_left_alone(place):
    need_vm()
    snapshot_of_ext4(place)
    with open(DEVICE, "rb"):
        place.refused("fsck_snapshot", {"device": DEVICE}, "block.busy", "in use")
        place.refused("read_ext4_file", {"image": DEVICE, "path": "/etc/hostname"}, "block.busy", "in use")
        place.refused("write_ext4_files", {"image": DEVICE, "files": [one("/x")]}, "block.busy", "in use")
    place.ask("remove_dm_snapshot", **GONE)


def only_our_snapshots_are_checked(place):
    """fsck of /dev/sda1, of a device that is not there, and of somebody else's that bears our name."""
    for device in ("/dev/sda1", "/dev/loop0", NAME, "/dev/mapper/../sda1", "/dev/mapper/control", "/dev/mapper/vg-root", DEVICE + " ", DEVICE + "/../x",
                   place.base, "-y", "/dev/mapper/fc-rootfs-"):
        place.refused("fsck_snapshot", {"device": device}, "helper.refused", "device: ")
    need_vm()
    place.refused("fsck_snapshot", {"device": DEVICE}, "helper.refused", "there is none")
    run("dmsetup", "create", NAME, "--table", "0 2048 zero")
    for method, args in (("fsck_snapshot", {"device": DEVICE}), ("read_ext4_file", {"image": DEVICE, "path": "/x"}),
                         ("write_ext4_files", {"image": DEVICE, "files": [one("/x")]})):
        place.refused(method, args, "helper.refused", "not ours")
    run("dmsetup", "remove", NAME)
    snapshot_of_ext4(place)
    os.unlink(DEVICE)
    os.symlink("/dev/loop0", DEVICE)
    place.refused("fsck_snapshot", {"device": DEVICE}, "block.failed", "symbolic links")
    os.unlink(DEVICE)
    os.mknod(DEVICE, stat.S_IFBLK | 0o600, os.makedev(7, 0))
    place.refused("fsck_snapshot", {"device": DEVICE}, "helper.refused", "not the node")
    place.ask("remove_dm_snapshot", **GONE)


def a_check_fails_and_dies_where_it_must(place):
    need_vm()
    snapshot_of_ext4(place)
    for action in (errno.EIO, DIE):
        for point in range(1, POINTS_MAX):
            place.faults.plan(point, action)
            try:
                place.ask("fsck_snapshot", device=DEVICE)
                break
            except Refused as e:
                assert e.code == "helper.worker" or "injected" in e.message, e
            place.faults.none()
            assert not place.ask("fsck_snapshot", device=DEVICE).get("corrected")
            assert set(os.listdir("/dev/mapper")) == {"control", NAME}
        assert point > 3, "its points are not reached"
    place.faults.none()
    place.ask("remove_dm_snapshot", **GONE)


main([
    ext4_arguments_are_checked,
    a_file_is_read,
    files_are_written_twice,
    names_of_a_file_are_its_own,
    many_kinds_of_ext4_are_written,
    a_full_disk_is_told,
    a_disk_that_was_not_unmounted_is_not_written,
    disks_that_are_none_harm_nobody,
    the_tools_have_no_capability,
    without_its_tools_the_worker_is_replaced,
    files_outside_the_state_directory_are_not_disks,
    writing_fails_and_dies_where_it_must,
    a_snapshot_is_checked_and_mended,
    one_that_is_taken_over_opens_its_disk_and_programs_alone,
    a_full_snapshot_is_told,
    files_of_a_snapshot_are_read_and_written,
    a_disk_in_use_is_left_alone,
    only_our_snapshots_are_checked,
    a_check_fails_and_dies_where_it_must,
], Block)
