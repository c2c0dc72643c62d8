#!/usr/bin/env python3
"""The worker `block`, loop devices and snapshots: each operation accepted and refused, twice present and absent,
failing at every effect, its worker killed at every effect; attacks.

What needs device-mapper or loop devices runs in the test VM alone (suite "kernel"): they are the whole machine's."""
import ctypes
import errno
import fcntl
import os
import shutil
import socket
import stat
import struct
import threading

from block import DEVICE, EMPTY, GONE, MIB, NAME, OTHER_VM, POINTS_MAX, SNAPSHOT, Block, content, devices, in_vm, loops, need_vm, write
from harness import DIE, OWNER, VM, Refused, Skipped, main, read_file, run


# ---- present, absent ----

def snapshot_is_made_twice_and_removed_twice(place):
    need_vm()
    for _ in range(2):
        view = place.ask("create_dm_snapshot", **SNAPSHOT)
        assert view["name"] == NAME and view["device"] == DEVICE and view["bytes"] == 8 * MIB, view
        assert devices() == {NAME: "banger-rootfs-" + VM}, devices()
        have = loops()
        assert set(have) == {view["base_loop"], view["cow_loop"]}, (view, have)
        base, cow = have[view["base_loop"]], have[view["cow_loop"]]
        assert (base["back-file"], base["ro"], base["autoclear"]) == (place.base, True, True), base
        assert (cow["back-file"], cow["ro"], cow["autoclear"]) == (place.cow, False, True), cow
        st = os.lstat(DEVICE)
        assert stat.S_ISBLK(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o600 and st.st_uid == 0, st
        assert content(DEVICE) == b"image"
        report = place.report()
        assert report["snapshots"] == [NAME] and set(report["loops"]) == {
            view["base_loop"] + " images/debian/disk.ext4", view["cow_loop"] + f" vms/{VM}/rootfs.cow"}, report
    for _ in range(2):
        assert place.ask("remove_dm_snapshot", device=NAME) == {}
        assert devices() == {} and loops() == {} and not os.path.lexists(DEVICE)
        assert place.ask("remove_dm_snapshot", device=DEVICE) == {}
    assert place.report() == EMPTY


def what_is_written_is_the_vms_own(place):
    need_vm()
    place.ask("create_dm_snapshot", **SNAPSHOT)
    write(DEVICE, b"guest")
    assert content(place.base) == b"image", "the image is as it was"
    place.ask("remove_dm_snapshot", **GONE)
    place.ask("create_dm_snapshot", **SNAPSHOT)
    assert content(DEVICE) == b"guest", "what was written stays"
    view = place.ask("create_dm_snapshot", vm=OTHER_VM, base=SNAPSHOT["base"])
    assert content(view["device"]) == b"image", "and is nobody else's"
    for vm in (VM, OTHER_VM):
        place.ask("remove_dm_snapshot", device="fc-rootfs-" + vm)


def the_base_is_shared(place):
    need_vm()
    one = place.ask("create_dm_snapshot", **SNAPSHOT)
    two = place.ask("create_dm_snapshot", vm=OTHER_VM, base=SNAPSHOT["base"])
    assert one["base_loop"] == two["base_loop"] and one["cow_loop"] != two["cow_loop"], (one, two)
    place.ask("cleanup_dm_snapshot", **handles(one))
    assert set(loops()) == {two["base_loop"], two["cow_loop"]}, loops()
    assert content(two["device"]) == b"image"
    place.ask("cleanup_dm_snapshot", **handles(two))


def a_new_image_of_the_same_name_is_not_the_old_one(place):
    need_vm()
    one = place.ask("create_dm_snapshot", **SNAPSHOT)
    fresh = place.file("images/debian/new", 8 * MIB)
    write(fresh, b"fresh")
    os.rename(fresh, place.base)
    two = place.ask("create_dm_snapshot", vm=OTHER_VM, base=SNAPSHOT["base"])
    assert one["base_loop"] != two["base_loop"]
    assert content(one["device"]) == b"image" and content(two["device"]) == b"fresh"
    for view in (one, two):
        place.ask("cleanup_dm_snapshot", **handles(view))


def handles(view):
    return {field: view[field] for field in ("name", "device", "base_loop", "cow_loop")}


def cleanup_takes_whichever_handles_there_are(place):
    need_vm()
    for fields in (("name",), ("device",), ("name", "cow_loop"), ("device", "base_loop"), ("name", "device", "base_loop", "cow_loop")):
        view = handles(place.ask("create_dm_snapshot", **SNAPSHOT))
        for _ in range(2):
            assert place.ask("cleanup_dm_snapshot", **{f: view[f] for f in fields}) == {}
            assert devices() == {} and loops() == {}, fields
    assert place.ask("cleanup_dm_snapshot") == {}
    assert place.ask("cleanup_dm_snapshot", cow_loop="/dev/loop1048575") == {}, "absent is success"
    view = place.ask("create_dm_snapshot", **SNAPSHOT)
    assert place.ask("cleanup_dm_snapshot", cow_loop=view["cow_loop"], base_loop=view["base_loop"]) == {}
    assert devices() == {NAME: "banger-rootfs-" + VM}, "loop devices that are in use go with their user"
    place.ask("remove_dm_snapshot", **GONE)


def half_a_snapshot_is_made_whole(place):
    need_vm()
    run("dmsetup", "create", NAME, "--uuid", "banger-rootfs-" + VM, "--notable")
    place.ask("create_dm_snapshot", **SNAPSHOT)
    assert content(DEVICE) == b"image"
    os.unlink(DEVICE)
    os.symlink("../dm-0", DEVICE)  # as udev would
    place.ask("create_dm_snapshot", **SNAPSHOT)
    assert stat.S_ISBLK(os.lstat(DEVICE).st_mode)
    run("dmsetup", "remove", NAME)
    assert place.ask("remove_dm_snapshot", **GONE) == {}
    assert not os.path.lexists(DEVICE)


def other_parts_replace_what_nobody_uses(place):
    need_vm()
    place.file("images/second", 8 * MIB)
    place.ask("create_dm_snapshot", **SNAPSHOT)
    view = place.ask("create_dm_snapshot", vm=VM, base="second")
    assert loops()[view["base_loop"]]["back-file"].endswith("/images/second")
    with open(DEVICE, "rb"):
        place.refused("create_dm_snapshot", SNAPSHOT, "block.busy", NAME)
        assert devices() == {NAME: "banger-rootfs-" + VM}, "what is in use stays as it is"
    place.ask("remove_dm_snapshot", **GONE)


# ---- removal waits ----

def removal_waits_until_nobody_has_it_open(place):
    need_vm()
    place.ask("create_dm_snapshot", **SNAPSHOT)
    held = os.open(DEVICE, os.O_RDONLY)
    timer = threading.Timer(0.3, os.close, [held])
    timer.start()
    assert place.ask("remove_dm_snapshot", **GONE) == {}
    timer.join()
    assert devices() == {}


def removal_gives_up_in_the_end(place):
    need_vm()
    place.ask("create_dm_snapshot", **SNAPSHOT)
    with open(DEVICE, "rb"):
        place.refused("remove_dm_snapshot", GONE, "block.busy", NAME, "in use")
        assert os.path.exists(DEVICE)
    place.ask("remove_dm_snapshot", **GONE)


def udev_is_told_to_keep_off(place):
    """Its rules read flags from the upper half of DM_COOKIE; the lower half, 0, asks for no answer."""
    need_vm()
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)  # NETLINK_KOBJECT_UEVENT
    events.bind((0, 1))
    events.settimeout(20)
    place.ask("create_dm_snapshot", **SNAPSHOT)
    place.ask("remove_dm_snapshot", **GONE)
    seen = set()
    while "remove" not in seen:
        words = events.recv(65536).decode(errors="replace").split("\0")
        fields = dict(w.split("=", 1) for w in words if "=" in w)
        if "DM_COOKIE" in fields:
            cookie = int(fields["DM_COOKIE"])
            assert cookie & 0xffff == 0 and cookie >> 16 & 0xf == 0xf, f"{cookie:#x}"
            seen.add(fields["ACTION"])
    assert "change" in seen, seen
    events.close()


# ---- arguments ----

BAD_IDS = ("", "x", VM.upper(), VM + " ", VM + "/", VM + "/..", "../../sda1", "*", VM[:-1], VM + "0", "0" * 12, "o0000014d2jp",
           VM + "\n", "\u00e4")


def handles_are_checked(place):
    bad = ["sda1", "/dev/sda1", "/dev/sda", "/dev/dm-0", "/dev/mapper/control", "/dev/mapper/", "/dev/mapper/vg-root", "/", ".", "fc-rootfs",
           "fc-rootfs-/../control", "/dev/mapper/../sda1", "/dev/mapper/fc-rootfs-../../sda1", "/dev/./mapper/" + NAME,
           "/dev//mapper/" + NAME, "//dev/mapper/" + NAME, "mapper/" + NAME, " " + NAME, "FC-ROOTFS-" + VM, "/dev/disk/by-id/" + NAME]
    bad += ["fc-rootfs-" + i for i in BAD_IDS] + ["/dev/mapper/fc-rootfs-" + i for i in BAD_IDS]
    for text in bad:
        place.refused("remove_dm_snapshot", {"device": text}, "helper.refused", "device: ")
        place.refused("cleanup_dm_snapshot", {"name": text}, "helper.refused", "name: ")
        place.refused("cleanup_dm_snapshot", {"device": text}, "helper.refused", "device: ")
    place.refused("cleanup_dm_snapshot", {"name": DEVICE}, "helper.refused", "name: ")
    place.refused("cleanup_dm_snapshot", {"device": NAME}, "helper.refused", "device: ")
    place.refused("cleanup_dm_snapshot", {"name": NAME, "device": "/dev/mapper/fc-rootfs-" + OTHER_VM}, "helper.refused", "device: ")
    place.refused("remove_dm_snapshot", {"device": ""}, "request.bad", "device: ")
    place.refused("remove_dm_snapshot", {}, "request.bad", "device: missing")
    place.refused("remove_dm_snapshot", {"device": "x" * 64}, "request.bad", "device: ")
    for text in ("/dev/sda1", "loop0", "/dev/loop", "/dev/loop-control", "/dev/loop0p1", "/dev/loop00", "/dev/loop01", "/dev/loop-1", "/dev/loop+1",
                 "/dev/loop 1", "/dev/loop1 ", "/dev/loop1/", "/dev/../dev/loop0", "/dev//loop0", "/dev/loop1048576", "/dev/loop4294967296",
                 "/dev/loop18446744073709551616", "/dev/block/7:0", "/dev/loop0\n", "/dev/loop\u0661"):
        for field in ("base_loop", "cow_loop"):
            place.refused("cleanup_dm_snapshot", {field: text}, "helper.refused", field + ": ")


def paths_are_checked(place):
    for path in ("/etc/shadow", "../vms/x", "..", ".", "a/..", "a/../b", "./a", "a//b", "a/", "/", "debian/./disk.ext4"):
        place.refused("create_dm_snapshot", {**SNAPSHOT, "base": path}, "helper.refused", "base: ")
    place.refused("create_dm_snapshot", {**SNAPSHOT, "base": ""}, "request.bad", "base: ")
    place.refused("create_dm_snapshot", {**SNAPSHOT, "base": "x" * 256}, "request.bad", "base: ")
    place.refused("create_dm_snapshot", {**SNAPSHOT, "base": "a\0b"}, "request.bad", "base: ")
    place.refused("create_dm_snapshot", {**SNAPSHOT, "vm": "../../etc/pa"}, "request.bad", "vm: ")
    place.refused("create_dm_snapshot", {**SNAPSHOT, "cow": "/dev/sda"}, "request.bad", "cow")
    place.refused("create_dm_snapshot", {"base": "a"}, "request.bad", "vm: missing")


# ---- attacks: files ----

def only_the_owners_own_regular_files_are_taken(place):
    outside = os.path.join(place.top, "outside")
    with open(outside, "wb") as f:
        f.truncate(8 * MIB)
    os.chown(outside, OWNER, OWNER)

    def is_refused(what, *words):
        place.refused("create_dm_snapshot", {**SNAPSHOT, "base": what}, "helper.refused", "base: ", *words)

    is_refused("missing", "No such file")
    place.file("images/roots", 8 * MIB, owner=0)
    is_refused("roots", "belongs to uid 0")
    place.file("images/others", 8 * MIB, owner=1)
    is_refused("others", "belongs to uid 1")
    os.link(os.path.join(place.images, "roots"), os.path.join(place.images, "link"))
    is_refused("link", "belongs to uid 0")
    os.mkfifo(os.path.join(place.images, "fifo"))
    is_refused("fifo", "no regular file")
    os.mkdir(os.path.join(place.images, "folder"))
    is_refused("folder", "no regular file")
    os.mknod(os.path.join(place.images, "node"), stat.S_IFCHR | 0o666, os.makedev(1, 5))
    is_refused("node")
    os.symlink(outside, os.path.join(place.images, "leaf"))
    is_refused("leaf", "symbolic links")
    os.symlink(place.base, os.path.join(place.images, "inner"))
    is_refused("inner", "symbolic links")
    os.symlink(place.top, os.path.join(place.images, "parent"))
    is_refused("parent/outside", "symbolic links")
    os.mkdir(os.path.join(place.images, "mount"))
    run("mount", "-t", "tmpfs", "none", os.path.join(place.images, "mount"))
    place.file("images/mount/disk", 8 * MIB)
    is_refused("mount/disk", "cross-device")
    run("umount", os.path.join(place.images, "mount"))
    os.rename(place.images, place.images + ".real")
    os.symlink(place.images + ".real", place.images)
    is_refused("debian/disk.ext4", "symbolic links")
    os.unlink(place.images)
    os.rename(place.images + ".real", place.images)
    os.rename(place.state, place.state + ".real")
    os.symlink(place.state + ".real", place.state)
    place.refused("create_dm_snapshot", SNAPSHOT, "helper.refused", "state_dir: ", "symbolic links")
    os.unlink(place.state)
    place.refused("create_dm_snapshot", SNAPSHOT, "helper.refused", "state_dir: ", "No such file")
    os.rename(place.state + ".real", place.state)


def the_vms_file_is_looked_at_likewise(place):
    need_vm()
    real = place.cow + ".real"
    os.rename(place.cow, real)
    place.refused("create_dm_snapshot", SNAPSHOT, "helper.refused", "vm: ", "No such file")
    os.symlink(real, place.cow)
    place.refused("create_dm_snapshot", SNAPSHOT, "helper.refused", "vm: ", "symbolic links")
    os.unlink(place.cow)
    os.link(real, place.cow)
    os.chown(real, 0, 0)
    place.refused("create_dm_snapshot", SNAPSHOT, "helper.refused", "vm: ", "belongs to uid 0")
    assert devices() == {} and loops() == {}
    os.chown(real, OWNER, OWNER)
    folder = os.path.dirname(place.cow)
    os.rename(folder, folder + ".real")
    os.symlink(folder + ".real", folder)
    place.refused("create_dm_snapshot", SNAPSHOT, "helper.refused", "vm: ", "symbolic links")
    os.unlink(folder)


def swap(one, two):
    """renameat2(RENAME_EXCHANGE): at no moment is either missing."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, one.encode(), -100, two.encode(), 2) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


RACES = 12


def links_swapped_in_lead_nowhere(place):
    """The leaf and each parent are a link to elsewhere half of the time; what comes to be is never elsewhere's."""
    need_vm()
    elsewhere = os.path.join(place.top, "elsewhere")
    for path in ("images/debian/disk.ext4", f"vms/{VM}/rootfs.cow", "debian/disk.ext4", "rootfs.cow"):
        path = os.path.join(elsewhere, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.truncate(8 * MIB)
        os.chown(path, OWNER, OWNER)
    made, meant = 0, {os.stat(place.base).st_ino, os.stat(place.cow).st_ino}
    for inside in (place.base, os.path.dirname(place.base), place.images, place.cow, os.path.dirname(place.cow), place.vms, place.state):
        link = inside + ".link"
        os.symlink(elsewhere if inside == place.state else os.path.join(elsewhere, os.path.relpath(inside, place.state)), link)
        stop = threading.Event()

        def flip():
            while not stop.is_set():
                swap(inside, link)
                swap(inside, link)

        thread = threading.Thread(target=flip)
        thread.start()
        for _ in range(RACES):
            try:
                place.ask("create_dm_snapshot", **SNAPSHOT)
            except Refused as e:
                assert e.code == "helper.refused", e
                continue
            made += 1
            taken = {row["back-ino"] for row in loops().values()}
            place.ask("remove_dm_snapshot", **GONE)
            assert taken == meant, f"{inside}: {taken}"
        stop.set()
        thread.join()
        os.unlink(link)
    assert made > 0, "every attempt met a link"


# ---- attacks: what others made ----

def others_loop_devices_are_left_alone(place):
    need_vm()
    outside = os.path.join(place.top, "outside")
    with open(outside, "wb") as f:
        f.truncate(MIB)
    os.makedirs(place.state + "-of-another")
    shutil.copy(outside, place.state + "-of-another/disk")
    for path in (outside, place.state + "-of-another/disk", place.base, place.cow):
        device = run("losetup", "--find", "--show", path).strip()
        for field in ("base_loop", "cow_loop"):
            place.refused("cleanup_dm_snapshot", {field: device}, "helper.refused", field + ": ", "not ours")
            place.refused("cleanup_dm_snapshot", {"name": NAME, field: device}, "helper.refused", field + ": ", "not ours")
        assert device in loops()
        view = place.ask("create_dm_snapshot", **SNAPSHOT)
        assert device not in (view["base_loop"], view["cow_loop"]), "nor are they used"
        place.ask("remove_dm_snapshot", **GONE)
        assert set(loops()) == {device}
        run("losetup", "--detach", device)


LOOP_SET_STATUS64, LOOP_GET_STATUS64 = 0x4C04, 0x4C05
LOOP_INFO = "=5Q4I64s64s32s2Q"  # struct loop_info64: the first text is lo_file_name, which bears our mark


def bear(device, mark):
    with open(device, "rb") as f:
        info = list(struct.unpack(LOOP_INFO, fcntl.ioctl(f, LOOP_GET_STATUS64, bytes(struct.calcsize(LOOP_INFO)))))
        info[9] = mark.encode()
        fcntl.ioctl(f, LOOP_SET_STATUS64, struct.pack(LOOP_INFO, *info))


def a_loop_device_that_only_bears_our_mark_is_left_alone(place):
    """On a file that is not below the state directory, however it came by the mark."""
    need_vm()
    outside = os.path.join(place.top, "outside")
    with open(outside, "wb") as f:
        f.truncate(MIB)
    device = run("losetup", "--find", "--show", outside).strip()
    for mark, args in (("banger-base", {"base_loop": device}), ("banger-cow-" + VM, {"name": NAME, "cow_loop": device})):
        bear(device, mark)
        place.refused("cleanup_dm_snapshot", args, "helper.refused", "not ours")
    assert device in loops()
    run("losetup", "--detach", device)


def another_vms_loop_device_is_left_alone(place):
    need_vm()
    one = place.ask("create_dm_snapshot", **SNAPSHOT)
    two = place.ask("create_dm_snapshot", vm=OTHER_VM, base=SNAPSHOT["base"])
    place.refused("cleanup_dm_snapshot", {"name": NAME, "cow_loop": two["cow_loop"]}, "helper.refused", "cow_loop: ", "not ours")
    assert set(devices()) == {one["name"], two["name"]}, "nothing has gone"
    for view in (one, two):
        place.ask("cleanup_dm_snapshot", **handles(view))


def others_devices_are_left_alone(place):
    need_vm()
    for uuid in ([], ["--uuid", "LVM-x"], ["--uuid", "banger-rootfs-" + OTHER_VM], ["--uuid", "banger-rootfs-" + VM + "x"]):
        run("dmsetup", "create", NAME, *uuid, "--table", "0 2048 zero")
        for method, args in (("create_dm_snapshot", SNAPSHOT), ("remove_dm_snapshot", GONE), ("cleanup_dm_snapshot", {"name": NAME}),
                             ("cleanup_dm_snapshot", {"device": DEVICE})):
            place.refused(method, args, "helper.refused", NAME, "not ours")
        assert set(devices()) == {NAME} and "zero" in run("dmsetup", "table", NAME)
        assert loops() == {}
        run("dmsetup", "remove", NAME)


# ---- every effect fails, every effect is the worker's last ----

PAIRS = [
    ("create_dm_snapshot", SNAPSHOT, [], "remove_dm_snapshot", GONE),
    ("create_dm_snapshot", SNAPSHOT, [], "cleanup_dm_snapshot", {"name": NAME, "device": DEVICE}),
    ("create_dm_snapshot", SNAPSHOT, [("create_dm_snapshot", {"vm": OTHER_VM, "base": SNAPSHOT["base"]})], "remove_dm_snapshot", GONE),
]


def at_every_point(place, action, story):
    """Runs the story of each pair with its first effect failing, then its second, ..., until none is left."""
    need_vm()
    for method, args, before, opposite, opposite_args in PAIRS:
        for earlier, earlier_args in before:
            place.ask(earlier, **earlier_args)
        was = place.report()
        for point in range(1, POINTS_MAX):
            place.faults.plan(point, action)
            hit = story(place, (method, args), (opposite, opposite_args), was)
            place.faults.none()
            if not hit:
                break
        else:
            raise AssertionError(f"{method} has no end")
        assert point > 8, f"{method} has {point - 1} points only: they are not reached"
        for vm in (VM, OTHER_VM):
            place.ask("remove_dm_snapshot", device="fc-rootfs-" + vm)


def fails(place, there, back, was):
    try:
        place.ask(there[0], **there[1])
    except Refused as e:
        assert "Input/output error" in e.message and "injected" in e.message, e
        assert place.report() == was, f"{e}: left {place.report()}"
        return True
    place.ask(back[0], **back[1])
    return False


def a_failing_effect_leaves_nothing(place):
    at_every_point(place, errno.EIO, fails)


def dies(place, there, back, was):
    try:
        place.ask(there[0], **there[1])
    except Refused as e:
        assert e.code == "helper.worker" and e.error["retryable"] and "signal" in e.message, e
        place.faults.none()
        place.ask(back[0], **back[1])  # the next worker does it
        assert place.report() == was, f"{e}: left {place.report()}"
        place.ask(there[0], **there[1])  # and the request may be repeated
        place.ask(back[0], **back[1])
        assert place.report() == was
        return True
    place.ask(back[0], **back[1])
    return False


def a_dying_worker_leaves_what_can_be_removed(place):
    at_every_point(place, DIE, dies)


# ---- report ----

def a_report_is_bounded(place):
    need_vm()
    names = [f"fc-rootfs-x{i}" for i in range(1030)]
    for name in names:
        dm_ioctl(DM_DEV_CREATE, name)
    report = place.report()
    assert report["partial"] is True and len(report["snapshots"]) == 1024, report
    for name in names:
        dm_ioctl(DM_DEV_REMOVE, name)
    assert place.report() == EMPTY


DM_DEV_CREATE, DM_DEV_REMOVE = 0xc138fd03, 0xc138fd04
DM_IOCTL = "=3I7IQ128s129s7x"  # struct dm_ioctl: version, sizes and flags, dev, name, uuid


def dm_ioctl(what, name):
    """As dmsetup would, without a process for each."""
    with open("/dev/mapper/control", "r+b", buffering=0) as control:
        fcntl.ioctl(control, what, struct.pack(DM_IOCTL, 4, 0, 0, 312, 312, 0, 0, 0, 0, 0, 0, name.encode(), b""))


def without_device_mapper_it_says_so(place):
    if in_vm():
        raise Skipped("here is device-mapper")
    assert place.ask("remove_dm_snapshot", **GONE) == {}, "what cannot be there is absent"
    assert place.report() == EMPTY
    assert read_file("/proc/misc").find("device-mapper") < 0


main([
    handles_are_checked,
    paths_are_checked,
    only_the_owners_own_regular_files_are_taken,
    without_device_mapper_it_says_so,
    snapshot_is_made_twice_and_removed_twice,
    what_is_written_is_the_vms_own,
    the_base_is_shared,
    a_new_image_of_the_same_name_is_not_the_old_one,
    cleanup_takes_whichever_handles_there_are,
    half_a_snapshot_is_made_whole,
    other_parts_replace_what_nobody_uses,
    removal_waits_until_nobody_has_it_open,
    removal_gives_up_in_the_end,
    udev_is_told_to_keep_off,
    the_vms_file_is_looked_at_likewise,
    links_swapped_in_lead_nowhere,
    others_loop_devices_are_left_alone,
    a_loop_device_that_only_bears_our_mark_is_left_alone,
    another_vms_loop_device_is_left_alone,
    others_devices_are_left_alone,
    a_failing_effect_leaves_nothing,
    a_dying_worker_leaves_what_can_be_removed,
    a_report_is_bounded,
], Block)
