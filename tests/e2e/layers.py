#!/usr/bin/env python3
"""A root in two layers: an image that is only read, below a disk of the VM's own that takes what is written.

A real Debian guest, started by hand: what a VMM without copy-on-write disks gives it.
"""
import os
import socket
import subprocess

import banger_session
from banger_agent import Daemon
from banger_guests import IMAGE, KERNEL, Guests

MIB = 1 << 20
SMALL, GROWN = 64 * MIB, 2048 * MIB


def tsc_khz():
    with open("/proc/cpuinfo", encoding="ascii") as f:
        return next((int(float(line.split(":")[1]) * 1000) for line in f if line.startswith("cpu MHz")), 0)


class Machine:
    def __init__(self, s, upper):
        kernel, image = s.json("kernel", "show", KERNEL), s.json("image", "show", IMAGE)
        agent = f"{s.top}/layers.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(agent)
        listener.listen()
        listener.settimeout(60)
        self.console = f"{s.top}/layers.log"
        words = ("console=ttyS0 quiet panic=-1 reboot=t banger.hostname=layers banger.root=/dev/vda banger.upper=/dev/vdb "
                 f"tsc_early_khz={tsc_khz()}")
        self.vmm = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "microvm,accel=tcg,x-option-roms=off,pit=off,pic=off,rtc=on,isa-serial=on",
             "-cpu", "max", "-m", "256", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
             "-kernel", kernel["path"], "-initrd", kernel["initrd"], "-append", words, "-serial", f"file:{self.console}",
             "-drive", f"if=none,id=base,format=raw,readonly=on,file={image['path']}",
             "-drive", f"if=none,id=upper,format=raw,file={upper}",
             "-device", "virtio-blk-device,drive=base", "-device", "virtio-blk-device,drive=upper",
             "-device", "virtio-serial-device", "-chardev", f"socket,id=agent,path={agent}",
             "-device", "virtserialport,chardev=agent,name=banger.agent.0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            self.daemon = Daemon(listener.accept()[0], deadline=120).greet()
        except OSError as e:
            with open(self.console, encoding="utf-8", errors="replace") as f:
                raise AssertionError(f.read()[-2000:]) from e
        listener.close()
        os.unlink(agent)

    def sh(self, script):
        return self.daemon.exec("sh", "-c", script).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """As the daemon asks for it; a guest that does not is no guest to be waited for."""
        try:
            self.daemon.send(type="request", id=9, method="poweroff", args={})
            self.vmm.wait(timeout=60)
        finally:
            self.vmm.kill()
            self.vmm.wait()
            self.daemon.sock.close()


def digest(path):
    return subprocess.run(["sha256sum", path], check=True, capture_output=True, text=True).stdout.split()[0]


def what_is_written_is_on_the_upper_disk_alone(s):
    image = s.json("image", "show", IMAGE)["path"]
    before, upper = digest(image), f"{s.top}/upper"
    with open(upper, "wb") as f:
        f.truncate(SMALL)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", upper], check=True)
    with Machine(s, upper) as m:
        assert m.sh("stat -f -c %T /").strip() == "overlayfs", m.sh("grep ' / ' /proc/mounts")
        assert m.sh("echo kept >/root/kept; rm /etc/hostname; echo more >>/etc/motd; sync; cat /root/kept") == "kept\n"
    assert digest(image) == before
    # What was written is there in the next life, and the disk has grown meanwhile.
    os.truncate(upper, GROWN)
    with Machine(s, upper) as m:
        assert m.sh("cat /root/kept; tail -n1 /etc/motd; test -e /etc/hostname || echo gone") == "kept\nmore\ngone\n"
        blocks = int(m.sh("stat -f -c '%b %s' /").split()[0]) * int(m.sh("stat -f -c %S /"))
        assert blocks > GROWN * 0.9, blocks
    assert digest(image) == before


banger_session.main([what_is_written_is_on_the_upper_disk_alone], session=Guests)
