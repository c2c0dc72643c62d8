#!/usr/bin/env python3
"""kill -9 at random moments, of the daemon while it works and of VMMs, with real (probe) guests.

After each, records, processes and files agree: a VM that runs is the one that ran, what was half done is done or undone,
nothing is leaked; and the request that was cut short can be sent again under its op_id and ends as if nothing had been.

    kills.py [STORY...]             50 kills of the daemon
    KILLS=500 SEED=7 kills.py       as scripts/kill-test 500 7 runs it: the same seed makes the same choices
"""
import collections
import os
import random
import select
import signal
import subprocess
import time

import banger_session
from banger_session import BANGER, wait_for

KILLS = int(os.environ.get("KILLS") or 50)
SEED = int(os.environ.get("SEED") or time.time_ns() % 1000000)
PATIENCE_S = 120
FLEET = 20
MOVING = {"creating", "starting", "stopping", "deleting"}
FIRST_GUESS_S = 0.03  # for one VM


def by_name(s):
    return {v["spec"]["name"]: v for v in s.vms()}


def kill(pid):
    """kill -9, and waits for its end."""
    fd = os.pidfd_open(pid)
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    select.select([fd], [], [])
    os.close(fd)


def settled(s):
    wait_for(lambda: not MOVING & set(s.states()), "VMs still move", PATIENCE_S)
    return by_name(s)


def agree(s):
    """Records, processes, files: all tell of the same VMs."""
    vms = settled(s)
    records = {v["id"] for v in vms.values()}
    running = {v["id"]: v["pid"] for v in vms.values() if v["state"] == "running"}
    assert sorted(s.processes()) == sorted(running.values()), (s.processes(), running)
    for where, ids in ((f"{s.state}/vms", records), (f"{s.runtime}/vm", set(running)), (f"{s.state}/staging", set())):
        there = set(os.listdir(where)) if os.path.isdir(where) else set()
        assert there == ids, f"{where}: {there - ids} too many, {ids - there} missing"
    for v in vms.values():
        assert v["state"] != "failed" or v["failure"], v
    assert s.info()["leaks"] == 0
    return vms


class Verb:
    """A command on many VMs: its words, whom it is about, and how they must be once it is done."""

    def __init__(self, name, words, names, done):
        self.name, self.words, self.names, self.done = name, words, names, done

    def __str__(self):
        return " ".join(self.words)


def choose(rng, vms, number):
    """What there is to do with the VMs that are there."""
    names = sorted(vms)
    some = rng.sample(names, rng.randint(1, len(names))) if names else []
    resting = [n for n in names if vms[n]["state"] != "running"]

    def runs(v):
        return v and v["state"] == "running"

    verbs = [("stop", lambda v: v and v["state"] in ("stopped", "created", "failed")), ("start", runs), ("restart", runs)]
    verbs += [("delete", lambda v: not v)] * 3
    if len(names) < 2 * FLEET:
        verbs += [("create", runs)] * 4
    name, done = rng.choice([v for v in verbs if some or v[0] == "create"])
    if name == "create":
        fleet = [f"k{number}-{i}" for i in range(1, FLEET + 1)]
        return Verb(name, ["vm", "create", "-n", str(FLEET), "--image", "probe", "--name", f"k{number}"], fleet, done)
    if name == "start" and resting:
        some = resting
    force = ["-f"] if name in ("delete", "stop") and rng.random() < 0.5 else []
    return Verb(name, ["vm", name, *force, *some], some, done)


def cut_short(s, rng, verb, guess_s, again):
    """Starts it, kills the daemon at some moment of it.  How long it may take, a better guess; and how many VMs ran before
    and after, as the same processes."""
    op = "01J9" + "".join(rng.choice("0123456789ABCDEFGHJKMNPQRSTVWXYZ") for _ in range(22))
    command = [BANGER, *verb.words, "--op-id", op]
    moment = rng.uniform(0, guess_s)
    before = by_name(s)
    pid = s.info()["pid"]
    began = time.monotonic()
    p = subprocess.Popen(command, env=s.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
    fd = os.pidfd_open(p.pid)
    ended = bool(select.select([fd], [], [], moment)[0])
    took = time.monotonic() - began
    os.close(fd)
    kill(pid)
    _, err = p.communicate(timeout=PATIENCE_S)
    assert p.returncode == 0 or not ended, err
    if again == "at once":
        sent_again(s, command)
    after = agree(s)
    for name, v in before.items():
        now = after.get(name)
        if name not in verb.names:
            assert now and (now["state"], now["pid"]) == (v["state"], v["pid"]), (v, now)
        elif now and verb.name == "start" and v["state"] == "running":
            assert now["pid"] == v["pid"], (v, now)
    if again == "later":
        sent_again(s, command)
        after = agree(s)
    if ended or again:
        for name in verb.names:
            assert verb.done(after.get(name)), (name, after.get(name))
    print(f"# {verb.name} {len(verb.names)}, killed {f'after {took:.2f} s' if ended else f'at {moment:.2f} s'}"
          f"{', sent again ' + again if again else ''}", flush=True)
    same = {v["pid"] for v in before.values() if v["state"] == "running"} & {v["pid"] for v in after.values()}
    return took if ended else max(guess_s, moment * 1.5), len(same)


def sent_again(s, command):
    """The same under the same op_id: it goes on, or gives the answer that was given."""
    p = subprocess.run(command, env=s.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S,
                       check=False)
    assert p.returncode == 0, p.stderr


def the_daemon_while_it_works(s):
    rng = random.Random(SEED)
    guesses, verbs, adopted = {}, collections.Counter(), 0
    print(f"# {KILLS} kills, seed {SEED}", flush=True)
    for number in range(1, KILLS + 1):
        verb = choose(rng, settled(s), number)
        again = rng.choice([None, "at once", "later"])
        try:
            whole = guesses.get(verb.name, FIRST_GUESS_S) * len(verb.names)
            took, same = cut_short(s, rng, verb, whole, again)
            guesses[verb.name] = took / len(verb.names)
            verbs[verb.name] += 1
            adopted += same
        except Exception as e:
            for line in s.log().splitlines()[-100:]:
                print(f"# {line}", flush=True)
            raise AssertionError(f"kill {number} of seed {SEED}, in {verb}: {e}") from e
        if len(settled(s)) > FLEET and rng.random() < 0.3:
            s.run("vm", "delete", "--all", "-f")
            s.nothing_left()
    s.run("vm", "delete", "--all", "-f")
    print(f"# {KILLS} kills in {', '.join(f'{n} {verb}' for verb, n in sorted(verbs.items()))}: each time records, processes and "
          f"files agreed; {adopted} running VMs met their next daemon", flush=True)


def vmms_that_run(s):
    """The VM fails and says why; its neighbours do not notice; it can be started again."""
    s.run("vm", "create", "-n", "6", "--image", "probe", "--name", "v")
    before = by_name(s)
    dead = sorted(before)[::2]
    for name in dead:
        kill(before[name]["pid"])
    s.run("vm", "wait", "--state", "failed", "--timeout", f"{PATIENCE_S}s", *dead)
    after = agree(s)
    for name, v in after.items():
        if name in dead:
            assert v["state"] == "failed" and "killed by signal 9" in v["failure"] and v["exit_status"] == 137, v
        else:
            assert (v["state"], v["pid"]) == ("running", before[name]["pid"]), v
        assert (f"actor=vm/{name} ev=vmm.exit status=137" in s.log()) == (name in dead), name
    s.run("vm", "start", *dead)
    assert {v["state"] for v in agree(s).values()} == {"running"}
    s.run("vm", "delete", "--all", "-f")


def vmms_while_no_daemon_runs(s):
    """The next daemon finds out; those that live are adopted."""
    s.run("vm", "create", "-n", "6", "--image", "probe", "--name", "v")
    before = by_name(s)
    dead = sorted(before)[1::2]
    s.kill_daemon()
    for name in dead:
        kill(before[name]["pid"])
    after = agree(s)
    for name, v in after.items():
        if name in dead:
            assert v["state"] == "stopped" and "while no daemon ran" in v["failure"], v
        else:
            assert (v["state"], v["pid"]) == ("running", before[name]["pid"]), v
    kill(after[sorted(before)[0]]["pid"])  # an adopted one: nobody here knows its status
    s.run("vm", "wait", "--state", "failed", "--timeout", f"{PATIENCE_S}s", sorted(before)[0])
    v = agree(s)[sorted(before)[0]]
    assert v["exit_status"] == -1 and "the VMM ended" in v["failure"], v
    s.run("vm", "delete", "--all", "-f")


def vmms_that_start(s):
    """A start whose VMM dies is undone and says so."""
    p = subprocess.Popen([BANGER, "vm", "create", "-n", str(FLEET), "--image", "probe", "--name", "v"], env=s.env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killed = 0
    while p.poll() is None:
        up = {v["pid"] for v in s.vms() if v["state"] == "running"}
        for pid in set(s.processes()) - up:
            try:
                kill(pid)
                killed += 1
            except ProcessLookupError:
                pass
    _, err = p.communicate()
    failed = [v for v in agree(s).values() if v["state"] == "failed"]
    assert killed and len(failed) <= killed, (killed, len(failed))
    for v in failed:
        assert "killed by signal 9" in v["failure"], v
    assert p.returncode == min(len([l for l in err.splitlines() if "vmm.exit" in l]), 100), (p.returncode, err)
    s.run("vm", "delete", "--all", "-f")


banger_session.needs_qemu()
banger_session.main([the_daemon_while_it_works, vmms_that_run, vmms_while_no_daemon_runs, vmms_that_start])
