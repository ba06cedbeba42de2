"""BandNet as the engine knows it. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright.models.architecture import Architecture, Arguments

if TYPE_CHECKING:
    from torch import nn


def _build(arguments: Arguments) -> nn.Module:
    from stemwright.models.bandnet.network import BandNet

    return BandNet(*arguments.args, **arguments.kwargs)


BANDNET = Architecture(name="BandNet", klasses=("stemwright.models.bandnet.BandNet",), build=_build, shares_offset=True)
