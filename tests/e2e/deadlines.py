#!/usr/bin/env python3
"""The two deadlines of a connection, docs/protocol.md section 3, waited for in earnest and all at once: who dawdles is
told "timeout" and closed, who merely has nothing to say is not.
"""
import selectors
import time

import banger_session
from banger_wire import HELLO, Closed, Wire, pack, request

HELLO_S, FRAME_S = 10, 30
LISTS = 400
LATE_S = 25  # a loaded machine's; being early is what no load excuses
PING = pack(request(1, "ping"))


class Slow:
    """One connection: `says` is sent a byte a second; it must be closed `after` so many seconds, or never."""

    def __init__(self, s, hello=True, first=b"", says=b"", after=None):
        self.wire = Wire(s.socket(), hello)
        self.wire.raw(first)
        self.says, self.after = says, after
        self.began = time.monotonic()
        self.ended = None

    def tick(self):
        if self.says and not self.ended:
            try:
                self.wire.raw(self.says[:1])
            except Closed:
                return
            self.says = self.says[1:]

    def read(self):
        try:
            self.wire.more()
        except Closed:
            self.ended = time.monotonic() - self.began

    def check(self, what):
        if self.after is None:
            assert self.ended is None, f"{what}: closed after {self.ended:.1f} s"
            return
        assert self.ended is not None, f"{what}: open after {time.monotonic() - self.began:.1f} s"
        assert self.after - 0.5 < self.ended < self.after + LATE_S, f"{what}: closed after {self.ended:.1f} s"
        assert self.wire.last_words() == "timeout", what


def one_who_does_not_read(s):
    """More answers than the daemon keeps for it wait for it, so its next frame is not read: that cannot be late."""
    s.run("vm", "create", "-n", "50", "--vmm", "null", "--name", "row")
    deaf = Wire(s.socket())
    deaf.raw(b"".join(pack(request(i, "vm.list")) for i in range(1, LISTS + 1)) + PING[:9])
    return deaf


def those_who_dawdle(s):
    deaf = one_who_does_not_read(s)
    slow = {
        "says nothing": Slow(s, hello=False, after=HELLO_S),
        "a hello, a byte a second": Slow(s, hello=False, says=pack(HELLO), after=HELLO_S),
        "half a hello": Slow(s, hello=False, first=pack(HELLO)[:20], after=HELLO_S),
        "a frame, a byte a second": Slow(s, says=pack(request(1, "vm.show", {"ref": "x" * 63})), after=FRAME_S),
        "the first byte of a length": Slow(s, first=b"\0", after=FRAME_S),
        "a length, and no frame": Slow(s, first=b"\0\x0f\xff\xff", after=FRAME_S),
        "all but one byte": Slow(s, first=PING[:-1], after=FRAME_S),
        "half a frame after a whole one": Slow(s, first=PING + PING[:9], after=FRAME_S),
        "has nothing to say": Slow(s),
        "waits for an answer": Slow(s, first=pack(request(1, "watch"))),
    }
    slow.update((f"{i} of many", Slow(s, says=PING[:-1] * 2, after=FRAME_S)) for i in range(200))
    busy = Wire(s.socket())  # says much, and always has a frame that has just begun
    busy.raw(PING[:9])

    with selectors.DefaultSelector() as ready:
        for one in slow.values():
            ready.register(one.wire.sock, selectors.EVENT_READ, one)
        count = 0
        over = time.monotonic() + FRAME_S + LATE_S
        next_tick = time.monotonic()
        while time.monotonic() < over and any(one.after and not one.ended for one in slow.values()):
            for key, _ in ready.select(max(0, next_tick - time.monotonic())):
                key.data.read()
                if key.data.ended:
                    ready.unregister(key.data.wire.sock)
            if time.monotonic() < next_tick:
                continue
            next_tick += 1
            for one in slow.values():
                one.tick()
            count += 1
            busy.raw(PING[9:] + pack(request(2, "ping")) + PING[:9])
            assert busy.reply(1)["result"] == {} and busy.reply(2)["result"] == {}
    assert count >= FRAME_S
    for what, one in slow.items():
        one.check(what)
    for i in range(1, LISTS + 1):
        assert len(deaf.reply(i)["result"]["vms"]) == 50
    deaf.raw(PING[9:])
    assert deaf.reply(1)["result"] == {}
    busy.close()
    deaf.close()
    for one in slow.values():
        one.wire.close()


banger_session.main([those_who_dawdle])
