"""The short-time Fourier transform of the hybrid networks, and its inverse.

Demucs's convention (`demucs.htdemucs.HTDemucs._spec`, `_ispec`): a hop of a quarter of the window, reflected borders
such that ``ceil(samples / hop)`` frames come out, the highest bin dropped, scaled by ``1 / sqrt(window)``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def spectrogram(audio: Tensor, nfft: int) -> Tensor:
    """``[..., samples]`` to complex ``[..., nfft // 2, ceil(samples / hop)]``."""
    hop = nfft // 4
    length = audio.shape[-1]
    frames = -(-length // hop)
    border = hop // 2 * 3
    flat = audio.reshape(-1, length)
    padded = _reflect(flat, border, border + frames * hop - length)
    window = torch.hann_window(nfft, dtype=audio.dtype, device=audio.device)
    z = torch.stft(padded, nfft, hop, window=window, normalized=True, center=True, return_complex=True)
    z = z[:, :-1, 2 : 2 + frames]
    return z.reshape(*audio.shape[:-1], nfft // 2, frames)


def inverse(z: Tensor, length: int) -> Tensor:
    """Complex ``[..., nfft // 2, frames]`` to ``[..., length]`` samples."""
    bins, frames = z.shape[-2:]
    nfft = 2 * bins
    hop = nfft // 4
    border = hop // 2 * 3
    # Each frame is one row for the inverse FFT. The squares of four windows that overlap add up to 1.5 everywhere:
    # Demucs puts two empty frames before the first and after the last, so no sample is covered by fewer than four.
    window = torch.hann_window(nfft, dtype=torch.float32, device=z.device) * (nfft**0.5 / 1.5)
    pieces = torch.fft.irfft(z.reshape(-1, bins, frames).transpose(1, 2), n=nfft, dim=-1) * window
    blocks = pieces.view(-1, frames, 4, hop)
    out = blocks.new_zeros(blocks.shape[0], frames + 7, hop)
    for quarter in range(4):
        out[:, 2 + quarter : 2 + quarter + frames] += blocks[:, :, quarter]
    start = nfft // 2 + border
    flat = out.reshape(out.shape[0], -1)[:, start : start + length]
    wave: Tensor = flat.reshape(*z.shape[:-2], length)
    return wave


def _reflect(audio: Tensor, left: int, right: int) -> Tensor:
    """Reflect the borders of ``[N, samples]``; a piece too short to be reflected is lengthened with zeros first."""
    length = audio.shape[-1]
    missing = max(left, right) - length + 1
    if missing > 0:
        after = min(right, missing)
        before = missing - after
        audio = F.pad(audio, (before, after))
        left, right = left - before, right - after
    return F.pad(audio[:, None], (left, right), mode="reflect")[:, 0]
