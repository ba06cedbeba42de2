"""What a decoding process can still do once an untrusted file has taken it over: nothing but read, write and end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from stemwright.audio.reading import decode_child, system_calls

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"), reason="the filter is Linux's"
)

ATTEMPTS = {
    "open a file": 'os.open("/etc/passwd", os.O_RDONLY)',
    "open a file by a folder": 'os.open("etc/passwd", os.O_RDONLY, dir_fd=0)',
    "look at a file's name": 'os.readlink("/proc/self/exe")',
    "list a folder": 'os.listdir("/")',
    "write a file": 'os.open("/tmp/taken", os.O_CREAT | os.O_WRONLY)',
    "remove a file": 'os.unlink("/tmp/taken")',
    "open a TCP socket": "socket.socket()",
    "open a Unix socket": "socket.socket(socket.AF_UNIX)",
    "open a pair of sockets": "socket.socketpair()",
    "fork": "os.fork()",
    "start a program": 'os.execv("/bin/true", ["true"])',
    "start a thread": "checked(system.syscall({clone}, 0x10f00, 0, 0, 0, 0))",
    "trace its parent": "checked(system.ptrace(16, os.getppid(), 0, 0))",
    "read its parent's memory": "checked(system.process_vm_readv(os.getppid(), 0, 0, 0, 0, 0))",
    "kill its parent": "os.kill(os.getppid(), 0)",
    "make memory for code": "checked(system.mmap(0, 4096, 7, 0x22, -1, 0))",
    "turn memory into code": "checked(system.mprotect(page, 4096, 5))",
    "change its limits": "checked(system.setrlimit(0, page))",
    "loosen the filter": "checked(system.prctl(22, 2, 0, 0, 0))",
    "make an io_uring": "checked(system.syscall(425, 8, page))",
    "open by a call of 2021": "checked(system.syscall(437, -100, page, page, 24))",
    "create an anonymous file": 'os.memfd_create("taken")',
}
CLONE = {"x86_64": 56, "aarch64": 220}


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    """What each attempt gave, made by one process after it has shut its doors and freed its descriptors."""
    attempts = {name: code.format(clone=CLONE[os.uname().machine]) for name, code in ATTEMPTS.items()}
    code = f"""
        import ctypes, json, mmap, os, socket, sys
        sys.path.insert(0, {str(Path(decode_child.__file__).parent)!r})
        import decode_child
        system = ctypes.CDLL(None, use_errno=True)
        page = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(mmap.mmap(-1, 4096))))

        def checked(result):
            if result == -1:
                raise OSError(ctypes.get_errno(), "refused")

        compiled = {{name: compile(code, name, "eval") for name, code in {attempts!r}.items()}}
        decode_child.die_with_parent()
        decode_child.forbid_opening()
        os.close(0)
        answers = {{}}
        for name, each in compiled.items():
            try:
                eval(each)
                answers[name] = "done"
            except OSError as error:
                answers[name] = str(error.errno)
        os.write(1, json.dumps(answers).encode())
        os._exit(0)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_process_that_is_taken_over_cannot(answers: dict[str, str], attempt: str) -> None:
    assert answers[attempt] == "1"  # EPERM


def test_the_filter_holds_for_every_thread_and_no_privilege_can_be_gained() -> None:
    code = f"""
        import os, sys, threading
        sys.path.insert(0, {str(Path(system_calls.__file__).parent)!r})
        import system_calls
        stop = threading.Event()
        threading.Thread(target=stop.wait, daemon=True).start()
        files = [open(f"/proc/self/task/{{task}}/status") for task in os.listdir("/proc/self/task")]
        assert system_calls.only_decode()
        for file in files:
            print([line.split()[1] for line in file if line.startswith(("NoNewPrivs", "Seccomp:"))], flush=True)
        os._exit(0)
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["['1', '2']"] * 2, result.stderr
