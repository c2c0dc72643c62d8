#!/usr/bin/env python3
"""An op_id is an operation, docs/protocol.md section 5: sent again it is not done again, whoever sends it, and whatever
happened to the daemon meanwhile; another request under it is refused.
"""
import banger_session
from banger_session import wait_for
from banger_wire import Wire, op_id, request

FLEET = 12
PROBES = {"spec": {"image": "probe", "name": "p"}, "count": FLEET}


def wire(s):
    s.info()  # starts a daemon where there is none any more
    return Wire(s.socket())


def asked(w, ident, method, args, op, **more):
    """The whole reply but its id."""
    w.send(request(ident, method, args, op_id=op, **more))
    reply = w.reply(ident)
    assert reply.pop("id") == ident and reply["op_id"] == op
    return reply


def under_way(w, op):
    view = w.ask(900, "op.show", {"op_id": op})
    return isinstance(view, dict) and view["state"] == "running"


def begun(s, op):
    with wire(s) as w:
        wait_for(lambda: under_way(w, op), "it does not begin")


def one_vm_and_one_answer(s):
    """On one connection, on another, after a stop and after a kill -9 of the daemon."""
    op, args = op_id(), {"spec": {"vmm": "null"}}
    with wire(s) as w:
        first = asked(w, 1, "vm.create", args, op)
        assert first["result"]["targets"][0]["state"] == "running"
        assert asked(w, 2, "vm.create", args, op) == first
    for end in (lambda: None, lambda: s.run("daemon", "stop"), s.kill_daemon):
        end()
        with wire(s) as w:
            assert asked(w, 1, "vm.create", args, op) == first
    assert len(s.vms()) == 1
    s.clear()
    with wire(s) as w:  # what has become of it since is another matter
        assert asked(w, 1, "vm.create", args, op) == first
    assert s.vms() == []


def a_failure_is_an_answer_too(s):
    cases = [("vm.create", {"spec": {"image": "none"}}, op_id()), ("image.rm", {"name": "none"}, op_id()),
             ("vm.stop", {"refs": ["nobody"]}, op_id())]
    with wire(s) as w:
        first = [asked(w, 1, method, args, op) for method, args, op in cases]
    assert first[0]["result"]["failed"] == 1 and first[1]["error"]["code"] == "image.not_found", first
    s.kill_daemon()
    with wire(s) as w:
        for (method, args, op), reply in zip(cases, first):
            again = asked(w, 1, method, args, op)
            assert again == reply, (again, reply)


def another_request_is_refused(s):
    op, args = op_id(), {"spec": {"vmm": "null", "name": "a"}}
    others = [("vm.create", {"spec": {"vmm": "null", "name": "b"}}), ("vm.create", {**args, "count": 2}),
              ("vm.delete", {"refs": ["a"]}), ("image.rm", {"name": "x"})]
    with wire(s) as w:
        asked(w, 1, "vm.create", args, op)
    for end in (lambda: None, s.kill_daemon):
        end()
        with wire(s) as w:
            for method, other in others:
                reply = asked(w, 1, method, other, op)
                assert reply["error"]["code"] == "op.conflict" and "vm.create" in reply["error"]["message"], reply
    assert [v["spec"]["name"] for v in s.vms()] == ["a"]
    s.clear()


def while_it_is_under_way(s):
    """Who asks for the same waits for the same answer; who asks for something else is refused at once."""
    op = op_id()
    with wire(s) as first, wire(s) as second, wire(s) as third:
        first.send(request(1, "vm.create", PROBES, op_id=op))
        second.send(request(7, "vm.create", PROBES, op_id=op))
        begun(s, op)
        assert asked(third, 1, "vm.create", {**PROBES, "count": 2}, op)["error"]["code"] == "op.conflict"
        assert first.reply(1)["result"] == second.reply(7)["result"]
    assert len(s.vms()) == FLEET
    s.clear()


def it_goes_on_while_somebody_waits(s):
    """One asker's end, or change of mind, is not that of the others."""
    op = op_id()
    with wire(s) as first, wire(s) as second, wire(s) as third:
        for w in (first, second, third):
            w.send(request(1, "vm.create", PROBES, op_id=op))
        begun(s, op)
        third.send({"type": "cancel", "id": 1})
        assert third.reply(1)["error"]["code"] == "cancelled"
        first.close()
        assert second.reply(1)["result"].get("failed", 0) == 0
    assert s.states() == ["running"] * FLEET
    s.clear()


def it_ends_with_the_last_who_waits(s):
    op = op_id()
    with wire(s) as first, wire(s) as second:
        first.send(request(1, "vm.create", PROBES, op_id=op))
        begun(s, op)
        second.send(request(1, "vm.create", PROBES, op_id=op))
        assert second.ask(2, "ping") == {}
    wait_for(lambda: s.vms() == [], "what nobody waits for is kept")
    s.nothing_left()
    with wire(s) as w:  # undone, and so is the answer
        assert asked(w, 1, "vm.create", PROBES, op)["error"]["code"] == "cancelled"
    assert s.vms() == []


def detached_it_can_be_asked_for_again(s):
    op = op_id()
    with wire(s) as w:
        w.send(request(1, "vm.create", PROBES, op_id=op, detach=True))
        begun(s, op)
    with wire(s) as w:
        assert asked(w, 1, "vm.create", PROBES, op)["result"].get("failed", 0) == 0
    assert s.states() == ["running"] * FLEET
    s.clear()


def cut_short_by_a_crash_it_goes_on(s):
    """Asked again it ends as if nothing had been: the VMs that were there are the same ones."""
    op = op_id()
    with wire(s) as w:
        w.send(request(1, "vm.create", {**PROBES, "count": 20}, op_id=op))
        wait_for(lambda: len(s.states()) == 20 and "running" in s.states(), "none is up")
        s.kill_daemon()
    before = {v["id"]: v["pid"] for v in s.vms() if v["state"] == "running"}
    with wire(s) as w:
        result = asked(w, 1, "vm.create", {**PROBES, "count": 20}, op)["result"]
    assert result.get("failed", 0) == 0, result
    after = {v["id"]: v["pid"] for v in s.vms() if v["state"] == "running"}
    assert len(after) == 20 and before.items() <= after.items(), (before, after)
    s.clear()


def what_only_reads_is_not_kept(s):
    s.run("vm", "create", "--vmm", "null", "--name", "a")
    with wire(s) as w:
        for method, args in (("ping", {}), ("info", {}), ("vm.list", {"all": True}), ("vm.show", {"ref": "a"}),
                             ("op.list", {}), ("image.list", {}), ("kernel.list", {})):
            op = op_id()
            assert "result" in asked(w, 1, method, args, op)
            assert w.ask(2, "op.show", {"op_id": op}) == "op.not_found", method
            assert asked(w, 3, "vm.show", {"ref": "nobody"}, op)["error"]["code"] == "vm.not_found"  # another one
        op = op_id()
        w.send(request(1, "watch", op_id=op))
        assert asked(w, 2, "watch", {}, op)["error"]["code"] == "op.conflict"
        w.send({"type": "cancel", "id": 1})
        assert w.reply(1)["error"]["code"] == "cancelled"
        w.send(request(1, "watch", op_id=op), {"type": "cancel", "id": 1})
        assert w.reply(1)["error"]["code"] == "cancelled"
    s.clear()


def a_command_is_not_kept(_):
    """Sent again it runs again; but not twice at once, since its streams have one reader.  (The agent runs here.)"""
    with banger_session.Session() as s:
        s.fake_vmm()
        s.fake_guest(name="guest")
        command_twice(s)


def command_twice(s):
    op, args = op_id(), {"ref": "guest", "argv": ["sh", "-c", "echo $$"]}
    with wire(s) as w:
        said = []
        for ident in (1, 2):
            w.send(request(ident, "vm.exec", args, op_id=op))
            said.append(b"")
            while (frame := w.read())["type"] != "reply":
                said[-1] += frame.get("bytes", b"") if frame.get("type") == "data" else b""
            assert frame["result"]["status"] == 0, frame
        assert said[0] != said[1] and all(said), said
        w.send(request(3, "vm.exec", {"ref": "guest", "argv": ["sleep", "1000"]}, op_id=op))
        reply = asked(w, 4, "vm.exec", {"ref": "guest", "argv": ["sleep", "1000"]}, op)
        assert reply["error"]["code"] == "op.conflict" and "vm.exec" in reply["error"]["message"], reply
        w.send({"type": "cancel", "id": 3})
        assert w.reply(3)["error"]["code"] == "cancelled"


banger_session.needs_qemu()
banger_session.main([
    one_vm_and_one_answer, a_failure_is_an_answer_too, another_request_is_refused, while_it_is_under_way,
    it_goes_on_while_somebody_waits, it_ends_with_the_last_who_waits, detached_it_can_be_asked_for_again,
    cut_short_by_a_crash_it_goes_on, what_only_reads_is_not_kept, a_command_is_not_kept])
