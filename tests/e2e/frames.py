#!/usr/bin/env python3
"""What no well-behaved client would send, against the live daemon: each gets the error that docs/protocol.md names, on
the request or on the connection, and the daemon goes on serving others.  Needs no VMM.
"""
import glob
import os
import socket
import struct

import msgpack

import banger_session
from banger_session import Skip
from banger_wire import HELLO, Closed, Wire, op_id, pack, request, vector

VECTORS = os.environ["VECTORS"]
FRAME_MAX = 1 << 20
REQUESTS_MAX = 512


def wire(s, hello=True):
    return Wire(s.socket(), hello)


def answers(s):
    """Somebody else is served as ever."""
    with wire(s) as w:
        assert w.ask(1, "ping") == {}


def refused(s, data, code, hello=True):
    """These bytes end the connection, with this code as its last words."""
    with wire(s, hello) as w:
        try:
            w.raw(data)
        except Closed:
            pass
        said = w.last_words()
    assert said == code, f"{data[:40].hex()}: {said}, not {code}"
    answers(s)


def request_refused(s, frame, code, names=""):
    """This request fails alone; `names` is in the message."""
    with wire(s) as w:
        w.send(frame)
        error = w.reply(frame["id"])["error"]
        assert error["code"] == code and names in error["message"], error
        assert w.ask(77, "ping") == {}


def framed(payload):
    return struct.pack(">I", len(payload)) + payload


# ---- the vectors ----

def every_bad_vector(s):
    """A client's bad frame is refused with the code that its file names: arguments alone, all else for good."""
    files = sorted(glob.glob(f"{VECTORS}/bad/*.hex"))
    assert len(files) > 30, files
    for path in files:
        data, notes = vector(path)
        code = notes["error"]
        if code.startswith("request."):
            with wire(s) as w:
                w.raw(data)
                assert w.reply(1)["error"]["code"] == code, path
                assert w.ask(77, "ping") == {}
        else:
            try:
                refused(s, data, code, hello=b"hello" not in data)
            except AssertionError as e:
                raise AssertionError(f"{path}: {e}") from e


def every_good_vector(s):
    """Each request of the golden vectors is understood; what the daemon alone may send is refused."""
    for path in sorted(glob.glob(f"{VECTORS}/client/request-*.hex")):
        data, _ = vector(path)
        ask = msgpack.unpackb(data[4:])
        if ask["method"] in ("daemon.stop", "watch", "kernel.import", "image.build"):
            continue
        if ask["method"] == "op.wait":
            ask["args"]["op_id"] = op_id()  # not its own
            data = pack(ask)
        with wire(s) as w:
            w.raw(data)
            reply = w.reply(ask["id"])
            code = reply.get("error", {}).get("code", "")
            assert not code.startswith(("request.", "frame.")), (path, reply)
    for name in ("event-vm", "reply-ping", "hello-daemon"):
        refused(s, vector(f"{VECTORS}/client/{name}.hex")[0], "frame.bad")
    s.clear()


# ---- lengths, depths, counts that lie ----

def lengths_that_lie(s):
    ping = msgpack.packb(request(1, "ping"))
    refused(s, struct.pack(">I", 0), "frame.bad")
    refused(s, struct.pack(">I", FRAME_MAX + 1), "frame.too_big")
    refused(s, struct.pack(">I", 0xffffffff), "frame.too_big")
    refused(s, struct.pack(">I", len(ping) - 1) + ping, "frame.bad")
    refused(s, struct.pack(">I", len(ping) + 1) + ping + b"\0", "frame.bad")
    refused(s, framed(ping + ping), "frame.bad")


def a_frame_of_exactly_the_limit_is_taken(s):
    frame = request(9, "vm.show", {"ref": ""})
    room = FRAME_MAX - len(msgpack.packb(frame)) - 4  # of a str32's head, beside fixstr's
    frame["args"]["ref"] = "x" * room
    assert len(msgpack.packb(frame)) == FRAME_MAX
    request_refused(s, frame, "request.bad", "ref")
    frame["args"]["ref"] += "x"
    refused(s, pack(frame), "frame.too_big")


def depths_that_lie(s):
    for head in (b"\x91", b"\x81\xa1x", b"\x81\x91"):
        for depth in (17, 1000, 100000):
            refused(s, framed(head * depth + b"\xc0"), "frame.bad")
    deep = {"x": 1}
    for _ in range(14):
        deep = {"x": deep}
    with wire(s) as w:  # sixteen are allowed: what is wrong is the field, not the frame
        w.send(request(1, "vm.show", deep["x"]))
        assert w.reply(1)["error"]["code"] == "request.bad"


def counts_that_lie(s):
    for head in (b"\xdd", b"\xdf"):
        for count in (1, 70000, 0x7fffffff, 0xffffffff):
            refused(s, framed(b"\x81\xa1x" + head + struct.pack(">I", count)), "frame.bad")
    for head in (b"\xdb", b"\xc6", b"\xc9"):
        refused(s, framed(b"\x81\xa1x" + head + struct.pack(">I", 0xfffffff0) + b"\1"), "frame.bad")
    refused(s, pack(request(1, "vm.stop", {"refs": [""] * 65536})), "frame.bad")
    request_refused(s, request(1, "vm.stop", {"refs": ["x"] * 4097}), "request.bad", "refs")


# ---- fields ----

def fields_of_arguments(s):
    """Bad arguments fail their request alone, and the message names the field."""
    for method, args, field in [
            ("vm.show", {}, "ref"),
            ("vm.show", {"ref": 7}, "ref"),
            ("vm.show", {"ref": b"x"}, "ref"),
            ("vm.show", {"ref": None}, "ref"),
            ("vm.show", {"ref": ["x"]}, "ref"),
            ("vm.show", {"ref": "x", "colour": "red"}, "colour"),
            ("vm.show", {"ref": ""}, "ref"),
            ("vm.show", {"ref": "x" * 64}, "ref"),
            ("vm.show", {"ref": "a\0b"}, "ref"),
            ("ping", {"x": 1}, "x"),
            ("vm.create", {"count": 0}, "count"),
            ("vm.create", {"count": -1}, "count"),
            ("vm.create", {"count": 1.0}, "count"),
            ("vm.create", {"count": 1 << 40}, "count"),
            ("vm.create", {"spec": {"vcpu": 65}}, "spec.vcpu"),
            ("vm.create", {"spec": {"memory_bytes": 1}}, "spec.memory_bytes"),
            ("vm.create", {"spec": {"publish": [{"host": 80}]}}, "guest"),
            ("vm.create", {"spec": {"publish": [{"host": 80, "guest": 0}]}}, "guest"),
            ("vm.create", {"spec": {"labels": {"a": 1}}}, "labels"),
            ("vm.create", {"spec": {"env": ["a=b"]}}, "env"),
            ("vm.create", {"spec": 1}, "spec"),
            ("vm.create", {"no_start": 1}, "no_start"),
            ("vm.exec", {"ref": "x", "argv": "ls"}, "argv"),
            ("vm.exec", {"ref": "x", "window": 0}, "window"),
            ("vm.stop", {}, "refs"),
            ("vm.wait", {"refs": ["x"], "state": "asleep"}, "state"),
            ("op.show", {"op_id": "0" * 16}, "op_id"),
            ("op.show", {"op_id": b"0" * 15}, "op_id")]:
        request_refused(s, request(5, method, args), "request.bad", field)
    request_refused(s, request(5, "vm.fly"), "request.unknown", "vm.fly")
    request_refused(s, request(5, "x" * 63), "request.unknown", "x")
    assert s.vms() == []


def fields_of_envelopes(s):
    """A bad envelope ends the connection."""
    ping = request(1, "ping")
    for change in [{"id": 0}, {"id": -1}, {"id": 1 << 32}, {"id": "1"}, {"id": None}, {"id": 1.5}, {"colour": "red"},
                   {"args": []}, {"args": None}, {"method": 7}, {"method": ""}, {"method": "x" * 64},
                   {"op_id": b"short"}, {"op_id": "0" * 16}, {"detach": 1}, {"type": "wish"}, {"type": 3}]:
        refused(s, pack({**ping, **change}), "frame.bad")
    for field in ("id", "method", "args", "type"):
        refused(s, pack({k: v for k, v in ping.items() if k != field}), "frame.bad")
    for frame in [{"type": "data", "id": 1, "stream": 3, "bytes": b""},
                  {"type": "data", "id": 1, "stream": 0, "bytes": "text"},
                  {"type": "credit", "id": 1, "stream": 1, "bytes": 0},
                  {"type": "credit", "id": 1, "stream": 1, "bytes": 1 << 27},
                  {"type": "signal", "id": 1, "signo": 65},
                  {"type": "resize", "id": 1, "rows": 0, "cols": 80},
                  {"type": "cancel"},
                  {"type": "event", "id": 1, "event": "vm", "body": {}},
                  {"type": "reply", "id": 1, "result": {}}]:
        refused(s, pack(frame), "frame.bad")


def no_map_at_all(s):
    for payload in (b"\xc0", b"\x01", b"\xa1x", b"\x90", b"\xc1", b"\xd4\x01\x01", b"\xc7\x00\x01", b"GET / HTTP/1.1\r\n"):
        refused(s, framed(payload), "frame.bad")
    refused(s, b"GET / HTTP/1.1\r\n\r\n", "frame.too_big")
    refused(s, framed(msgpack.packb({1: 2})), "frame.bad")
    refused(s, framed(b"\x82\xa4type\xa4ping\xa4type\xa4ping"), "frame.bad")


# ---- hello ----

def versions(s):
    def hello(**change):
        return pack({**HELLO, **change})

    refused(s, hello(version=2, version_min=2), "version.unsupported", hello=False)
    refused(s, hello(version=1000, version_min=7), "version.unsupported", hello=False)
    refused(s, hello(version=0, version_min=0), "frame.bad", hello=False)
    refused(s, hello(version=1, version_min=2), "frame.bad", hello=False)
    refused(s, pack({"type": "hello", "version": 1, "version_min": 1}), "frame.bad", hello=False)
    refused(s, pack(request(1, "ping")), "frame.bad", hello=False)
    refused(s, pack(HELLO), "frame.bad")  # a second one
    for more in ({"version": 9}, {"colour": "red"}):  # newer, but speaks ours too; and hello is open
        with wire(s, hello=False) as w:
            w.raw(hello(**more))
            assert w.read()["version"] == 1
            assert w.ask(1, "ping") == {}


# ---- ids, connections ----

def an_id_that_is_under_way(s):
    """Two replies of one id could not be told apart."""
    refused(s, pack(request(4, "watch")) + pack(request(4, "ping")), "frame.bad")
    with wire(s) as w:  # answered, so free again
        for _ in range(3):
            assert w.ask(4, "ping") == {}


def frames_for_nobody_are_ignored(s):
    with wire(s) as w:
        w.send({"type": "cancel", "id": 9}, {"type": "data", "id": 9, "stream": 0, "bytes": b"x" * 1000},
               {"type": "credit", "id": 9, "stream": 1, "bytes": 5}, {"type": "signal", "id": 9, "signo": 9},
               {"type": "resize", "id": 9, "rows": 1, "cols": 1})
        assert w.ask(1, "ping") == {}


def streams_of_what_has_none(s):
    with wire(s) as w:
        w.send(request(1, "watch"), {"type": "data", "id": 1, "stream": 0, "bytes": b"x"},
               {"type": "signal", "id": 1, "signo": 9}, {"type": "credit", "id": 1, "stream": 2, "bytes": 5})
        assert w.ask(2, "ping") == {}
        w.send({"type": "cancel", "id": 1})
        assert w.reply(1)["error"]["code"] == "cancelled"
    for stream in (1, 2):  # only the daemon may send these, and be granted 0
        refused(s, pack(request(1, "watch")) + pack({"type": "data", "id": 1, "stream": stream, "bytes": b"x"}),
                "frame.bad")
    refused(s, pack(request(1, "watch")) + pack({"type": "credit", "id": 1, "stream": 0, "bytes": 1}), "frame.bad")


def ten_thousand_requests_pipelined(s):
    """Each gets its one reply, in any order: the result, or "busy" where more were under way than may be."""
    count = 10000
    with wire(s) as w:
        w.sock.setblocking(False)
        todo = memoryview(b"".join(pack(request(i, "ping")) for i in range(1, count + 1)))
        codes = {}
        while len(codes) < count:
            if todo:
                try:
                    todo = todo[w.sock.send(todo):]
                except BlockingIOError:
                    pass
            try:
                w.more()
            except BlockingIOError:
                pass
            while (frame := w.whole()) is not None:
                assert frame["type"] == "reply" and frame["id"] not in codes, frame
                codes[frame["id"]] = frame.get("error", {}).get("code", "ok")
        assert set(codes) == set(range(1, count + 1))
        assert set(codes.values()) <= {"ok", "busy"}, set(codes.values())
        assert list(codes.values()).count("ok") >= REQUESTS_MAX
        w.sock.setblocking(True)
        assert w.ask(count + 1, "ping") == {}


def as_many_under_way_as_may_be(s):
    s.run("vm", "create", "--vmm", "null", "--name", "w")
    with wire(s) as w:
        w.send(*(request(i, "vm.wait", {"refs": ["w"]}) for i in range(1, REQUESTS_MAX + 1)))
        assert w.ask(9999, "ping") == "busy"
        s.run("vm", "stop", "w")
        done = {w.read()["id"] for _ in range(REQUESTS_MAX)}
        assert done == set(range(1, REQUESTS_MAX + 1))
        assert w.ask(9999, "ping") == {}
    s.clear()


def half_open(s):
    """Who has said all that it will say gets no more answers: that is closing."""
    s.run("vm", "create", "--vmm", "null", "--name", "h")
    w = wire(s)
    w.send(request(1, "vm.wait", {"refs": ["h"]}))
    w.sock.shutdown(socket.SHUT_WR)
    assert w.last_words() is None
    w.close()
    w = wire(s)  # the other way round: it does not listen
    w.sock.shutdown(socket.SHUT_RD)
    try:
        w.send(*(request(i, "ping") for i in range(1, 100)))
    except Closed:
        pass
    w.close()
    for left in (b"", b"\0", b"\0\0\0\x20\x84"):  # gone in the middle
        with wire(s, hello=False) as w:
            w.raw(left)
    answers(s)
    s.clear()


def closing_cancels(s):
    """What was asked goes with its connection, unless it was detached."""
    s.run("vm", "create", "--vmm", "null", "--name", "c", "--no-start")
    with wire(s) as w, wire(s) as other:
        lost, kept = op_id(), op_id()
        w.send(request(1, "vm.wait", {"refs": ["c"], "state": "running"}, op_id=lost),
               request(2, "vm.wait", {"refs": ["c"], "state": "running"}, op_id=kept, detach=True))
        assert w.ask(3, "ping") == {}
        w.close()
        banger_session.wait_for(lambda: other.ask(1, "op.show", {"op_id": lost}) == "op.not_found", "it waits on")
        assert other.ask(1, "op.show", {"op_id": kept})["state"] == "running"
        s.run("vm", "start", "c")
        banger_session.wait_for(lambda: other.ask(1, "op.show", {"op_id": kept}) == "op.not_found", "it waits on")
    s.clear()


def as_another_uid(uid, folder, story):
    """What story() returns, as a process of this uid that is in this folder already."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(folder)
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.write(write, repr(story()).encode())
        except BaseException as e:
            os.write(write, repr(e).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as f:
        return f.read()


def strangers_are_turned_away(s):
    """By the uid that has connected, where modes do not keep him out; the owner is served meanwhile."""
    if os.geteuid() != 0:
        raise Skip("takes root: another uid is needed")
    path = s.socket()

    def last_words():
        with Wire(os.path.basename(path), hello=False) as w:
            w.hello()
            return w.last_words()

    nobody = 65534
    folder = os.path.dirname(path)
    assert "Permission" in as_another_uid(nobody, folder, last_words), "modes keep him out"
    os.chmod(path, 0o666)
    os.chmod(folder, 0o755)
    for _ in range(40):
        assert as_another_uid(nobody, folder, last_words) == "'client.stranger'"
    answers(s)
    assert f"ev=client.stranger uid={nobody}" in s.log()


banger_session.main([
    every_bad_vector, every_good_vector, lengths_that_lie, a_frame_of_exactly_the_limit_is_taken, depths_that_lie,
    counts_that_lie, fields_of_arguments, fields_of_envelopes, no_map_at_all, versions, an_id_that_is_under_way,
    frames_for_nobody_are_ignored, streams_of_what_has_none, ten_thousand_requests_pipelined,
    as_many_under_way_as_may_be, half_open, closing_cancels, strangers_are_turned_away])
