"""What the tests of the root helper share: a network of their own, a helper in it, a client that speaks its protocol.

A test script calls main() with its functions; each gets a fresh `Place`, and the host must be empty after it.
"""
import inspect
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import msgpack

CONF = """\
[helper]
owner = {owner}
uid_first = 200000
uid_count = 4096

[bridge br-fc]
address = 10.97.0.1/16

[bridge br-fc-two]
address = 10.98.0.1/24
"""
OWNER = 65533  # nobody's uid


def conf_of(top):
    """Of a helper whose directory this is: the daemon's state is in it."""
    return CONF.format(owner=OWNER).replace("\n\n", f"\nstate_dir = {top}/state\n\n", 1)


VM = "00000014d2jp"
TAP = "bg-" + VM
DIE, HANG, CALL = 0, -1, 1000  # enum of src/helper/fault.h
DEADLINE_S = 20


class Skipped(Exception):
    """What a test needs is not here."""


class Refused(Exception):
    """An error reply."""

    def __init__(self, error):
        self.code, self.message, self.error = error["code"], error.get("message", ""), error
        super().__init__(f"{self.code}: {self.message}")


def framed(frame):
    data = msgpack.packb(frame)
    return struct.pack(">I", len(data)) + data


class Client:
    def __init__(self, path, hello=True):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(path)
        self.bytes, self.fds, self.last_id = b"", [], 0
        if hello:
            self.send({"type": "hello", "version": 1, "version_min": 1, "name": "test"})
            self.hello = self.receive()

    def send(self, frame):
        self.send_bytes(framed(frame))

    def send_bytes(self, data):
        try:
            self.sock.sendall(data)
        except BrokenPipeError:
            pass  # it has hung up, and said why: receive() tells

    def receive(self):
        while len(self.bytes) < 4 or len(self.bytes) < 4 + self.length():
            data, fds, _, _ = socket.recv_fds(self.sock, 65536, 16)
            self.fds += fds
            if not data:
                raise EOFError("the helper closed the connection")
            self.bytes += data
        end = 4 + self.length()
        frame, self.bytes = msgpack.unpackb(self.bytes[4:end]), self.bytes[end:]
        return frame

    def length(self):
        return struct.unpack(">I", self.bytes[:4])[0]

    def begin(self, method, /, **args):
        self.last_id += 1
        op_id = int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10)
        self.send({"type": "request", "id": self.last_id, "method": method, "op_id": op_id, "args": args})
        return self.last_id

    def end(self):
        reply = self.receive()
        if "error" in reply:
            raise Refused(reply["error"])
        return reply

    def ask(self, method, /, **args):
        """The result; descriptors that came with it are left in self.fds."""
        ident = self.begin(method, **args)
        reply = self.end()
        assert reply["id"] == ident, reply
        assert reply.get("fds", 0) == len(self.fds), (reply, self.fds)
        return reply["result"]

    def take_fds(self):
        fds, self.fds = self.fds, []
        return fds

    def close(self):
        for fd in self.take_fds():
            os.close(fd)
        self.sock.close()


class Faults:
    """The plan of src/helper/fault.h."""

    def __init__(self, path):
        with open(path, "wb") as f:
            f.write(bytes(16))
        self.path = path
        self.file = open(path, "r+b", buffering=0)
        self.planned = (0, 0)

    def plan(self, at, action, behind=False):
        """In an operation's act, or in what a worker does behind its answers."""
        self.planned = (at, action)
        self.file.seek(0)
        self.file.write(struct.pack("=IiII", at, action, 0, behind))

    def passed(self):
        self.file.seek(8)
        return struct.unpack("=I", self.file.read(4))[0]

    def none(self):
        self.plan(0, 0)


class Helper:
    """A running bangerd-root."""

    running = []  # of this script: a test that fails does not get to stop its own

    def __init__(self, top, binary=None, conf=None, env=None, prefix=()):
        self.top = top
        self.conf = os.path.join(top, "helper.conf")
        self.dir = os.path.join(top, "root")
        self.path = os.path.join(self.dir, "s")
        self.log_path = os.path.join(top, "log")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(conf if conf is not None else conf_of(top))
        self.faults = Faults(os.path.join(top, "faults"))
        self.binary = binary or os.environ["BANGERD_ROOT"]
        self.env = dict(os.environ, BANGER_FAULTS=self.faults.path, **(env or {}))
        self.prefix = list(prefix)
        self.process = None
        self.group = None  # the directory of its VMs' cgroups, where it has any
        self.start()

    def start(self):
        self.log_file = open(self.log_path, "ab")
        Helper.running.append(self)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.settimeout(DEADLINE_S)
        self.notify.bind("\0" + self.top + "/notify")
        self.env["NOTIFY_SOCKET"] = "@" + self.top + "/notify"
        self.process = subprocess.Popen(
            self.prefix + [self.binary, "--config", self.conf, "--socket", self.path],
            stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file, env=self.env)
        try:
            self.said("READY=1")
        except OSError:
            raise AssertionError(f"the helper is not ready: {self.log()}") from None

    def said(self, word):
        """Waits for a message to the service manager that holds this word."""
        while word not in self.notify.recv(4096).decode().split("\n"):
            pass

    def log(self):
        with open(self.log_path, encoding="utf-8") as f:
            return f.read()

    def client(self, **options):
        return Client(self.path, **options)

    def workers(self):
        """{name: pid} of those that live, by the name that each has given itself."""
        found = {}
        for pid in children(self.main_pid()):
            name = read_file(f"/proc/{pid}/comm").strip()
            state = read_file(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1]
            if name.startswith("banger-") and state not in ([], ["Z"]):  # gone, or dead and not reaped
                found[name.removeprefix("banger-")] = pid
        return found

    def main_pid(self):
        """Of the helper itself: a tracer may stand before it."""
        return (children(self.process.pid) or [self.process.pid])[0] if self.prefix else self.process.pid

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            os.kill(self.main_pid(), how)
        status = self.process.wait(DEADLINE_S)
        self.log_file.close()
        self.notify.close()
        Helper.running.remove(self)
        return status


def children(pid):
    return [int(p) for p in read_file(f"/proc/{pid}/task/{pid}/children").split()]


def read_file(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


# ---- what somebody else sees ----

def as_uid(uid, story):
    """What story() says, told by a process with this uid."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        try:
            said = repr(story())
        except Exception as e:
            said = f"{type(e).__name__}: {e}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as f:
        return f.read()

def run(*argv, check=True):
    p = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S)
    assert not check or p.returncode == 0, f"{argv}: {p.stderr}"
    return p.stdout


def links():
    """{name: link} as ip(8) tells."""
    return {link["ifname"]: link for link in json.loads(run("ip", "-j", "-d", "link", "show")) if link}


def link_names():
    """What links() are called, without a process."""
    return [line.split(":")[0].strip() for line in read_file("/proc/self/net/dev").splitlines()[2:]]


def ruleset():
    return run("nft", "list", "ruleset")


NETLINK_NETFILTER, NFT_MSG_GETTABLE, NLM_F_REQUEST_DUMP, NLMSG_ERROR, NLMSG_DONE = 12, 10 << 8 | 1, 0x301, 2, 3


def has_rules():
    """Whether ruleset() would say anything, without a process: whether there is a table of nftables."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as s:
        s.settimeout(DEADLINE_S)
        s.send(struct.pack("=IHHII BBH", 20, NFT_MSG_GETTABLE, NLM_F_REQUEST_DUMP, 1, 0, 0, 0, 0))
        kind, = struct.unpack_from("=H", s.recv(65536), 4)
    assert kind != NLMSG_ERROR, "nftables cannot be asked"
    return kind != NLMSG_DONE


class Place:
    """A directory and a helper; clients that a test forgot are closed."""

    def __init__(self, **options):
        self.top = tempfile.mkdtemp(prefix="banger-helper-")
        os.chmod(self.top, 0o755)
        self.helper = Helper(self.top, **options)
        self.faults = self.helper.faults
        self.client = self.helper.client()
        self.ask = self.client.ask

    def report(self):
        return self.ask("host_report.net")

    def close(self):
        self.client.close()
        try:
            status = self.helper.stop()
            assert status == 0, f"the helper ended with {status}: {self.helper.log()}"
        finally:
            shutil.rmtree(self.top)


def clean_helpers():
    """Ends what a failed test has left running, by the ids of our own children, and tells what they said."""
    for helper in list(Helper.running):
        print("# " + helper.log().replace("\n", "\n# "), flush=True)
        for pid in [helper.main_pid(), helper.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        helper.stop(signal.SIGKILL)
        clean_group(helper.group)
        shutil.rmtree(helper.top, ignore_errors=True)


def clean_group(group):
    """Ends VMMs by their cgroups, which nobody else's process is in, and takes those away."""
    if not group or not os.path.isdir(group):
        return
    with open(os.path.join(group, "cgroup.kill"), "w", encoding="ascii") as f:
        f.write("1")
    until = time.monotonic() + DEADLINE_S
    while "populated 1" in read_file(os.path.join(group, "cgroup.events")) and time.monotonic() < until:
        time.sleep(0.01)
    for name in [e.path for e in os.scandir(group) if e.is_dir()] + [group]:
        os.rmdir(name)


def clean_network():
    """Whatever a failed test has left, so that the next one begins with nothing."""
    for name in links():
        if name != "lo":
            run("ip", "link", "del", name, check=False)
    run("nft", "flush", "ruleset")


def host_is_empty():
    """Taps that were deleted a moment ago may still be on their way."""
    until = time.monotonic() + DEADLINE_S
    while any(n.startswith("bg-x") for n in link_names()) and time.monotonic() < until:
        time.sleep(0.01)
    left = [n for n in link_names() if n.startswith(("bg-", "br-fc"))]
    assert not left, f"left behind: {left}"
    assert not has_rules(), f"left behind: {ruleset()}"


def need_namespace():
    """Runs the script again in namespaces of its own; without the right to, the test is skipped."""
    if os.environ.get("BANGER_TEST_NAMESPACE"):
        run("ip", "link", "set", "lo", "up")
        return
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        sys.exit(77)
    new = ["unshare", "--net", "--mount", "--propagation", "private"]
    if subprocess.run(new + ["true"], capture_output=True).returncode != 0:
        print("1..0 # SKIP no new namespaces here")
        sys.exit(77)
    os.environ["BANGER_TEST_NAMESPACE"] = "1"
    os.execvp(new[0], new + [sys.executable, *sys.argv])


def main(tests, place=Place):
    """Runs each test with a place of its own, as TAP."""
    wanted = sys.argv[1:]
    tests = [t for t in tests if not wanted or t.__name__ in wanted]
    need_namespace()
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        here, began = None, time.monotonic()
        try:
            if inspect.signature(test).parameters:
                here = place()
                test(here)
                here.close()
            else:
                test()
            host_is_empty()
            print(f"ok {number} - {test.__name__}\n# {time.monotonic() - began:.1f} s", flush=True)
        except Skipped as e:
            if here:
                here.close()
            print(f"ok {number} - {test.__name__} # SKIP {e}", flush=True)
        except Exception as e:  # each test's story is its own
            failed += 1
            where = e.__traceback__
            while where.tb_next and where.tb_next.tb_frame.f_code.co_filename == sys.argv[0]:
                where = where.tb_next
            print(f"not ok {number} - {test.__name__}\n# line {where.tb_lineno}: {type(e).__name__}: {e}", flush=True)
            clean_helpers()
            clean_network()
    sys.exit(1 if failed else 0)
