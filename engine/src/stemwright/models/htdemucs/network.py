"""HTDemucs (Rouard et al. 2023, arXiv 2211.08553): our own network for Demucs's released weights.

Takes the state dict and the constructor arguments of `demucs.htdemucs.HTDemucs` (demucs 4.1.0) as they are. Written for
inference, and for the configurations that were released: complex spectrogram as channels, no Wiener filter, sine
positions, norms before attention. `arguments.unsupported` tells which arguments are not; those run on Demucs's own class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stemwright.models.htdemucs.arguments import unsupported
from stemwright.models.htdemucs.crosstransformer import CrossTransformer
from stemwright.models.htdemucs.layers import DecoderLayer, EncoderLayer, Pointwise
from stemwright.models.htdemucs.stft import inverse, spectrogram


class FrequencyEmbedding(nn.Module):
    """One learnt vector per frequency row, stored ten times too small, as Demucs does to speed its learning."""

    def __init__(self, rows: int, channels: int, scale: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(rows, channels)
        self.scale = scale

    def forward(self) -> Tensor:
        """``[rows, channels]``."""
        return self.embedding.weight * self.scale


class HTDemucs(nn.Module):
    """Separates ``[B, channels, samples]`` into ``[B, sources, channels, samples]``, one training segment at a time."""

    def __init__(
        self,
        sources: Sequence[str],
        audio_channels: int = 2,
        channels: int = 48,
        nfft: int = 4096,
        depth: int = 4,
        freq_emb: float = 0.2,
        emb_scale: float = 10,
        kernel_size: int = 8,
        stride: int = 4,
        context: int = 1,
        dconv_mode: int = 1,
        dconv_depth: int = 2,
        dconv_comp: float = 8,
        dconv_init: float = 1e-3,
        bottom_channels: int = 0,
        t_layers: int = 5,
        t_hidden_scale: float = 4.0,
        t_heads: int = 8,
        t_max_period: float = 10000.0,
        samplerate: int = 44100,
        segment: float | Fraction = 10,
        **fixed: Any,
    ) -> None:
        super().__init__()
        asked = {**fixed, "depth": depth, "stride": stride, "nfft": nfft, "kernel_size": kernel_size}
        if (reason := unsupported(asked)) is not None:
            raise ValueError(reason)
        self.sources, self.audio_channels, self.samplerate = list(sources), audio_channels, samplerate
        self.segment, self.nfft, self.freq_emb_scale = segment, nfft, freq_emb
        branch = {"compress": dconv_comp, "depth": dconv_depth, "init": dconv_init}
        widths = [channels * 2**index for index in range(depth)]
        self._build_branches(widths, len(self.sources), kernel_size, stride, context, dconv_mode, branch)
        self.freq_emb = FrequencyEmbedding(nfft // 2 // stride, channels, emb_scale) if freq_emb else None
        dim = widths[-1]
        self.bottom_channels = bottom_channels
        if bottom_channels:
            for suffix in ("", "_t"):
                self.add_module(f"channel_upsampler{suffix}", Pointwise(bottom_channels, dim, 1, bias=bottom_channels))
                self.add_module(f"channel_downsampler{suffix}", Pointwise(dim, bottom_channels, 1, bias=dim))
            dim = bottom_channels
        self.crosstransformer = CrossTransformer(
            dim, layers=t_layers, heads=t_heads, hidden_scale=t_hidden_scale, max_period=t_max_period
        )

    def _build_branches(
        self,
        widths: list[int],
        sources: int,
        kernel: int,
        stride: int,
        context: int,
        dconv_mode: int,
        branch: dict[str, float],
    ) -> None:
        down = branch if dconv_mode & 1 else None
        up = branch if dconv_mode & 2 else None
        for prefix, spectral in (("", True), ("t", False)):
            parts = self.audio_channels * (2 if spectral else 1)  # real and imaginary, or the wave itself
            inputs = [parts, *widths[:-1]]
            outputs = [parts * sources, *widths[:-1]]
            encoder = nn.ModuleList(
                EncoderLayer(inputs[i], width, spectral=spectral, kernel=kernel, stride=stride, dconv=down)
                for i, width in enumerate(widths)
            )
            decoder = nn.ModuleList(
                DecoderLayer(
                    widths[i],
                    outputs[i],
                    spectral=spectral,
                    kernel=kernel,
                    stride=stride,
                    context=context,
                    last=i == 0,
                    dconv=up,
                )
                for i in reversed(range(len(widths)))
            )
            self.add_module(f"{prefix}encoder", encoder)
            self.add_module(f"{prefix}decoder", decoder)

    def valid_length(self, length: int) -> int:
        """Samples to pad ``length`` to: always the training segment.

        Raises:
            ValueError: ``length`` is longer than the training segment.
        """
        training = int(self.segment * self.samplerate)
        if length > training:
            raise ValueError(f"{length} samples are more than the segment of {training} this network was trained for")
        return training

    def forward(self, mix: Tensor) -> Tensor:
        """``[B, audio_channels, samples]`` to ``[B, sources, audio_channels, samples]``.

        Raises:
            ValueError: It is longer than the training segment.
        """
        length = mix.shape[-1]
        mix = F.pad(mix, (0, self.valid_length(length) - length))
        return around(self.core, mix, sources=len(self.sources), nfft=self.nfft)[..., :length]

    def core(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        """All that is learnt: spectral ``[B, bins, frames, 2 * channels]`` and waveform ``[B, 1, samples, channels]``.

        Returns both with the channels of every source.
        """
        skips, skips_t, lengths_t = [], [], []
        for index, (encode, encode_t) in enumerate(zip(self.encoder, self.tencoder, strict=True)):  # type: ignore[arg-type]
            lengths_t.append(xt.shape[2])
            xt = encode_t(xt)
            x = encode(x)
            if index == 0 and self.freq_emb is not None:
                x = (x + (self.freq_emb_scale * self.freq_emb())[:, None]).to(x.dtype)
            skips.append(x)
            skips_t.append(xt)
        x, xt = self._attend(x, xt)
        for decode, decode_t in zip(self.decoder, self.tdecoder, strict=True):  # type: ignore[arg-type]
            x = decode(x, skips.pop(), x.shape[2])
            xt = decode_t(xt, skips_t.pop(), lengths_t.pop())
        return x, xt

    def _attend(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        if not self.bottom_channels:
            return self.crosstransformer(x, xt)  # type: ignore[no-any-return]
        x, xt = self.channel_upsampler(x), self.channel_upsampler_t(xt)  # type: ignore[operator]
        x, xt = self.crosstransformer(x, xt)
        return self.channel_downsampler(x), self.channel_downsampler_t(xt)  # type: ignore[operator]


Core = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def around(core: Core, mix: Tensor, *, sources: int, nfft: int) -> Tensor:
    """What is not learnt: spectrogram, scaling and back, in float32, around whatever computes the core.

    ``[B, channels, samples]`` to ``[B, sources, channels, samples]``; ``core`` as `HTDemucs.core`.
    """
    x, mean, std = standardised(torch.view_as_real(spectrogram(mix, nfft)).flatten(3))
    xt, mean_t, std_t = standardised(mix.transpose(1, 2)[:, None])
    y, yt = core(x, xt)
    y, yt = torch.addcmul(mean, y.float(), std), torch.addcmul(mean_t, yt.float(), std_t)
    return _joined(y, yt, sources, mix.shape[-1])


def _joined(y: Tensor, yt: Tensor, sources: int, length: int) -> Tensor:
    """Both branches as waves, added: ``[B, sources, channels, length]``."""
    batch, bins, frames, parts = y.shape
    channels = parts // sources // 2
    z = torch.view_as_complex(y.reshape(batch, bins, frames, sources * channels, 2))
    wave = inverse(z, length).view(batch, sources, channels, length)
    direct: Tensor = yt[:, 0].reshape(batch, length, sources, channels).permute(0, 2, 3, 1)
    return wave + direct


def standardised(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``x`` with mean 0 and deviation 1 per batch entry, and both. Of one array: `around_core.standardised`."""
    dims = tuple(range(1, x.dim()))
    std, mean = torch.std_mean(x, dim=dims, keepdim=True)
    return (x - mean).div_(1e-5 + std), mean, std
