"""Small networks of every released kind, and signals to run them on."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, TypeVar, cast

import torch
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from demucs.transformer import LayerScale

from stemwright.models.architecture import Architecture, LoadedModule

SOURCES = ["drums", "bass", "other", "vocals"]
Network = TypeVar("Network", bound=torch.nn.Module)


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


def loud(network: Network) -> Network:
    """Initial layer scales of 1e-3 would make the residual branches numerically invisible, and agreement look easy."""
    chance = torch.Generator().manual_seed(7)
    for module in network.modules():
        if type(module).__name__ == LayerScale.__name__:
            scale = cast(torch.Tensor, module.scale)
            scale.data = torch.randn(scale.shape, generator=chance) * 0.2
    return network.eval()


def arguments_of(network: torch.nn.Module) -> dict[str, Any]:
    """What a network of Demucs's was made with, as it keeps it for its checkpoint."""
    kwargs: dict[str, Any] = network._init_args_kwargs[1]  # type: ignore[assignment, index]
    return kwargs


def loaded(module: torch.nn.Module, architecture: Architecture | None = None) -> LoadedModule:
    """As a checkpoint is; without an architecture, of one that nothing is known of."""
    unknown = Architecture(name="a test's own", build=lambda _arguments: module)
    return LoadedModule(module=module, architecture=architecture or unknown)


def music(seconds: float, seed: int = 1, sample_rate: int = 44100) -> torch.Tensor:
    """``[2, samples]``: tones, beats and noise; not music, but with its kinds of content."""
    chance = torch.Generator().manual_seed(seed)
    time = torch.arange(int(seconds * sample_rate), dtype=torch.float64) / sample_rate
    wave = torch.zeros(2, len(time), dtype=torch.float64)
    for index, (frequency, level) in enumerate([(55, 0.2), (110.3, 0.15), (440, 0.1), (1234.5, 0.08), (5000, 0.03)]):
        swell = 0.5 * (1 + torch.sin(2 * torch.pi * (0.3 + 0.17 * index) * time))
        wave[0] += level * swell * torch.sin(2 * torch.pi * frequency * time)
        wave[1] += level * swell * torch.sin(2 * torch.pi * frequency * 1.003 * time + 0.5)
    beat = torch.exp(-((time * 2) % 1.0) * 12)
    noise = torch.randn(2, len(time), generator=chance, dtype=torch.float64)
    return (wave + 0.25 * beat * noise + 0.01 * noise.flip(-1)).float()


def snr_db(reference: torch.Tensor, estimate: torch.Tensor) -> float:
    """Agreement in dB."""
    reference, estimate = reference.double(), estimate.double()
    error = (reference - estimate).square().sum().clamp_min(1e-300)
    return float(10 * torch.log10(reference.square().sum() / error))
