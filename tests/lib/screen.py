"""A person at a terminal: runs a command on a pseudo-terminal and reads its screen, as pyte draws it."""
import os
import re
import time

import pexpect
import pyte

STEP_S = 60


class Screen:
    """One command on a terminal of its own.  Keys are pressed when the screen says what they wait for."""

    def __init__(self, argv, env, cols=110, rows=24):
        self.display = pyte.Screen(cols, rows)
        self.stream = pyte.ByteStream(self.display)
        self.raw = b""
        env = {k: v for k, v in env.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
        self.child = pexpect.spawn(argv[0], argv[1:], dimensions=(rows, cols), timeout=STEP_S,
                                   env={**env, "TERM": "xterm"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.close(force=True)

    def text(self):
        return "\n".join(line.rstrip() for line in self.display.display).rstrip()

    def _take(self):
        data = self.child.read_nonblocking(65536, timeout=STEP_S)
        self.raw += data
        self.stream.feed(data)

    def until(self, pattern):
        """Reads until the screen shows `pattern`; the screen then.  A display that is redrawn for ever ends it too."""
        end = time.monotonic() + STEP_S
        while not re.search(pattern, self.text()):
            try:
                if time.monotonic() > end:
                    raise pexpect.TIMEOUT("it is drawn again and again")
                self._take()
            except (pexpect.EOF, pexpect.TIMEOUT) as e:
                raise AssertionError(f"no {pattern!r} on the screen ({type(e).__name__}):\n{self.text()}") from e
        return self.text()

    def press(self, keys):
        self.child.send(keys)

    def end(self):
        """Reads to the end; the last screen and the exit status (128 + n for a signal)."""
        try:
            while True:
                self._take()
        except pexpect.EOF:
            pass
        self.child.close()
        status = self.child.exitstatus
        return self.text(), status if status is not None else 128 + self.child.signalstatus


def steady(text):
    """The screen without what differs from run to run: times, ids, op ids, paths."""
    text = re.sub(r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "01J00000000000000000000000", text)
    text = re.sub(r"(?m)^[0-9a-hjkmnp-tv-z]{12}\b", "aaaabbbbcccc", text)
    text = re.sub(r"\b\d+(\.\d+)? (ms|s)\b", "0.0 s", text)
    text = re.sub(r"/\S*/banger-e2e-\w+", "~", text)
    text = re.sub(r"(?m)\b\d+s$", "0s", text)
    return re.sub(r"\b\d+(\.\d+)? GiB memory", "2 GiB memory", text)
