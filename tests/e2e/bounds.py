#!/usr/bin/env python3
"""What connections may cost, docs/protocol.md section 9: thousands of them, requests without end, answers that nobody
reads.  Others are served meanwhile, and the daemon's memory stays within its bounds (measured only where no sanitizer
has a share in it).  Needs no VMM.
"""
import os
import select
import time

import banger_session
from banger_session import memory_kib, wait_for
from banger_wire import Closed, Wire, pack, request

SANITIZED = os.environ.get("SANITIZED") == "1"
CONNECTIONS = 10000
CLIENTS_MAX = 1024
OWN_KIB = 64
SHARED_KIB = 256 << 10
WATCHERS_MAX = 64
WAITERS_MAX = 1024
TARGETS_MAX = 4096
TASKS_MAX = 65536
PATIENCE_S = 5  # within which another client has its answer, whatever goes on


class Cost:
    """What a fresh daemon has come to take since this began."""

    def __init__(self, s):
        s.run("daemon", "stop")
        self.pid = s.info()["pid"]
        self.before = memory_kib(self.pid)

    def kib(self):
        return memory_kib(self.pid) - self.before

    def at_most(self, kib, what):
        took = self.kib()
        print(f"# {what}: {took} KiB, bound {kib} KiB", flush=True)
        assert SANITIZED or took <= kib, f"{what}: {took} KiB, at most {kib}"


def answered_in_time(w):
    began = time.monotonic()
    assert w.ask(1, "ping") == {}
    took = time.monotonic() - began
    assert took < PATIENCE_S, f"a ping took {took:.1f} s"


def is_busy(s):
    with Wire(s.socket(), hello=False) as w:
        return w.last_words() == "busy"


def ten_thousand_connections(s):
    """1024 are served; each other is told "busy" and closed.  Those that were there first do not notice."""
    cost = Cost(s)
    with Wire(s.socket()) as early:
        flood, served, refused = [], [], 0
        for i in range(CONNECTIONS):
            flood.append(Wire(s.socket(), hello=False))
            if i % 500 == 0:
                answered_in_time(early)
        for w in flood:
            w.hello()
        for w in flood:
            try:
                frame = w.read()
            except Closed:  # even "busy" is said to so many at a time only
                refused += 1
                continue
            if frame["type"] == "hello":
                served.append(w)
            else:
                assert frame["error"]["code"] == "busy" and frame["error"]["retryable"], frame
                assert w.last_words() is None
                refused += 1
        assert len(served) == CLIENTS_MAX - 1 and refused == CONNECTIONS - len(served), (len(served), refused)
        cost.at_most(CLIENTS_MAX * 8, f"{len(served)} idle connections")
        p = s.run("vm", "list", check=False)
        assert p.returncode != 0 and "connections" in p.stderr and "Try again" in p.stderr, p.stderr
        for w in served[::100]:
            answered_in_time(w)
        for w in flood:
            w.close()
        wait_for(lambda: not is_busy(s), "still busy")
        answered_in_time(early)
        cost.at_most(4096, "when they have gone")


def frames_that_never_end(s):
    """Each may be of a MiB; but all together no more than the bound, then who wants more is told "busy"."""
    chunk = pack(request(1, "vm.show", {"ref": "x" * ((1 << 20) - 100)}))[:-1]
    cost = Cost(s)
    with Wire(s.socket()) as early:
        greedy = [Wire(s.socket()) for _ in range(320)]
        refused = 0
        for w in greedy:
            try:
                w.raw(chunk)
            except Closed:
                pass
            answered_in_time(early)
        for w in greedy:
            if select.select([w.sock], [], [], 0)[0]:
                assert w.last_words() == "busy"
                refused += 1
        # Those that are told so on a loaded machine only later are counted when they are.
        assert 320 - (SHARED_KIB >> 10) - 32 < refused < 100, refused
        cost.at_most(SHARED_KIB + len(greedy) * OWN_KIB + 4096, f"{len(greedy)} MiB of frames without end")
        assert early.ask(2, "info")["pid"] == cost.pid
        assert s.vms() == []  # a newcomer with modest wishes
        for w in greedy:
            w.close()
        wait_for(lambda: SANITIZED or cost.kib() < 32 << 10, "memory is not given back")


def requests_that_pile_up(s):
    """Waits for what does not come, each for as many VMs as one may name."""
    s.run("vm", "create", "-n", str(TARGETS_MAX), "--vmm", "null", "--name", "w", "--no-start")
    args = {"refs": [f"w-{i}" for i in range(1, TARGETS_MAX + 1)], "state": "running"}
    cost = Cost(s)
    with Wire(s.socket()) as early:
        pile = [Wire(s.socket()) for _ in range(8)]
        codes = []
        for w in pile:
            w.send(*(request(i, "vm.wait", args) for i in range(1, 65)))
            for ping in (998, 999):  # the first may overtake the last refusals
                w.send(request(ping, "ping"))
                while (frame := w.read())["id"] != ping:
                    codes.append(frame["error"]["code"])
            answered_in_time(early)
        assert codes == ["busy"] * (len(pile) * 64 - TASKS_MAX // TARGETS_MAX), len(codes)
        cost.at_most(64 << 10, f"{len(pile) * 64} waits for {TARGETS_MAX} VMs each")
        for w in pile:
            w.close()
        some = {"refs": args["refs"], "state": "created"}
        wait_for(lambda: early.ask(3, "vm.wait", some) != "busy", "what nobody asks for any more is kept")
        # One VM, and more who wait for it than may.
        early.send(*(request(i, "vm.wait", {"refs": ["w-1"] * 8, "state": "running"}) for i in range(10, 150)))
        s.run("vm", "start", "w-1")
        replies = early.replies(range(10, 150)).values()
        targets = [t.get("code") for r in replies for t in r["result"]["targets"]]
        assert targets.count(None) == WAITERS_MAX and targets.count("busy") == 140 * 8 - WAITERS_MAX, targets
    s.clear()


def answers_that_nobody_reads(s):
    """Requests wait when a MiB of answers does; nothing is lost, each comes when it is read."""
    s.run("vm", "create", "-n", "300", "--vmm", "null", "--name", "row", "--no-start")
    count = 500
    cost = Cost(s)
    with Wire(s.socket()) as early:
        deaf = [Wire(s.socket()) for _ in range(16)]
        for w in deaf:
            w.send(*(request(i, "vm.list", {"all": True}) for i in range(1, count + 1)))
            answered_in_time(early)
        cost.at_most(16 * (1 << 10) * 3, "16 who do not read what would be 1000 MiB")
        for w in deaf[1:]:
            w.close()
        for i in range(1, count + 1):
            rows = deaf[0].reply(i)["result"]["vms"]
            assert len(rows) == 300, (i, len(rows))
        assert deaf[0].ask(count + 1, "ping") == {}
        deaf[0].close()
    s.clear()


def watchers_that_do_not_read(s):
    """They lose events, and are told how many; what came, what was lost and what others saw add up."""
    cost = Cost(s)
    with Wire(s.socket()) as early, Wire(s.socket()) as reader, Wire(s.socket()) as deaf:
        reader.send(request(1, "watch", {"types": ["vm"]}))
        deaf.send(*(request(i, "watch", {"types": ["vm"]}) for i in range(1, WATCHERS_MAX)))
        assert deaf.ask(500, "ping") == {} and reader.ask(500, "ping") == {}
        assert early.ask(2, "watch") == "busy"
        seen = 0
        for _ in range(2):
            s.run("vm", "create", "-n", "500", "--vmm", "null", "--name", "many")
            s.run("vm", "delete", "--all", "-f")
            answered_in_time(early)
            seen += count_events(reader, 500)
        cost.at_most(16 << 10, f"{WATCHERS_MAX - 1} watches of {seen} events on a connection that is not read")
        came = {i: 0 for i in range(1, WATCHERS_MAX)}
        lost = dict(came)
        deaf.send(*({"type": "cancel", "id": i} for i in came))
        ended = 0
        while ended < len(came):
            frame = deaf.read()
            if frame["type"] == "event":
                came[frame["id"]] += frame["event"] == "vm"
                lost[frame["id"]] += frame["body"]["events"] if frame["event"] == "lost" else 0
            else:
                ended += frame["id"] in came and frame["error"]["code"] == "cancelled"
        assert {came[i] + lost[i] for i in came} == {seen}, (seen, came, lost)
        assert all(lost.values())
        assert deaf.ask(501, "ping") == {}


def count_events(reader, gone):
    """Up to the end of so many VMs."""
    seen = 0
    while gone:
        frame = reader.read()
        seen += 1
        assert frame["event"] == "vm", frame
        gone -= frame["body"]["state"] == "gone"
    return seen


banger_session.main([
    ten_thousand_connections, frames_that_never_end, requests_that_pile_up, answers_that_nobody_reads,
    watchers_that_do_not_read])
