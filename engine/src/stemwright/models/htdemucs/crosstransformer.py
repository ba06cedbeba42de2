"""The transformer between encoder and decoder of HTDemucs (Rouard et al. 2023, arXiv 2211.08553), for inference.

Two streams of tokens, one per branch, attend to themselves in the even layers and to each other in the odd ones.
Tokens are ``[batch, tokens, channels]``. Parameters keep the names of Demucs's state dict.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stemwright.models.htdemucs.layers import GroupNorm, HiddenLinear, LayerScale, Linear


class Attention(nn.Module):
    """Multi-head attention with the parameter layout of `torch.nn.MultiheadAttention`."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: Tensor, memory: Tensor | None = None) -> Tensor:
        """Attend from ``query`` ``[B, tokens, dim]`` to ``memory`` ``[B, others, dim]``, or to itself: ``[B, tokens, dim]``."""
        dim = query.shape[-1]
        query = query.to(self.in_proj_weight.dtype)
        if memory is None:
            q, k, v = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        else:
            q = F.linear(query, self.in_proj_weight[:dim], self.in_proj_bias[:dim])
            memory = memory.to(self.in_proj_weight.dtype)
            k, v = F.linear(memory, self.in_proj_weight[dim:], self.in_proj_bias[dim:]).chunk(2, dim=-1)
        q, k, v = (part.view(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention and feed-forward, both normalised first and scaled, and one norm over everything at the end."""

    def __init__(self, dim: int, *, heads: int, hidden: int, cross: bool) -> None:
        super().__init__()
        self.cross = cross
        attention = Attention(dim, heads)
        if cross:
            self.cross_attn = attention
            self.norm3 = nn.LayerNorm(dim)
        else:
            self.self_attn = attention
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.linear1 = HiddenLinear(dim, hidden)
        self.linear2 = Linear(hidden, dim)
        self.gamma_1 = LayerScale(dim, 1e-4)
        self.gamma_2 = LayerScale(dim, 1e-4)
        self.norm_out = GroupNorm(dim, leading=1)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """``[B, tokens, dim]`` to the same; ``other``: the tokens of the other branch, which only a cross layer looks at."""
        if self.cross and other is not None:
            x = x + self.gamma_1(self.cross_attn(self.norm1(x), self.norm2(other)))
            inner = self.norm3(x)
        else:
            x = x + self.gamma_1(self.self_attn(self.norm1(x)))
            inner = self.norm2(x)
        x = x + self.gamma_2(self.linear2(self.linear1(inner)))
        return self.norm_out(x)  # type: ignore[no-any-return]


class CrossTransformer(nn.Module):
    """``[B, rows, time, C]`` and ``[B, 1, time, C]`` to the same shapes."""

    def __init__(self, dim: int, *, layers: int, heads: int, hidden_scale: float, max_period: float) -> None:
        super().__init__()
        self.max_period = max_period
        self.norm_in = nn.LayerNorm(dim)
        self.norm_in_t = nn.LayerNorm(dim)
        hidden = int(dim * hidden_scale)
        self.layers = nn.ModuleList(Layer(dim, heads=heads, hidden=hidden, cross=i % 2 == 1) for i in range(layers))
        self.layers_t = nn.ModuleList(Layer(dim, heads=heads, hidden=hidden, cross=i % 2 == 1) for i in range(layers))
        self._positions: dict[tuple[int, int, torch.device], Tensor] = {}

    def forward(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, rows, time, dim]`` and ``[B, 1, time', dim]`` to the same shapes, in float32."""
        rows, time, dim = x.shape[1:]
        # Attention does not care about the order of tokens, so they stay as they lie in memory: row after row.
        tokens = self.norm_in(x.float().flatten(1, 2)) + self._cached(rows, time, x)
        tokens_t = self.norm_in_t(xt.float().flatten(1, 2)) + self._cached(0, xt.shape[2], xt)
        for layer, layer_t in zip(self.layers, self.layers_t, strict=True):
            tokens, tokens_t = layer(tokens, tokens_t), layer_t(tokens_t, tokens)
        return tokens.view(-1, rows, time, dim), tokens_t.view(-1, 1, xt.shape[2], dim)

    def _cached(self, rows: int, time: int, like: Tensor) -> Tensor:
        key = (rows, time, like.device)
        if key not in self._positions:
            dim = like.shape[-1]
            made = positions_2d(dim, rows, time, self.max_period) if rows else positions_1d(dim, time, self.max_period)
            self._positions[key] = made.to(like.device)
        return self._positions[key]


def positions_1d(dim: int, length: int, max_period: float) -> Tensor:
    """``[length, dim]``: cosines in the first half of the channels, sines in the second."""
    half = dim // 2
    period = max_period ** (torch.arange(half) / (half - 1))
    phase = torch.arange(length)[:, None] / period
    return torch.cat([phase.cos(), phase.sin()], dim=-1)


def positions_2d(dim: int, rows: int, time: int, max_period: float) -> Tensor:
    """``[rows * time, dim]``: time in the first half of the channels, rows in the second, sine and cosine in turn."""
    half = dim // 2
    rate = torch.exp(torch.arange(0.0, half, 2) * -(math.log(max_period) / half))

    def along(length: int) -> Tensor:
        phase = torch.arange(0.0, length)[:, None] * rate
        return torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(1)  # [length, half]

    by_time = along(time)[None].expand(rows, -1, -1)
    by_row = along(rows)[:, None].expand(-1, time, -1)
    return torch.cat([by_time, by_row], dim=-1).flatten(0, 1)
