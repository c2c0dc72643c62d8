"""Kill -9 of the daemon, or of the root helper, at each question between them: nothing is left after the restart.

A proxy stands on the helper's socket, counts questions, and kills when it has the one that is meant: before it is passed on, or
once it is answered and the answer held back.  A VM that does not come up in time goes through every step and every undo.

SYSTEM_KILLS=all: each question has all four kinds; else each has two, one of either service.
"""
import os
import socket
import struct
import subprocess
import threading

import msgpack

import banger_system
from banger_session import wait_for
from banger_system import BANGER, DAEMON, HELPER, banger, host_is_empty, is_again, kill, main_pid, put, run, systemctl, taken, vms, vmms

REAL, PROXY = "/run/banger-root/bangerd-root.sock", "/run/proxy/helper.sock"
MOVING = {"creating", "starting", "stopping", "deleting"}


class Plan:
    """The question that is meant, and what happens then."""

    def __init__(self, at=0, when=None, victim=None):
        self.at, self.when, self.victim = at, when, victim
        self.asked, self.struck, self.lock = [], threading.Event(), threading.Lock()

    def question(self, method):
        """True: this is it."""
        with self.lock:
            self.asked.append(method)
            return len(self.asked) == self.at

    def strike(self):
        kill(main_pid(self.victim))
        self.struck.set()


class Proxy:
    def __init__(self):
        os.makedirs(os.path.dirname(PROXY), mode=0o755)
        self.plan = Plan()
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(PROXY)
        os.chmod(PROXY, 0o666)
        self.server.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near = self.server.accept()[0]
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(REAL)
            except OSError:
                near.close()
                continue
            held = threading.Event()  # the next answer is not passed on
            for pump in self.pass_questions, self.pass_answers:
                threading.Thread(target=pump, args=(near, far, held), daemon=True).start()

    def pass_questions(self, near, far, held):
        data = b""
        try:
            while more := near.recv(65536):
                data += more
                while len(data) >= 4 and len(data) >= 4 + struct.unpack(">I", data[:4])[0]:
                    end = 4 + struct.unpack(">I", data[:4])[0]
                    self.pass_one(data[:end], far, held)
                    data = data[end:]
        except (OSError, InterruptedError):
            pass
        shut(near, far)

    def pass_one(self, frame, far, held):
        plan, message = self.plan, msgpack.unpackb(frame[4:])
        meant = message.get("type") == "request" and plan.question(message["method"])
        if meant and plan.when == "before":
            plan.strike()
            raise InterruptedError
        if meant:
            held.set()
        far.sendall(frame)

    def pass_answers(self, near, far, held):
        try:
            while True:
                data, fds, _, _ = socket.recv_fds(far, 65536, 16)
                if held.is_set():
                    self.plan.strike()
                    data = b""
                if data:
                    socket.send_fds(near, [data], fds)
                for fd in fds:
                    os.close(fd)
                if not data:
                    break
        except OSError:
            pass
        shut(near, far)


def shut(*sockets):
    for s in sockets:
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


proxy = None


def prepare():
    global proxy
    proxy = Proxy()
    banger_system.install_with_guests(f"helper = {PROXY}\n")  # in [paths]
    for name in DAEMON, HELPER:
        banger_system.drop_in(name, "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=100ms\n")
    put("/proc/sys/kernel/printk", "1")
    banger("ping")


def life(plan):
    """A VM that does not come up; the command's client may lose its daemon meanwhile."""
    proxy.plan = plan
    with subprocess.Popen([BANGER, "vm", "create", "--name", "k", "--nat", "--memory", "128M", "--timeout", "1s"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as command:
        said = command.communicate(timeout=120)[0]
    wait_for(lambda: not MOVING & {v["state"] for v in vms()}, "VMs still move")
    return said


def settled():
    """What is recorded, what the helper finds, and what runs, agree: nothing is held where nothing runs."""
    assert not {"running"} & {v["state"] for v in vms()}, vms()
    wait_for(lambda: not any(taken().values()) and vmms() == {}, f"still there: {taken()} {vmms()}", 60)


def questions():
    plan = Plan()
    life(plan)
    banger("vm", "delete", "--all", "-f")
    host_is_empty()
    return plan.asked


def struck(at, when, victim):
    before = main_pid(victim)
    plan = Plan(at, when, victim)
    said = life(plan)
    assert plan.struck.is_set(), f"question {at} never came: {plan.asked}"
    is_again(victim, before)
    settled()
    banger("vm", "delete", "--all", "-f", check=False)
    host_is_empty()
    print(f"# {at} {plan.asked[at - 1]}, {when}, {victim}: {said.splitlines()[-2:]}", flush=True)


def every(victim, whens):
    asked = questions()
    assert {"create_dm_snapshot", "create_tap", "ensure_nat", "launch_vmm", "kill_vmm", "cleanup_jail", "remove_nat", "delete_tap",
            "remove_dm_snapshot"} <= set(asked), asked
    for at in range(1, len(asked) + 1):
        for when in whens(at):
            try:
                struck(at, when, victim)
            except Exception as e:
                raise AssertionError(f"{victim} killed {when} question {at}, {asked[at - 1]}: {e}") from e


ALL = os.environ.get("SYSTEM_KILLS") == "all"
WHENS = ("before", "after")


def the_daemon_may_die_at_every_question():
    every(DAEMON, lambda at: WHENS if ALL else WHENS[at % 2:][:1])


def the_helper_may_die_at_every_question():
    every(HELPER, lambda at: WHENS if ALL else WHENS[(at + 1) % 2:][:1])


banger_system.main([the_daemon_may_die_at_every_question, the_helper_may_die_at_every_question], prepare=prepare)
