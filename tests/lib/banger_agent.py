"""The daemon's end of the conversation with banger-agent, on a stream socket that leads to one (docs/protocol.md 11)."""
import itertools

import msgpack

SYNC = b"\xff\xff\xff\xffbangersync\r\n"
DEADLINE_S = 30


class Daemon:
    """The daemon's end of a conversation, on a connection that is there."""
    sessions = itertools.count(1)

    def __init__(self, sock, deadline=DEADLINE_S):
        self.sock, self.inbuf = sock, b""
        self.sock.settimeout(deadline)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def more(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise EOFError
        self.inbuf += data

    def send(self, **frame):
        data = msgpack.packb(frame)
        self.sock.sendall(len(data).to_bytes(4, "big") + data)

    def frame(self):
        while len(self.inbuf) < 4 or len(self.inbuf) < 4 + int.from_bytes(self.inbuf[:4], "big"):
            self.more()
        end = 4 + int.from_bytes(self.inbuf[:4], "big")
        data, self.inbuf = self.inbuf[4:end], self.inbuf[end:]
        return msgpack.unpackb(data)

    def greet(self):
        session = next(self.sessions)
        self.sock.sendall(SYNC)
        self.send(type="hello", version=1, version_min=1, name="test", session=session, frame_max=1 << 17)
        while True:
            while SYNC not in self.inbuf:
                self.more()
            self.inbuf = self.inbuf.split(SYNC, 1)[1]
            if len(self.inbuf) == 0:
                self.more()
            if self.inbuf[:4] != SYNC[:4]:
                hello = self.frame()
                assert hello["type"] == "hello" and hello["session"] == session, hello
                return self

    def exec(self, *argv, ident=1):
        """Its output."""
        out = b""
        self.send(type="request", id=ident, method="exec", args={"argv": list(argv)})
        self.send(type="credit", id=ident, stream=1, bytes=1 << 20)
        self.send(type="credit", id=ident, stream=2, bytes=1 << 20)
        while (frame := self.frame())["type"] != "reply":
            out += frame.get("bytes", b"")
        assert "error" not in frame, frame
        return out

    def ended(self):
        try:
            while True:
                self.more()
        except (EOFError, ConnectionResetError):
            return True
