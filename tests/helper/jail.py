"""A helper whose `jail` has a state directory, a cgroup and VMMs: what tests of it share."""
import errno
import os
import shutil
import socket
import subprocess
import tempfile
import time

from harness import CONF, DEADLINE_S, OWNER, VM, Helper, Place, Refused, read_file

FAKE = os.environ["FAKE_VMM"]
QEMU = "/usr/bin/qemu-system-x86_64"
UID_FIRST = 200000
SLOT = 5
UID = UID_FIRST + SLOT
OTHER = "00000014d2jq"
ID = {"vm": VM, "slot": SLOT}
RUN = {**ID, "vmm": "fake", "control_socket": True}
PARTS = {"kernel": "kernels/k/vmlinux", "base": "images/i/disk", "disk": f"vms/{VM}/disk",
         "config": f"vms/{VM}/config.json", "console": f"vms/{VM}/console.log"}
WHOLE = {**RUN, **PARTS, "agent_socket": True, "console_socket": True, "run": True, "args": b"-one\0two words\0"}
STDIO = {**RUN, **PARTS, "console_stdio": True, "run": True, "listener": "vsock.sock_1024"}  # as Firecracker has it
POINTS_MAX = 100


def cgroup2():
    """Where the host has it."""
    for line in read_file("/proc/self/mountinfo").splitlines():
        head, _, tail = line.partition(" - ")
        if tail.split()[0] == "cgroup2":
            return head.split()[4]
    print("1..0 # SKIP no cgroup2 here")
    raise SystemExit(77)


class Jail(Place):
    def __init__(self, binary=None, fake=FAKE, more="", **options):
        self.top = tempfile.mkdtemp(prefix="banger-helper-")
        os.chmod(self.top, 0o755)
        self.state = os.path.join(self.top, "state")
        self.jails = os.path.join(self.state, "jails")
        self.group = os.path.join(cgroup2(), os.path.basename(self.top))
        os.mkdir(self.state)
        for path, text, mode in ((PARTS["kernel"], "kernel\n", 0o644), (PARTS["base"], "base\n", 0o644), (PARTS["disk"], "disk\n", 0o600),
                                 (PARTS["config"], "{}\n", 0o644), (PARTS["console"], "", 0o640)):
            self.put(path, text, mode)
        self.own_all()
        os.chmod(self.state, 0o700)
        head, _, rest = CONF.format(owner=OWNER).partition("\n\n")
        conf = f"{head}\nstate_dir = {self.state}\ncgroup = {self.group}\n\n{rest}\n[vmm fake]\nbinary = {fake}\n\n" \
               f"[vmm qemu]\nbinary = {QEMU}\nlibraries = /usr\n\n{more}"
        self.helper = Helper(self.top, binary=binary, conf=conf, **options)
        self.helper.group = self.group
        self.faults = self.helper.faults
        self.client = self.helper.client()
        self.ask = self.client.ask

    def put(self, path, text, mode=0o644):
        at = os.path.join(self.state, path)
        os.makedirs(os.path.dirname(at), exist_ok=True)
        with open(at, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(at, mode)

    def own_all(self):
        for folder, _, names in os.walk(self.state):
            if not folder.startswith(self.jails):
                for path in [folder, *(os.path.join(folder, n) for n in names)]:
                    os.lchown(path, OWNER, OWNER)

    def report(self):
        """What there is of VMs."""
        return left(self.state, self.ask("host_report.jail"))

    def launch(self, **args):
        """pid, and what came with it: a pidfd and sockets."""
        return self.ask("launch_vmm", **args)["pid"], self.client.take_fds()

    def away(self, **args):
        self.ask("kill_vmm", **(args or ID))
        self.ask("cleanup_jail", **(args or ID))

    def close(self):
        super().close()
        try:
            os.rmdir(self.group)
        except OSError as e:
            raise AssertionError(f"left behind: {os.listdir(self.group)}") from e


def left(state, report):
    """Of a report: all but whose it is, which must be right."""
    st = os.stat(state)
    assert (report.pop("state_dev"), report.pop("state_ino")) == (st.st_dev, st.st_ino)
    return report


def told(fd, line):
    """What the fake VMM answers."""
    os.write(fd, line.encode() + b"\n")
    return os.read(fd, 4096).decode().strip()


def tries(fd, name):
    return errno.errorcode.get(int(told(fd, f"try {name}").split()[1]), "0")


def refused(place, method, args, *words, code="helper.refused"):
    try:
        place.ask(method, **args)
    except Refused as e:
        assert e.code == code and all(w in e.message for w in words), f"{method} {args}: {e}"
        return
    raise AssertionError(f"{method} {args} was accepted")


def closed(fds):
    for fd in fds:
        os.close(fd)


def check_files(place):
    """The owner has his files back."""
    for part in PARTS.values():
        st = os.stat(f"{place.state}/{part}")
        assert (st.st_uid, st.st_nlink) == (OWNER, 1), f"{part}: {st}"


def at_every_point(place, action, story):
    """With the first effect failing so, then the second, until story() says that it was not hit; how many there are."""
    for point in range(1, POINTS_MAX):
        place.faults.plan(point, action)
        hit = story()
        place.faults.none()
        if not hit:
            return point - 1
    raise AssertionError("there is no end of it")


def gone(pid):
    """Waits for it."""
    until = time.monotonic() + DEADLINE_S
    while os.path.exists(f"/proc/{pid}") and read_file(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] not in ([], ["Z"]):
        assert time.monotonic() < until, f"{pid} lives"
        time.sleep(0.01)


def probe_is_up(place, fd):
    """Reads the probe guest's console, and closes it."""
    with socket.socket(fileno=fd) as console:
        console.settimeout(DEADLINE_S)
        said = b""
        while b"banger-probe: up" not in said:
            more = console.recv(4096)
            assert more, f"{said}: {read_file(f'{place.jails}/{VM}/vmm.log')}"
            said += more


def copy_of_fake(top, name="vmm"):
    path = os.path.join(top, name)
    shutil.copyfile(FAKE, path)
    os.chmod(path, 0o755)
    return path


def stranger():
    """A process that is nobody's VMM."""
    return subprocess.Popen(["sleep", "1000"])
