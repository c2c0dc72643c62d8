"""The checks.  Each takes a Tree and yields complaints; none means that the tree is tidy."""
import concurrent.futures
import os
import re
import shutil
import subprocess

import rooms
from tree import arguments, line_of, strip

CODE = ("src/", "cli/", "guest/", "bench/", "docs/", "tests/")
CHECKS = {}  # name -> function, in order
SLOW = set()  # left out by --fast


class Skip(Exception):
    """The check cannot run here, and why."""


def check(name, slow=False):
    def add(f):
        CHECKS[name] = f
        if slow:
            SLOW.add(name)
        return f
    return add


def code(tree, *suffixes):
    return [p for p in tree.sources(*suffixes) if p.startswith(CODE)]


# ---- who may include whom ----

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)', re.M)


def include_quoted(tree, path, name):
    own = rooms.room_of(path)
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    for found in (os.path.normpath(os.path.join("src", name)), os.path.normpath(name), beside):
        if tree.has(found):
            break
    else:
        return f'no header "{name}"'
    target = rooms.room_of(found)
    if own is None or target is None:
        return f'"{name}": {found if own else path} lies in no room'
    allowed = rooms.ROOMS[own]
    if allowed is None or target == own or target in allowed:
        return None
    return f'{own} may not include {target} ("{name}")'


def include_foreign(path, name):
    own = rooms.room_of(path)
    if own is None or rooms.ROOMS[own] is None:
        return None
    for pattern, homes in rooms.FOREIGN.items():
        if re.fullmatch(pattern, name):
            return None if own in homes else f"<{name}> lives in {' '.join(homes) or 'tests/'} only"
    if name in rooms.LIBC or re.fullmatch(rooms.LIBC_FOLDERS, name):
        return None
    if re.fullmatch(rooms.KERNEL, name):
        return f"{own} is to be pure: <{name}>" if own in rooms.KERNEL_BANNED else None
    return f"<{name}> is neither libc's nor in the table FOREIGN of tests/tidy/rooms.py"


@check("rooms include only whom they may")
def includes(tree):
    for path in code(tree, ".c", ".h", ".def"):
        text = strip(tree.text(path))
        for m in INCLUDE.finditer(text):
            why = include_quoted(tree, path, m[1]) if m[1] else include_foreign(path, m[2])
            if why:
                yield f"{path}:{line_of(text, m.start())}: {why}"


@check("a source includes its own header first")
def own_header_first(tree):
    for path in code(tree, ".c"):
        if path.startswith("tests/"):
            continue
        header = path[:-2] + ".h"
        first = INCLUDE.search(strip(tree.text(path)))
        if tree.has(header) and (not first or os.path.basename(first[1] or "") != os.path.basename(header)):
            yield f"{path}: {header} is not its first include"


@check("headers open with what they are, and once")
def header_form(tree):
    for path in code(tree, ".h"):
        text = tree.text(path)
        if not text.startswith(f"/* {os.path.basename(path)} - "):
            yield f"{path}: does not begin with /* {os.path.basename(path)} - what it is"
        if "\n#pragma once\n" not in text:
            yield f"{path}: no #pragma once"


@check("headers compile alone", slow=True)
def headers_alone(tree):
    cc = os.environ.get("CC", "cc").split()
    if not shutil.which(cc[0]):
        raise Skip(f"no {cc[0]}")
    flags = ["-std=gnu17", "-D_GNU_SOURCE", '-DBANGER_VERSION="0"', "-fsyntax-only", "-Wall", "-Werror",
             "-Wno-pragma-once-outside-header", "-Isrc", "-I.", "-xc"]

    def complain(path):
        # -include twice would not notice a missing guard in an empty unit; two #includes do.
        unit = f'#include "{path}"\n#include "{path}"\n'
        run = subprocess.run(cc + flags + ["-"], input=unit, cwd=tree.root, capture_output=True, text=True)
        if run.returncode == 0:
            return None
        return f"{path}: " + next((x for x in run.stderr.splitlines() if "error" in x), run.stderr)

    headers = [p for p in code(tree, ".h")]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        yield from filter(None, pool.map(complain, headers))


# ---- tables ----

ENUM = re.compile(r"\benum\s+(\w+)\s*\{([^{}]*)\}")
MEMBER = re.compile(r"\b([A-Z][A-Z0-9_]*)\b\s*(?:=[^,]*)?(?:,|$)")
SENTINEL = re.compile(r"_N[A-Z]+$")


def counted_enums(tree):
    """(name, members, sentinel) of each enum that ends in a count and holds no X-macro."""
    for path in code(tree, ".h", ".c"):
        for m in ENUM.finditer(strip(tree.text(path))):
            if "#" in m[2]:
                continue
            members = MEMBER.findall(m[2].strip())
            if members and SENTINEL.search(members[-1]):
                yield m[1], members[:-1], members[-1]


@check("tables over an enum have a row for each member")
def enum_tables(tree):
    enums = {sentinel: members for _, members, sentinel in counted_enums(tree)}
    for path in code(tree, ".c"):
        if path.startswith("tests/"):
            continue  # tables of samples need not be whole
        text = strip(tree.text(path))
        for m in re.finditer(r"\[(\w+_N[A-Z]+)\]\s*=\s*\{", text):
            end = text.find("\n}", m.end())
            one_line = text.find("\n", m.end())
            body = text[m.end():one_line if text[m.end():one_line].rstrip().endswith("};") else end]
            rows = set(re.findall(r"\[(\w+)\]\s*=", body))
            if not rows or m[1] not in enums or "sparse" in tree.text(path)[m.start():one_line]:
                continue
            missing = [x for x in enums[m[1]] if x not in rows]
            if missing:
                yield (f"{path}:{line_of(text, m.start())}: no row for {' '.join(missing)}"
                       " (or say /* sparse: why */ on the table's first line)")


@check("every error code is raised somewhere, and says what to do")
def error_codes(tree):
    path = "src/base/errors.def"
    if not tree.has(path):
        return
    used = set()
    for source in code(tree, ".c", ".h"):
        if not source.startswith(("tests/", "src/base/err.")):
            used |= set(re.findall(r"\bERR_(\w+)", strip(tree.text(source))))
    for m in re.finditer(r'^ERROR\((\w+),.*,\s*"([^"]*)"\)$', tree.text(path), re.M):
        line = line_of(tree.text(path), m.start())
        if m[1] not in used:
            yield f"{path}:{line}: nothing raises ERR_{m[1]}"
        if not m[2]:
            yield f"{path}:{line}: {m[1]} has no hint"


# ---- calls ----

def allow_list(tree):
    """{(path, call)} of tests/tidy/allow.txt."""
    path = "tests/tidy/allow.txt"
    if not tree.has(path):
        return set()
    rows = [line.split(None, 2) for line in tree.text(path).splitlines()
            if line.strip() and not line.startswith("#")]
    for row in rows:
        if len(row) < 3:
            raise ValueError(f"{path}: a row without a reason: {' '.join(row)}")
    return {(row[0], row[1]) for row in rows}


# A name followed by a parenthesis, that is no method, no declaration with a type before it.
CALL = re.compile(r"(?<![\w.>])(?<!struct )(\w+)[ \t]*\(")


def calls(text):
    """(name, offset, arguments) of what looks like a call; a word before it is a declaration."""
    for m in CALL.finditer(text):
        before = text[:m.start()].rstrip(" \t")[-20:]
        word = re.search(r"(\w+)$", before)
        if word and word[1] not in ("return", "else", "do", "case"):
            continue
        yield m[1], m.start(), arguments(text, m.end() - 1)


def found_calls(tree):
    """(path, call, line, complaint) of every banned call, allowed or not."""
    for path in code(tree, ".c", ".h"):
        in_tests = path.startswith("tests/")
        text = strip(tree.text(path))
        bare = strip(tree.text(path), strings=True)
        for name, at, args in calls(bare):
            if name == "signal" and re.search(r",\s*SIG_(IGN|DFL)\s*$", args):
                continue
            if name in rooms.BANNED and (not in_tests or name in rooms.BANNED_IN_TESTS):
                yield path, name, line_of(bare, at), f"{name}(): use {rooms.BANNED[name]}"
            elif name in rooms.CLOEXEC and not in_tests:
                args = arguments(text, text.index("(", at))
                if not re.search(rooms.CLOEXEC[name], args):
                    yield path, name, line_of(bare, at), f"{name}() without {rooms.CLOEXEC[name]}"
        if rooms.room_of(path) in rooms.SILENT:
            for m in re.finditer(rooms.SPEAKING, bare):
                if "#define" not in bare[bare.rfind("\n", 0, m.start()) + 1:m.start()] and path.endswith(".c"):
                    yield path, m[1], line_of(bare, m.start()), f"{m[1]}(): this room returns errors and does not speak"


@check("no banned call, but for the allow list")
def banned_calls(tree):
    allowed = allow_list(tree)
    used = set()
    for path, name, line, complaint in found_calls(tree):
        if (path, name) in allowed:
            used.add((path, name))
        else:
            yield f"{path}:{line}: {complaint}"
    for path, name in sorted(allowed - used):
        yield f"tests/tidy/allow.txt: nothing needs the row {path} {name}"


# ---- text ----

@check("no file is too long")
def length(tree):
    for path in tree.sources(".c", ".h", ".py", ".sh"):
        lines = tree.text(path).count("\n")
        if lines > rooms.LINES_MAX:
            yield f"{path}: {lines} lines, at most {rooms.LINES_MAX}"


UNFINISHED = re.compile(r"\b(" + "|".join(["TO" "DO", "FIX" "ME", "X" "XX"]) + r")\b")


@check("nothing is marked as unfinished")
def unfinished(tree):
    for path in tree.paths:
        text = tree.text(path)
        for m in UNFINISHED.finditer(text or ""):
            yield f"{path}:{line_of(text, m.start())}: {m[1]}"


# Hosts that serve packages to one organisation.
MACHINE = [
    r"https?://[^\s/\"']*(?:mirror|artifact|nexus|proxy|jfrog|devpi|verdaccio|registry-cache)[^\s/\"']*",
    # 10.0.2.2 is what a host is called in user networking, on every machine.
    r"https?://(?!10\.0\.2\.2\b)(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.[\d.]+",
]
PUBLIC_HOST = re.compile(r"(^|\.)(debian\.org|pypi\.org|pythonhosted\.org|kernel\.org|github\.com)$")


def machine_hosts():
    """Package hosts that this machine is set up to use and that are not the public ones."""
    hosts = set()
    files = ["/etc/apt/sources.list", "/etc/pip.conf"]
    for folder in ("/etc/apt/sources.list.d", "/etc/apt/apt.conf.d"):
        if os.path.isdir(folder):
            files += [os.path.join(folder, name) for name in os.listdir(folder)]
    for name in files:
        try:
            with open(name, encoding="utf-8", errors="replace") as f:
                text = re.sub(r"^\s*(?:#|//).*", "", f.read(), flags=re.M)
        except OSError:
            continue
        hosts |= set(re.findall(r"https?://(?:[^\s/@]*@)?([\w.-]+)", text))
    return {h for h in hosts if "." in h and not PUBLIC_HOST.search(h) and not h.startswith("127.")}


@check("nothing names one machine or its package mirror")
def machine(tree):
    here = [os.path.abspath(tree.root), os.path.expanduser("~")]
    literal = sorted(machine_hosts()) + [h for h in here if h.count("/") > 1]
    pattern = re.compile("|".join(MACHINE + [re.escape(x) for x in literal]))
    for path in tree.paths:
        if path.startswith("tests/tidy/"):
            continue
        text = tree.text(path)
        for m in pattern.finditer(text or ""):
            yield f"{path}:{line_of(text, m.start())}: {m[0]}"


@check("text files are plain: LF, no trailing blanks, a newline at the end")
def plain_text(tree):
    for path in tree.paths:
        if re.search(r"\s", path):
            yield f"{path}: a blank in a file name"
        text = tree.text(path)
        if not text or not path.endswith((".c", ".h", ".def", ".py", ".sh", ".build", ".txt", ".md", ".scd")):
            continue
        if "\r" in text:
            yield f"{path}: carriage returns"
        if not text.endswith("\n"):
            yield f"{path}: no newline at the end"
        m = re.search(r"[ \t]+$", text, re.M)
        if m:
            yield f"{path}:{line_of(text, m.start())}: blanks at the end of a line"


@check("a decision has a number of its own")
def decisions(tree):
    seen = {}
    for path in tree.paths:
        m = re.fullmatch(r"docs/adr/(\d{4})-[^/]*\.md", path)
        if not m:
            continue
        if m[1] in seen:
            yield f"{path}: {seen[m[1]]} has this number"
        seen[m[1]] = path
        if not tree.text(path).startswith(f"# {int(m[1])}. "):
            yield f"{path}:1: the title does not begin with its number"


@check("shell scripts parse and can be run")
def scripts(tree):
    for path in tree.paths:
        text = tree.text(path) or ""
        m = re.match(r"#!\s*\S*?(?:env )?(sh|bash)\s*$", text.split("\n", 1)[0])
        if not m:
            continue
        if not os.access(tree.full(path), os.X_OK):
            yield f"{path}: not executable"
        shell = shutil.which(m[1])
        if shell:
            run = subprocess.run([shell, "-n", tree.full(path)], capture_output=True, text=True)
            if run.returncode:
                yield f"{path}: {run.stderr.strip()}"


@check("every source is in a list of meson's")
def in_meson(tree):
    builds = {p: tree.text(p) for p in tree.paths if os.path.basename(p) == "meson.build"}
    for path in code(tree, ".c"):
        folder, name = os.path.split(path)
        known = [t for p, t in builds.items() if (folder + "/").startswith(os.path.dirname(p) + "/")
                 or os.path.dirname(p) == ""]
        names = [name]
        if path.startswith("tests/"):  # rows of tables: 'NAME' stands for SUITE_NAME.c
            names += [name[:-2], name[:-2].partition("_")[2]]
        if not any(re.search(rf"'(?:[^']*/)?{re.escape(n)}'", t) for n in names for t in known):
            yield f"{path}: in no meson.build of its folder or above"


@check("C sources are as clang-format writes them", slow=True)
def formatted(tree):
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not tool:
        raise Skip("no clang-format")
    if not tree.has(".clang-format"):
        raise Skip("no .clang-format")
    files = code(tree, ".c", ".h")
    if not files:
        return
    run = subprocess.run([tool, "--dry-run", "-Werror", "-ferror-limit=0"] + files, cwd=tree.root,
                         capture_output=True, text=True)
    for path in sorted(set(re.findall(r"^([^\s:]+):\d+:\d+: error", run.stderr, re.M))):
        yield f"{path}: scripts/format fix"
    if run.returncode and "error" not in run.stderr:
        yield run.stderr.strip()
