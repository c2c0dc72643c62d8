#!/usr/bin/python3
"""A daemon for tests of the command line: no VMs, but every word of the protocol that the CLI uses.

It listens on descriptor 3 (LISTEN_FDS, LISTEN_PID), as the CLI starts it.  What a command in a "VM"
does is said by its first word: yes, cat, sum, exit, both, signal, flood, missing, denied, die, mute.
FAKE_LOG names a file that gets one line per start and per request; FAKE_DIE makes it die at once, with these words; FAKE_MUTE names
a method that is never answered.
"""
import json
import os
import selectors
import socket
import struct
import sys
import tarfile

import msgpack

WINDOW = 256 * 1024
CHUNK = 32 * 1024
OP_ID = bytes.fromhex("01927f3b974000000000000000000000")


def log(line):
    path = os.environ.get("FAKE_LOG")
    if path:
        with open(path, "a") as f:
            f.write(line + "\n")


def vm_id(n):
    return "0000000000" + "0123456789abcdefghjkmnpqrstvwxyz"[n // 32] + "0123456789abcdefghjkmnpqrstvwxyz"[n % 32]


def view(n, name, state="running"):
    return {"id": vm_id(n), "state": state, "created_ms": 1000, "console_log": os.environ.get("FAKE_CONSOLE", ""),
            "vmm_log": os.environ.get("FAKE_VMM_LOG", ""),
            "spec": {"name": name, "image": "debian", "vcpu": 2, "memory_bytes": 2 << 30, "disk_bytes": 8 << 30, "labels": {"tier": "web"}}}


def op_view():
    """A start of three VMs: two came up, the third's guest did not."""
    step = lambda vm, name, begin, took, **more: dict(vm=vm_id(vm), name=name, begin_us=begin, duration_us=took, **more)
    return {"op_id": OP_ID, "method": "vm.create", "state": "failed", "vms": 5, "failed": 1, "wall_ms": 1700000000000,
            "duration_us": 100000, "commit_us": 400,
            "steps": [step(1, "queue", 0, 1000), step(1, "admit", 1000, 10),
                      step(1, "boot", 1000, 50000, result=-110), step(1, "boot", 51000, 25000, undo=True)],
            "targets": [{"ref": "web-1", "name": "web-1-with-a-long-name-that-is-cut", "id": vm_id(1), "state": "failed",
                         "code": "timeout", "step": "boot", "message": "no answer within 50 ms"}]}


EVENTS = [
    ("vm", {"id": vm_id(1), "name": "web", "state": "running", "op_id": OP_ID, "wall_ms": 1700000000000}),
    ("news", {"of": "tomorrow"}),
    ("op", {"op_id": OP_ID, "method": "vm.start", "state": "done", "vms": 3, "failed": 1, "duration_us": 2000000,
            "wall_ms": 1700000000000}),
    ("image", {"name": "debian", "action": "added", "op_id": OP_ID, "wall_ms": 1700000000000}),
    ("lost", {"events": 7}),
]


class Exec:
    def __init__(self, conn, rid, args):
        self.conn, self.rid, self.args = conn, rid, args
        self.argv = args.get("argv") or ["-sh"]
        window = args.get("window", WINDOW)
        self.credit = {1: window, 2: window}
        self.out = {1: bytearray(), 2: bytearray()}
        self.left = 0
        self.stdin = 0
        self.granted = 0
        self.status = None
        self.largest = 0
        if args.get("stdin_open"):
            self.grant(16384)

    def grant(self, n):
        self.granted += n
        self.conn.send({"type": "credit", "id": self.rid, "stream": 0, "bytes": n})

    def begin(self):
        what, rest = self.argv[0], self.argv[1:]
        if what == "yes":
            self.left = int(rest[0])
        elif what == "exit":
            self.status = int(rest[0])
        elif what == "both":
            self.out[1] += b"to stdout\n"
            self.out[2] += b"to stderr\n"
            self.status = 0
        elif what == "show":
            self.out[1] += ("%r" % sorted((k, v) for k, v in self.args.items() if k in rest)).encode() + b"\n"
            self.status = 0
        elif what == "flood":
            try:
                for _ in range(4096):
                    self.conn.send({"type": "data", "id": self.rid, "stream": 1, "bytes": b"x" * CHUNK})
            except (BrokenPipeError, ConnectionResetError):
                return
        elif what == "ready":
            self.out[1] += b"ready\n"
        elif what == "die":
            os._exit(9)
        elif what == "missing":
            return self.fail("exec.not_found", "%s: not found" % what)
        elif what == "denied":
            return self.fail("exec.denied", "%s: permission denied" % what)
        self.pump()

    def fail(self, code, message):
        self.conn.execs.pop(self.rid, None)
        self.conn.fail(self.rid, code, message)

    def data(self, b):
        self.stdin += len(b)
        if self.stdin > self.granted:
            return self.fail("request.bad", "more input than credit")
        if not b:
            if self.argv[0] == "sum":
                self.out[1] += b"%d\n" % self.stdin
            if self.argv[0] in ("sum", "cat", "/bin/sh"):
                self.status = 0
        elif self.argv[0] in ("cat", "/bin/sh"):
            self.out[1] += b
        if b:
            self.grant(len(b))
        self.pump()

    def signal(self, signo):
        if self.argv[0] == "ready":
            self.status = 128 + signo
        self.pump()

    def drain(self):
        for s in (1, 2):
            while self.out[s] and self.credit[s]:
                n = min(len(self.out[s]), self.credit[s], CHUNK)
                self.conn.send({"type": "data", "id": self.rid, "stream": s, "bytes": bytes(self.out[s][:n])})
                del self.out[s][:n]
                self.credit[s] -= n

    def pump(self):
        while self.left and self.credit[1]:
            n = min(self.left, self.credit[1], CHUNK)
            self.conn.send({"type": "data", "id": self.rid, "stream": 1, "bytes": b"y" * (n - 1) + b"\n"})
            self.left -= n
            self.credit[1] -= n
        if self.argv[0] == "yes" and not self.left:
            self.status = 0
        self.drain()
        if self.status is not None and not self.out[1] and not self.out[2]:
            self.conn.execs.pop(self.rid, None)
            self.conn.reply(self.rid, {"status": self.status})


class Copy(Exec):
    """What is copied is said by the path: /zeros-N (an archive of a file of N zeros), /cut, /nothing, /full, /deny."""

    def __init__(self, conn, rid, args, into):
        super().__init__(conn, rid, dict(args, argv=["copy"], stdin_open=into))
        self.path, self.into = args["path"].decode(), into

    def begin(self):
        if self.path == "/nothing":
            return self.fail("file.not_found", "/nothing: No such file or directory")
        if self.into:
            return None
        info = tarfile.TarInfo("zeros")
        info.size = int(self.path.split("-")[1]) if "-" in self.path else 1000
        self.out[1] += info.tobuf()
        self.left = info.size + (-info.size % 512) + (0 if self.path == "/cut" else 1024)
        self.out[2] += b"/sock: left out: a socket\n"
        return self.pump()

    def data(self, b):
        self.stdin += len(b)
        if self.path == "/full" and self.stdin > 100000:
            self.path = ""
            return self.fail("file.no_space", "/full/x: No space left on device")
        if b and self.path:
            self.grant(len(b))
        elif not b:
            log("copied %d" % self.stdin)
            self.conn.execs.pop(self.rid, None)
            self.conn.reply(self.rid, {"entries": 1, "bytes": self.stdin})
        return None

    def pump(self):
        self.drain()
        while self.left and self.credit[1] and not self.out[1]:
            n = min(self.left, self.credit[1], CHUNK)
            self.out[1] += bytes(n)
            self.left -= n
            self.drain()
        if not self.left and not self.out[1] and not self.into:
            self.conn.execs.pop(self.rid, None)
            self.conn.reply(self.rid, {"entries": 1})


class Connection:
    def __init__(self, sock):
        self.sock, self.inbuf, self.execs, self.slow, self.leased = sock, b"", {}, {}, []
        self.made = set()
        self.send({"type": "hello", "version": 1, "version_min": 1, "name": "fake/1"})

    def send(self, m):
        b = msgpack.packb(m, use_bin_type=True)
        self.sock.sendall(struct.pack(">I", len(b)) + b)

    def reply(self, rid, result):
        self.send({"type": "reply", "id": rid, "result": result})

    def fail(self, rid, code, message, **more):
        self.send({"type": "reply", "id": rid, "op_id": b"\1" * 16, "error": dict(code=code, message=message, **more)})

    def readable(self):
        try:
            b = self.sock.recv(1 << 16)
        except ConnectionResetError:
            b = b""
        if not b:
            for name in self.leased:
                log("lease " + name)
            return False
        self.inbuf += b
        while len(self.inbuf) >= 4:
            (n,) = struct.unpack(">I", self.inbuf[:4])
            if len(self.inbuf) < 4 + n:
                break
            m = msgpack.unpackb(self.inbuf[4:4 + n], raw=False)
            self.inbuf = self.inbuf[4 + n:]
            self.take(m)
        return True

    def take(self, m):
        t, rid = m["type"], m.get("id")
        ex = self.execs.get(rid)
        if t == "request":
            log("request " + m["method"])
            self.request(rid, m["method"], m["args"])
        elif t == "cancel":
            log("cancel")
            if rid in self.slow or ex:
                self.slow.pop(rid, None)
                self.execs.pop(rid, None)
                self.fail(rid, "cancelled", "cancelled and undone")
        elif ex and t == "data":
            ex.data(m["bytes"])
        elif ex and t == "credit":
            ex.credit[m["stream"]] += m["bytes"]
            ex.pump()
        elif ex and t == "signal":
            log("signal %d" % m["signo"])
            ex.signal(m["signo"])

    def create(self, rid, args):
        spec, n = args.get("spec", {}), args.get("count", 1)
        log("spec " + json.dumps(spec))
        name = spec.get("name", "vm")
        if spec.get("image") == "slow":
            self.slow[rid] = args
            log("slow")
            return
        targets = []
        for i in range(1, n + 1):
            t = {"name": name if n == 1 else "%s-%d" % (name, i), "id": vm_id(i), "state": "running", "ready_us": 31000}
            self.send({"type": "event", "id": rid, "event": "progress",
                       "body": {"id": t["id"], "name": t["name"], "stage": "boot"}})
            if spec.get("image") == "bad" or (spec.get("image") == "odd" and i % 2):
                t.update(code="guest.boot", message="the guest did not come up", step="hello", state="failed")
            elif args.get("lease"):
                self.leased.append(t["name"])
            targets.append(t)
        self.reply(rid, {"targets": targets, "failed": sum("code" in t for t in targets)})

    def request(self, rid, method, args):
        if method == os.environ.get("FAKE_MUTE"):
            return
        if method == "info":
            self.reply(rid, {"version": "fake", "vmm": "null", "accel": "tcg", "accel_reason": "a test", "vcpu": 2,
                             "vm_memory_bytes": 2 << 30, "vm_disk_bytes": 8 << 30, "pid": os.getpid()})
        elif method == "vm.create":
            self.create(rid, args)
        elif method == "vm.resolve":
            spec = args["spec"] if "spec" in args else {}
            self.reply(rid, {"vcpu": 2, "memory_bytes": 2 << 30, "disk_bytes": 8 << 30, "image": "debian:bookworm",
                             "vmm": "null", **spec})
        elif method == "vm.exec":
            self.execs[rid] = ex = Exec(self, rid, args)
            ex.begin()
        elif method in ("vm.copy_in", "vm.copy_out"):
            self.execs[rid] = ex = Copy(self, rid, args, method == "vm.copy_in")
            ex.begin()
        elif method == "vm.list":
            states = (os.environ.get("FAKE_STATES") or "running").split(",")
            rows = [view(i, "web-%d" % i, states[i - 1] if i <= len(states) else "running") for i in range(1, 6)]
            if args.get("after"):
                self.reply(rid, {"vms": rows[3:], "total": 5})
            else:
                self.reply(rid, {"vms": rows[:3], "next": rows[2]["id"], "total": 5})
        elif method == "vm.show":
            self.reply(rid, view(1, args["ref"]))
        elif method in ("vm.start", "vm.stop", "vm.restart", "vm.kill", "vm.delete", "vm.wait"):
            ts = []
            if args.get("stopped_only"):
                log("delete stopped_only %d" % len(args["refs"]))
            for r in args.get("refs", []):
                ts.append({"ref": r, "code": "vm.not_found", "message": 'no VM is called "%s"' % r} if r == "gone"
                          else {"ref": r, "name": r, "id": vm_id(1), "state": "stopped"})
                if method == "vm.delete":
                    self.leased = []
            self.reply(rid, {"targets": ts, "failed": sum("code" in t for t in ts)})
        elif method in ("op.show", "op.wait") and args["op_id"] == OP_ID:
            self.reply(rid, op_view())
        elif method == "op.show":
            self.fail(rid, "op.not_found", "no such operation")
        elif method == "config.show":
            keys = [{"key": "defaults.vcpu", "value": "2", "source": "host", "where": "CPUs", "live": True},
                    {"key": "vmm.accel", "value": "auto", "source": "built in", "next": "kvm"}]
            self.reply(rid, {"keys": keys, "files": ["/etc/fake.conf"]})
        elif method == "config.reload":
            self.reply(rid, {"changed": ["defaults.memory"], "restart": ["vmm.accel"]})
        elif method == "watch":
            log(" ".join(["types"] + args.get("types", [])))
            for name, body in EVENTS:
                self.send({"type": "event", "id": rid, "event": name, "body": body})
            if not os.environ.get("FAKE_ENDLESS"):
                return self.reply(rid, {})
            while True:
                self.send({"type": "event", "id": rid, "event": "vm", "body": EVENTS[0][1]})
        elif method == "op.list":
            self.reply(rid, {"ops": [{"op_id": OP_ID, "method": "vm.create", "state": "done"}]})
        elif method == "image.list":
            self.reply(rid, {"images": [{"name": n, "kind": "disk"} for n in ("debian:bookworm", "debian:trixie")]})
        elif method == "image.show":
            if args["name"] in self.made or not args["name"].startswith("debian:new"):
                self.reply(rid, {"name": args["name"], "kind": "disk", "kernel": "cloud-6.1"})
            else:
                self.fail(rid, "image.not_found", 'no image is called "%s"' % args["name"])
        elif method == "image.build":
            log("build " + args["source"])
            self.made.add(args["source"])
            self.send({"type": "event", "id": rid, "event": "progress",
                       "body": {"name": args["source"], "stage": "bootstrap"}})
            self.reply(rid, {"name": args["source"], "kind": "disk"})
        elif method == "kernel.list":
            self.reply(rid, {"kernels": [{"name": "cloud-6.1", "version": "6.1.0"}]})
        elif method == "daemon.stop":
            self.reply(rid, {})
            os._exit(0)
        else:
            self.reply(rid, {})


def main():
    log("start %d" % os.getpid())
    if sys.argv[1:]:
        log("argv " + " ".join(sys.argv[1:]))
    if os.environ.get("FAKE_DIE"):
        said = os.environ["FAKE_DIE"]
        sys.stderr.write("<3>ev=start.failed reason=\"a test\"\n" if said == "1" else said)
        return 1
    assert os.environ["LISTEN_FDS"] == "1" and int(os.environ["LISTEN_PID"]) == os.getpid()
    assert os.stat("/proc/self/fd/0").st_rdev == os.stat("/dev/null").st_rdev
    assert os.getsid(0) == os.getpid()
    listener = socket.socket(fileno=3)
    sel = selectors.DefaultSelector()
    sel.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in sel.select():
            if key.fileobj is listener:
                sock, _ = listener.accept()
                sel.register(sock, selectors.EVENT_READ, Connection(sock))
                continue
            try:
                alive = key.data.readable()
            except (BrokenPipeError, ConnectionResetError):
                alive = False
            if not alive:
                sel.unregister(key.fileobj)
                key.fileobj.close()


if __name__ == "__main__":
    sys.exit(main())
