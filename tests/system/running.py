"""`banger vm run` in system mode: a Debian guest in a jail, on a dm-snapshot, behind the bridge, with and without NAT."""
import json
import os
import subprocess

import banger_system
from banger_session import wait_for
from banger_system import DAEMON, GROUP, GROUPS, HELPER, STATE, UID_FIRST, banger, host_is_empty, is_again, kill, main_pid, run, systemctl, taken, vm, vmms

MEMORY = ("--memory", "256M")
OUTSIDE, UPLINK = "192.0.2.2", "192.0.2.1"
SEEN = "/run/outside.seen"

# Tells who has come, and says hello.
SERVER = f"""
import socket
s = socket.create_server(("{OUTSIDE}", 80))
print("up", flush=True)
while True:
    c, peer = s.accept()
    with open("{SEEN}", "a") as f:
        f.write(peer[0] + "\\\\n")
    c.sendall(b"hello from outside\\\\n")
    c.close()
"""
GET = f"exec 3<>/dev/tcp/{OUTSIDE}/80 && cat <&3"


def make_outside():
    """A network beyond the host's: a namespace at the other end of a cable."""
    for words in ("ip netns add outside", "ip link add uplink type veth peer name eth0 netns outside", f"ip address add {UPLINK}/24 dev uplink",
                  "ip link set uplink up", f"ip -n outside address add {OUTSIDE}/24 dev eth0", "ip -n outside link set eth0 up",
                  "ip -n outside link set lo up"):
        run(*words.split())
    server = subprocess.Popen(["ip", "netns", "exec", "outside", "/usr/bin/python3", "-c", SERVER.replace("\\\\n", "\\n")],
                              stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "up\n"


def prepare():
    banger_system.install_with_guests()
    make_outside()


def seen():
    try:
        with open(SEEN, encoding="ascii") as f:
            return f.read().split()
    except FileNotFoundError:
        return []


def guest(name, *argv, check=True):
    p = banger("vm", "exec", name, "--", *argv, check=check)
    return p.stdout.strip() if check else p


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return {k: v.split() for k, v in (line.rstrip("\n").split(":", 1) for line in f)}


# ---- stories; the VM "web" lives through most of them ----

def the_status_of_the_command_is_the_clients():
    p = banger("vm", "run", "--rm", "--nat", *MEMORY, "--", "sh", "-c", "exit 42", check=False)
    assert p.returncode == 42, p
    host_is_empty()


def with_nat_it_reaches_what_is_beyond_the_bridge():
    banger("vm", "run", "-d", "--nat", "--name", "web", *MEMORY)
    assert guest("web", "timeout", "20", "bash", "-c", GET) == "hello from outside"
    assert seen() == [UPLINK], seen()


def without_nat_it_does_not():
    banger("vm", "run", "-d", "--name", "alone", *MEMORY)
    before = seen()
    p = guest("alone", "timeout", "5", "bash", "-c", GET, check=False)
    assert p.returncode != 0 and "hello" not in p.stdout, p
    assert seen() == before, "not one packet has come out"
    # Nor does it reach another guest.
    p = guest("alone", "timeout", "5", "bash", "-c", f"exec 3<>/dev/tcp/{vm('web')['address']}/22", check=False)
    assert p.returncode != 0, p
    # Until it is given a way out, and again once that is taken.
    banger("vm", "set", "--nat", "alone")
    assert guest("alone", "timeout", "20", "bash", "-c", GET) == "hello from outside"
    banger("vm", "set", "--no-nat", "alone")
    held = seen()
    p = guest("alone", "timeout", "5", "bash", "-c", GET, check=False)
    assert p.returncode != 0 and "hello" not in p.stdout, p
    assert seen() == held, "not one packet has come out"
    banger("vm", "delete", "-f", "alone")


def its_vmm_is_jailed():
    v = vm("web")
    pid = v["pid"]
    assert list(vmms()) == [pid], vmms()
    status = status_of(pid)
    assert len(set(status["Uid"])) == 1 and int(status["Uid"][0]) >= UID_FIRST, status["Uid"]
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == ["0000000000000000"]
    assert status["NoNewPrivs"] == ["1"] and status["Seccomp"] == ["2"]
    root = set(os.listdir(f"/proc/{pid}/root"))
    assert {"dev", "vm"} <= root and not {"etc", "var", "home", "root", "proc", "sys", "run", "tmp"} & root, root
    limits_hold(v)
    systemctl("daemon-reload")  # would have taken the controllers of a group that is not delegated
    limits_hold(v)


def what_it_uses_is_told():
    row = json.loads(banger("vm", "stats", "web", "--no-stream", "--json").stdout)[0]
    assert row["rss_bytes"] > 16 << 20 and row["cpu_us"] > 0, row


def limits_hold(v):
    with open(f"/proc/{v['pid']}/cgroup", encoding="ascii") as f:
        group = f.read().strip().split("::")[1]
    assert os.path.dirname(group) == GROUP and v["id"] in group, group
    with open(f"/sys/fs/cgroup{group}/memory.max", encoding="ascii") as f:
        assert 256 << 20 < int(f.read()) < 1 << 30
    with open(f"/sys/fs/cgroup{group}/cpu.max", encoding="ascii") as f:
        assert f.read().split()[0] == "100000", "one virtual CPU"


def its_disk_is_a_snapshot_and_its_tap_a_port_of_the_bridge():
    v = vm("web")
    now = taken()
    assert now["snapshots"] == [f"fc-rootfs-{v['id']}"] and now["taps"] == [f"bg-{v['id']}"], now
    assert now["nat"] == [f"bg-{v['id']} {v['address']}"] and now["jails"] == now["cgroups"] == [v["id"]], now
    table = run("dmsetup", "table", f"fc-rootfs-{v['id']}").stdout.split()
    assert table[2] == "snapshot", table
    opened = run("dmsetup", "info", "-c", "--noheadings", "-o", "open", f"fc-rootfs-{v['id']}").stdout.strip()
    assert opened == "1", "the VMM has it open"
    link = json.loads(run("ip", "-j", "-d", "link", "show", f"bg-{v['id']}").stdout)[0]
    assert link["master"] == "br-fc" and link["linkinfo"]["info_slave_data"]["isolated"], link


def what_it_wrote_and_its_address_outlive_a_stop():
    before = vm("web")
    guest("web", "sh", "-c", "echo kept >/root/note && sync")
    banger("vm", "stop", "web")
    now = taken()
    assert not now["taps"] and not now["jails"] and not now["snapshots"] and vmms() == {}, now
    banger("vm", "start", "web")
    after = vm("web")
    assert guest("web", "cat", "/root/note") == "kept"
    assert after["address"] == before["address"] in guest("web", "sh", "-c", "cat /proc/net/fib_trie") + " ", after
    assert after["boot_id"] != before["boot_id"]


def it_outlives_both_services():
    before = vm("web")
    for name in DAEMON, HELPER:
        pid = main_pid(name)
        kill(pid)
        is_again(name, pid)
        systemctl("restart", f"{name}.service")
    wait_for(lambda: banger("vm", "exec", "web", "--", "true", check=False).returncode == 0, "the guest is not heard again", 60)
    after = vm("web")
    assert (after["pid"], after["boot_id"]) == (before["pid"], before["boot_id"])
    assert guest("web", "timeout", "20", "bash", "-c", GET) == "hello from outside"


def a_vmm_that_is_killed_is_noticed_and_starts_again():
    kill(vm("web")["pid"])
    wait_for(lambda: vm("web")["state"] in ("stopped", "failed"), "its end is not noticed", 30)
    wait_for(lambda: not any(v for k, v in taken().items()), "what it held is still there", 30)
    banger("vm", "start", "web")
    assert guest("web", "cat", "/root/note") == "kept"


def it_ends_while_no_daemon_runs():
    systemctl("stop", "bangerd.socket", "bangerd.service")
    (pid,) = vmms()
    kill(pid)
    systemctl("start", "bangerd.socket")
    wait_for(lambda: vm("web")["state"] in ("stopped", "failed"), "its end is not noticed", 30)
    wait_for(lambda: not any(taken().values()), "what it held is still there", 30)


def deleted_it_leaves_nothing():
    banger("vm", "delete", "-f", "web")
    host_is_empty()


def what_no_record_names_is_cleared():
    """As when the daemon's state came back from a backup: a VM runs that it knows nothing of."""
    systemctl("stop", "bangerd.service")
    run("cp", "-a", f"{STATE}/db", f"{STATE}/db.before")
    banger("vm", "run", "-d", "--nat", "--name", "lost", *MEMORY)
    pid = vm("lost")["pid"]
    systemctl("stop", "bangerd.service")
    assert list(vmms()) == [pid] and all(taken().values()), taken()
    run("rm", "-r", f"{STATE}/db")
    os.rename(f"{STATE}/db.before", f"{STATE}/db")
    banger("ping")
    wait_for(lambda: not any(taken().values()), "what the lost VM had is still there")
    host_is_empty()


def twenty_come_and_go():
    banger("vm", "create", "-n", "20", "--image", "probe", deadline=300)
    assert [v["state"] for v in banger_system.vms()] == ["running"] * 20
    assert len(set(vmms().values())) == 20, "each has a user of its own"
    assert len([d for d in os.listdir(GROUPS) if os.path.isdir(f"{GROUPS}/{d}")]) == 20
    banger("vm", "delete", "--all", "-f")
    host_is_empty()


banger_system.main([the_status_of_the_command_is_the_clients, with_nat_it_reaches_what_is_beyond_the_bridge, without_nat_it_does_not,
                    its_vmm_is_jailed, what_it_uses_is_told, its_disk_is_a_snapshot_and_its_tap_a_port_of_the_bridge,
                    what_it_wrote_and_its_address_outlive_a_stop, it_outlives_both_services,
                    a_vmm_that_is_killed_is_noticed_and_starts_again, it_ends_while_no_daemon_runs, deleted_it_leaves_nothing,
                    what_no_record_names_is_cleared, twenty_come_and_go], prepare=prepare)
