"""A sound to measure and test on, and how closely two agree. The tests of the engine use it too."""

from __future__ import annotations

from typing import Any

import torch


def music(seconds: float, seed: int = 1, sample_rate: int = 44100) -> torch.Tensor:
    """``[2, samples]``: tones, beats and noise; not music, but with its kinds of content."""
    chance = torch.Generator().manual_seed(seed)
    time = torch.arange(int(seconds * sample_rate), dtype=torch.float64) / sample_rate
    wave = torch.zeros(2, len(time), dtype=torch.float64)
    for index, (frequency, level) in enumerate([(55, 0.2), (110.3, 0.15), (440, 0.1), (1234.5, 0.08), (5000, 0.03)]):
        swell = 0.5 * (1 + torch.sin(2 * torch.pi * (0.3 + 0.17 * index) * time))
        wave[0] += level * swell * torch.sin(2 * torch.pi * frequency * time)
        wave[1] += level * swell * torch.sin(2 * torch.pi * frequency * 1.003 * time + 0.5)
    noise = torch.randn(2, len(time), generator=chance, dtype=torch.float64)
    beat = torch.exp(-((time * 2) % 1.0) * 12)
    return (wave + 0.25 * beat * noise + 0.01 * noise.flip(-1)).float()


def snr_db(expected: Any, got: Any) -> float:
    """Energy of ``expected`` over the energy of the difference, in dB: high only if equal in level and without any lag.

    Tensors or arrays of one shape.
    """
    expected, got = torch.as_tensor(expected).double(), torch.as_tensor(got).double()
    assert expected.shape == got.shape
    error = (expected - got).square().sum().clamp_min(1e-300)
    return float(10 * torch.log10(expected.square().sum() / error))
