#!/usr/bin/env python3
"""A client of banger in one page, written from docs/protocol.md alone."""
import collections, os, socket, sys, time, msgpack

class Error(Exception):
    def __init__(self, reply):
        self.code = reply["error"]["code"]
        super().__init__(f"{self.code}: {reply['error'].get('message', '')}")

class Banger:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.stream = self.sock.makefile("rb")
        self.last_id, self.inbox = 0, collections.defaultdict(collections.deque)
        self.send({"type": "hello", "version": 1, "version_min": 1, "name": "banger_client.py"})
        self.hello = self.receive()

    def send(self, frame):
        data = msgpack.packb(frame)
        self.sock.sendall(len(data).to_bytes(4, "big") + data)

    def receive(self):
        head = self.stream.read(4)
        if len(head) < 4:
            raise ConnectionError("the daemon closed the connection")
        frame = msgpack.unpackb(self.stream.read(int.from_bytes(head, "big")))
        if frame["type"] == "reply" and frame["id"] == 0:
            raise Error(frame)
        return frame

    def start(self, method, args):
        self.last_id += 1
        op_id = int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10)
        self.send({"type": "request", "id": self.last_id, "method": method, "op_id": op_id,
                   "args": args})
        return self.last_id

    def frames(self, ident):
        """What belongs to one request, up to and with its reply; the rest waits its turn."""
        frame = {"type": None}
        while frame["type"] != "reply":
            while not self.inbox[ident]:
                other = self.receive()
                self.inbox[other["id"]].append(other)
            frame = self.inbox[ident].popleft()
            if "error" in frame:
                raise Error(frame)
            yield frame

    def request(self, method, **args):
        return list(self.frames(self.start(method, args)))[-1]["result"]

    def watch(self, **args):
        frames = self.frames(self.start("watch", args))
        return (frame["body"] for frame in frames if frame["type"] == "event")

    def exec(self, ref, *argv):
        out = {1: b"", 2: b""}
        ident = self.start("vm.exec", {"ref": ref, "argv": argv})
        for frame in self.frames(ident):
            if frame["type"] == "data" and frame["bytes"]:
                out[frame["stream"]] += frame["bytes"]
                self.send({"type": "credit", "id": ident, "stream": frame["stream"],
                           "bytes": len(frame["bytes"])})
        return frame["result"]["status"], out[1], out[2]

def main(path, image):
    banger = Banger(path)
    print("hello", banger.hello["name"])
    events = banger.watch()
    vm = banger.request("vm.create", spec={"image": image})["targets"][0]
    print("created", vm.get("name"), vm.get("code", "ok"))
    print("event", next(e["state"] for e in events if e.get("id") == vm["id"]))
    print("listed", [v["spec"]["name"] for v in banger.request("vm.list", all=True).get("vms", [])])
    print("exec", *banger.exec(vm["id"], "uname", "-a"))
    print("deleted, failed:", banger.request("vm.delete", refs=[vm["id"]], force=True).get("failed", 0))

if __name__ == "__main__":
    main(*sys.argv[1:3])
