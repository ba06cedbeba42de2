"""Which device computes, and what it multiplies well."""

from __future__ import annotations

from stemwright.errors import DeviceError
from stemwright.machine.machine import Machine, NumberType


def choose_device(name: str, machine: Machine) -> str:
    """The device of this name; ``auto`` is a GPU if there is one.

    Raises:
        DeviceError: There is no such device here.
    """
    if name == "cpu" or (name == "auto" and (machine.torch is None or not machine.may_have_gpu)):
        return "cpu"
    if machine.torch is None:
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


def low_precision(device: str, machine: Machine) -> NumberType | None:
    """The 16-bit type that the hardware of this device multiplies; None where it multiplies none. Needs torch for a GPU."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return "bf16" if "amx_tile" in machine.flags else None
    if kind != "cuda":
        return None
    import torch

    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def device_name(device: str) -> str:
    """A GPU's model; the same name for everything else."""
    if not device.startswith("cuda"):
        return device
    import torch

    return torch.cuda.get_device_name(device)


def fingerprint(device: str, machine: Machine) -> str:
    """A device of this machine, as far as it decides how fast something is computed."""
    limits = (f"onednn={machine.limits.onednn}", f"torch={machine.limits.torch}", f"mkl={machine.limits.mkl}")
    processor = (machine.cpu, *sorted(machine.flags), str(machine.threads), *limits)
    return " ".join([device_name(device), *processor, f"torch={machine.torch}", f"openvino={machine.openvino}"])
