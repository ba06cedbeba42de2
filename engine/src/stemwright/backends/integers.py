"""Linear layers and strided convolutions in integers of 16 bits, which AVX512-VNNI multiplies twice as fast as floats.

The weights are made integers here, once, with a scale for every output; `native/product.cpp` does so with every row of the
input when it reads it. Scales are as large as sums in 32 bits allow: by the inequality of Cauchy and Schwarz, no sum is
larger than the norms of both, multiplied. A product of depth 2048 keeps 68 dB over what rounding adds, a shallower one more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stemwright.models.htdemucs.crosstransformer import Attention
from stemwright.models.htdemucs.layers import Gate, HiddenLinear, Linear, Pointwise, Strided, Transposed

_NORM, _LARGEST = 46000.0, 32767.0  # of a row of weights; as in `native/product.cpp`
_HALF, _PANEL = 16, 32  # columns that lie together
_DEPTH = 48  # of a convolution: with less, making integers takes longer than multiplying them saves
_ACTIVATIONS = ("none", "gelu", "glu")  # in the order of `native/product.cpp`


def packed(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A right factor ``[outputs, depth]`` as integers, in the order in which they are read, and what one is worth.

    Returns ``[outputs / 32, depth / 2, 32, 2]`` in int16, filled up with zeros to whole panels and a depth that 16 divides,
    and a scale for each of the outputs.
    """
    outputs, depth = weight.shape
    filled = F.pad(weight.double(), (0, -depth % _HALF, 0, -outputs % _PANEL))
    norms, peaks = filled.norm(dim=1).clamp_min(1e-30), filled.abs().amax(1).clamp_min(1e-30)
    scales = torch.minimum(_NORM / norms, _LARGEST / peaks)
    numbers = (filled * scales[:, None]).round().to(torch.int16)
    panels = numbers.view(-1, _PANEL, numbers.shape[1] // 2, 2).permute(0, 2, 1, 3)
    return panels.contiguous(), (1 / scales).float()


class Product(nn.Module):
    """A matrix product over neighbours on an axis, with what follows it: see `operators`."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        *,
        kernel: int = 1,
        stride: int = 1,
        padding: int = 0,
        spread: int = 1,
        crop: int = 0,
        activation: str = "none",
    ) -> None:
        """Make integers of the weights.

        Args:
            weight: ``[columns, kernel * channels]``; ``columns`` are the outputs, once for each of ``spread`` places.
            spread: Places on the output's axis that one on the input's gives.
            crop: Of them, how many are left out at the beginning.
            activation: ``gelu``, ``glu`` over the two halves of the columns, or ``none``.
        """
        super().__init__()
        if activation == "glu":  # a panel is made of half a panel of values and their gates
            weight, bias = (_with_gates(each) for each in (weight, bias))
        numbers, scales = packed(weight.detach())
        self.register_buffer("weight", numbers)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", F.pad(bias.detach().float(), (0, len(scales) - len(bias))))
        outputs = len(bias) // spread // (2 if activation == "glu" else 1)
        self.shape = (outputs, kernel, stride, padding, spread, crop)
        self.activation = _ACTIVATIONS.index(activation)

    def forward(self, x: Tensor, length: int | None = None) -> Tensor:
        """``[batch, axis, inner, channels]`` to ``[batch, length, inner, outputs]``; a length of None is that of the axis."""
        length = x.shape[1] if length is None else length
        parameters = (self.weight, self.scales, self.bias)
        return torch.ops.stemwright.product(x.contiguous(), *parameters, *self.shape, length, self.activation)  # type: ignore[no-any-return]


class ProductLinear(nn.Module):
    """A linear layer on the last dimension, through the kernel."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: str = "none") -> None:
        super().__init__()
        self.product = Product(weight, bias, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., channels]`` to ``[..., outputs]``."""
        return self.product(x.reshape(1, -1, 1, x.shape[-1])).view(*x.shape[:-1], -1)  # type: ignore[no-any-return]


class ProductAttention(nn.Module):
    """`fused.FusedAttention` with its linear layers through the kernel."""

    def __init__(self, plain: Attention) -> None:
        super().__init__()
        dim = plain.out_proj.in_features
        self.heads = plain.heads
        self.queries = ProductLinear(plain.in_proj_weight[:dim], plain.in_proj_bias[:dim])
        self.memory = ProductLinear(plain.in_proj_weight[dim:], plain.in_proj_bias[dim:])
        self.out_proj = ProductLinear(plain.out_proj.weight, plain.out_proj.bias)

    def forward(self, query: Tensor, memory: Tensor | None = None) -> Tensor:
        """See `Attention`."""
        k, v = self.memory(query if memory is None else memory).chunk(2, dim=-1)
        return self.out_proj(torch.ops.stemwright.attention(self.queries(query), k, v, self.heads))  # type: ignore[no-any-return]


class ProductStrided(nn.Module):
    """`Strided` through the kernel."""

    def __init__(self, plain: Strided) -> None:
        super().__init__()
        self.spectral, self.stride = plain.spectral, plain.stride
        weight = plain.weight.flatten(2).transpose(1, 2).flatten(1)
        shape = {"kernel": plain.kernel, "stride": plain.stride, "padding": plain.kernel // 4}
        self.product = Product(weight, plain.bias, activation="gelu", **shape)

    def forward(self, x: Tensor) -> Tensor:
        """See `Strided`."""
        x = x if self.spectral else x.transpose(1, 2)
        y: Tensor = self.product(x, -(-x.shape[1] // self.stride))
        return y if self.spectral else y.transpose(1, 2)


class ProductTransposed(nn.Module):
    """`Transposed` through the kernel: each place on the input's axis and those before it give ``stride`` on the output's."""

    def __init__(self, plain: Transposed) -> None:
        super().__init__()
        self.spectral, self.stride = plain.spectral, plain.stride
        taps = plain.weight.reshape(*plain.weight.shape[:2], -1, plain.stride).flip(2)  # [in, out, places, stride]
        weight, bias = taps.permute(3, 1, 2, 0).flatten(2).flatten(0, 1), plain.bias.repeat(plain.stride)
        places = taps.shape[2]
        shape = {"kernel": places, "padding": places - 1, "spread": plain.stride, "crop": plain.kernel // 4}
        self.product = Product(weight, bias, activation="gelu" if plain.activated else "none", **shape)

    def forward(self, x: Tensor, length: int) -> Tensor:
        """See `Transposed`."""
        if self.spectral:
            return self.product(x, x.shape[1] * self.stride)  # type: ignore[no-any-return]
        return self.product(x.transpose(1, 2), length).transpose(1, 2)  # type: ignore[no-any-return]


def to_int16(module: nn.Module) -> nn.Module | None:
    """This layer in integers, through the kernel; None where it is none of those, or too small to gain."""
    if isinstance(module, Strided | Transposed) and module.kernel != 2 * module.stride:
        return None
    if isinstance(module, Strided) and module.weight[0].numel() >= _DEPTH:
        return ProductStrided(module)
    if isinstance(module, Transposed):
        return ProductTransposed(module)
    if isinstance(module, Linear):
        return ProductLinear(module.weight, module.bias, "gelu" if isinstance(module, HiddenLinear) else "none")
    if isinstance(module, Gate) and module.weight.shape[1] % _HALF == 0:
        return ProductLinear(module.weight.flatten(1), module.bias, "glu")
    if isinstance(module, Pointwise):
        return ProductLinear(module.weight.flatten(1), module.bias)
    return None


def _with_gates(columns: Tensor) -> Tensor:
    """Values and their gates, first all of the ones and then of the others, in turns of half a panel."""
    return columns.reshape(2, -1, _HALF, *columns.shape[1:]).transpose(0, 1).flatten(0, 2)
