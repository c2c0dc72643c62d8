#!/usr/bin/env python3
"""trim_logs: what a VM has printed long ago is given back while it runs; only of its own logs."""
import errno
import os

from harness import DIE, OWNER, VM, main, read_file
from jail import ID, PARTS, STDIO, UID, Jail, closed, refused, told

KIB = 1024
KEEP = {"console_keep": 64 * KIB, "log_keep": 16 * KIB}
LONG = 400 * KIB


def grow(path, size=LONG):
    with open(path, "ab") as f:
        f.write(b"it goes on and on\n" * (size // 18))
    return os.stat(path).st_size


def room(path):
    return os.stat(path).st_blocks * 512


def paths(place):
    return f"{place.state}/{PARTS['console']}", f"{place.jails}/{VM}/vmm.log"


def the_beginning_of_what_is_long_is_given_back(place):
    _, fds = place.launch(**STDIO)
    assert told(fds[1], "print begun") == "errno 0"  # and so its own words are out
    console, log = paths(place)
    sizes = [grow(path) for path in (console, log)]
    for _ in range(2):
        place.ask("trim_logs", **ID, **KEEP)
        for path, size, keep in ((console, sizes[0], 64 * KIB), (log, sizes[1], 16 * KIB)):
            assert os.stat(path).st_size == size and keep <= room(path) <= keep + 8 * KIB, (path, room(path))
            with open(path, "rb") as f:
                f.seek(-keep, os.SEEK_END)
                assert f.read().count(b"on and on\n") >= keep // 18 - 1 and f.seek(0) == 0 and f.read(KIB) == bytes(KIB)
    assert told(fds[1], "print more") == "errno 0" and told(fds[1], "write /vm/vmm.log") == "errno 0"
    with open(console, "rb") as f:
        f.seek(sizes[0])
        assert f.read() == b"more\n", "it goes on where it was"
    closed(fds)
    place.away()


def what_is_not_long_or_not_asked_for_stays(place):
    _, fds = place.launch(**STDIO)
    console, log = paths(place)
    grow(console)
    grow(log)
    for args in ({}, {"console_keep": 0, "log_keep": 0}, {"console_keep": LONG, "log_keep": LONG}, {"console_keep": 1 << 63, "log_keep": (1 << 64) - 1}):
        place.ask("trim_logs", **ID, **args)
        assert room(console) >= LONG - 4 * KIB and room(log) >= LONG - 4 * KIB, args
    place.ask("trim_logs", **ID, log_keep=16 * KIB)
    assert room(console) >= LONG - 4 * KIB and room(log) < 32 * KIB
    closed(fds)
    place.away()
    place.ask("trim_logs", **ID, **KEEP)  # there is no jail
    assert room(console) >= LONG - 4 * KIB


def a_vmm_that_keeps_it_closed_is_trimmed_all_the_same(place):
    _, fds = place.launch(**STDIO)
    log = paths(place)[1]
    grow(log)
    os.chmod(log, 0)
    place.ask("trim_logs", **ID, **KEEP)
    assert room(log) < 32 * KIB
    closed(fds)
    place.away()


def only_logs_of_the_slot_are_trimmed(place):
    """Whatever lies in their place."""
    _, fds = place.launch(**STDIO)
    refused(place, "trim_logs", {**ID, **KEEP, "slot": ID["slot"] + 1}, f"console: belongs to uid {UID}")
    victim, owners, own = f"{place.state}/victim", f"{place.state}/owners", f"{place.jails}/{VM}/run/own"
    for path in (victim, owners, own):
        grow(path)
    os.chown(owners, OWNER, OWNER)
    os.chown(own, UID, UID)
    for name, field in (("console", "console_keep"), ("vmm.log", "log_keep")):
        at = f"{place.jails}/{VM}/{name}"
        for make, words in ((lambda at: os.symlink(victim, at), ""), (lambda at: os.symlink("run/own", at), ""), (lambda at: os.link(victim, at), "belongs to uid 0"),
                            (lambda at: os.link(owners, at), f"belongs to uid {OWNER}"), (os.mkfifo, ""), (os.mkdir, "")):
            if os.path.lexists(at):
                os.unlink(at)
            make(at)
            refused(place, "trim_logs", {**ID, field: 4 * KIB}, f"{name}: {words}")
        os.rmdir(at)
    assert all(room(path) >= LONG - 4 * KIB for path in (victim, owners, own))
    os.unlink(victim)
    closed(fds)
    place.away()


def one_that_fails_leaves_the_other_and_is_told(place):
    _, fds = place.launch(**STDIO)
    console, log = paths(place)
    for action, code in ((errno.EIO, "net.failed"), (DIE, "helper.worker")):
        grow(console)
        grow(log)
        place.faults.plan(1, action)
        refused(place, "trim_logs", {**ID, **KEEP}, code=code)
        place.faults.none()
        assert (room(log) < 32 * KIB) == (action != DIE)
        place.ask("trim_logs", **ID, **KEEP)
        assert room(console) < 128 * KIB and room(log) < 32 * KIB
    assert read_file(console)
    closed(fds)
    place.away()


main([
    the_beginning_of_what_is_long_is_given_back,
    what_is_not_long_or_not_asked_for_stays,
    a_vmm_that_keeps_it_closed_is_trimmed_all_the_same,
    only_logs_of_the_slot_are_trimmed,
    one_that_fails_leaves_the_other_and_is_told,
], Jail)
