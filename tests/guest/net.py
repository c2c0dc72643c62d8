#!/usr/bin/env python3
"""The guest's network by frames, without a guest: banger-agent carries them between a tap in a namespace of its own and
passt in another, and what lies beyond is reached as from a VM.

Prints TAP.  77 where there is no passt, or no namespaces can be made.
"""
import os
import shutil
import socket
import struct
import subprocess
import sys
import urllib.request

os.environ.setdefault("BANGER", "")  # of sessions, which this is none of
import banger_session
from banger_net import Net, Place, WORLD, content, digest

AGENT = sys.argv.pop(1)
ADDRESS, GATEWAY, MTU = "10.0.2.15", "10.0.2.2", 60000
BIG = 50_000_000


class Guest:
    """A tap with our end of its frames in self.sock, and a namespace that has nothing else."""

    def __init__(self):
        self.place = Place()
        self.place.run("ip", "tuntap", "add", "eth0", "mode", "tap")
        for words in (f"link set eth0 mtu {MTU} up", f"address add {ADDRESS}/24 dev eth0", f"route add default via {GATEWAY}"):
            self.place.run("ip", *words.split())
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(30)
        self.agent = self.place.start(AGENT, "--net", "eth0", str(theirs.fileno()), pass_fds=[theirs.fileno()])
        theirs.close()
        self.got = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        self.agent.kill()
        self.agent.wait()
        self.place.close()

    def frame(self):
        """The next that the guest sends; its own resolving of neighbours by IPv6 aside."""
        while True:
            while len(self.got) < 4 or len(self.got) < 4 + struct.unpack(">I", self.got[:4])[0]:
                data = self.sock.recv(1 << 16)
                assert data, "the agent hung up"
                self.got += data
            n = struct.unpack(">I", self.got[:4])[0]
            frame, self.got = self.got[4:4 + n], self.got[4 + n:]
            if frame[12:14] != b"\x86\xdd":
                return frame

    def passt(self, net, *words):
        if not shutil.which("passt"):
            raise banger_session.Skip("passt is not installed")
        self.sock.setblocking(True)  # what passt could not send whole it sends the rest of, and waits
        with open(f"{net.top}/passt.log", "w", encoding="ascii") as log:
            passt = net.host.start("passt", "-f", "-F", str(self.sock.fileno()), "-4", "-i", "lo", "-a", ADDRESS, "-n", "24",
                                   "-g", GATEWAY, "-M", "52:55:0a:00:02:02", "--no-map-gw", "-u", "none", *words,
                                   pass_fds=[self.sock.fileno()], stderr=log)
        self.sock.close()
        return passt


def fetched(guest, path, data=None):
    """By a child there: urllib has no way to be told a namespace."""
    script = ("import sys, urllib.request; data = sys.stdin.buffer.read() or None; "
              f"sys.stdout.buffer.write(urllib.request.urlopen('http://{WORLD}{path}', data, timeout=60).read())")
    return guest.place.run(sys.executable, "-c", script, text=False, input=data or b"", stdout=subprocess.PIPE).stdout


def bytes_go_both_ways():
    with Net() as net, Guest() as guest:
        passt = guest.passt(net)
        try:
            assert fetched(guest, "/") == b"hello\n"
            assert digest(fetched(guest, f"/n/{BIG}")) == digest(content(BIG))
            assert fetched(guest, "/", content(BIG)).decode() == digest(content(BIG))
        finally:
            passt.kill()
            passt.wait()


def arp_for(address):
    return lambda f: f[12:14] == b"\x08\x06" and f[38:42] == socket.inet_aton(address)


def frames_may_come_in_pieces():
    """An answer to the guest's question who has the gateway's address, a byte at a time."""
    with Guest() as guest:
        asks = guest.place.start("ping", "-c1", "-W5", GATEWAY, stdout=subprocess.DEVNULL) if shutil.which("ping") else \
            guest.place.start(sys.executable, "-c", f"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('{GATEWAY}', 9))")
        question = guest.frame()
        while not arp_for(GATEWAY)(question):
            question = guest.frame()
        mac = bytes.fromhex("52550a000202")
        reply = question[6:12] + mac + question[12:20] + b"\0\2" + mac + question[38:42] + question[22:32]
        for byte in struct.pack(">I", len(reply)) + reply:
            guest.sock.sendall(bytes([byte]))
        packet = guest.frame()
        while packet[12:14] != b"\x08\0":
            packet = guest.frame()
        assert packet[:6] == mac, packet
        asks.kill()
        asks.wait()


def ends_at(length):
    """Whether the agent hangs up on a frame of that length."""
    with Guest() as guest:
        guest.sock.sendall(struct.pack(">I", length))
        guest.sock.sendall(b"\0" * 60)
        try:
            while guest.sock.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass
        return guest.agent.wait(timeout=30) == 0


def a_frame_that_lies_ends_the_way():
    for length in (0, 65536 + 18, 0x7fffffff, 0xffffffff):
        assert ends_at(length), length


banger_session.main([bytes_go_both_ways, frames_may_come_in_pieces, a_frame_that_lies_ends_the_way], shared=False)
