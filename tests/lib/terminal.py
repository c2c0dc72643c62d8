"""A program in a pseudo-terminal: what a user would type, and what they would see."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

ESCAPES = re.compile(r"\x1b(?:\[[0-9;?>=]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Za-z0-9]|[=>78cDEHM])")


class Terminal:
    def __init__(self, argv, env, cwd=None, rows=50, cols=100):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                if cwd:
                    os.chdir(cwd)
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
                os.execvpe(argv[0], argv, env)
            finally:
                os._exit(127)

    def send(self, text):
        os.write(self.fd, text.encode())

    def text(self):
        """All that was shown so far, without what moves the cursor and colours."""
        return ESCAPES.sub("", self.seen).replace("\r", "")

    def read(self, seconds):
        """False when nothing came, or the program has ended."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: nobody has the other side open
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def expect(self, *patterns, seconds=30):
        """Waits until what was shown since the last time has them all, in any order."""
        end = time.monotonic() + seconds
        while True:
            text = self.text()
            found = [re.search(p, text) for p in patterns]
            if all(found):
                self.seen = text[max(m.end() for m in found):]
                return found
            if time.monotonic() > end or not self.read(1) and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG
                                                                        | os.WNOWAIT):
                raise AssertionError(f"not all of {patterns!r} in {text!r}")

    def close(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
