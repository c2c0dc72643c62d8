#!/usr/bin/env python3
"""banger.conf and the real daemon: what it reads, what it shows, what a reload changes.

Needs no QEMU: the VMs are null ones.
"""
import os
import signal

import banger_session
from banger_session import wait_for


def write(s, text):
    os.makedirs(f"{s.top}/config", exist_ok=True)
    with open(f"{s.top}/config/banger.conf", "w", encoding="utf-8") as f:
        f.write(text)


def shown(s):
    return {row["key"]: row for row in s.json("config", "show")}


def restart(s):
    s.run("daemon", "stop")
    s.run("daemon", "start")


def file_beats_host_and_the_environment_beats_both(s):
    write(s, "[defaults]\nvcpu = 3\nmemory = 64M\n")
    s.env["BANGER_MEMORY"] = "96M"
    s.run("daemon", "start")
    rows = shown(s)
    assert (rows["defaults.vcpu"]["value"], rows["defaults.vcpu"]["source"]) == ("3", "file"), rows["defaults.vcpu"]
    assert rows["defaults.vcpu"]["where"] == f"{s.top}/config/banger.conf:2", rows["defaults.vcpu"]
    assert rows["defaults.memory"]["value"] == "96MiB" and rows["defaults.memory"]["where"] == "BANGER_MEMORY"
    assert rows["defaults.disk"]["source"] == "built in" and rows["limits.starts_max"]["source"] == "host"
    assert rows["paths.libexec"]["source"] == "environment"
    del s.env["BANGER_MEMORY"]


def a_default_reaches_the_vm_and_the_clients_environment_counts_more(s):
    write(s, "[defaults]\nvmm = null\n")
    restart(s)
    s.run("vm", "create", "--name", "a")
    s.env["BANGER_VCPU"] = "7"
    s.run("vm", "create", "--name", "b")
    s.run("vm", "create", "--name", "c", "--vcpu", "2")
    del s.env["BANGER_VCPU"]
    specs = {v["spec"]["name"]: v["spec"] for v in s.vms()}
    assert specs["a"]["vmm"] == "null" and specs["b"]["vcpu"] == 7 and specs["c"]["vcpu"] == 2, specs
    s.clear()


def a_reload_says_what_changed_and_what_waits(s):
    write(s, "[defaults]\nvmm = null\n[limits]\nvms_max = 2\n[vmm]\naccel = tcg\n")
    assert s.run("config", "reload").stdout == "limits.vms_max\nvmm.accel once the daemon starts again\n"
    assert shown(s)["vmm.accel"]["next"] == "tcg"
    assert s.info()["vms"] == 0
    s.run("vm", "create", "-n", "2")
    p = s.run("vm", "create", check=False)
    assert p.returncode == 1 and "limits.vms_max is 2" in p.stderr, p
    s.clear()
    restart(s)
    assert shown(s)["vmm.accel"]["value"] == "tcg" and shown(s)["vmm.accel"]["next"] == ""


def a_reload_of_something_wrong_changes_nothing(s):
    write(s, "[limits]\nvms_max = 9\nstarts_max = none\n")
    p = s.run("config", "reload", check=False)
    assert p.returncode == 1 and "banger.conf:3: limits.starts_max" in p.stderr and "config.bad" in p.stderr, p
    assert shown(s)["limits.vms_max"]["value"] == "2"


def sighup_is_a_reload(s):
    write(s, "[limits]\nvms_max = 5\n")
    os.kill(s.info()["pid"], signal.SIGHUP)
    wait_for(lambda: shown(s)["limits.vms_max"]["value"] == "5", "the new limit")
    assert "ev=config.reload changed=1" in s.log(), s.log()


def the_log_level_is_live(s):
    assert "ev=step.do" not in s.log()
    write(s, "[log]\nlevel = debug\n")
    assert "log.level\n" in s.run("config", "reload").stdout
    s.run("vm", "create", "--vmm", "null")
    assert "ev=step.do" in s.log()
    s.clear()


def an_unknown_key_is_told_and_ignored(s):
    write(s, "[limits]\nvms_maxx = 3\n")
    p = s.run("config", "reload")
    assert 'unknown key "vms_maxx" in [limits]; did you mean "vms_max"?' in p.stderr, p
    assert "vms_maxx" in s.run("config", "show").stderr


def a_bad_value_keeps_the_daemon_from_starting(s):
    s.run("daemon", "stop")
    write(s, "[defaults]\nvcpu = 0\n")
    p = s.run("ping", check=False)
    assert p.returncode == 1 and 'banger.conf:2: defaults.vcpu "0" is not a number from 1 to 64' in p.stderr, p
    p = s.run("config", "check", check=False)
    assert p.returncode == 1 and p.stdout.startswith(f"{s.top}/config/banger.conf:2: defaults.vcpu"), p
    write(s, "")
    s.run("ping")


def a_file_of_ones_own_is_read_alone(s):
    s.run("daemon", "stop")
    write(s, "[limits]\nvms_max = 3\n")
    with open(f"{s.top}/other.conf", "w", encoding="utf-8") as f:
        f.write("[limits]\nstarts_max = 7\n")
    s.run("--config", "other.conf", "daemon", "start", cwd=s.top)
    rows = shown(s)
    assert rows["limits.starts_max"]["value"] == "7" and rows["limits.vms_max"]["source"] == "built in", rows
    assert s.info()["starts_max"] == 7


banger_session.main([file_beats_host_and_the_environment_beats_both,
                     a_default_reaches_the_vm_and_the_clients_environment_counts_more,
                     a_reload_says_what_changed_and_what_waits, a_reload_of_something_wrong_changes_nothing,
                     sighup_is_a_reload, the_log_level_is_live, an_unknown_key_is_told_and_ignored,
                     a_bad_value_keeps_the_daemon_from_starting, a_file_of_ones_own_is_read_alone])
