#!/usr/bin/env python3
"""Which accelerator is fast: timed once, remembered, timed again when the host changes.  With a VMM that
does as it is told."""
import os
import signal
import subprocess

import banger_session
from banger_session import wait_for

BOTH = ["tcg", "kvm"]


def verdict(s):
    """Measured by now, or measured for this."""
    s.info()
    s.run("doctor", check=False)
    i = s.info()
    return i["accel"], i["probe_accel"], i["accel_reason"]


def upgraded(s):
    """QEMU is another one."""
    st = os.stat(s.env["BANGER_QEMU"])
    os.utime(s.env["BANGER_QEMU"], ns=(st.st_atime_ns, st.st_mtime_ns + 1_000_000_000))


def restarted(s):
    s.run("daemon", "stop")
    s.fake_starts()


def nothing_is_measured_that_nobody_needs(s):
    i = s.info()
    assert not i["accel"] and "not measured yet" in i["accel_reason"], i
    s.run("vm", "create", "--image", "probe", "--name", "p")
    assert s.json("vm", "show", "p")["accel"] == "tcg" and s.fake_starts() == ["tcg"]
    s.run("vm", "delete", "-f", "p")


def emulation_behind_dev_kvm_is_found_out(s):
    s.fake("kvm", "loop 60000")
    accel, _, why = verdict(s)
    assert accel == "tcg" and "KVM emulates each instruction" in why and "s or more for a loop" in why, why
    assert s.fake_starts() == BOTH
    row = [r for r in s.json("doctor") if r["check"] == "acceleration"][0]
    assert row["verdict"] == "WARN" and "nested virtualisation" in row["advice"], row
    assert s.fake_starts() == [], "measured twice"
    s.nothing_left()


def the_verdict_outlives_the_daemon(s):
    restarted(s)
    wait_for(lambda: s.info()["accel"] == "tcg", "the verdict is not remembered")
    assert "KVM emulates" in s.info()["accel_reason"]
    s.kill_daemon()
    wait_for(lambda: s.info()["accel"] == "tcg", "the verdict is not remembered")
    assert s.fake_starts() == []


def another_qemu_is_measured_again(s):
    s.fake("kvm", "loop 1")
    upgraded(s)
    restarted(s)
    assert not s.info()["accel"]
    s.fake_guest()
    assert s.json("vm", "show", "guest")["accel"] == "kvm"
    assert s.fake_starts() == [*BOTH, "kvm"]
    assert "in hardware" in s.info()["accel_reason"]
    s.run("vm", "delete", "-f", "guest")


def kvm_that_fails_is_quoted(s):
    s.fake("kvm", "fail Could not access KVM kernel module: Permission denied")
    upgraded(s)
    restarted(s)
    accel, probe, why = verdict(s)
    assert (accel, probe) == ("tcg", "tcg") and "Could not access KVM kernel module" in why, why


def nothing_that_works_is_said(s):
    s.fake("tcg", "fail no such machine")
    s.fake("kvm", "fail no such machine")
    upgraded(s)
    restarted(s)
    accel, _, why = verdict(s)
    assert accel == "tcg" and "no test guest came up" in why and "no such machine" in why, why
    s.fake("tcg")
    s.fake("kvm", "loop 1")
    restarted(s)
    assert verdict(s)[0] == "kvm", "a host that ran nothing is asked again"


def a_start_that_waits_can_be_cancelled(s):
    s.fake("kvm", "loop 60000")
    upgraded(s)
    restarted(s)
    p = s.start("vm", "create", "--image", "none", "--kernel", "none", "--name", "impatient")
    wait_for(lambda: "kvm" in s.fake_starts(forget=False), "no measurement")
    # The probe's own start does not wait, though one is being measured.
    s.run("vm", "create", "--image", "probe", "--name", "p")
    assert s.json("vm", "show", "impatient")["state"] == "starting"
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=60)
    assert p.returncode == 128 + signal.SIGINT
    wait_for(lambda: [v["spec"]["name"] for v in s.vms()] == ["p"], "the cancelled create is still there")
    s.run("vm", "delete", "-f", "p")
    assert verdict(s)[0] == "tcg"


def which_vmm_a_new_vm_gets_hangs_on_it(s):
    """And so whoever asks for one waits for the verdict."""
    before = s.env.get("BANGER_FIRECRACKER", "")
    s.fake_firecracker()
    for kvm, vmm in (("loop 1", "firecracker"), ("loop 60000", "qemu")):
        s.fake("kvm", kvm)
        upgraded(s)
        restarted(s)
        s.fake_guest()
        assert s.json("vm", "show", "guest")["vmm"] == vmm
        assert s.fake_starts()[:2] == BOTH
        s.run("vm", "delete", "-f", "guest")
    upgraded(s)
    restarted(s)
    p = s.start("vm", "create", "--image", "none", "--kernel", "none", "--name", "impatient")
    wait_for(lambda: "kvm" in s.fake_starts(forget=False), "no measurement")
    assert s.vms() == []
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=60)
    assert p.returncode == 128 + signal.SIGINT and s.vms() == [], (p.returncode, s.states(), s.log()[-3000:])
    s.env["BANGER_FIRECRACKER"] = before
    verdict(s)
    restarted(s)


def a_crash_meanwhile_leaves_nothing(s):
    s.fake("kvm", "loop 60000")
    upgraded(s)
    restarted(s)
    s.info()
    p = s.start("doctor")
    wait_for(lambda: "kvm" in s.fake_starts(forget=False), "no measurement")
    wait_for(lambda: len(s.processes()) == 1, "no test guest")
    s.kill_daemon()
    p.communicate(timeout=60)
    s.fake("kvm", "loop 1")
    s.info()
    wait_for(lambda: s.processes() == [] and s.leftovers() == [], "the test guest is still there")
    assert verdict(s)[0] == "kvm"


def who_knows_better_is_believed(s):
    restarted(s)
    s.env["BANGER_ACCEL"] = "tcg"
    i = s.info()
    assert (i["accel"], i["accel_reason"]) == ("tcg", "as configured"), i
    s.run("daemon", "stop")
    s.env["BANGER_ACCEL"] = "xen"
    p = s.run("info", check=False)
    assert p.returncode != 0 and '"xen" is none of auto, kvm, tcg' in p.stderr, p.stderr
    del s.env["BANGER_ACCEL"]
    assert s.fake_starts() == []


def without_dev_kvm_nothing_is_timed(s):
    restarted(s)
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        raise banger_session.Skip("no private mount namespace")
    hide = "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec \"$@\""
    s.run("daemon", "start", wrap=["unshare", "-m", "sh", "-c", hide, "sh"])
    accel, probe, why = verdict(s)
    assert (accel, probe, why) == ("tcg", "tcg", "/dev/kvm: No such file or directory"), why
    assert s.fake_starts() == []


def prepare(s):
    s.fake_vmm(accel=None)
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("1..0 # SKIP no /dev/kvm that opens")
        raise SystemExit(77)


banger_session.main([nothing_is_measured_that_nobody_needs, emulation_behind_dev_kvm_is_found_out,
                     the_verdict_outlives_the_daemon, another_qemu_is_measured_again, kvm_that_fails_is_quoted,
                     nothing_that_works_is_said, a_start_that_waits_can_be_cancelled, which_vmm_a_new_vm_gets_hangs_on_it, a_crash_meanwhile_leaves_nothing,
                     who_knows_better_is_believed, without_dev_kvm_nothing_is_timed], prepare=prepare)
