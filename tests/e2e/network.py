#!/usr/bin/env python3
"""The network of VMs without root: a real Debian guest behind banger-net, on a host with a world of its own around it.

NETWORK_BIG_MB says how much goes each way (10); NETWORK_VMM=firecracker has the guest carry its frames over vsock.
"""
import os
import shutil
import signal
import subprocess
import sys

import banger_session
from banger_guests import MEMORY, Guests
from banger_net import HOST, NAME, WORLD, Net, content, digest
from banger_session import wait_for

BIG = int(os.environ.get("NETWORK_BIG_MB", "10")) * 1_000_000
VMM = os.environ.get("NETWORK_VMM", "qemu")
BOOT = ("--timeout", "200s")
GATEWAY, PUBLISHED, GUEST_PORT = "10.0.2.2", 18080, 8000

# bash speaks TCP and the guest has no more: a request, and what comes after the answer's head.
ASK = r"""exec 3<>/dev/tcp/$0/$1; printf '%s\r\n\r\n' "$2" >&3; sed '1,/^\r$/d' <&3"""
SEND = r"""exec 3<>/dev/tcp/$0/80; (printf 'POST / HTTP/1.0\r\nContent-Length: %s\r\n\r\n' "$(stat -c %s "$1")"; cat "$1") >&3
sed '1,/^\r$/d' <&3"""
# One connection after the other: takes as many bytes as the first line says, says how many came, then sends a file.
SERVE = r"""my $s = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 5, ReuseAddr => 1) or die;
print "listening\n"; close STDOUT;
while (my $c = $s->accept) { my ($want, $n) = (scalar <$c>, 0);
while ($n < $want) { my $r = read $c, my $b, $want - $n < 65536 ? $want - $n : 65536 or last; $n += $r } print $c "$n\n";
open my $f, '<', $ARGV[1]; while (read $f, my $b, 65536) { print $c $b } close $c }"""


class Networked(Guests):
    """Its daemon, and so its VMs, are on the host of a private internet."""

    def __init__(self):
        self.wrap = []
        super().__init__()  # kernel and image come from the real one
        self.run("daemon", "stop")
        self.net = Net()
        self.wrap = self.net.host.wrap

    def run(self, *args, **more):
        return super().run(*args, **{"wrap": self.wrap, **more})

    def create(self, name, *args, **more):
        return self.run("vm", "create", "--name", name, *MEMORY, "--vmm", VMM, *BOOT, *args, deadline=240, **more)

    def again(self, **env):
        """Another daemon, with these settings."""
        self.run("daemon", "stop")
        self.env.update(env)

    def ask(self, name, address, port=80, words="GET / HTTP/1.0", **more):
        return self.exec(name, "timeout", "20", "bash", "-c", ASK, address, str(port), words, **more)

    def networks(self):
        """Of this session: their pids."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
                with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                    dead = f.read().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            # Namespaces tell sessions apart.
            if os.path.basename(words[0]) in (b"banger-net", b"passt", b"passt.avx2") and not dead and self.here(pid):
                found.append(int(pid))
        return found

    def here(self, pid):
        mine = f"/proc/{self.net.host.process.pid}/ns/net"
        try:
            return os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(mine).st_ino
        except OSError:
            return False

    def close(self):
        super().close()
        left = self.networks()
        self.net.__exit__()
        assert not left, left


def on_host(s, script, *args, data=b""):
    """Python there, with bytes in and out."""
    return s.net.host.run(sys.executable, "-c", script, *args, text=False, input=data, stdout=subprocess.PIPE, timeout=300).stdout


CALL = r"""import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
data = sys.stdin.buffer.read(); s.settimeout(60); s.sendall(b"%d\n" % len(data) + data)
while data := s.recv(1 << 16): sys.stdout.buffer.write(data)"""


def a_guest_reaches_the_world_by_name(s):
    s.create("web", "--publish", f"{PUBLISHED}:{GUEST_PORT}")
    assert len(s.networks()) == 1
    assert s.exec("web", "getent", "hosts", NAME).split()[0] == WORLD
    assert s.ask("web", NAME) == "hello\n"


def a_name_server_on_the_hosts_loopback_answers(s):
    """As systemd-resolved's does; the guest reaches it by its network's forwarding alone."""
    server = s.net.serve(s.net.host, "127.0.0.53")
    with open(s.net.resolv, "w", encoding="ascii") as f:
        f.write("nameserver 127.0.0.53\n")
    try:
        s.create("local")
        assert s.exec("local", "getent", "hosts", NAME).split()[0] == "127.0.0.53"
        s.run("vm", "delete", "-f", "local")
    finally:
        with open(s.net.resolv, "w", encoding="ascii") as f:
            f.write(f"nameserver {WORLD}\n")
        server.send_signal(signal.SIGTERM)
        server.wait()
        server.stdout.close()


def bytes_go_out_and_come_in(s):
    got = s.exec("web", "bash", "-c", f"({ASK}) | sha256sum", WORLD, "80", f"GET /n/{BIG} HTTP/1.0", deadline=300)
    assert got.split()[0] == digest(content(BIG))
    s.exec("web", "sh", "-c", f"head -c {BIG} /dev/urandom >/root/big")
    said = s.exec("web", "bash", "-c", SEND, WORLD, "/root/big", deadline=300)
    assert said == s.exec("web", "sha256sum", "/root/big").split()[0]


def a_published_port_leads_in(s):
    s.exec("web", "sh", "-c", 'mkfifo /run/up; setsid perl -MIO::Socket::INET -e "$0" "$1" /root/big </dev/null >/run/up 2>/dev/null & cat /run/up',
           SERVE, str(GUEST_PORT))
    answer = on_host(s, CALL, str(PUBLISHED), data=content(BIG))
    count, _, rest = answer.partition(b"\n")
    assert count == str(BIG).encode(), count[:100]
    assert len(rest) == BIG, len(rest)
    assert digest(rest) == s.exec("web", "sha256sum", "/root/big").split()[0]
    # On the host's loopback, and nowhere else.
    refused = s.net.world.run(sys.executable, "-c", f"import socket; socket.create_connection(('{HOST}', {PUBLISHED}), 5)",
                              check=False, stderr=subprocess.PIPE)
    assert "Connection refused" in refused.stderr, refused


def the_hosts_loopback_is_out_of_reach(s):
    server = s.net.serve(s.net.host, "127.0.0.1")
    try:
        assert s.ask("web", GATEWAY, check=False).returncode != 0
        s.again(BANGER_HOST_LOOPBACK="yes")
        s.create("friend")
        assert s.ask("friend", GATEWAY) == "hello\n"
        s.run("vm", "delete", "-f", "friend")
    finally:
        s.again(BANGER_HOST_LOOPBACK="no")
        server.send_signal(signal.SIGTERM)
        server.wait()
        server.stdout.close()


def short_answers_come_whole(s):
    """One word each, by a server that hangs up at once, which the passt of Debian 12 loses."""
    s.exec("web", "sh", "-c", "pkill perl; rm -f /run/up; mkfifo /run/up; setsid perl -MIO::Socket::INET -e \"$0\" </dev/null >/run/up 2>/dev/null & cat /run/up",
           f"my $s = IO::Socket::INET->new(LocalPort => {GUEST_PORT}, Listen => 5, ReuseAddr => 1) or die; print \"up\\n\"; close STDOUT; "
           "while (my $c = $s->accept) { print $c \"x\"; close $c }")
    ask = f"import socket\nfor _ in range(50):\n s = socket.create_connection(('127.0.0.1', {PUBLISHED}), 20); print(s.recv(9).decode(), end='')"
    assert on_host(s, ask) == b"x" * 50


def answers(s):
    """Once the guest has found the new one: over vsock it dials again."""
    wait_for(lambda: s.ask("web", NAME, check=False).stdout == "hello\n", "the network does not come back")


def one_that_dies_is_replaced(s):
    assert s.ask("web", NAME) == "hello\n"  # so there is a daemon that looks after it
    (old,) = s.networks()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: s.networks() and s.networks() != [old], "no other one has come")
    answers(s)
    assert "ev=network.lost" in s.log()


def a_daemon_that_dies_leaves_the_network_alone(s):
    before = s.networks()
    boot = s.json("vm", "show", "web")["boot_id"]
    s.kill_daemon()
    assert s.ask("web", NAME) == "hello\n"
    assert (s.networks(), s.json("vm", "show", "web")["boot_id"]) == (before, boot)
    # The next daemon looks after it as the one before did.
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: s.networks() and s.networks() != before, "no other one has come")
    answers(s)


def nothing_of_it_outlives_its_vm(s):
    s.run("vm", "stop", "web")
    assert s.networks() == []
    s.run("vm", "start", "web", *BOOT, deadline=240)
    assert len(s.networks()) == 1
    s.run("vm", "delete", "-f", "web")
    assert s.networks() == []


def a_port_that_is_taken_is_the_starts_error(s):
    held = s.net.host.start(sys.executable, "-c", f"import socket, sys\ns = socket.create_server(('127.0.0.1', {PUBLISHED}))\n"
                            "print('held', flush=True); sys.stdin.read(); import time; time.sleep(1000)", stdout=subprocess.PIPE)
    assert held.stdout.readline() == b"held\n"
    try:
        refused = s.create("late", "--publish", f"{PUBLISHED}:80", check=False)
        assert refused.returncode != 0 and "Failed to bind" in refused.stderr and "port.busy" in refused.stderr, refused
        assert s.networks() == []
        s.run("vm", "delete", "-f", "late")
    finally:
        held.kill()
        held.wait()
        held.stdout.close()


def a_host_without_a_way_out_has_vms_too(s):
    s.net.host.run("ip", "route", "delete", "default")
    try:
        s.create("island")
        assert s.exec("island", "hostname") == "island\n"
        s.run("vm", "delete", "-f", "island")
    finally:
        s.net.host.run("ip", "route", "add", "default", "via", WORLD)


def passt_is_there_for_who_wants_it_in_qemu(s):
    s.again(BANGER_NETWORK="passt")
    try:
        if VMM == "firecracker":
            refused = s.create("pieces", check=False)
            assert refused.returncode != 0 and "passt is for guests in qemu" in refused.stderr, refused
            return
        if not shutil.which("passt"):
            raise banger_session.Skip("passt is not installed")
        s.create("passt")
        assert len(s.networks()) == 1
        assert s.ask("passt", NAME) == "hello\n"
        s.run("vm", "delete", "-f", "passt")
    finally:
        s.again(BANGER_NETWORK="auto")


def qemu_has_one_of_its_own(s):
    s.again(BANGER_NETWORK="user")
    try:
        s.create("plain")
        assert len(s.networks()) == (VMM == "firecracker")
        assert s.ask("plain", NAME) == "hello\n"
        s.run("vm", "delete", "-f", "plain")
    finally:
        s.again(BANGER_NETWORK="auto")


STORIES = [a_guest_reaches_the_world_by_name, bytes_go_out_and_come_in, a_published_port_leads_in, short_answers_come_whole,
           the_hosts_loopback_is_out_of_reach, one_that_dies_is_replaced, a_daemon_that_dies_leaves_the_network_alone,
           nothing_of_it_outlives_its_vm, a_port_that_is_taken_is_the_starts_error, a_host_without_a_way_out_has_vms_too,
           a_name_server_on_the_hosts_loopback_answers, passt_is_there_for_who_wants_it_in_qemu, qemu_has_one_of_its_own]
if __name__ == "__main__":
    banger_session.main(STORIES, session=Networked)
