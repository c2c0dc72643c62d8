#!/usr/bin/env python3
"""A command's streams on the wire, docs/protocol.md section 7, by a client that keeps to it and by one that does not.
The agent is the real one, running here and not in a guest.
"""
import banger_session
from banger_wire import Closed, Wire, request

WINDOW = 262144


def wire(s):
    if s.states() != ["running"]:  # a story that failed has cleared it away
        s.fake_guest()
    return Wire(s.socket())


def exec_request(ident, *argv, **args):
    return request(ident, "vm.exec", {"ref": "guest", "argv": list(argv), **args})


def stdin(ident, data):
    return {"type": "data", "id": ident, "stream": 0, "bytes": data}


def outcome(w, ident, grant=True):
    """(status or code, stdout, stderr); what has come is granted again."""
    out = {1: b"", 2: b""}
    while True:
        frame = w.read()
        if frame["type"] == "reply" and frame["id"] == ident:
            end = frame["error"]["code"] if "error" in frame else frame["result"]["status"]
            return end, out[1], out[2]
        assert frame["type"] != "reply", frame
        if frame["type"] == "data" and frame["bytes"]:
            out[frame["stream"]] += frame["bytes"]
            if grant:
                w.send({"type": "credit", "id": ident, "stream": frame["stream"], "bytes": len(frame["bytes"])})


def credit(w, ident):
    frame = w.read()
    assert (frame["type"], frame["id"], frame["stream"]) == ("credit", ident, 0), frame
    return frame["bytes"]


def ended(w, ident, code):
    """The request gets this error, and the connection is as good as before."""
    w.send({"type": "signal", "id": ident, "signo": 9})  # for nobody
    while (frame := w.read())["type"] != "reply":
        pass
    assert frame["id"] == ident and frame["error"]["code"] == code, frame
    assert outcome_of_true(w, ident) == 0


def outcome_of_true(w, ident):
    w.send(exec_request(ident, "true"))
    return outcome(w, ident)[0]


def input_within_its_credit(s):
    data = bytes(range(256)) * 8192
    with wire(s) as w:
        w.send(exec_request(1, "cat", stdin_open=True))
        granted, sent, came = 0, 0, b""
        while len(came) < len(data):
            if granted > sent and sent < len(data):
                take = min(granted - sent, len(data) - sent, 100000)  # in frames of any size
                w.send(stdin(1, data[sent:sent + take]))
                sent += take
            frame = w.read() if sent == granted or sent == len(data) or w.got else None
            if frame and frame["type"] == "credit":
                granted += frame["bytes"]
            elif frame:
                came += frame["bytes"]
                w.send({"type": "credit", "id": 1, "stream": 1, "bytes": len(frame["bytes"])})
        w.send(stdin(1, b""))
        assert outcome(w, 1)[0] == 0 and came == data


def input_beyond_its_credit(s):
    with wire(s) as w:
        w.send(exec_request(1, "cat", stdin_open=True), stdin(1, b"x"))  # nothing is granted yet
        ended(w, 1, "request.bad")
        w.send(exec_request(2, "sleep", "1000", stdin_open=True))
        granted = credit(w, 2)
        w.send(stdin(2, b"x" * (granted + 1)))
        ended(w, 2, "request.bad")
        w.send(exec_request(3, "sleep", "1000"), stdin(3, b"x"))  # it has none
        ended(w, 3, "request.bad")
        w.send(exec_request(4, "sleep", "1000", stdin_open=True), stdin(4, b""), stdin(4, b""))  # after its end
        ended(w, 4, "request.bad")
        w.send(exec_request(5, "sleep", "1000", stdin_open=True), stdin(5, b"x" * ((1 << 20) - 100)))
        ended(w, 5, "request.bad")


def what_follows_its_request_at_once(s):
    """The daemon has not looked for the VM yet, but nothing of it is lost."""
    for _ in range(20):
        with wire(s) as w:
            w.send(exec_request(1, "cat", stdin_open=True), stdin(1, b""))
            assert outcome(w, 1) == (0, b"", b"")
            w.send(exec_request(2, "sleep", "1000"), {"type": "signal", "id": 2, "signo": 15})
            assert outcome(w, 2)[0] == 143
            w.send(exec_request(3, "head", "-c", "100000", "/dev/zero", window=1),
                   {"type": "credit", "id": 3, "stream": 1, "bytes": 99999})
            assert outcome(w, 3, grant=False)[:2] == (0, bytes(100000))
            w.send(exec_request(4, "sleep", "1000"), {"type": "cancel", "id": 4})
            assert outcome(w, 4)[0] == "cancelled"


def output_within_its_credit(s):
    """A command waits for credit, and ends when it gets it."""
    with wire(s) as w:
        w.send(exec_request(1, "head", "-c", "1000000", "/dev/zero", window=1000))
        came = 0
        while came < 1000:
            came += len(w.read()["bytes"])
        assert came == 1000
        w.sock.settimeout(0.5)
        try:
            assert False, w.read()
        except AssertionError as e:
            assert "says nothing" in str(e), e
        w.sock.settimeout(60)
        w.send({"type": "credit", "id": 1, "stream": 1, "bytes": 1000000})
        assert outcome(w, 1, grant=False)[:2] == (0, bytes(999000))


def credit_for_what_is_not_read(s):
    """More is granted than a connection may keep unread: it is closed, and the daemon goes on."""
    w = wire(s)
    w.send(exec_request(1, "cat", "/dev/zero"), *({"type": "credit", "id": 1, "stream": 1, "bytes": 1 << 26},) * 50)
    with wire(s) as other:
        banger_session.wait_for(lambda: other.ask(1, "op.list").get("ops", []) == [] or not any(
            op["method"] == "vm.exec" for op in other.ask(2, "op.list")["ops"]), "it is kept", 60)
        assert outcome_of_true(other, 3) == 0
    try:
        while True:
            w.more()
            w.got.clear()
    except Closed:
        pass


def prepare(s):
    s.env["ASAN_OPTIONS"] = "quarantine_size_mb=1"
    s.fake_vmm()


banger_session.main([
    input_within_its_credit, input_beyond_its_credit, what_follows_its_request_at_once, output_within_its_credit,
    credit_for_what_is_not_read], prepare=prepare)
