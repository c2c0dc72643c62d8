"""The files that are checked, and just enough of a C lexer to look at code without its comments."""
import os
import re
import subprocess

SKIPPED_DIRS = re.compile(r"^(build.*|out|\.git|__pycache__|subprojects)$")


class Tree:
    """A checkout: tracked and new files where git knows it, else every file below root."""

    def __init__(self, root):
        self.root = root
        self.paths = sorted(p for p in self._listed() if os.path.isfile(os.path.join(root, p)))
        self._text = {}

    def _listed(self):
        if os.path.exists(os.path.join(self.root, ".git")):
            out = subprocess.run(
                ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                cwd=self.root, check=True, capture_output=True, text=True).stdout
            return [p for p in out.split("\0") if p]
        found = []
        for folder, dirs, names in os.walk(self.root):
            dirs[:] = [d for d in dirs if not SKIPPED_DIRS.match(d)]
            found += [os.path.relpath(os.path.join(folder, n), self.root) for n in names]
        return found

    def full(self, path):
        return os.path.join(self.root, path)

    def has(self, path):
        return os.path.isfile(self.full(path))

    def text(self, path):
        """The file's text, or None when it is not text (vectors, corpora)."""
        if path not in self._text:
            with open(self.full(path), "rb") as f:
                data = f.read()
            try:
                self._text[path] = None if b"\0" in data else data.decode()
            except UnicodeDecodeError:
                self._text[path] = None
        return self._text[path]

    def sources(self, *suffixes):
        return [p for p in self.paths if p.endswith(suffixes)]


_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def strip(text, strings=False):
    """Blanks comments out (and the insides of string literals, if asked); lines stay where they are."""
    def blank(m):
        token = m.group(0)
        if token.startswith("/"):
            return re.sub(r"[^\n]", " ", token)
        if strings and token.startswith('"'):
            return '"' + " " * (len(token) - 2) + '"'
        return token
    return _TOKEN.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def arguments(text, open_paren):
    """What stands between the parenthesis at open_paren and its partner."""
    depth = 0
    for i in range(open_paren, len(text)):
        if text[i] == "(":
            depth += 1
        elif text[i] == ")":
            depth -= 1
            if depth == 0:
                return text[open_paren + 1:i]
    return text[open_paren + 1:]
