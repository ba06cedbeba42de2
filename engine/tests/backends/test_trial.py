"""A kernel that this processor or its compiler cannot cope with costs the kernel, not the network."""

from __future__ import annotations

import re
import shutil
from importlib import resources
from pathlib import Path

import pytest
import torch

from stemwright.backends import compiled, fused

COMPILER = compiled.compiler()
AS_IT_IS = "LOG2_E / std::sqrt("


@pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler here")
@pytest.mark.parametrize(
    ("instead", "left", "said"),
    [
        # Other numbers.
        (
            "LOG2_E * std::sqrt(",
            {"dconv", "rewrite", "product"},
            r"^kernel attention: -?\d+ dB of agreement .* not used$",
        ),
        # Its end; what comes after is not tried.
        (
            "(__builtin_trap(), LOG2_E) / std::sqrt(",
            {"dconv"},
            r"^the trial .* ended early \(status -\d+\): dconv used$",
        ),
    ],
)
def test_a_kernel_that_is_wrong_here_or_ends_its_process_is_not_used_and_that_is_said(
    instead: str,
    left: set[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert COMPILER is not None
    shutil.copytree(str(resources.files("stemwright.backends") / "native"), tmp_path / "native")
    source = tmp_path / "native" / "attention.cpp"
    assert source.read_text().count(AS_IT_IS) == 1
    source.write_text(source.read_text().replace(AS_IT_IS, instead))
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    fused.build(COMPILER, tmp_path)
    assert fused.that_are_right(tmp_path, torch.float32) == left
    assert re.search(said, capfd.readouterr().err, re.MULTILINE)
