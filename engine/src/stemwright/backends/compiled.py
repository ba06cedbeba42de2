"""HTDemucs compiled for this machine: torch's ahead-of-time Inductor, weights frozen, one library in the cache.

Only the core is compiled; the transforms around it are `stemwright.models.htdemucs.around_core`. A library takes a C++
compiler and a minute or two to build; `stemwright.backends.library` runs it, without any compiler.
"""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from stemwright.backends import amx, fused, operators
from stemwright.backends.eager import DTYPES
from stemwright.backends.library import CORE
from stemwright.backends.operators import KERNELS, PRODUCT
from stemwright.models.htdemucs.layers import lower
from stemwright.models.htdemucs.network import HTDemucs


def compiler() -> str | None:
    """The C++ compiler that would be used, or None."""
    return next(
        (found for name in (os.environ.get("CXX"), "g++", "clang++") if name and (found := shutil.which(name))), None
    )


class CoreModule(nn.Module):
    """The learnt part of a network as a module of its own: what is exported. See `around_core.Core`."""

    def __init__(self, network: HTDemucs) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        """As `HTDemucs.core`, with the channels first outside; outputs in float32, without gaps."""
        y, yt = self.network.core(x.permute(0, 3, 2, 1, 4).flatten(3), xt.transpose(1, 2)[:, None])
        return y.permute(0, 2, 3, 1).float().contiguous(), yt[:, 0].transpose(1, 2).float().contiguous()


def core_inputs(network: HTDemucs) -> tuple[Tensor, Tensor]:
    """Inputs of `HTDemucs.core` in the shapes of one segment."""
    length = int(network.segment * network.samplerate)
    frames = -(-length // (network.nfft // 4))
    chance = torch.Generator().manual_seed(0)
    x = torch.randn(1, network.nfft // 2, frames, 2 * network.audio_channels, generator=chance)
    return x, torch.randn(1, 1, length, network.audio_channels, generator=chance)


def segment_inputs(network: HTDemucs) -> tuple[Tensor, Tensor]:
    """Inputs of `CoreModule` in the shapes of one segment."""
    x, xt = core_inputs(network)
    return x.view(*x.shape[:3], -1, 2).permute(0, 3, 2, 1, 4).contiguous(), xt[:, 0].transpose(1, 2).contiguous()


def build(network: HTDemucs, precision: str, folder: Path) -> None:
    """Compile the core of a network for the CPU into ``folder``, with the kernels of `fused` that are faster here.

    Raises:
        RuntimeError: the compiler failed, or ``int16`` was asked for where its kernel is of no use.
    """
    core = CoreModule(copy.deepcopy(network))
    lower(core.network, DTYPES["fp32" if precision == "int16" else precision])
    kernels = (*KERNELS, PRODUCT) if precision == "int16" else KERNELS
    used: tuple[str, ...] = ()
    if (precision != "bf16" or amx.here()) and (found := compiler()) is not None:
        used = fused.put_in(core.network, found, folder, x=core_inputs(network)[0], kernels=kernels)
    if precision == "int16" and PRODUCT not in used:
        raise RuntimeError("the kernel for integers is not right here, or not faster than floats: the log says which")
    inputs = segment_inputs(network)
    with torch.no_grad(), _scratch() as scratch:
        core(*inputs)  # makes the positions, which become constants
        exported = torch.export.export(core, inputs)
        package = torch._inductor.aoti_compile_and_package(
            exported,
            package_path=str(scratch / "core.pt2"),
            inductor_configs={
                "freezing": True,
                "aot_inductor.custom_ops_to_c_shims": operators.SHIMS,
                **_vector_length(),
            },
        )
        _unpack(Path(package), folder)


def _unpack(package: Path, folder: Path) -> None:
    """Take the library out of a package."""
    with zipfile.ZipFile(package) as archive:
        (library,) = (name for name in archive.namelist() if name.endswith(".so"))
        with archive.open(library) as packed, (folder / CORE).open("wb") as file:
            shutil.copyfileobj(packed, file)


def _vector_length() -> dict[str, int]:
    """Inductor's vectors are as long as the processor's, unless torch is kept to AVX2."""
    return {"cpp.simdlen": 256} if os.environ.get("ATEN_CPU_CAPABILITY", "").lower() == "avx2" else {}


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Let the compiler work in a temporary folder that does not stay."""
    before = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    with tempfile.TemporaryDirectory(prefix="stemwright-compile-") as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ["TORCHINDUCTOR_CACHE_DIR"]
            else:
                os.environ["TORCHINDUCTOR_CACHE_DIR"] = before
