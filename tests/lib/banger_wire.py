"""Frames by hand, for tests that say what no well-behaved client would.

A Wire is one connection to a daemon: whole frames, or any bytes at all.  What it reads has a deadline, so that a
daemon that says nothing is a failure and not a test that hangs.
"""
import os
import socket
import time

import msgpack

HELLO = {"type": "hello", "version": 1, "version_min": 1, "name": "test"}
ANSWER_S = 30


class Closed(Exception):
    """The daemon has closed the connection."""


def pack(frame):
    data = msgpack.packb(frame)
    return len(data).to_bytes(4, "big") + data


def request(ident, method, args=None, **more):
    return {"type": "request", "id": ident, "method": method, "args": args or {}, **more}


def op_id():
    return int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10)


class Wire:
    def __init__(self, path, hello=True):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_S)
        self.sock.connect(path)
        self.got = bytearray()
        if hello:
            self.send(HELLO)
            assert self.read()["type"] == "hello"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def raw(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed from e

    def send(self, *frames):
        self.raw(b"".join(map(pack, frames)))

    def hello(self):
        """Says it, to a daemon that may have closed already and have said why."""
        try:
            self.send(HELLO)
        except Closed:
            pass

    def whole(self):
        """The next frame if it has come already, else None."""
        end = 4 + int.from_bytes(self.got[:4], "big")
        if len(self.got) < 4 or len(self.got) < end:
            return None
        frame = msgpack.unpackb(bytes(self.got[4:end]))
        del self.got[:end]
        return frame

    def more(self):
        """Takes what comes next."""
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        except TimeoutError as e:
            raise AssertionError("the daemon says nothing") from e
        if not data:
            raise Closed
        self.got += data

    def read(self):
        while (frame := self.whole()) is None:
            self.more()
        return frame

    def reply(self, ident):
        """The reply to one request; what belongs to others is passed over."""
        while (frame := self.read())["type"] != "reply" or frame["id"] != ident:
            assert frame["type"] != "reply" or frame["id"] != 0, frame
        return frame

    def replies(self, idents):
        """The replies to these requests, in whatever order they come: {id: reply}."""
        left, found = set(idents), {}
        while left:
            frame = self.read()
            if frame["type"] == "reply":
                left.remove(frame["id"])
                found[frame["id"]] = frame
        return found

    def ask(self, ident, method, args=None, **more):
        """One request, its result; an error is the code."""
        self.send(request(ident, method, args, **more))
        frame = self.reply(ident)
        return frame["error"]["code"] if "error" in frame else frame["result"]

    def last_words(self):
        """The code of what the daemon says about the connection, which it must close after."""
        code = None
        try:
            while True:
                frame = self.read()
                if frame["type"] == "reply" and frame["id"] == 0:
                    assert code is None, "said twice"
                    code = frame["error"]["code"]
        except Closed:
            return code


def vector(path):
    """A file of tests/vectors: its bytes, and its "# KEY: VALUE" lines."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    notes = dict(l[2:].split(": ", 1) for l in lines if l.startswith("# ") and ": " in l)
    return bytes.fromhex("".join(l for l in lines if not l.startswith("#"))), notes
