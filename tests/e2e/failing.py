#!/usr/bin/python3
"""What goes wrong on a VM's way up with the real Firecracker ($REAL_FIRECRACKER, $REAL_JAILER), as a table.

For each row somebody spoils one thing; the start fails in the step and with the words that the row names; nothing of it is left on the
host; and once that is mended, the same VM starts.  In session mode, and in jails of the real root helper, in namespaces of its own.
The guest is guest/probe/talker.c, which runs on any KVM and has all that a VM may have: vsock, disk and, in system mode, a tap.
Needs root and /dev/kvm.  (Every effect of every step, with a Firecracker that is simulated: suite "sim".)
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import sys
from fcntl import ioctl

import banger_session
import harness
from banger_jailed import OWNER, JailedSession, exit_of, in_namespaces
from banger_session import Session, Skip, wait_for

FIRECRACKER, JAILER = os.environ.get("REAL_FIRECRACKER", ""), os.environ.get("REAL_JAILER", "")
TALKER = f"{os.environ['BANGER_GUEST_DIR']}/probe/talker.elf"
OTHERS_PORT = 28080


class Stage:
    """A session with a VM "v", made and not started: for each row another one."""

    published = ()

    def __init__(self, session):
        self.s, self.id = session, None
        session.fake_image()
        session.run("kernel", "import", TALKER, "--name", "talker")

    def make(self):
        self.s.run("vm", "create", "--vmm", "firecracker", "--image", "none", "--kernel", "talker", "--name", "v", "--no-start", "--vcpu", "1",
                   "--memory", "32M", *self.published)
        self.id = self.row()["id"]

    def row(self):
        return self.s.json("vm", "show", "v")

    def begin(self, timeout="30s"):
        return self.s.start("vm", "start", "v", "--timeout", timeout, "--json")

    def end(self, p):
        """The error that it ended with; None: none."""
        _, said = p.communicate(timeout=60)
        return json.loads(said.splitlines()[0]) if p.returncode else None

    def start(self, timeout="30s"):
        return self.end(self.begin(timeout))

    def vmm(self):
        """Firecracker's pid once it has begun to listen."""
        wait_for(lambda: os.path.exists(f"{self.runs()}/control.sock"), "no VMM has started")
        pid, = self.vmms()
        return pid

    def clear(self):
        self.s.run("vm", "delete", "-f", "v")
        self.s.nothing_left()

    def kernel(self):
        return f"{self.s.state}/kernels/talker/vmlinux"


class OfSession(Stage):
    """Firecracker is executed by a script, which does what else a row wants first."""

    published = ("--publish", f"{OTHERS_PORT}:80")

    def __init__(self):
        s = Session({"BANGER_NETWORK": "auto"})
        s.env["BANGER_FIRECRACKER"] = s.script("vmm", f'[ "$1" = --version ] || . {s.top}/first\nexec {FIRECRACKER} "$@"')
        with open(f"{s.top}/first", "w", encoding="ascii"):
            pass
        super().__init__(s)

    def runs(self):
        return f"{self.s.runtime}/vm/{self.id}/"

    def disk(self):
        return f"{self.s.state}/vms/{self.id}/disk.ext4"

    def vmms(self):
        """Not its network."""
        return [pid for pid in self.s.processes() if f"--id\0{self.id}" in harness.read_file(f"/proc/{pid}/cmdline")]

    def is_bare(self):
        assert not self.s.processes() and not os.path.exists(os.path.dirname(self.runs())), (self.s.processes(), self.runs())


class OfSystem(Stage):
    def __init__(self, jailer):
        super().__init__(JailedSession(FIRECRACKER, jailer))

    def runs(self):
        return f"{self.s.state}/jails/{self.id}/run"

    def disk(self):
        return f"{self.s.state}/vms/{self.id}/disk.raw"

    def is_bare(self):
        taken = [what for of in ("jail", "net", "block") for what, have in self.s.ask(f"host_report.{of}").items()
                 if isinstance(have, list) and have and what != "bridges"]
        links = [name for name in harness.links() if name.startswith("bg-")]
        jails = os.listdir(f"{self.s.state}/jails")
        groups = [d.name for d in os.scandir(self.s.group) if d.is_dir()]
        assert not (taken or links or jails or groups or self.s.processes()), (taken, links, jails, groups, self.s.processes())

    def vmms(self):
        return self.s.processes()

    def slot(self):
        """The first guest's address is the second of the bridge's network."""
        return int(self.row()["address"].rpartition(".")[2]) - 2

    def worker(self, name):
        return self.s.helper.workers()[name]


# ---- what is spoilt, and mended when the block ends ----

def absent(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


@contextlib.contextmanager
def away(path):
    os.rename(path, f"{path}.away")
    try:
        yield
    finally:
        absent(path)
        os.rename(f"{path}.away", path)


@contextlib.contextmanager
def instead(path, text=None):
    """Another file in its place, of the same owner and mode; None: a directory."""
    st = os.lstat(path)
    with away(path):
        if text is None:
            os.mkdir(path)
        else:
            with open(path, "wb") as f:
                f.write(text)
            os.chmod(path, st.st_mode)
        os.chown(path, st.st_uid, st.st_gid)
        yield


@contextlib.contextmanager
def there(path, make=os.mkdir):
    """Something where nothing is to be."""
    make(path)
    try:
        yield
    finally:
        absent(path)


@contextlib.contextmanager
def mode(path, bits):
    was = os.stat(path).st_mode
    os.chmod(path, bits)
    try:
        yield
    finally:
        os.chmod(path, was)


@contextlib.contextmanager
def owner(path, uid):
    st = os.stat(path)
    os.chown(path, uid, uid)
    try:
        yield
    finally:
        os.chown(path, st.st_uid, st.st_gid)


@contextlib.contextmanager
def first(t, text):
    """What the script does before it executes Firecracker."""
    with open(f"{t.s.top}/first", "w", encoding="ascii") as f:
        f.write(text)
    try:
        yield
    finally:
        with open(f"{t.s.top}/first", "w", encoding="ascii"):
            pass


@contextlib.contextmanager
def mounted(*argv):
    harness.run("mount", *argv)
    try:
        yield
    finally:
        harness.run("umount", argv[-1])


@contextlib.contextmanager
def link(name):
    """An interface of that name, which is nothing of ours."""
    harness.run("ip", "link", "add", name, "type", "veth", "peer", "name", "others")
    try:
        yield
    finally:
        harness.run("ip", "link", "del", name)


@contextlib.contextmanager
def no_bridge():
    harness.run("ip", "link", "del", "br-fc")
    with link("br-fc"):
        yield


@contextlib.contextmanager
def no_more_groups(group):
    for text in ("0", "max"):
        with open(f"{group}/cgroup.max.descendants", "w", encoding="ascii") as f:
            f.write(text)
        if text == "0":
            yield


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def wants_a_snapshot(t):
    """The way to its disk is its own for life."""
    if os.path.exists("/dev/mapper/control"):
        raise Skip("there is device-mapper here")
    for way in ("dm-snapshot", "auto"):
        t.s.env["BANGER_ROOT_DISK"] = way
        t.s.kill_daemon()
        t.s.run("vm", "delete", "-f", "v")
        t.make()
        if way == "dm-snapshot":
            yield


# ---- starts during which it is done ----

def killed(t):
    """By somebody, while its guest is not up yet: it does not run at all."""
    p = t.begin()
    pid = t.vmm()
    os.kill(pid, signal.SIGKILL)
    exit_of(pid)
    return t.end(p)


def stuck(t):
    """It is stopped by somebody, and never goes on."""
    p = t.begin("2s")
    os.kill(t.vmm(), signal.SIGSTOP)
    return t.end(p)


def without_its_tap(t):
    with stopped(t.worker("jail")):
        p = t.begin()
        wait_for(lambda: f"bg-{t.id}" in harness.links(), "it has no tap")
        harness.run("ip", "link", "del", f"bg-{t.id}")
    return t.end(p)


IFF_TAP, IFF_NO_PI, TUNSETIFF = 2, 0x1000, 0x400454CA


def with_its_tap_in_use(t):
    with stopped(t.worker("jail")):
        p = t.begin()
        wait_for(lambda: f"bg-{t.id}" in harness.links(), "it has no tap")
        tap = os.open("/dev/net/tun", os.O_RDWR)
        ioctl(tap, TUNSETIFF, struct.pack("16sH22x", f"bg-{t.id}".encode(), IFF_TAP | IFF_NO_PI))
    error = t.end(p)
    os.close(tap)
    return error


def without_its_worker(t):
    """The one that makes jails dies in the middle of the question."""
    pid = t.worker("jail")
    with stopped(pid):
        p = t.begin()
        wait_for(lambda: f"bg-{t.id}" in harness.links(), "it has no tap")
        os.kill(pid, signal.SIGKILL)
    return t.end(p)


# ---- the table ----

def port_taken(_):
    return contextlib.closing(socket.create_server(("127.0.0.1", OTHERS_PORT)))


def nothing(_):
    return contextlib.nullcontext()


def silent(t):
    """A guest that never says a word to the daemon."""
    with open(f"{t.s.libexec}/probe.elf", "rb") as f:
        return instead(t.kernel(), f.read())


SESSION, OWN, JAILERS = ("session",), ("system",), ("jailer",)
SYSTEM, BOTH = OWN + JAILERS, SESSION + OWN + JAILERS
plainly = Stage.start
ROWS = [  # name, where, what is spoilt, how it is started, the step that fails, the error's code and its words
    ("a runtime directory that is a file", SESSION, lambda t: instead(f"{t.s.runtime}/vm", b""),
     plainly, "runtime", "host.io", "mkdir .*/vm/{id}: Not a directory"),
    ("no room for what is its own", SESSION, lambda t: mounted("-t", "tmpfs", "-o", "size=4k,nr_inodes=4,mode=700", "none", f"{t.s.runtime}/vm"),
     plainly, "runtime", "host.disk_full", "No space left on device"),
    ("a console log that is a directory", SESSION, lambda t: there(f"{t.s.state}/vms/{t.id}/console.log"),
     plainly, "runtime", "host.io", "console.log: Is a directory"),
    ("a port that is taken", SESSION, port_taken,
     plainly, "network vmm boot", "port.busy", f"Failed to bind 127.0.0.1:{OTHERS_PORT}"),
    ("no network", SESSION, lambda t: away(f"{t.s.libexec}/banger-net"),
     plainly, "network", "network.failed", "banger-net: No such file or directory"),
    ("no firecracker", SESSION, lambda t: away(t.s.env["BANGER_FIRECRACKER"]),
     plainly, "vmm", "vmm.start", "vmm: No such file or directory"),
    ("a firecracker that may not be executed", SESSION, lambda t: mode(t.s.env["BANGER_FIRECRACKER"], 0o600),
     plainly, "vmm", "vmm.start", "vmm: Permission denied"),
    ("a firecracker that is none", SESSION, lambda t: instead(t.s.env["BANGER_FIRECRACKER"], b"none"),
     plainly, "vmm", "vmm.start", "vmm: Exec format error"),
    ("no memory", SESSION, lambda t: first(t, "ulimit -v 30000"),
     plainly, "boot", "vmm.exit", "[Mm]emory"),
    ("no descriptors", SESSION, lambda t: first(t, "ulimit -n 8"),
     plainly, "boot", "vmm.exit", "Too many open files|No file descriptors"),
    ("a vsock's path in use", SESSION, lambda t: first(t, f"mkdir {t.runs()}/vsock"),
     plainly, "boot", "vmm.exit", "Error binding to the host-side Unix socket: Address already in use"),
    ("an API's path in use", SESSION, lambda t: first(t, f"mkdir {t.runs()}/control.sock"),
     plainly, "boot", "vmm.exit", "Failed to open the API socket at: .*/control.sock. Check that it is not already used"),
    ("it is killed at once", SESSION, lambda t: first(t, "kill -9 $$"),
     plainly, "boot", "vmm.exit", "killed by signal 9"),
    ("it is killed by a filter", SESSION, lambda t: first(t, "kill -31 $$"),
     plainly, "boot", "vmm.exit", "killed by signal 31"),
    ("somebody kills it", BOTH, silent,
     killed, "boot", "vmm.exit", "killed by signal 9"),
    ("somebody stops it for ever", BOTH, silent,
     stuck, "boot", "timeout", "boot: no answer within 2000 ms"),
    ("no kernel", SESSION, lambda t: away(t.kernel()),
     plainly, "boot", "vmm.exit", "The kernel file cannot be opened: No such file or directory"),
    ("no kernel", SYSTEM, lambda t: away(t.kernel()),
     plainly, "vmm", "helper.refused", "kernel: kernels/talker/vmlinux: No such file or directory"),
    ("a kernel that is none", BOTH, lambda t: instead(t.kernel(), b"no ELF at all" * 1000),
     plainly, "boot", "vmm.exit", "Kernel Loader: Invalid Elf magic number"),
    ("a kernel without a byte", BOTH, lambda t: instead(t.kernel(), b""),
     plainly, "boot", "vmm.exit", "Kernel Loader: Unable to read elf header"),
    ("a kernel that is a directory", SYSTEM, lambda t: instead(t.kernel()),
     plainly, "vmm", "helper.refused", "kernel: is no regular file"),
    ("a kernel that only its owner may read", SYSTEM, lambda t: mode(t.kernel(), 0o600),
     plainly, "vmm", "helper.refused", "kernel: may not be read by all: chmod o\\+r"),
    ("no disk", SESSION, lambda t: away(t.disk()),
     plainly, "boot", "vmm.exit", "Error manipulating the backing file: No such file or directory.*disk.ext4"),
    ("no disk", SYSTEM, lambda t: away(t.disk()),
     plainly, "vmm", "helper.refused", "disk: vms/{id}/disk.raw: No such file or directory"),
    ("a disk that is a directory", SESSION, lambda t: instead(t.disk()),
     plainly, "boot", "vmm.exit", "Error manipulating the backing file: Is a directory.*disk.ext4"),
    ("a disk that is a directory", SYSTEM, lambda t: instead(t.disk()),
     plainly, "vmm", "helper.refused", "disk: is no regular file"),
    ("a disk of somebody else", SYSTEM, lambda t: owner(t.disk(), 1),
     plainly, "vmm", "helper.refused", "disk: belongs to uid 1, neither to the owner nor to the slot"),
    ("a base that is gone", SESSION, lambda t: away(f"{t.s.state}/images/none/rootfs.ext4"),
     plainly, "boot", "vmm.exit", "Error manipulating the backing file: No such file or directory.*rootfs.ext4"),
    ("another's bridge", SYSTEM, lambda t: no_bridge(),
     plainly, "bridge", "helper.refused", "br-fc: is there and is no bridge"),
    ("another's interface of its tap's name", SYSTEM, lambda t: link(f"bg-{t.id}"),
     plainly, "tap", "helper.refused", "bg-{id}: is there and is no tap"),
    ("a tap that is taken away", SYSTEM, nothing,
     without_its_tap, "boot", "vmm.exit", "Operation not permitted .*Invalid TUN/TAP Backend provided by bg-{id}"),
    ("a tap that somebody uses", SYSTEM, nothing,
     with_its_tap_in_use, "boot", "vmm.exit", "Device or resource busy .*Invalid TUN/TAP Backend provided by bg-{id}"),
    ("a directory in its configuration's place", SYSTEM, lambda t: there(f"{t.s.state}/vms/{t.id}/vmm.json"),
     plainly, "config", "host.io", "vmm.json: Is a directory"),
    ("a jail's place that is a file", SYSTEM, lambda t: there(f"{t.s.state}/jails/{t.id}", lambda path: open(path, "wb").close()),
     plainly, "vmm", "helper.refused", "jail: {id}: Not a directory"),
    ("a jail's place that is a link", SYSTEM, lambda t: there(f"{t.s.state}/jails/{t.id}", lambda path: os.symlink("/etc", path)),
     plainly, "vmm", "helper.refused", "jail: {id}: Not a directory"),
    ("no place for a cgroup", SYSTEM, lambda t: no_more_groups(t.s.group),
     plainly, "vmm", "jail.failed", "cgroup: Resource temporarily unavailable"),
    ("a firecracker that others may write", SYSTEM, lambda t: mode(f"{t.s.top}/firecracker", 0o775),
     plainly, "vmm", "helper.refused", "binary: .*firecracker may be written by others"),
    ("no firecracker", SYSTEM, lambda t: away(f"{t.s.top}/firecracker"),
     plainly, "vmm", "vmm.missing", "binary: .*firecracker: No such file or directory"),
    ("a firecracker that is none", OWN, lambda t: instead(f"{t.s.top}/firecracker", b"none"),
     plainly, "vmm", "vmm.start", "Exec format error"),
    ("a firecracker that is none", JAILERS, lambda t: instead(f"{t.s.top}/firecracker", b"none"),
     plainly, "vmm", "vmm.start", "the jailer did not come to its program: \".*No such file or directory"),
    ("a snapshot where there is no device-mapper", SYSTEM, wants_a_snapshot,
     plainly, "disk", "block.failed", "this kernel has no device-mapper"),
    ("a slot that is another's", SYSTEM, lambda t: there(f"{t.s.state}/jails/slot-{t.slot()}", lambda path: os.symlink("00000014d2jp", path)),
     plainly, "vmm", "helper.refused", "slot: [0-9]+ is that of 00000014d2jp"),
    ("no room for its configuration", SYSTEM, lambda t: mounted("-t", "tmpfs", "-o", f"nr_inodes=1,uid={OWNER}", "none", f"{t.s.state}/vms/{t.id}"),
     plainly, "config", "host.disk_full", "vmm.json: No space left on device"),
    ("a worker that dies", SYSTEM, nothing,
     without_its_worker, "vmm", "helper.worker", "worker jail: killed by signal 9"),
]


def row(stage, spoilt, start, step, code, words):
    def told():
        t = stage()
        t.make()
        with spoilt(t):
            error = start(t)
            assert error, "it starts"
            want = words.replace("{id}", t.id)
            assert error["step"] in step.split() and error["code"] == code and re.search(want, error["message"]), error
            assert t.row()["state"] == "failed", t.row()
        t.is_bare()
        error = t.start()
        assert error is None, error
        assert t.s.run("vm", "exec", "v", "--", "true").returncode == 0
        t.clear()
    return told


class Late:
    """A stage that is there from its first use on."""

    def __init__(self, make, *args):
        self.make, self.args, self.stage = make, args, None

    def __call__(self):
        if not self.stage:
            self.stage = self.make(*self.args)
        self.stage.s.clear()  # what a row before it has left that failed
        return self.stage



def ending(name, stage):
    def told():
        if stage.stage:
            stage.stage.s.close()
    told.__name__ = f"{name}: nothing is left"
    return told


def main():
    if not FIRECRACKER:
        print("1..0 # SKIP no REAL_FIRECRACKER")
        sys.exit(77)
    in_namespaces()
    stages = [("session", Late(OfSession)), ("system", Late(OfSystem, None))]
    if JAILER:
        stages.append(("jailer", Late(OfSystem, JAILER)))
    stories = []
    for name, stage in stages:
        for what, modes, *rest in ROWS:
            if name in modes:
                story = row(stage, *rest)
                story.__name__ = f"{name}: {what}"
                stories.append(story)
        stories.append(ending(name, stage))
    banger_session.main(stories, shared=False)


main()
