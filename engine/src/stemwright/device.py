"""Which device computes, and in which precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stemwright.errors import DeviceError
from stemwright.options import Precision


@dataclass(frozen=True, kw_only=True)
class Computation:
    """A device and how it computes: what the report names."""

    device: torch.device
    precision: str  # "fp32" or "bf16-autocast"

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Run networks inside this."""
        with torch.inference_mode():
            if self.precision == "fp32":
                yield
            else:
                with torch.autocast(self.device.type, torch.bfloat16):
                    yield

    def run(self, network: nn.Module, mix: Tensor) -> Tensor:
        """Separate ``[B, C, T]`` on the device; give the result back on the CPU in float32.

        Raises:
            DeviceError: the device ran out of memory.
        """
        try:
            with self.active():
                return network(mix.to(self.device)).float().cpu()  # type: ignore[no-any-return]
        except torch.OutOfMemoryError:
            raise DeviceError(
                f"{self.device} ran out of memory: choose a shorter --segment, fewer --jobs, or --device cpu",
                code="out_of_memory",
            ) from None


def choose_device(name: str) -> torch.device:
    """The device of this name; ``auto`` is a GPU if there is one.

    Raises:
        DeviceError: there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise DeviceError(
            f"there is no device {name!r} here: choose auto, cpu, cuda or mps, or check the driver and the torch build",
            code="device_missing",
        ) from None
    return device


def choose_computation(device: torch.device, precision: Precision) -> Computation:
    """``exact`` and ``auto`` compute in float32; ``fast`` in bfloat16 where the hardware multiplies it, else float32."""
    if precision == "fast" and _multiplies_bf16(device):
        return Computation(device=device, precision="bf16-autocast")
    return Computation(device=device, precision="fp32")


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())
