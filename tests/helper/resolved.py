"""A system bus of the test's own, in a /run of its own, with somebody on it who answers for systemd-resolved."""
import os
import shutil
import subprocess

from harness import DEADLINE_S, run

SOCKET = "/run/dbus/system_bus_socket"
CONF = """<busconfig>
<listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
"""


class Bus:
    """The bus, and unless told otherwise a fake systemd-resolved that writes down its calls."""

    def __init__(self, resolved=True, fail=None):
        self.resolved, self.fail, self.lines = resolved, fail, []

    def __enter__(self):
        if not os.path.ismount("/run"):
            run("mount", "-t", "tmpfs", "tmpfs", "/run")
        os.makedirs("/run/dbus", exist_ok=True)
        with open("/run/dbus/test.conf", "w", encoding="utf-8") as f:
            f.write(CONF.format(socket=SOCKET))
        self.daemon = subprocess.Popen(["dbus-daemon", "--nofork", "--print-address", "--config-file=/run/dbus/test.conf"],
                                       stderr=subprocess.DEVNULL,  # that it may not raise a limit
                                       stdout=subprocess.PIPE, text=True)
        assert self.daemon.stdout.readline()
        if self.resolved:
            fail = ["fail", self.fail] if self.fail else []
            self.fake = subprocess.Popen([os.environ["FAKE_RESOLVED"], "unix:path=" + SOCKET, *fail], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert self.fake.stdout.readline() == "ready\n"
        return self

    def stop_resolved(self):
        """Ends it; returns what it was told."""
        if self.resolved:
            out, _ = self.fake.communicate(timeout=DEADLINE_S)
            self.lines += out.splitlines()
            self.resolved = False
        return self.lines

    def __exit__(self, *_):
        self.stop_resolved()
        self.daemon.kill()
        self.daemon.wait(DEADLINE_S)
        self.daemon.stdout.close()
        shutil.rmtree("/run/dbus")
