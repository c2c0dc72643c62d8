#!/usr/bin/env python3
"""The worker `jail`: what a VMM may see and do, how it is found, signalled, ended and cleared away; what is refused;
every effect failing, every effect the worker's last; the attacks."""
import errno
import os
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time

from harness import DEADLINE_S, DIE, OWNER, VM, Refused, as_uid, main, read_file, run
from jail import (FAKE, ID, OTHER, PARTS, QEMU, RUN, SLOT, STDIO, UID, UID_FIRST, WHOLE, Jail, at_every_point, check_files, closed, copy_of_fake,
                  gone, left, probe_is_up, refused, stranger, told, tries)

RACES = 60


def status_of(pid):
    return dict(line.split(":\t", 1) for line in read_file(f"/proc/{pid}/status").splitlines() if ":\t" in line)


# ---- what a jail is ----

def a_vmm_runs_in_its_jail(place):
    pid, fds = place.launch(**WHOLE)
    assert len(fds) == 4, fds
    s = status_of(pid)
    assert s["Uid"].split() == s["Gid"].split() == [str(UID)] * 4 and s["Groups"].strip() == "", s
    for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(s[field], 16) == 0, s
    assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2" and int(s["Seccomp_filters"]) >= 2, s
    assert s["NSpid"].split()[1:] == ["1"], s
    for kind in ("mnt", "pid", "ipc", "uts"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind
    assert read_file(f"/proc/{pid}/cgroup").splitlines()[-1].endswith(f"/{VM}")
    assert read_file(f"/proc/{pid}/environ") == "" and os.readlink(f"/proc/{pid}/cwd") == "/vm"
    limits = {line[:26].strip(): line[26:].split()[:2] for line in read_file(f"/proc/{pid}/limits").splitlines()}
    assert limits["Max core file size"] == ["0", "0"] and int(limits["Max open files"][1]) <= 1024, limits
    assert sorted(int(fd) for fd in os.listdir(f"/proc/{pid}/fd")) in ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 6])
    mounts = [line.split()[4] for line in read_file(f"/proc/{pid}/mountinfo").splitlines()]
    assert sorted(mounts) == ["/", "/vm"], mounts
    closed(fds)
    place.away()
    gone(pid)


def it_sees_its_files_and_nothing_else(place):
    pid, fds = place.launch(**WHOLE)
    control = fds[1]
    assert sorted(told(control, "list /").split()) == ["dev", "vm"]
    assert set(told(control, "list /dev").split()) <= {"null", "zero", "random", "urandom", "kvm", "net"}
    for name, text in (("kernel", "kernel"), ("base", "base"), ("disk", "disk"), ("config", "{}")):
        assert told(control, f"read /vm/{name}") == text
    assert told(control, "write /vm/disk") == told(control, "write /vm/console") == "errno 0"
    for name in ("kernel", "base", "config"):
        assert told(control, f"write /vm/{name}") == f"errno {errno.EACCES}"
    assert tries(control, "create") == "EACCES" and tries(control, "create /") == "EROFS"
    log = read_file(f"{place.jails}/{VM}/vmm.log").split("\n")
    assert log[:3] == [f"word {FAKE}", "word -one", "word two words"], log
    closed(fds)
    place.away()
    assert read_file(f"{place.state}/{PARTS['disk']}") == "disk\nguest\n"
    assert pid


def what_no_vmm_needs_is_denied(place):
    pid, fds = place.launch(**WHOLE)
    denied = ("inet", "netlink", "mount", "unshare", "clone", "setns", "chroot", "execve", "execveat", "ptrace", "io_uring", "bpf",
              "keyctl", "mkdir", "mknod", "symlink", "setuid")
    for name in denied:
        assert tries(fds[1], name) == "EPERM", f"{name}: {tries(fds[1], name)}"
    assert tries(fds[1], "clone3") == "ENOSYS" and tries(fds[1], "unix") == "0"
    closed(fds)
    place.away()
    assert pid


def the_slots_files_are_the_owners_again(place):
    _, fds = place.launch(**WHOLE)
    for part in ("disk", "console"):
        st = os.stat(f"{place.state}/{PARTS[part]}")
        assert (st.st_uid, st.st_gid, st.st_nlink) == (UID, OWNER, 2), st
    assert os.stat(f"{place.state}/{PARTS['kernel']}").st_uid == OWNER
    closed(fds)
    place.away()
    for part in PARTS.values():
        st = os.stat(f"{place.state}/{part}")
        assert (st.st_uid, st.st_gid, st.st_nlink) == (OWNER, OWNER, 1), st
    _, fds = place.launch(**{**WHOLE, "slot": SLOT + 1})  # another slot may have them next
    closed(fds)
    place.away(vm=VM, slot=SLOT + 1)


def qemu_runs_a_guest(place):
    probe = os.environ["PROBE_GUEST"]
    if not os.path.exists(QEMU):
        return
    with open(probe, "rb") as f:
        guest = f.read()
    with open(f"{place.state}/{PARTS['kernel']}", "wb") as f:
        f.write(guest)
    words = ["-M", "microvm,accel=tcg,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on,acpi=off,auto-kernel-cmdline=off",
             "-m", "16M", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
             "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", "-kernel", "/vm/kernel",
             "-chardev", "socket,id=c,fd=3,server=on,wait=on", "-serial", "chardev:c"]
    pid, fds = place.launch(**ID, vmm="qemu", console_socket=True, kernel=PARTS["kernel"], args="\0".join(words).encode() + b"\0")
    probe_is_up(place, fds[1])
    assert os.readlink(f"/proc/{pid}/exe").endswith("qemu-system-x86_64")
    os.close(fds[0])
    place.away()
    gone(pid)


def its_console_is_its_standard_input_and_output(place):
    _, fds = place.launch(**STDIO)
    assert len(fds) == 4, fds
    control, typed = fds[1], fds[2]
    assert told(control, "hear it") == f"errno {errno.EAGAIN}", "nobody has typed yet, and that is no end"
    assert os.write(typed, b"typed\n") and told(control, "hear it") == "typed"
    assert told(control, "print hello") == "errno 0"
    assert read_file(f"{place.state}/{PARTS['console']}").endswith("hello\n")
    assert read_file(f"{place.jails}/{VM}/vmm.log") == ""
    closed(fds)
    _, fds = place.launch(**STDIO)  # of a daemon that has begun anew
    assert told(fds[1], "hear it") == f"errno {errno.EAGAIN}" and os.write(fds[2], b"again\n") and told(fds[1], "hear it") == "again"
    closed(fds)
    place.away()


def it_connects_to_a_socket_that_listens_for_it(place):
    path = "/vm/run/vsock.sock_1024"

    def heard(listener):
        with socket.socket(fileno=listener) as s:
            s.settimeout(DEADLINE_S)
            with s.accept()[0] as c:
                return c.recv(100)

    _, fds = place.launch(**STDIO)
    st = os.stat(f"{place.jails}/{VM}/run")
    assert (stat.S_IMODE(st.st_mode), st.st_uid) == (0o700, UID), "the slot's alone"
    assert told(fds[1], f"call {path}") == "errno 0" and heard(fds.pop()) == b"guest"
    until = time.monotonic() + DEADLINE_S  # the helper closes its own copy when it has sent it
    while told(fds[1], f"call {path}") != f"errno {errno.ECONNREFUSED}":
        assert time.monotonic() < until
    closed(fds)
    _, fds = place.launch(**STDIO)
    assert told(fds[1], f"call {path}") == "errno 0" and heard(fds.pop()) == b"guest"
    found = place.ask("find_vmm", **ID, listener="vsock.sock_1024")  # of a daemon that has begun anew
    pidfd, listener = place.client.take_fds()
    assert found["uid"] == UID and told(fds[1], f"call {path}") == "errno 0" and heard(listener) == b"guest"
    os.close(pidfd)
    assert told(fds[1], f"unlink {path}") == told(fds[1], f"bind {path}") == "errno 0", "it may exchange it, for itself"
    closed(fds)
    _, fds = place.launch(**STDIO)
    assert told(fds[1], f"call {path}") == "errno 0" and heard(fds.pop()) == b"guest"
    closed(fds)
    place.away()


def its_output_is_heard_by_who_launched_it(place):
    heard = {**STDIO, "console_socket": True, "console": "", "args": b"--one\0two\0"}
    pid, fds = place.launch(**heard)
    with socket.socket(fileno=fds.pop(2)) as s:
        s.settimeout(DEADLINE_S)
        said = b""
        while b"two\n" not in said:
            said += s.recv(4096)
        assert b"word --one\n" in said, said
    again, more = place.launch(**heard)
    with socket.socket(fileno=more.pop(2)) as s:
        s.settimeout(DEADLINE_S)
        assert again == pid and s.recv(1) == b"", "a second one has ended"
    assert not os.path.exists(f"{place.jails}/{VM}/console")
    closed(fds + more)
    place.away()


def its_sockets_are_the_owners_alone(place):
    """Also for who has come by the directory."""
    _, fds = place.launch(**WHOLE)
    folder = os.open(f"{place.jails}/{VM}", os.O_RDONLY | os.O_DIRECTORY)

    def connects():
        os.fchdir(folder)
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex("control.sock")

    assert as_uid(OWNER, connects) == "0"
    for uid in (UID, UID + 1, OWNER - 1):
        assert as_uid(uid, connects) == str(errno.EACCES), uid
    closed([folder, *fds])
    place.away()


def its_log_is_its_own_to_open(place):
    """Firecracker is told a log by path."""
    _, fds = place.launch(**STDIO)
    assert told(fds[1], "write /vm/vmm.log") == "errno 0"
    st = os.stat(f"{place.jails}/{VM}/vmm.log")
    assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (UID, OWNER, 0o640), "the owner reads it"
    closed(fds)
    place.away()


# ---- twice ----

def a_vmm_is_launched_twice_and_cleared_twice(place):
    assert place.report() == {}
    pid, fds = place.launch(**WHOLE)
    assert place.report() == {"jails": [VM], "slots": [f"slot-{SLOT} {VM}"], "cgroups": [VM]}
    closed(fds)
    again, fds = place.launch(**WHOLE)
    assert again == pid and len(fds) == 4, "it runs on"
    assert told(fds[1], "read /vm/base") == "base", "and is spoken to anew"
    closed(fds)
    refused(place, "cleanup_jail", ID, "its VMM lives", code="busy")
    for _ in range(2):
        place.ask("kill_vmm", **ID)
    gone(pid)
    assert place.ask("find_vmm", **ID) == {}
    for _ in range(2):
        place.ask("cleanup_jail", **ID)
    assert place.report() == {}
    _, fds = place.launch(**WHOLE)
    closed(fds)
    place.away()


def a_vmm_that_ended_is_launched_anew(place):
    pid, fds = place.launch(**WHOLE)
    os.kill(pid, signal.SIGKILL)
    gone(pid)
    closed(fds)
    again, fds = place.launch(**WHOLE)
    assert again != pid and told(fds[1], "read /vm/base") == "base"
    closed(fds)
    place.away()


def a_vmm_outlives_the_helper(place):
    pid, fds = place.launch(**WHOLE)
    place.client.close()
    assert place.helper.stop(signal.SIGKILL) < 0
    place.helper.start()
    place.client = place.helper.client()
    place.ask = place.client.ask
    assert told(fds[1], "read /vm/base") == "base"
    closed(fds)
    assert place.ask("find_vmm", **ID) == {"pid": pid, "uid": UID}
    found = place.client.take_fds()
    assert len(found) == 1 and f"Pid:\t{pid}\n" in read_file(f"/proc/self/fdinfo/{found[0]}")
    closed(found)
    place.away()
    gone(pid)


# ---- refused ----

def arguments_are_checked(place):
    for more, *words in (
            ({"slot": 4096}, "slot: "), ({"vmm": "bash"}, "vmm: "), ({"vmm": "../fake"}, "vmm: "), ({"args": b"-no-nul"}, "args: "),
            ({"kernel": "/etc/passwd"}, "kernel: "), ({"kernel": "../../etc/passwd"}, "kernel: "), ({"kernel": "a//b"}, "kernel: "),
            ({"disk": "vms/.."}, "disk: "), ({"initrd": "./x"}, "initrd: "), ({"config": "a/../b"}, "config: "), ({"base": "x/"}, "base: "), ({"console": "."}, "console: ")):
        refused(place, "launch_vmm", {**RUN, **more}, *words)
    refused(place, "launch_vmm", {**RUN, "args": b"\0" * 300}, "args: ")
    refused(place, "launch_vmm", {**RUN, "disk": PARTS["disk"], "snapshot": True}, "snapshot: there is a disk as well")
    refused(place, "launch_vmm", {**RUN, "console_stdio": True}, "console_stdio: there is no console")
    refused(place, "launch_vmm", {**STDIO, "console_socket": True}, "console: its output is console_socket")
    refused(place, "launch_vmm", {**STDIO, "run": False}, "listener: there is no run")
    for name in ("../x", "/x", ".x", "a/b", "A", "a b"):
        refused(place, "launch_vmm", {**STDIO, "listener": name}, "listener: ")
        refused(place, "find_vmm", {**ID, "listener": name}, "listener: ")
    refused(place, "launch_vmm", {**RUN, "vm": "../../../etc"}, "vm: ", code="request.bad")
    refused(place, "launch_vmm", {**RUN, "cpu_max": 100001}, "cpu_max: ", code="request.bad")
    for number in (1, 2, 9, 15, 18, 19):
        refused(place, "signal_vmm", {**ID, "signal": number}, "has no VMM")
    for number in (3, 10, 11, 17, 20, 64):
        refused(place, "signal_vmm", {**ID, "signal": number}, "signal: ")
    for name in ("../x", "/x", ".x", "a/b", "A", "a b"):
        refused(place, "ensure_socket_access", {**ID, "socket": name}, "socket: ")
    assert place.report() == {}


def files_are_checked(place):
    """What is opened is looked at; links are followed nowhere on the way."""
    s = place.state
    victim = os.path.join(place.top, "victim")
    with open(victim, "w", encoding="utf-8") as f:
        f.write("not yours\n")
    os.symlink(victim, f"{s}/leaf")
    os.symlink(place.top, f"{s}/parent")
    os.symlink(PARTS["disk"], f"{s}/inner")  # not even to where he may
    os.symlink("vms", f"{s}/inner-parent")
    os.mkfifo(f"{s}/fifo")
    place.put("private", "", 0o600)
    place.own_all()
    place.put("roots", "", 0o600)
    os.link(victim, f"{s}/hard")
    for part in ("kernel", "initrd", "config", "base", "disk", "console"):
        for path in ("leaf", "parent/victim", "inner", f"inner-parent/{VM}/disk", "fifo", "none", "vms"):
            refused(place, "launch_vmm", {**RUN, part: path}, f"{part}: ")
    for part in ("disk", "console"):
        refused(place, "launch_vmm", {**RUN, part: "roots"}, f"{part}: belongs to uid 0")
        refused(place, "launch_vmm", {**RUN, part: "hard"}, f"{part}: belongs to uid 0")
    refused(place, "launch_vmm", {**RUN, "kernel": "private"}, "kernel: may not be read by all")
    os.chown(f"{s}/private", UID_FIRST + 9, OWNER)
    refused(place, "launch_vmm", {**RUN, "disk": "private"}, f"disk: belongs to uid {UID_FIRST + 9}")
    assert place.report() == {} and os.stat(victim).st_uid == 0 and os.stat(victim).st_nlink == 2


def a_slot_is_one_vms(place):
    _, fds = place.launch(**RUN)
    refused(place, "launch_vmm", {**RUN, "vm": OTHER}, f"slot: {SLOT} is that of {VM}")
    place.ask("kill_vmm", vm=OTHER, slot=SLOT)
    place.ask("cleanup_jail", vm=OTHER, slot=SLOT)
    assert place.report()["slots"] == [f"slot-{SLOT} {VM}"], "it is not given away by others"
    closed(fds)
    place.away()


def a_program_that_others_could_have_changed_is_not_executed():
    with tempfile.TemporaryDirectory(prefix="banger-helper-") as top:
        os.chmod(top, 0o755)
        path = copy_of_fake(top)
        place = Jail(fake=path)
        pid, fds = place.launch(**RUN)
        closed(fds)
        place.away()
        for mode in (0o775, 0o757, 0o777):
            os.chmod(path, mode)
            refused(place, "launch_vmm", RUN, "binary: ", "may be written by others")
        os.chmod(path, 0o754)
        refused(place, "launch_vmm", RUN, "binary: ", "may not be executed")
        os.chmod(path, 0o755)
        os.chown(path, OWNER, 0)
        refused(place, "launch_vmm", RUN, "binary: ", f"belongs to uid {OWNER}")
        os.chown(path, 0, 0)
        os.rename(path, path + ".real")
        refused(place, "launch_vmm", RUN, "binary: ", code="vmm.missing")
        os.symlink(path + ".real", path)
        refused(place, "launch_vmm", RUN, "binary: ", "symbolic link")
        os.unlink(path)
        os.mkfifo(path)
        refused(place, "launch_vmm", RUN, "binary: ", "no regular file")
        assert place.report() == {} and pid
        place.close()


def a_program_that_cannot_run_leaves_nothing():
    with tempfile.TemporaryDirectory(prefix="banger-helper-") as top:
        os.chmod(top, 0o755)
        path = os.path.join(top, "script")
        with open(path, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\ntrue\n")
        os.chmod(path, 0o755)
        place = Jail(fake=path)
        refused(place, "launch_vmm", WHOLE, "exec", code="vmm.start")
        assert place.report() == {}
        place.close()


def limits_are_set_or_said_to_be_missing(place):
    for field, value, file, wanted in (("memory_max", 64 << 20, "memory.max", str(64 << 20)), ("cpu_max", 150, "cpu.max", "150000 100000")):
        if file.split(".")[0] in read_file(f"{place.group}/cgroup.subtree_control").split():
            _, fds = place.launch(**RUN, **{field: value})
            assert read_file(f"{place.group}/{VM}/{file}").strip() == wanted
            closed(fds)
            place.away()
        else:
            refused(place, "launch_vmm", {**RUN, field: value}, f"{field}: the controller", code="jail.failed")
        assert place.report() == {}


# ---- signals ----

def a_signal_reaches_the_vmm_and_no_other(place):
    pid, fds = place.launch(**RUN)
    place.ask("signal_vmm", **ID, signal=signal.SIGSTOP)
    until = time.monotonic() + DEADLINE_S
    while status_of(pid)["State"][0] != "T":
        assert time.monotonic() < until
        time.sleep(0.01)
    place.ask("signal_vmm", **ID, signal=signal.SIGCONT)
    place.ask("signal_vmm", **ID, signal=signal.SIGKILL)
    gone(pid)
    refused(place, "signal_vmm", {**ID, "signal": signal.SIGTERM}, "has no VMM")
    closed(fds)
    place.away()


def forge_note(place, pid, keep=True):
    """As if that pid had been the VMM's: what a reused pid looks like."""
    note = f"{place.jails}/{VM}/vmm"
    words = os.readlink(note).split()
    os.unlink(note)
    os.symlink(" ".join([str(pid), *(words[1:] if keep else ["1", "1"])]), note)


def a_reused_pid_is_not_signalled(place):
    """Its number is now that of another process, which even runs the same program, under another VM."""
    pid, fds = place.launch(**RUN)
    other, more = place.launch(**{**RUN, "vm": OTHER, "slot": SLOT + 1})
    kill = {**ID, "signal": 9}
    forge_note(place, other)
    for method, args in (("signal_vmm", kill), ("find_vmm", ID)):
        refused(place, method, args, f"process: {other} is not in the cgroup of {VM}")
    with stranger() as victim:
        forge_note(place, victim.pid)
        refused(place, "signal_vmm", kill, "is not in the cgroup")
        os.kill(pid, signal.SIGKILL)
        gone(pid)
        refused(place, "signal_vmm", kill, "has no VMM")
        assert place.ask("find_vmm", **ID) == {}, "its cgroup is empty: it has ended, whoever has its number"
        assert victim.poll() is None
        victim.kill()
    closed(fds + more)
    place.away()
    assert place.ask("find_vmm", vm=OTHER, slot=SLOT + 1)["pid"] == other
    closed(place.client.take_fds())
    place.away(vm=OTHER, slot=SLOT + 1)


def a_process_that_is_merely_named_so_is_not_signalled(place):
    """In the right cgroup, with the VMM's name and words, and another program."""
    pid, fds = place.launch(**RUN)
    os.kill(pid, signal.SIGKILL)
    gone(pid)
    with subprocess.Popen([FAKE, "1000"], executable="/bin/sleep") as victim:
        with open(f"{place.group}/{VM}/cgroup.procs", "w", encoding="utf-8") as f:
            f.write(str(victim.pid))
        forge_note(place, victim.pid)
        refused(place, "signal_vmm", {**ID, "signal": 9}, "does not run the program that was executed")
        assert victim.poll() is None
        victim.kill()
    closed(fds)
    place.away()


# ---- sockets of the VMM's own ----

def a_socket_that_the_vmm_made_is_opened(place):
    pid, fds = place.launch(**WHOLE)
    refused(place, "ensure_socket_access", {**ID, "socket": "api.sock"}, "No such file", code="jail.failed")
    assert told(fds[1], "bind /vm/run/api.sock") == "errno 0"
    for _ in range(2):
        place.ask("ensure_socket_access", **ID, socket="api.sock")
        closed(place.client.take_fds())
    st = os.stat(f"{place.jails}/{VM}/run/api.sock")
    assert (st.st_uid, stat.S_IMODE(st.st_mode)) == (OWNER, 0o600)
    closed(fds)
    place.away()
    assert pid


def what_is_no_socket_of_the_vmms_is_refused(place):
    pid, fds = place.launch(**WHOLE)
    folder = f"{place.jails}/{VM}/run"
    os.symlink("/run/dbus/socket", f"{folder}/link")
    with open(f"{folder}/file", "w", encoding="utf-8"):
        pass
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{folder}/roots")
        refused(place, "ensure_socket_access", {**ID, "socket": "link"}, "socket: ")
        refused(place, "ensure_socket_access", {**ID, "socket": "file"}, "is no socket")
        refused(place, "ensure_socket_access", {**ID, "socket": "roots"}, "belongs to uid 0")
    closed(fds)
    place.away()
    assert pid


# ---- clearing away ----

def clearing_deletes_nothing_outside(place):
    """Mounts and links in a jail lead elsewhere: what is there stays."""
    victim = os.path.join(place.top, "victim")
    os.mkdir(victim)
    with open(f"{victim}/precious", "w", encoding="utf-8") as f:
        f.write("x")
    pid, fds = place.launch(**WHOLE)
    closed(fds)
    place.ask("kill_vmm", **ID)
    os.symlink(victim, f"{place.jails}/{VM}/run/link")
    os.mkdir(f"{place.jails}/{VM}/mounted")
    run("mount", "--bind", victim, f"{place.jails}/{VM}/mounted")
    place.ask("cleanup_jail", **ID)
    run("umount", "-l", f"{place.jails}/{VM}/mounted", check=False)
    assert os.listdir(victim) == ["precious"] and place.report() == {} and pid


def a_mount_within_the_workers_sight_stops_it():
    """A helper that starts after it was mounted does not take it along; one in its own namespace is not crossed."""
    place = Jail()
    pid, fds = place.launch(**WHOLE)
    closed(fds)
    place.ask("kill_vmm", **ID)
    os.mkdir(f"{place.jails}/{VM}/mounted")
    worker = place.helper.workers()["jail"]
    with open("/proc/self/ns/mnt", "rb") as here, open(f"/proc/{worker}/ns/mnt", "rb") as there:
        child = os.fork()
        if child == 0:
            try:
                libc = __import__("ctypes").CDLL(None, use_errno=True)
                assert libc.setns(there.fileno(), 0x20000) == 0
                at = f"/state/jails/{VM}/mounted".encode()
                assert libc.mount(b"tmpfs", at, b"tmpfs", 0, None) == 0
                with open(at + b"/precious", "w", encoding="utf-8"):
                    pass
                os._exit(0)
            except BaseException:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0 and here
    refused(place, "cleanup_jail", ID, "something is mounted there")
    child = os.fork()
    if child == 0:
        with open(f"/proc/{worker}/ns/mnt", "rb") as there:
            libc = __import__("ctypes").CDLL(None, use_errno=True)
            ok = libc.setns(there.fileno(), 0x20000) == 0
            at = f"/state/jails/{VM}/mounted"
            ok = ok and os.listdir(at) == ["precious"] and libc.umount2(at.encode(), 2) == 0
            os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    place.ask("cleanup_jail", **ID)
    assert place.report() == {} and pid
    place.close()


def a_jail_that_is_a_link_is_left_alone(place):
    victim = os.path.join(place.top, "victim")
    os.mkdir(victim)
    with open(f"{victim}/precious", "w", encoding="utf-8"):
        pass
    os.symlink(victim, f"{place.jails}/{VM}")
    refused(place, "cleanup_jail", ID, "jail: ")
    refused(place, "launch_vmm", RUN, "jail: ")
    os.unlink(f"{place.jails}/{VM}")
    assert os.listdir(victim) == ["precious"]
    place.away()


def jails_put_in_place_of_ours_are_not_used(place):
    """The owner may rename what lies in his directory: the helper keeps to what it had, and does not start with another's."""
    os.rename(place.jails, place.jails + ".was")
    os.mkdir(place.jails)
    os.chown(place.jails, OWNER, OWNER)
    pid, fds = place.launch(**RUN)
    assert os.listdir(place.jails) == [] and VM in os.listdir(place.jails + ".was")
    closed(fds)
    place.away()
    worker = place.helper.workers()["jail"]
    os.kill(worker, signal.SIGKILL)
    await_log(place, "ev=worker.died worker=jail")
    place.client.begin("host_report.jail")  # waits for a successor
    await_log(place, "jails/ is not the one that was there at the start")
    os.rmdir(place.jails)
    os.rename(place.jails + ".was", place.jails)
    assert left(place.state, place.client.end()["result"]) == {} and pid


def await_log(place, words):
    until = time.monotonic() + DEADLINE_S
    while words not in place.helper.log():
        assert time.monotonic() < until, place.helper.log()
        time.sleep(0.01)


# ---- races ----

class Flipping:
    """A path that is now one thing and now another, as fast as can be."""

    def __init__(self, path, *things):
        self.path, self.things, self.end = path, things, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.end.is_set():
            for make in self.things:
                make(self.path + ".next")
                os.rename(self.path + ".next", self.path)
                if os.path.lexists(self.path + ".next"):
                    os.unlink(self.path + ".next")  # both were one file already: nothing was renamed

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()


def a_disk_exchanged_between_check_and_use_harms_nobody(place):
    """The owner's file, a link to root's, and a hard link of root's, at one path in turn."""
    victim = os.path.join(place.top, "victim")
    with open(victim, "w", encoding="utf-8") as f:
        f.write("x")
    disk, spare = f"{place.state}/flip", f"{place.state}/spare"
    place.put("spare", "")
    place.own_all()
    with Flipping(disk, lambda at: os.link(spare, at), lambda at: os.symlink(victim, at), lambda at: os.link(victim, at)):
        taken = 0
        for _ in range(RACES):
            try:
                _, fds = place.launch(**RUN, disk="flip")
                closed(fds)
                taken += 1
            except Refused as e:
                assert e.message.startswith("disk: "), e
            assert os.stat(victim).st_uid == 0 and not os.path.exists(f"{place.jails}/{VM}/victim")
            place.away()
    os.unlink(disk)
    assert os.stat(victim).st_uid == 0 and os.stat(victim).st_nlink == 1 and taken <= RACES


def a_program_exchanged_after_the_check_is_not_executed():
    """What was checked is what runs: never the other, which everybody may write."""
    with tempfile.TemporaryDirectory(prefix="banger-helper-") as top:
        os.chmod(top, 0o755)
        good, evil = copy_of_fake(top, "good"), copy_of_fake(top, "evil")
        os.chmod(evil, 0o777)
        path = os.path.join(top, "vmm")
        os.link(good, path)
        place = Jail(fake=path)
        with Flipping(path, lambda at: os.link(good, at), lambda at: os.link(evil, at)):
            for _ in range(RACES):
                try:
                    pid, fds = place.launch(**RUN)
                except Refused as e:
                    assert "may be written by others" in e.message, e
                    continue
                assert os.stat(f"/proc/{pid}/exe").st_ino == os.stat(good).st_ino
                closed(fds)
                place.away()
        place.close()


# ---- every effect fails, every effect is the worker's last ----

def at_every_point_of_both(place, action, story):
    was = place.report()
    for args in (WHOLE, STDIO):
        points = at_every_point(place, action, lambda args=args: story(place, was, args))
        assert points > 10, f"launch_vmm has {points} points only: they are not reached"


def fails(place, was, args):
    try:
        _, fds = place.launch(**args)
    except Refused as e:
        assert "Input/output error" in e.message, e
        assert place.report() == was, f"{e}: left {place.report()}"
        check_files(place)
        return True
    closed(fds)
    place.away()
    return False


def a_failing_effect_leaves_nothing(place):
    at_every_point_of_both(place, errno.EIO, fails)


def dies(place, was, args):
    try:
        _, fds = place.launch(**args)
    except Refused as e:
        assert e.code == "helper.worker" and "signal" in e.message, e
        place.faults.none()
        place.away()
        assert place.report() == was, f"{e}: left {place.report()}"
        check_files(place)
        _, fds = place.launch(**args)
        closed(fds)
        place.away()
        return True
    closed(fds)
    place.away()
    return False


def a_dying_worker_leaves_what_can_be_cleared(place):
    at_every_point_of_both(place, DIE, dies)


def without_a_vmm_there_is_nothing_to_launch():
    from harness import Place
    place = Place()
    refused(place, "launch_vmm", RUN, "vmm: none is configured")
    assert place.ask("host_report.jail") == {}
    place.close()


main([
    a_vmm_runs_in_its_jail,
    it_sees_its_files_and_nothing_else,
    what_no_vmm_needs_is_denied,
    the_slots_files_are_the_owners_again,
    qemu_runs_a_guest,
    its_console_is_its_standard_input_and_output,
    it_connects_to_a_socket_that_listens_for_it,
    its_output_is_heard_by_who_launched_it,
    its_sockets_are_the_owners_alone,
    its_log_is_its_own_to_open,
    a_vmm_is_launched_twice_and_cleared_twice,
    a_vmm_that_ended_is_launched_anew,
    a_vmm_outlives_the_helper,
    arguments_are_checked,
    files_are_checked,
    a_slot_is_one_vms,
    a_program_that_others_could_have_changed_is_not_executed,
    a_program_that_cannot_run_leaves_nothing,
    limits_are_set_or_said_to_be_missing,
    a_signal_reaches_the_vmm_and_no_other,
    a_reused_pid_is_not_signalled,
    a_process_that_is_merely_named_so_is_not_signalled,
    a_socket_that_the_vmm_made_is_opened,
    what_is_no_socket_of_the_vmms_is_refused,
    clearing_deletes_nothing_outside,
    a_mount_within_the_workers_sight_stops_it,
    a_jail_that_is_a_link_is_left_alone,
    jails_put_in_place_of_ours_are_not_used,
    a_disk_exchanged_between_check_and_use_harms_nobody,
    a_program_exchanged_after_the_check_is_not_executed,
    a_failing_effect_leaves_nothing,
    a_dying_worker_leaves_what_can_be_cleared,
    without_a_vmm_there_is_nothing_to_launch,
], Jail)
