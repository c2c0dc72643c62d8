#!/usr/bin/env python3
"""The firewall by packets: guests are taps that this test holds open, and so is the world outside.

That something does not arrive is seen by what is sent after it and does.
"""
import fcntl
import os
import select
import socket
import struct
import time

from harness import DEADLINE_S, Place, main, run

TUNSETIFF = 0x400454ca
IFF_TAP, IFF_NO_PI = 0x2, 0x1000
HOST = "10.97.0.1"
HOST_MAC = bytes.fromhex("02fc0a610001")
WAN, WORLD = "192.0.2.1", "192.0.2.7"
WAN_MAC, WORLD_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000007")
BROADCAST = b"\xff" * 6


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def udp(source, sport, target, dport, text):
    body = struct.pack(">HHHH", sport, dport, 8 + len(text), 0) + text
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0, socket.inet_aton(source),
                       socket.inet_aton(target))
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + body


def text_of(packet):
    """(source, its port, target, its port, text) of a UDP packet, or None."""
    if packet[:1] != b"\x45" or packet[9] != 17:
        return None
    sport, dport, length = struct.unpack(">HHH", packet[20:26])
    return (socket.inet_ntoa(packet[12:16]), sport, socket.inet_ntoa(packet[16:20]), dport, packet[28:20 + length])


class Wire:
    """A tap, held open: what is sent on it, what comes out of it."""

    def __init__(self, name, mac):
        self.mac, self.fd = mac, os.open("/dev/net/tun", os.O_RDWR)
        self.senders = set()  # of all frames that came
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH14x", name.encode(), IFF_TAP | IFF_NO_PI))

    def send(self, mac, kind, payload):
        os.write(self.fd, mac + self.mac + struct.pack(">H", kind) + payload)

    def send_udp(self, mac, *packet):
        self.send(mac, 0x0800, udp(*packet))

    def arp(self, operation, sender, target, mac=BROADCAST):
        self.send(mac, 0x0806, struct.pack(">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, self.mac, socket.inet_aton(sender),
                                           bytes(6), socket.inet_aton(target)))

    def receive(self):
        """The next UDP packet; others are passed over."""
        while True:
            ready, _, _ = select.select([self.fd], [], [], DEADLINE_S)
            assert ready, "nothing comes"
            frame = os.read(self.fd, 4096)
            self.senders.add(frame[6:12])
            if frame[12:14] == b"\x08\x00" and text_of(frame[14:]):
                return text_of(frame[14:])

    def close(self):
        os.close(self.fd)


def say(address, text):
    """The host itself sends; what it says may be lost until the bridge has seen the tap's carrier."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
        host.sendto(text, (address, 9))


def connected(wire, address):
    """Repeats itself until it is heard, then hears itself out."""
    deadline = time.monotonic() + DEADLINE_S
    while not select.select([wire.fd], [], [], 0.01)[0]:
        say(address, b"are you there")
        assert time.monotonic() < deadline, f"{address} is not reached"
    say(address, b"good")
    while wire.receive()[4] != b"good":
        pass
    return wire


class World(Place):
    """Two guests on a bridge, and an interface to elsewhere."""

    def __init__(self):
        super().__init__()
        run("ip", "tuntap", "add", "wan", "mode", "tap")
        run("ip", "link", "set", "wan", "address", WAN_MAC.hex(":"), "up")
        run("ip", "address", "add", WAN + "/24", "dev", "wan")
        run("ip", "neighbour", "add", WORLD, "lladdr", WORLD_MAC.hex(":"), "dev", "wan")
        self.wan = Wire("wan", WORLD_MAC)
        self.ask("ensure_bridge", bridge="br-fc")
        self.a = self.guest(1)
        self.b = self.guest(2)
        self.nat("ensure_nat", self.b)

    def guest(self, slot):
        self.ask("create_tap", bridge="br-fc", slot=slot)
        wire = Wire(f"bg-s{slot}", bytes([2, 0, 0, 0, 1, slot]))
        wire.slot, wire.address = slot, f"10.97.0.{slot + 1}"
        # The host knows where it is, as after an exchange by ARP.
        run("ip", "neighbour", "add", wire.address, "lladdr", wire.mac.hex(":"), "dev", "br-fc", "nud", "reachable")
        return connected(wire, wire.address)

    def nat(self, method, guest):
        self.ask(method, bridge="br-fc", slot=guest.slot, address=guest.address)

    def out(self, guest, text, source=None, port=1000):
        guest.send_udp(HOST_MAC, source or guest.address, port, WORLD, 53, text)

    def arrives(self, text):
        """What comes out next is this text, and it comes from the host's address; says its port."""
        source, sport, target, dport, got = self.wan.receive()
        assert (source, target, dport, got) == (WAN, WORLD, 53, text), (source, target, dport, got)
        return sport

    def close(self):
        for guest in (self.a, self.b):
            guest.close()
            self.nat("remove_nat", guest)
            self.ask("delete_tap", bridge="br-fc", slot=guest.slot)
        self.ask("remove_bridge", bridge="br-fc")
        self.wan.close()
        run("ip", "link", "del", "wan")
        super().close()


def no_way_out_by_default(w):
    w.out(w.a, b"not allowed")
    w.out(w.b, b"allowed")
    w.arrives(b"allowed")


def nat_is_switched_while_guests_run(w):
    w.nat("ensure_nat", w.a)
    w.out(w.a, b"now allowed", port=1001)
    w.arrives(b"now allowed")
    w.nat("remove_nat", w.a)
    w.out(w.a, b"no longer", port=1002)
    w.out(w.b, b"still", port=1002)
    w.arrives(b"still")


def nat_is_bound_to_the_tap(w):
    w.out(w.a, b"as if it were b", source=w.b.address)
    w.out(w.b, b"it is b")
    w.arrives(b"it is b")
    where = ("ip", "neighbour", "show", w.b.address, "dev", "br-fc")
    w.a.arp(2, w.b.address, HOST)  # "b is where I am", as an answer
    w.a.arp(1, w.b.address, w.b.address)  # and unasked
    w.out(w.b, b"it was sent after these")
    w.arrives(b"it was sent after these")
    assert w.b.mac.hex(":") in run(*where), run(*where)


def a_guest_without_nat_may_speak_arp(w):
    """The rule against lies is not one against words: an address that is nobody's with NAT may be told."""
    run("ip", "neighbour", "del", w.a.address, "dev", "br-fc")
    w.a.arp(1, w.a.address, HOST)
    ready, _, _ = select.select([w.a.fd], [], [], DEADLINE_S)
    assert ready and w.a.mac.hex(":") in run("ip", "neighbour", "show", w.a.address, "dev", "br-fc")


def nobody_comes_in(w):
    w.out(w.b, b"question", port=2000)
    port = w.arrives(b"question")
    w.wan.send_udp(WAN_MAC, WORLD, 53, w.b.address, 2000, b"uninvited, to the guest's own address")
    w.wan.send_udp(WAN_MAC, WORLD, 53, w.a.address, 2000, b"uninvited, to the other guest")
    w.wan.send_udp(WAN_MAC, WORLD, 53, WAN, port, b"answer")
    assert w.b.receive() == (WORLD, 53, w.b.address, 2000, b"answer")


def icmp6_checksum(source, target, body):
    return checksum(source + target + struct.pack(">IxxxB", len(body), 58) + body)


def router_advertisement(mac):
    """That the sender is a router, for an hour."""
    source, target = socket.inet_pton(socket.AF_INET6, "fe80::66"), socket.inet_pton(socket.AF_INET6, "ff02::1")
    body = struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 3600, 0, 0) + b"\1\1" + mac
    body = body[:2] + struct.pack(">H", icmp6_checksum(source, target, body)) + body[4:]
    return struct.pack(">IHBB", 6 << 28, len(body), 58, 255) + source + target + body


def a_guest_is_no_router_of_the_hosts(w):
    packet = router_advertisement(w.a.mac)
    tag = struct.pack(">HH", 0, 0x8100)  # of VLAN 0, which a host takes for none at all
    all_nodes = bytes.fromhex("333300000001")
    w.a.send(all_nodes, 0x86dd, packet)
    w.a.send(all_nodes, 0x8100, tag[:2] + struct.pack(">H", 0x86dd) + packet)
    w.a.send(all_nodes, 0x8100, tag + tag[:2] + struct.pack(">H", 0x86dd) + packet)
    w.a.send(all_nodes, 0x88a8, tag + tag[:2] + struct.pack(">H", 0x86dd) + packet)
    w.out(w.b, b"it was sent after these")
    w.arrives(b"it was sent after these")
    assert run("ip", "-6", "route", "show", "default") == "", run("ip", "-6", "route")


def guests_do_not_reach_each_other(w):
    w.out(w.b, b"question", port=2001)
    port = w.arrives(b"question")
    w.a.send_udp(w.b.mac, w.a.address, 1, w.b.address, 2, b"hello neighbour")  # straight over the bridge
    w.a.send_udp(BROADCAST, w.a.address, 1, "10.97.255.255", 2, b"hello all")
    w.a.send_udp(HOST_MAC, w.a.address, 1, w.b.address, 2, b"hello by way of the host")
    w.a.arp(1, w.a.address, w.b.address)  # on hosts where bridged IP has to pass the firewall too, this has not
    w.wan.send_udp(WAN_MAC, WORLD, 53, WAN, port, b"answer")
    assert w.b.receive() == (WORLD, 53, w.b.address, 2001, b"answer")
    assert w.a.mac not in w.b.senders


def a_bridge_of_ours_is_no_way_to_another(w):
    w.ask("ensure_bridge", bridge="br-fc-two")
    w.ask("create_tap", bridge="br-fc-two", slot=5)
    c = Wire("bg-s5", bytes([2, 0, 0, 0, 1, 5]))
    run("ip", "neighbour", "add", "10.98.0.6", "lladdr", c.mac.hex(":"), "dev", "br-fc-two")
    connected(c, "10.98.0.6")
    w.b.send_udp(HOST_MAC, w.b.address, 1, "10.98.0.6", 2, b"from the other bridge")
    say("10.98.0.6", b"from the host")
    assert c.receive()[4] == b"from the host"
    c.close()
    w.ask("delete_tap", bridge="br-fc-two", slot=5)
    w.ask("remove_bridge", bridge="br-fc-two")


main([
    no_way_out_by_default,
    nat_is_switched_while_guests_run,
    nat_is_bound_to_the_tap,
    a_guest_without_nat_may_speak_arp,
    nobody_comes_in,
    a_guest_is_no_router_of_the_hosts,
    guests_do_not_reach_each_other,
    a_bridge_of_ours_is_no_way_to_another,
], World)
