"""yt-dlp in a process of its own, with limits that it cannot lift. Started by ``youtube.py`` and by nobody else.

``python -I -m stemwright_worker.sources.youtube_child FILE_BYTES CPU_SECONDS PARENT_PID PORT FOLDER ARGUMENTS...``

It and what it starts may write below the folder only, read programs and no data of the service, and connect to the
one port of this machine where the worker's proxy listens (`confinement`, where the kernel can).
"""

from __future__ import annotations

import ctypes
import os
import resource
import runpy
import signal
import site
import sys
import sysconfig
from pathlib import Path

from stemwright_worker.sources.confinement import confine

_PR_SET_PDEATHSIG = 1
_OPEN_FILES = 256
_MEMORY = 1 << 30
"""Bytes of data that each process may have. Not of addresses: a JavaScript runtime reserves many and uses few."""
_SYSTEM = (
    *("/usr", "/bin", "/lib", "/lib32", "/lib64", "/opt", "/etc", "/dev", "/sys/devices/system/cpu"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat"),
)
"""Where programs, their libraries and certificates are."""


def main() -> None:
    """Limit this process, then be yt-dlp."""
    file_bytes, cpu_seconds, parent, port, folder, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(parent):  # it was gone before that took hold
            sys.exit(1)
    for limit, value in (
        (resource.RLIMIT_FSIZE, int(file_bytes)),
        (resource.RLIMIT_CPU, int(cpu_seconds)),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_DATA, _MEMORY),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    os.umask(0o077)
    confine(read=programs(), write=[Path(folder), Path("/dev/null")], connect=int(port))
    sys.argv[1:] = arguments
    runpy.run_module("yt_dlp", run_name="__main__", alter_sys=True)


def programs() -> list[Path]:
    """What may be read: folders of the system, of this Python and of what is installed for it, and the certificates."""
    python = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *site.getsitepackages(), *sys.path]
    certificates = [os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ]
    return [Path(path) for path in (*_SYSTEM, *python, *certificates) if path]


if __name__ == "__main__":
    main()
