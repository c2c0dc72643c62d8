"""Firecracker in system mode: jailed by the helper, on a dm-snapshot, with a tap; Debian under the test VM's KVM.

Needs the real one, which Debian does not package: $BANGER_FIRECRACKER, root's own; and, where $BANGER_JAILER names one, its jailer
builds the jails.
"""
import os
import shutil
import sys

import banger_system
from banger_session import wait_for
from banger_system import DAEMON, HELPER, HELPER_CONF, banger, host_is_empty, is_again, kill, main_pid, vm

HOME, JAILER_HOME = "/opt/firecracker", "/opt/jailer"
FIRECRACKER, JAILER = os.environ.get("BANGER_FIRECRACKER", ""), os.environ.get("BANGER_JAILER", "")
MEMORY = ("--memory", "256M", "--vmm", "firecracker")


def prepare():
    shutil.copy(FIRECRACKER, HOME)  # as an administrator would have it, whatever the services see of /tmp
    section = f"\n[vmm firecracker]\nbinary = {HOME}\n"
    if JAILER:
        shutil.copy(JAILER, JAILER_HOME)
        section += f"jailer = {JAILER_HOME}\n"
    else:
        section += "libraries = /usr\n"
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


def it_outlives_both_services():
    boot = vm("web")["boot_id"]
    for name in (DAEMON, HELPER):
        before = main_pid(name)
        kill(before)
        is_again(name, before)
    wait_for(lambda: guest("web", "cat", "/proc/sys/kernel/random/boot_id") == boot, "not the same boot", 60)


def it_is_stopped_and_leaves_nothing():
    banger("vm", "stop", "web")
    banger("vm", "start", "web")
    banger("vm", "delete", "-f", "web")
    host_is_empty()


if not FIRECRACKER:
    print("1..0 # SKIP no BANGER_FIRECRACKER")
    sys.exit(77)
banger_system.main([the_status_of_the_command_is_the_clients, it_is_jailed_with_disk_and_network, it_outlives_both_services,
                    it_is_stopped_and_leaves_nothing], prepare)
