"""Our own kernels compute what torch's operations compute, and are used only where they are faster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small import arguments_of, snr_db, tiny_htdemucs

from stemwright.backends import fused, operators, winograd
from stemwright.backends.library import KERNELS
from stemwright.backends.timing import Timing
from stemwright.machine.machine import Machine
from stemwright.models.htdemucs.core import HTDemucsCore, core_inputs
from stemwright.models.htdemucs.crosstransformer import Attention
from stemwright.models.htdemucs.layers import DConv, Rewrite
from stemwright.models.htdemucs.network import HTDemucs

pytestmark = pytest.mark.usefixtures("kernels")


def own() -> HTDemucs:
    """Small, with widths that the kernels are written for."""
    peer = tiny_htdemucs(depth=3, t_layers=2, channels=16, bottom_channels=128, t_heads=2)
    network = HTDemucs(**arguments_of(peer))
    network.load_state_dict(peer.state_dict())
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("shape", [(2, 3, 77, 48), (1, 1, 1000, 16), (1, 4, 96, 96), (1, 1, 2, 16), (1, 2, 5, 384)])
def test_the_residual_branch_agrees_to_110_db_at_every_width_and_length(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    plain = DConv(shape[-1], compress=8, depth=2, init=0.3).requires_grad_(False)
    for parameter in plain.parameters():
        if parameter.dim() == 1:
            parameter.add_(0.2 * torch.randn_like(parameter))
    x = torch.randn(shape)
    expected, got = plain(x), fused.FusedDConv(plain)(x)
    assert snr_db(expected - x, got - x) > 110


@pytest.mark.parametrize(("queries", "keys"), [(96, 128), (101, 77), (1, 1), (7, 500)])
@pytest.mark.parametrize("loudness", [0.1, 1.0, 30.0])
def test_attention_agrees_to_100_db_however_many_tokens(queries: int, keys: int, loudness: float) -> None:
    torch.manual_seed(0)
    plain = Attention(128, 2).requires_grad_(False)
    x, memory = loudness * torch.randn(2, queries, 128), loudness * torch.randn(2, keys, 128)
    attention = fused.FusedAttention(plain)
    exact = Attention(128, 2).requires_grad_(False).double()
    exact.load_state_dict(plain.state_dict())
    assert snr_db(exact(x.double(), memory.double()), attention(x, memory)) > 100
    assert snr_db(exact(x.double()), attention(x)) > 100


@pytest.mark.parametrize(
    ("shape", "kernel"),
    [
        ((1, 4, 12, 384), (3, 3)),
        ((2, 13, 29, 48), (3, 3)),  # batches and tiles that end early
        ((1, 3, 2, 32), (3, 3)),  # less than a tile
        ((1, 1, 1, 16), (3, 3)),
        ((1, 1, 1344, 96), (3,)),
        ((2, 3, 7, 16), (3,)),
    ],
)
def test_the_decoders_gate_agrees_to_110_db_at_every_size(shape: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    plain = Rewrite(2 * shape[-1], shape[-1], *kernel, bias=2 * shape[-1]).requires_grad_(False)
    plain.bias.add_(torch.randn_like(plain.bias))
    x, skip = torch.randn(shape), torch.randn(shape)
    got = fused.FusedRewrite(plain)(x, skip)
    assert snr_db(plain.double()(x.double(), skip.double()), got) > 110


def test_a_gate_that_the_kernel_is_not_written_for_is_told() -> None:
    assert winograd.fits(torch.empty(96, 48, 3, 3))
    assert winograd.fits(torch.empty(96, 48, 3))
    assert not winograd.fits(torch.empty(80, 40, 3))
    assert not winograd.fits(torch.empty(96, 48, 1, 1))
    assert not winograd.fits(torch.empty(96, 48, 5, 5))


def test_a_fused_network_agrees_to_100_db_and_gives_the_same_bytes_twice() -> None:
    plain, network = own(), own()
    fused.fuse(network, operators.KERNELS)
    kinds = [type(module).__name__ for module in network.modules()]
    assert [kinds.count(f"Fused{name}") for name in ("DConv", "Attention", "Rewrite")] == [12, 4, 6]
    x, xt = core_inputs(plain)
    expected, got, again = plain.core(x, xt), network.core(x, xt), network.core(x, xt)
    for wanted, made, repeated in zip(expected, got, again, strict=True):
        assert snr_db(wanted, made) > 100
        assert torch.equal(made, repeated)


def test_a_network_that_multiplies_integers_agrees_to_65_db() -> None:
    plain, network = own(), own()
    fused.fuse(network, (*operators.KERNELS, operators.PRODUCT))
    kinds = [type(module).__name__ for module in network.modules()]
    assert not {"Linear", "HiddenLinear", "Gate", "Transposed", "Pointwise", "FusedAttention"}.intersection(kinds)
    assert [kinds.count(each) for each in ("Strided", "ProductStrided", "ProductTransposed")] == [2, 4, 6]
    x, xt = core_inputs(plain)
    for wanted, made in zip(plain.core(x, xt), network.core(x, xt), strict=True):
        assert snr_db(wanted, made) > 65


def test_layers_that_the_kernels_are_not_written_for_stay_as_they_are() -> None:
    peer = tiny_htdemucs(depth=3)  # 8 channels, heads of 8
    network = HTDemucs(**arguments_of(peer)).eval().requires_grad_(False)
    fused.fuse(network, operators.KERNELS)
    kinds = [type(module).__name__ for module in network.modules()]
    assert "FusedAttention" not in kinds
    assert isinstance(network.get_submodule("decoder.2.rewrite"), Rewrite)
    assert isinstance(network.get_submodule("encoder.0.dconv"), DConv)


EVERY = (*operators.KERNELS, operators.PRODUCT)


KINDS = {
    "FusedDConv": "dconv",
    "FusedAttention": "attention",
    "ProductAttention": "attention",
    "FusedRewrite": "rewrite",
    "ProductLinear": "product",
}


def timing(names: tuple[str, ...]) -> Timing:
    """As if these kernels were the faster ones."""
    return Timing(is_faster=lambda one, other, given: KINDS[type(one).__name__] in names)


def installed(core: HTDemucsCore) -> set[str]:
    return {KINDS[name] for module in core.modules() if (name := type(module).__name__) in KINDS}


@pytest.mark.parametrize("names", [(), *((name,) for name in EVERY), operators.KERNELS, EVERY])
def test_only_what_is_faster_here_is_selected(names: tuple[str, ...]) -> None:
    core = HTDemucsCore(own())
    assert fused.select_faster(core, among=EVERY, timing=timing(names)) == names
    assert fused.select_faster(core, among=(), timing=timing(names)) == ()
    fused.fuse(core, names)
    assert installed(core) == set(names)


@pytest.mark.parametrize("names", [(), operators.KERNELS])
def test_what_is_right_and_faster_is_installed_and_a_library_that_is_not_used_is_removed(
    names: tuple[str, ...], built_kernels: Path, tmp_path: Path
) -> None:
    copies = tmp_path / "compiler"  # gives what was compiled before, to the file that the last word names
    copies.write_text(f'#!/bin/sh\nfor file; do :; done\ncp "{built_kernels / KERNELS}" "$file"\n')
    copies.chmod(0o700)
    core, machine = HTDemucsCore(own()), replace(Machine.here(), compiler=str(copies))
    assert fused.install_kernels(core, tmp_path, machine, dtype=torch.float32, timing=timing(names)) == names
    assert installed(core) == set(names)
    assert (tmp_path / KERNELS).exists() == bool(names)


def test_a_compiler_that_fails_leaves_the_network_as_it_is_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    core, machine = HTDemucsCore(own()), replace(Machine.here(), compiler="false")
    with pytest.raises(RuntimeError, match="the kernels cannot be compiled"):
        fused.build("false", tmp_path, fused.instructions(machine))
    assert fused.install_kernels(core, tmp_path, machine, dtype=torch.float32) == ()
    assert capsys.readouterr().err.startswith("no kernels are used: the kernels cannot be compiled")
    assert not any(isinstance(module, fused.FusedDConv) for module in core.modules())


def test_the_kernels_keep_to_avx2_when_torch_has_to() -> None:
    assert fused.instructions(Machine.here({"ONEDNN_MAX_CPU_ISA": "AVX2"})) == ("-mavx2", "-mfma")
    assert fused.instructions(Machine.here({"ATEN_CPU_CAPABILITY": "avx2"})) == ("-mavx2", "-mfma")
    assert fused.instructions(Machine.here({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"})) == ("-march=native",)
