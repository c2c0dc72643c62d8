"""Firecracker in system mode: jailed by the helper, on a dm-snapshot, with a tap; Debian under the test VM's KVM.

Needs the real one, which Debian does not package: $BANGER_FIRECRACKER, root's own; and, where $BANGER_JAILER names one, its jailer
builds the jails.
"""
import json
import os
import shutil
import socket
import sys
import time

import pexpect

import banger_system
from banger_session import wait_for
from banger_system import DAEMON, HELPER, HELPER_CONF, banger, host_is_empty, is_again, kill, main_pid, run, systemctl, taken, vm

HOME, JAILER_HOME = "/opt/firecracker", "/opt/jailer"
FIRECRACKER, JAILER = os.environ.get("BANGER_FIRECRACKER", ""), os.environ.get("BANGER_JAILER", "")
MEMORY = ("--memory", "256M", "--vmm", "firecracker")


def prepare():
    shutil.copy(FIRECRACKER, HOME)  # as an administrator would have it, whatever the services see of /tmp
    section = f"\n[vmm firecracker]\nbinary = {HOME}\nlibraries = /usr\n"
    if JAILER:
        shutil.copy(JAILER, JAILER_HOME)
        section += f"jailer = {JAILER_HOME}\n"
    banger_system.install_with_guests(f"firecracker = {HOME}\n", HELPER_CONF + section)


def guest(name, *argv):
    return banger("vm", "exec", name, "--", *argv).stdout.strip()


def the_status_of_the_command_is_the_clients():
    p = banger("vm", "run", "--rm", "--nat", *MEMORY, "--", "sh", "-c", "exit 42", check=False)
    assert p.returncode == 42, p
    host_is_empty()


def it_is_jailed_with_disk_and_network():
    banger("vm", "run", "-d", "--name", "web", *MEMORY)
    row = vm("web")
    with open(f"/proc/{row['pid']}/status", encoding="ascii") as f:
        uid = next(line.split()[1] for line in f if line.startswith("Uid:"))
    assert int(uid) >= 200000, uid
    assert os.readlink(f"/proc/{row['pid']}/exe").endswith("firecracker")
    assert row["address"] in guest("web", "hostname", "-I"), row
    assert guest("web", "findmnt", "-no", "SOURCE", "/") == "/dev/vda"
    assert taken()["snapshots"] == [f"fc-rootfs-{row['id']}"], taken()


def a_terminal_is_one():
    t = pexpect.spawn(banger_system.BANGER, ["vm", "exec", "-t", "web", "--", "sh", "-c", "tty; stty size; read -r x; echo got $x; exit 7"],
                      dimensions=(33, 77), timeout=60)
    t.expect(r"/dev/pts/\d+\s+33 77")
    t.sendline("typed")
    t.expect("got typed")
    t.expect(pexpect.EOF)
    t.close()
    assert t.exitstatus == 7, t.exitstatus


def files_come_whole():
    with open("/run/file", "wb") as f:
        f.write(os.urandom(8 << 20))
    banger("vm", "cp", "/run/file", "web:/root/file")
    banger("vm", "cp", "web:/root/file", "/run/back")
    assert guest("web", "sha256sum", "/root/file").split()[0] == run("sha256sum", "/run/file").stdout.split()[0]
    run("cmp", "/run/file", "/run/back")


def its_balloon_tells_of_its_memory():
    def told():
        return json.loads(banger("vm", "stats", "web", "--no-stream", "--json").stdout)[0]
    wait_for(lambda: told()["balloon_known"], "its kernel says nothing of its memory", 60)
    row = told()
    assert 128 << 20 < row["balloon"]["memory_bytes"] <= 256 << 20 and row["balloon"]["minor_faults"] > 0, row
    assert row["rss_bytes"] > 32 << 20, row


def sent_s(to):
    """How long the guest takes to send 3 MiB to nobody."""
    begin = time.monotonic()
    guest("web", "bash", "-c", f"head -c 3145728 /dev/zero | dd bs=1024 iflag=fullblock status=none > /dev/udp/{to}/9")
    return time.monotonic() - begin


def its_limits_change_while_it_runs():
    to = guest("web", "sh", "-c", "ip route show default | cut -d' ' -f3")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind((to, 9))
        free = sent_s(to)
        banger("vm", "set", "web", "--net-rate", "512K")
        held = sent_s(to)
        banger("vm", "set", "web", "--unlimit", "net-rate")
        after = sent_s(to)
    assert held > 1.5 and held > 2 * max(free, after), (free, held, after)


def it_outlives_both_services():
    boot = vm("web")["boot_id"]
    for name in (DAEMON, HELPER):
        before = main_pid(name)
        kill(before)
        is_again(name, before)
    wait_for(lambda: guest("web", "cat", "/proc/sys/kernel/random/boot_id") == boot, "not the same boot", 60)


def it_begins_anew_with_what_was_written():
    boot = vm("web")["boot_id"]
    guest("web", "sh", "-c", "echo kept >/root/kept; sync")
    banger("vm", "restart", "web")
    assert vm("web")["boot_id"] not in ("", boot) and guest("web", "cat", "/root/kept") == "kept"


def it_is_stopped_and_leaves_nothing():
    banger("vm", "stop", "web")
    banger("vm", "start", "web")
    banger("vm", "delete", "-f", "web")
    host_is_empty()


def a_disk_of_its_own_is_larger_than_the_image():
    """ADR 30: a copy, where device-mapper is not wanted."""
    with open("/etc/banger/banger.conf", "a", encoding="ascii") as f:
        f.write("[vmm]\nroot_disk = copy\n")
    systemctl("reload", DAEMON)
    wait_for(lambda: "root disks by copy" in banger("doctor", check=False).stdout, "doctor does not say so")
    banger("vm", "run", "-d", "--name", "own", "--disk", "10G", *MEMORY, deadline=300)
    assert taken()["snapshots"] == [] and guest("own", "findmnt", "-no", "SOURCE", "/") == "/dev/vda"
    assert int(guest("own", "findmnt", "-bno", "SIZE", "/")) > 9 << 30
    banger("vm", "delete", "-f", "own")
    host_is_empty()


if not FIRECRACKER:
    print("1..0 # SKIP no BANGER_FIRECRACKER")
    sys.exit(77)
banger_system.main([the_status_of_the_command_is_the_clients, it_is_jailed_with_disk_and_network, a_terminal_is_one, files_come_whole,
                    its_balloon_tells_of_its_memory, its_limits_change_while_it_runs, it_outlives_both_services, it_begins_anew_with_what_was_written, it_is_stopped_and_leaves_nothing,
                    a_disk_of_its_own_is_larger_than_the_image], prepare)
