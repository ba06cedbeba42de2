"""The memory of this host's GPUs, as their driver tells: without torch, which is a model's own business."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable

import structlog

from stemwright_worker.contract.tasks import GpuMemory

_EVERY = 15.0  # seconds between two looks
_QUERY = ("--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits")
_MIB = 1 << 20
_log = structlog.get_logger(__name__)


class GpuMeter:
    """Looks now and then. Used by one thread."""

    def __init__(self, command: str = "nvidia-smi", *, clock: Callable[[], float] = time.monotonic) -> None:
        self._command = shutil.which(command)
        self._host = socket.gethostname()[:64]
        self._clock = clock
        self._next = 0.0

    def __call__(self) -> tuple[GpuMemory, ...]:
        """All GPUs of the host; none between two looks, or where there is no driver."""
        if self._command is None or self._clock() < self._next:
            return ()
        self._next = self._clock() + _EVERY
        try:
            found = subprocess.run(
                [self._command, *_QUERY],
                capture_output=True,
                text=True,
                timeout=5,
                check=True,
                stdin=subprocess.DEVNULL,
            )
            return gpus_of(found.stdout, self._host)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            _log.warning("gpu_not_measured", error=str(error))
            self._command = None  # it will say the same next time
            return ()


def gpus_of(text: str, host: str) -> tuple[GpuMemory, ...]:
    """The lines of ``nvidia-smi``: ``0, 1024, 143771`` in MiB. Raises ValueError."""
    found = []
    for line in text.splitlines():
        index, used, total = (int(each) for each in line.split(","))
        found.append(GpuMemory(host=host, index=index, used_bytes=used * _MIB, total_bytes=total * _MIB))
    return tuple(found)
