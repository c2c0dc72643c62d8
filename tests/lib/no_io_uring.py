"""Runs a command for which the kernel refuses io_uring, as kernel.io_uring_disabled=2 would: io_uring_setup(2) says EPERM.

    no_io_uring.py COMMAND [ARGUMENT...]
"""
import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
SYS_IO_URING_SETUP, EPERM = 425, 1
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def instruction(code, k, jump_true=0, jump_false=0):
    return struct.pack("HBBI", code, jump_true, jump_false, k)


program = (instruction(LOAD, 0) + instruction(JUMP_IF_EQUAL, SYS_IO_URING_SETUP, 0, 1) + instruction(RETURN, ERRNO | EPERM) +
           instruction(RETURN, ALLOW))
code = ctypes.create_string_buffer(program, len(program))
sock_fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
for call in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, sock_fprog, 0, 0)):
    if libc.prctl(*call) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[1], sys.argv[1:])
