#!/usr/bin/env python3
"""The example client against a fake daemon that plays the golden vectors: what the client sends must
be what the vectors say a request is, what it prints must come from the replies."""
import io, os, socket, sys, tempfile, threading
from contextlib import redirect_stdout

import msgpack

import banger_client

VECTORS = sys.argv.pop(1)


def vector(name):
    with open(os.path.join(VECTORS, name + ".hex"), encoding="utf-8") as lines:
        data = bytes.fromhex("".join(line for line in lines if not line.startswith("#")))
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    return msgpack.unpackb(data[4:])


class FakeDaemon(threading.Thread):
    def __init__(self, path):
        super().__init__(daemon=True)
        self.asked, self.failure = [], None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()

    def run(self):
        try:
            with self.listener.accept()[0] as self.sock, self.sock.makefile("rb") as stream:
                self.send(vector("client/hello-daemon"))
                while head := stream.read(4):
                    self.take(msgpack.unpackb(stream.read(int.from_bytes(head, "big"))))
        except Exception as failure:  # shown by the main thread
            self.failure = failure

    def send(self, frame, **changes):
        data = msgpack.packb(frame | changes)
        for at in range(0, len(data) + 4, 3):  # a reader must not rely on whole frames
            self.sock.sendall((len(data).to_bytes(4, "big") + data)[at:at + 3])

    def take(self, frame):
        self.asked.append(frame)
        if frame["type"] != "request":
            return
        like = vector("client/request-" + frame["method"])
        assert set(frame) == set(like), frame
        assert set(frame["args"]) <= set(like["args"]) | {"refs", "force"}, frame
        if frame["method"] == "watch":
            self.watching = frame["id"]
            return
        if frame["method"] == "vm.create":
            self.send(vector("client/event-progress"), id=frame["id"])
            self.send(vector("client/event-vm"), id=self.watching)
        if frame["method"] == "vm.exec":
            self.send(vector("client/data"), id=frame["id"])
        reply = vector("client/reply-" + frame["method"])
        self.send(reply, id=frame["id"], op_id=frame["op_id"])


def main():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "socket")
        daemon = FakeDaemon(path)
        daemon.start()
        printed = io.StringIO()
        with redirect_stdout(printed):
            banger_client.main(path, "debian:bookworm")
        if daemon.failure:
            raise daemon.failure
    assert printed.getvalue().splitlines() == [
        "hello bangerd 0.1.0",
        "created web-1 ok",
        "event running",
        "listed ['web-1', 'db']",
        "exec 143 b'hi\\n\\x00\\xff' b''",
        "deleted, failed: 1",
    ], printed.getvalue()
    assert [f.get("method", f["type"]) for f in daemon.asked][:5] == [
        "hello", "watch", "vm.create", "vm.list", "vm.exec"], daemon.asked
    hello = daemon.asked[0]
    assert set(hello) == {"type", "version", "version_min", "name"}
    assert {"type": "credit", "id": 4, "stream": 1, "bytes": 5} in daemon.asked
    try:
        raise banger_client.Error(vector("client/reply-error"))
    except banger_client.Error as error:
        assert error.code == "port.busy"


main()
