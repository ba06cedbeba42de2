"""Spleeter's network as the engine knows it. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright.models.architecture import Architecture, Arguments

if TYPE_CHECKING:
    from torch import nn


def _build(_arguments: Arguments) -> nn.Module:
    from stemwright.models.spleeter.network import Spleeter

    return Spleeter()


SPLEETER = Architecture(
    name="Spleeter, two stems",
    build=_build,
    normalises=False,  # it was trained on amplitudes as they are, full scale being 1
)
