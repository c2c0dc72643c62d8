#!/usr/bin/env python3
"""Looking at VMs and operations: what is shown is what is.

Needs QEMU; the guests are probes and null VMs.
"""
import json

import banger_session
from banger_session import wait_for

OP = "01J9ZKQ5T000000000000{:04d}A"


def steps_of(s, op):
    return s.json("op", "show", op)


def an_operation_on_many_keeps_each_ones_steps(s):
    op = OP.format(1)
    s.run("vm", "create", "-n", "20", "--image", "probe", "--name", "many", "--op-id", op)
    view = steps_of(s, op)
    assert (view["state"], view["vms"], view["failed"], view["steps_lost"]) == ("done", 20, 0, 0), view
    by_vm = {}
    for step in view["steps"]:
        assert not step["running"] and step["begin_us"] + step["duration_us"] <= view["duration_us"], step
        by_vm.setdefault(step["vm"], []).append(step["name"])
    assert len(by_vm) == 20
    for names in by_vm.values():
        assert names == ["intent", "files", "record", "accel", "admit", "intent", "runtime", "console", "agent", "control",
                         "vmm", "boot", "record"], names
    # More than the gate lets in at once have waited for it.
    waited = sum(x["name"] == "admit" and x["duration_us"] > 1000 for x in view["steps"])
    assert waited >= 20 - s.info()["starts_max"] - 1, waited
    assert view["commit_us"] > 0 and [t["state"] for t in view["targets"]] == ["running"] * 20
    text = s.run("op", "show", op).stdout
    assert "20 VMs, 0 failed" in text and "MEDIAN" in text and "The last one was many-" in text, text
    each = s.run("op", "show", "-a", op).stdout
    assert each.count("\nmany-") == 20 and "█" in each, each
    s.clear()


def a_trace_opens_in_a_viewer(s):
    op = OP.format(2)
    s.run("vm", "create", "-n", "3", "--image", "probe", "--name", "t", "--op-id", op)
    trace = json.loads(s.run("op", "show", "--trace", op).stdout)
    events = trace["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    assert sorted(names.values()) == ["t-1", "t-2", "t-3", "vm.create"], names
    rows = {}
    for e in events:
        assert e["ph"] in "XM" and e["pid"] == 1 and isinstance(e["name"], str) and e["name"], e
        if e["ph"] == "X":
            assert e["tid"] in names and e["ts"] > 1e15 and e["dur"] >= 0, e
            rows.setdefault(e["tid"], []).append((e["ts"], e["ts"] + e["dur"], e["name"]))
    assert len(rows) == 4
    for row in rows.values():  # what shares a row must nest or follow, or a viewer draws nonsense
        row.sort(key=lambda x: (x[0], -x[1]))
        for (_, end, _), (begin, after, _) in zip(row, row[1:]):
            assert begin >= end or after <= end, row
    s.clear()


def what_failed_is_in_its_steps_undone(s):
    op = OP.format(3)
    p = s.run("vm", "create", "--image", "probe", "--name", "late", "--timeout", "1ms", "--op-id", op, check=False)
    assert p.returncode == 1, p
    view = steps_of(s, op)
    assert view["failed"] == 1 and view["targets"][0]["code"] == "timeout", view
    failed = [x["name"] for x in view["steps"] if x["result"] < 0]
    assert failed == ["boot"], view["steps"]
    undone = [x["name"] for x in view["steps"] if x["undo"]]
    assert undone == ["vmm", "control", "agent", "console", "runtime", "intent", "admit", "accel"], undone
    text = s.run("op", "show", op).stdout
    assert "late: timeout: boot: " in text and "undo vmm" in text, text
    s.clear()


def an_operation_under_way_is_seen_waited_for_and_cancelled(s):
    op = OP.format(4)
    s.run("vm", "create", "--vmm", "null", "--name", "still")
    wait = s.start("vm", "wait", "--state", "stopped", "still", "--op-id", op)
    wait_for(lambda: op in s.run("op", "list", "-q").stdout, "the operation is listed")
    assert steps_of(s, op)["state"] == "running"
    over = s.start("op", "wait", op)
    wait_for(lambda: "op.wait" in s.run("op", "list").stdout, "somebody waits for it")
    late = s.run("op", "wait", "--timeout", "20ms", op, check=False)
    assert late.returncode == 1 and "has not ended" in late.stderr, late
    s.run("op", "cancel", op)
    assert wait.communicate(timeout=60)[1].find("cancelled") >= 0 and wait.returncode == 1
    assert (over.communicate(timeout=60)[0], over.returncode) == ("cancelled\n", 1)
    missing = s.run("op", "wait", OP.format(9), check=False)
    assert missing.returncode == 1 and "no operation has this id" in missing.stderr
    s.clear()


def an_ended_operation_need_not_be_waited_for(s):
    op = OP.format(5)
    s.run("vm", "create", "--vmm", "null", "--op-id", op)
    assert s.run("op", "wait", op).stdout == "done\n"
    s.run("daemon", "stop")
    assert s.run("op", "wait", op).stdout == "done\n"
    assert steps_of(s, op)["commit_us"] == 0  # what is not known is not made up
    s.clear()


def waits_end_in_the_order_asked(s):
    for name in ("a", "b", "c"):
        s.run("vm", "create", "--vmm", "null", "--name", name)
    w = s.start("vm", "wait", "c", "missing", "a")
    wait_for(lambda: "vm.wait" in s.run("op", "list").stdout, "it waits")
    s.run("vm", "stop", "a")
    s.run("vm", "delete", "c")
    out, err = w.communicate(timeout=60)
    assert (w.returncode, out) == (1, "c\na\n") and 'no VM is called "missing"' in err, (out, err)
    s.clear()


def a_wait_that_is_in_vain_says_so(s):
    s.run("vm", "create", "--vmm", "null", "--name", "a")
    p = s.run("vm", "wait", "--state", "gone", "--timeout", "30ms", "a", check=False)
    assert p.returncode == 1 and "still running" in p.stderr and "timeout" not in p.stdout, p
    s.run("vm", "create", "--image", "probe", "--no-start", "--name", "p")
    w = s.start("vm", "wait", "--state", "running", "p")
    wait_for(lambda: "vm.wait" in s.run("op", "list").stdout, "it waits")
    s.run("vm", "start", "--timeout", "1ms", "p", check=False)
    _, err = w.communicate(timeout=60)
    assert w.returncode == 1 and "the VM failed: boot" in err, err
    s.clear()


def lists_take_a_format(s):
    s.run("vm", "create", "--vmm", "null", "--name", "web", "-l", "tier=front", "-l", "a=b")
    line = s.run("vm", "list", "--format", r"{{.Name}}\t{{.state}}\t{{.spec.labels.tier}}").stdout
    assert line == "web\trunning\tfront\n", line
    table = s.run("vm", "list", "--format", "table {{.Name}} {{.Vcpu}} {{.spec.vmm}}").stdout
    assert table == "NAME  VCPU  spec.vmm\nweb      1  null\n", table
    assert json.loads(s.run("ps", "--format", "json").stdout)["spec"]["name"] == "web"
    assert s.run("image", "list", "--format", "{{.Name}}").stdout == "probe\nnull\n"
    p = s.run("ps", "--format", "{{.Nmae}}", check=False)
    assert p.returncode == 2 and 'did you mean "name"' in p.stderr, p
    s.clear()


banger_session.needs_qemu()
banger_session.main([an_operation_on_many_keeps_each_ones_steps, a_trace_opens_in_a_viewer,
                     what_failed_is_in_its_steps_undone, an_operation_under_way_is_seen_waited_for_and_cancelled,
                     an_ended_operation_need_not_be_waited_for, waits_end_in_the_order_asked,
                     a_wait_that_is_in_vain_says_so, lists_take_a_format])
