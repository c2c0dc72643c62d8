#!/usr/bin/env python3
"""The worker `resolver` against a bus of its own: what systemd-resolved is told, refused, absent, failing; killed."""
import errno
import json

from harness import DIE, Place, Refused, links, main, run
from resolved import Bus

BRIDGE = {"bridge": "br-fc"}
SYNC = {**BRIDGE, "server": "127.0.0.1:42069"}


def told(index, server, port, family=2):
    return [f"SetLinkDNSEx {index} [ ( {family} [ {server} ] {port} \"\" ) ]", f"SetLinkDefaultRoute {index} 0",
            f"SetLinkDNSSEC {index} \"no\"", f"SetLinkLLMNR {index} \"no\"", f"SetLinkMulticastDNS {index} \"no\"",
            f"SetLinkDomains {index} [ ( \"vm\" 1 ) ]"]


def with_bridge(story):
    def test():
        run("ip", "link", "add", "br-fc", "type", "bridge")
        try:
            story(links()["br-fc"]["ifindex"])
        finally:
            run("ip", "link", "del", "br-fc")
    test.__name__ = story.__name__
    return test


@with_bridge
def routing_is_set_twice_and_cleared_twice(index):
    with Bus() as bus:
        place = Place()
        for _ in range(2):
            assert place.ask("sync_resolver_routing", **SYNC) == {}
        for _ in range(2):
            assert place.ask("clear_resolver_routing", **BRIDGE) == {}
        assert bus.stop_resolved() == told(index, "127 0 0 1", 42069) * 2 + [f"RevertLink {index}"] * 2, bus.lines
        place.close()


@with_bridge
def every_form_of_a_loopback_server_is_understood(index):
    v6 = "0 " * 15 + "1"
    forms = {"127.0.0.1": ("127 0 0 1", 0, 2), "127.1.2.3:1": ("127 1 2 3", 1, 2), "127.0.0.1:65535": ("127 0 0 1", 65535, 2),
             "::1": (v6, 0, 10), "[::1]": (v6, 0, 10), "[::1]:5353": (v6, 5353, 10)}
    with Bus() as bus:
        place = Place()
        for server in forms:
            place.ask("sync_resolver_routing", bridge="br-fc", server=server)
        wanted = [line for form in forms.values() for line in told(index, *form)]
        assert bus.stop_resolved() == wanted, bus.lines
        place.close()


@with_bridge
def arguments_are_checked(_):
    with Bus() as bus:
        place = Place()
        for server in ("8.8.8.8", "10.97.0.1:53", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:", "127.0.0.1:5x", ":53",
                       "127.0.0.1 :53", "127.0.0.1: 53", "localhost", "localhost:53", "127.0.0.1/8", "127.0.0.1:53:53", "::2",
                       "[::1]53", "[::1", "::1]:53", "[127.0.0.1]:-1", "fe80::1%lo", "::ffff:127.0.0.1", "0.0.0.0", "127.1",
                       "127.0.0.01", "-h", "[]:53", "[]"):
            refused(place, {**SYNC, "server": server}, "helper.refused", "server: ")
        for name in ("eth0", "lo", "br-fc other", "br-fc/", "br-fc:1", "br-fc-0123456789", "br-fc-none"):
            refused(place, {**SYNC, "bridge": name}, "helper.refused", "bridge: ")
        refused(place, BRIDGE, "helper.refused", "server: missing")
        refused(place, {**SYNC, "server": "1" * 64}, "request.bad", "server: ")
        assert bus.stop_resolved() == [], bus.lines
        place.close()


def refused(place, args, code, *words):
    try:
        place.ask("sync_resolver_routing", **args)
    except Refused as e:
        assert e.code == code and all(w in e.message for w in words), f"{args}: {e}"
        return
    raise AssertionError(f"{args} was accepted")


def a_bridge_that_is_not_there_cannot_be_routed():
    with Bus() as bus:
        place = Place()
        refused(place, SYNC, "resolver.failed", "br-fc", "No such device")
        assert place.ask("clear_resolver_routing", **BRIDGE) == {}, "absent is success"
        assert bus.stop_resolved() == [], bus.lines
        place.close()


@with_bridge
def without_a_resolver_there_is_nothing_to_clear(_):
    with Bus(resolved=False):
        place = Place()
        refused(place, SYNC, "resolver.failed", "systemd-resolved")
        assert place.ask("clear_resolver_routing", **BRIDGE) == {}
    refused(place, SYNC, "resolver.failed", "the system bus")
    assert place.ask("clear_resolver_routing", **BRIDGE) == {}
    place.close()


@with_bridge
def what_the_resolver_refuses_is_undone(index):
    for method in ("SetLinkDNSEx", "SetLinkDefaultRoute", "SetLinkDNSSEC", "SetLinkLLMNR", "SetLinkMulticastDNS",
                   "SetLinkDomains"):
        with Bus(fail=method) as bus:
            place = Place()
            refused(place, SYNC, "resolver.failed", method, "the link is managed")
            assert bus.stop_resolved()[-1] == f"RevertLink {index}", bus.lines
            place.close()
    with Bus(fail="RevertLink") as bus:
        place = Place()
        try:
            place.ask("clear_resolver_routing", **BRIDGE)
            raise AssertionError("it was accepted")
        except Refused as e:
            assert e.code == "resolver.failed" and "RevertLink" in e.message, e
        place.close()


@with_bridge
def every_effect_fails_once_and_is_the_last_once(index):
    with Bus() as bus:
        place = Place()
        for action in (errno.EIO, DIE):
            for point in (1, 2, 3):
                place.faults.plan(point, action)
                refused(place, SYNC, "helper.worker" if action == DIE else "net.failed")
            place.faults.none()
            assert place.ask("clear_resolver_routing", **BRIDGE) == {}
        assert place.ask("sync_resolver_routing", **SYNC) == {}
        lines = bus.stop_resolved()
        assert lines[-6:] == told(index, "127 0 0 1", 42069), lines
        assert lines.count(f"RevertLink {index}") == 3 + 2, json.dumps(lines)
        place.close()


main([
    routing_is_set_twice_and_cleared_twice,
    every_form_of_a_loopback_server_is_understood,
    arguments_are_checked,
    a_bridge_that_is_not_there_cannot_be_routed,
    without_a_resolver_there_is_nothing_to_clear,
    what_the_resolver_refuses_is_undone,
    every_effect_fails_once_and_is_the_last_once,
])
