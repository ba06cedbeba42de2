"""What the kernels for AMX compute. Run by `test_amx.py` in a process that has AMX, or an emulator of it."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import pytest
import tiles
import torch
from small import arguments_of, snr_db, tiny_htdemucs
from torch import Tensor, nn

from stemwright.backends import fused, operators
from stemwright.backends.library import load_kernels, load_torch
from stemwright.backends.timing import Timing
from stemwright.machine.machine import Machine
from stemwright.models.htdemucs.core import HTDemucsCore, core_inputs
from stemwright.models.htdemucs.crosstransformer import Attention
from stemwright.models.htdemucs.layers import DConv, Rewrite, lower
from stemwright.models.htdemucs.network import HTDemucs

BF16 = torch.bfloat16


@pytest.fixture(scope="module", autouse=True)
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = Machine.here().compiler
    assert compiler is not None
    folder = tmp_path_factory.mktemp("kernels")
    fused.build(compiler, folder, tiles.OPTIONS)
    operators.load(folder)
    assert operators.loaded(BF16) == set(operators.KERNELS)
    return folder


def agree(plain: nn.Module, fused_as: type[nn.Module], *given: Tensor, residual: bool = False) -> None:
    """In 16 bits the kernel is as close to exact results as torch is, but for a decibel; of a residual branch what it adds."""
    rounded = [each.to(BF16) for each in given]
    lower(plain, BF16)
    by_torch, by_kernel = plain(*rounded), fused_as(plain)(*rounded)
    exact = plain.double()(*(each.double() for each in rounded))
    assert by_kernel.dtype == BF16
    without = rounded[0].double() if residual else 0.0
    assert snr_db(exact - without, by_kernel - without) > snr_db(exact - without, by_torch - without) - 1


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
    plain.bias.add_(torch.randn_like(plain.bias))
    agree(plain, fused.FusedRewrite, torch.randn(shape), torch.randn(shape))


@pytest.mark.parametrize(
    "shape", [(2, 3, 77, 48), (1, 1, 1000, 16), (1, 4, 96, 96), (1, 1, 2, 16), (1, 2, 5, 384), (1, 2, 337, 192)]
)
def test_the_residual_branch_at_every_width_and_length(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    plain = DConv(shape[-1], compress=8, depth=2, init=0.3).requires_grad_(False)
    for parameter in plain.parameters():
        if parameter.dim() == 1:
            parameter.add_(0.2 * torch.randn_like(parameter))
    agree(plain, fused.FusedDConv, torch.randn(shape), residual=True)


def test_two_threads_compute_at_once() -> None:
    torch.manual_seed(0)
    given = [torch.randn(3, 1, 200, 128, dtype=BF16) for _ in range(2)]
    alone = [torch.ops.stemwright.attention(*each, 2) for each in given]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            together = list(pool.map(lambda each: torch.ops.stemwright.attention(*each, 2), given))
            assert all(map(torch.equal, alone, together))


def test_a_network_in_16_bits_agrees_to_40_db_and_all_its_kernels_are_tried() -> None:
    peer = tiny_htdemucs(depth=2, t_layers=2, channels=16, bottom_channels=64, t_heads=1, segment=Fraction(1, 2))
    network = HTDemucs(**arguments_of(peer)).eval().requires_grad_(False)
    network.load_state_dict(peer.state_dict())
    core = HTDemucsCore(network)
    x, xt = core_inputs(network)
    expected = network.core(x, xt)
    lower(core, BF16)
    timing = Timing(is_faster=lambda one, other, given: one(*given).dtype == other(*given).dtype == BF16)
    names = fused.select_faster(core, among=operators.KERNELS, timing=timing)
    assert names == operators.KERNELS
    fused.fuse(core, names)
    kinds = [type(module).__name__ for module in core.modules()]
    assert [kinds.count(f"Fused{name}") for name in ("DConv", "Attention", "Rewrite")] == [8, 4, 4]
    for wanted, made, again in zip(expected, core.network.core(x, xt), core.network.core(x, xt), strict=True):
        assert snr_db(wanted, made) > 40
        assert torch.equal(made, again)


def handle(tensor: Tensor) -> ctypes.c_void_p:
    """A tensor as compiled networks hold it."""
    made, torch_itself = ctypes.c_void_p(), load_torch()
    sizes, strides = ((ctypes.c_int64 * tensor.dim())(*each) for each in (tensor.shape, tensor.stride()))
    kind = torch_itself.aoti_torch_dtype_bfloat16 if tensor.dtype == BF16 else torch_itself.aoti_torch_dtype_float32
    place = (ctypes.c_int32(kind()), ctypes.c_int32(torch_itself.aoti_torch_device_type_cpu()), ctypes.c_int32(0))
    data, dims = ctypes.c_void_p(tensor.data_ptr()), ctypes.c_int64(tensor.dim())
    status = torch_itself.aoti_torch_create_tensor_from_blob(
        data, dims, sizes, strides, ctypes.c_int64(0), *place, ctypes.byref(made)
    )
    assert status == 0
    return made


def called(
    kernels: Path,
    name: str,
    shape: torch.Size,
    *given: ctypes.c_void_p | ctypes.c_int64 | ctypes.Array[ctypes.c_void_p],
) -> Tensor:
    """What a compiled network gets from an operator, ``[*shape]`` in 16 bits."""
    made, data, dtype = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int32()
    assert getattr(load_kernels(kernels), f"aoti_torch_cpu_{name}")(*given, ctypes.byref(made)) == 0
    torch_itself = load_torch()
    torch_itself.aoti_torch_get_dtype(made, ctypes.byref(dtype))
    torch_itself.aoti_torch_get_data_ptr(made, ctypes.byref(data))
    assert dtype.value == torch_itself.aoti_torch_dtype_bfloat16()
    assert data.value is not None
    numbers = (ctypes.c_int16 * shape.numel()).from_address(data.value)
    return torch.frombuffer(numbers, dtype=BF16).view(shape)


def test_compiled_networks_call_the_same(kernels: Path) -> None:
    torch.manual_seed(0)
    x, tokens = torch.randn(1, 2, 50, 32).to(BF16), torch.randn(1, 40, 3 * 64).to(BF16)
    q, k, v = tokens.chunk(3, dim=-1)
    got = called(kernels, "attention", q.shape, *map(handle, (q, k, v)), ctypes.c_int64(1))
    assert torch.equal(got, torch.ops.stemwright.attention(q, k, v, 1))

    rewrite, dconv = Rewrite(64, 32, 3, 3, bias=64), DConv(32, compress=8, depth=2, init=0.3)
    lower(nn.ModuleList([rewrite, dconv]).requires_grad_(False), BF16)
    gate, branch = fused.FusedRewrite(rewrite), fused.FusedDConv(dconv)
    got = called(kernels, "rewrite", x.shape, *map(handle, (x, x, gate.prepared, gate.bias)))
    assert torch.equal(got, gate(x, x))

    weights = [handle(each) for each in branch.weights]
    count = len(weights)
    words = ((ctypes.c_void_p * count)(*weights), ctypes.c_int64(count))
    assert torch.equal(called(kernels, "dconv", x.shape, handle(x), *words), branch(x))


def test_each_is_right_in_a_process_of_its_own(kernels: Path) -> None:
    assert fused.verify(kernels, BF16) == set(operators.KERNELS)
