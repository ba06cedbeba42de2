"""The processor's name and flags, and versions of what computes on it. Needs no torch."""

from __future__ import annotations

import functools
import platform
from importlib import metadata
from pathlib import Path


def cpu_name() -> str:
    """The processor's name for people."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """What the processor says it can; empty where the system does not tell."""
    found = _cpuinfo()
    return frozenset((found.get("flags") or found.get("Features") or "").split())


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
