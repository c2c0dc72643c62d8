#!/usr/bin/env python3
"""banger-agent on vsock, whose kernel has a loopback: it rings, listens, and talks to whoever called last.

Prints TAP.  77 where the kernel has no vsock; tests/kernel runs it in the test VM.
"""
import os
import socket
import subprocess
import sys
import time
import traceback

from banger_agent import DEADLINE_S, Daemon

AGENT = sys.argv[1]
LOCAL = socket.VMADDR_CID_LOCAL if hasattr(socket, "VMADDR_CID_LOCAL") else 1
RING, LISTEN = 6000, 1022
NOBODY = 65534


def listening(port=RING):
    s = socket.socket(socket.AF_VSOCK)
    s.settimeout(DEADLINE_S)
    s.bind((socket.VMADDR_CID_ANY, port))
    s.listen(4)
    return s


def connected(port=LISTEN):
    """To the agent, as soon as it listens."""
    until = time.monotonic() + DEADLINE_S
    while True:
        s = socket.socket(socket.AF_VSOCK)
        s.settimeout(DEADLINE_S)
        try:
            s.connect((LOCAL, port))
            return Daemon(s)
        except ConnectionResetError:
            s.close()
            assert time.monotonic() < until, "the agent does not listen"
            time.sleep(0.05)


class Agent:
    def __enter__(self):
        self.process = subprocess.Popen([AGENT, "--vsock", str(LOCAL), str(RING), str(LISTEN)])
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def rings(host):
    """It asks to be called, and says nothing."""
    with host.accept()[0] as s:
        s.settimeout(DEADLINE_S)
        assert s.recv(1) == b""


def it_rings_when_it_comes_up():
    with listening() as host, Agent():
        rings(host)
        with connected() as daemon:
            assert daemon.greet().exec("echo", "hey") == b"hey\n"


def it_rings_until_it_is_called():
    with Agent():
        time.sleep(0.5)  # at least one attempt in vain
        with listening() as host:
            for _ in range(2):
                rings(host)
            with connected() as daemon:
                assert daemon.greet().exec("echo", "hey") == b"hey\n"


def a_daemon_that_heard_nothing_calls():
    with Agent():
        with connected() as daemon:
            assert daemon.greet().exec("echo", "hey") == b"hey\n"


def a_newer_call_takes_the_place():
    with Agent(), connected() as old:
        old.greet()
        old.send(type="request", id=7, method="exec", args={"argv": ["sh", "-c", "echo $$; exec sleep 1000"]})
        old.send(type="credit", id=7, stream=1, bytes=1 << 20)
        pid = int(old.frame()["bytes"])
        with connected() as new:
            assert new.greet().exec("echo", "hey") == b"hey\n"
            assert old.ended()
            # What the conversation before had begun is over.
            until = time.monotonic() + DEADLINE_S
            while os.path.exists(f"/proc/{pid}"):
                assert time.monotonic() < until, "the command of the old conversation still runs"
                time.sleep(0.05)
            assert new.exec("echo", "still") == b"still\n"


def after_a_conversation_it_rings_again():
    with listening() as host, Agent():
        for _ in range(3):
            rings(host)
            with connected() as daemon:
                assert daemon.greet().exec("echo", "hey") == b"hey\n"


def what_listens_on_the_ring_is_no_daemon():
    """Whoever takes the host's place there is told nothing, and what he says is not read."""
    with listening() as host, Agent():
        with host.accept()[0] as s:
            s.settimeout(DEADLINE_S)
            try:
                Daemon(s).greet()
            except (OSError, AssertionError, IndexError, EOFError):
                return
            raise AssertionError("the agent has answered at a port that it rings at")


def only_root_may_listen_in_its_place():
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            with socket.socket(socket.AF_VSOCK) as s:
                s.bind((socket.VMADDR_CID_ANY, LISTEN))
            os._exit(1)
        except PermissionError:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "an ordinary process may bind the agent's port"


def a_frame_cut_in_two_is_forgotten_with_its_connection():
    with Agent():
        with connected() as daemon:
            daemon.greet()
            daemon.sock.sendall((1000).to_bytes(4, "big") + b"\x85half")
        with connected() as daemon:
            assert daemon.greet().exec("echo", "hey") == b"hey\n"


def bytes_come_through_in_bulk():
    with Agent(), connected() as daemon:
        daemon.greet()
        daemon.send(type="request", id=3, method="exec", args={"argv": ["head", "-c", "8000000", "/dev/zero"]})
        daemon.send(type="credit", id=3, stream=1, bytes=1 << 20)
        daemon.send(type="credit", id=3, stream=2, bytes=1 << 20)
        got = 0
        while (frame := daemon.frame())["type"] != "reply":
            n = len(frame.get("bytes", b""))
            got += n
            if n and frame["stream"] == 1:
                daemon.send(type="credit", id=3, stream=1, bytes=n)
        assert got == 8000000, got


STORIES = [it_rings_when_it_comes_up, it_rings_until_it_is_called, a_daemon_that_heard_nothing_calls,
           a_newer_call_takes_the_place, after_a_conversation_it_rings_again, what_listens_on_the_ring_is_no_daemon,
           only_root_may_listen_in_its_place, a_frame_cut_in_two_is_forgotten_with_its_connection, bytes_come_through_in_bulk]


def main():
    try:
        listening().close()
        with socket.socket(socket.AF_VSOCK) as s:
            s.settimeout(5)
            s.connect((LOCAL, 1))
    except ConnectionResetError:
        pass
    except OSError as e:
        print(f"vsock: {e}: no loopback in this kernel", file=sys.stderr)
        return 77
    print(f"1..{len(STORIES)}")
    failed = 0
    for n, story in enumerate(STORIES, 1):
        try:
            story()
            print(f"ok {n} - {story.__name__}", flush=True)
        except Exception:  # a story may fail in any way
            failed += 1
            print(f"not ok {n} - {story.__name__}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    return 1 if failed else 0


sys.exit(main())
