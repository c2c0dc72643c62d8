#!/usr/bin/env python3
"""A Debian guest in the real Firecracker ($REAL_FIRECRACKER) without root helper or network: a session's whole life of it.

Where KVM runs Linux, which the test VM's does: scripts/test-firecracker --guest.  Its kernel and image are on /dev/vda there.
"""
import os
import subprocess
import sys
import time

import banger_session
from banger_guests import Guests, read
from banger_session import memory_kib, wait_for

BOOT = ("--timeout", "200s")


class FirecrackerGuests(Guests):
    def __init__(self):
        super().__init__({"BANGER_FIRECRACKER": os.environ["REAL_FIRECRACKER"]})

    def boot_id(self):
        return self.json("vm", "show", "g")["boot_id"]

    def sh(self, script, check=True):
        return self.run("vm", "exec", "g", "--", "sh", "-c", script, check=check)


def it_boots_and_its_status_comes_back(s):
    s.run("vm", "create", "--vmm", "firecracker", "--memory", "256M", "--name", "g", *BOOT, deadline=240)
    assert s.json("vm", "show", "g")["vmm"] == "firecracker"
    p = s.sh("echo out; echo err >&2; exit 42", check=False)
    assert (p.returncode, p.stdout, p.stderr.startswith("err\n")) == (42, "out\n", True), p


def its_root_is_in_two_layers(s):
    assert "overlay / overlay" in s.sh("cat /proc/mounts").stdout
    s.sh("echo kept >/root/kept; sync")


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
    s.run("vm", "start", "g", *BOOT, deadline=240)
    assert s.boot_id() != before
    assert s.sh("cat /root/kept").stdout == "kept\n"
    assert int(s.sh("stat -f -c '%b %S' / | { read b s; echo $((b * s >> 30)); }").stdout) >= 9
    s.run("vm", "delete", "-f", "g")


if "REAL_FIRECRACKER" not in os.environ:
    print("1..0 # SKIP no Firecracker: scripts/test-firecracker --guest")
    sys.exit(77)
if os.environ.get("BANGER_TEST_VM") == "1":
    os.makedirs(os.environ["BANGER_E2E_CACHE"], exist_ok=True)
    subprocess.run(["mount", "/dev/vda", os.environ["BANGER_E2E_CACHE"]], check=True)
banger_session.main([it_boots_and_its_status_comes_back, its_root_is_in_two_layers,
                     who_is_not_its_root_cannot_pose_as_its_agent, ten_thousand_connections_of_a_process_harm_nobody,
                     it_outlives_the_daemon_and_is_heard_again,
                     files_come_whole, it_stops_by_itself_and_begins_anew_with_what_was_written], session=FirecrackerGuests)
