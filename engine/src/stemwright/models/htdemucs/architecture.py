"""HTDemucs as the engine knows it. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright.models.architecture import Architecture, Arguments, Core, RunCore
from stemwright.models.htdemucs.arguments import facts, unsupported
from stemwright.models.network import Computation, Network

if TYPE_CHECKING:
    import torch
    from torch import nn

    from stemwright.models.core import CoreModule


def _build(arguments: Arguments) -> nn.Module:
    from stemwright.models.htdemucs.network import HTDemucs

    return HTDemucs(*arguments.args, **arguments.kwargs)


def _lower(module: nn.Module, dtype: torch.dtype) -> None:
    from stemwright.models.htdemucs.layers import lower

    lower(module, dtype)


def _core_module(network: nn.Module) -> CoreModule:
    from stemwright.models.htdemucs.core import HTDemucsCore

    return HTDemucsCore(network)


def _around_core(
    run: RunCore, arguments: Arguments, *, computation: Computation, notes: tuple[str, ...], threads: int
) -> Network:
    from stemwright.models.htdemucs.around_core import CoreNetwork

    nfft = int(arguments.kwargs.get("nfft", 4096))
    return CoreNetwork(run, facts(arguments), nfft=nfft, computation=computation, notes=notes, threads=threads)


HTDEMUCS = Architecture(
    name="HTDemucs",
    klasses=("demucs.htdemucs.HTDemucs",),
    unsupported=lambda arguments: unsupported(arguments.kwargs),
    build=_build,
    fixed_segment=True,
    lower=_lower,
    core=Core(module=_core_module, network=_around_core),
    code="models/htdemucs",
)
