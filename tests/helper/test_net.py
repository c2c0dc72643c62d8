#!/usr/bin/env python3
"""The worker `net`: each operation accepted and refused, twice present and absent, failing at every effect, its
worker killed at every effect; attacks.  The host is looked at with ip(8) and nft(8)."""
import errno
import fcntl
import os
import signal
import struct
import time

from harness import DEADLINE_S, DIE, HANG, OWNER, TAP, VM, Place, Refused, links, main, read_file, ruleset, run

BRIDGE = {"bridge": "br-fc"}
VM_TAP = {"bridge": "br-fc", "slot": 3, "vm": VM}
SLOT_TAP = {"bridge": "br-fc", "slot": 4}
NAT = {"bridge": "br-fc", "slot": 3, "vm": VM, "address": "10.97.0.9"}
SLOTS = {"bridge": "br-fc", "first": 10, "count": 3}
EMPTY = {}
LONG = "br-fc-0123456789"  # 16 characters


def refused(place, method, args, code, *words):
    """The request is refused with this code, and its message holds the words: the field above all."""
    try:
        place.ask(method, **args)
    except Refused as e:
        assert e.code == code, f"{method} {args}: {e}"
        for word in words:
            assert word in e.message, f"{method} {args}: {e}"
        return
    raise AssertionError(f"{method} {args} was accepted")


# ---- bridge ----

def bridge_is_made_twice_and_removed_twice(place):
    for _ in range(2):
        assert place.ask("ensure_bridge", **BRIDGE) == {"bridge": "br-fc", "address": "10.97.0.1", "prefix": 16, "slots": 4096}
        link = links()["br-fc"]
        assert link["linkinfo"]["info_kind"] == "bridge" and "UP" in link["flags"], link
        assert link["address"] == "02:fc:0a:61:00:01" and link["inet6_addr_gen_mode"] == "none", link
        assert "inet 10.97.0.1/16" in run("ip", "address", "show", "br-fc")
        assert place.report() == {"bridges": ["br-fc"]}
    assert "policy accept" in ruleset() and '"br-fc"' in ruleset()
    for _ in range(2):
        assert place.ask("remove_bridge", **BRIDGE) == {}
        assert "br-fc" not in links() and ruleset() == ""
    assert place.report() == EMPTY


def the_firewall_is_what_was_meant(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("create_tap", **VM_TAP)
    place.ask("ensure_nat", **NAT)
    with open(os.path.join(os.path.dirname(__file__), "firewall.nft"), encoding="utf-8") as f:
        wanted = f.read()
    assert ruleset() == wanted, ruleset()
    place.ask("ensure_bridge", **BRIDGE)  # made anew, and the sets are left alone
    assert ruleset() == wanted, ruleset()
    take_down(place)


def the_firewall_goes_with_the_last_bridge(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("ensure_bridge", bridge="br-fc-two")
    place.ask("remove_bridge", **BRIDGE)
    assert '"br-fc-two"' in ruleset() and '"br-fc"' not in ruleset()
    place.ask("remove_bridge", bridge="br-fc-two")
    assert ruleset() == ""


def bridge_with_ports_stays(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("create_tap", **VM_TAP)
    refused(place, "remove_bridge", BRIDGE, "net.busy", "br-fc", "1 ports")
    assert "br-fc" in links() and '"br-fc"' in ruleset()
    take_down(place)


def bridge_names_are_checked(place):
    for name in ("eth0", "lo", "br-fcx", "br-fc-", "br-fc two", "br/fc", "../br-fc", "br-fc:1", "BR-FC", "br-fc\n", LONG,
                 "br-fc*", "\u00e4"):
        refused(place, "ensure_bridge", {"bridge": name}, "helper.refused", "bridge: ")
    refused(place, "ensure_bridge", {"bridge": "br-fc-other"}, "helper.refused", "bridge: ", "not configured")
    refused(place, "ensure_bridge", {"bridge": ""}, "request.bad", "bridge: ")
    refused(place, "ensure_bridge", {}, "request.bad", "bridge: missing")
    refused(place, "ensure_bridge", {"bridge": "br-fc", "address": "10.0.0.1/8"}, "request.bad", "address")
    assert set(links()) == {"lo"}


def somebody_elses_link_is_left_alone(place):
    run("ip", "link", "add", "br-fc", "type", "veth", "peer", "name", "other")
    refused(place, "ensure_bridge", BRIDGE, "helper.refused", "no bridge")
    refused(place, "remove_bridge", BRIDGE, "helper.refused", "no bridge")
    refused(place, "create_tap", VM_TAP, "helper.refused", "no bridge")
    assert {"br-fc", "other"} <= set(links())
    run("ip", "link", "del", "br-fc")


# ---- tap ----

def tap_is_made_twice_and_removed_twice(place):
    place.ask("ensure_bridge", **BRIDGE)
    for _ in range(2):
        assert place.ask("create_tap", **VM_TAP) == {"tap": TAP, "uid": 200003}
        check_tap(TAP, 200003)
        assert place.report()["taps"] == [TAP]
    for _ in range(2):
        assert place.ask("delete_tap", **VM_TAP) == {}
        assert TAP not in links()
    place.ask("remove_bridge", **BRIDGE)
    assert place.report() == EMPTY


def report_of_the_next(place):
    """A question that was with the worker when it died has its error."""
    try:
        return place.report()
    except Refused as e:
        assert e.code == "helper.worker", e
        return place.report()


def tap_is_out_of_use_before_it_is_gone(place):
    """What delete_tap answers for, and what comes behind: also when its worker does not live to do it."""
    place.ask("ensure_bridge", **BRIDGE)
    for end in ("host_report", "worker"):
        place.ask("create_tap", **VM_TAP)
        index = links()[TAP]["ifindex"]
        place.ask("delete_tap", **VM_TAP)
        aside = [link for link in links().values() if link["ifindex"] == index]
        for link in aside:  # unless it is gone already
            assert link["ifname"].startswith("bg-x") and "UP" not in link["flags"] and "master" not in link, link
        if end == "worker":
            os.kill(place.helper.workers()["net"], signal.SIGKILL)
        assert report_of_the_next(place) == {"bridges": ["br-fc"]}
        assert not any(name.startswith("bg-") for name in links()), links()
    place.ask("remove_bridge", **BRIDGE)


def check_tap(name, uid):
    link = links()[name]
    data, port = link["linkinfo"]["info_data"], link["linkinfo"]["info_slave_data"]
    assert link["linkinfo"]["info_kind"] == "tun" and data["type"] == "tap" and data["persist"], link
    assert data["user"] == uid and link["master"] == "br-fc" and port["isolated"], link
    assert "UP" in link["flags"] and link["inet6_addr_gen_mode"] == "none", link


def tap_without_a_vm_is_named_after_its_slot(place):
    place.ask("ensure_bridge", **BRIDGE)
    assert place.ask("create_tap", **SLOT_TAP) == {"tap": "bg-s4", "uid": 200004}
    check_tap("bg-s4", 200004)
    place.ask("delete_tap", **SLOT_TAP)
    place.ask("remove_bridge", **BRIDGE)


TUNSETIFF, TUNGETIFF = 0x400454ca, 0x800454d2
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000


def tap_comes_opened_where_that_is_asked_for(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("create_tap", **VM_TAP, descriptor=True)
    fd, = place.client.take_fds()
    name, flags = struct.unpack("16sH14x", fcntl.ioctl(fd, TUNGETIFF, bytes(32)))
    assert name.rstrip(b"\0").decode() == TAP and flags & IFF_TAP and flags & IFF_VNET_HDR, (name, flags)
    # Held by a VMM it is left as it is; opened twice it cannot be.
    assert place.ask("create_tap", **VM_TAP)["tap"] == TAP
    check_tap(TAP, 200003)
    refused(place, "create_tap", {**VM_TAP, "descriptor": True}, "net.busy", TAP, "TUNSETIFF")
    assert TAP not in links(), "a failed create_tap is undone"
    os.close(fd)
    place.ask("remove_bridge", **BRIDGE)


def open_tap(name, uid=None):
    """As a VMM would, with this uid."""
    pid = os.fork()
    if pid == 0:
        try:
            fd = os.open("/dev/net/tun", os.O_RDWR)
            if uid is not None:
                os.setresuid(uid, uid, uid)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH14x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
            os._exit(0)
        except OSError as e:
            os._exit(e.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def only_the_slots_uid_may_open_the_tap(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("create_tap", **VM_TAP)
    assert open_tap(TAP, 200003) == 0, os.strerror(open_tap(TAP, 200003))
    assert open_tap(TAP, 200004) == errno.EPERM
    assert open_tap(TAP, OWNER) == errno.EPERM
    take_down(place)


def tap_changes_its_owner_with_its_slot(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("create_tap", **VM_TAP)
    assert place.ask("create_tap", **{**VM_TAP, "slot": 5})["uid"] == 200005
    check_tap(TAP, 200005)
    take_down(place)


def tap_arguments_are_checked(place):
    place.ask("ensure_bridge", **BRIDGE)
    for args, field in (({"slot": 4096}, "slot: "), ({"bridge": "br-fc-other"}, "bridge: "), ({"bridge": "lo"}, "bridge: ")):
        refused(place, "create_tap", {**VM_TAP, **args}, "helper.refused", field)
        refused(place, "delete_tap", {**VM_TAP, **args}, "helper.refused", field)
    for args, field in (({"slot": 65536}, "slot: "), ({"slot": -1}, "slot: "), ({"slot": "3"}, "slot: "),
                        ({"vm": "../../etc/pa"}, "vm: "), ({"vm": "0" * 12}, "vm: "), ({"vm": "eth0"}, "vm: "),
                        ({"vm": "00000014d2j/"}, "vm: "), ({"vm": VM + "x"}, "vm: "), ({"uid": 0}, "uid"),
                        ({"tap": "eth0"}, "tap")):
        refused(place, "create_tap", {**VM_TAP, **args}, "request.bad", field)
    refused(place, "create_tap", {**VM_TAP, "bridge": "br-fc-two"}, "net.failed", "br-fc-two", "ensure_bridge")
    assert place.report() == {"bridges": ["br-fc"]}
    place.ask("remove_bridge", **BRIDGE)


def a_link_with_a_taps_name_is_left_alone(place):
    place.ask("ensure_bridge", **BRIDGE)
    run("ip", "link", "add", TAP, "type", "veth", "peer", "name", "other")
    refused(place, "create_tap", VM_TAP, "helper.refused", TAP, "no tap")
    refused(place, "delete_tap", VM_TAP, "helper.refused", TAP, "no tap")
    assert TAP in links() and "master" not in links()[TAP]
    run("ip", "link", "del", TAP)
    run("ip", "tuntap", "add", TAP, "mode", "tun")  # of the other kind
    refused(place, "create_tap", VM_TAP, "helper.refused", TAP, "no tap")
    run("ip", "link", "del", TAP)
    place.ask("remove_bridge", **BRIDGE)


# ---- NAT ----

def elements():
    """What the three sets hold of a guest."""
    return {(family, name): "10.97.0.9" in run("nft", "list", "set", family, "banger", name)
            for family, name in (("ip", "nat"), ("bridge", "nat"), ("bridge", "addresses"))}


def nat_is_made_twice_and_removed_twice(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("create_tap", **VM_TAP)
    for _ in range(2):
        assert place.ask("ensure_nat", **NAT) == {}
        assert all(elements().values()), elements()
        assert place.report()["nat"] == [TAP + " 10.97.0.9"]
        assert read_file("/proc/sys/net/ipv4/ip_forward") == "1\n"
    for _ in range(2):
        assert place.ask("remove_nat", **NAT) == {}
        assert not any(elements().values()), elements()
    place.ask("delete_tap", **VM_TAP)
    assert place.ask("remove_nat", **NAT) == {}, "absent is success, whatever else is absent"
    place.ask("remove_bridge", **BRIDGE)
    assert place.ask("remove_nat", **NAT) == {}
    assert place.report() == EMPTY


def nat_comes_back_after_a_flush(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("create_tap", **VM_TAP)
    run("nft", "flush", "ruleset")
    place.ask("ensure_nat", **NAT)
    assert all(elements().values()) and '"br-fc"' in ruleset(), ruleset()
    take_down(place)


def nat_arguments_are_checked(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("create_tap", **VM_TAP)
    bad = ("10.97.0.9 ", " 10.97.0.9", "10.97.0.9/32", "10.97.0.9:80", "10.97.0.09", "010.97.0.9", "10.97.9", "0x0a610009",
           "173080585", "::ffff:10.97.0.9", "fe80::1", "10.97.0.9;drop", "localhost", "10.97.0.9\n", "10.97.0.256",
           "10.98.0.9", "8.8.8.8", "127.0.0.1", "0.0.0.0", "255.255.255.255", "10.97.0.0", "10.97.255.255", "10.97.0.1")
    for address in bad:
        refused(place, "ensure_nat", {**NAT, "address": address}, "helper.refused", "address: ")
        refused(place, "remove_nat", {**NAT, "address": address}, "helper.refused", "address: ")
    refused(place, "ensure_nat", {**NAT, "address": ""}, "request.bad", "address: ")
    refused(place, "ensure_nat", {**NAT, "slot": 4096}, "helper.refused", "slot: ")
    refused(place, "ensure_nat", {**NAT, "bridge": "eth0"}, "helper.refused", "bridge: ")
    assert place.report() == {"bridges": ["br-fc"], "taps": [TAP]}
    take_down(place)


def nat_is_for_ports_of_our_bridge_only(place):
    refused(place, "ensure_nat", NAT, "helper.refused", "tap: ", "not there")
    place.ask("ensure_bridge", **BRIDGE)
    refused(place, "ensure_nat", NAT, "helper.refused", "tap: ", "not there")
    run("ip", "tuntap", "add", TAP, "mode", "tap")
    refused(place, "ensure_nat", NAT, "helper.refused", "tap: ", "no port of br-fc")
    place.ask("ensure_bridge", bridge="br-fc-two")
    run("ip", "link", "set", TAP, "master", "br-fc-two")
    refused(place, "ensure_nat", NAT, "helper.refused", "tap: ", "no port of br-fc")
    run("ip", "link", "add", "othr", "type", "bridge")
    run("ip", "link", "set", TAP, "master", "othr")
    refused(place, "ensure_nat", NAT, "helper.refused", "tap: ", "no port of br-fc")
    run("ip", "link", "del", TAP)
    run("ip", "link", "add", TAP, "type", "veth", "peer", "name", "other")  # a port, and no tap
    run("ip", "link", "set", TAP, "master", "br-fc")
    refused(place, "ensure_nat", NAT, "helper.refused", "tap: ", "no port of br-fc")
    run("ip", "link", "del", TAP)
    run("ip", "link", "del", "othr")
    assert "nat" not in place.report()
    place.ask("remove_bridge", **BRIDGE)
    place.ask("remove_bridge", bridge="br-fc-two")


# ---- slots ----

def slots_are_prepared_and_released_twice(place):
    place.ask("ensure_bridge", **BRIDGE)
    for _ in range(2):
        place.ask("prepare_slots.net", **SLOTS)
        for slot in (10, 11, 12):
            check_tap(f"bg-s{slot}", 200000 + slot)
        assert len(place.report()["taps"]) == 3
    place.ask("delete_tap", bridge="br-fc", slot=11)
    for _ in range(2):
        place.ask("release_slots.net", **SLOTS)
        assert "taps" not in place.report()
    place.ask("prepare_slots.net", bridge="br-fc", first=0, count=64)
    assert len(place.report()["taps"]) == 64
    place.ask("release_slots.net", bridge="br-fc", first=0, count=64)
    place.ask("remove_bridge", **BRIDGE)


def a_link_that_bears_the_mark_of_deletion_is_left_alone(place):
    """Slots go together, by a number that somebody else may have given to a link of his."""
    run("ip", "link", "add", "other", "group", str(0x62616e67), "type", "bridge")
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("prepare_slots.net", **SLOTS)
    place.ask("release_slots.net", **SLOTS)
    assert place.report() == {"bridges": ["br-fc"]} and "other" in links()
    run("ip", "link", "del", "other")
    place.ask("remove_bridge", **BRIDGE)


def slots_that_are_no_taps_are_left_alone(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("prepare_slots.net", **SLOTS)
    run("ip", "link", "del", "bg-s11")
    run("ip", "link", "add", "bg-s11", "type", "veth", "peer", "name", "other")
    refused(place, "release_slots.net", SLOTS, "helper.refused", "bg-s11", "no tap")
    assert place.report()["taps"] == ["bg-s11"], "undo goes on to the end"
    run("ip", "link", "del", "other")
    place.ask("remove_bridge", **BRIDGE)


def slot_arguments_are_checked(place):
    place.ask("ensure_bridge", **BRIDGE)
    refused(place, "prepare_slots.net", {**SLOTS, "first": 4095, "count": 2}, "helper.refused", "slot: ")
    refused(place, "prepare_slots.net", {**SLOTS, "count": 65}, "request.bad", "count: ")
    refused(place, "prepare_slots.net", {**SLOTS, "count": 0}, "request.bad", "count: ")
    refused(place, "prepare_slots.net", {**SLOTS, "first": 65536}, "request.bad", "first: ")
    refused(place, "prepare_slots.net", {**SLOTS, "bridge": "lo"}, "helper.refused", "bridge: ")
    assert place.report() == {"bridges": ["br-fc"]}
    place.ask("remove_bridge", **BRIDGE)


# ---- every effect fails, every effect is the worker's last ----

# operation, its arguments, what must be there before, its opposite
PAIRS = [
    ("ensure_bridge", BRIDGE, [], "remove_bridge"),
    ("create_tap", VM_TAP, [("ensure_bridge", BRIDGE)], "delete_tap"),
    ("create_tap", {**VM_TAP, "descriptor": True}, [("ensure_bridge", BRIDGE)], "delete_tap"),
    ("ensure_nat", NAT, [("ensure_bridge", BRIDGE), ("create_tap", VM_TAP)], "remove_nat"),
    ("prepare_slots.net", SLOTS, [("ensure_bridge", BRIDGE)], "release_slots.net"),
]
POINTS_MAX = 100


def take_down(place):
    for method, args in (("remove_nat", NAT), ("delete_tap", VM_TAP), ("release_slots.net", SLOTS), ("remove_bridge", BRIDGE)):
        place.ask(method, **args)


def at_every_point(place, action, story):
    """Runs the story of each pair with its first effect failing, then its second, ..., until none is left."""
    for method, args, before, opposite in PAIRS:
        for earlier, earlier_args in before:
            place.ask(earlier, **earlier_args)
        was = place.report()
        for point in range(1, POINTS_MAX):
            place.faults.plan(point, action)
            hit = story(place, method, args, opposite, was)
            place.faults.none()
            if not hit:
                break
        else:
            raise AssertionError(f"{method} has no end")
        assert point > 2, f"{method} has {point - 1} points only: they are not reached"
        take_down(place)


def fails(place, method, args, opposite, was):
    try:
        place.ask(method, **args)
    except Refused as e:
        assert e.code == "net.failed" and "Input/output error" in e.message, e
        assert place.report() == was, f"{e}: left {place.report()}"
        return True
    for fd in place.client.take_fds():
        os.close(fd)
    place.ask(opposite, **args)
    return False


def a_failing_effect_leaves_nothing(place):
    at_every_point(place, errno.EIO, fails)


def dies(place, method, args, opposite, was):
    try:
        place.ask(method, **args)
    except Refused as e:
        assert e.code == "helper.worker" and e.error["retryable"] and "signal" in e.message, e
        place.faults.none()
        place.ask(opposite, **args)  # the next worker does it
        assert place.report() == was, f"{e}: left {place.report()}"
        place.ask(method, **args)  # and the request may be repeated
        for fd in place.client.take_fds():
            os.close(fd)
        place.ask(opposite, **args)
        assert place.report() == was
        return True
    for fd in place.client.take_fds():
        os.close(fd)
    place.ask(opposite, **args)
    return False


def a_dying_worker_leaves_what_can_be_removed(place):
    at_every_point(place, DIE, dies)


# ---- what comes behind the answer of delete_tap ----

def aside():
    return sorted(name for name in links() if name.startswith("bg-x"))


def until(what, said):
    end = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < end, said()
        time.sleep(0.01)


def await_log(place, words):
    until(lambda: words in place.helper.log(), place.helper.log)


def await_none_aside():
    until(lambda: not aside(), aside)


def delete_in_vain(place, point, action):
    """delete_tap answers, and what comes behind does not get done."""
    place.ask("create_tap", **VM_TAP)
    place.faults.plan(point, action, behind=True)
    place.ask("delete_tap", **VM_TAP)


def a_deletion_that_fails_is_told_shown_and_tried_again(place):
    """Nobody has to ask for anything until it is done."""
    place.ask("ensure_bridge", **BRIDGE)
    delete_in_vain(place, 1, errno.EBUSY)
    await_log(place, "ev=taps.late failures=4 error=\"delete: injected: Device or resource busy\"")
    assert TAP not in links() and len(aside()) == 1
    report = place.report()
    assert report["taps"] == aside() and len(report["taps"]) == 1, report
    place.faults.none()
    await_none_aside()
    await_log(place, "ev=taps.gone failures=")
    delete_in_vain(place, 2, errno.EIO)  # done, and the answer lost
    await_log(place, "ev=taps.late failures=1 error=\"delete: injected: Input/output error\"")
    await_none_aside()
    place.faults.none()
    assert place.report() == {"bridges": ["br-fc"]}
    place.ask("remove_bridge", **BRIDGE)


def a_worker_that_dies_of_it_leaves_it_to_the_next(place):
    place.ask("ensure_bridge", **BRIDGE)
    for point in (1, 2):
        delete_in_vain(place, point, DIE)
        await_log(place, "ev=worker.died worker=net")
        place.faults.none()
        await_none_aside()
    assert report_of_the_next(place) == {"bridges": ["br-fc"]}
    place.ask("remove_bridge", **BRIDGE)


def a_worker_that_hangs_in_it_is_replaced(place):
    """By the deadline of whoever asks next; what he asked for may be asked for again."""
    place.ask("ensure_bridge", **BRIDGE)
    delete_in_vain(place, 1, HANG)
    until(lambda: place.faults.passed() == 1, place.helper.log)
    place.client.begin("create_tap", **VM_TAP)
    try:
        place.client.end()
        raise AssertionError("it hangs, and answers")
    except Refused as e:
        assert e.code == "helper.worker" and "deadline" in e.message, e
    place.faults.none()
    place.ask("create_tap", **VM_TAP)
    await_none_aside()
    take_down(place)


def its_name_is_free_while_the_old_one_goes(place):
    """Whatever else has happened to the old one: the new one is not taken for it."""
    place.ask("ensure_bridge", **BRIDGE)
    for generation in range(1, 4):
        delete_in_vain(place, 1, errno.EIO)
        assert len(aside()) == generation
    assert place.ask("create_tap", **VM_TAP)["tap"] == TAP
    check_tap(TAP, 200003)
    index = links()[TAP]["ifindex"]
    assert sorted(place.report()["taps"]) == sorted([TAP, *aside()])
    place.faults.none()
    await_none_aside()
    assert links()[TAP]["ifindex"] == index
    check_tap(TAP, 200003)
    take_down(place)


def what_a_helper_leaves_goes_with_the_next(place):
    place.ask("ensure_bridge", **BRIDGE)
    delete_in_vain(place, 1, errno.EIO)
    place.client.close()
    assert place.helper.stop() == 0 and len(aside()) == 1
    place.faults.none()
    place.helper.start()
    place.client = place.helper.client()
    place.ask = place.client.ask
    await_none_aside()
    take_down(place)


def many_go_as_well_one_by_one(place):
    """More than a worker has room for, while somebody else bears the mark, so that they cannot go together."""
    run("ip", "link", "add", "other", "group", str(0x62616e67), "type", "bridge")
    place.ask("ensure_bridge", **BRIDGE)
    ids = [VM[:-2] + a + b for a in "0123456789" for b in "0123456"]
    place.faults.plan(1, errno.EIO, behind=True)
    for vm in ids:
        place.ask("create_tap", **{**VM_TAP, "vm": vm})
        place.ask("delete_tap", **{**VM_TAP, "vm": vm})
    assert len(aside()) == len(ids) > 64
    place.faults.none()
    await_none_aside()
    assert "other" in links()
    run("ip", "link", "del", "other")
    place.ask("remove_bridge", **BRIDGE)


def one_that_cannot_be_set_aside_goes_at_once(place):
    """Its other name is somebody's already; what bears the mark all the same is not used again."""
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("create_tap", **VM_TAP)
    taken = f"bg-x{links()[TAP]['ifindex']:x}"
    run("ip", "link", "add", taken, "type", "bridge")
    place.ask("delete_tap", **VM_TAP)
    assert TAP not in links() and taken in links()
    run("ip", "link", "del", taken)
    place.ask("create_tap", **VM_TAP)
    index = links()[TAP]["ifindex"]
    run("ip", "link", "set", TAP, "group", str(0x62616e67))  # as a worker leaves it that dies between mark and name
    place.ask("create_tap", **VM_TAP)
    assert links()[TAP]["ifindex"] != index, "it was to go"
    check_tap(TAP, 200003)
    place.ask("create_tap", **{**VM_TAP, "vm": VM[:-1] + "0"})
    place.ask("delete_tap", **{**VM_TAP, "vm": VM[:-1] + "0"})
    await_none_aside()
    check_tap(TAP, 200003)
    take_down(place)


# ---- races ----

def a_bridge_renamed_away_is_not_taken_for_ours(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("create_tap", **VM_TAP)
    run("ip", "link", "set", "br-fc", "down")
    run("ip", "link", "set", "br-fc", "name", "elsewhere")
    run("ip", "link", "add", "br-fc", "type", "bridge")
    refused(place, "ensure_nat", NAT, "helper.refused", "no port of br-fc")
    place.ask("create_tap", **VM_TAP)  # moves it to the bridge of that name
    assert links()[TAP]["master"] == "br-fc"
    run("ip", "link", "del", "elsewhere")
    take_down(place)


def a_report_is_bounded(place):
    """More than it may list: it says so."""
    place.ask("ensure_bridge", **BRIDGE)
    every = ", ".join(f"bg-x{i} . 10.97.{i // 250}.{i % 250 + 2}" for i in range(2100))
    run("nft", f"add element bridge banger nat {{ {every} }}")
    report = place.report()
    assert report["partial"] is True and len(report["nat"]) == 2048, len(report["nat"])
    run("nft", "flush set bridge banger nat")
    assert place.report() == {"bridges": ["br-fc"]}
    place.ask("remove_bridge", **BRIDGE)


main([
    bridge_is_made_twice_and_removed_twice,
    the_firewall_is_what_was_meant,
    the_firewall_goes_with_the_last_bridge,
    bridge_with_ports_stays,
    bridge_names_are_checked,
    somebody_elses_link_is_left_alone,
    tap_is_made_twice_and_removed_twice,
    tap_is_out_of_use_before_it_is_gone,
    tap_without_a_vm_is_named_after_its_slot,
    tap_comes_opened_where_that_is_asked_for,
    only_the_slots_uid_may_open_the_tap,
    tap_changes_its_owner_with_its_slot,
    tap_arguments_are_checked,
    a_link_with_a_taps_name_is_left_alone,
    nat_is_made_twice_and_removed_twice,
    nat_comes_back_after_a_flush,
    nat_arguments_are_checked,
    nat_is_for_ports_of_our_bridge_only,
    slots_are_prepared_and_released_twice,
    a_link_that_bears_the_mark_of_deletion_is_left_alone,
    slots_that_are_no_taps_are_left_alone,
    slot_arguments_are_checked,
    a_failing_effect_leaves_nothing,
    a_dying_worker_leaves_what_can_be_removed,
    a_deletion_that_fails_is_told_shown_and_tried_again,
    a_worker_that_dies_of_it_leaves_it_to_the_next,
    a_worker_that_hangs_in_it_is_replaced,
    its_name_is_free_while_the_old_one_goes,
    what_a_helper_leaves_goes_with_the_next,
    many_go_as_well_one_by_one,
    one_that_cannot_be_set_aside_goes_at_once,
    a_bridge_renamed_away_is_not_taken_for_ours,
    a_report_is_bounded,
])
