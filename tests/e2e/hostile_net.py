#!/usr/bin/env python3
"""Guests that lie to their network, in VMs of a running daemon: what they write goes to their own banger-net and no further.

Each VM's guest is at the other end of its vsock, as in firecracker.py, in a private internet: one is a namespace with a tap that minds
its own business, and what it asks and is asked is timed; the other is this program, which writes frames as it likes.  Held against:
the daemon's memory, the other VM's commands and network, memory, descriptors and processor time of the hostile one's own process,
and that it is the same process all along; but for who fills its memory, who loses it, gets another, and goes on.
"""
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import banger_session
from banger_net import ADDRESS, GATEWAY, Guest, Net, WORLD
from banger_session import Session, memory_kib, wait_for

DAEMON_GROWTH_KIB = 4 * 1024  # it hears nothing of it
NET_MEMORY_BYTES = 512 << 20  # src/net/limits.h
NET_MEMORY_KIB = NET_MEMORY_BYTES // 1024 + 32 * 1024  # with the program and its libraries
NET_DESCRIPTORS = 1024  # NET_SOCKETS_MAX
FRAME_MAX = 65536 + 18
CONNECTIONS = 10_000
PORT, HOSTILE_PORT = 18080, 18081
SYN, RST, ACK = 2, 4, 16
GOOD_MAC, MAC, GATEWAY_MAC = b"\x52\x54\0\0\0\1", b"\x52\x54\0\0\0\2", bytes.fromhex("52550a000202")
ME = socket.inet_aton(ADDRESS)

# Who minds its own business is asked from the host by one process, so that its answers alone take time.
ASKER = r"""import sys, time, urllib.request
for line in sys.stdin:
    begun = time.monotonic()
    assert urllib.request.urlopen(line.strip(), timeout=60).read() == b"hello\n"
    print(time.monotonic() - begun, flush=True)"""
HOLE = f"import socket, time; s = socket.create_server(('{WORLD}', 81), backlog=4096); print('listening', flush=True); time.sleep(10 ** 6)"
PUSHER = f"""import socket
s = socket.create_connection(('127.0.0.1', {HOSTILE_PORT}), 30); s.settimeout(1); n = 0
try:
    while True: n += s.send(b'x' * 65536)
except socket.timeout: print(n, flush=True)"""


# ---- frames ----

def checksum(data):
    data += b"\0" * (len(data) % 2)
    n = sum(struct.unpack(f">{len(data) // 2}H", data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return 0xffff - n


def ip(protocol, to, payload, source=ME, mac=MAC, fragment=0):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, fragment, 64, protocol, 0, source, socket.inet_aton(to))
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    return GATEWAY_MAC + mac + b"\x08\0" + head + payload


def tcp(to, source_port, port, flags, seq=0, ack=0, data=b"", **more):
    source = more.get("source", ME)
    segment = struct.pack(">HHIIBBHHH", source_port, port, seq & 0xffffffff, ack & 0xffffffff, 5 << 4, flags, 65535, 0, 0) + data
    summed = checksum(source + socket.inet_aton(to) + struct.pack(">HH", 6, len(segment)) + segment)
    return ip(6, to, segment[:16] + struct.pack(">H", summed) + segment[18:], **more)


def udp(to, source_port, port, data=b"x", **more):
    return ip(17, to, struct.pack(">HHHH", source_port, port, 8 + len(data), 0) + data, **more)


def echo(to, n, **more):
    packet = struct.pack(">BBHHH", 8, 0, 0, n & 0xffff, 1)
    return ip(1, to, packet[:2] + struct.pack(">H", checksum(packet)) + packet[4:], **more)


def arp(target, sender=ME, mac=MAC, operation=1):
    return b"\xff" * 6 + mac + b"\x08\x06" + struct.pack(">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, mac, sender, b"\0" * 6,
                                                           socket.inet_aton(target))


def dhcp(n):
    mac = struct.pack(">HI", 0x5254, n)
    bootp = struct.pack(">BBBBIHH16s", 1, 1, 6, 0, n, 0, 0, b"") + mac + b"\0" * 202 + b"\x63\x82\x53\x63\x35\1\1\xff"
    return udp("255.255.255.255", 68, 67, bootp, source=b"\0" * 4, mac=mac)


def framed(frame):
    return struct.pack(">I", len(frame)) + frame


class Liar:
    """The hostile VM's guest: a connection to its network."""

    def __init__(self, s):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(f"{s.runtime}/vm/{s.hostile}/vsock_1025")
        self.got = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def say(self, *frames):
        self.sock.sendall(b"".join(map(framed, frames)))

    def heard(self, wanted):
        """The next frame that is so."""
        deadline = time.monotonic() + 30
        while True:
            assert time.monotonic() < deadline, "nothing of that kind is heard"
            while len(self.got) < 4 or len(self.got) < 4 + struct.unpack(">I", self.got[:4])[0]:
                data = self.sock.recv(1 << 16)
                assert data, "the network hung up"
                self.got += data
            n = struct.unpack(">I", self.got[:4])[0]
            assert n <= FRAME_MAX, n
            frame, self.got = self.got[4:4 + n], self.got[4 + n:]
            if wanted(frame):
                return frame

    def answers(self):
        self.say(arp(GATEWAY))
        self.heard(lambda f: f[12:14] == b"\x08\x06" and f[20:22] == b"\0\2" and f[28:32] == socket.inet_aton(GATEWAY))

    def hung_up(self):
        with contextlib.suppress(ConnectionResetError):
            while self.sock.recv(1 << 16):
                pass
        return True


def tcp_of(frame):
    """Flags, the port that it is for, sequence number, the port that it is from; of no TCP: zeros."""
    if frame[12:14] != b"\x08\0" or frame[23] != 6:
        return 0, 0, 0, 0
    source, port, seq = struct.unpack_from(">HHI", frame, 14 + (frame[14] & 15) * 4)
    return frame[14 + (frame[14] & 15) * 4 + 13], port, seq, source


@contextlib.contextmanager
def flooding(frames):
    """Another process writes them on a connection of its own, again and again, and reads nothing."""
    read, write = os.pipe()
    with frames.liar as liar:
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(OSError):
                while True:
                    liar.sock.sendall(frames.data)
                    os.write(write, b".")
            os._exit(0)
        os.close(write)
        try:
            assert os.read(read, 1) == b".", "the network hung up"
            yield read
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(read)


class Flood:
    def __init__(self, s, frames):
        self.liar = Liar(s)
        self.liar.sock.settimeout(None)
        self.data = b"".join(map(framed, frames))


# ---- the session ----

def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


@contextlib.contextmanager
def program(place, text):
    process = place.start(sys.executable, "-c", text, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        end(process)
        process.stdin.close()


class Hostile(Session):
    def __init__(self):
        super().__init__()
        self.wrap = []
        with contextlib.ExitStack() as made:
            self.begin(made)
            self.made = made.pop_all()

    def begin(self, made):
        """What was made goes, the last of it first, also where the rest cannot be."""
        self.net = Net()
        made.push(self.net.__exit__)
        self.wrap = self.net.host.wrap
        made.callback(super().close)
        self.fake_firecracker()
        self.env["BANGER_VMM"] = "firecracker"
        self.hole = made.enter_context(program(self.net.world, HOLE))
        assert self.hole.stdout.readline() == "listening\n"
        self.fake_guest("--publish", f"{PORT}:80", name="good")
        self.fake_guest("--publish", f"{HOSTILE_PORT}:80", name="hostile")
        self.good, self.hostile = (self.json("vm", "show", name)["id"] for name in ("good", "hostile"))
        way = socket.socket(socket.AF_UNIX)
        way.connect(f"{self.runtime}/vm/{self.good}/vsock_1025")
        self.guest = Guest(f"{self.libexec}/banger-agent", way)
        made.push(self.guest.__exit__)
        self.server = Net.serve(self.guest.place, ADDRESS)
        made.callback(end, self.server)
        self.asker = made.enter_context(program(self.net.host, ASKER))

    def run(self, *args, **more):
        return super().run(*args, **{"wrap": self.wrap, **more})

    def network(self, vm):
        """The process that is this VM's, or None."""
        word = f"network=bg-{vm}.".encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as f:
                if any(w.startswith(word) for w in f.read().split(b"\0")):
                    return int(pid)
        return None

    def asked(self):
        """How long the good one's command and its published port took: the medians of some."""
        took = []
        for _ in range(5):
            begun = time.monotonic()
            assert self.run("exec", "good", "--", "echo", "well").stdout == "well\n"
            command = time.monotonic() - begun
            print(f"http://127.0.0.1:{PORT}/", file=self.asker.stdin, flush=True)
            took.append((command, float(self.asker.stdout.readline())))
        return [sorted(t)[len(t) // 2] for t in zip(*took)]

    def unnoticed(self):
        loud = self.asked()
        print("# elsewhere a command took {:.1f} ms, then {:.1f} ms; a request {:.1f} ms, then {:.1f} ms".format(
            *(t * 1000 for pair in zip(self.quiet, loud) for t in pair)))
        for before, then in zip(self.quiet, loud):
            assert then < 10 * before + 0.2, (self.quiet, loud)

    def bounded(self, pid):
        kib, files = memory_kib(pid, "Rss"), len(os.listdir(f"/proc/{pid}/fd"))
        print(f"# its network: {kib} KiB resident, {files} descriptors")
        assert kib < NET_MEMORY_KIB and files <= NET_DESCRIPTORS, (kib, files)
        with open(f"/proc/{pid}/limits", encoding="ascii") as f:
            limits = {line[:26].strip(): line[26:].split()[:2] for line in f}
        assert limits["Max data size"] == [str(NET_MEMORY_BYTES)] * 2 and limits["Max open files"] == [str(NET_DESCRIPTORS)] * 2, limits

    def close(self):
        self.made.close()


def ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:13])


def rests(pid):
    """A second of nobody saying anything costs it next to none."""
    before, begun = ticks(pid), time.monotonic()
    wait_for(lambda: time.monotonic() - begun > 1, "a second")
    spent = ticks(pid) - before
    assert spent < 0.3 * os.sysconf("SC_CLK_TCK"), f"{spent} ticks of a second"


def kept_to_itself(story):
    """What is said is the hostile one's own network's alone to bear, and that bears it."""
    def run(s):
        s.quiet = s.asked()
        daemon, good, own = s.info()["pid"], s.network(s.good), s.network(s.hostile)
        before = memory_kib(daemon)
        story(s, own)
        s.unnoticed()
        after = memory_kib(daemon)
        print(f"# {story.__name__}: the daemon took {before} KiB, then {after}")
        assert after - before < DAEMON_GROWTH_KIB, f"{before} KiB, then {after}"
        assert (s.info()["pid"], s.network(s.good)) == (daemon, good)
        assert {v["spec"]["name"]: v["state"] for v in s.vms()} == {"good": "running", "hostile": "running"}
        assert s.run("exec", "hostile", "--", "echo", "here").stdout == "here\n"
        with Liar(s) as liar:
            liar.answers()
    run.__name__ = story.__name__
    return run


def the_same(story):
    def run(s, own):
        story(s, own)
        s.bounded(own)
        assert s.network(s.hostile) == own, "its network was replaced"
    run.__name__ = story.__name__
    return kept_to_itself(run)


# ---- stories ----

@the_same
def what_is_no_frame_ends_its_connection(s, _own):
    for length in (0, FRAME_MAX + 1, 0x7fffffff, 0xffffffff):
        with Liar(s) as liar:
            liar.answers()
            liar.sock.sendall(struct.pack(">I", length) + b"\0" * 60)
            assert liar.hung_up(), length
    with Liar(s) as liar:
        liar.say(b"\0" * FRAME_MAX, b"\xff" * FRAME_MAX, b"x")  # frames, of nothing
        liar.answers()
        liar.sock.sendall(struct.pack(">I", FRAME_MAX) + b"half of one")
        s.unnoticed()  # while the rest does not come
        rests(_own)


@the_same
def who_never_reads_is_not_read_for(s, own):
    """What somebody sends it by a published port waits with who sends it."""
    with subprocess.Popen([*s.wrap, sys.executable, "-c", PUSHER], stdout=subprocess.PIPE, text=True) as pusher, Liar(s) as liar:
        liar.say(arp(GATEWAY))
        _, _, seq, port = tcp_of(liar.heard(lambda f: tcp_of(f)[:2] == (SYN, 80)))
        liar.say(tcp(GATEWAY, 80, port, SYN | ACK, 1000, seq + 1))
        sent = int(pusher.stdout.readline())
        print(f"# {sent} bytes were taken for a guest that reads none")
        assert 0 < sent < 32 << 20, sent
        s.bounded(own)
        s.unnoticed()


@the_same
def ten_thousand_connections(s, own):
    """By NAT, to who takes them and says nothing: no descriptor is left, and still it may come again."""
    with Liar(s) as liar:
        liar.answers()
        liar.say(*(tcp(WORLD, 1024 + i, 81, SYN) for i in range(CONNECTIONS)))
        liar.answers()
        s.bounded(own)
        assert len(os.listdir(f"/proc/{own}/fd")) >= NET_DESCRIPTORS - 1
        # Whoever comes by its published port waits for room, and nobody turns in circles.
        with subprocess.Popen([*s.wrap, sys.executable, "-c", PUSHER], stdout=subprocess.PIPE, text=True) as pusher:
            assert int(pusher.stdout.readline()) >= 0
        s.unnoticed()
    rests(own)
    with Liar(s) as liar:  # it comes again, and lets go
        liar.say(*(tcp(WORLD, 1024 + i, 81, RST, 1) for i in range(CONNECTIONS)))
        liar.answers()
    wait_for(lambda: len(os.listdir(f"/proc/{own}/fd")) < 32, "descriptors are not given back")


@kept_to_itself
def who_fills_its_networks_memory_loses_it(s, own):
    """Pieces of a stream that are never whole, 60 KiB for each byte: the process ends, the next one comes, the VM runs on."""
    with Liar(s) as liar:
        liar.say(arp(GATEWAY), tcp(WORLD, 999, 81, SYN))
        _, _, seq, _ = tcp_of(liar.heard(lambda f: tcp_of(f)[:2] == (SYN | ACK, 999)))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            liar.say(tcp(WORLD, 999, 81, ACK, 1, seq + 1))
            liar.say(*(tcp(WORLD, 999, 81, ACK, 60000 - 4 * i, seq + 1, b"x") for i in range(14000)))
        assert liar.hung_up()
    wait_for(lambda: s.network(s.hostile) not in (None, own), "no other network has come")
    assert "actor=vm/hostile ev=network.lost" in s.log()


@the_same
def floods_of_all_kinds(s, own):
    kinds = {
        "datagrams": [udp(f"198.51.100.{i % 250 + 1}", 1024 + i, 9, b"x" * (i % 1400)) for i in range(3000)],
        "echoes": [echo(GATEWAY if i % 2 else "198.51.100.1", i) for i in range(3000)],
        "of others' addresses": [echo(GATEWAY, i, source=struct.pack(">I", 0x0a000200 + i % 256 if i % 2 else 0x0b000000 + i),
                                      mac=struct.pack(">HI", 0x5254, i)) for i in range(3000)],
        "of changing Ethernet addresses": [echo(GATEWAY, i, mac=struct.pack(">HI", 0x5254, i)) for i in range(3000)],
        "ARP": [arp(GATEWAY, struct.pack(">I", 0x0a000200 + i % 256), struct.pack(">HI", 0x5254, i), 1 + i % 2) for i in range(3000)],
        "DHCP": [dhcp(i) for i in range(1000)],
        "fragments": [ip(17, WORLD, b"x" * 64, fragment=0x2000 | i) for i in range(3000)],
    }
    for kind, frames in kinds.items():
        with flooding(Flood(s, frames)):
            loud = s.asked()
            print(f"# {kind}: elsewhere {loud[0] * 1000:.1f} ms, {loud[1] * 1000:.1f} ms")
            for before, then in zip(s.quiet, loud):
                assert then < 10 * before + 0.2, (kind, s.quiet, loud)
            s.bounded(own)


if os.geteuid() != 0 or not os.access("/dev/kvm", os.R_OK | os.W_OK):
    print("1..0 # SKIP namespaces of one's own need root, and Firecracker /dev/kvm")
    sys.exit(77)
# What a flood leaves takes up descriptors for minutes: it is last.
banger_session.main([what_is_no_frame_ends_its_connection, who_never_reads_is_not_read_for, ten_thousand_connections,
                     who_fills_its_networks_memory_loses_it, floods_of_all_kinds], session=Hostile)
