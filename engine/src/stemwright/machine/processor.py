"""What a measurement depends on: the processor, its threads, and the versions of what computes. Needs no torch."""

from __future__ import annotations

import functools
import os
import platform
from importlib import metadata
from pathlib import Path

from stemwright.machine.device import device_name

_LIMITS = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS")


def cpu_name() -> str:
    """The processor's name for people."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """What the processor says it can; empty where the system does not tell."""
    found = _cpuinfo()
    return frozenset((found.get("flags") or found.get("Features") or "").split())


def threads() -> int:
    """Processors that this process may use, or what OMP_NUM_THREADS says."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def fingerprint(device: str) -> str:
    """This machine, as far as it decides how fast something is computed."""
    limits = [f"{name}={os.environ.get(name, '')}" for name in _LIMITS]
    parts = [device_name(device), cpu_name(), *sorted(cpu_flags()), str(threads()), *limits]
    return " ".join([*parts, f"torch={version_of('torch')}", f"openvino={version_of('openvino')}"])


def version_of(package: str) -> str:
    """The installed version of a package, or ``none``."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """The first processor's lines of Linux's /proc/cpuinfo."""
    try:
        text = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
