"""The services of system mode under a real systemd: up by their sockets, watched, killed, stopped."""
import errno
import json
import os
import re
import shutil
import signal
import stat
import subprocess

import banger_system
from banger_system import DAEMON, HELPER, RUNTIME, STATE, as_user, ask, banger, drop_in, is_again, kill, main_pid, run, systemctl, unit, vm, vms, vmms
from banger_session import wait_for


def mode_of(path):
    st = os.stat(path)
    return stat.S_IMODE(st.st_mode), st.st_uid


def the_owner_and_its_directories_are_there():
    owner = int(run("id", "-u", "banger").stdout)
    assert mode_of(RUNTIME) == mode_of(STATE) == (0o700, owner), (mode_of(RUNTIME), mode_of(STATE))
    assert mode_of(f"{RUNTIME}/bangerd.sock") == (0o600, owner)
    assert "kvm" in run("id", "-Gn", "banger").stdout.split()
    assert main_pid(DAEMON) == main_pid(HELPER) == 0, "sockets are all that is up"


def a_command_brings_the_daemon_up():
    info = json.loads(banger("info", "--json").stdout)
    assert info["pid"] == main_pid(DAEMON) and info["state_dir"] == STATE and info["runtime_dir"] == RUNTIME, info
    assert unit("bangerd.service", "ActiveState", "SubState", "Result") == ["active", "running", "success"]
    with open(f"/proc/{info['pid']}/status", encoding="ascii") as f:
        status = dict(line.split(":", 1) for line in f)
    assert status["NoNewPrivs"].strip() == "1" and int(status["CapBnd"], 16) == 0 and status["Seccomp"].strip() == "2", status
    assert status["Uid"].split()[0] == run("id", "-u", "banger").stdout.strip()


def a_question_brings_the_helper_up():
    assert ask("host_report.net")["taps"] == []
    assert unit("bangerd-root.service", "ActiveState", "Result") == ["active", "success"]
    assert mode_of("/run/banger-root/bangerd-root.sock") == (0o600, mode_of(STATE)[1])
    assert ask("host_report.jail")["jails"] == ask("host_report.block")["snapshots"] == []


def the_owner_is_served_and_strangers_are_not():
    assert as_user("banger", banger_system.BANGER, "ping").stdout.startswith("bangerd")
    assert as_user("banger", banger_system.HELPERCTL, "host_report.net").returncode == 0
    p = as_user("nobody", banger_system.BANGER, "--system", "ping", check=False)
    assert p.returncode == 1 and "serves its owner and root alone" in p.stderr, p
    run("chmod", "755", RUNTIME)  # as an administrator might who means well
    run("chmod", "666", f"{RUNTIME}/bangerd.sock")
    p = as_user("nobody", banger_system.BANGER, "--system", "ping", check=False)
    assert p.returncode == 1 and "neither root nor the owner" in p.stderr, p
    run("chmod", "600", f"{RUNTIME}/bangerd.sock")
    run("chmod", "700", RUNTIME)
    p = as_user("nobody", banger_system.HELPERCTL, "host_report.net", check=False)
    assert p.returncode != 0 and "ermission denied" in p.stderr, p


def snapshot(vm_id):
    """A VM's disk, on an image that holds a file system; its device."""
    base, cow = f"{STATE}/images/units/disk.ext4", f"{STATE}/vms/{vm_id}/rootfs.cow"
    for path, size in ((base, 16 << 20), (cow, 8 << 20)):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.truncate(size)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", "/etc/ssl", base)
    run("chown", "-R", "banger:banger", f"{STATE}/images", f"{STATE}/vms")
    return ask("create_dm_snapshot", vm=vm_id, base="units/disk.ext4")["device"]


def a_disk_is_checked_under_the_unit():
    """Its filter of system calls, ours, and Landlock, all at once: what e2fsck needs, and no more than it may."""
    device = snapshot("00000014d2jp")
    assert not ask("fsck_snapshot", device=device).get("corrected")
    run("debugfs", "-w", "-R", "clri /openssl.cnf", device)
    assert ask("fsck_snapshot", device=device)["corrected"]
    run("e2fsck", "-fn", device)
    e2fsck = os.path.realpath("/sbin/e2fsck")
    run("mount", "--bind", os.environ["FAKE_FSCK"], e2fsck)
    try:
        said = ask("fsck_snapshot", device=device)["text"]
    finally:
        run("umount", e2fsck)
    found = dict(line.rsplit(" ", 1) for line in said.splitlines())
    mine = ("/proc/self/fd/3", "/dev/null", "/usr/bin/env", "/usr/lib", "/proc/self/mounts")
    assert len(found) == 12 and all(found[path] == "0" for path in mine), found
    unseen = {"/proc/1/stat": errno.ENOENT}  # by ProtectProc
    for path in found.keys() - mine:
        assert found[path] == str(unseen.get(path, errno.EACCES)), f"{path}: {found}"
    ask("remove_dm_snapshot", device=device)
    for folder in "images/units", "vms/00000014d2jp":
        shutil.rmtree(f"{STATE}/{folder}")
    assert ask("host_report.block")["loops"] == []


def both_are_up_again_after_kill_9():
    for name in DAEMON, HELPER:
        before = main_pid(name)
        kill(before)
        is_again(name, before)
        assert int(unit(f"{name}.service", "NRestarts")) >= 1
    banger("ping")
    ask("host_report.net")


def the_watchdog_ends_what_hangs():
    for name in DAEMON, HELPER:
        drop_in(name, "[Service]\nWatchdogSec=2\n")
        systemctl("restart", f"{name}.service")
        before = main_pid(name)
        kill(before, signal.SIGSTOP)
        is_again(name, before)
        assert "watchdog" in log_of(name), log_of(name)
    banger("ping")


def log_of(name):
    return run("journalctl", "--no-pager", "-o", "cat", "-u", f"{name}.service").stdout.lower()


def a_reload_takes_settings_and_stays():
    before = main_pid(DAEMON)
    conf = "/etc/banger/banger.conf"
    with open(conf, "a", encoding="ascii") as f:
        f.write("[defaults]\nvcpu = 3\n")
    systemctl("reload", "bangerd.service")
    wait_for(lambda: '"3"' in banger("config", "show", "--json").stdout, "the setting has not come")
    assert main_pid(DAEMON) == before


def stopped_is_stopped_and_the_next_command_starts_it():
    systemctl("stop", "bangerd.service")
    assert unit("bangerd.service", "ActiveState", "Result") == ["inactive", "success"]
    assert os.path.exists(f"{RUNTIME}/bangerd.sock"), "the socket is systemd's"
    banger("ping")
    banger("daemon", "stop")
    wait_for(lambda: unit("bangerd.service", "ActiveState") == "inactive", "it has been asked to end")
    assert unit("bangerd.service", "Result") == "success"
    banger("ping")


def both_end_in_time_when_all_is_stopped():
    systemctl("stop", "bangerd.socket", "bangerd-root.socket", "bangerd.service", "bangerd-root.service")
    assert unit("bangerd-root.service", "ActiveState", "Result") == ["inactive", "success"]
    assert not os.path.exists(f"{RUNTIME}/bangerd.sock")
    p = banger("--system", "ping", check=False)
    assert p.returncode == 1 and "systemctl start bangerd.socket" in p.stderr, p
    systemctl("start", "bangerd.socket", "bangerd-root.socket")
    banger("ping")


def used_bytes():
    st = os.statvfs(STATE)
    return (st.f_blocks - st.f_bfree) * st.f_frsize


def shared_bytes(path):
    """Of its extents, those that are another file's too."""
    rows = [line.split(":") for line in run("filefrag", "-v", "-b1", path).stdout.splitlines() if re.match(r" *\d+:", line)]
    return sum(int(row[3]) for row in rows if "shared" in row[-1])


def a_root_disk_is_a_reflink_where_the_file_system_has_them():
    """ADR 30; on an XFS, which knows nothing of the other stories' state."""
    every = ("bangerd.socket", "bangerd-root.socket")
    systemctl("stop", *every, "bangerd.service", "bangerd-root.service")
    run("truncate", "-s", "512M", "/run/xfs")
    run("mkfs.xfs", "-q", "/run/xfs")
    run("mount", "-o", "loop", "/run/xfs", STATE)
    run("chown", "banger:banger", STATE)
    run("chmod", "700", STATE)
    with open("/etc/banger/banger.conf", "a", encoding="ascii") as f:
        f.write("[vmm]\nroot_disk = reflink\n")
    systemctl("start", *every)
    os.mkdir("/run/tree")
    with open("/run/tree/data", "wb") as f:
        f.write(os.urandom(16 << 20))
    run("tar", "-cf", "/run/root.tar", "-C", "/run/tree", ".")
    banger("kernel", "import", f"{banger_system.PREFIX}/libexec/banger/probe.elf", "--name", "none")
    banger("image", "import", "/run/root.tar", "--name", "none")
    wait_for(lambda: "root disks by reflink" in banger("doctor", check=False).stdout, "doctor does not say so")
    before = used_bytes()
    banger("vm", "create", "--vmm", "qemu", "--image", "none", "--kernel", "none", "--name", "r", "-n", "4", "--disk", "8G", "--no-start")
    disks = [f"{STATE}/vms/{v['id']}/disk.raw" for v in vms()]
    for disk in disks:
        assert os.stat(disk).st_size == 8 << 30 and shared_bytes(disk) >= 16 << 20, run("filefrag", "-v", disk).stdout
    assert used_bytes() - before < 8 << 20, "four disks of 16 MiB and more take next to nothing"
    with subprocess.Popen([banger_system.BANGER, "vm", "start", "r-1", "--timeout", "60s"], stderr=subprocess.DEVNULL) as start:
        wait_for(vmms, "no VMM has started")
        st = os.stat(f"{STATE}/vms/{vm('r-1')['id']}/disk.raw")
        assert st.st_nlink == 2 and st.st_uid in vmms().values(), "it is in the jail, and the slot's"
        banger("vm", "delete", "-f", "r-1")
        start.wait()
    banger("vm", "delete", "--all", "-f")
    assert not any(map(os.path.exists, disks)) and used_bytes() - before < 4 << 20
    banger_system.host_is_empty()
    systemctl("stop", *every, "bangerd.service", "bangerd-root.service")
    run("umount", STATE)


banger_system.main([the_owner_and_its_directories_are_there, a_command_brings_the_daemon_up, a_question_brings_the_helper_up,
                    the_owner_is_served_and_strangers_are_not, a_disk_is_checked_under_the_unit, both_are_up_again_after_kill_9, the_watchdog_ends_what_hangs,
                    a_reload_takes_settings_and_stays, stopped_is_stopped_and_the_next_command_starts_it,
                    both_end_in_time_when_all_is_stopped, a_root_disk_is_a_reflink_where_the_file_system_has_them])
