"""What the kernels for AMX compute. Run by `test_amx.py` in a process that has AMX, or an emulator of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import tiles
import torch
from small import snr_db
from torch import Tensor, nn

from stemwright.backends import compiled, fused, operators
from stemwright.models.crosstransformer import Attention
from stemwright.models.layers import Rewrite, lower

BF16 = torch.bfloat16


@pytest.fixture(scope="module", autouse=True)
def kernels(tmp_path_factory: pytest.TempPathFactory) -> None:
    compiler = compiled.compiler()
    assert compiler is not None
    folder = tmp_path_factory.mktemp("kernels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "_instructions", lambda: tiles.OPTIONS)
        fused.build(compiler, folder)
    fused.load(folder)
    assert operators.loaded(BF16) == {"attention", "rewrite"}


def agree(plain: nn.Module, fused_as: type[nn.Module], *given: Tensor) -> None:
    """In 16 bits the kernel is as close to exact results as torch is, but for a decibel."""
    rounded = [each.to(BF16) for each in given]
    lower(plain, BF16)
    by_torch, by_kernel = plain(*rounded), fused_as(plain)(*rounded)
    exact = plain.double()(*(each.double() for each in rounded))
    assert by_kernel.dtype == BF16
    assert snr_db(exact, by_kernel) > snr_db(exact, by_torch) - 1


@pytest.mark.parametrize(("queries", "keys"), [(64, 192), (101, 77), (1, 1), (33, 289), (7, 97)])
@pytest.mark.parametrize("loudness", [0.1, 1.0, 30.0])
def test_attention_however_many_tokens(queries: int, keys: int, loudness: float) -> None:
    torch.manual_seed(0)
    plain = Attention(128, 2).requires_grad_(False)
    agree(plain, fused.FusedAttention, loudness * torch.randn(2, queries, 128), loudness * torch.randn(2, keys, 128))


def test_attention_to_itself_takes_scores_that_grow_from_block_to_block() -> None:
    torch.manual_seed(0)
    plain = Attention(64, 1).requires_grad_(False)
    agree(plain, fused.FusedAttention, torch.linspace(0.01, 60, 400)[None, :, None] * torch.randn(1, 1, 64))


@pytest.mark.parametrize(
    ("shape", "kernel"),
    [
        ((1, 4, 12, 384), (3, 3)),
        ((2, 13, 29, 48), (3, 3)),  # batches, and blocks that end early
        ((1, 17, 336, 48), (3, 3)),
        ((1, 3, 2, 32), (3, 3)),  # less than a tile
        ((1, 1, 1, 16), (3, 3)),
        ((1, 1, 1344, 96), (3,)),
        ((2, 3, 7, 16), (3,)),
    ],
)
def test_the_decoders_gate_at_every_size(shape: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    plain = Rewrite(2 * shape[-1], shape[-1], *kernel, bias=2 * shape[-1]).requires_grad_(False)
    plain.bias += torch.randn_like(plain.bias)
    agree(plain, fused.FusedRewrite, torch.randn(shape), torch.randn(shape))


def test_two_threads_compute_at_once() -> None:
    torch.manual_seed(0)
    given = [torch.randn(3, 1, 200, 128, dtype=BF16) for _ in range(2)]
    alone = [torch.ops.stemwright.attention(*each, 2) for each in given]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            together = list(pool.map(lambda each: torch.ops.stemwright.attention(*each, 2), given))
            assert all(map(torch.equal, alone, together))
