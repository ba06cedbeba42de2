"""The kernels, compiled for this processor and for one that has AVX2."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemwright.backends import fused, operators
from stemwright.machine.machine import Machine


@pytest.fixture(scope="session", params=["", "AVX2"], ids=["native", "avx2"])
def built_kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the kernels."""
    machine = Machine.here({"ONEDNN_MAX_CPU_ISA": request.param})
    assert machine.compiler is not None, "there is no C++ compiler: scripts/install_test_tools.sh"
    folder = tmp_path_factory.mktemp("kernels")
    fused.build(machine.compiler, folder, fused.instructions(machine))
    return folder


@pytest.fixture
def kernels(built_kernels: Path) -> None:
    """They are what the operators use."""
    operators.load(built_kernels)
