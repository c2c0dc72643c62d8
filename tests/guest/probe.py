#!/usr/bin/env python3
"""The probe guest in QEMU under TCG: what it prints, and when it ends."""
import shutil
import subprocess
import sys

QEMU = "qemu-system-x86_64"
DEADLINE_S = 20
UP = b"banger-probe: up\r\n"
DONE = b"banger-probe: bench done\r\n"


def run(elf, cmdline):
    """Its serial output; the guest must end the VM by itself."""
    argv = [QEMU, "-M",
            "microvm,accel=tcg,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on",
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-serial", "stdio", "-m", "16M", "-kernel", elf, "-append", cmdline]
    end = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         timeout=DEADLINE_S, check=True)
    return end.stdout


def main():
    if not shutil.which(QEMU):
        sys.exit(77)
    elf = sys.argv[1]
    rows = [
        ("exit", UP),
        ("bench exit", UP + DONE),
        ("  console=ttyS0   exit bench ", UP + DONE),
        ("exit benchmark nobench ben", UP),
    ]
    failed = 0
    for cmdline, want in rows:
        got = run(elf, cmdline)
        if got != want:
            print(f"{cmdline!r}: {got!r}, not {want!r}", file=sys.stderr)
            failed += 1
    sys.exit(1 if failed else 0)


main()
