#!/usr/bin/env python3
"""What the daemon needs of Firecracker, without a guest: the published API, and an agent as a process of the test.

Written from the API's specification and the documentation of 1.16; tests/e2e/firecracker.py asks the same of it and,
by scripts/test-firecracker, of the real one.  It does what that does where somebody looks: refuses what that refuses, with its
words, and says nothing that it would not.  $FAKE_AGENT is the agent (absent: a guest that never rings).  In $FAKE_TOP:

    firecracker    how it goes: "die WHEN", where WHEN is config, boot, or the start of a request ("PATCH /vm"); "silent";
                   "refuse WHEN" and "hang WHEN", of requests; "babble": it sends its callers nonsense without end; "mute": it
                   puts nobody through to its guest
"""
import ctypes
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time

VERSION = "1.16.1"
TOP = os.environ.get("FAKE_TOP", "/nonexistent")
PR_SET_PDEATHSIG = 1
RING_PORT, AGENT_PORT = 1024, 1023
VALUES = {"--id", "--api-sock", "--config-file", "--log-path", "--level"}
FLAGS = {"--version", "--no-seccomp"}
SECTIONS = {
    "boot-source": {"kernel_image_path", "initrd_path", "boot_args"},
    "machine-config": {"vcpu_count", "mem_size_mib", "smt"},
    "balloon": {"amount_mib", "deflate_on_oom", "stats_polling_interval_s"},
    "vsock": {"guest_cid", "uds_path", "vsock_id"},
    "entropy": set(),
}
DRIVE = {"drive_id", "path_on_host", "is_root_device", "is_read_only", "cache_type", "io_engine", "rate_limiter"}


class Refused(Exception):
    """The machine cannot be made."""
    where = "Configuration for VMM from one single json failed"


class NotStarted(Refused):
    """It was made, and cannot be started."""
    where = "Could not Start MicroVM from one single json"


def how():
    try:
        with open(f"{TOP}/firecracker", encoding="utf-8") as f:
            return f.read().strip()
    except FileNotFoundError:
        return ""


def is_so(verb, when):
    return how().startswith(f"{verb} ") and when.startswith(how()[len(verb) + 1:])


def die_if(when):
    if is_so("die", when):
        os.kill(os.getpid(), signal.SIGABRT)


def babble(s):
    """Until the other end has had enough of it; in a process of its own."""
    if os.fork() == 0:
        die_with_us()
        try:
            while True:
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 65536)
        except OSError:
            os._exit(0)


def parse(argv):
    words = argv[:argv.index("--")] if "--" in argv else argv
    given, at = {}, 0
    while at < len(words):
        if words[at] in FLAGS:
            given[words[at]] = True
        elif words[at] in VALUES:
            at += 1
            given[words[at - 1]] = words[at]
        else:
            raise Refused(f"Found argument '{words[at].lstrip('-')}' which wasn't expected, or isn't valid in this context.")
        at += 1
    return given


class Log:
    def __init__(self, given):
        self.head = f"[{given.get('--id', 'anonymous-instance')}:main]"
        self.file = open(given["--log-path"], "a", encoding="utf-8") if "--log-path" in given else sys.stdout

    def say(self, text):
        print(f"{time.strftime('%Y-%m-%dT%H:%M:%S')}.000000000 {self.head} {text}", file=self.file, flush=True)


def unknown(what, fields):
    for name in what:
        if name not in fields:
            raise Refused(f"Invalid JSON: unknown field `{name}`")


def check(config):
    """Of a machine, what the daemon might get wrong: names of members, and files that are not there."""
    for name, fields in SECTIONS.items():
        unknown(config.get(name, {}), fields)
    if "drives" not in config:
        raise Refused("Invalid JSON: missing field `drives`")
    try:
        with open(config["boot-source"]["kernel_image_path"], "rb") as f:
            elf = f.read(4)
    except OSError as e:
        raise Refused(f"Boot source error: The kernel file cannot be opened: {e.strerror} (os error {e.errno})") from e
    if elf != b"\x7fELF":
        raise NotStarted("System configuration error: Cannot load kernel due to invalid memory configuration or invalid kernel image:"
                         " Kernel Loader: failed to load ELF kernel image: Kernel Loader: Invalid Elf magic number")
    for drive in config["drives"]:
        unknown(drive, DRIVE)
        try:
            os.close(os.open(drive["path_on_host"], os.O_RDONLY if drive["is_read_only"] else os.O_RDWR))
        except OSError as e:
            raise Refused("Block device error: Unable to create the virtio block device: Virtio backend error: Error manipulating"
                          f" the backing file: {e.strerror} (os error {e.errno}) {drive['path_on_host']}") from e


def listen(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(128)
    return s


def die_with_us():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# ---- the guest: an agent that rings, and is called ----

def hung_up(connection):
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class Guest:
    def __init__(self, config, selector):
        self.path = config.get("vsock", {}).get("uds_path")
        self.agent = self.connection = None
        self.mute = []  # callers that wait for ever
        self.mib = config["machine-config"]["mem_size_mib"]
        args = config["boot-source"].get("boot_args", "").split()
        self.name = next((a.partition("=")[2] for a in args if a.startswith("banger.hostname=")), "")
        if self.path:
            selector.register(listen(self.path), selectors.EVENT_READ, self.called)

    def ring(self):
        """As an agent does that has come up, or whose conversation has ended."""
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(f"{self.path}_{RING_PORT}")
            except OSError:
                pass  # nobody listens: the guest's connection is reset

    def called(self, listening):
        s, _ = listening.accept()
        line = b""
        while not line.endswith(b"\n") and (byte := s.recv(1)):
            line += byte
        if line != f"CONNECT {AGENT_PORT}\n".encode() or "FAKE_AGENT" not in os.environ:
            s.close()
            return
        if how() == "mute":
            self.mute.append(s)
            return
        s.sendall(b"OK 1073741824\n")
        self.converse(s)

    def converse(self, s):
        """A newer connection takes the place of the older one."""
        self.hush()
        self.connection = s
        self.agent = subprocess.Popen([os.environ["FAKE_AGENT"], "--fd", str(s.fileno())], pass_fds=[s.fileno()],
                                      env={**os.environ, "FAKE_NAME": self.name}, preexec_fn=die_with_us,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def memory(self):
        """As its kernel's balloon driver puts it."""
        total = self.mib << 20
        return {"swap_in": 0, "swap_out": 8192, "major_faults": 313, "minor_faults": 54321, "free_memory": total // 2,
                "total_memory": total, "available_memory": total // 4 * 3, "disk_caches": total // 8, "hugetlb_allocations": 0,
                "hugetlb_failures": 0}

    def hush(self):
        if self.agent:
            self.agent.kill()
            self.agent.wait()
            self.connection.close()
            self.agent = self.connection = None

    def powered_off(self):
        """The agent has ended by itself.  One that was hung up on, or killed, is there again and rings."""
        if self.agent is None or self.agent.poll() is None:
            return False
        if self.agent.returncode == 0 and not hung_up(self.connection):
            return True
        self.hush()
        self.ring()
        return False


# ---- the API ----

DESERIALIZING = "An error occurred when deserializing the json body of a request: "


def wrong_body(body, fields):
    column = len(json.dumps(body, separators=(",", ":")))
    for name in body:
        if name not in fields:
            return f"{DESERIALIZING}unknown field `{name}`, expected one of {', '.join(f'`{f}`' for f in fields)} at line 1 column {column}."
    return None


def wrong_limiter(limiter):
    for bucket in (limiter or {}).values():
        for name in ("size", "refill_time"):
            if name not in bucket:
                return f"{DESERIALIZING}missing field `{name}` at line 1 column 0."
    return None


def limited(has, asked):
    buckets = {kind: (asked or {}).get(kind) or (has or {}).get(kind) for kind in ("bandwidth", "ops")}
    buckets = {kind: {"one_time_burst": None, **b} if b and b["size"] and b["refill_time"] else None for kind, b in buckets.items()}
    return buckets if any(buckets.values()) else None


class Api:
    def __init__(self, given, config, guest):
        self.heard, self.hung = {}, []  # by connection: bytes of requests; those that are not answered any more
        self.given, self.config, self.guest, self.state = given, config, guest, "Running"

    def answer(self, method, path, body):
        """(status, object or None)."""
        if method == "GET" and path == "/":
            return 200, {"id": self.given["--id"], "state": self.state, "vmm_version": VERSION, "app_name": "Firecracker"}
        if method == "GET" and path == "/version":
            return 200, {"firecracker_version": VERSION}
        if method == "GET" and path == "/vm/config":
            return 200, self.config
        if method == "GET" and path in ("/balloon", "/balloon/statistics"):
            return self.get_balloon(path)
        if method == "PATCH" and path == "/vm":
            return self.patch_vm(body)
        if method == "PATCH" and path.startswith("/drives/"):
            return self.patch_drive(path.split("/")[2], body)
        if method == "PATCH" and path.startswith("/network-interfaces/"):
            return self.patch_interface(path.split("/")[2], body)
        if method == "PUT" and path == "/actions":
            return self.put_action(body)
        if method == "PUT" and path in ("/boot-source", "/machine-config"):
            return 400, {"fault_message": "The requested operation is not supported after starting the microVM."}
        return 400, {"fault_message": f"Invalid request method and/or path: {method} {path.strip('/')}."}

    def get_balloon(self, path):
        """Its statistics are the driver's, which a guest has that has an agent."""
        if "balloon" not in self.config:
            return 400, {"fault_message": "Internal VMM error: Failed perform action on device: Device not found"}
        if path == "/balloon":
            return 200, {**self.config["balloon"], "free_page_hinting": False, "free_page_reporting": False}
        if self.config["balloon"].get("stats_polling_interval_s", 0) == 0:
            return 400, {"fault_message": "Internal VMM error: Balloon: Received stats query when stats are disabled."}
        return 200, {"target_pages": 0, "actual_pages": 0, "target_mib": 0, "actual_mib": 0, **(self.guest.memory() if self.guest.agent else {})}

    def patch_vm(self, body):
        state = body.get("state")
        if state not in ("Paused", "Resumed"):
            return 400, {"fault_message": "An error occurred when deserializing the json body of a request: unknown variant "
                                          f"`{state}`, expected `Paused` or `Resumed` at line 1 column 16."}
        self.state = "Paused" if state == "Paused" else "Running"
        return 204, None

    def patch_drive(self, name, body):
        """A bucket of size 0 takes away what was there; one that is not named leaves it."""
        if why := wrong_body(body, ("drive_id", "path_on_host", "rate_limiter")) or wrong_limiter(body.get("rate_limiter")):
            return 400, {"fault_message": why}
        if body.get("drive_id") != name:
            return 400, {"fault_message": "The id from the path does not match the id from the body!"}
        drive = next((d for d in self.config["drives"] if d["drive_id"] == name), None)
        if drive is None:
            return 400, {"fault_message": "Drive config error: Unable to patch the block device: Failed perform action on device: Device"
                                          " not found Please verify the request arguments."}
        drive["rate_limiter"] = limited(drive.get("rate_limiter"), body.get("rate_limiter"))
        return 204, None

    def patch_interface(self, name, body):
        kinds = ("rx_rate_limiter", "tx_rate_limiter")
        if why := wrong_body(body, ("iface_id", *kinds)) or wrong_limiter(body.get(kinds[0])) or wrong_limiter(body.get(kinds[1])):
            return 400, {"fault_message": why}
        if body.get("iface_id") != name:
            return 400, {"fault_message": f"The id from the path [{name}] does not match the id from the body [{body.get('iface_id')}]!"}
        interface = next((i for i in self.config.get("network-interfaces", []) if i["iface_id"] == name), None)
        if interface is None:
            return 400, {"fault_message": "Network config error: Unable to update the net device: Failed perform action on device: Device"
                                          " not found"}
        for kind in kinds:
            interface[kind] = limited(interface.get(kind), body.get(kind))
        return 204, None

    def put_action(self, body):
        action = body.get("action_type")
        if action == "InstanceStart":
            return 400, {"fault_message": "The requested operation is not supported after starting the microVM."}
        if action == "SendCtrlAltDel":
            return 204, None
        return 400, {"fault_message": "An error occurred when deserializing the json body of a request: unknown variant "
                                      f"`{action}`, expected one of `FlushMetrics`, `InstanceStart`, `SendCtrlAltDel` at line 1 "
                                      f"column {len(json.dumps(body)) - 1}."}

    def accept(self, listening, selector):
        s, _ = listening.accept()
        if how() == "babble":
            babble(s)
            s.close()
        else:
            selector.register(s, selectors.EVENT_READ, lambda c: self.serve(c, selector))

    def serve(self, s, selector):
        data = s.recv(4096)
        if not data:
            selector.unregister(s)
            self.heard.pop(s, None)
            s.close()
            return
        self.heard[s] = self.heard.get(s, b"") + data
        while s in self.heard and (request := self.taken(s)):
            self.reply(s, selector, *request)

    def taken(self, s):
        """(method, path, body) of the request at the front of what was heard, if it is whole."""
        head, end, rest = self.heard[s].partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        length = int(length[1]) if length else 0
        if not end or len(rest) < length:
            return None
        self.heard[s] = rest[length:]
        method, path, _ = head.decode().splitlines()[0].split(" ")
        return method, path, rest[:length].decode()

    def reply(self, s, selector, method, path, rest):
        die_if(f"{method} {path}")
        if is_so("hang", f"{method} {path}"):
            selector.unregister(s)
            self.hung.append(s)
            del self.heard[s]
            return
        status, body = self.answer(method, path, json.loads(rest) if rest else {})
        if is_so("refuse", f"{method} {path}"):
            status, body = 400, {"fault_message": "Internal VMM error: as it was told to"}
        text = "" if body is None else json.dumps(body, separators=(",", ":"))
        more = f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n" if body is not None else ""
        s.sendall(f"HTTP/1.1 {status} \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n{more}\r\n{text}".encode())


# ---- its life ----

def boot(config, guest):
    args = config["boot-source"].get("boot_args", "").split()
    die_if("boot")
    if how() == "silent":
        return
    if config["boot-source"]["kernel_image_path"].endswith("probe.elf"):
        os.write(1, b"banger-probe: up\r\n")
        if "bench" in args:
            os.write(1, b"banger-probe: bench done\r\n")
        if "exit" in args:
            sys.exit(0)
    elif guest.path and "FAKE_AGENT" in os.environ:
        os.write(1, b"login: ")
        guest.ring()


def echo(keys):
    """The guest's serial line, which prints what is typed."""
    os.write(1, os.read(keys, 4096))


def main(argv):
    given = parse(argv)
    if "--version" in given:
        print(f"Firecracker v{VERSION}\n")
        return 0
    log = Log(given)
    selector = selectors.DefaultSelector()
    try:
        api = listen(given["--api-sock"])
    except OSError as e:
        raise Refused(f"RunWithApiError error: Failed to open the API socket at: {given['--api-sock']}. Check that it is not already"
                      " used.") from e
    with open(given["--config-file"], encoding="utf-8") as f:
        config = json.load(f)
    die_if("config")
    try:
        check(config)
    except Refused as e:
        log.say(f"RunWithApiError error: Failed to build MicroVM from Json: {e.where}: {e}")
        log.say("Firecracker exiting with error. exit_code=1")
        return 1
    guest = Guest(config, selector)
    calls = Api(given, config, guest)
    selector.register(api, selectors.EVENT_READ, lambda l: calls.accept(l, selector))
    if not os.isatty(0) and os.path.exists("/dev/stdin") and os.path.islink("/proc/self/fd/0") and \
            not os.path.samefile("/proc/self/fd/0", "/dev/null"):
        selector.register(0, selectors.EVENT_READ, echo)
    boot(config, guest)
    while not guest.powered_off():
        for key, _ in selector.select(0.2):
            key.data(key.fileobj)
    return 0


try:
    sys.exit(main(sys.argv[1:]))
except Refused as why:
    print(f"Error: {why}", file=sys.stderr)
    sys.exit(153)
