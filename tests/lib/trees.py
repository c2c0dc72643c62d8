"""Trees of files for tests: made with all that a copy keeps, and compared in all of it."""
import hashlib
import os
import stat

OLD_NS = 1_000_000_000_123_456_789


def write(path, data, mode=0o644):
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)


def sparse(path, size, pieces):
    with open(path, "wb") as f:
        for at, data in pieces:
            f.seek(at)
            f.write(data)
        f.truncate(size)


def make(top, files=0, root=os.geteuid() == 0):
    """One of everything, and so many plain files besides; as root with owners and devices."""
    b = os.fsencode(top)
    os.mkdir(b)
    os.mkdir(b + b"/empty")
    os.chmod(b + b"/empty", 0o1777)
    os.mkdir(b + b"/deep")
    deep = b + b"/deep"
    for i in range(40):
        deep += b"/" + b"%02d" % i + b"d" * 40  # beyond any fixed name field
        os.mkdir(deep)
    write(deep + b"/bottom", b"far down\n")
    write(b + b"/-rf", b"leading dash\n", 0o600)
    write(b + b"/new\nline", b"x\n", 0o755)
    write(b + b"/not utf-8 \xff\xfe", b"bytes\n")
    write(b + "/ünïcödé ☃".encode(), "☃\n".encode())
    write(b + b"/ends in space ", b"")
    write(b + b"/" + b"n" * 255, b"longest name\n")
    write(b + b"/nobody reads", b"root does\n", 0o000)
    write(b + b"/large", os.urandom(1 << 20))
    os.link(b + b"/large", b + b"/large too")
    os.link(b + b"/large", b + b"/empty/large three")
    sparse(b + b"/holes", 64 << 20, [(0, b"begin"), (10 << 20, b"middle" * 1000), ((64 << 20) - 3, b"end")])
    sparse(b + b"/all hole", 32 << 20, [])
    os.symlink(b"large", b + b"/link")
    os.symlink(b"/nowhere/\xff", b + b"/dangling")
    os.symlink(b"..", b + b"/up")
    os.mkfifo(b + b"/fifo", 0o640)
    try:
        os.setxattr(b + b"/-rf", b"user.a", b"\0=\n\xff")
        os.setxattr(b + b"/empty", b"user.dir", b"")
    except OSError:
        pass
    for i in range(files):
        if i % 100 == 0:
            os.mkdir(b + b"/many%03d" % (i // 100))
        write(b + b"/many%03d/%05d" % (i // 100, i), b"%d\n" % i * (i % 50), (0o644, 0o600, 0o755, 0o440)[i % 4])
    if root:
        os.chown(b + b"/-rf", 1234, 4321)
        os.chown(b + b"/empty", 65535, 4000000000)
        os.lchown(b + b"/dangling", 77, 78)
        write(b + b"/set-id", b"#!\n")
        os.chown(b + b"/set-id", 12, 13)
        os.chmod(b + b"/set-id", 0o6755)
    for base, dirs, names in os.walk(b, topdown=False):
        for n in names + dirs:
            os.utime(base + b"/" + n, ns=(OLD_NS, OLD_NS + len(n)), follow_symlinks=False)
    os.chmod(b + b"/deep", 0o500)
    os.utime(b, ns=(OLD_NS, OLD_NS))


def _describe(path, inodes):
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    d = {"mode": oct(st.st_mode), "uid": st.st_uid, "gid": st.st_gid, "mtime": st.st_mtime_ns}
    if kind == stat.S_IFREG:
        with open(path, "rb") as f:
            d["sha256"] = hashlib.file_digest(f, "sha256").hexdigest()
        d["size"], d["nlink"] = st.st_size, st.st_nlink
        inodes.setdefault(st.st_ino, []).append(path)
    if kind == stat.S_IFLNK:
        d["target"] = os.readlink(path)
    elif kind in (stat.S_IFREG, stat.S_IFDIR):
        d["xattrs"] = {n: os.getxattr(path, n) for n in os.listxattr(path) if n.startswith("user.")}
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        d["rdev"] = st.st_rdev
    return d


def describe(top):
    """Everything that a copy keeps, by name."""
    b = os.fsencode(top)
    inodes, found = {}, {b".": None}
    found[b"."] = _describe(b, inodes)
    for base, dirs, names in os.walk(b):
        for n in dirs + names:
            path = base + b"/" + n
            found[path[len(b) + 1:]] = _describe(path, inodes)
    links = sorted(sorted(p[len(b) + 1:] for p in paths) for paths in inodes.values() if len(paths) > 1)
    return found, links


def same(a, b, besides=()):
    """Fails with the first differences; `besides` names keys of _describe() that may differ."""
    (x, xl), (y, yl) = describe(a), describe(b)
    for d in list(x.values()) + list(y.values()):
        for k in besides:
            d.pop(k, None)
    wrong = [f"{k!r}: {x.get(k)} and {y.get(k)}" for k in sorted(set(x) | set(y)) if x.get(k) != y.get(k)]
    assert not wrong, f"{len(wrong)} differ: " + "; ".join(wrong[:3])
    assert xl == yl, (xl, yl)


def blocks(top):
    """Bytes that the files below take on their disk."""
    return sum(os.lstat(base + "/" + n).st_blocks * 512 for base, _, names in os.walk(top) for n in names)
