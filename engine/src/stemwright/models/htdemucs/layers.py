"""The convolutional layers of the hybrid networks (Défossez 2021, arXiv 2111.03600), for inference.

Everything works on ``[batch, rows, time, channels]``: rows are frequencies in the spectral branch, and one row is the
waveform branch. So a 1x1 convolution is a linear layer, a normalisation over a row is a layer norm over contiguous
memory, and nothing is permuted in between. Parameters keep the names and shapes of Demucs's state dict.

A network can be lowered to 16 bits (`lower`): then convolutions, linear layers and attention multiply in that type, while
statistics, gains and the transformer's residual stream stay in float32. In float32 every cast below is free.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv(nn.Module):
    """Holds a convolution's weight as Demucs stores it: ``[out, in, k]`` (waveform) or ``[out, in, kf, kt]``."""

    def __init__(self, *shape: int, bias: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*shape))
        self.bias = nn.Parameter(torch.zeros(bias))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def planar(self) -> Tensor:
        """The weight with a row dimension: ``[out, in, kf, kt]``."""
        return self.weight if self.weight.dim() == 4 else self.weight[:, :, None, :]

    def pointwise(self, x: Tensor) -> Tensor:
        """A kernel of one sample is a linear layer on the last dimension: ``[.., in]`` to ``[.., out]``."""
        return F.linear(x.to(self.weight.dtype), self.weight.flatten(1), self.bias)

    def conv(
        self, x: Tensor, *, stride: tuple[int, int] = (1, 1), padding: tuple[int, int] = (0, 0), dilation: int = 1
    ) -> Tensor:
        """Convolve ``[B, rows, time, in]`` to ``[B, rows', time', out]``."""
        y = F.conv2d(
            x.to(self.weight.dtype).permute(0, 3, 1, 2), self.planar(), self.bias, stride, padding, (1, dilation)
        )
        return y.permute(0, 2, 3, 1)

    def transposed(self, x: Tensor, *, stride: tuple[int, int]) -> Tensor:
        """Convolve transposed, without padding: ``[B, rows, time, N]``, N the weight's first size, to its second."""
        y = F.conv_transpose2d(x.to(self.weight.dtype).permute(0, 3, 1, 2), self.planar(), self.bias, stride)
        return y.permute(0, 2, 3, 1)


class Pointwise(Conv):
    """A convolution that changes the number of channels."""

    def forward(self, x: Tensor) -> Tensor:
        """``[.., in]`` to ``[.., out]``."""
        return self.pointwise(x)


class Linear(nn.Linear):
    """A linear layer that takes its input in any type and multiplies in that of its weights."""

    def forward(self, x: Tensor) -> Tensor:
        """``[.., in]`` to ``[.., out]``."""
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


class HiddenLinear(Linear):
    """A linear layer that is activated."""

    def forward(self, x: Tensor) -> Tensor:
        """``[.., in]`` to ``[.., out]``."""
        return F.gelu(super().forward(x))


class GroupNorm(nn.Module):
    """GroupNorm with one group: mean and variance over all but the leading dimensions, one gain per channel (the last)."""

    in_two_steps = False
    """Take means over channels first and then over time. For a runtime that adds up millions of numbers one by one."""

    def __init__(self, channels: int, *, leading: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self._leading = leading

    def forward(self, x: Tensor) -> Tensor:
        """``[.., channels]`` to the same shape, in float32 whatever ``x`` is."""
        x = x.float()
        if self.in_two_steps:
            centred = x - x.mean(-1, keepdim=True).mean(-2, keepdim=True)
            variance = centred.square().mean(-1, keepdim=True).mean(-2, keepdim=True)
            return centred * (variance + 1e-5).rsqrt() * self.weight + self.bias
        normed = F.layer_norm(x.flatten(self._leading), (x.shape[-2] * x.shape[-1],)).view_as(x)
        return torch.addcmul(self.bias, normed, self.weight)


class LayerScale(nn.Module):
    """One learnt gain per channel (Touvron et al. 2021, arXiv 2103.17239)."""

    def __init__(self, channels: int, init: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), init))

    def forward(self, x: Tensor) -> Tensor:
        """``[.., channels]`` to the same shape."""
        return self.scale * x


class DConv(nn.Module):
    """A residual branch of dilated convolutions along time, squeezed to a few channels."""

    def __init__(self, channels: int, *, compress: float, depth: int, init: float) -> None:
        super().__init__()
        hidden = int(channels / compress)
        # The indices are those of Demucs's nn.Sequential: conv, norm, gelu, conv, norm, glu, scale.
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "0": Conv(hidden, channels, 3, bias=hidden),
                    "1": GroupNorm(hidden, leading=2),
                    "3": Conv(2 * channels, hidden, 1, bias=2 * channels),
                    "4": GroupNorm(2 * channels, leading=2),
                    "6": LayerScale(channels, init),
                }
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[B, rows, time, channels]`` to the same shape and type."""
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, nn.ModuleDict)
            dilation = 2**index
            y = layer["0"].conv(x, padding=(0, dilation), dilation=dilation)  # type: ignore[operator]
            y = layer["3"].pointwise(F.gelu(layer["1"](y)))  # type: ignore[operator]
            x = (x + layer["6"](F.glu(layer["4"](y), dim=-1))).to(x.dtype)
        return x


class Strided(Conv):
    """The convolution of `EncoderLayer`, activated. Spectral: along the rows; waveform: along time."""

    def __init__(self, inputs: int, channels: int, *, spectral: bool, kernel: int, stride: int) -> None:
        super().__init__(channels, inputs, *_taps(kernel, spectral=spectral), bias=channels)
        self.spectral, self.kernel, self.stride = spectral, kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """``[B, rows, time, inputs]`` to ``[B, rows / stride, time, channels]``, or ``[B, 1, ceil(time / stride), channels]``."""
        pad = self.kernel // 4
        if self.spectral:
            return F.gelu(self.conv(x, stride=(self.stride, 1), padding=(pad, 0)))
        x = F.pad(x, (0, 0, 0, -x.shape[2] % self.stride))
        return F.gelu(self.conv(x, stride=(1, self.stride), padding=(0, pad)))


class Gate(Conv):
    """The gate of `EncoderLayer`, which sees no neighbours."""

    def forward(self, x: Tensor) -> Tensor:
        """``[.., channels]`` to the same shape."""
        return F.glu(self.pointwise(x), dim=-1)


class EncoderLayer(nn.Module):
    """Strided convolution, residual branch, gate."""

    def __init__(
        self, inputs: int, channels: int, *, spectral: bool, kernel: int, stride: int, dconv: dict[str, float] | None
    ) -> None:
        super().__init__()
        self.stride = stride
        self.conv = Strided(inputs, channels, spectral=spectral, kernel=kernel, stride=stride)
        self.rewrite = Gate(2 * channels, channels, *_taps(1, spectral=spectral), bias=2 * channels)
        self.dconv = DConv(channels, **dconv) if dconv is not None else None  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """``[B, rows, time, inputs]`` to ``[B, rows / stride, time, channels]``, or ``[B, 1, ceil(time / stride), channels]``."""
        y = self.conv(x)
        if self.dconv is not None:
            y = self.dconv(y)
        return self.rewrite(y)  # type: ignore[no-any-return]


class Rewrite(Conv):
    """The gate of `DecoderLayer`: sees its neighbours in time, and in frequency where the kernel is planar."""

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Both ``[B, rows, time, channels]``, to the same."""
        _, _, rows, frames = self.planar().shape
        return F.glu(self.conv(x + skip, padding=(rows // 2, frames // 2)), dim=-1)


class Transposed(Conv):
    """The transposed convolution of `DecoderLayer`, activated if another layer follows: the mirror of `Strided`."""

    def __init__(
        self, channels: int, outputs: int, *, spectral: bool, kernel: int, stride: int, activated: bool
    ) -> None:
        super().__init__(channels, outputs, *_taps(kernel, spectral=spectral), bias=outputs)
        self.spectral, self.kernel, self.stride, self.activated = spectral, kernel, stride, activated

    def forward(self, x: Tensor, length: int) -> Tensor:
        """``[B, rows, time, channels]`` to ``[B, rows * stride, time, outputs]``, or ``[B, 1, length, outputs]``."""
        pad = self.kernel // 4
        if self.spectral:
            y = self.transposed(x, stride=(self.stride, 1))[:, pad:-pad]
        else:
            y = self.transposed(x, stride=(1, self.stride))[:, :, pad : pad + length]
        return F.gelu(y) if self.activated else y


class DecoderLayer(nn.Module):
    """Gate with context, residual branch, transposed convolution: the mirror of `EncoderLayer`."""

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        spectral: bool,
        kernel: int,
        stride: int,
        context: int,
        last: bool,
        dconv: dict[str, float] | None,
    ) -> None:
        super().__init__()
        around = (1 + 2 * context,) * (2 if spectral else 1)
        self.rewrite = Rewrite(2 * channels, channels, *around, bias=2 * channels)
        self.conv_tr = Transposed(
            channels, outputs, spectral=spectral, kernel=kernel, stride=stride, activated=not last
        )
        self.dconv = DConv(channels, **dconv) if dconv is not None else None  # type: ignore[arg-type]

    def forward(self, x: Tensor, skip: Tensor, length: int) -> Tensor:
        """``[B, rows, time, channels]`` to ``[B, rows * stride, time, outputs]``, or ``[B, 1, length, outputs]``.

        Args:
            x: The output of the decoder layer before.
            skip: The encoder's output at this depth, of the shape of ``x``.
            length: The time samples that the encoder layer saw.
        """
        y = self.rewrite(x, skip)
        if self.dconv is not None:
            y = self.dconv(y)
        return self.conv_tr(y, length)  # type: ignore[no-any-return]


def _taps(size: int, *, spectral: bool) -> tuple[int, ...]:
    """Sizes of a kernel along rows and time, or along time alone."""
    return (size, 1) if spectral else (size,)


def lower(network: nn.Module, dtype: torch.dtype) -> None:
    """Let this network multiply in 16 bits from now on; its statistics, gains and embeddings stay in float32."""
    for module in network.modules():
        if isinstance(module, Conv | Linear) or hasattr(module, "in_proj_weight"):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)
