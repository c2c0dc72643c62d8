#!/usr/bin/env python3
"""VMMs that Firecracker's jailer launches: the same jail as our own, point by point; where not, what differs.

With a stand-in for the jailer, or a real one: JAILER names it."""
import errno
import os
import tempfile
import time

from harness import DEADLINE_S, OWNER, Refused, main, read_file
from jail import FAKE, ID, PARTS, UID, Jail, copy_of_fake, gone, refused, told

JAILER = os.environ.get("JAILER") or os.environ["FAKE_JAILER"]
WORDS = b"--obey\0/vm/run/obey.sock\0-one\0two words\0"
ASK = {**ID, **PARTS, "console_stdio": True, "run": True, "listener": "vsock.sock_1024", "args": WORDS}
NAMESPACES = ("mnt", "pid", "ipc", "uts", "net", "user", "cgroup")
BACK = (OWNER, OWNER, 1)


class Jailed(Jail):
    """Two VMMs of one program: `fake` in our own jail, `jailed` by the jailer."""

    def __init__(self, jailer=JAILER, program=FAKE):
        super().__init__(more=f"[vmm jailed]\nbinary = {program}\njailer = {jailer}\n")


def obeys(place):
    """A connection to the socket that the VMM makes: it is there when it is."""
    until = time.monotonic() + DEADLINE_S
    while True:
        try:
            place.ask("ensure_socket_access", **ID, socket="obey.sock")
            return place.client.take_fds()[0]
        except Refused as e:
            assert e.code == "jail.failed" and time.monotonic() < until, e
            time.sleep(0.01)


def status_of(pid):
    return dict(line.split(":\t", 1) for line in read_file(f"/proc/{pid}/status").splitlines() if ":\t" in line)


def seen(place, vmm):
    """What /proc says of a VMM, and what it says itself."""
    pid, fds = place.launch(**ASK, vmm=vmm)
    fds.append(obeys(place))
    s, control = status_of(pid), fds[-1]
    limits = {line[:26].strip(): line[26:].split()[:2] for line in read_file(f"/proc/{pid}/limits").splitlines()[1:]}
    found = {
        **{f: s[f].split() for f in ("Uid", "Gid", "Groups", "NSpid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")},
        "NSpid": s["NSpid"].split()[1:], "filters": int(s["Seccomp_filters"]), "limits": limits,
        "cgroup": read_file(f"/proc/{pid}/cgroup").splitlines()[-1].rsplit("/", 1)[1],
        "environ": read_file(f"/proc/{pid}/environ"),
        "shared": [n for n in NAMESPACES if os.readlink(f"/proc/{pid}/ns/{n}") == os.readlink(f"/proc/self/ns/{n}")],
        "mounts": sorted(line.split()[4] for line in read_file(f"/proc/{pid}/mountinfo").splitlines()),
        "session": read_file(f"/proc/{pid}/stat").rpartition(")")[2].split()[3] == str(pid),
        "own descriptors": [n for n in os.listdir(f"/proc/{pid}/fd") if int(n) < 3],
        "/": sorted(told(control, "list /").split()), "/dev": sorted(told(control, "list /dev").split()),
        "kernel": told(control, "read /vm/kernel"), "write kernel": told(control, "write /vm/kernel"), "write disk": told(control, "write /vm/disk"),
        "words": [line[5:] for line in read_file(f"{place.state}/{PARTS['console']}").splitlines() if line.startswith("word ")][-4:],
        **{f"try {n}": told(control, f"try {n}") for n in ("create", "create /", "mount", "setuid", "mknod", "unshare", "inet")},
    }
    assert place.ask("find_vmm", **ID) == {"pid": pid, "uid": UID}
    for fd in [*fds, *place.client.take_fds()]:
        os.close(fd)
    place.away()
    gone(pid)
    for part in PARTS.values():
        st = os.stat(f"{place.state}/{part}")
        assert (st.st_uid, st.st_gid, st.st_nlink) == BACK, f"{part}: {st}"
    with open(f"{place.state}/{PARTS['console']}", "w", encoding="utf-8"):
        pass
    assert place.report() == {}
    return found


def both_jails_are_compared(place):
    own, jailers = seen(place, "fake"), seen(place, "jailed")
    differ = {k for k in own if own[k] != jailers[k]}
    assert own["shared"] == ["net", "user", "cgroup"] and own["NSpid"] == ["1"] and own["Uid"] == [str(UID)] * 4, own
    assert own["words"] == ["--obey", "/vm/run/obey.sock", "-one", "two words"]
    # What a jailer cannot be told: it needs these rights itself, and its root is the VMM's to write.
    expected = {"CapBnd", "filters", "/", "try create /", "try mount", "try unshare", "try inet", "try setuid", "try mknod"}
    assert differ <= expected, {k: (own[k], jailers[k]) for k in differ - expected}
    for field in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert int(jailers[field][0], 16) == 0, "no capability, whatever the bounding set holds"
    assert jailers["NoNewPrivs"] == ["1"] and jailers["filters"] >= 1 and own["filters"] > jailers["filters"], (own["filters"], jailers["filters"])
    assert jailers["mounts"] == ["/", "/vm"], jailers["mounts"]
    assert set(jailers["/"]) - {"firecracker.pid"} == {*own["/"], "firecracker", "run"}, jailers["/"]
    for name in ("mount", "setuid", "mknod"):
        assert jailers[f"try {name}"] == f"errno {errno.EPERM}", f"denied for lack of a capability: {name}: {jailers[f'try {name}']}"
    for name in ("mount", "unshare", "setuid", "mknod", "inet"):
        assert own[f"try {name}"] == f"errno {errno.EPERM}", "denied by a filter, whatever the VMM's own is"


def it_is_launched_twice_and_cleared_twice(place):
    pid, fds = place.launch(**ASK, vmm="jailed")
    again, more = place.launch(**ASK, vmm="jailed")
    assert again == pid
    for fd in [*fds, *more]:
        os.close(fd)
    place.ask("signal_vmm", **ID, signal=9)
    gone(pid)
    for _ in range(2):
        place.away()
    assert place.report() == {}


def sockets_are_not_handed_on(place):
    for part in ("control_socket", "agent_socket", "console_socket"):
        refused(place, "launch_vmm", {**ID, "vmm": "jailed", part: True}, "vmm: the jailer")
    assert place.report() == {}


def a_jailer_that_fails_leaves_nothing():
    with tempfile.TemporaryDirectory(prefix="banger-helper-") as top:
        os.chmod(top, 0o755)
        empty = os.path.join(top, "empty")
        with open(empty, "wb"):
            os.chmod(empty, 0o755)
        for program, jailer, *words in ((FAKE, "/usr/bin/true", "exec /usr/bin/true"), (empty, JAILER, "did not come to its program: ", '"')):
            place = Jailed(jailer=jailer, program=program)  # one that is not static; one that cannot execute and says so
            refused(place, "launch_vmm", {**ASK, "vmm": "jailed"}, "launch: ", *words, code="vmm.start")
            assert place.report() == {}
            place.close()


def a_jailer_that_others_could_have_changed_is_not_executed():
    with tempfile.TemporaryDirectory(prefix="banger-helper-") as top:
        os.chmod(top, 0o755)
        path = copy_of_fake(top, "jailer")
        for mode, uid, word in ((0o775, 0, "may be written by others"), (0o757, 0, "may be written by others"), (0o755, OWNER, "belongs to uid"),
                                (0o754, 0, "may not be executed")):
            os.chmod(path, mode)
            os.chown(path, uid, 0)
            place = Jailed(jailer=path)
            refused(place, "launch_vmm", {**ASK, "vmm": "jailed"}, "binary: ", word)
            assert place.report() == {}
            place.close()


main([
    both_jails_are_compared,
    it_is_launched_twice_and_cleared_twice,
    sockets_are_not_handed_on,
    a_jailer_that_fails_leaves_nothing,
    a_jailer_that_others_could_have_changed_is_not_executed,
], Jailed)
