"""BandNet: the small network of the `pocket` model.

A spectrogram is cut into bands that widen with frequency; each band becomes a column of features, a small U-Net of
convolutions mixes them over time and frequency, and each band is given masks for all sources at once. A mask is a real
2x2 matrix on mid and side, so that a source can be taken out by its place in the stereo image too. What the sources
leave of the mix is shared among them, so the estimates sum to the mix. Made for few cores: most of the work is in few,
dense convolutions on a 64-band grid, and one pass gives all sources.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Bins of the 4096-point spectrogram: (bands, bins in a band, bins that share a mask). 2048 bins, 10.8 Hz each, in 64 bands.
BANDS: tuple[tuple[int, int, int], ...] = ((24, 4, 1), (20, 12, 1), (12, 40, 1), (6, 104, 2), (2, 304, 4))


VIEWS = 4  # of the mix that are looked at: left, right, mid, side


def _rotate(x: Tensor, dim: int) -> Tensor:
    """Left and right, which lie along `dim`, to mid and side of the same energy; or back."""
    first, second = x.unbind(dim)
    rotated: Tensor = torch.stack([first + second, first - second], dim) * 0.5**0.5
    return rotated


def _stage(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    """Two convolutions and a mixing of all bands, added to their input [B, C, T, K]."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.first = _stage(channels, channels)
        self.mix = nn.Linear(bands, bands)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T, K]`` to the same shape."""
        y = self.first(x)
        y = y + torch.einsum("bctk,jk->bctj", y, self.mix.weight) + self.mix.bias
        return torch.relu(x + self.second(y))


class BandNet(nn.Module):
    """Separates a stereo mix ``[B, 2, T]`` into sources ``[B, S, 2, T]``, with masks from 64 bands."""

    def __init__(
        self,
        sources: Sequence[str] = ("drums", "bass", "other", "vocals"),
        samplerate: int = 44100,
        segment: float = 8.0,
        channels: Sequence[int] = (48, 96, 144),
        hidden: int = 256,
        depth: Sequence[int] = (1, 1, 1),
        decoder: int = 96,
    ) -> None:
        """Make it, with random weights.

        Args:
            sources: The stems, in order.
            samplerate: In Hz.
            segment: Seconds that the engine gives it at once.
            channels: The widths of the three levels of the U-Net.
            hidden: The width of the dilated convolutions over time at the bottom of the U-Net.
            depth: The residual blocks at each level.
            decoder: The width of the hidden layer of the masks.
        """
        super().__init__()
        self.sources = list(sources)
        self.samplerate = samplerate
        self.audio_channels = 2
        self.segment = segment
        self.size, self.hop = 4096, 1024
        low, middle, high = channels
        bands = sum(count for count, _, _ in BANDS)
        self.encoders = nn.ModuleList(
            nn.Conv1d(count * 3 * VIEWS * width, count * low, 1, groups=count) for count, width, _ in BANDS
        )
        self.position = nn.Parameter(torch.zeros(1, low, 1, bands))
        self.enter = nn.Sequential(*[_Residual(low, bands) for _ in range(depth[0])])
        self.down1 = _stage(low, middle, stride=2)
        self.level1 = nn.Sequential(*[_Residual(middle, bands // 2) for _ in range(depth[1])])
        self.down2 = _stage(middle, high, stride=2)
        self.level2 = nn.Sequential(*[_Residual(high, bands // 4) for _ in range(depth[2])])
        self.squeeze = nn.Conv1d(high * bands // 4, hidden, 1)
        self.over_time = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(hidden, hidden, 3, padding=gap, dilation=gap, bias=False),
                nn.BatchNorm1d(hidden),
                nn.ReLU(inplace=True),
            )
            for gap in (1, 2, 4, 8)
        )
        self.expand = nn.Conv1d(hidden, high * bands // 4, 1)
        self.level2_up = nn.Sequential(*[_Residual(high, bands // 4) for _ in range(depth[2])])
        self.up1 = nn.ConvTranspose2d(high, middle, 2, stride=2)
        self.level1_up = nn.Sequential(*[_Residual(middle, bands // 2) for _ in range(depth[1])])
        self.up2 = nn.ConvTranspose2d(middle, low, 2, stride=2)
        self.leave = nn.Sequential(*[_Residual(low, bands) for _ in range(depth[0])])
        outputs = 4 * len(self.sources)  # a matrix for each source
        self.hiddens = nn.ModuleList(nn.Conv1d(count * low, count * decoder, 1, groups=count) for count, _, _ in BANDS)
        self.decoders = nn.ModuleList(
            nn.Conv1d(count * decoder, count * outputs * width // share, 1, groups=count)
            for count, width, share in BANDS
        )

    def valid_length(self, length: int) -> int:
        """The length of input the network wants for `length` samples: the same, it pads inside."""
        return length

    def forward(self, mix: Tensor) -> Tensor:
        """``[B, 2, T]``, normalised by its mean and deviation, to ``[B, S, 2, T]``; the sources sum to the mix."""
        batch, _, length = mix.shape
        spectrum = self.spectrum(mix)
        whole = [
            band.repeat_interleave(share, -2) if share > 1 else band
            for band, (_, _, share) in zip(self.masks(spectrum), BANDS, strict=True)
        ]
        masks = torch.cat([*whole, whole[-1][..., -1:, :]], -2)  # the Nyquist bin is masked like its neighbour
        mid, side = spectrum[:, None, None].unbind(3)
        estimates = masks[:, :, :, 0] * mid + masks[:, :, :, 1] * side
        wave = self.wave(estimates.flatten(0, 2))[..., :length].view(batch, -1, 2, length)
        wave = _rotate(wave, 2)
        return wave + (mix[:, None] - wave.sum(1, keepdim=True)) / len(self.sources)

    def spectrum(self, wave: Tensor, first: int = 0, every: int = 1) -> Tensor:
        """The spectrograms of mid and side: ``[B, 2, T]`` to complex ``[B, 2, F, frames]``; frames are a multiple of four.

        Args:
            wave: The mix, or a source.
            first: In training fewer frames will do: the number of this one among each ``every``.
            every: Of so many frames, one is computed.
        """
        batch, _, length = wave.shape
        frames = -(-length // self.hop) + 3  # one frame more at each end, so that four windows cover every sample
        frames += -frames % 4
        edges = (self.size // 2 + self.hop, (frames - 2) * self.hop + self.size // 2 - length)
        padded = nn.functional.pad(_rotate(wave, 1).flatten(0, 1), edges)
        spectra = torch.stft(
            padded[:, first * self.hop :],
            self.size,
            self.hop * every,
            window=self._window(wave),
            center=False,
            return_complex=True,
        )
        return spectra.view(batch, 2, -1, frames // every)

    def masks(self, spectrum: Tensor, first: int = 0, every: int = 1) -> list[Tensor]:
        """The masks of each group of `BANDS`, real ``[B, S, 2, 2, bins / shared, frames]``.

        Of them ``[:, s, 0, 1]`` is what mid of source ``s`` takes from side of the mix.

        Args:
            spectrum: Of the mix, ``[B, 2, F, T]``: all frames of it.
            first: As in `spectrum`, for whose frames the masks are.
            every: As in `spectrum`.
        """
        batch = spectrum.shape[0]
        columns = self._unet(self._encode(spectrum)).permute(0, 3, 1, 2)[..., first::every]  # [B, K, C, T]
        frames = columns.shape[3]
        out, at = [], 0
        for hidden, decoder, (count, width, share) in zip(self.hiddens, self.decoders, BANDS, strict=True):
            band = columns[:, at : at + count].reshape(batch, -1, frames)
            raw = decoder(torch.relu(hidden(band)))
            raw = raw.view(batch, count, len(self.sources) * 4, width // share, frames).transpose(1, 2)
            out.append(raw.flatten(2, 3).unflatten(1, (len(self.sources), 2, 2)))
            at += count
        return out

    def _window(self, like: Tensor) -> Tensor:
        return torch.hann_window(self.size, dtype=like.dtype, device=like.device)

    def wave(self, spectra: Tensor) -> Tensor:
        """The inverse of the spectrogram, ``[N, F, T]`` to ``[N, samples]``, by shifted sums: faster than torch.istft."""
        hop, shifts = self.hop, self.size // self.hop
        blocks = torch.fft.irfft(spectra.transpose(1, 2), self.size)
        blocks = blocks * self._window(blocks)
        count = blocks.shape[1]
        pieces = blocks.unflatten(2, (shifts, hop))
        total = nn.functional.pad(pieces[:, :, 0], (0, 0, 0, shifts - 1))
        for i in range(1, shifts):
            total = total + nn.functional.pad(pieces[:, :, i], (0, 0, i, shifts - 1 - i))
        # Away from the edges the squared Hann windows sum to 1.5; the edges are cut off or lie in the padding.
        return (total / 1.5)[:, shifts // 2 + 1 : count + shifts // 2].flatten(1)

    def _encode(self, spectrum: Tensor) -> Tensor:
        """Complex mid and side ``[B, 2, F, T]`` to features ``[B, C, T, K]``.

        They are made of compressed magnitudes of each view of the mix, and its spectrum compressed with its phase.
        """
        spectrum = spectrum[:, :, :-1]  # the Nyquist bin goes to no band
        parts = torch.view_as_real(torch.cat([_rotate(spectrum, 1), spectrum], 1)) / self.size**0.5
        power = (parts[..., 0].square() + parts[..., 1].square()).unsqueeze(-1)
        magnitude = (power + 1e-8) ** 0.15
        stack = torch.cat([parts * (power + 1e-8) ** -0.35, magnitude], -1)  # [B, VIEWS, F, T, 3]
        stack = stack.permute(0, 2, 1, 4, 3).flatten(2, 3)  # [B, F, 3 VIEWS, T]
        out, at = [], 0
        for encoder, (count, width, _) in zip(self.encoders, BANDS, strict=True):
            band = stack[:, at : at + count * width].flatten(1, 2)
            out.append(encoder(band).view(band.shape[0], count, -1, band.shape[-1]))
            at += count * width
        features = torch.cat(out, 1).permute(0, 2, 3, 1) + self.position
        return torch.relu(features).contiguous(memory_format=torch.channels_last)

    def _unet(self, x: Tensor) -> Tensor:
        """``[B, C, T, K]`` to the same shape."""
        x = self.enter(x)
        y = self.level1(self.down1(x))
        z = self.level2(self.down2(y))
        batch, channels, frames, bands = z.shape
        line = torch.relu(self.squeeze(z.permute(0, 1, 3, 2).flatten(1, 2)))
        for layer in self.over_time:
            line = line + layer(line)
        z = torch.relu(z + self.expand(line).view(batch, channels, bands, frames).permute(0, 1, 3, 2))
        z = self.level2_up(z.contiguous(memory_format=torch.channels_last))
        y = self.level1_up(torch.relu(y + self.up1(z)))
        out: Tensor = self.leave(torch.relu(x + self.up2(y)))
        return out
