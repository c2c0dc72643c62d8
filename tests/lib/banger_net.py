"""A private internet for a test: a host with a way out, and a world behind it with a web server and a name server.

    with Net() as net:
        net.host.run("ip", "address")          # a command there
        net.host.wrap                          # what to put before one

Both are network namespaces of their own, held by a process each and gone with it.  The host has 192.0.2.1, a default
route, and a resolv.conf that names the world; the world is 192.0.2.2 and answers every question with that.
Needs root; Skip says what is missing otherwise.
"""
import ctypes
import hashlib
import http.server
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

from banger_session import Skip

HOST, WORLD, NAME = "192.0.2.1", "192.0.2.2", "world.test"
HTTP_PORT, DNS_PORT = 80, 53
ADDRESS, GATEWAY, MTU = "10.0.2.15", "10.0.2.2", 60000  # of guests
PR_SET_PDEATHSIG = 1


def content(n):
    """The n bytes that the world serves as /n/N."""
    return random.Random(n).randbytes(n)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def die_with_us():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Place:
    """A network namespace and, where files are to be another's there, a mount namespace."""

    def __init__(self, resolv=None):
        script = "echo in; exec sleep 1000000"
        if resolv:
            script = f"mount --bind {resolv} /etc/resolv.conf && {script}"
        self.process = subprocess.Popen(["unshare", "-n", "-m", "--propagation", "private", "sh", "-c", script],
                                        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, preexec_fn=die_with_us)
        if self.process.stdout.readline() != "in\n":
            raise Skip("namespaces cannot be made here")
        self.wrap = ["nsenter", "-t", str(self.process.pid), "-n", "-m"]
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *argv, **more):
        return subprocess.run([*self.wrap, *argv], **{"check": True, "text": True, "timeout": 60, **more})

    def start(self, *argv, **more):
        return subprocess.Popen([*self.wrap, *argv], **{"stdin": subprocess.DEVNULL, "preexec_fn": die_with_us, **more})

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Guest:
    """A tap with our end of its frames in self.sock, or both ends where they are given, and a namespace that has nothing else:
    a guest, as far as its network goes."""

    def __init__(self, agent, theirs=None):
        self.place = Place()
        self.place.run("ip", "tuntap", "add", "eth0", "mode", "tap")
        for words in (f"link set eth0 mtu {MTU} up", f"address add {ADDRESS}/24 dev eth0", f"route add default via {GATEWAY}"):
            self.place.run("ip", *words.split())
        self.sock = theirs
        if not theirs:
            self.sock, theirs = socket.socketpair()
            self.sock.settimeout(30)
        self.agent = self.place.start(agent, "--net", "eth0", str(theirs.fileno()), pass_fds=[theirs.fileno()])
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


class Net:
    def __init__(self):
        if os.geteuid() != 0:
            raise Skip("namespaces of one's own need root")
        self.top = tempfile.mkdtemp(prefix="banger-net-")
        self.resolv = f"{self.top}/resolv.conf"
        with open(self.resolv, "w", encoding="ascii") as f:
            f.write(f"nameserver {WORLD}\n")
        self.host, self.world = Place(self.resolv), Place()
        self.host.run("ip", "link", "add", "out0", "type", "veth", "peer", "name", "in0", "netns", str(self.world.process.pid))
        for place, link, address in ((self.host, "out0", HOST), (self.world, "in0", WORLD)):
            place.run("ip", "address", "add", f"{address}/24", "dev", link)
            place.run("ip", "link", "set", link, "up")
        self.host.run("ip", "route", "add", "default", "via", WORLD)
        self.server = self.serve(self.world, WORLD)

    @staticmethod
    def serve(place, address):
        """The servers, at an address of that place, once they listen."""
        server = place.start(sys.executable, os.path.abspath(__file__), address, stdout=subprocess.PIPE, text=True)
        assert server.stdout.readline() == "listening\n"
        return server

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.send_signal(signal.SIGTERM)
        self.server.wait()
        self.server.stdout.close()
        self.host.close()
        self.world.close()
        shutil.rmtree(self.top)


# ---- in the world ----

class Web(http.server.BaseHTTPRequestHandler):
    """GET /n/N: so many bytes; anything else: a word.  POST: the digest of what was sent."""
    protocol_version = "HTTP/1.0"

    def say(self, data):
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.say(content(int(self.path[3:])) if self.path.startswith("/n/") else b"hello\n")

    def do_POST(self):
        left, seen = int(self.headers["Content-Length"]), hashlib.sha256()
        while left > 0:
            data = self.rfile.read(min(left, 1 << 20))
            if not data:
                return
            left -= len(data)
            seen.update(data)
        self.say(seen.hexdigest().encode())

    def log_message(self, *_):
        pass


def answer(query, address):
    """An A record for whatever was asked (RFC 1035); nothing for other types."""
    end = query.index(b"\0", 12) + 5
    is_a = query[end - 4:end - 2] == b"\0\1"
    head = query[:2] + b"\x81\x80" + b"\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(address) if is_a else b""
    return head + query[12:end] + record


def names(address):
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.bind((address, DNS_PORT))
        while True:
            query, source = s.recvfrom(4096)
            s.sendto(answer(query, address), source)


def main(address):
    web = http.server.ThreadingHTTPServer((address, HTTP_PORT), Web)
    threading.Thread(target=names, args=(address,), daemon=True).start()
    print("listening", flush=True)
    web.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    main(sys.argv[1])
