"""A session of its own for a test: directories, a daemon, VMs; and a runner that speaks TAP.

    import banger_session
    def a_story(s): s.run("vm", "create", "--vmm", "null")
    banger_session.main([a_story])

Each Session has state, runtime and cache in one fresh directory, and ends with nothing left of it.
"""
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback

DEADLINE_S = 120
LOG_LINES = 30  # of the daemon's, told of a story that fails
BANGER = os.environ["BANGER"]


class Skip(Exception):
    """The machine lacks what this story needs."""


class Session:
    """The daemon's home, and the command line in front of it.

    `env` adds to the environment of every command, and so of the daemon that the first one starts."""

    opened = 0  # at the moment, by this program

    def __init__(self, env=None):
        Session.opened += 1
        self.top = tempfile.mkdtemp(prefix="banger-e2e-")
        os.chmod(self.top, 0o700)
        self.state, self.runtime = f"{self.top}/state", f"{self.top}/run"
        self.libexec = f"{self.top}/libexec"
        os.mkdir(self.libexec)
        guest = os.environ["BANGER_GUEST_DIR"]
        for source in (os.environ["BANGER_IMAGER"], f"{os.path.dirname(guest)}/src/net/banger-net", f"{guest}/banger-init", f"{guest}/banger-agent",
                       f"{guest}/probe/probe.elf"):
            if os.path.exists(source):
                os.symlink(source, os.path.join(self.libexec, os.path.basename(source)))
        self.env = dict(os.environ, BANGER_RUNTIME_DIR=self.runtime, BANGER_STATE_DIR=self.state,
                        BANGER_CACHE_DIR=f"{self.top}/cache", BANGER_CONFIG_DIR=f"{self.top}/config",
                        BANGER_LIBEXEC_DIR=self.libexec, **(env or {}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- commands ----

    def run(self, *args, check=True, wrap=(), deadline=DEADLINE_S, **more):
        """`banger ARGS`; `wrap` is put before it: a command that changes what it runs in."""
        quiet = {"text": True, **({} if "input" in more else {"stdin": subprocess.DEVNULL})}
        p = subprocess.run([*wrap, BANGER, *args], env=self.env, capture_output=True, timeout=deadline,
                           **{**quiet, **more})
        if check and p.returncode != 0:
            raise AssertionError(f"banger {' '.join(args)}: {p.returncode}: {p.stderr}")
        return p

    def start(self, *args):
        """`banger ARGS` under way."""
        return subprocess.Popen([BANGER, *args], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def json(self, *args):
        return json.loads(self.run(*args, "--json").stdout)

    def info(self):
        return self.json("info")

    def vms(self):
        rows = self.json("vm", "list", "-a")
        return rows["vms"] if isinstance(rows, dict) else rows

    def states(self):
        return [v["state"] for v in self.vms()]

    # ---- the daemon ----

    def daemon(self, wrap=(), env=None, **more):
        """bangerd itself, in the foreground.  Ends with the test's `with`, and must be waited for."""
        argv = [*wrap, os.environ["BANGER_DAEMON"]]
        return subprocess.Popen(argv, env={**self.env, **(env or {})}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more)

    def socket(self):
        """Where a daemon listens; the first to ask starts it."""
        path = f"{self.runtime}/bangerd.sock"
        if not os.path.exists(path):
            self.info()
        return path

    def log(self):
        """What daemons that commands have started said so far."""
        try:
            with open(f"{self.state}/bangerd.log", encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def kill_daemon(self):
        fd = os.pidfd_open(self.info()["pid"])
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        select.select([fd], [], [])
        os.close(fd)

    # ---- guests ----

    def fake_vmm(self, agent=None, accel="tcg"):
        """From now on VMs are run by fake_qemu.py: the agent answers, and nothing is booted.  accel None: measured."""
        script = f"{self.top}/fake-qemu"
        fake = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_qemu.py")
        os.mkdir(f"{self.top}/fake")
        with open(script, "w", encoding="utf-8") as f:
            real = f"{self.libexec}/banger-agent"
            f.write(f'#!/bin/sh\nREAL_AGENT={real} FAKE_AGENT={agent or real} FAKE_TOP={self.top} '
                    f'exec {sys.executable} {fake} "$@"\n')
        os.chmod(script, 0o700)
        self.env["BANGER_QEMU"] = script
        self.env.setdefault("BANGER_NETWORK", "user")  # what is published there is this host's own
        if accel:
            self.env["BANGER_ACCEL"] = accel

    def script(self, name, text):
        path = f"{self.top}/{name}"
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o700)
        return path

    def fake_firecracker(self, agent=None):
        """The Firecracker that is found from now on is fake_firecracker.py, whose guest's agent answers; how() says how it goes."""
        fake = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_firecracker.py")
        os.makedirs(f"{self.top}/fake", exist_ok=True)
        real = f"{self.libexec}/banger-agent"
        self.env["BANGER_FIRECRACKER"] = self.script(
            "firecracker", f'REAL_AGENT={real} FAKE_AGENT={agent or real} FAKE_TOP={self.top}/fake exec {sys.executable} {fake} "$@"')

    def how(self, text=""):
        """It goes so with the fake Firecracker from now on (fake_firecracker.py says how it may)."""
        with open(f"{self.top}/fake/firecracker", "w", encoding="utf-8") as f:
            f.write(text)

    def fake(self, accel, how=None):
        """How the fake VMM behaves under this accelerator from now on (fake_qemu.py says how it may)."""
        path = f"{self.top}/fake/{accel}"
        if how is None:
            if os.path.exists(path):
                os.unlink(path)
            return
        with open(path, "w", encoding="utf-8") as f:
            f.write(how)

    def fake_starts(self, forget=True):
        """The accelerators of the starts since the last time."""
        path = f"{self.top}/fake/starts"
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as f:
            starts = [line.split()[0] for line in f]
        if forget:
            os.unlink(path)
        return starts

    def fake_image(self):
        """The image and the kernel "none", which nobody boots."""
        if self.run("image", "show", "none", check=False).returncode != 0:
            self.run("kernel", "import", f"{self.libexec}/probe.elf", "--name", "none")
            with tarfile.open(f"{self.top}/root.tar", "w") as f:
                f.addfile(tarfile.TarInfo("hello"))
            self.run("image", "import", f"{self.top}/root.tar", "--name", "none")

    def fake_guest(self, *args, name="guest", check=True):
        """A running VM; returns its name."""
        self.fake_image()
        self.run("vm", "create", "--image", "none", "--kernel", "none", "--name", name, *args, check=check)
        return name

    # ---- the host ----

    def processes(self):
        """VMMs whose command line names this session's directory."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read()
                # The daemon's words may name it too: --config.
                if self.top.encode() in words and not words.startswith(b"bangerd\0") and int(pid) != os.getpid():
                    found.append(int(pid))
            except OSError:
                pass
        return found

    def leftovers(self):
        files = []
        for d in (f"{self.runtime}/vm", f"{self.state}/vms", f"{self.state}/staging"):
            files += [os.path.join(d, f) for f in os.listdir(d)] if os.path.isdir(d) else []
        return files

    def settled(self):
        """The states once recovery has ended: what is half done is being undone while we look."""
        moving = {"creating", "starting", "stopping", "deleting"}
        wait_for(lambda: not moving & set(self.states()), "VMs still move")
        return set(self.states())

    def nothing_left(self):
        assert self.vms() == [] and self.processes() == [] and self.leftovers() == [], \
            (self.vms(), self.processes(), self.leftovers())

    def clear(self):
        self.run("vm", "delete", "--all", "-f", check=False)

    def sanitizers_are_silent(self):
        found = [l for l in self.log().splitlines() if "AddressSanitizer" in l or "runtime error:" in l]
        assert not found, found

    def close(self):
        self.clear()
        self.run("daemon", "stop", check=False)
        Session.opened -= 1
        if Session.opened == 0:
            end_all()
        shutil.rmtree(self.top)


# ---- what stories leave ----

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """What a daemon, a VMM or an agent leaves when it dies becomes a child of this program, and not of the machine."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def descendants():
    """Of this program: (pid, its parent's)."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                parents[int(pid)] = int(f.read().rpartition(")")[2].split()[1])
        except OSError:
            pass
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return [(pid, parents[pid]) for pid in found if pid != os.getpid()]


def end_all():
    """Commands whose agent was killed, say, which know of nobody who would end them."""
    while left := descendants():
        for pid, parent in left:
            try:
                os.kill(pid, signal.SIGKILL)
                if parent == os.getpid():
                    os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


def wait_for(condition, what, seconds=90):
    """For states of the world that send no event: looked at until they are so."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}, after {seconds} s")
        time.sleep(0.02)


def memory_kib(pid, key="Pss"):
    """What a process takes of the machine's memory, /proc/PID/smaps_rollup."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(f"{key}:"))


def nothing_is_left(s):
    """The last story of every shared session."""
    s.clear()
    s.nothing_left()
    s.sanitizers_are_silent()


def needs_qemu():
    if not shutil.which("qemu-system-x86_64"):
        print("1..0 # SKIP no QEMU")
        sys.exit(77)


def main(stories, shared=True, prepare=None, session=Session):
    """Runs them all and exits.  shared: in one session, which `prepare` may change; else each makes its own."""
    wanted = [t for t in stories if len(sys.argv) < 2 or t.__name__ in sys.argv[1:]]
    if shared:
        wanted.append(nothing_is_left)
    print(f"1..{len(wanted)}", flush=True)
    adopt_orphans()
    s = session() if shared else None
    if s and prepare:
        prepare(s)
    failed = 0
    for i, story in enumerate(wanted, 1):
        mark = len(s.log()) if s else 0
        try:
            story(*([s] if shared else []))
            print(f"ok {i} - {story.__name__}", flush=True)
        except Skip as e:
            print(f"ok {i} - {story.__name__} # SKIP {e}", flush=True)
        except Exception:  # each has its own story to tell
            failed += 1
            print(f"not ok {i} - {story.__name__}", flush=True)
            # To the standard error too: of a failed TAP test, meson shows that and not the comments.
            said = s.log()[mark:].splitlines()[-LOG_LINES:] if s else []
            for line in traceback.format_exc().splitlines() + said:
                print(f"# {line[:1000]}", flush=True)
                print(line[:1000], file=sys.stderr, flush=True)
            if s:
                s.clear()
    if s:
        s.close()
    sys.exit(1 if failed else 0)
