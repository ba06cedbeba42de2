"""The kernels, compiled for this processor and for one that has AVX2."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemwright.backends import compiled, fused


@pytest.fixture(scope="session", params=["", "AVX2"], ids=["native", "avx2"])
def built_kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the kernels."""
    compiler = compiled.compiler()
    assert compiler is not None, "there is no C++ compiler: scripts/install_test_tools.sh"
    folder = tmp_path_factory.mktemp("kernels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONEDNN_MAX_CPU_ISA", request.param)
        fused.build(compiler, folder)
    return folder


@pytest.fixture
def kernels(built_kernels: Path) -> None:
    """They are what the operators use."""
    fused.load(built_kernels)
