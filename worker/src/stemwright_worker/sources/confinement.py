"""What the kernel holds a downloading process, and all that it starts, to: files, one port, and no other sockets.

By Landlock, which needs no privilege, as far as the kernel has it: files since Linux 5.13, ports since 6.7. And by a
seccomp filter that leaves TCP as the only way out. None of it can be taken back.

Sources: https://docs.kernel.org/userspace-api/landlock.html and include/uapi/linux/landlock.h;
https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, the same on every processor
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_BELOW, _PORT = 1, 2  # LANDLOCK_RULE_PATH_BENEATH, LANDLOCK_RULE_NET_PORT
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1, 2, 4, 8
_TRUNCATE = 1 << 14
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
# All that a version of Landlock can forbid of files: a kernel refuses what it does not know.
_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_BIND, _CONNECT = 1, 2
_SCOPES = 3  # abstract Unix sockets and signals: to processes of its own only; since version 6
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ERRNO, EPERM
# Of a machine: AUDIT_ARCH, and the numbers of socket and io_uring_setup, which makes sockets too.
_MACHINES = {"x86_64": (0xC000003E, 41, 425), "aarch64": (0xC00000B7, 198, 425)}
_LOAD, _EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_UNIX, _INET, _INET6, _STREAM = 1, 2, 10, 1


def confine(*, read: Iterable[Path], write: Iterable[Path], connect: int) -> None:
    """Hold this process to files below ``read`` and ``write``, and to TCP connections to port ``connect``.

    Paths that are not there are left out. Where the kernel lacks a part of it, the rest holds.
    """
    if sys.platform != "linux":
        return
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return
    _landlock(system, read=read, write=write, connect=connect)
    _tcp_only(system)


def _landlock(system: ctypes.CDLL, *, read: Iterable[Path], write: Iterable[Path], connect: int) -> None:
    version = system.syscall(_CREATE, None, 0, _VERSION)
    if version < 1:  # not in this kernel, or switched off
        return
    files = _FILES[min(version, max(_FILES))]
    rules = struct.pack("<QQQ", files, _BIND | _CONNECT if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    rules = rules[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = system.syscall(_CREATE, rules, len(rules), 0)
    if ruleset < 0:
        return
    for paths, rights in ((read, _EXECUTE | _READ_FILE | _READ_FOLDER), (write, files & ~_EXECUTE)):
        for path in paths:
            with suppress(OSError):
                _allow_below(system, ruleset, path, rights)
    if version >= 4:
        system.syscall(_ADD, ruleset, _PORT, struct.pack("<QQ", _CONNECT, connect), 0)
    system.syscall(_RESTRICT, ruleset, 0)
    os.close(ruleset)


def _allow_below(system: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not path.is_dir():
            rights &= _OF_A_FILE
        system.syscall(_ADD, ruleset, _BELOW, struct.pack("<Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _tcp_only(system: ctypes.CDLL) -> None:
    """Of sockets only those of TCP, and Unix ones: no UDP (names are the proxy's to resolve), no raw packets."""
    machine = _MACHINES.get(os.uname().machine)
    if machine is None or sys.maxsize < 1 << 32:
        return
    architecture, make_socket, make_ring = machine
    # Jumps are counted from the next instruction. Offsets into struct seccomp_data: 4 the processor, 0 the call,
    # 16 and 24 the low halves of its first two arguments.
    lines = (
        (_LOAD, 0, 0, 4),
        (_EQUAL, 0, 11, architecture),
        (_LOAD, 0, 0, 0),
        (_EQUAL, 9, 0, make_ring),
        (_EQUAL, 0, 7, make_socket),
        (_LOAD, 0, 0, 16),
        (_EQUAL, 5, 0, _UNIX),
        (_EQUAL, 1, 0, _INET),
        (_EQUAL, 0, 4, _INET6),
        (_LOAD, 0, 0, 24),
        (_AND, 0, 0, 0xF),  # without SOCK_NONBLOCK and SOCK_CLOEXEC
        (_EQUAL, 0, 1, _STREAM),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    )
    program = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in lines))
    pointer = struct.pack("@HP", len(lines), ctypes.addressof(program))  # struct sock_fprog
    system.prctl(_SECCOMP, _FILTER, ctypes.create_string_buffer(pointer), 0, 0)
