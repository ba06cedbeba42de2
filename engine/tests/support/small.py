"""Small networks of every released kind, and signals to run them on."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from inputs import SOURCES as SOURCES
from inputs import loud, made_with
from signals import music as music
from signals import snr_db as snr_db

from stemwright.models.architecture import Architecture, LoadedModule


def tiny_htdemucs(seed: int = 0, **kwargs: Any) -> HTDemucs:
    """Demucs's own class in a small configuration, with branches loud enough to be seen in the output."""
    torch.manual_seed(seed)
    defaults: dict[str, object] = {
        "sources": SOURCES,
        "channels": 8,
        "dconv_mode": 3,
        "bottom_channels": 32,
        "t_layers": 3,
        "t_heads": 4,
        "segment": Fraction(3, 2),
    }
    network: HTDemucs = HTDemucs(**{**defaults, **kwargs})
    return loud(network)


def tiny_hdemucs(seed: int = 0, **kwargs: Any) -> HDemucs:
    """Demucs's v3 hybrid in a small configuration."""
    torch.manual_seed(seed)
    defaults: dict[str, object] = {"sources": SOURCES, "channels": 8, "hybrid_old": False, "segment": 3}
    network: HDemucs = HDemucs(**{**defaults, **kwargs})
    return loud(network)


def arguments_of(network: torch.nn.Module) -> dict[str, Any]:
    """The keyword arguments of a network of Demucs's, as it keeps them for its checkpoint."""
    return made_with(network)[1]


def loaded(module: torch.nn.Module, architecture: Architecture | None = None) -> LoadedModule:
    """As a checkpoint is; without an architecture, of one that nothing is known of."""
    unknown = Architecture(name="a test's own", build=lambda _arguments: module)
    return LoadedModule(module=module, architecture=architecture or unknown)
