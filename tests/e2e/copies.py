#!/usr/bin/env python3
"""Files into VMs and out of them.  The agent is the real one, running here (tests/lib/fake_qemu.py): what is "in the
guest" are directories of the test.  The same with a guest of its own disk is in running.py.
"""
import io
import json
import os
import pty
import signal
import socket
import subprocess
import tarfile

import banger_session
import trees
from banger_session import BANGER, wait_for

WAIT_S = 120


class Place:
    """A directory for one story: what is here, and in the guest `g` what is under REF:top/guest."""

    def __init__(self, s, name):
        self.s, self.top = s, f"{s.top}/{name}"
        if s.run("exec", "guest", "--", "true", check=False).returncode != 0:  # a story before it has ended it
            s.run("vm", "delete", "-f", "guest", check=False)
            s.fake_guest()
        os.makedirs(f"{self.top}/guest")
        self.g = f"guest:{self.top}/guest"

    def cp(self, *args, status=0, says="", **more):
        p = subprocess.run([BANGER, "vm", "cp", *args], env=self.s.env, cwd=self.top, timeout=WAIT_S, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           **{"stdin": subprocess.DEVNULL, **more})
        err = p.stderr.decode(errors="replace")
        assert p.returncode == status and says in err, (args, p.returncode, err)
        return p

    def write(self, name, data=b"x\n"):
        trees.write(f"{self.top}/{name}", data)

    def read(self, name):
        with open(f"{self.top}/{name}", "rb") as f:
            return f.read()


def a_tree_both_ways(s):
    p = Place(s, "both")
    trees.make(f"{p.top}/src", files=300)
    p.cp("src", f"{p.g}/copy")
    trees.same(f"{p.top}/src", f"{p.top}/guest/copy")
    p.cp(f"{p.g}/copy", "back")
    trees.same(f"{p.top}/src", f"{p.top}/back")
    for d in ("guest/copy", "back"):
        assert trees.blocks(f"{p.top}/{d}") < 8 << 20, "holes were filled"


def where_it_goes(s):
    """As cp(1) has it, and docker: into a directory, else to the name; the contents with "/."."""
    p = Place(s, "where")
    os.makedirs(f"{p.top}/src/sub")
    p.write("src/f")
    p.write("one", b"1")
    for to, here in ((p.g, "guest"), (".", ".")):
        src, one = ("src", "one") if to == p.g else (f"{p.g}/src", f"{p.g}/one")
        if to != p.g:
            os.rename(f"{p.top}/src", f"{p.top}/guest/src")
            os.rename(f"{p.top}/one", f"{p.top}/guest/one")
        os.mkdir(f"{p.top}/{here}/dir")
        p.cp(one, f"{to}/dir")
        p.cp(one, f"{to}/dir/named")
        p.cp(src, f"{to}/dir")
        p.cp(src, f"{to}/tree")
        p.cp(f"{src}/.", f"{to}/dir/contents")
        p.cp(f"{src}/.", f"{to}/dir")
        for name in ("dir/one", "dir/named", "dir/src/f", "tree/f", "dir/contents/f", "dir/f"):
            assert os.path.exists(f"{p.top}/{here}/{name}"), (here, name)
        p.cp(one, f"{to}/none/x", status=1, says="No such file or directory")
        p.cp(one, f"{to}/none/", status=1, says="No such file or directory")
        p.cp(src, f"{to}/dir/one", status=1, says="is no directory")
        p.cp(one, f"{to}/dir/one/x", status=1, says="Not a directory")
    p.cp(f"{p.g}/nowhere", ".", status=1, says="guest: ")
    p.cp("nowhere", p.g, status=1, says="nowhere: No such file or directory")


def several_at_once(s):
    p = Place(s, "several")
    p.write("a")
    p.write("b")
    p.cp("a", "b", f"{p.g}/none", status=1, says="No such file or directory")
    p.cp("a", "b", p.g)
    assert sorted(os.listdir(f"{p.top}/guest")) == ["a", "b"]
    os.mkdir(f"{p.top}/here")
    p.cp(f"{p.g}/a", f"{p.g}/nothing", f"{p.g}/b", "here", status=1, says="nothing")
    assert sorted(os.listdir(f"{p.top}/here")) == ["a", "b"], "good ones go on"


def paths_begin_at_the_guests_root(s):
    p = Place(s, "root")
    p.write("f", b"1")
    p.cp("f", f"guest:{p.top[1:]}/guest/rel")
    p.cp(f"guest:{p.top[1:]}/guest/rel", "back")
    assert p.read("back") == b"1"


def words_that_make_no_sense(s):
    p = Place(s, "words")
    p.write("a:b", b"colon")
    for args, says in ((["x", "y"], "neither is in a VM"), ([f"{p.g}/x", f"{p.g}/y"], "from VM to VM"),
                       (["x", "guest:"], "which path"), (["-", "x", p.g], "one source"), (["", p.g], "empty"),
                       (["x"], "needs")):
        p.cp(*args, status=2, says=says)
    p.cp("x", "nobody:/x", status=1, says="x: No such file")
    p.cp("./a:b", "nobody:/x", status=1, says="nobody")
    p.cp("./a:b", f"{p.g}/c")
    assert p.read("guest/c") == b"colon"


def an_archive_in_and_out(s):
    """Of GNU tar in its formats, of Python, and ours read by both."""
    p = Place(s, "archive")
    trees.make(f"{p.top}/src", files=20)
    for form in ("gnu", "posix", "oldgnu"):
        for sparse in ([], ["-S"]):
            where = f"{p.top}/guest/{form}{len(sparse)}"
            os.mkdir(where)
            tar = subprocess.Popen(["tar", f"--format={form}", *sparse, "-c", "src"], cwd=p.top,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            p.cp("-", f"{p.g}/{form}{len(sparse)}", stdin=tar.stdout)
            tar.stdout.close()
            tar.wait()
            besides = ("xattrs",) if form == "posix" else ("xattrs", "mtime")
            trees.same(f"{p.top}/src", f"{where}/src", besides)
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=form) as t:
            t.add(f"{p.top}/src/large", "sub/large")
        os.makedirs(f"{p.top}/guest/py{form}")
        p.cp("-", f"{p.g}/py{form}", stdin=None, input=data.getvalue())
        assert p.read(f"guest/py{form}/sub/large") == p.read("src/large")
    out = p.cp(f"guest:{p.top}/src", "-").stdout
    with tarfile.open(fileobj=io.BytesIO(out)) as t:
        assert "src/new\nline" in t.getnames() and t.getmember("src/holes").size == 64 << 20
    os.mkdir(f"{p.top}/gnu")
    gnu = subprocess.run(["tar", "-xp", "--xattrs", "--xattrs-include=user.*", "--same-owner"], cwd=f"{p.top}/gnu",
                         input=out, capture_output=True, check=False)
    assert gnu.returncode == 0 and gnu.stderr == b"", gnu.stderr
    trees.same(f"{p.top}/src", f"{p.top}/gnu/src")
    p.cp("-", f"{p.g}/none", status=1, says="No such file or directory", stdin=None, input=out)
    p.cp("-", p.g, status=1, says="no tar", stdin=None, input=b"this is no archive" * 100)
    p.cp("-", p.g, status=1, says="ends too early", stdin=None, input=out[:100000])
    p.cp("-", p.g, status=1, says="ends too early")


def no_archive_for_a_terminal(s):
    p = Place(s, "terminal")
    main, side = pty.openpty()
    p.cp("-", p.g, status=2, says="terminal", stdin=side)
    q = subprocess.run([BANGER, "vm", "cp", f"{p.g}", "-"], env=s.env, stdin=subprocess.DEVNULL, stdout=side,
                       stderr=subprocess.PIPE, check=False)
    assert q.returncode == 2 and b"terminal" in q.stderr
    os.close(main)
    os.close(side)


def hostile(*entries):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as t:
        for kind, name, link in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            body = b"evil" if kind == tarfile.REGTYPE else b""
            info.size = len(body)
            t.addfile(info, io.BytesIO(body))
    return data.getvalue()


def a_hostile_guest_gets_nowhere(s):
    """What it sends is unpacked below the destination or not at all: tests/lib/hostile_agent.py sends the archive."""
    p = Place(s, "hostile")
    os.mkdir(f"{p.top}/outside")
    p.write("outside/secret", b"secret")
    out = f"{p.top}/outside"
    R, L, H, D, C = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE
    cases = [
        ([(R, f"{out}/secret", "")], "absolute"), ([(R, "../outside/secret", "")], '".."'),
        ([(R, "a/../../outside/secret", "")], '".."'), ([(L, "d", out), (R, "d/secret", "")], "no directory"),
        ([(L, "d", "../outside"), (R, "d/secret", "")], "no directory"),
        ([(L, "d", out), (D, "d", "")], "no directory"), ([(H, "h", f"{out}/secret")], "absolute"),
        ([(H, "h", "../outside/secret")], '".."'), ([(L, "d", out), (H, "h", "d/secret")], "no directory"),
        ([(L, "f", f"{out}/secret"), (R, "f", "")], ""), ([(C, "null", "")], ""),
    ]
    for i, (entries, says) in enumerate(cases):
        path = f"{p.top}/evil{i}.tar"
        trees.write(path, hostile(*entries))
        os.mkdir(f"{p.top}/dst{i}")
        s.fake_guest(name="sends")
        p.cp(f"sends:{path}", f"dst{i}/", status=1 if says else 0, says=says)
        s.run("vm", "delete", "-f", "sends")
        assert os.listdir(out) == ["secret"] and p.read("outside/secret") == b"secret", entries
        assert not os.path.exists(f"{p.top}/dst{i}/null")


def owners_are_roots_with_no_owner(s):
    p = Place(s, "owner")
    p.write("f")
    if os.geteuid() == 0:
        os.chown(f"{p.top}/f", 1234, 1234)
    os.chmod(f"{p.top}/f", 0o4755)
    p.cp("--no-owner", "f", f"{p.g}/f")
    st = os.stat(f"{p.top}/guest/f")
    assert (st.st_uid, oct(st.st_mode)) == (0, "0o100755"), st
    p.cp("-a", "f", f"{p.g}/g")
    assert os.stat(f"{p.top}/guest/g").st_uid == os.stat(f"{p.top}/f").st_uid
    p.cp("--no-owner", f"{p.g}/g", "back")
    assert os.stat(f"{p.top}/back").st_uid == os.geteuid()


def a_link_is_followed_when_asked(s):
    p = Place(s, "follow")
    p.write("real", b"real")
    os.symlink("real", f"{p.top}/link")
    p.cp("link", f"{p.g}/plain")
    p.cp("-L", "link", f"{p.g}/followed")
    assert os.path.islink(f"{p.top}/guest/plain") and p.read("guest/followed") == b"real"
    os.symlink("followed", f"{p.top}/guest/link")
    p.cp("-L", f"{p.g}/link", "back")
    assert not os.path.islink(f"{p.top}/back") and p.read("back") == b"real"


def notes_say_what_is_left_out(s):
    p = Place(s, "notes")
    os.mkdir(f"{p.top}/src")
    os.mkfifo(f"{p.top}/src/fifo")
    here = os.getcwd()
    os.chdir(f"{p.top}/src")
    sock = socket.socket(socket.AF_UNIX)
    sock.bind("sock")
    os.chdir(here)
    q = p.cp("src", f"{p.g}/in")
    assert "src/sock: left out: a socket" in q.stderr.decode()
    q = p.cp(f"guest:{p.top}/src", "out")
    assert f"guest:{p.top}/src/sock: left out: a socket" in q.stderr.decode(), q.stderr
    sock.close()
    assert os.listdir(f"{p.top}/guest/in") == os.listdir(f"{p.top}/out") == ["fifo"]


def the_result_as_json(s):
    p = Place(s, "json")
    os.mkdir(f"{p.top}/src")
    p.write("src/f", b"12345")
    assert json.loads(p.cp("--json", "src", f"{p.g}/x").stdout) == {"entries": 2, "bytes": 5}


def constant_memory(s):
    """A file far larger than what a process may take."""
    p = Place(s, "memory")
    size = 300 << 20
    with open(f"{p.top}/big", "wb") as f:
        for _ in range(size >> 20):
            f.write(os.urandom(1 << 20))
    for args in ((f"{p.top}/big", f"{p.g}/big"), (f"{p.g}/big", f"{p.top}/back")):
        q = subprocess.Popen([BANGER, "vm", "cp", *args], env=s.env, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(q.pid, 0)
        q.returncode = status
        assert status == 0 and usage.ru_maxrss < 100 << 10, (status, usage.ru_maxrss)
        print(f"# {usage.ru_maxrss} KiB at most, {usage.ru_utime + usage.ru_stime:.1f} s of CPU")
    assert daemon_kib(s) < 100 << 10, daemon_kib(s)
    assert subprocess.run(["cmp", f"{p.top}/big", f"{p.top}/back"], check=False).returncode == 0


def daemon_kib(s):
    with open(f"/proc/{s.info()['pid']}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))


def endless(w):
    """The beginning of an archive that does not come to its end."""
    info = tarfile.TarInfo("endless")
    info.size = 1 << 30
    os.write(w, info.tobuf() + b"x" * 4096)


def an_interrupt_ends_both_sides(s):
    p = Place(s, "interrupt")
    r, w = os.pipe()
    q = subprocess.Popen([BANGER, "vm", "cp", "-", p.g], env=s.env, stdin=r, stderr=subprocess.PIPE)
    endless(w)
    wait_for(lambda: os.listdir(f"{p.top}/guest"), "nothing arrives")
    q.send_signal(signal.SIGINT)
    _, err = q.communicate(timeout=WAIT_S)
    assert q.returncode == 130, (q.returncode, err)
    wait_for(lambda: os.listdir(f"{p.top}/guest") == [], "half a file stays")
    os.close(r)
    os.close(w)


def a_reader_of_the_archive_that_stops(s):
    p = Place(s, "reader")
    trees.sparse(f"{p.top}/guest/big", 1 << 30, [(i << 20, b"x" * 4096) for i in range(1024)])
    q = subprocess.run(f"{BANGER} vm cp {p.g}/big - | head -c 1000 | wc -c; echo ${{PIPESTATUS[0]}}", shell=True,
                       executable="/bin/bash", env=s.env, capture_output=True, text=True, timeout=WAIT_S, check=True)
    assert q.stdout.split() == ["1000", "141"] and q.stderr == "", q


def a_vm_that_does_not_run(s):
    p = Place(s, "halted")
    p.write("f")
    s.fake_guest(name="halted")
    s.run("vm", "stop", "--force", "halted")
    p.cp("f", "halted:/tmp/x", status=1, says="halted is stopped")
    s.run("vm", "delete", "halted")


def the_daemons_death(s):
    p = Place(s, "death")
    r, w = os.pipe()
    q = subprocess.Popen([BANGER, "vm", "cp", "-", p.g], env=s.env, stdin=r, stderr=subprocess.PIPE)
    endless(w)
    wait_for(lambda: os.listdir(f"{p.top}/guest"), "nothing arrives")
    s.kill_daemon()
    _, err = q.communicate(timeout=WAIT_S)
    assert q.returncode == 1 and b"daemon" in err, err
    os.close(r)
    os.close(w)


def prepare(s):
    s.env["ASAN_OPTIONS"] = "quarantine_size_mb=1"
    s.fake_vmm(os.path.join(os.path.dirname(os.path.abspath(banger_session.__file__)), "hostile_agent.py"))


banger_session.main([
    a_tree_both_ways, where_it_goes, several_at_once, paths_begin_at_the_guests_root, words_that_make_no_sense,
    an_archive_in_and_out, no_archive_for_a_terminal, a_hostile_guest_gets_nowhere, owners_are_roots_with_no_owner,
    a_link_is_followed_when_asked, notes_say_what_is_left_out, the_result_as_json,
    constant_memory, an_interrupt_ends_both_sides, a_reader_of_the_archive_that_stops, a_vm_that_does_not_run,
    the_daemons_death], prepare=prepare)
