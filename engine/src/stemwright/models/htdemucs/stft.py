"""The short-time Fourier transform of the hybrid networks, and its inverse.

Demucs's convention (`demucs.htdemucs.HTDemucs._spec`, `_ispec`): a hop of a quarter of the window, reflected borders
such that ``ceil(samples / hop)`` frames come out, the highest bin dropped, scaled by ``1 / sqrt(window)``. The channels
are the last dimension, as the networks want them: between frames for the FFT and bins for the network there is
nothing but the transposition of one matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_STRIP = 64  # columns


def spectrogram(audio: Tensor, nfft: int) -> Tensor:
    """``[batch, channels, samples]`` to complex ``[batch, nfft // 2, ceil(samples / hop), channels]``."""
    hop = nfft // 4
    batch, channels, length = audio.shape
    frames = -(-length // hop)
    border = hop // 2 * 3
    padded = _reflect(audio.flatten(0, 1), border, border + frames * hop - length)
    window = torch.hann_window(nfft, dtype=audio.dtype, device=audio.device)
    pieces = padded.view(batch, channels, -1).unfold(-1, nfft, hop).transpose(1, 2) * window
    z = torch.fft.rfft(pieces, norm="ortho")[..., :-1]
    return transposed(z.reshape(batch, frames * channels, -1)).view(batch, -1, frames, channels)


def inverse(z: Tensor, length: int) -> Tensor:
    """Complex ``[batch, nfft // 2, frames, channels]`` to ``[batch, channels, length]`` samples."""
    batch, bins, frames, channels = z.shape
    nfft = 2 * bins
    hop = nfft // 4
    border = hop // 2 * 3
    # Each frame is one row for the inverse FFT. The squares of four windows that overlap add up to 1.5 everywhere:
    # Demucs puts two empty frames before the first and after the last, so no sample is covered by fewer than four.
    window = torch.hann_window(nfft, dtype=torch.float32, device=z.device) * (nfft**0.5 / 1.5)
    pieces = torch.fft.irfft(transposed(z.reshape(batch, bins, -1)), n=nfft, dim=-1).mul_(window)
    blocks = pieces.view(batch, frames, channels, 4, hop)
    out = blocks.new_zeros(batch, frames + 7, channels, hop)
    for quarter in range(4):
        out[:, 2 + quarter : 2 + quarter + frames] += blocks[:, :, :, quarter]
    start = nfft // 2 + border
    wave: Tensor = out.transpose(1, 2).reshape(batch, channels, -1)[..., start : start + length]
    return wave


def transposed(matrices: Tensor) -> Tensor:
    """``[batch, n, m]`` to ``[batch, m, n]`` in memory; on a CPU in strips, which torch does in parallel and in the cache."""
    if matrices.device.type != "cpu":
        return matrices.transpose(1, 2).contiguous()
    made = matrices.new_empty(matrices.shape[0], matrices.shape[2], matrices.shape[1])
    for source, target in zip(matrices, made, strict=True):
        for first in range(0, len(source), _STRIP):
            target[:, first : first + _STRIP].copy_(source[first : first + _STRIP].t())
    return made


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
