"""HTDemucs compiled for this machine: torch's ahead-of-time Inductor, weights frozen, one library in the cache.

Only the core is compiled; the transforms around it stay in torch. A library takes a C++ compiler and a minute or two to
build, and loads in a fraction of a second without any compiler.
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

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stemwright.backends import fused
from stemwright.backends.eager import DTYPES
from stemwright.models.htdemucs import HTDemucs, around
from stemwright.models.layers import lower
from stemwright.models.network import Computation, Facts, Samples

_CORE = "core.so"


def compiler() -> str | None:
    """The C++ compiler that would be used, or None."""
    return next(
        (found for name in (os.environ.get("CXX"), "g++", "clang++") if name and (found := shutil.which(name))), None
    )


class CoreModule(nn.Module):
    """The learnt part of a network as a module of its own: what is exported."""

    def __init__(self, network: HTDemucs) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        """As `HTDemucs.core`, with outputs in float32."""
        y, yt = self.network.core(x, xt)
        return y.float(), yt.float()


def example_inputs(network: HTDemucs) -> tuple[Tensor, Tensor]:
    """Inputs of the core in the shapes of one segment."""
    length = int(network.segment * network.samplerate)
    frames = -(-length // (network.nfft // 4))
    chance = torch.Generator().manual_seed(0)
    x = torch.randn(1, network.nfft // 2, frames, 2 * network.audio_channels, generator=chance)
    return x, torch.randn(1, 1, length, network.audio_channels, generator=chance)


def build(network: HTDemucs, precision: str, folder: Path) -> None:
    """Compile the core of a network, in float32 on the CPU, into ``folder``, with the kernels of `fused` that are faster here."""
    core = CoreModule(copy.deepcopy(network))
    lower(core.network, DTYPES[precision])
    inputs = example_inputs(network)
    if precision == "fp32" and (found := compiler()) is not None:
        fused.put_in(core.network, found, folder, x=inputs[0])
    with torch.no_grad(), _scratch() as scratch:
        core(*inputs)  # makes the positions, which become constants
        exported = torch.export.export(core, inputs)
        package = torch._inductor.aoti_compile_and_package(
            exported, package_path=str(scratch / "core.pt2"), inductor_configs={"freezing": True, **_vector_length()}
        )
        _unpack(Path(package), folder)


class CompiledNetwork:
    """A network whose core is a library in the cache."""

    batch = 1  # on a CPU one segment at a time is best
    streams = 1

    def __init__(self, folder: Path, facts: Facts, *, nfft: int, precision: str, notes: tuple[str, ...] = ()) -> None:
        self.facts = facts
        self.notes = notes
        self.computation = Computation(backend="compiled", device="cpu", precision=precision)
        if (folder / fused.LIBRARY).exists():
            fused.load(folder)
        # As `torch._inductor.aoti_load_package`, which would import the whole compiler first, a second or two, and unpack
        # a package into a temporary folder, which a process that is killed leaves behind.
        self._core = torch._C._aoti.AOTIModelContainerRunnerCpu(str(folder / _CORE), 1).run
        self._nfft = nfft

    def valid_length(self, length: int) -> int:
        """Always the training segment."""
        return max(length, int(self.facts.segment * self.facts.samplerate))

    def __call__(self, mix: Samples) -> Samples:
        """See `Network`."""
        with torch.inference_mode():
            return np.concatenate([self._one(torch.from_numpy(each[None])) for each in mix])

    def _one(self, mix: Tensor) -> Samples:
        length = mix.shape[-1]
        mix = F.pad(mix, (0, self.valid_length(length) - length))
        made = around(self._compute, mix, sources=len(self.facts.sources), nfft=self._nfft)
        return made[..., :length].numpy()

    def _compute(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        y, yt = self._core([x.contiguous(), xt.contiguous()])
        return y, yt


def _unpack(package: Path, folder: Path) -> None:
    """Take the library out of a package, and what describes its calls of our own kernels: torch looks for it beside."""
    with zipfile.ZipFile(package) as archive:
        (library,) = (name for name in archive.namelist() if name.endswith(".so"))
        calls = library.removesuffix(".so") + ".json"
        for name in {library, calls}.intersection(archive.namelist()):
            with archive.open(name) as packed, (folder / _CORE).with_suffix(Path(name).suffix).open("wb") as file:
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
