#!/usr/bin/env python3
"""What a daemon that is gone has left behind goes when the next one starts; what is somebody else's stays."""
import glob
import os
import re
import shutil
import socket
import subprocess

import banger_session
from banger_session import wait_for

NOBODY = "0n0b0dykn0ws"      # the shape of an id
OTHER_HOME = "s0mewhereels"  # of another daemon


def put(path, text="x"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def sleeper(word, argv0="/usr/bin/vmm"):
    """A process that has the word in its command line."""
    return subprocess.Popen([argv0, "-c", "read -r x; :", "guest=x," + word], executable="/bin/sh",
                            stdin=subprocess.PIPE, start_new_session=True)


def ends(p):
    return p.poll() is not None


def put_away(*processes):
    for p in processes:
        p.kill()
        p.wait()
        p.stdin.close()


def home(s):
    """As our VMMs' command lines have it."""
    s.fake_guest(name="shows")
    with open(f"/proc/{s.json('vm', 'show', 'shows')['pid']}/cmdline", "rb") as f:
        found = re.search(rb"process=bg-[0-9a-z]{12}\.([0-9a-z]{12})", f.read()).group(1).decode()
    s.run("vm", "delete", "-f", "shows")
    return found


def swept(s):
    """The daemon starts again and has looked; what it logged about it."""
    before = len(s.log())
    s.info()
    wait_for(lambda: "ev=sweep.done" in s.log()[before:], "nothing was swept")
    return s.log()[before:]


def everything_nobody_names_goes(s):
    ours = home(s)
    s.fake_guest(name="runs")
    s.run("vm", "create", "--no-start", "--image", "none", "--kernel", "none", "--name", "rests")
    s.run("daemon", "stop")
    kept = s.leftovers()
    planted = [f"{s.runtime}/vm/{NOBODY}", f"{s.state}/vms/{NOBODY}", f"{s.state}/images/half",
               f"{s.state}/kernels/half", f"{s.state}/staging/01J9ZKQ5T0000000000000000A"]
    for p in planted:
        put(f"{p}/deep/er/file")
    socket.socket(socket.AF_UNIX).bind(f"{s.runtime}/vm/{NOBODY}/agent.sock")
    vmm = sleeper(f"process=bg-{NOBODY}.{ours}")
    network = sleeper(f"network=bg-{NOBODY}.{ours}", argv0=f"{s.libexec}/banger-net")
    imager = sleeper(f"{s.state}/staging/01J9ZKQ5T0000000000000000A", argv0=f"{s.libexec}/banger-imager")
    log = swept(s)
    wait_for(lambda: ends(vmm) and ends(network) and ends(imager), "processes are left")
    assert not any(os.path.exists(p) for p in planted), [p for p in planted if os.path.exists(p)]
    assert sorted(s.leftovers()) == sorted(kept), (s.leftovers(), kept)
    for what in (f"what=vmm pid={vmm.pid}", f"what=network pid={network.pid}", f"path={s.runtime}/vm/{NOBODY}", f"path={s.state}/vms/{NOBODY}",
                 f"path={s.state}/images/half", f"path={s.state}/kernels/half", f"what=imager pid={imager.pid}",
                 "moved=5 killed=3"):
        assert what in log, (what, log)
    assert {v["spec"]["name"]: v["state"] for v in s.vms()} == {"runs": "running", "rests": "created"}
    assert s.run("vm", "exec", "runs", "--", "echo", "well").stdout == "well\n"
    s.run("vm", "start", "rests")
    put_away(vmm, network, imager)
    s.run("vm", "delete", "--all", "-f")
    s.nothing_left()


def what_is_somebody_elses_stays(s):
    ours = home(s)
    s.run("daemon", "stop")
    others = sleeper(f"process=bg-{NOBODY}.{OTHER_HOME}")
    alike = [sleeper("process=bg-"), sleeper(f"process=bg-{NOBODY}"), sleeper(f"bg-{NOBODY}.{ours}"),
             sleeper(f"{s.state}/staging/01J9ZKQ5T0000000000000000A")]
    stay = [f"{s.runtime}/vm/{NOBODY}/agent.sock", f"{s.runtime}/vm/notes/x", f"{s.state}/vms/notes/x"]
    for p in stay:
        put(p)
    put(f"{s.state}/staging/01J9ZKQ5T0000000000000000A/x")
    swept(s)
    assert all(os.path.exists(p) for p in stay), [p for p in stay if not os.path.exists(p)]
    assert not any(ends(p) for p in (others, *alike))
    put_away(others, *alike)
    for d in (f"{s.runtime}/vm/notes", f"{s.state}/vms/notes"):
        shutil.rmtree(d)
    # Once its process has gone the directory is of no use to anybody.
    s.run("daemon", "stop")
    swept(s)
    assert not os.path.exists(f"{s.runtime}/vm/{NOBODY}")


def two_daemons_share_an_owner(s):
    """The other one's VMs are running, the daemon itself is not: as after a stop or a crash."""
    s.fake_guest(name="mine")
    s.run("daemon", "stop")
    other = {"BANGER_STATE_DIR": f"{s.top}/other"}
    mine = s.env["BANGER_STATE_DIR"]
    s.env.update(other)
    assert s.vms() == []
    put(f"{s.top}/other/staging/01J9ZKQ5T0000000000000000A/x")
    s.run("daemon", "stop")
    s.info()
    wait_for(lambda: os.listdir(f"{s.top}/other/staging") == [], "it has not swept")
    s.run("daemon", "stop")
    s.env["BANGER_STATE_DIR"] = mine
    assert s.states() == ["running"], (s.vms(), s.log())
    assert s.run("vm", "exec", "mine", "--", "echo", "well").stdout == "well\n"
    s.run("vm", "delete", "-f", "mine")
    s.nothing_left()


def lost_records_do_not_lose_disks(s):
    """Without any record everything is nobody's: then it is left for its owner to look at."""
    with banger_session.Session() as fresh:
        precious = [f"{fresh.state}/vms/{NOBODY}/disk.qcow2", f"{fresh.state}/images/debian/rootfs.ext4",
                    f"{fresh.state}/kernels/debian/vmlinux"]
        for p in precious:
            put(p)
            put(f"{fresh.state}/staging/01J9ZKQ5T0000000000000000A/x")
        swept(fresh)
        assert all(os.path.exists(p) for p in precious)
        shutil.rmtree(f"{fresh.state}/vms/{NOBODY}")


def what_cannot_be_removed_is_tried_again(s):
    if subprocess.run(["chattr", "+i", s.top], check=False, capture_output=True).returncode != 0:
        raise banger_session.Skip("no immutable files here")
    subprocess.run(["chattr", "-i", s.top], check=True)
    s.info()
    s.run("daemon", "stop")
    stuck = f"{s.state}/vms/{NOBODY}/disk.qcow2"
    put(stuck)
    subprocess.run(["chattr", "+i", stuck], check=True)
    s.info()
    wait_for(lambda: s.info()["leaks"] == 1, "no failure is counted")
    assert "ev=sweep.failed" in s.log() and s.vms() == []
    subprocess.run(["chattr", "-i", *glob.glob(f"{s.state}/trash/*/disk.qcow2")], check=True)
    wait_for(lambda: s.info()["leaks"] == 0, "it is not tried again")
    assert not os.path.exists(f"{s.state}/trash")


os.umask(0o077)
banger_session.main([everything_nobody_names_goes, what_is_somebody_elses_stays, two_daemons_share_an_owner,
                     lost_records_do_not_lose_disks, what_cannot_be_removed_is_tried_again],
                    prepare=banger_session.Session.fake_vmm)
