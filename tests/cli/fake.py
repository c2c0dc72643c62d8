"""What the tests of the command line share: directories of their own and a fake daemon in them."""
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
WAIT_S = 60
OP_ID_TEXT = "01J9ZKQ5T00000000000000000"  # of the one operation that the fake daemon knows


class Case(unittest.TestCase):
    banger = None  # path; set by who inherits

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="banger-cli-")
        self.log = os.path.join(self.dir, "log")
        self.env = dict(os.environ, BANGER_RUNTIME_DIR=self.dir + "/run", BANGER_STATE_DIR=self.dir + "/state",
                        BANGER_CACHE_DIR=self.dir + "/cache",
                        BANGER_CONFIG_DIR=self.dir + "/config", FAKE_LOG=self.log, TERM="xterm",
                        BANGER_DAEMON=os.path.join(HERE, "fake_bangerd.py"))
        self.env.pop("NO_COLOR", None)

    def tearDown(self):
        for line in self.lines("start"):
            try:
                os.kill(int(line.split()[1]), signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.dir)

    def lines(self, begin=""):
        try:
            with open(self.log) as f:
                return [x.rstrip("\n") for x in f if x.startswith(begin)]
        except FileNotFoundError:
            return []

    def run_cli(self, *args, input=b"", env=None):
        p = subprocess.run([self.banger, *args], input=input, capture_output=True, timeout=WAIT_S, env=env or self.env)
        self.assertNotIn(b"Sanitizer", p.stderr)
        return p.returncode, p.stdout.decode(), p.stderr.decode()

    def popen(self, *args, **kw):
        kw = dict(dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env), **kw)
        return subprocess.Popen([self.banger, *args], **kw)

    def until(self, begin):
        """Waits for a line of the daemon's log: the only event that a test has of it."""
        end = time.monotonic() + WAIT_S
        while not self.lines(begin):
            self.assertLess(time.monotonic(), end, "no line " + begin)
            select.select([], [], [], 0.01)
