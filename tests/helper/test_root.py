#!/usr/bin/env python3
"""The helper as a whole: who may connect, what it reads, in which order it answers, how its workers live and die,
what they may do; configuration, sockets, the service manager."""
import json
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time

from harness import (CONF, DEADLINE_S, DIE, HANG, OWNER, VM, Client, Helper, Place, Refused, as_uid, children, framed, links, main,
                     read_file, run)

BRIDGE = {"bridge": "br-fc"}
TAP = {"bridge": "br-fc", "slot": 3, "vm": VM}
STRANGER = 65532
CALM = {"type": "hello", "version": 1, "version_min": 1, "name": "test"}


def gone(pid):
    """Waits for the end of a process that is not our child."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ready, _, _ = select.select([fd], [], [], DEADLINE_S)
    os.close(fd)
    assert ready, f"{pid} lives"


# ---- who may connect ----

def the_socket_is_the_owners_alone(place):
    st = os.stat(place.helper.path)
    assert (st.st_uid, stat.S_IMODE(st.st_mode)) == (OWNER, 0o600), st
    st = os.stat(place.helper.dir)
    assert (st.st_uid, stat.S_IMODE(st.st_mode)) == (0, 0o711), st
    assert "PermissionError" in as_uid(STRANGER, lambda: Client(place.helper.path))


def the_owner_and_root_may_ask(place):
    assert as_uid(OWNER, lambda: Client(place.helper.path).ask("host_report.net")) == "{}"
    assert place.report() == {}


def a_stranger_is_told_and_turned_away(place):
    os.chmod(place.helper.path, 0o666)  # as if somebody had opened it wide
    said = as_uid(STRANGER, lambda: Client(place.helper.path).hello)
    assert "helper.refused" in said and f"uid {STRANGER}" in said, said
    said = as_uid(STRANGER, lambda: Client(place.helper.path).ask("ensure_bridge", **BRIDGE))
    assert "br-fc" not in links(), said
    assert f"ev=peer.refused uid={STRANGER}" in place.helper.log()


def the_owner_leaves_room_for_root(place):
    def hold_all():
        held = [Client(place.helper.path) for _ in range(7)]
        return [c.hello.get("error", {}).get("code") for c in held]

    told = as_uid(OWNER, hold_all)
    assert told == repr([None] * 6 + ["busy"]), told
    more = [place.helper.client() for _ in range(7)]  # with the place's own they are all eight
    assert all(c.hello["type"] == "hello" for c in more)
    for c in more:
        c.close()


# ---- what it reads ----

def ends_with(place, code, *frames, raw=b""):
    """These frames on a connection of their own are answered with this error, and it is closed."""
    c = Client(place.helper.path, hello=False)
    assert c.receive()["type"] == "hello"
    for frame in frames:
        c.send(frame)
    c.send_bytes(raw)
    reply = c.receive()
    assert reply["id"] == 0 and reply["error"]["code"] == code, reply
    try:
        c.receive()
        raise AssertionError("the connection stays")
    except (EOFError, ConnectionResetError):
        pass
    c.close()


def request(method="host_report.net", **fields):
    return {"type": "request", "id": 1, "method": method, "op_id": bytes([1] * 16), "args": {}, **fields}


def bad_frames_end_the_connection(place):
    ends_with(place, "frame.bad", request())  # no hello
    ends_with(place, "frame.bad", CALM, CALM)
    ends_with(place, "frame.bad", CALM, {"type": "data", "id": 1, "stream": 0, "bytes": b""})
    ends_with(place, "frame.bad", CALM, request(op_id=b"short"))
    ends_with(place, "frame.bad", CALM, {"type": "request"})
    ends_with(place, "frame.bad", raw=b"\0\0\0\0")
    ends_with(place, "frame.bad", raw=b"\0\0\0\5\xdd\xdd\xdd\xdd\xdd")
    ends_with(place, "frame.too_big", raw=b"\0\2\0\1")
    ends_with(place, "frame.too_big", raw=b"GET / HTTP/1.1\r\n")
    ends_with(place, "version.unsupported", {**CALM, "version": 9, "version_min": 2})
    assert place.report() == {}


def bad_requests_fail_alone(place):
    for frame, code in ((request("exec"), "request.unknown"), (request("create_tap "), "request.unknown"),
                        (request(op_id=None), None), (request("create_tap", args={"bridge": 1}), "request.bad")):
        if code is None:
            frame.pop("op_id")
            code = "request.bad"
        place.client.send(frame)
        reply = place.client.receive()
        assert reply["id"] == 1 and reply["error"]["code"] == code, reply
    place.client.send({"type": "cancel", "id": 7})
    assert place.report() == {}


def a_frame_may_come_byte_by_byte(place):
    c = place.helper.client()
    data = framed(request())
    for byte in data:
        c.sock.sendall(bytes([byte]))
    assert c.receive()["result"] == {}
    c.close()


def descriptors_sent_to_it_are_dropped(place):
    pid = place.helper.main_pid()
    before = len(os.listdir(f"/proc/{pid}/fd"))
    c = place.helper.client()
    with open("/dev/null", "rb") as f:
        socket.send_fds(c.sock, [framed(request())], [f.fileno()] * 4)
    assert c.receive()["result"] == {}
    assert len(os.listdir(f"/proc/{pid}/fd")) == before + 1, "the connection, and nothing else"
    c.close()


# ---- order ----

def answers_come_in_the_order_of_the_requests(place):
    place.ask("ensure_bridge", **BRIDGE)
    asked = []
    for i in range(100):
        asked.append(place.client.begin("delete_tap" if i % 2 else "create_tap", **TAP))
    asked.append(place.client.begin("host_report.net"))
    replies = [place.client.receive() for _ in asked]
    assert [r["id"] for r in replies] == asked
    assert all("error" not in r for r in replies), [r for r in replies if "error" in r][:1]
    assert replies[-1]["result"] == {"bridges": ["br-fc"]}
    place.ask("remove_bridge", **BRIDGE)


def who_does_not_read_makes_only_himself_wait(place):
    idle = place.helper.client()
    frame = framed(request())
    idle.sock.setblocking(False)
    sent = 0
    try:
        while sent < 1 << 22:
            sent += idle.sock.send(frame * 50)
    except BlockingIOError:
        pass
    assert sent < 1 << 22, "there is no bound"
    assert place.report() == {}
    idle.close()
    assert place.report() == {}


def a_request_that_has_begun_goes_on_when_its_peer_is_gone(place):
    c = place.helper.client()
    c.begin("ensure_bridge", **BRIDGE)
    c.close()
    assert place.report() in ({}, {"bridges": ["br-fc"]})  # it had not begun, or is done: never half
    assert place.ask("remove_bridge", **BRIDGE) == {}


# ---- workers ----

def status_of(pid):
    return dict(line.split(":\t", 1) for line in read_file(f"/proc/{pid}/status").splitlines() if ":\t" in line)


CAPS = {"net": 1 << 12, "block": 1 << 0 | 1 << 1 | 1 << 21 | 1 << 27, "jail": 0b101111, "resolver": 0}
# Of jail: see jail.c; NET_ADMIN; CHOWN, DAC_OVERRIDE, SYS_ADMIN, MKNOD
# Besides its link, by what it was opened; what this kernel has of it.
OPENED = {"net": ["/proc/sys/net/ipv4/ip_forward", "socket:", "socket:"],
          "block": [p for p in ("/dev/mapper/control", "/dev/mapper", "/dev/loop-control", "/dev", "/sys/devices/virtual/block")
                    if os.path.exists(p)] + ["socket:"]}  # to its tools
ZYGOTE_CAPS = 0
for number in (0, 1, 5, 6, 7, 8, 18, 19, 21, 27):  # launch.c: CHOWN DAC_OVERRIDE KILL SETGID SETUID SETPCAP SYS_CHROOT...
    ZYGOTE_CAPS |= 1 << number


def workers_are_confined(place):
    workers = place.helper.workers()
    assert set(workers) == set(CAPS), workers
    for name, pid in workers.items():
        s = status_of(pid)
        for field in ("CapEff", "CapPrm", "CapBnd"):
            assert int(s[field], 16) == CAPS[name], f"{name}: {field} {s[field]}"
        assert int(s["CapInh"], 16) == int(s["CapAmb"], 16) == 0, s
        assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2", s
        fds = sorted(int(fd) for fd in os.listdir(f"/proc/{pid}/fd"))
        kinds = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in fds[3:]]
        wanted = ["socket:"] + OPENED.get(name, [])
        assert [k.split("[")[0] for k in kinds] == wanted, f"{name}: {kinds}"


def the_supervisor_keeps_nothing(place):
    s = status_of(place.helper.main_pid())
    for field in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
        assert int(s[field], 16) == 0, f"{field} {s[field]}"
    assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2", s


def zygote_of(place):
    return next(pid for pid in children(place.helper.main_pid()) if read_file(f"/proc/{pid}/comm") == "bangerd-zygote\n")


def the_zygote_keeps_what_its_children_need(place):
    zygote = zygote_of(place)
    s = status_of(zygote)
    wanted = ZYGOTE_CAPS
    for caps in CAPS.values():
        wanted |= caps
    for field in ("CapEff", "CapPrm", "CapBnd"):
        assert int(s[field], 16) == wanted, f"{field} {s[field]}"
    assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2", s
    wanted = [0, 1, 2, 3, 4]  # its own, the supervisor's link, and what tells of VMMs' ends
    until = time.monotonic() + DEADLINE_S
    while sorted(int(fd) for fd in os.listdir(f"/proc/{zygote}/fd")) != wanted:  # it may have the last worker's link yet
        found = [os.readlink(f"/proc/{zygote}/fd/{fd}") for fd in os.listdir(f"/proc/{zygote}/fd")]
        assert time.monotonic() < until, f"it has {found}"
        time.sleep(0.01)
    assert os.readlink(f"/proc/{zygote}/fd/4") == "anon_inode:[signalfd]"


def the_helper_ends_with_its_zygote(place):
    """Without it there are no successors: the service manager starts all anew."""
    os.kill(zygote_of(place), signal.SIGKILL)
    assert place.helper.process.wait(DEADLINE_S) == 1
    assert "the zygote is gone" in place.helper.log(), place.helper.log()
    place.helper.stop()
    place.helper.start()
    assert place.helper.client().ask("host_report.net") == {}


def a_worker_that_dies_has_a_successor(place):
    before = place.helper.workers()
    os.kill(before["net"], signal.SIGKILL)
    gone(before["net"])
    assert place.report() == {}  # waits for it
    after = place.helper.workers()
    assert after["net"] != before["net"] and after["block"] == before["block"], (before, after)
    log = place.helper.log()
    assert f'ev=worker.died worker=net pid={before["net"]} error="worker net: killed by signal 9" pause_ms=100' in log, log


def pauses_grow_until_a_request_is_served(place):
    for pause in (100, 200, 400):
        pid = place.helper.workers()["net"]
        place.faults.plan(1, DIE)
        try:
            place.ask("ensure_bridge", **BRIDGE)
            raise AssertionError("it lived")
        except Refused as e:
            assert e.code == "helper.worker", e
        gone(pid)
        place.faults.plan(1, DIE)
        assert f"pause_ms={pause}" in place.helper.log(), place.helper.log()
        place.client.begin("no such operation")
        place.client.receive()
        wait_for_successor(place, pid)
    place.faults.none()
    assert place.report() == {}
    pid = place.helper.workers()["net"]
    os.kill(pid, signal.SIGKILL)
    gone(pid)
    assert place.report() == {}
    assert place.helper.log().count("pause_ms=100") == 2, place.helper.log()


def wait_for_successor(place, pid):
    """A worker says that it starts in the log; its supervisor forks it in its own time."""
    while place.helper.workers().get("net") in (None, pid):
        select.select([], [], [], 0.01)


def a_request_that_waits_goes_to_the_successor(place):
    place.faults.plan(1, DIE)
    first = place.client.begin("ensure_bridge", **BRIDGE)
    second = place.client.begin("host_report.net")
    reply = place.client.receive()
    assert reply["id"] == first and reply["error"]["code"] == "helper.worker", reply
    place.faults.none()
    reply = place.client.receive()
    assert reply["id"] == second and "error" not in reply, reply
    place.ask("remove_bridge", **BRIDGE)


def a_worker_that_hangs_is_killed(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.faults.plan(3, HANG)
    try:
        place.ask("create_tap", **TAP)
        raise AssertionError("it ended")
    except Refused as e:
        assert e.code == "helper.worker" and "deadline" in e.message, e
    place.faults.none()
    place.ask("delete_tap", **TAP)
    place.ask("remove_bridge", **BRIDGE)


def workers_die_with_their_supervisor(place):
    workers = place.helper.workers()
    os.kill(place.helper.main_pid(), signal.SIGKILL)
    for pid in workers.values():
        gone(pid)
    place.helper.stop()
    place.client.close()
    place.helper.start()  # in spite of the socket that is left
    place.client = place.helper.client()
    place.ask = place.client.ask
    assert place.report() == {}


def it_stops_when_told(place):
    workers = place.helper.workers()
    status = place.helper.stop()
    assert status == 0 and not os.path.exists(place.helper.path), status
    for pid in workers.values():
        gone(pid)
    place.client.close()
    place.helper.start()
    place.client = place.helper.client()


# ---- the log ----

def one_line_per_request(place):
    place.ask("ensure_bridge", **BRIDGE)
    place.ask("create_tap", **TAP)
    try:
        place.ask("ensure_bridge", bridge="eth0")
    except Refused:
        pass
    place.ask("delete_tap", **TAP)
    place.ask("remove_bridge", **BRIDGE)
    lines = [line for line in place.helper.log().splitlines() if "ev=request" in line]
    assert len(lines) == 5, lines
    words = [dict(w.split("=", 1) for w in line.split() if "=" in w) for line in lines]
    assert [(w["actor"], w["operation"], w["vm"], w["result"]) for w in words] == [
        ("helper/net", "ensure_bridge", "-", "ok"), ("helper/net", "create_tap", VM, "ok"),
        ("helper/net", "ensure_bridge", "-", "helper.refused"), ("helper/net", "delete_tap", VM, "ok"),
        ("helper/net", "remove_bridge", "-", "ok")], words
    assert all(len(w["<6>op"] if "<6>op" in w else w["<4>op"]) == 26 and int(w["dur_us"]) >= 0 for w in words), words


# ---- configuration ----

class Attempt:
    """A helper that is to refuse its configuration."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="banger-helper-")
        self.conf = os.path.join(self.top, "helper.conf")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(CONF.format(owner=OWNER))

    def check(self, *words):
        p = subprocess.run([os.environ["BANGERD_ROOT"], "--check", "--config", self.conf], capture_output=True, text=True,
                           timeout=DEADLINE_S)
        assert (p.returncode != 0) == bool(words), f"{words}: {p}"
        for word in words:
            assert word in p.stderr, f"{word}: {p.stderr}"

    def rewrite(self, text):
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(text)


def only_roots_own_configuration_is_read():
    a = Attempt()
    a.check()
    os.chown(a.conf, OWNER, 0)
    a.check("helper.conf", f"belongs to uid {OWNER}")
    os.chown(a.conf, 0, 0)
    for mode in (0o664, 0o646, 0o666):
        os.chmod(a.conf, mode)
        a.check("helper.conf", "written by others", f"{mode:04o}", "chmod go-w")
    os.chmod(a.conf, 0o644)
    a.check()
    os.rename(a.conf, a.conf + ".real")
    a.check("helper.conf", "No such file")
    os.symlink(a.conf + ".real", a.conf)
    a.check("helper.conf", "symbolic link")
    os.unlink(a.conf)
    os.mkfifo(a.conf)
    a.check("helper.conf", "no regular file")
    os.unlink(a.conf)
    os.mkdir(a.conf)
    a.check("helper.conf", "no regular file")
    shutil.rmtree(a.top)


def every_bad_line_is_named():
    a = Attempt()
    good = CONF.format(owner=OWNER)
    more = len(good.splitlines())
    for text, *words in (
            (good.replace("uid_first = 200000", "uid_first = 2e5"), "line 3", "uid_first", "2e5"),
            (good.replace("uid_first = 200000", "uid_first = -1"), "line 3", "uid_first", "-1"),
            (good.replace("uid_count = 4096", "uid_count = 4096\nstate_dir = var/lib"), "line 5", "state_dir", "absolute"),
            (good.replace("uid_count = 4096", "uid_count = 4096\nstate_dir = /"), "line 5", "state_dir", "absolute"),
            (good.replace("uid_count = 4096", "uid_count = 4096\nstate_dir = /var/../etc"), "line 5", "state_dir", "absolute"),
            (good.replace("uid_count = 4096", "uid_count = 4096\nstate_dir = /var/lib/."), "line 5", "state_dir", "absolute"),
            (good.replace("uid_count = 4096", "uid_count = 4096\nstate_dir = /var//lib"), "line 5", "state_dir", "absolute"),
            (good.replace("uid_count = 4096", "uid_count = 4096\nstate_dir = /var/lib/"), "line 5", "state_dir", "absolute"),
            (good.replace("uid_count = 4096", "uid_count = 4096\nstate_dir = /" + "x" * 160), "line 5", "state_dir", "at most 160"),
            (good.replace("uid_first = 200000", "uid_first = 0"), "uid_first", "1.."),
            (good.replace("uid_first = 200000", "uid_first = 60000").replace("4096", "9000"), "uid_first", "range"),
            (good.replace("uid_first = 200000", "uid_first = 65000"), "uid_first", "range"),
            (good.replace("uid_first = 200000", "uid_first = 2147483647"), "uid_first", "range"),
            (good.replace("uid_first = 200000\n", ""), "uid_first", "missing"),
            (good.replace("uid_count = 4096", "uid_count = 0"), "uid_count"),
            (good.replace("uid_count = 4096", "uid_count = 65537"), "uid_count"),
            (good.replace(f"owner = {OWNER}", "owner = no-such-user"), "line 2", "owner", "no-such-user"),
            (good.replace(f"owner = {OWNER}", "owner ="), "line 2", "owner"),
            (good + "[helper]\nowner = 0\n", f"line {more + 2}", "owner", "twice"),
            (good + "[helper]\nshell = yes\n", f"line {more + 2}", "shell", "unknown key"),
            (good + "[bridges]\nbr-fc = 1\n", f"line {more + 2}", "[bridges]"),
            (good + "[bridge eth0]\naddress = 10.1.0.1/16\n", f"line {more + 2}", "eth0"),
            (good + "[bridge br-fc-0123456789]\naddress = 10.1.0.1/16\n", f"line {more + 2}", "16 characters"),
            (good + "[bridge br-fc]\naddress = 10.1.0.1/16\n", f"line {more + 2}", "twice"),
            (good + "[bridge br-fc-3]\nprefix = 10\n", f"line {more + 2}", "prefix", "unknown key"),
            (good + "[bridge br-fc-3]\naddress = 10.97.3.1/24\n", f"line {more + 2}", "subnet", "br-fc"),
            (good + "[bridge br-fc-3]\naddress = 10.0.0.1/7\n", f"line {more + 2}", "prefix"),
            (good + "[bridge br-fc-3]\naddress = 10.1.0.1/31\n", f"line {more + 2}", "prefix"),
            (good + "[bridge br-fc-3]\naddress = 10.1.0.1\n", f"line {more + 2}", "prefix"),
            (good + "[bridge br-fc-3]\naddress = 10.1.0.0/16\n", f"line {more + 2}", "first or last"),
            (good + "[bridge br-fc-3]\naddress = 10.1.255.255/16\n", f"line {more + 2}", "first or last"),
            (good + "[bridge br-fc-3]\naddress = fe80::1/64\n", f"line {more + 2}", "IPv4"),
            (good + "[bridge br-fc-3]\naddress = 10.1.0.01/16\n", f"line {more + 2}", "IPv4"),
            (good + "nonsense\n", f"line {more + 1}"),
            ("", "owner", "missing")):
        a.rewrite(text)
        a.check("helper.conf", *words)
    a.rewrite(good + "".join(f"[bridge br-fc-x{i}]\naddress = 10.{i}.0.1/24\n" for i in range(15)))
    a.check("more than 16 bridges")
    a.rewrite(good.replace(f"owner = {OWNER}", "owner = root"))
    a.check()
    shutil.rmtree(a.top)


# ---- sockets and the service manager ----

def a_worker_that_cannot_start_is_told():
    """Without what it opens, before anybody is served."""
    a = Attempt()
    run("mount", "-t", "tmpfs", "tmpfs", "/proc/sys/net/ipv4")
    try:
        p = subprocess.run([os.environ["BANGERD_ROOT"], "--config", a.conf, "--socket", a.top + "/root/s"],
                           capture_output=True, text=True, timeout=DEADLINE_S)
    finally:
        run("umount", "/proc/sys/net/ipv4")
    assert p.returncode == 1 and "worker net" in p.stderr and "ip_forward" in p.stderr, p
    assert not os.path.exists(a.top + "/root/s")
    shutil.rmtree(a.top)



def fails_to_start(place, path, word):
    p = subprocess.run([os.environ["BANGERD_ROOT"], "--config", place.helper.conf, "--socket", path], capture_output=True,
                       text=True, timeout=DEADLINE_S)
    assert p.returncode == 1 and word in p.stderr, p


def a_socket_in_use_is_left_alone(place):
    fails_to_start(place, place.helper.path, "another helper listens")
    other = os.path.join(place.helper.dir, "file")
    with open(other, "w", encoding="utf-8"):
        pass
    fails_to_start(place, other, "no socket")
    os.chmod(place.top, 0o777)
    fails_to_start(place, os.path.join(place.top, "s"), "writable by nobody else")
    os.chmod(place.top, 0o755)
    fails_to_start(place, "relative/s", "absolute")
    assert place.report() == {}


def a_listening_socket_may_be_handed_over():
    top = tempfile.mkdtemp(prefix="banger-helper-")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(top + "/given")
    listener.listen()
    helper = Given(top, listener)
    client = Client(top + "/given")
    assert client.ask("host_report.net") == {}
    assert not os.path.exists(helper.path)
    assert os.stat(top + "/given").st_uid == OWNER
    client.close()
    assert helper.stop() == 0
    assert os.path.exists(top + "/given"), "it is not ours to remove"
    shutil.rmtree(top)


class Given(Helper):
    """Started as systemd would: the socket is descriptor 3."""

    def __init__(self, top, listener):
        self.listener = listener
        os.set_inheritable(listener.fileno(), True)
        super().__init__(top)

    def start(self):
        script = f'exec 3<&{self.listener.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        self.prefix, kept = ["sh", "-c", script, "sh"], self.prefix
        real = subprocess.Popen
        subprocess.Popen = lambda *a, **k: real(*a, **{**k, "pass_fds": [self.listener.fileno()]})
        try:
            super().start()
        finally:
            subprocess.Popen = real
            self.prefix = kept


def the_service_manager_is_told():
    top = tempfile.mkdtemp(prefix="banger-helper-")
    helper = Watched(top)  # READY=1 is what start() waits for
    for _ in range(3):
        helper.said("WATCHDOG=1")
    os.kill(helper.main_pid(), signal.SIGTERM)
    helper.said("STOPPING=1")
    assert helper.stop() == 0
    shutil.rmtree(top)


class Watched(Helper):
    def start(self):
        self.prefix = ["sh", "-c", 'WATCHDOG_PID=$$ WATCHDOG_USEC=200000 exec "$@"', "sh"]
        super().start()
        self.prefix = []


# ---- the developer's tool ----

def ctl(place, *words):
    p = subprocess.run([os.environ["BANGER_HELPERCTL"], "--socket", place.helper.path, *words], capture_output=True, text=True,
                       timeout=DEADLINE_S)
    return p.returncode, p.stdout, p.stderr


def helperctl_asks_and_prints(place):
    status, out, err = ctl(place, "ensure_bridge", "bridge=br-fc")
    assert status == 0 and json.loads(out) == {"bridge": "br-fc", "address": "10.97.0.1", "prefix": 16, "slots": 4096}, err
    status, out, err = ctl(place, "create_tap", "bridge=br-fc", "slot=3", "vm=" + VM, "descriptor=true")
    assert status == 0 and json.loads(out)["uid"] == 200003 and "1 descriptors" in err, (out, err)
    status, out, err = ctl(place, "host_report.net")
    assert json.loads(out) == {"bridges": ["br-fc"], "taps": ["bg-" + VM], "nat": [], "partial": False}, out
    status, _, err = ctl(place, "remove_bridge", "bridge=br-fc")
    assert status == 1 and "net.busy" in err, err
    assert ctl(place, "delete_tap", "bridge=br-fc", "slot=3", "vm=" + VM)[0] == 0
    assert ctl(place, "remove_bridge", "bridge=br-fc")[0] == 0


def helperctl_says_what_is_wrong(place):
    for words, status, text in ((["create_tab"], 2, "create_tap"), ([], 2, "usage"),
                                (["create_tap", "bridge=br-fc"], 1, "slot: missing"),
                                (["create_tap", "bridge=br-fc", "slot=x"], 1, '"x"'),
                                (["create_tap", "bridge=br-fc", "slut=1"], 1, "slut=1"),
                                (["create_tap", "bridge=br-fc", "slot=1", "vm=x"], 1, "vm: "),
                                (["create_tap", "bridge=br-fc", "slot=1", "descriptor=x"], 1, "descriptor: "),
                                (["ensure_bridge", "bridge=eth0"], 1, "helper.refused")):
        got, _, err = ctl(place, *words)
        assert got == status and text in err, (words, got, err)
    status, out, _ = ctl(place, "--list")
    assert status == 0 and "create_tap" in out and "host_report.net" in out, out
    status, out, _ = ctl(place, "--list", "create_tap")
    assert status == 0 and "slot" in out and "(optional)" in out, out
    place.helper.stop()
    status, _, err = ctl(place, "host_report.net")
    assert status == 1 and "helper.down" in err, err
    place.helper.start()
    place.client.close()
    place.client = place.helper.client()


main([
    the_socket_is_the_owners_alone,
    the_owner_and_root_may_ask,
    a_stranger_is_told_and_turned_away,
    the_owner_leaves_room_for_root,
    bad_frames_end_the_connection,
    bad_requests_fail_alone,
    a_frame_may_come_byte_by_byte,
    descriptors_sent_to_it_are_dropped,
    answers_come_in_the_order_of_the_requests,
    who_does_not_read_makes_only_himself_wait,
    a_request_that_has_begun_goes_on_when_its_peer_is_gone,
    workers_are_confined,
    the_supervisor_keeps_nothing,
    the_zygote_keeps_what_its_children_need,
    the_helper_ends_with_its_zygote,
    a_worker_that_dies_has_a_successor,
    pauses_grow_until_a_request_is_served,
    a_request_that_waits_goes_to_the_successor,
    a_worker_that_hangs_is_killed,
    workers_die_with_their_supervisor,
    it_stops_when_told,
    one_line_per_request,
    only_roots_own_configuration_is_read,
    every_bad_line_is_named,
    a_worker_that_cannot_start_is_told,
    a_socket_in_use_is_left_alone,
    a_listening_socket_may_be_handed_over,
    the_service_manager_is_told,
    helperctl_asks_and_prints,
    helperctl_says_what_is_wrong,
])
