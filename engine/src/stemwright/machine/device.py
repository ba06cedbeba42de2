"""Which device computes, and what it multiplies well."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import sys
from pathlib import Path

from stemwright.errors import DeviceError


def has_torch() -> bool:
    """Whether torch is installed; it is not imported for that."""
    return importlib.util.find_spec("torch") is not None


def only_cpu() -> bool:
    """Whether no GPU can be used here, as far as that can be told without importing torch: there is no driver for one."""
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError):
        ctypes.CDLL("libcuda.so.1")
        return False
    return not Path("/dev/kfd").exists()  # AMD's


def choose_device(name: str) -> str:
    """The device of this name; ``auto`` is a GPU if there is one.

    Raises:
        DeviceError: there is no such device here.
    """
    if name == "cpu" or (name == "auto" and (not has_torch() or only_cpu())):
        return "cpu"
    if not has_torch():
        words = f"the device {name!r} needs torch: pip install torch, or choose cpu"
        raise DeviceError(words, code="device_missing", retryable=False)
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise DeviceError(
            f"there is no device {name!r} here: choose auto, cpu, cuda or mps, or check the driver and the torch build",
            code="device_missing",
            retryable=False,
        ) from None
    return str(device)


def low_precision(device: str) -> str | None:
    """The 16-bit type that the hardware of this device multiplies: ``bf16``, ``fp16``, or None. Needs torch."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if kind == "cpu" and torch.cpu._is_amx_tile_supported():
        return "bf16"
    return None


def device_name(device: str) -> str:
    """A GPU's model; the same name for everything else."""
    if not device.startswith("cuda"):
        return device
    import torch

    return torch.cuda.get_device_name(device)
