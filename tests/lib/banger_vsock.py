"""A guest behind the stand-in for Firecracker in a jail: an agent that is called through its vsock, and rings.

Runs beside the jail, as root, which may come to the sockets in it.
"""
import os
import signal
import socket
import subprocess
import threading

from banger_session import wait_for
from harness import read_file

AGENT_PORT, RING_PORT = 1023, 1024


class JailedGuest:
    """Of the one VM that is being made; it is up once its VMM listens."""

    def __init__(self, session):
        self.session, self.agents = session, []
        self.folder = self.listener = None
        threading.Thread(target=self.live, daemon=True).start()

    def find(self):
        """Its id and its VMM, once that listens; (None, None) before: the daemon tells of neither before it runs."""
        for vm in os.listdir(self.session.group):
            pids = read_file(f"{self.session.group}/{vm}/cgroup.procs").split()
            if pids and os.path.exists(f"{self.session.state}/jails/{vm}/run/vsock"):
                return vm, int(pids[0])
        return None, None

    def live(self):
        try:
            wait_for(lambda: self.find()[0], "no VM", 60)
        except (AssertionError, OSError):
            return  # its creation has failed, and says so
        vm, vmm = self.find()
        self.folder = f"{self.session.state}/jails/{vm}/run"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{self.folder}/vsock.guest_{AGENT_PORT}")
        os.chmod(f"{self.folder}/vsock.guest_{AGENT_PORT}", 0o666)
        self.listener.listen()
        self.ring()
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.converse, args=(connection, vmm), daemon=True).start()

    def ring(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{self.folder}/vsock_{RING_PORT}")

    def converse(self, connection, vmm):
        """The agent that ends by itself has powered off."""
        with connection, subprocess.Popen([f"{self.session.libexec}/banger-agent", "--fd", str(connection.fileno())],
                                          pass_fds=[connection.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as agent:
            self.agents.append(agent)
            if agent.wait() == 0 and os.path.exists(f"/proc/{vmm}"):
                os.kill(vmm, signal.SIGTERM)
