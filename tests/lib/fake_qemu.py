#!/usr/bin/env python3
"""What the daemon needs of QEMU, without a guest: the agent runs here, as a process of the test.

Takes QEMU's command line, accepts on the sockets that it inherits, and ends when the agent does.  So a
test has commands in a "guest" where no kernel can be booted, or in no time.  $FAKE_AGENT is the agent; it is told the
VM's name in $FAKE_NAME.  A VM whose name begins with "hang" never comes up.  In the session's directory:

    fake/starts    a line per start: the accelerator, and the guest's command line
    fake/tcg       how it goes under this accelerator, fake/kvm likewise; without the file it goes well:
                     loop MS     the probe's loop takes that long
                     silent      nothing comes up
                     fail WORDS  ends with status 1 and these words
"""
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

TOP = os.environ["FAKE_TOP"]
PR_SET_PDEATHSIG = 1


def die_with_us():
    """As a guest does when its VMM is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def listener(argv, name, wait="on"):
    """One of the sockets that we inherit, if it is to be waited for; or None."""
    for word in argv:
        m = re.match(rf"socket,id={name},fd=(\d+),server=on,wait={wait}", word)
        if m:
            return socket.socket(fileno=int(m.group(1)))
    return None


def accepted(listening):
    """The daemon's connection, waited for as QEMU does with wait=on."""
    return listening.accept()[0] if listening else None


def received(connection):
    try:
        return connection.recv(4096)
    except OSError:
        return b""


BALLOON = {"swap-in": 0, "swap-out": 8192, "major-faults": 313, "minor-faults": 54321, "free-memory": 32 << 20,
           "total-memory": 64 << 20, "available-memory": 48 << 20, "disk-caches": 8 << 20, "htlb-pgalloc": (1 << 64) - 1,
           "htlb-pgfail": (1 << 64) - 1}  # this kernel has not told the last two


def monitor(connection):
    """QMP, as far as the daemon asks."""
    connection.sendall(b'{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}\r\n')
    with connection.makefile("r", encoding="utf-8") as lines:
        for text in lines:
            asked = json.loads(text)
            result = {"stats": {f"stat-{k}": v for k, v in BALLOON.items()}, "last-update": 1} if asked["execute"] == "qom-get" else {}
            try:
                connection.sendall(json.dumps({"return": result, "id": asked["id"]}).encode() + b"\r\n")
            except OSError:
                return


def monitors(listening, connection):
    """A daemon's, and that of the one after it."""
    while True:
        try:
            monitor(connection)
        except OSError:
            pass
        connection.close()
        connection = accepted(listening)


def line(console, log):
    """The guest's serial line, which prints what is typed; also in the log, as QEMU does whether somebody is connected or
    not.  A Ctrl-C fills the line until nobody takes it any more: who is connected has to read."""
    with open(log, "ab", buffering=0) as f:
        f.write(b"login: ")
        while True:
            typist = console.accept()[0]
            while keys := received(typist):
                for out in (b"\r\n".join([b"flood"] * 100000) if b"\3" in keys else b"", keys):
                    f.write(out)
                    try:
                        typist.sendall(out)
                    except OSError:
                        pass


def vm_name(argv):
    return re.match(r"guest=([a-z0-9-]+)", argv[argv.index("-name") + 1]).group(1)


def behaviour(accel):
    try:
        with open(f"{TOP}/fake/{accel}", encoding="utf-8") as f:
            verb, _, rest = f.read().strip().partition(" ")
            return verb, rest
    except FileNotFoundError:
        return "loop", "1"


def probe(console, cmdline, how, rest):
    if how != "silent":
        console.sendall(b"banger-probe: up\r\n")
    if how == "loop" and "bench" in cmdline:
        time.sleep(int(rest) / 1000)
        console.sendall(b"banger-probe: bench done\r\n")
    while "exit" not in cmdline or how == "silent":
        time.sleep(3600)


def hung_up(connection):
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def guest(listening, connection, name):
    """The agent, until the guest powers off.  A daemon that goes is no reason to: another one will connect."""
    while True:
        status = subprocess.run([os.environ["FAKE_AGENT"], "--fd", str(connection.fileno())], check=False,
                                preexec_fn=die_with_us, pass_fds=[connection.fileno()],
                                env=dict(os.environ, FAKE_NAME=name)).returncode
        if not hung_up(connection):
            return status
        connection.close()
        connection = accepted(listening)


def main(argv):
    accel = re.search(r"-accel (\w+)", " ".join(argv)).group(1)
    cmdline = argv[argv.index("-append") + 1] if "-append" in argv else ""
    with open(f"{TOP}/fake/starts", "a", encoding="utf-8") as f:
        f.write(f"{accel} {cmdline}\n")
    how, rest = behaviour(accel)
    if how == "fail":
        print(f"qemu-system-x86_64: {rest}", file=sys.stderr)
        return 1
    sockets = {name: listener(argv, name) for name in ("control", "console", "agent")}
    control, console, agent = (accepted(listening) for listening in sockets.values())
    if control:
        threading.Thread(target=monitors, args=(sockets["control"], control), daemon=True).start()
    if console:
        return probe(console, cmdline.split(), how, rest)
    late = listener(argv, "console", "off")
    if late:
        log = next(re.search(r",logfile=([^,]*),", w).group(1) for w in argv if "id=console," in w)
        threading.Thread(target=line, args=(late, log), daemon=True).start()
    if how == "silent" or vm_name(argv).startswith("hang"):
        while agent.recv(4096):
            pass
        return 0
    return guest(sockets["agent"], agent, vm_name(argv))


sys.exit(main(sys.argv[1:]))
