"""The networks that can be trained: the one that ships, and the one it is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from demucs.htdemucs import HTDemucs
from torch import nn

from stemwright.models.bandnet.network import BandNet

from .checkpoint import BANDNET, HTDEMUCS
from .score import SAMPLE_RATE, STEMS


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A network's class and the arguments that its checkpoint will carry."""

    klass: str
    kwargs: Mapping[str, Any]
    clip: float  # seconds of a training clip
    batch: int


RECIPES: dict[str, Recipe] = {
    "bandnet": Recipe(
        klass=BANDNET,
        kwargs={"sources": list(STEMS), "samplerate": SAMPLE_RATE, "segment": 8.0},
        clip=3.0,
        batch=4,
    ),
    "htdemucs": Recipe(
        klass=HTDEMUCS,
        # As small as leaves its parts alive: both branches, four levels, two layers of the cross transformer.
        kwargs={
            "sources": list(STEMS),
            "samplerate": SAMPLE_RATE,
            "segment": 3.0,
            "channels": 16,
            "depth": 4,
            "bottom_channels": 96,
            "t_layers": 2,
            "t_heads": 4,
            "t_hidden_scale": 2.0,
            "dconv_mode": 1,
        },
        clip=3.0,
        batch=4,
    ),
}


def new_network(recipe: Recipe, seed: int = 0) -> nn.Module:
    """An untrained network; the same seed gives the same weights."""
    torch.manual_seed(seed)
    network: nn.Module = {BANDNET: BandNet, HTDEMUCS: HTDemucs}[recipe.klass](**recipe.kwargs)
    if recipe.klass == BANDNET:  # the stubs do not know this argument of Module.to
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
