"""What a measurement depends on: the processor, its threads, and the versions of what computes. Needs no torch."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from importlib import metadata, resources
from pathlib import Path

_LIMITS = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS")
_CODE = (
    "models/htdemucs.py",
    "models/crosstransformer.py",
    "models/layers.py",
    "backends/compiled.py",
    "backends/fused.py",
    "backends/operators.py",
    "backends/winograd.py",
    "backends/amx.py",
    "backends/integers.py",
    "backends/native/amx.h",
    "backends/native/amx_attention.cpp",
    "backends/native/amx_dconv.cpp",
    "backends/native/amx_rewrite.cpp",
    "backends/native/residual.h",
    "backends/native/vectors.h",
    "backends/native/dconv.cpp",
    "backends/native/attention.cpp",
    "backends/native/rewrite.cpp",
    "backends/native/product.cpp",
    "backends/native/shims.cpp",
)


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


def device_name(device: str) -> str:
    """A GPU's model; the same name for everything else."""
    if not device.startswith("cuda"):
        return device
    import torch

    return torch.cuda.get_device_name(device)


def version_of(package: str) -> str:
    """The installed version of a package, or ``none``."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


@functools.cache
def code_version() -> str:
    """Our own version of the network and its kernels: what was built from another one is not used."""
    folder = resources.files("stemwright")
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in _CODE)).hexdigest()[:16]


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """The first processor's lines of Linux's /proc/cpuinfo."""
    try:
        text = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
