#!/usr/bin/env python3
"""Hosts that lack something, and input that is bad: the command says what it is and what to do, whatever was begun is
undone, and with the lack gone everything works again.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import banger_session
from banger_session import Skip, wait_for

MIB = 1 << 20
LIB = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib")
NOBODY = 65534
FLEET = 20


def refused(s, code, *args, status=1, says=()):
    """The command fails so; what it said."""
    p = s.run(*args, check=False)
    assert p.returncode == status and f"({code}" in p.stderr, (args, p.returncode, p.stderr)
    for words in says:
        assert words in p.stderr, (words, p.stderr)
    return p.stderr


def wrapped(s, *words):
    """From now on daemons are started by these words."""
    script, real = f"{s.top}/start-daemon", os.environ["BANGER_DAEMON"]
    with open(script, "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\nexec {" ".join(words)} {real} "$@"\n')
    os.chmod(script, 0o700)
    s.env["BANGER_DAEMON"] = script


def mounted(s, *mount):
    """... with something mounted that nobody else sees."""
    ns = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-rm")
    if subprocess.run([*ns, "mount", *mount], check=False, capture_output=True).returncode != 0:
        raise Skip("no mount namespaces here")
    wrapped(s, *ns, "sh", "-c", f"'mount {' '.join(mount)} && exec \"$@\"'", "sh")


def unwrapped(s):
    s.run("daemon", "stop")
    s.env["BANGER_DAEMON"] = os.environ["BANGER_DAEMON"]


def works(s):
    s.run("vm", "create", "--vmm", "null", "--name", "works")
    s.run("vm", "delete", "-f", "works")
    s.nothing_left()


# ---- programs, images, kernels ----

def qemu_is_missing(s):
    mounted(s, "--bind", "/dev/null", shutil.which("qemu-system-x86_64"))
    refused(s, "vmm.missing", "vm", "create", "--image", "probe",
            says=("qemu-system-x86_64 is not installed", "apt-get install qemu-system-x86"))
    s.clear()
    works(s)
    unwrapped(s)
    s.run("vm", "create", "--image", "probe")


def an_image_that_is_none(s):
    whole, path = f"{s.top}/whole", f"{s.top}/image"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", whole, "16M"], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": "/usr/sbin:/sbin"})
    with open(whole, "rb") as f:
        ext4 = f.read()
    for what in (b"", b"no image\n" * 1000, bytes(MIB), ext4[:MIB], ext4[:1024] + bytes(1024) + ext4[2048:],
                 b"\x7fELF" + bytes(4096)):
        with open(path, "wb") as f:
            f.write(what)
        refused(s, "image.bad", "image", "import", path, "--name", "bad")
        assert s.run("image", "show", "bad", check=False).returncode == 1
        assert os.listdir(f"{s.state}/staging") == []
    s.run("image", "import", whole, "--name", "bad")
    refused(s, "kernel.bad", "kernel", "import", path, "--name", "bad")


def a_kernel_that_does_not_boot(s):
    """It runs and never says a word: given up, its log kept and named, all else put back."""
    s.fake_image()
    began = time.monotonic()
    said = refused(s, "timeout, step boot", "vm", "create", "--image", "none", "--kernel", "none", "--name", "mute", "--timeout", "3s")
    assert 3 <= time.monotonic() - began < 60
    log = re.search(r"is kept; its console log: (\S+)", said).group(1)
    assert os.path.exists(log) and s.run("vm", "logs", "mute").returncode == 0, said
    assert [v["state"] for v in s.vms()] == ["failed"] and s.processes() == []
    assert os.listdir(f"{s.runtime}/vm") == []
    s.run("vm", "delete", "mute")
    s.nothing_left()


# ---- what a host runs out of ----

def no_memory_for_the_guest(s):
    """More than QEMU may have: QEMU's own words are told."""
    script = f"{s.top}/qemu"
    with open(script, "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\nexec prlimit --as={2048 * MIB} {shutil.which("qemu-system-x86_64")} "$@"\n')
    os.chmod(script, 0o700)
    s.env.update(BANGER_QEMU=script, BANGER_ACCEL="tcg")
    refused(s, "vmm.exit", "vm", "create", "--image", "probe", "--memory", "8G",
            says=("cannot set up guest memory", "Cannot allocate memory"))
    s.clear()
    s.nothing_left()
    refused(s, "vm.size", "vm", "create", "--image", "probe", "--memory", "2000G", status=2, says=("1024GiB",))


def no_descriptors(s):
    """Some of many fail by name; those that run, run on; and when they have gone there is room again."""
    wrapped(s, "prlimit", "--nofile=40:40")
    refused(s, "host.files", "info", says=("ulimit -n",))
    wrapped(s, "prlimit", "--nofile=80:80")
    p = s.run("vm", "create", "-n", "100", "--image", "probe", "--name", "v", check=False)
    assert p.returncode and "host.files" in p.stderr and "ulimit -n" in p.stderr, p.stderr
    states = s.settled()
    assert "running" in states and states <= {"running", "failed"}, states
    assert len(s.processes()) == s.states().count("running")
    s.run("vm", "delete", "--all", "-f")
    s.nothing_left()
    s.run("vm", "create", "-n", "5", "--image", "probe")
    s.clear()
    assert s.info()["leaks"] == 0
    unwrapped(s)


def full_disk(s):
    """The daemon's state is on a small file system in a mount namespace of its own."""
    os.mkdir(s.state, 0o700)
    mounted(s, "-t", "tmpfs", "-o", "size=24M,mode=700", "none", s.state)
    s.fake_vmm()
    s.fake_image()
    s.fake_guest(name="before")
    pid = s.info()["pid"]
    inside = f"/proc/{pid}/root{s.state}"
    fill(f"{inside}/fill")
    p = s.run("vm", "create", "-n", str(FLEET), "--image", "none", "--kernel", "none", "--name", "v", check=False)
    assert p.returncode and ("host.disk_full" in p.stderr or "store.full" in p.stderr), p.stderr
    assert "Free some space" in p.stderr, p.stderr
    assert s.info()["pid"] == pid
    assert s.run("vm", "exec", "before", "--", "echo", "well").stdout == "well\n"
    refused(s, "host.disk_full", "image", "import", f"{s.top}/root.tar", "--name", "more")
    os.unlink(f"{inside}/fill")
    s.settled()
    s.run("vm", "delete", "--all", "-f")
    assert s.vms() == [] and s.processes() == [] and os.listdir(f"{inside}/vms") == []
    assert s.info()["leaks"] == 0
    s.fake_guest(name="after")
    s.clear()
    unwrapped(s)


def fill(path):
    with open(path, "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(4096))
        except OSError:
            pass


# ---- the state directory ----

def a_second_daemon(s):
    """Of the same state, and of the same runtime directory: refused by the first one's pid."""
    pid = s.info()["pid"]
    for other in ({"BANGER_RUNTIME_DIR": f"{s.top}/other"}, {"BANGER_STATE_DIR": f"{s.top}/other"}):
        with s.daemon(env=other) as p:
            _, said = p.communicate(timeout=60)
        assert p.returncode == 1 and "bangerd: store.locked: " in said and f"in use by process {pid}\n" in said, said
    mine, s.env["BANGER_RUNTIME_DIR"] = s.runtime, f"{s.top}/third"
    refused(s, "store.locked", "info", says=(f"in use by process {pid}", "Stop it, or choose another directory."))
    s.env["BANGER_RUNTIME_DIR"] = mine
    assert s.info()["pid"] == pid


def somebody_elses_state(s):
    if os.geteuid() != 0:
        raise Skip("only root can give a directory away")
    for d in (s.state, s.runtime):
        os.makedirs(d, 0o700, exist_ok=True)
        os.chown(d, NOBODY, NOBODY)
        refused(s, "host.io", "info", says=(f"directory {d} belongs to uid {NOBODY}",))
        with s.daemon() as p:
            _, said = p.communicate(timeout=60)
        assert p.returncode == 1 and f"belongs to uid {NOBODY}" in said, said
        os.chown(d, 0, 0)
        os.chmod(d, 0o755)
        refused(s, "host.io", "info", says=("is open to others", "0700"))
        os.chmod(d, 0o700)
    works(s)


def a_state_that_is_moved(s):
    """Records and disks tell names, so that it can be somewhere else tomorrow."""
    s.fake_image()
    s.run("vm", "create", "--no-start", "--image", "none", "--kernel", "none", "--name", "rests")
    s.run("daemon", "stop")
    was, s.state = s.state, f"{s.top}/elsewhere"
    os.rename(was, s.state)
    s.env["BANGER_STATE_DIR"] = s.state
    assert s.json("image", "show", "none")["path"] == f"{s.state}/images/none/rootfs.ext4"
    assert s.json("kernel", "show", "none")["initrd"] == f"{s.state}/kernels/none/initrd"
    # Its QEMU has found all of its files when the (mute) kernel is given up.
    refused(s, "timeout, step boot", "vm", "start", "rests", "--timeout", "2s")
    refused(s, "timeout, step boot", "vm", "create", "--image", "none", "--kernel", "none", "--timeout", "2s")
    assert not os.path.exists(was)


def newer_state(s):
    """A version from the future is told by number and left alone."""
    s.run("vm", "create", "--vmm", "null", "--no-start", "--name", "kept")
    s.run("daemon", "stop")
    path = f"{s.state}/db/store.mdb"
    with open(path, "rb") as f:
        was = f.read()
    now = newer(was)
    with open(path, "wb") as f:
        f.write(now)
    refused(s, "store.version", "info", says=("99", "newer version"))
    with open(path, "rb") as f:
        assert f.read() == now
    with open(path, "wb") as f:
        f.write(was)
    assert [v["spec"]["name"] for v in s.vms()] == ["kept"]


def newer(data):
    """The schema's version, four bytes after its key, becomes 99."""
    key = b"schema"
    at, found = data.find(key), 0
    data = bytearray(data)
    while at >= 0:
        if data[at + len(key):at + len(key) + 3] == bytes(3):
            data[at + len(key) + 3] = 99
            found += 1
        at = data.find(key, at + 1)
    assert found, "the store is not laid out as this test thinks"
    return bytes(data)


# ---- the kernel ----

def io_uring_is_refused(s):
    """As kernel.io_uring_disabled and container profiles do."""
    wrapped(s, sys.executable, f"{LIB}/no_io_uring.py")
    refused(s, "host.io_uring", "info", says=("io_uring", "kernel.io_uring_disabled=0", "seccomp"))
    s.env["BANGER_DAEMON"] = os.environ["BANGER_DAEMON"]
    works(s)


def the_daemons_last_words(s):
    """Of one that ends without a word of its own: its last line, whole."""
    script = f"{s.top}/dies"
    s.env["BANGER_DAEMON"] = script
    for says, told in (("", "left nothing in its log"), ("one line", "ended while starting: one line (daemon.down)"),
                       ("first\\n" * 2000 + "last", "ended while starting: last (daemon.down)"),
                       ("x" * 300, "ended while starting: " + "x" * 200 + "... (daemon.down)")):
        with open(script, "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\nprintf '{says}' >&2\nexit 1\n")
        os.chmod(script, 0o700)
        refused(s, "daemon.down", "info", says=(told,))
    os.unlink(script)
    refused(s, "daemon.down", "info", says=(f"BANGER_DAEMON={script}: No such file or directory",))
    s.env["BANGER_DAEMON"] = os.environ["BANGER_DAEMON"]
    works(s)


def story(fn):
    def alone():
        with banger_session.Session() as s:
            fn(s)
    alone.__name__ = fn.__name__
    return alone


banger_session.needs_qemu()
banger_session.main([story(fn) for fn in (
    qemu_is_missing, an_image_that_is_none, a_kernel_that_does_not_boot, no_memory_for_the_guest, no_descriptors,
    full_disk, a_second_daemon, somebody_elses_state, a_state_that_is_moved, newer_state, io_uring_is_refused, the_daemons_last_words)],
    shared=False)
