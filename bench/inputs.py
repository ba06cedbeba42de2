"""What is measured on: networks in the released configurations with random weights, saved as Demucs saves them, and a sound."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from demucs.transformer import LayerScale
from safetensors.torch import save_file

RATE = 44100
SOURCES = ["drums", "bass", "other", "vocals"]
SEGMENT = Fraction(39, 5)  # seconds
_LOUDNESS = (
    0.2  # of LayerScales: at their initial 1e-3 the branches are invisible, and agreement looks better than it is
)
_RELEASED = {"channels": 48, "bottom_channels": 512, "dconv_mode": 3, "segment": SEGMENT}


def htdemucs(seed: int = 0) -> HTDemucs:
    """Demucs's own class, in the configuration of its released weights."""
    torch.manual_seed(seed)
    network: HTDemucs = _loud(HTDemucs(sources=SOURCES, **_RELEASED))
    return network


def hdemucs(seed: int = 0) -> HDemucs:
    """One network of `mdx_extra`; its segments are shorter here than the released 44 s, to keep the measurement short."""
    torch.manual_seed(seed)
    network: HDemucs = _loud(HDemucs(sources=SOURCES, channels=48, hybrid_old=False, segment=10))
    return network


def _loud(network: Any) -> Any:
    chance = torch.Generator().manual_seed(7)
    for module in network.modules():
        if isinstance(module, LayerScale):
            module.scale.data = torch.randn(module.scale.shape, generator=chance) * _LOUDNESS
    return network.eval().requires_grad_(False)


def save(network: Any, folder: Path, name: str) -> Path:
    """A checkpoint as Demucs's export to the hub writes it; one that is there already is kept."""
    file = folder / f"{name}.safetensors"
    if not file.exists():
        args, kwargs = network._init_args_kwargs
        told = {key: _encoded(value) for key, value in kwargs.items()}
        metadata = {
            "klass": f"{type(network).__module__}.{type(network).__name__}",
            "args": json.dumps(list(args)),
            "kwargs": json.dumps(told),
        }
        folder.mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, file, metadata=metadata)
    return file


def _encoded(value: Any) -> Any:
    if isinstance(value, Fraction):
        return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}
    return value


def music(seconds: float, seed: int = 1) -> torch.Tensor:
    """``[2, samples]``: tones, beats and noise; not music, but with its kinds of content."""
    chance = torch.Generator().manual_seed(seed)
    time = torch.arange(int(seconds * RATE), dtype=torch.float64) / RATE
    wave = torch.zeros(2, len(time), dtype=torch.float64)
    for index, (frequency, level) in enumerate([(55, 0.2), (110.3, 0.15), (440, 0.1), (1234.5, 0.08), (5000, 0.03)]):
        swell = 0.5 * (1 + torch.sin(2 * torch.pi * (0.3 + 0.17 * index) * time))
        wave[0] += level * swell * torch.sin(2 * torch.pi * frequency * time)
        wave[1] += level * swell * torch.sin(2 * torch.pi * frequency * 1.003 * time + 0.5)
    noise = torch.randn(2, len(time), generator=chance, dtype=torch.float64)
    beat = torch.exp(-((time * 2) % 1.0) * 12)
    return (wave + 0.25 * beat * noise + 0.01 * noise.flip(-1)).float()
