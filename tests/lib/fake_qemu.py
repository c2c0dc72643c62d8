#!/usr/bin/env python3
"""What the daemon needs of QEMU, without a guest: the agent runs here, as a process of the test.

Takes QEMU's command line, accepts on the sockets that it inherits, and ends when the agent does.  So a
test has commands in a "guest" where no kernel can be booted, or in no time.  $FAKE_AGENT is the agent;
it is told the VM's name in $FAKE_NAME.
"""
import os
import re
import socket
import subprocess
import sys


def accepted(argv, name):
    """The daemon's connection on one of the sockets, waited for as QEMU does with wait=on; None: no such socket."""
    for word in argv:
        m = re.match(rf"socket,id={name},fd=(\d+),", word)
        if m:
            return socket.socket(fileno=int(m.group(1))).accept()[0]
    return None


def vm_name(argv):
    return re.match(r"guest=([a-z0-9-]+)", argv[argv.index("-name") + 1]).group(1)


def main(argv):
    control = accepted(argv, "control")
    console = accepted(argv, "console")
    agent = accepted(argv, "agent")
    if console:
        console.sendall(b"banger-probe: up\r\n")
    if control:
        control.sendall(b'{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}\r\n')
    if agent:
        return subprocess.run([os.environ["FAKE_AGENT"], "--fd", str(agent.fileno())], check=False,
                              pass_fds=[agent.fileno()], env=dict(os.environ, FAKE_NAME=vm_name(argv))).returncode
    while (control or console).recv(4096):
        pass
    return 0


sys.exit(main(sys.argv[1:]))
