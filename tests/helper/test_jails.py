#!/usr/bin/env python3
"""Jails ahead of demand: made and released twice, taken by VMs of their slot, refused; every effect failing, every effect
the worker's last; what was put in their place."""
import errno
import os
import signal
import stat

from harness import DIE, OWNER, VM, Refused, main
from jail import ID, OTHER, RUN, SLOT, STDIO, UID, UID_FIRST, WHOLE, Jail, at_every_point, check_files, closed, gone, refused, told

SLOTS = {"first": SLOT - 1, "count": 3, "run": True, "console_stdio": True}
ROWS = [f"slot-{SLOT + i}" for i in (-1, 0, 1)]
HELD = f"slot-{SLOT} {VM}"
LEFT = [row for row in ROWS if row != f"slot-{SLOT}"]


def slots(place):
    return sorted(place.report().get("slots", []))


def ahead(place, slot=SLOT):
    return f"{place.jails}/ahead-{slot}"


def inode(path):
    return os.stat(path).st_ino


def launched(place, args):
    """Launches, looks, ends it."""
    pid, fds = place.launch(**args)
    assert told(fds[1], "read /vm/base") == "base"
    closed(fds)
    return pid


# ---- twice ----

def slots_are_prepared_and_released_twice(place):
    for _ in range(2):
        place.ask("prepare_slots.jail", **SLOTS)
        assert slots(place) == ROWS and place.report().keys() == {"slots"}
        assert sorted(os.listdir(ahead(place))) == ["console.in", "run", "vmm.log"]
    owned = {"": (0, 0, 0o711), "/run": (UID, UID, 0o700), "/vmm.log": (UID, OWNER, 0o640), "/console.in": (OWNER, OWNER, 0o600)}
    for part, wanted in owned.items():
        st = os.stat(ahead(place) + part)
        assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == wanted, f"{part}: {st}"
    for _ in range(2):
        place.ask("release_slots.jail", **SLOTS)
        assert place.report() == {} and os.listdir(place.jails) == []
    place.ask("prepare_slots.jail", first=0, count=64)
    assert len(slots(place)) == 64
    place.ask("release_slots.jail", first=0, count=64)


def a_jail_of_other_parts_is_made_to_fit(place):
    for run, stdio, parts in ((True, True, ["console.in", "run", "vmm.log"]), (False, True, ["console.in", "vmm.log"]),
                              (True, False, ["run", "vmm.log"]), (False, False, ["vmm.log"])):
        place.ask("prepare_slots.jail", first=SLOT, count=1, run=run, console_stdio=stdio)
        assert sorted(os.listdir(ahead(place))) == parts
    place.ask("release_slots.jail", first=SLOT, count=1)


# ---- taken ----

def a_vm_takes_the_jail_of_its_slot(place):
    for args in (STDIO, WHOLE, RUN):
        place.ask("prepare_slots.jail", **SLOTS)
        number, others = inode(ahead(place)), inode(ahead(place, SLOT + 1))
        pid, fds = place.launch(**args)
        mine = f"{place.jails}/{VM}"
        assert inode(mine) == number and not os.path.exists(ahead(place)), "it was renamed, not made anew"
        assert slots(place) == sorted([HELD, *LEFT]) and inode(ahead(place, SLOT + 1)) == others
        assert os.path.isdir(f"{mine}/run") == args.get("run", False), "what it is not to have is not there"
        assert os.path.exists(f"{mine}/console.in") == args.get("console_stdio", False)
        assert stat.S_ISLNK(os.lstat(f"{mine}/vmm").st_mode) and sorted(told(fds[1], "list /").split()) == ["dev", "vm"]
        closed(fds)
        place.away()
        gone(pid)
        assert slots(place) == LEFT, "it does not come back"
        check_files(place)
    place.ask("release_slots.jail", **SLOTS)


def a_jail_is_the_same_whether_it_was_made_ahead_or_not(place):
    def seen(args):
        _, fds = place.launch(**args)
        found = {}
        for folder, names, files in os.walk(f"{place.jails}/{VM}"):
            for path in [folder, *(os.path.join(folder, n) for n in names + files)]:
                st = os.lstat(path)
                found[os.path.relpath(path, place.jails)] = (st.st_mode, st.st_uid, st.st_gid, st.st_nlink)
        closed(fds)
        place.away()
        return found

    for args in (STDIO, WHOLE, RUN):
        alone = seen(args)
        place.ask("prepare_slots.jail", **SLOTS)
        assert seen(args) == alone
        place.ask("release_slots.jail", **SLOTS)


def the_slot_of_a_vm_that_runs_may_be_prepared(place):
    """For the next one: its own is not touched."""
    pid, fds = place.launch(**STDIO)
    number = inode(f"{place.jails}/{VM}")
    place.ask("prepare_slots.jail", **SLOTS)
    assert slots(place) == sorted([HELD, *ROWS])
    closed(fds)
    assert launched(place, STDIO) == pid, "it runs on, in the jail that it has"
    place.ask("signal_vmm", **ID, signal=signal.SIGKILL)
    gone(pid)
    assert launched(place, STDIO) != pid and f"slot-{SLOT}" in slots(place), "and is launched anew"
    assert inode(f"{place.jails}/{VM}") == number, "in that same one"
    place.ask("release_slots.jail", **SLOTS)
    assert slots(place) == [HELD]
    place.away()


def another_vm_of_the_slot_does_not_take_it(place):
    """Who has the slot is asked first."""
    launched(place, STDIO)
    place.ask("prepare_slots.jail", **SLOTS)
    number = inode(ahead(place))
    refused(place, "launch_vmm", {**RUN, "vm": OTHER}, f"slot: {SLOT} is that of {VM}")
    assert inode(ahead(place)) == number
    place.ask("release_slots.jail", **SLOTS)
    place.away()


# ---- refused ----

def arguments_are_checked(place):
    for method in ("prepare_slots.jail", "release_slots.jail"):
        for more in ({"first": 4096}, {"first": 4095, "count": 2}, {"first": 4090, "count": 64}, {"first": 65535}):
            refused(place, method, {**SLOTS, **more}, "slot: ")
        for more, field in (({"count": 0}, "count: "), ({"count": 65}, "count: "), ({"first": 65536}, "first: "), ({"first": -1}, "first: "),
                            ({"run": 1}, "run: ")):
            refused(place, method, {**SLOTS, **more}, field, code="request.bad")
    assert place.report() == {}


def what_lies_in_the_place_of_one_is_left_alone(place):
    """A link, a file: neither followed nor taken nor removed, and the others go."""
    victim = os.path.join(place.top, "victim")
    os.mkdir(victim)
    with open(f"{victim}/run", "w", encoding="utf-8"):
        pass
    for put in (lambda at: os.symlink(victim, at), lambda at: os.mknod(at, 0o600)):
        place.ask("prepare_slots.jail", **SLOTS)
        place.ask("release_slots.jail", first=SLOT, count=1)
        put(ahead(place))
        refused(place, "launch_vmm", RUN, f"jail: ahead-{SLOT}")
        refused(place, "prepare_slots.jail", SLOTS, f"jail: ahead-{SLOT}")
        assert os.listdir(place.jails) == [f"ahead-{SLOT}"], "all that a failed one has made is gone"
        place.ask("prepare_slots.jail", first=SLOT + 1, count=1)
        refused(place, "release_slots.jail", SLOTS, f"jail: ahead-{SLOT}")
        assert os.listdir(place.jails) == [f"ahead-{SLOT}"], "it does not stop half way"
        os.unlink(ahead(place))
    assert os.listdir(victim) == ["run"] and place.report() == {}


def without_a_vmm_there_is_nothing_to_prepare():
    from harness import Place
    place = Place()
    refused(place, "prepare_slots.jail", SLOTS, "vmm: none is configured")
    place.close()


# ---- every effect fails, every effect is the worker's last ----

def made(place, end):
    """Makes them; if that is hit, end() looks."""
    try:
        place.ask("prepare_slots.jail", **SLOTS)
    except Refused as e:
        place.faults.none()
        end(e)
        return True
    place.ask("release_slots.jail", **SLOTS)
    return False


def taken(place, args, end):
    """Launches into one; if that is hit, end() looks."""
    try:
        _, fds = place.launch(**args)
    except Refused as e:
        place.faults.none()
        end(e)
        check_files(place)
        return True
    closed(fds)
    place.away()
    return False


def prepared_then(place, args, end):
    """The plan counts from the launch on: what goes before it is another operation."""
    at, action = place.faults.planned
    place.faults.none()
    place.ask("prepare_slots.jail", **SLOTS)
    place.faults.plan(at, action)
    hit = taken(place, args, end)
    place.ask("release_slots.jail", **SLOTS)
    assert place.report() == {}, place.report()
    return hit


def is_injected(place, left):
    def end(e):
        assert "Input/output error" in e.message, e
        assert slots(place) in left and place.report().get("jails") is None, f"{e}: left {place.report()}"
    return end


def is_death(place, undo):
    def end(e):
        assert e.code == "helper.worker" and "signal" in e.message, e
        undo()
    return end


def a_failing_effect_leaves_nothing(place):
    points = at_every_point(place, errno.EIO, lambda: made(place, is_injected(place, [[]])))
    assert points >= 3 * 5, f"{points} points only"
    for args in (STDIO, WHOLE, RUN):
        assert at_every_point(place, errno.EIO, lambda args=args: prepared_then(place, args, is_injected(place, [LEFT, ROWS]))) > 5


def a_dying_worker_leaves_what_can_be_released(place):
    def released():
        place.ask("release_slots.jail", **SLOTS)
        assert place.report() == {}
        place.ask("prepare_slots.jail", **SLOTS)  # and made again
        assert slots(place) == ROWS
        place.ask("release_slots.jail", **SLOTS)

    def cleared():
        place.away()
        assert slots(place) in (LEFT, ROWS)

    at_every_point(place, DIE, lambda: made(place, is_death(place, released)))
    for args in (STDIO, RUN):
        at_every_point(place, DIE, lambda args=args: prepared_then(place, args, is_death(place, cleared)))


def half_made_ones_are_completed(place):
    """By who asks again, without a release in between."""
    def end():
        place.ask("prepare_slots.jail", **SLOTS)
        assert slots(place) == ROWS and sorted(os.listdir(ahead(place))) == ["console.in", "run", "vmm.log"]
        assert os.stat(f"{ahead(place)}/run").st_uid == UID_FIRST + SLOT
        place.ask("release_slots.jail", **SLOTS)

    at_every_point(place, DIE, lambda: made(place, is_death(place, end)))


main([
    slots_are_prepared_and_released_twice,
    a_jail_of_other_parts_is_made_to_fit,
    a_vm_takes_the_jail_of_its_slot,
    a_jail_is_the_same_whether_it_was_made_ahead_or_not,
    the_slot_of_a_vm_that_runs_may_be_prepared,
    another_vm_of_the_slot_does_not_take_it,
    arguments_are_checked,
    what_lies_in_the_place_of_one_is_left_alone,
    without_a_vmm_there_is_nothing_to_prepare,
    a_failing_effect_leaves_nothing,
    a_dying_worker_leaves_what_can_be_released,
    half_made_ones_are_completed,
], Jail)
