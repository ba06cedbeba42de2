"""The core of HTDemucs as a module of its own: what is compiled or converted."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from stemwright.models.core import CoreModule
from stemwright.models.htdemucs.crosstransformer import Attention
from stemwright.models.htdemucs.layers import EncoderLayer, GroupNorm
from stemwright.models.htdemucs.network import HTDemucs


class HTDemucsCore(CoreModule):
    """See `around_core.CoreNetwork`, which computes what stands around it."""

    def __init__(self, network: nn.Module) -> None:
        """``network``: an HTDemucs of ours, which is copied."""
        super().__init__()
        assert isinstance(network, HTDemucs)
        self.network = copy.deepcopy(network)

    def forward(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        """As `HTDemucs.core`, with the channels first outside; outputs in float32, without gaps.

        Spectra ``[1, channels, frames, bins, 2]`` and samples ``[1, channels, n]``, both standardised, to
        ``[1, frames, sources * channels * 2, bins]`` and ``[1, sources * channels, n]``.
        """
        y, yt = self.network.core(x.permute(0, 3, 2, 1, 4).flatten(3), xt.transpose(1, 2)[:, None])
        return y.permute(0, 2, 3, 1).float().contiguous(), yt[:, 0].transpose(1, 2).float().contiguous()

    def inputs(self) -> tuple[Tensor, ...]:
        """See `CoreModule`."""
        x, xt = core_inputs(self.network)
        return x.view(*x.shape[:3], -1, 2).permute(0, 3, 2, 1, 4).contiguous(), xt[:, 0].transpose(1, 2).contiguous()

    def layers(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """See `CoreModule`.

        They are the outermost residual branch and gate, and the attention and hidden layer of the transformer's first layer.
        """
        network = self.network
        outer, first = network.encoder[0], network.crosstransformer.layers[0]  # type: ignore[index]
        gate = network.decoder[-1].rewrite  # type: ignore[index,union-attr]
        assert isinstance(outer, EncoderLayer)
        assert isinstance(first.self_attn, Attention)
        x, _ = core_inputs(network)
        outermost = torch.randn(1, x.shape[1] // outer.stride, x.shape[2], outer.conv.weight.shape[0])
        outermost = outermost.to(gate.weight.dtype)
        rows = x.shape[1] // outer.stride ** len(network.encoder)  # type: ignore[arg-type]
        tokens = torch.randn(1, rows * x.shape[2], first.self_attn.out_proj.in_features)
        branch = {"dconv": (outer.dconv, (outermost,))} if outer.dconv is not None else {}
        return {
            **branch,
            "attention": (first.self_attn, (tokens,)),
            "rewrite": (gate, (outermost, outermost)),
            "product": (first.linear1, (tokens,)),
        }

    def add_in_steps(self) -> None:
        """See `CoreModule`: OpenVINO's own mean over millions of numbers costs 30 dB."""
        for module in self.modules():
            if isinstance(module, GroupNorm):
                module.in_two_steps = True


def core_inputs(network: HTDemucs) -> tuple[Tensor, Tensor]:
    """Noise as inputs of `HTDemucs.core`, in the shapes of one segment.

    They are ``[1, bins, frames, 2 * channels]`` and ``[1, 1, samples, channels]``.
    """
    length = int(network.segment * network.samplerate)
    frames = -(-length // (network.nfft // 4))
    chance = torch.Generator().manual_seed(0)
    x = torch.randn(1, network.nfft // 2, frames, 2 * network.audio_channels, generator=chance)
    return x, torch.randn(1, 1, length, network.audio_channels, generator=chance)
