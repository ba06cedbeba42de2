"""Convolutions by fewer products: Winograd's minimal filtering F(4, 3) (Lavin and Gray 2016, arXiv 1509.09308).

A kernel of three samples and a tile of six are seen as polynomials. Both are taken at six points, multiplied there, and
turned back into four samples of the convolution: 6 products instead of 12, and in two dimensions 36 instead of 144. What
is taken at the points, for each of them, is a matrix product over the channels. The kernel's part is done here, once; the
rest is `native/rewrite.cpp`, which has to name the same points.
"""

from __future__ import annotations

import torch
from torch import Tensor

# And infinity. Of one layer of 384 channels 115 dB are left with these (torch's own convolution: 120), 108 with the 1 and 2
# of the paper; 2/3 and 3/2 do as well, but the squares and products of these are exact in float32.
POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)
PANEL = 16
"""Channels that the kernel writes at once, and as many gates of them."""


def fits(weight: Tensor) -> bool:
    """Whether the kernel is written for a convolution with this weight ``[outputs, channels, ..]``."""
    return set(weight.shape[2:]) == {3} and weight.shape[1] % PANEL == 0


def packed(weight: Tensor) -> Tensor:
    """A kernel ``[2 * channels, channels, 3]`` or ``[.., 3, 3]`` at the points, in the order in which it is read.

    Returns ``[6 or 36, channels / 16, channels, value and gate, 16]``, in float32.
    """
    outputs, channels = weight.shape[:2]
    at_points = torch.einsum("pt,...t->...p", _evaluation(), weight.double())
    if weight.dim() == 4:
        at_points = torch.einsum("qr,...rp->...qp", _evaluation(), at_points).flatten(2)
    panels = at_points.view(2, outputs // 2 // PANEL, PANEL, channels, -1)
    return panels.permute(4, 1, 3, 0, 2).float().contiguous()


def _evaluation() -> Tensor:
    """``[points, 3]``: a kernel's value at each point, over what Lagrange's interpolation divides by there."""
    rows = []
    for point in POINTS:
        divisor = torch.tensor([point - other for other in POINTS if other != point], dtype=torch.float64).prod()
        rows.append(torch.tensor([1.0, point, point**2], dtype=torch.float64) / divisor)
    return torch.stack([*rows, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)])
