"""System mode in namespaces of its own, as it is on a host: the real root helper, a daemon under the owner's uid, jails.

No systemd and no device-mapper are needed; both programs are started and ended by the test.  Run by in_namespaces().
"""
import contextlib
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

import harness  # tests/helper
from banger_session import Session
from jail import cgroup2

OWNER = harness.OWNER
UID_FIRST = 200000
CONF = """\
[helper]
owner = {owner}
uid_first = 200000
uid_count = 4096
state_dir = {state}
cgroup = {group}

[bridge br-fc]
address = 10.97.0.1/16

[vmm firecracker]
binary = {firecracker}
libraries = /usr
"""


def in_namespaces():
    """Runs the script again in network and mount namespaces of its own, or skips it (77).  There /dev/kvm is the owner's too."""
    if not os.path.exists("/dev/kvm"):
        print("1..0 # SKIP no /dev/kvm")
        sys.exit(77)
    harness.need_namespace()
    with tempfile.TemporaryDirectory(prefix="banger-e2e-") as top:
        os.mknod(f"{top}/kvm", stat.S_IFCHR | 0o600, os.stat("/dev/kvm").st_rdev)
        os.chown(f"{top}/kvm", OWNER, OWNER)
        harness.run("mount", "--bind", f"{top}/kvm", "/dev/kvm")


class JailedSession(Session):
    """`jailer`: a path, or None for jails of our own."""

    def __init__(self, firecracker, jailer=None, env=None):
        super().__init__(env)
        os.chmod(self.top, 0o755)
        self.group = os.path.join(cgroup2(), os.path.basename(self.top))
        for path in (self.state, self.runtime, f"{self.top}/cache"):
            os.mkdir(path, 0o700)
            os.chown(path, OWNER, OWNER)
        binary = self.installed(firecracker, "firecracker")
        self.env.update(BANGER_SYSTEM="1", BANGER_FIRECRACKER=binary, BANGER_VMM="firecracker", BANGER_HELPER=f"{self.top}/root/s", BANGER_CGROUP="none")
        self.program = self.installed(os.environ["BANGER_DAEMON"], "bangerd")
        for name in os.listdir(self.libexec):  # the owner may not come to where they were built
            source = os.path.realpath(f"{self.libexec}/{name}")
            os.unlink(f"{self.libexec}/{name}")
            shutil.copy(source, f"{self.libexec}/{name}")
        conf = CONF.format(owner=OWNER, state=self.state, group=self.group, firecracker=binary)
        if jailer:
            conf += f"jailer = {self.installed(jailer, 'jailer')}\n"
        self.helper = harness.Helper(self.top, conf=conf)
        self.helper.group = self.group
        self.process = None
        self.log_file = open(f"{self.top}/bangerd.log", "ab")  # pylint: disable=consider-using-with
        self.start_daemon()

    def installed(self, source, name):
        """As an administrator would have it: root's own, at a plain path."""
        path = f"{self.top}/{name}"
        shutil.copy(source, path)
        os.chmod(path, 0o755)
        return path

    # ---- the two services ----

    def start_daemon(self):
        words = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.settimeout(harness.DEADLINE_S)
            notify.bind(f"\0{self.top}/daemon")
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                [*words, self.program, "--system"], env={**self.env, "NOTIFY_SOCKET": f"@{self.top}/daemon"},
                stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file)
            try:
                while b"READY=1" not in notify.recv(4096).split(b"\n"):
                    pass
            except OSError:
                raise AssertionError(f"the daemon is not ready: {self.log()}") from None

    def log(self):
        with open(f"{self.top}/bangerd.log", encoding="utf-8") as f:
            return f.read()

    def end_daemon(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(harness.DEADLINE_S)

    def kill_daemon(self):
        self.end_daemon()
        self.start_daemon()

    def kill_helper(self):
        self.helper.stop(signal.SIGKILL)
        self.helper.start()

    def ask(self, method, **args):
        """The root helper, as the daemon would: its result."""
        with contextlib.closing(self.helper.client()) as c:
            return c.ask(method, **args)

    # ---- what is on the host ----

    def vmms(self):
        """{pid: uid} of the processes in the cgroups of VMs."""
        found = {}
        for name in os.listdir(self.group):
            for pid in harness.read_file(f"{self.group}/{name}/cgroup.procs").split():
                with contextlib.suppress(OSError):
                    found[int(pid)] = os.stat(f"/proc/{pid}").st_uid
        return found

    def processes(self):
        return list(self.vmms())

    def leftovers(self):
        files = super().leftovers() + os.listdir(f"{self.state}/jails")
        files += [d for d in os.listdir(self.group) if os.path.isdir(f"{self.group}/{d}")]
        return files + [f"{k} {v}" for k, v in self.ask("host_report.jail").items() if v and isinstance(v, list)]

    def close(self):
        self.clear()
        self.end_daemon(signal.SIGTERM)
        assert self.process.returncode == 0, self.log()
        self.log_file.close()
        left = self.leftovers()
        assert self.helper.stop() == 0, self.helper.log()
        harness.clean_group(self.group)
        Session.opened -= 1
        shutil.rmtree(self.top)
        assert left == [], left


def exit_of(pid):
    """Returns when the process has ended."""
    fd = os.pidfd_open(pid)
    select.select([fd], [], [])
    os.close(fd)
