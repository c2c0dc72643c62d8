#!/usr/bin/env python3
"""A session's life, as a user types it: the daemon starts by itself, VMs come and go, crashes leave nothing.

Needs QEMU; the guests are probes, so no kernel and no image are fetched.
"""
import os
import select
import socket
import time

import banger_session
from banger_session import wait_for
from banger_wire import Wire


def null_vm_lives_and_goes(s):
    s.run("vm", "create", "--vmm", "null", "--name", "n1")
    assert s.states() == ["running"]
    s.run("vm", "stop", "n1")
    assert s.states() == ["stopped"]
    s.run("vm", "delete", "n1")
    assert s.vms() == []


def probe_comes_up_and_leaves_nothing(s):
    s.run("vm", "create", "--image", "probe", "--name", "p1")
    assert len(s.processes()) == 1
    s.run("vm", "delete", "-f", "p1")
    s.nothing_left()


def a_vmm_is_confined(s):
    """By QEMU's own -sandbox: a filter on system calls is in force, and no program can give it more rights."""
    s.run("vm", "create", "--image", "probe", "--name", "p")
    with open(f"/proc/{s.json('vm', 'show', 'p')['pid']}/status", encoding="ascii") as f:
        status = dict(line.split(":", 1) for line in f)
    assert (status["Seccomp"].strip(), status["NoNewPrivs"].strip()) == ("2", "1"), status
    assert int(status["Seccomp_filters"]) >= 1
    s.run("vm", "delete", "-f", "p")


def ten_at_once(s):
    s.run("vm", "create", "-n", "10", "--image", "probe", "--name", "ten")
    assert sorted(v["spec"]["name"] for v in s.vms()) == sorted(f"ten-{i}" for i in range(1, 11))
    assert len(s.processes()) == 10
    s.run("vm", "delete", "--all", "-f")
    s.nothing_left()


def same_op_id_is_one_vm(s):
    op = "01J9ZKQ5T0000000000000000A"
    first = s.run("vm", "create", "--vmm", "null", "--op-id", op, "--json")
    again = s.run("vm", "create", "--vmm", "null", "--op-id", op, "--json")
    assert first.stdout == again.stdout and len(s.vms()) == 1
    other = s.run("vm", "create", "--vmm", "null", "--name", "other", "--op-id", op, check=False)
    assert other.returncode != 0 and "op_id" in other.stderr, other.stderr
    s.run("vm", "delete", "--all", "-f")


def running_vm_survives_the_daemons_death(s):
    s.run("vm", "create", "--image", "probe", "--name", "p2")
    pid = s.vms()[0]["pid"]
    s.kill_daemon()
    after = s.vms()
    assert [(v["state"], v["pid"]) for v in after] == [("running", pid)], after
    s.run("vm", "delete", "-f", "p2")
    s.nothing_left()


def the_next_command_finds_a_daemon(s):
    """However the last one ended: the socket of one that was killed takes connections for a moment longer."""
    for end in (s.kill_daemon, lambda: s.run("daemon", "stop")) * 5:
        end()
        s.run("vm", "list")


def crash_in_the_middle_is_undone(s):
    p = s.start("vm", "create", "-n", "6", "--image", "probe", "--name", "c")
    s.kill_daemon()
    p.communicate(timeout=60)
    states = s.settled()
    assert states <= {"running", "failed", "stopped", "created"}, states
    running = {v["pid"] for v in s.vms() if v["state"] == "running"}
    assert set(s.processes()) == running, (s.processes(), running)
    s.run("vm", "delete", "--all", "-f")
    s.nothing_left()


def errors_say_what_to_do(s):
    p = s.run("vm", "start", "nobody", check=False)
    assert p.returncode != 0 and "nobody" in p.stderr, p.stderr
    p = s.run("vm", "create", "--image", "nothing", check=False)
    assert p.returncode != 0 and "nothing" in p.stderr, p.stderr


def a_program_that_is_not_there_fails_at_once(s):
    imager = f"{s.libexec}/banger-imager"
    os.rename(imager, f"{imager}.away")
    try:
        p = s.run("kernel", "import", f"{s.libexec}/probe.elf", "--name", "k", check=False)
    finally:
        os.rename(f"{imager}.away", imager)
    assert p.returncode != 0 and "banger-imager: No such file" in p.stderr, p.stderr
    assert "no answer within" not in p.stderr, p.stderr
    assert s.info()["leaks"] == 0
    s.nothing_left()


def whoever_is_connected_the_daemon_ends_at_once(s):
    """Within less than the SHUTDOWN_MS that it gives to those who are owed an answer."""
    watch = s.start("watch")
    with Wire(s.socket()) as idle:
        wait_for(lambda: " watch " in s.run("op", "list").stdout, "somebody watches")
        gone = os.pidfd_open(s.info()["pid"])
        began = time.monotonic()
        s.run("daemon", "stop")
        assert time.monotonic() - began < 5
        # The command is back only when it is gone.
        assert select.select([gone], [], [], 1)[0]
        os.close(gone)
        assert idle.last_words() == "daemon.stopping"
    _, err = watch.communicate(timeout=60)
    assert watch.returncode == 1 and "is shutting down" in err, err


def who_stops_it_can_start_it_again(s):
    """What the old daemon held is free when the command is back."""
    for _ in range(20):
        s.run("ping")
        s.run("daemon", "stop")


def what_vms_use_is_neither_removed_nor_replaced(s):
    s.fake_guest("--no-start")
    for words in (["image", "rm", "none"], ["kernel", "rm", "none"],
                  ["image", "import", f"{s.top}/root.tar", "--name", "none", "--force"]):
        p = s.run(*words, check=False)
        assert p.returncode == 1 and "VM guest uses it" in p.stderr and ".in_use" in p.stderr, p.stderr
    s.clear()
    s.run("image", "import", f"{s.top}/root.tar", "--name", "none", "--force")


def a_port_that_is_taken_is_told(s):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        p = s.run("vm", "create", "--image", "none", "--kernel", "none", "--memory", "64M", "-p", f"{port}:80",
                  check=False)
    assert p.returncode == 1 and "(port.busy" in p.stderr and str(port) in p.stderr, p.stderr
    s.clear()
    s.run("image", "rm", "none")
    s.run("kernel", "rm", "none")


banger_session.needs_qemu()
banger_session.main([null_vm_lives_and_goes, probe_comes_up_and_leaves_nothing, a_vmm_is_confined, ten_at_once, same_op_id_is_one_vm,
                     running_vm_survives_the_daemons_death, the_next_command_finds_a_daemon,
                     crash_in_the_middle_is_undone, errors_say_what_to_do,
                     a_program_that_is_not_there_fails_at_once, whoever_is_connected_the_daemon_ends_at_once,
                     who_stops_it_can_start_it_again, what_vms_use_is_neither_removed_nor_replaced,
                     a_port_that_is_taken_is_told])
