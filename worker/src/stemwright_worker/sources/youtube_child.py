"""yt-dlp in a process of its own, with limits that it cannot lift. Started by ``youtube.py`` and by nobody else.

``python -I -m stemwright_worker.sources.youtube_child FILE_BYTES CPU_SECONDS PARENT_PID ARGUMENTS...``
"""

from __future__ import annotations

import ctypes
import os
import resource
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1
_OPEN_FILES = 256


def main() -> None:
    """Limit this process, then be yt-dlp."""
    file_bytes, cpu_seconds, parent, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(parent):  # it was gone before that took hold
            sys.exit(1)
    for limit, value in (
        (resource.RLIMIT_FSIZE, int(file_bytes)),
        (resource.RLIMIT_CPU, int(cpu_seconds)),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    os.umask(0o077)
    sys.argv[1:] = arguments
    runpy.run_module("yt_dlp", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
