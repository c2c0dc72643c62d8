#!/usr/bin/env python3
"""An agent that does not keep to the protocol: fake_qemu.py runs it as $FAKE_AGENT, and the VM's name says how.

"good" is the real agent.  Others greet as it does, then do what the function of their name does.
"""
import os
import signal
import socket
import struct
import sys

import msgpack

SYNC = b"\xff\xff\xff\xffbangersync\r\n"


class Agent:
    def __init__(self, fd):
        self.fd = fd
        self.sock = socket.socket(fileno=os.dup(fd))
        self.sock.setblocking(True)
        self.inbuf = b""

    def write(self, data):
        self.sock.sendall(data)

    def send(self, **frame):
        self.write(pack(frame))

    def fill(self):
        data = self.sock.recv(1 << 16)
        if not data:
            sys.exit(0)
        self.inbuf += data

    def frame(self):
        while len(self.inbuf) < 4 or len(self.inbuf) < 4 + struct.unpack(">I", self.inbuf[:4])[0]:
            self.fill()
        (n,) = struct.unpack(">I", self.inbuf[:4])
        m = msgpack.unpackb(self.inbuf[4:4 + n])
        self.inbuf = self.inbuf[4 + n:]
        return m

    def hello(self):
        """The daemon's; what comes before it is thrown away."""
        while SYNC not in self.inbuf:
            self.fill()
        self.inbuf = self.inbuf.split(SYNC, 1)[1]
        return self.frame()

    def greet(self):
        said = self.hello()
        self.write(SYNC)
        self.send(type="hello", version=1, version_min=1, name="hostile/1", session=said["session"])
        self.send(type="reply", id=self.frame()["id"], result={"boot_id": "11111111-2222-3333-4444-555555555555"})

    def request(self, method):
        while True:
            m = self.frame()
            if m["type"] == "request" and m["method"] == method:
                return m


def pack(frame):
    data = msgpack.packb(frame)
    return struct.pack(">I", len(data)) + data


def flood(agent, data):
    """For ever, as fast as it is taken."""
    data *= max(1, (1 << 16) // len(data))
    while True:
        agent.write(data)


def garbage(agent):
    agent.greet()
    flood(agent, b"\x7f" + os.urandom(4095))


def markers(agent):
    agent.greet()
    flood(agent, SYNC)


def events(agent):
    agent.greet()
    flood(agent, pack({"type": "event", "id": 1, "event": "hey", "body": {}}))


def strays(agent):
    agent.greet()
    flood(agent, pack({"type": "data", "id": 4711, "stream": 1, "bytes": b"x" * 1000}))


def noise(agent):
    """Never answers, and never is silent."""
    flood(agent, b"x" * 4096)


def hellos(agent):
    agent.hello()
    flood(agent, SYNC + pack({"type": "hello", "version": 1, "version_min": 1, "name": "x", "session": 42}))


def beyond(agent):
    """More output than was granted."""
    agent.greet()
    ask = agent.request("exec")
    flood(agent, pack({"type": "data", "id": ask["id"], "stream": 1, "bytes": b"x" * 16384}))


def ends(agent):
    agent.greet()
    ask = agent.request("exec")
    flood(agent, pack({"type": "data", "id": ask["id"], "stream": 1, "bytes": b""}))


def credits(agent):
    agent.greet()
    ask = agent.request("exec")
    flood(agent, pack({"type": "credit", "id": ask["id"], "stream": 0, "bytes": 1 << 24}))


def status(agent):
    """A result that is none."""
    agent.greet()
    ask = agent.request("exec")
    agent.send(type="reply", id=ask["id"], result={"status": 4711})
    agent.fill()


def crumbs(agent):
    """All that was granted, a byte in each frame; then the reply, once all was taken."""
    agent.greet()
    ask = agent.request("exec")
    window, sent, most = ask["args"]["window"], 0, 2 << 20
    frame = pack({"type": "data", "id": ask["id"], "stream": 1, "bytes": b"x"})
    while sent < most:
        n = min(window, most - sent)
        agent.write(frame * n)
        window, sent = window - n, sent + n
        while window == 0:
            m = agent.frame()
            if m["type"] == "cancel":
                return
            window += m["bytes"] if m["type"] == "credit" else 0
    agent.send(type="reply", id=ask["id"], result={"status": 0})
    agent.fill()


def sends(agent):
    """A copy out of the guest: the bytes of the file that is asked for, as if they were the archive."""
    agent.greet()
    ask = agent.request("copy_out")
    with open(ask["args"]["path"], "rb") as f:
        agent.send(type="data", id=ask["id"], stream=1, bytes=f.read())
    agent.send(type="data", id=ask["id"], stream=1, bytes=b"")
    agent.send(type="data", id=ask["id"], stream=2, bytes=b"")
    agent.send(type="reply", id=ask["id"], result={"entries": 1})
    agent.fill()


def deaf(agent):
    """Greets, then never reads again."""
    agent.greet()
    signal.pause()


def dies(agent):
    """Ends while a command runs; the next agent is a good one."""
    agent.greet()
    agent.request("exec")
    good(agent)


def cut(agent):
    """As above, in the middle of a frame."""
    agent.greet()
    ask = agent.request("exec")
    agent.write(pack({"type": "data", "id": ask["id"], "stream": 1, "bytes": b"x" * 1000})[:100])
    good(agent)


def sick(agent):
    """A guest that is in a bad way."""
    agent.greet()
    ask = agent.request("stats")
    agent.send(type="reply", id=ask["id"], result={
        "memory_bytes": 1000, "memory_available_bytes": 39, "disk_bytes": 100, "disk_available_bytes": 50,
        "disk_read_only": True})
    agent.fill()


def liar(agent):
    """Ports that cannot be."""
    agent.greet()
    ask = agent.request("ports")
    agent.send(type="reply", id=ask["id"], result={"ports": [{"proto": "tcp", "address": "::", "port": 70000}]})
    agent.fill()


def good(agent):
    os.set_inheritable(agent.fd, True)
    os.execv(os.environ["REAL_AGENT"], ["banger-agent", "--fd", str(agent.fd)])


def main():
    agent = Agent(int(sys.argv[2]))
    how = globals().get(os.environ["FAKE_NAME"].split("-")[0], good)
    try:
        how(agent)
    except (BrokenPipeError, ConnectionResetError):
        pass


if __name__ == "__main__":
    main()
