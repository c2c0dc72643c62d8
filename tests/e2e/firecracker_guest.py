#!/usr/bin/env python3
"""A Debian guest in the real Firecracker ($REAL_FIRECRACKER) of a user without root: a session's whole life of it, and its network.

Where KVM runs Linux, which the test VM's does: scripts/test-firecracker --guest.  There its kernel and image are on
/dev/vda, the user has no name, and /dev/kvm is open to a group of theirs and to nobody else.
"""
import os
import re
import shutil
import subprocess
import sys
import time

import pexpect

import banger_session
import network
from banger_guests import read
from banger_session import memory_kib, wait_for
from network import BOOT, MEMORY, Networked

USER, GROUP, KVM_GROUP = 1000, 1000, 4242
FIRECRACKER = "/opt/firecracker"
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={GROUP}", f"--groups={KVM_GROUP}", "--no-new-privs"]


class Unprivileged(Networked):
    """All of banger runs as USER, in the world of Networked, where only root may make namespaces."""

    def __init__(self):
        self.owned = False
        super().__init__()
        self.env["BANGER_FIRECRACKER"] = FIRECRACKER

    def wrapped(self):
        if not self.owned:
            subprocess.run(["chown", "-Rh", f"{USER}:{GROUP}", self.top, self.state], check=True)
            self.owned = True
        return [*self.wrap, *AS_USER]

    def run(self, *args, **more):
        return super().run(*args, **{**more, "wrap": self.wrapped()})

    def start(self, *args):
        return subprocess.Popen([*self.wrapped(), banger_session.BANGER, *args], env=self.env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def boot_id(self):
        return self.json("vm", "show", "g")["boot_id"]

    def sh(self, script, check=True):
        return self.run("vm", "exec", "g", "--", "sh", "-c", script, check=check)


def it_is_chosen_and_its_status_comes_back(s):
    """What `banger vm run` does where nobody says which VMM."""
    p = s.run("vm", "run", "--rm", *MEMORY, *BOOT, "--", "sh", "-c", "echo out; exit 42", deadline=300, check=False)
    assert (p.returncode, p.stdout) == (42, "out\n"), p
    s.run("vm", "create", *MEMORY, "--name", "g", *BOOT, deadline=300)
    assert s.json("vm", "show", "g")["vmm"] == "firecracker", s.info()


def doctor_says_why(s):
    rows = s.run("doctor", check=False).stdout
    for want in (r"PASS +kvm ", r"PASS +vmm +a new VM runs on firecracker: firecracker [0-9.]+ is here, and KVM", r"PASS +network +banger-net",
                 r"PASS +acceleration +kvm: "):
        assert re.search(want, rows), (want, rows)


def nothing_of_it_is_roots(s):
    for pid in (s.info()["pid"], s.json("vm", "show", "g")["pid"], *s.networks()):
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        assert fields["Uid"].split() == [str(USER)] * 4, (pid, fields["Uid"])
        assert int(fields["CapEff"], 16) == 0, (pid, fields["CapEff"])


def its_root_is_in_two_layers(s):
    assert "overlay / overlay" in s.sh("cat /proc/mounts").stdout
    s.sh("echo kept >/root/kept; sync")


def a_terminal_is_one(s):
    argv = [*s.wrapped(), banger_session.BANGER, "vm", "exec", "-t", "g", "--", "sh", "-c", "tty; stty size; read -r x; echo got $x; exit 7"]
    t = pexpect.spawn(argv[0], argv[1:], env=s.env, dimensions=(33, 77), timeout=60)
    t.expect(r"/dev/pts/\d+\s+33 77")
    t.sendline("typed")
    t.expect("got typed")
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 7, t.exitstatus


POSE = """
use strict;
$SIG{PIPE} = "IGNORE";
sub vm { pack "S S L L L", 40, 0, $_[0], $_[1], 0 }
socket(my $door, 40, 1, 0) or die "socket: $!";
bind($door, vm(1023, 0xffffffff)) and die "an ordinary process may bind the agent's port";
$!{EACCES} or die "bind: $!";
for (1 .. 20) {
	socket(my $s, 40, 1, 0) or die "socket: $!";
	connect($s, vm(1024, 2)) or next;
	syswrite($s, "\\xff\\xff\\xff\\xffbangersync\\r\\n");
	sysread($s, my $said, 1) and die "the daemon talks to whoever rings";
}
print "not heard\\n";
"""


def who_is_not_its_root_cannot_pose_as_its_agent(s):
    before, calls = s.boot_id(), s.log().count("ev=agent.up")
    s.sh(f"cat >/tmp/pose.pl <<'E'\n{POSE}E")
    assert s.sh("setpriv --reuid=65534 --regid=65534 --clear-groups perl /tmp/pose.pl").stdout == "not heard\n"
    assert s.sh("echo still").stdout == "still\n"
    assert (s.boot_id(), s.log().count("ev=agent.up")) == (before, calls)


FLOOD = """
use strict;
$SIG{PIPE} = "IGNORE";
my ($tried, $made, @held) = (0, 0);
my $end = time + 100;
while ($tried < 10000 && time < $end) {
	$tried++;
	socket(my $s, 40, 1, 0) or die "socket: $!";
	connect($s, pack "S S L L L", 40, 0, 1024, 2, 0) or next;
	$made++;
	syswrite($s, "x" x 4096);
	push @held, $s;
	shift @held if @held > 500;
}
print "$tried $made\\n";
"""


def ten_thousand_connections_of_a_process_harm_nobody(s):
    pid = s.info()["pid"]

    def spent():
        return sum(int(n) for n in read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")

    def open_now():
        return len(os.listdir(f"/proc/{pid}/fd"))

    s.sh(f"cat >/tmp/flood.pl <<'E'\n{FLOOD}E")
    fds, kib, cpu, begun = open_now(), memory_kib(pid), spent(), time.monotonic()
    p = s.start("vm", "exec", "g", "--", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "perl", "/tmp/flood.pl")
    most = 0
    while p.poll() is None:
        assert s.sh("echo here").stdout == "here\n"
        most = max(most, open_now())
    out, err = p.communicate()
    took, cpu = time.monotonic() - begun, spent() - cpu
    print(f"# {out.strip()} tried and made in {took:.0f} s; the daemon: {fds}, then {most} descriptors, {memory_kib(pid) - kib} KiB more, {cpu:.2f} s")
    assert p.returncode == 0 and int(out.split()[0]) >= 1000, (out, err)
    assert most < fds + 100 and memory_kib(pid) - kib < 32 << 10 and cpu < 0.25 * took
    assert s.sh("echo still").stdout == "still\n"


def it_outlives_the_daemon_and_is_heard_again(s):
    before = s.boot_id()
    s.kill_daemon()
    wait_for(lambda: s.sh("true", check=False).returncode == 0, "no command runs")
    assert s.boot_id() == before


def files_come_whole(s):
    with open(f"{s.top}/file", "wb") as f:
        f.write(os.urandom(8 << 20))
    os.chown(f"{s.top}/file", USER, GROUP)
    s.run("vm", "cp", f"{s.top}/file", "g:/root/file")
    there = s.sh("sha256sum </root/file").stdout
    assert there == subprocess.run(["sha256sum"], stdin=open(f"{s.top}/file", "rb"), capture_output=True, text=True, check=True).stdout
    s.run("vm", "cp", "g:/root/file", f"{s.top}/back")
    assert subprocess.run(["cmp", f"{s.top}/file", f"{s.top}/back"], check=False).returncode == 0


def it_stops_by_itself_and_begins_anew_with_what_was_written(s):
    before = s.boot_id()
    s.run("vm", "stop", "g")
    v = s.json("vm", "show", "g")
    assert (v["state"], v["failure"]) == ("stopped", ""), v
    s.run("vm", "set", "g", "--disk", "10G")
    s.run("vm", "start", "g", *BOOT, deadline=300)
    assert s.boot_id() != before
    assert s.sh("cat /root/kept").stdout == "kept\n"
    assert int(s.sh("stat -f -c '%b %S' / | { read b s; echo $((b * s >> 30)); }").stdout) >= 9
    s.run("vm", "delete", "-f", "g")


def prepare_the_test_vm():
    cache = os.environ["BANGER_E2E_CACHE"]
    os.makedirs(cache, exist_ok=True)
    subprocess.run(["mount", "/dev/vda", cache], check=True)
    shutil.copy(os.environ["REAL_FIRECRACKER"], FIRECRACKER)
    os.chmod(FIRECRACKER, 0o755)
    os.chown("/dev/kvm", 0, KVM_GROUP)
    os.chmod("/dev/kvm", 0o660)


if "REAL_FIRECRACKER" not in os.environ or os.environ.get("BANGER_TEST_VM") != "1":
    print("1..0 # SKIP scripts/test-firecracker --guest runs it in the test VM")
    sys.exit(77)
prepare_the_test_vm()
network.VMM = "firecracker"
banger_session.main([it_is_chosen_and_its_status_comes_back, doctor_says_why, nothing_of_it_is_roots, its_root_is_in_two_layers,
                     a_terminal_is_one, who_is_not_its_root_cannot_pose_as_its_agent, ten_thousand_connections_of_a_process_harm_nobody,
                     it_outlives_the_daemon_and_is_heard_again, files_come_whole,
                     it_stops_by_itself_and_begins_anew_with_what_was_written, *network.STORIES], session=Unprivileged)
