#!/usr/bin/env python3
"""kill_vmm: what ends in its own time lets others through, and what is asked of the same VM waits for it; ends that fail."""
import contextlib
import errno
import os
import signal
import subprocess
import tempfile
import time

from harness import DEADLINE_S, DIE, VM, Refused, children, main, read_file
from jail import ID, OTHER, RUN, SLOT, UID, Jail, closed, gone, refused

NEXT = {"vm": OTHER, "slot": SLOT + 1}
LATE_MAX = 64  # WORKER_LATE_MAX of src/helper/worker.h


def until(holds, what):
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def state_of(pid):
    return (read_file(f"/proc/{pid}/stat").rpartition(")")[2].split() or ["gone"])[0]


@contextlib.contextmanager
def that_cannot_end(pid):
    """While this lasts.  The first process of a namespace waits for all that are in it to be reaped, and one is a child of nsenter's,
    which is stopped."""
    with subprocess.Popen(["nsenter", "--target", str(pid), "--pid", "sleep", "1000"]) as outside:
        try:
            until(lambda: [read_file(f"/proc/{p}/comm") for p in children(outside.pid)] == ["sleep\n"], "nobody is in its namespace")
            outside.send_signal(signal.SIGSTOP)
            until(lambda: state_of(outside.pid) == "T", "nsenter is not stopped")
            yield
        finally:
            outside.send_signal(signal.SIGCONT)
            outside.kill()
            outside.wait()


def killed(pid):
    """Waits until that has begun: its memory is gone."""
    until(lambda: not os.path.exists(f"/proc/{pid}/exe"), f"{pid} has not been killed")


def launch(place, **args):
    pid, fds = place.launch(**{**RUN, **args})
    closed(fds)
    return pid


def others_are_served_meanwhile(place):
    slow, quick = launch(place), launch(place, **NEXT)
    with that_cannot_end(slow):
        first = place.client.begin("kill_vmm", **ID)
        place.client.begin("kill_vmm", **NEXT)
        second = place.client.end()
        assert second["id"] == first + 1, second
        gone(quick)
        place.client.begin("cleanup_jail", **NEXT)
        assert place.client.end()["result"] == {}
        quick = launch_while_asked(place, **NEXT)
        assert os.path.exists(f"/proc/{quick}") and os.path.exists(f"/proc/{slow}")
    assert place.client.end()["id"] == first
    gone(slow)
    place.away(**NEXT)
    place.away()
    assert place.report() == {}


def launch_while_asked(place, **args):
    """Something else is still to be answered."""
    place.client.begin("launch_vmm", **{**RUN, **args})
    pid = place.client.end()["result"]["pid"]
    closed(place.client.take_fds())
    return pid


def what_is_asked_of_the_same_vm_waits_for_its_end(place):
    pid = launch(place)
    with that_cannot_end(pid):
        asked = [place.client.begin("kill_vmm", **ID) for _ in range(2)]
        asked.append(place.client.begin("find_vmm", **ID))
        asked.append(place.client.begin("launch_vmm", **RUN))
        asked.append(place.client.begin("kill_vmm", **NEXT))
        killed(pid)
        place.client.sock.settimeout(0.2)
        try:
            raise AssertionError(place.client.receive())
        except TimeoutError:
            place.client.sock.settimeout(DEADLINE_S)
    replies = [place.client.end() for _ in asked]
    assert [r["id"] for r in replies] == asked, replies
    assert replies[2]["result"] == {} and replies[3]["result"]["pid"] != pid
    assert replies[3]["result"]["uid"] == UID
    assert state_of(replies[3]["result"]["pid"]) in ("R", "S"), "what is launched where another was killed lives"
    closed(place.client.take_fds())
    place.away()
    assert place.report() == {}


def as_many_wait_as_there_is_room_for(place):
    """One more is waited for by all that come after."""
    ids = [{"vm": VM[:-2] + a + b, "slot": 100 + 10 * int(a) + int(b)} for a in "01234567" for b in "0123456789"][:LATE_MAX + 2]
    slow = launch(place)
    for one in ids:
        launch(place, **one)
    clients = [place.helper.client() for _ in range(3)]
    with that_cannot_end(slow):
        asked = place.client.begin("kill_vmm", **ID)
        killed(slow)
        for i, one in enumerate(ids):
            clients[i % 3].begin("kill_vmm", **one)
        for i, _ in enumerate(ids):
            clients[i % 3].end()
    assert place.client.end()["id"] == asked
    for c in clients:
        c.close()
    for one in [ID, *ids]:
        place.ask("cleanup_jail", **one)
    assert place.report() == {}


def a_worker_that_dies_ends_all_that_wait(place):
    slow, other = launch(place), launch(place, **NEXT)
    with that_cannot_end(slow), that_cannot_end(other):
        for one in (ID, NEXT):
            place.client.begin("kill_vmm", **one)
        killed(slow)
        killed(other)
        os.kill(place.helper.workers()["jail"], signal.SIGKILL)
        for _ in range(2):
            try:
                raise AssertionError(place.client.end())
            except Refused as e:
                assert e.code == "helper.worker" and e.error["retryable"], e.error
    place.away()
    place.away(**NEXT)
    assert place.report() == {}


def an_end_that_cannot_be_seen_is_told(place):
    for action, code in ((errno.EIO, "net.failed"), (DIE, "helper.worker")):
        pid = launch(place)
        place.faults.plan(1, action, behind=True)
        refused(place, "kill_vmm", ID, code=code)
        place.faults.none()
        gone(pid)
        place.away()
        assert place.report() == {}


def one_that_does_not_end_is_told(place):
    pid = launch(place)
    with that_cannot_end(pid):
        refused(place, "kill_vmm", ID, "do not end", code="jail.failed")
    place.away()
    assert place.report() == {}


def it_stops_once_all_have_ended(place):
    pid = launch(place)
    with that_cannot_end(pid):
        asked = place.client.begin("kill_vmm", **ID)
        killed(pid)
        os.kill(place.helper.main_pid(), signal.SIGTERM)
        place.helper.said("STOPPING=1")
        assert place.helper.process.poll() is None
    assert place.client.end()["id"] == asked
    assert place.helper.process.wait(DEADLINE_S) == 0
    place.client.close()
    place.helper.stop()
    place.helper.start()
    place.client = place.helper.client()
    place.ask = place.client.ask
    place.away()


# ---- how it has ended ----

def how_it_has_ended_is_told(place):
    """By the kill, by a signal of somebody else's, by itself; again when asked again; not by a helper that was not its parent."""
    launch(place)
    for _ in range(2):
        assert place.ask("kill_vmm", **ID) == {"ended": True, "signal": 9}
    pid = launch(place)
    os.kill(pid, signal.SIGKILL)
    gone(pid)
    assert place.ask("kill_vmm", **ID) == {"ended": True, "signal": 9}
    pid, fds = place.launch(**RUN)
    os.write(fds[1], b"exit 7\n")
    gone(pid)
    closed(fds)
    assert place.ask("kill_vmm", **ID) == {"ended": True, "exit_status": 7}
    assert place.ask("kill_vmm", **NEXT) == {}, "there was none"
    launch(place)
    place.client.close()
    assert place.helper.stop(signal.SIGKILL) < 0
    place.helper.start()
    place.client = place.helper.client()
    place.ask = place.client.ask
    assert place.ask("kill_vmm", **ID) == {}
    place.ask("cleanup_jail", **ID)
    assert place.report() == {}


def a_launch_that_failed_has_had_no_end():
    with tempfile.TemporaryDirectory(prefix="banger-helper-") as top:
        os.chmod(top, 0o755)
        path = os.path.join(top, "script")
        with open(path, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\ntrue\n")
        os.chmod(path, 0o755)
        place = Jail(fake=path)
        refused(place, "launch_vmm", RUN, "exec", code="vmm.start")
        assert place.ask("kill_vmm", **ID) == {}
        place.close()


def zombies(place):
    found = [p for p in children(place.helper.main_pid()) if read_file(f"/proc/{p}/comm") == "bangerd-zygote\n"]
    assert len(found) == 1, found
    return [p for p in children(found[0]) if state_of(p) == "Z"]


def nobody_has_to_ask(place):
    """Those that have ended are reaped at once."""
    pids = [launch(place), launch(place, **NEXT)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), f"{pid} is not reaped")
    assert zombies(place) == []
    place.away()
    place.away(**NEXT)


main([
    others_are_served_meanwhile,
    what_is_asked_of_the_same_vm_waits_for_its_end,
    as_many_wait_as_there_is_room_for,
    a_worker_that_dies_ends_all_that_wait,
    an_end_that_cannot_be_seen_is_told,
    one_that_does_not_end_is_told,
    it_stops_once_all_have_ended,
    how_it_has_ended_is_told,
    a_launch_that_failed_has_had_no_end,
    nobody_has_to_ask,
], Jail)
