"""The Linux system calls that a decoding process may still make once it has begun to read a stranger's file.

A filter (seccomp with a BPF program) that the kernel applies to every later call of the process: reading and writing
what is open, memory that holds no code, waiting, and ending. Everything else answers EPERM: opening a file or a socket,
starting a process or a thread, looking into another process, and loosening the filter. Imported by `decode_child`,
which runs outside this package: so this module imports nothing of it.

Source: https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html; the numbers are those of the kernel's
arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import os
import struct
import sys

# fmt: off
_X86_64 = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "munmap": 11, "brk": 12, "rt_sigaction": 13,
    "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "readv": 19, "writev": 20, "sched_yield": 24, "mremap": 25,
    "madvise": 28, "dup": 32, "nanosleep": 35, "getpid": 39, "exit": 60, "fcntl": 72, "gettimeofday": 96,
    "getrusage": 98, "sysinfo": 99, "sigaltstack": 131, "gettid": 186, "futex": 202, "sched_getaffinity": 204,
    "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231,
    "newfstatat": 262, "ppoll": 271, "getrandom": 318,
}
_AARCH64 = {
    "dup": 23, "fcntl": 25, "close": 57, "lseek": 62, "read": 63, "write": 64, "readv": 65, "writev": 66, "pread64": 67,
    "ppoll": 73, "newfstatat": 79, "fstat": 80, "exit": 93, "exit_group": 94, "futex": 98, "nanosleep": 101,
    "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "sched_getaffinity": 123, "sched_yield": 124,
    "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139,
    "getrusage": 165, "gettimeofday": 169, "getpid": 172, "gettid": 178, "sysinfo": 179, "brk": 214, "munmap": 215,
    "mremap": 216, "madvise": 233, "getrandom": 278,
}
# fmt: on
# Of a machine, as uname has it: the kernel's number of its calls (AUDIT_ARCH), the calls allowed, (mmap, mprotect) that
# are allowed where the memory may hold no code, and seccomp itself.
_MACHINES = {
    "x86_64": (0xC000003E, _X86_64, (9, 10), 317),
    "aarch64": (0xC00000B7, _AARCH64, (222, 226), 277),
}
_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS
_SET_FILTER = 1  # SECCOMP_SET_MODE_FILTER
_ALL_THREADS = 1  # SECCOMP_FILTER_FLAG_TSYNC
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | 1  # SECCOMP_RET_ERRNO, EPERM
_EXECUTABLE = 4  # PROT_EXEC
_LOAD, _EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _THIRD_ARGUMENT = 0, 4, 32  # bytes into struct seccomp_data


def only_decode() -> bool:
    """Let this process, all its threads, make no other system call from here on than decoding needs.

    Returns:
        Whether the kernel took the filter; false on another system, processor or kernel without it, where nothing has
        changed but that the process can gain no privileges (Linux).
    """
    if sys.platform != "linux":
        return False
    try:
        import ctypes
    except ImportError:  # a Python that was built without it
        return False
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    machine = _MACHINES.get(os.uname().machine)
    if machine is None or sys.maxsize < 1 << 32:
        return False
    architecture, calls, memory, seccomp = machine
    program = ctypes.create_string_buffer(_program(architecture, sorted(calls.values()), memory))
    pointer = struct.pack("@HP", (len(program) - 1) // 8, ctypes.addressof(program))  # struct sock_fprog
    return bool(system.syscall(seccomp, _SET_FILTER, _ALL_THREADS, ctypes.create_string_buffer(pointer)) == 0)


def _program(architecture: int, allowed: list[int], memory: tuple[int, ...]) -> bytes:
    """Instructions of classic BPF: (code, jump if true, jump if false, operand), jumps counted from the next one."""
    calls = [*allowed, *memory]
    refuse = len(calls)  # from the first comparison: they are followed by "refuse"
    lines = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 0, refuse + 1, architecture), (_LOAD, 0, 0, _NUMBER)]
    for index, number in enumerate(calls):
        left = len(calls) - 1 - index
        # Behind the comparisons: refuse, allow, and the look at the memory's protection.
        lines.append((_EQUAL, left + (2 if number in memory else 1), 0, number))
    lines += [
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _THIRD_ARGUMENT),  # its low half: the machines above are little-endian
        (_AND, 0, 0, _EXECUTABLE),
        (_EQUAL, 1, 0, 0),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)
