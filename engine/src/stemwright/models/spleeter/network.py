"""Spleeter's two-stem network (Hennequin et al., JOSS 2020), our own for the weights that Deezer published.

One U-Net for each stem looks at the magnitudes of 512 frames of both channels, up to 11 kHz, and gives a mask for them.
The squares of the two masked spectrograms share out the mix (`separation_exponent` 2). Above the band of the networks
the mean share of the band is used (Spleeter's mask extension "average"), and the accompaniment is the mix less
the vocals, so that the stems sum to the mix.

Spleeter partitions a song into runs of 512 frames; here a segment is such a run, and the engine overlaps them.
"""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SAMPLE_RATE = 44_100
WINDOW = 4096
HOP = 1024
BINS = 1024  # of WINDOW // 2 + 1: the band that the networks see
FRAMES = 512  # what they were trained on
_CHANNELS = (16, 32, 64, 128, 256, 512)
_FRAMES_STEP = 64  # six layers halve the frames and the bins
_EPSILON = 1e-10


class SpleeterUNet(nn.Module):
    """Masks one stem: ``[B, 2, frames, bins]`` magnitudes of the mix to those of the stem.

    Frames and bins must be multiples of 64.
    """

    def __init__(self) -> None:
        super().__init__()
        ins, outs = (2, *_CHANNELS[:-1]), _CHANNELS
        self.downs = nn.ModuleList(nn.Conv2d(i, o, 5, stride=2) for i, o in zip(ins, outs, strict=True))
        self.down_norms = nn.ModuleList(_norm(o) for o in outs)
        ups = (*reversed(_CHANNELS[:-1]), 1)
        skips = (_CHANNELS[-1], *(2 * c for c in ups[:-1]))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(i, o, 5, stride=2) for i, o in zip(skips, ups, strict=True))
        self.up_norms = nn.ModuleList(_norm(o) for o in ups)
        self.mask = nn.Conv2d(1, 2, 4, dilation=2, padding=3)

    def forward(self, magnitudes: Tensor) -> Tensor:
        """``[B, 2, frames, bins]`` to the same shape."""
        skips, x = [], magnitudes
        for down, norm in zip(self.downs, self.down_norms, strict=True):
            skips.append(down(F.pad(x, (1, 2, 1, 2))))  # TensorFlow's "same" padding for an even length
            x = F.leaky_relu(norm(skips[-1]), 0.2)
        x = skips.pop()  # the innermost layer is neither normalised nor activated
        for up, norm in zip(self.ups, self.up_norms, strict=True):
            x = norm(F.relu(up(x)[:, :, 1:-2, 1:-2]))
            if skips:
                x = torch.cat([skips.pop(), x], dim=1)
        return torch.sigmoid(self.mask(x)) * magnitudes


class Spleeter(nn.Module):
    """Separates ``[B, 2, T]`` into ``[B, 2, 2, T]``: vocals and accompaniment, which sum to the mix."""

    def __init__(self) -> None:
        super().__init__()
        self.sources = ["vocals", "accompaniment"]
        self.samplerate = SAMPLE_RATE
        self.audio_channels = 2
        self.segment = Fraction((FRAMES - 1) * HOP, SAMPLE_RATE)
        self.vocals = SpleeterUNet()
        self.accompaniment = SpleeterUNet()

    def valid_length(self, length: int) -> int:
        """The next length in samples whose frames the U-Nets can halve six times."""
        frames = -(-length // HOP) + 1
        return (-(-frames // _FRAMES_STEP) * _FRAMES_STEP - 1) * HOP

    def forward(self, mix: Tensor) -> Tensor:
        """``[B, 2, samples]``, of a valid length, to ``[B, 2, 2, samples]``."""
        batch, channels, length = mix.shape
        window = torch.hann_window(WINDOW, dtype=mix.dtype, device=mix.device)
        flat = mix.reshape(-1, length)
        spectra = torch.stft(flat, WINDOW, HOP, window=window, pad_mode="constant", return_complex=True)
        spectra = spectra.reshape(batch, channels, *spectra.shape[-2:])
        masked = spectra * self._vocal_share(spectra.abs())
        vocals = torch.istft(masked.flatten(0, 1), WINDOW, HOP, window=window, length=length)
        vocals = vocals.reshape(mix.shape)
        return torch.stack([vocals, mix - vocals], dim=1)

    def _vocal_share(self, magnitudes: Tensor) -> Tensor:
        """The part of each bin that is vocals, from 0 to 1: ``[B, 2, bins, frames]``, all bins of the window."""
        band = magnitudes[:, :, :BINS].transpose(2, 3)
        vocals = self.vocals(band).float().square()
        accompaniment = self.accompaniment(band).float().square()
        share = ((vocals + _EPSILON / 2) / (vocals + accompaniment + _EPSILON)).transpose(2, 3)
        above = share.mean(dim=2, keepdim=True).expand(-1, -1, magnitudes.shape[2] - BINS, -1)
        return torch.cat([share, above], dim=2)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)  # Keras's epsilon
