"""A kernel that this processor or its compiler cannot cope with costs the kernel, not the network."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from stemwright.backends import fused, operators, trial
from stemwright.machine.machine import Machine
from stemwright.models.htdemucs.crosstransformer import Attention
from stemwright.models.htdemucs.layers import DConv, Gate, Rewrite, Strided, Transposed

MACHINE = Machine.here()
SCORES, ACTIVATED = ("attention.cpp", "LOG2_E / std::sqrt("), ("product.cpp", "== GELU ? gelu(y) : y")


@pytest.mark.parametrize(
    ("there", "instead", "left", "said"),
    [
        # Other numbers.
        (
            SCORES,
            "LOG2_E * std::sqrt(",
            {"dconv", "rewrite", "product"},
            r"^kernel attention: -?\d+ dB of agreement .* not used$",
        ),
        (
            ACTIVATED,
            "== GELU ? y : y",
            {"dconv", "attention", "rewrite"},
            r"^kernel product: -?\d+ dB of agreement .* not used$",
        ),
        # Its end; what comes after is not tried.
        (
            SCORES,
            "(__builtin_trap(), LOG2_E) / std::sqrt(",
            {"dconv"},
            r"^the trial .* ended early \(status -\d+\): dconv used$",
        ),
    ],
)
def test_a_kernel_that_is_wrong_here_or_ends_its_process_is_not_used_and_that_is_said(
    there: tuple[str, str],
    instead: str,
    left: set[str],
    said: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert MACHINE.compiler is not None
    shutil.copytree(str(fused.NATIVE), tmp_path / "native")
    source, as_it_is = tmp_path / "native" / there[0], there[1]
    assert source.read_text().count(as_it_is) == 1
    source.write_text(source.read_text().replace(as_it_is, instead))
    fused.build(MACHINE.compiler, tmp_path, fused.instructions(MACHINE), sources=tmp_path / "native")
    assert fused.verify(tmp_path, torch.float32) == left
    assert re.search(said, capfd.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize("name", [*operators.KERNELS, operators.PRODUCT])
def test_what_is_tried_goes_through_the_kernel(name: str) -> None:
    holder = nn.ModuleList([trial.layer(name)[0]])
    fused.fuse(holder, (name,))
    assert not {DConv, Attention, Rewrite, Strided, Gate, Transposed}.intersection(map(type, holder.modules()))
