#!/usr/bin/env python3
"""Looking at VMs and operations: what is shown is what is.

Needs QEMU; the guests are probes and null VMs.
"""
import json
import os
import re
import signal
import threading

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
        assert names == ["intent", "files", "record", "accel", "admit", "intent", "runtime", "console", "agent", "control", "network",
                         "cgroup", "vmm", "boot", "record"], names
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
    assert undone == ["vmm", "cgroup", "network", "control", "agent", "console", "runtime", "intent", "admit", "accel"], undone
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


def logs_are_followed_through_restarts_until_the_vm_is_gone(s):
    s.run("vm", "create", "--image", "probe", "--name", "talks", "--no-start")
    assert s.run("logs", "talks", check=False).returncode == 1
    p = s.start("logs", "-f", "talks")
    s.run("vm", "start", "talks")
    assert p.stdout.readline().startswith("banger-probe: up")
    s.kill_daemon()
    s.run("vm", "restart", "talks")
    assert p.stdout.readline().startswith("banger-probe: up")
    assert s.run("logs", "talks").stdout.count("banger-probe: up") == 2
    assert s.run("logs", "-n", "1", "talks").stdout.count("banger-probe: up") == 1
    assert s.run("logs", "--vmm", "talks").returncode == 0
    s.run("vm", "delete", "talks")
    p.communicate(timeout=60)
    assert p.returncode == 0
    null = s.run("vm", "create", "--vmm", "null", "-q").stdout.strip()
    assert "no log" in s.run("logs", null, check=False).stderr
    s.clear()


LUCKLESS = """#!/bin/sh
[ ! -e {top}/luckless ] || {{ yes 'no luck' | head -c 200000 >&2; echo 'none at all' >&2; exit 3; }}
exec qemu-system-x86_64 "$@"
"""


def what_a_vmm_said_is_kept_when_its_vm_fails(_):
    with banger_session.Session() as s:
        with open(f"{s.top}/qemu", "w", encoding="ascii") as f:
            f.write(LUCKLESS.format(top=s.top))
        os.chmod(f"{s.top}/qemu", 0o700)
        s.env["BANGER_QEMU"] = f"{s.top}/qemu"
        s.run("vm", "create", "--image", "probe", "--name", "a")
        running = s.json("vm", "show", "a")
        assert "waiting for connection" in s.run("logs", "--vmm", "a").stdout
        s.run("vm", "stop", "a")
        kept = s.json("vm", "show", "a")["vmm_log"]
        assert kept != running["vmm_log"] and not os.path.exists(kept) and not os.path.exists(running["vmm_log"])
        assert s.run("logs", "--vmm", "a").stdout == ""

        open(f"{s.top}/luckless", "w", encoding="ascii").close()
        p = s.run("vm", "start", "a", check=False)
        assert p.returncode == 1 and "none at all" in p.stderr, p
        said = s.run("logs", "--vmm", "a").stdout
        assert said.endswith("no luck\nnone at all\n") and len(said) == os.path.getsize(kept) == 64 << 10, len(said)
        os.unlink(f"{s.top}/luckless")

        s.run("vm", "start", "a")  # and its end is seen by nobody
        s.kill_daemon()
        for pid in s.processes():
            os.kill(pid, signal.SIGKILL)
        assert s.settled() == {"stopped"}
        assert "waiting for connection" in s.run("logs", "--vmm", "a").stdout
        s.clear()
        s.nothing_left()
        s.run("daemon", "stop")


def a_name_that_is_nearly_right_is_suggested(s):
    s.fake_image()
    s.run("vm", "create", "--vmm", "null", "--name", "web")
    s.run("vm", "create", "--vmm", "null", "--no-start", "--name", "backend")
    for words, meant in ((["vm", "stop", "wbe"], "web"), (["vm", "show", "bakend"], "backend"), (["vm", "logs", "weeb"], "web"),
                         (["vm", "exec", "wbe", "--", "true"], "web"), (["vm", "ping", "wbe", "web"], "web"),
                         (["vm", "cp", "/etc/passwd", "wbe:/tmp"], "web"), (["vm", "stats", "--no-stream", "wbe"], "web"),
                         (["image", "show", "nome"], "none"), (["image", "rm", "prob"], "probe"),
                         (["vm", "create", "--image", "nome"], "none"), (["kernel", "rm", "nnoe"], "none"),
                         (["vm", "create", "--image", "none", "--kernel", "nonee"], "none")):
        p = s.run(*words, check=False)
        assert p.returncode not in (0, 2) and f'Did you mean "{meant}"?' in p.stderr, (words, p.stderr)
    p = s.run("vm", "stop", "wbe", "nothing-like-it", "--json", check=False)
    hints = [json.loads(line)["hint"] for line in p.stderr.splitlines()]
    assert "Did you mean" in hints[0] and "Did you mean" not in hints[1], hints
    s.clear()


def what_will_be_made_is_said_as_it_will_be(s):
    s.fake_image()
    for image, more in (("probe", []), ("none", ["--kernel", "none"]), ("none", ["--kernel", "none", "--vcpu", "2", "--memory", "300M"])):
        told = s.run("vm", "create", "--image", image, "--name", "told", "--no-start", *more).stderr
        spec = s.json("vm", "show", "told")["spec"]
        m = re.search(r"creating 1 VM: (\d+) vcpu, ([\d.]+ .iB) memory, (no|[\d.]+ .iB) disk, image (\S+) \((\w+)\)", told)
        assert m and (m[1], m[4], m[5]) == (str(spec["vcpu"]), spec["image"], spec["vmm"]), (told, spec)
        assert (m[3] == "no") == (spec.get("disk_bytes", 0) == 0), (told, spec)
        scale = 1 << (20 if "MiB" in m[2] else 30)
        assert abs(float(m[2].split()[0]) * scale - spec["memory_bytes"]) < scale / 10, (told, spec)
        s.run("vm", "delete", "told")


def prune_deletes_what_does_not_run(s):
    s.run("vm", "create", "--vmm", "null", "--name", "stays")
    s.run("vm", "create", "-n", "3", "--vmm", "null", "--no-start", "--name", "idle")
    s.run("vm", "create", "--image", "probe", "--name", "late", "--timeout", "1ms", check=False)
    assert s.run("vm", "prune", check=False).returncode == 2 and len(s.vms()) == 5
    assert sorted(s.run("vm", "prune", "-f").stdout.split()) == ["idle-1", "idle-2", "idle-3", "late"]
    assert [v["spec"]["name"] for v in s.vms()] == ["stays"]
    assert "every VM runs" in s.run("vm", "prune", "-f").stderr
    s.clear()
    s.nothing_left()


class Events:
    """`banger events --json` under way; `read` may be put off."""

    def __init__(self, s, *args):
        self.p = s.start("events", "--json", *args)
        # It watches once the daemon has answered what was asked before: a line of its own proves it.
        self.s, self.seen, self.lost = s, [], 0

    def until(self, condition):
        """The events up to the first that is so."""
        got = []
        for line in self.p.stdout:
            event = json.loads(line)
            if event["event"] == "lost":
                self.lost += event["events"]
            else:
                self.seen.append(event)
            got.append(event)
            if condition(event):
                return got
        raise AssertionError(f"ended: {self.p.stderr.read()}")

    def ready(self):
        """An operation over and over, until one is told of."""
        seen = threading.Event()
        t = threading.Thread(target=lambda: (self.until(lambda e: e["event"] == "op"), seen.set()), daemon=True)
        t.start()
        while not seen.is_set():
            self.s.run("image", "rm", "none", check=False)
        t.join()
        return self

    def end(self):
        self.p.send_signal(signal.SIGINT)
        self.p.communicate(timeout=60)
        return self.p.returncode


def ended(op):
    return lambda e: e.get("op_id") == op and e["event"] == "op" and e["state"] != "running"


def events_tell_what_happens_in_order(s):
    watch = Events(s).ready()
    op, stop = OP.format(11), OP.format(12)
    s.run("vm", "create", "--vmm", "null", "--name", "ev", "--op-id", op)
    told = [(e["event"], e["state"]) for e in watch.until(ended(op)) if e["op_id"] == op]
    assert told == [("op", "running"), ("vm", "created"), ("vm", "starting"), ("vm", "running"), ("op", "done")], told
    s.run("vm", "delete", "ev", "missing", "--op-id", stop, check=False)
    over = watch.until(ended(stop))
    assert [e["state"] for e in over if e["event"] == "vm"] == ["stopping", "stopped", "deleting", "gone"], over
    assert (over[-1]["vms"], over[-1]["failed"]) == (2, 1) and over[-1]["duration_us"] > 0, over[-1]
    assert watch.end() == 130


def events_are_chosen_by_type_and_label(s):
    everything = Events(s).ready()
    web = s.start("events", "--json", "-l", "tier=web")
    wait_for(lambda: s.run("op", "list", "--format", "{{.method}}").stdout.count("watch") == 2, "both watch")
    op = OP.format(13)
    s.run("vm", "create", "--vmm", "null", "--name", "db", "-l", "tier=db")
    s.run("vm", "create", "--vmm", "null", "--name", "web", "-l", "tier=web", "--op-id", op)
    everything.until(ended(op))
    got = [json.loads(web.stdout.readline()) for _ in range(3)]
    assert [(e["name"], e["state"]) for e in got] == [("web", "created"), ("web", "starting"), ("web", "running")], got
    web.send_signal(signal.SIGINT)
    web.communicate(timeout=60)
    everything.end()
    bad = s.run("events", "--type", "op", "-l", "a=b", check=False)
    assert bad.returncode == 1 and "labels" in bad.stderr, bad
    bad = s.run("events", "--type", "vms", check=False)
    assert bad.returncode in (1, 2) and "vms" in bad.stderr, bad
    s.clear()


def a_slow_reader_is_told_how_much_it_lost(s):
    fast, slow = Events(s).ready(), Events(s).ready()
    base = {w: (len(w.seen), w.lost) for w in (fast, slow)}
    load, mark = OP.format(14), OP.format(15)
    reader = threading.Thread(target=lambda: fast.until(lambda e: e.get("op_id") == mark), daemon=True)
    reader.start()
    for i in range(3):
        s.run("vm", "create", "-n", "800", "--vmm", "null", "-q", "--name", "load")
        s.run("vm", "delete", "--all", "-f", "-q", *(["--op-id", load] if i == 2 else []))
    slow.until(lambda e: e["event"] == "lost")
    s.run("image", "rm", "none", "--op-id", mark, check=False)
    slow.until(lambda e: e.get("op_id") == mark)
    reader.join()
    total = {w: len(w.seen) - base[w][0] + w.lost - base[w][1] for w in (fast, slow)}
    # `ready` may have asked once more for the first than for the second, each begun and ended.
    assert slow.lost > 1000 and 0 <= total[fast] - total[slow] <= 20, (total, slow.lost, fast.lost)
    assert total[slow] > 3 * 800 * 7, total
    fast.end()
    slow.end()
    assert s.vms() == []


banger_session.needs_qemu()
banger_session.main([an_operation_on_many_keeps_each_ones_steps, a_trace_opens_in_a_viewer,
                     what_failed_is_in_its_steps_undone, an_operation_under_way_is_seen_waited_for_and_cancelled,
                     an_ended_operation_need_not_be_waited_for, waits_end_in_the_order_asked,
                     a_wait_that_is_in_vain_says_so, lists_take_a_format,
                     logs_are_followed_through_restarts_until_the_vm_is_gone,
                     what_a_vmm_said_is_kept_when_its_vm_fails, a_name_that_is_nearly_right_is_suggested,
                     what_will_be_made_is_said_as_it_will_be, prune_deletes_what_does_not_run, events_tell_what_happens_in_order,
                     events_are_chosen_by_type_and_label, a_slow_reader_is_told_how_much_it_lost])
