"""Layers that multiply integers compute what torch's do, to far more than `fast` asks for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from small import snr_db
from torch import Tensor, nn
from torch.nn import functional as F

from stemwright.backends import fused, integers, library, operators
from stemwright.machine.machine import Machine
from stemwright.models.htdemucs.layers import Gate, HiddenLinear, Linear, Pointwise, Strided, Transposed

pytestmark = pytest.mark.usefixtures("kernels")


def agreement(plain: nn.Module, x: Tensor, *rest: int) -> float:
    """Of a layer through the kernel with the same in double precision; in dB."""
    plain.requires_grad_(False)
    fast = integers.to_int16(plain)
    assert fast is not None
    got = fast(x, *rest)
    expected = plain.double()(x.double(), *rest)
    assert got.shape == expected.shape
    return snr_db(expected, got)


@pytest.mark.parametrize("tokens", [1, 95, 96, 301])
@pytest.mark.parametrize(("inputs", "outputs"), [(512, 96), (96, 50), (40, 7), (2048, 64)])
def test_linear_layers_agree_to_65_db(tokens: int, inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, tokens, inputs)
    for kind in (Linear, HiddenLinear):
        assert agreement(kind(inputs, outputs), x) > 65


@pytest.mark.parametrize(
    ("shape", "spectral"), [((2, 64, 29, 48), True), ((1, 8, 5, 16), True), ((2, 1, 403, 48), False)]
)
def test_strided_convolutions_agree_to_65_db_at_their_edges_too(shape: tuple[int, ...], spectral: bool) -> None:
    torch.manual_seed(0)
    plain = Strided(shape[-1], 96, spectral=spectral, kernel=8, stride=4)
    nn.init.normal_(plain.bias)
    assert agreement(plain, torch.randn(shape)) > 65


@pytest.mark.parametrize("outputs", [48, 24, 8])  # of which none, some and all share a vector with the next place
@pytest.mark.parametrize("activated", [True, False])
@pytest.mark.parametrize(
    ("shape", "spectral", "length"),
    [((2, 16, 29, 96), True, 29), ((2, 1, 101, 96), False, 403), ((1, 1, 1, 16), False, 3)],
)
def test_transposed_convolutions_agree_to_65_db_at_their_edges_too(
    outputs: int, activated: bool, shape: tuple[int, ...], spectral: bool, length: int
) -> None:
    torch.manual_seed(0)
    plain = Transposed(shape[-1], outputs, spectral=spectral, kernel=8, stride=4, activated=activated)
    nn.init.normal_(plain.bias)
    assert agreement(plain, torch.randn(shape), length) > 65


@pytest.mark.parametrize("channels", [16, 48, 96])
def test_gates_and_pointwise_convolutions_agree_to_65_db(channels: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 77, channels)
    gate = Gate(2 * channels, channels, 1, 1, bias=2 * channels)
    nn.init.normal_(gate.bias)
    assert agreement(gate, x) > 65
    assert agreement(Pointwise(40, channels, 1, bias=40), x) > 65


def test_every_row_and_every_output_has_a_scale_of_its_own() -> None:
    torch.manual_seed(0)
    plain = Linear(64, 32)
    plain.weight.data *= torch.logspace(-6, 6, 32)[:, None]
    x = torch.randn(40, 64) * torch.logspace(-15, 15, 40)[:, None]
    expected = x.double() @ plain.weight.double().T
    got = integers.ProductLinear(plain.weight, torch.zeros(32))(x)
    for row in range(40):
        for column in range(0, 32, 8):
            part = (slice(row, row + 1), slice(column, column + 8))
            assert snr_db(expected[part], got[part]) > 50


@pytest.mark.parametrize("depth", [16, 512, 2048, 4096])
def test_sums_as_large_as_they_can_become_stay_in_32_bits(depth: int) -> None:
    row = torch.randn(depth, generator=torch.Generator().manual_seed(0))
    for each in (torch.ones(depth), row, F.one_hot(torch.tensor(3), depth).float()):
        weight = torch.stack([each, -each])
        got = integers.ProductLinear(weight, torch.zeros(2))(each[None])
        assert snr_db(each[None] @ weight.T, got) > 60


def test_silence_gives_the_bias_and_what_is_not_a_number_stays_that() -> None:
    plain = Linear(48, 20)
    product = integers.to_int16(plain)
    assert product is not None
    x = torch.zeros(3, 48)
    x[1, 5], x[2, 7] = float("nan"), float("inf")
    got = product(x)
    assert torch.equal(got[0], plain.bias)
    assert got[1:].isnan().all()


def test_weights_that_are_all_zero_give_the_bias() -> None:
    got = integers.ProductLinear(torch.zeros(20, 48), torch.arange(20.0))(torch.randn(5, 48))
    assert torch.equal(got, torch.arange(20.0).expand(5, -1))


def test_layers_that_are_too_small_or_of_another_kind_stay_as_they_are() -> None:
    assert integers.to_int16(Strided(4, 48, spectral=True, kernel=8, stride=4)) is None
    assert integers.to_int16(Gate(80, 40, 1, bias=80)) is None
    assert integers.to_int16(Transposed(48, 16, spectral=True, kernel=8, stride=3, activated=True)) is None
    assert integers.to_int16(nn.LayerNorm(48)) is None


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ([], set()),
        (["-mavx512f", "-mavx512bw"], {"avx512f", "avx512bw"}),
        (["-mavx2", "-mavxvnni"], {"avx2", "avx_vnni"}),
    ],
    ids=["plain", "avx512bw", "avxvnni"],
)
def test_other_processors_give_the_same_numbers(options: list[str], flags: set[str], tmp_path: Path) -> None:
    machine = Machine.here()
    if not flags <= machine.flags:
        pytest.skip("this processor has no such instructions")
    assert machine.compiler is not None
    source = fused.NATIVE / "product.cpp"
    words = [
        "-std=c++17",
        "-O2",
        *options,
        "-fopenmp",
        "-shared",
        "-fPIC",
        str(source),
        "-o",
        str(tmp_path / library.KERNELS),
    ]
    subprocess.run([machine.compiler, *words], check=True, capture_output=True)
    torch.manual_seed(0)
    layer, x = integers.to_int16(Strided(48, 96, spectral=True, kernel=8, stride=4)), torch.randn(1, 64, 29, 48)
    assert layer is not None
    here = layer(x)
    operators.load(tmp_path)
    assert operators.loaded(torch.float32) == {operators.PRODUCT}
    assert snr_db(here, layer(x)) > 80  # but for what is rounded the other way
