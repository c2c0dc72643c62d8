#!/usr/bin/env python3
"""The guest's network by frames, without a guest: banger-agent carries them between a tap in a namespace of its own and
banger-net in another, and what lies beyond is reached as from a VM.

Prints TAP.  77 where no namespaces can be made.
"""
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

os.environ.setdefault("BANGER", "")  # of sessions, which this is none of
import banger_net
import banger_session
from banger_net import ADDRESS, GATEWAY, Net, WORLD, content, digest

AGENT, NETWORK = sys.argv.pop(1), sys.argv.pop(1)
DNS = "10.0.2.3"
BIG = 50_000_000


class Guest(banger_net.Guest):
    def __init__(self, theirs=None):
        super().__init__(AGENT, theirs)

    def network(self, net, *words):
        """A banger-net in the host's place, which has our end from now on."""
        network = start_network(net, "--fd", self.sock, *words)
        self.sock.close()
        return network


@contextlib.contextmanager
def ended(process):
    """Ends it with the block."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def start_network(net, how, sock, *words):
    with open(f"{net.top}/net.log", "w", encoding="ascii") as log:
        return net.host.start(NETWORK, "--name", "banger-net-test", how, str(sock.fileno()), *words, pass_fds=[sock.fileno()], stderr=log)


def fetched(guest, path, data=None):
    """By a child there: urllib has no way to be told a namespace."""
    script = ("import sys, urllib.request; data = sys.stdin.buffer.read() or None; "
              f"sys.stdout.buffer.write(urllib.request.urlopen('http://{WORLD}{path}', data, timeout=60).read())")
    return guest.place.run(sys.executable, "-c", script, text=False, input=data or b"", stdout=subprocess.PIPE).stdout


def bytes_go_both_ways():
    with Net() as net, Guest() as guest, ended(guest.network(net)):
        assert fetched(guest, "/") == b"hello\n"
        assert digest(fetched(guest, f"/n/{BIG}")) == digest(content(BIG))
        assert fetched(guest, "/", content(BIG)).decode() == digest(content(BIG))


def asked_of(guest, server):
    """What a name server answers about the world's name: the socket of a child there."""
    script = ("import socket, sys; s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(30); "
              f"s.sendto(bytes.fromhex('000101000001000000000000') + b'\\5world\\4test\\0\\0\\1\\0\\1', ('{server}', 53)); "
              "sys.stdout.buffer.write(s.recv(4096))")
    return guest.place.run(sys.executable, "-c", script, text=False, stdout=subprocess.PIPE).stdout


def names_are_the_hosts():
    """The name server's address leads to the one that the host's resolv.conf names by now."""
    with Net() as net, Guest() as guest, ended(guest.network(net)):
        assert asked_of(guest, DNS).endswith(socket.inet_aton(WORLD))


def published_ports_answer():
    """Also with a word and no more, by a server that hangs up at once."""
    with Net() as net, Guest() as guest, ended(guest.network(net, "--publish", "8080:80", "--publish", "8081:81")):
        server = net.serve(guest.place, ADDRESS)
        with ended(server):
            script = ("import urllib.request as r\n"
                      "for _ in range(50): print(r.urlopen('http://127.0.0.1:8080/', timeout=30).read())")
            out = net.host.run(sys.executable, "-c", script, stdout=subprocess.PIPE).stdout
            assert out.split("\n") == ["b'hello\\n'"] * 50 + [""], out
        server.stdout.close()
        refused = net.host.run(sys.executable, "-c", "import socket; s = socket.create_connection(('127.0.0.1', 8081), 30); print(s.recv(1))",
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        assert refused.stdout in ("", "b''\n"), refused  # nobody serves there


def a_port_that_is_taken_is_named():
    with Net() as net, Guest() as guest:
        holder = net.host.start(sys.executable, "-c", "import socket; s = socket.create_server(('127.0.0.1', 8080)); print(1, flush=True); s.accept()",
                                stdout=subprocess.PIPE, text=True)
        with ended(holder):
            assert holder.stdout.readline() == "1\n"
            assert guest.network(net, "--publish", "8080:80").wait(timeout=30) == 1
        holder.stdout.close()
        with open(f"{net.top}/net.log", encoding="ascii") as log:
            assert "Failed to bind 127.0.0.1:8080: Address already in use" in log.read()


def connects(guest, address, port):
    script = f"import socket; socket.create_connection(('{address}', {port}), 1).close()"
    return guest.place.run(sys.executable, "-c", script, check=False, stderr=subprocess.DEVNULL).returncode == 0


def the_hosts_loopback_is_out_of_reach():
    """By the gateway's address, by addresses that only a hostile guest sends, by the name server's at another port; and
    in reach where that was asked for."""
    with Net() as net:
        server = net.serve(net.host, "127.0.0.1")
        with ended(server):
            for loopback in (False, True):
                with Guest() as guest, ended(guest.network(net, *["--host-loopback"] * loopback)):
                    guest.place.run("ip", "route", "add", "unicast", "0.0.0.1/32", "via", GATEWAY, check=False)
                    # 127/8 leaves the guest as from a kernel of its own making.
                    for words in ("route del local 127.0.0.0/8 dev lo table local", "address del 127.0.0.1/8 dev lo",
                                  f"route add 127.0.0.0/8 via {GATEWAY}"):
                        guest.place.run("ip", *words.split(), check=False, stderr=subprocess.DEVNULL)
                    guest.place.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet")
                    assert connects(guest, WORLD, 80)
                    assert connects(guest, GATEWAY, 80) == loopback
                    assert not connects(guest, "127.0.0.1", 80)
                    assert not connects(guest, DNS, 80)
        server.stdout.close()


def it_is_confined():
    """Before the first frame: no capability, a filter, no new rights, and its descriptors counted."""
    with Net() as net, Guest() as guest, ended(guest.network(net)) as network:
        assert fetched(guest, "/") == b"hello\n"
        with open(f"/proc/{network.pid}/status", encoding="ascii") as f:
            status = {k: v.split() for k, v in (line.split(":", 1) for line in f)}
        assert status["CapEff"] == status["CapPrm"] == ["0000000000000000"], status
        assert status["NoNewPrivs"] == ["1"] and status["Seccomp"] == ["2"], status
        with open(f"/proc/{network.pid}/limits", encoding="ascii") as f:
            limits = {line[:26].strip(): line[26:].split()[:2] for line in f}
        assert limits["Max open files"] == ["1024"] * 2, limits
        with open(f"/proc/{network.pid}/maps", encoding="utf-8") as f:
            sanitized = "libasan" in f.read()  # its shadow would count as data
        assert sanitized or limits["Max data size"] == [str(512 << 20)] * 2, limits


def a_guest_may_come_again():
    """One that listens takes one connection after the other; a lie ends that one alone."""
    with Net() as net, Guest() as guest, tempfile.TemporaryDirectory() as top, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{top}/net.sock")
        listening.listen()
        with ended(start_network(net, "--listen", listening)):
            for _ in range(3):
                with socket.socket(socket.AF_UNIX) as liar:
                    liar.settimeout(30)
                    liar.connect(f"{top}/net.sock")
                    liar.sendall(b"\xff" * 8)
                    assert hung_up(liar)
            theirs = socket.socket(socket.AF_UNIX)
            theirs.connect(f"{top}/net.sock")
            with Guest(theirs) as guest:
                assert fetched(guest, "/") == b"hello\n"


def memory_is_bounded():
    """A guest that asks for much and reads nothing."""
    with Net() as net, Guest() as guest, ended(guest.network(net)) as network:
        script = (f"import resource, socket, time; resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192)); l = []\n"
                  f"for i in range(2000):\n"
                  f"    s = socket.socket(); s.setblocking(False); s.connect_ex(('{WORLD}', 80)); l.append(s)\n"
                  f"time.sleep(3)\n"
                  f"for s in l:\n"
                  f"    try: s.send(b'GET /n/{BIG // 10} HTTP/1.0\\r\\n\\r\\n')\n"
                  f"    except OSError: pass\n"
                  "print('asked', flush=True); time.sleep(5)")
        guest.place.run(sys.executable, "-c", script, stdout=subprocess.DEVNULL)
        kib = resident_kib(network.pid)
        print(f"# {kib} KiB resident", flush=True)
        assert kib < 512 * 1024
        assert fetched(guest, "/") == b"hello\n"


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


def hung_up(sock):
    """Waits until the other side has."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


def ends_at(length):
    """Whether the agent hangs up on a frame of that length."""
    with Guest() as guest:
        guest.sock.sendall(struct.pack(">I", length))
        guest.sock.sendall(b"\0" * 60)
        hung_up(guest.sock)
        return guest.agent.wait(timeout=30) == 0


def a_frame_that_lies_ends_the_way():
    for length in (0, 65536 + 18, 0x7fffffff, 0xffffffff):
        assert ends_at(length), length


banger_session.main([bytes_go_both_ways, names_are_the_hosts, published_ports_answer, a_port_that_is_taken_is_named,
                     the_hosts_loopback_is_out_of_reach, it_is_confined, a_guest_may_come_again, memory_is_bounded, frames_may_come_in_pieces, a_frame_that_lies_ends_the_way], shared=False)
