"""The public names are what they should be, and importing the package is cheap."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import stemwright
from stemwright.errors import StemwrightError


def test_all_is_sorted_and_every_name_is_there_and_documented() -> None:
    assert stemwright.__all__ == sorted(stemwright.__all__)
    for name in stemwright.__all__:
        assert inspect.getdoc(getattr(stemwright, name)), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        stemwright.nonsense  # noqa: B018


def test_every_error_has_a_code_of_its_own_and_one_root() -> None:
    errors = [getattr(stemwright, name) for name in stemwright.__all__]
    errors = [each for each in errors if inspect.isclass(each) and issubclass(each, Exception)]
    assert all(issubclass(each, StemwrightError) for each in errors)
    assert len({each.code for each in errors}) == len(errors)


def test_importing_the_package_imports_neither_torch_nor_a_decoder() -> None:
    code = "import sys, stemwright; assert not {'torch', 'numpy', 'av', 'demucs'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_torch_is_asked_for_the_device_only_where_there_may_be_a_gpu() -> None:
    code = """if True:
    import sys, stemwright
    from dataclasses import replace
    machine = replace(stemwright.Machine.here(), may_have_gpu=False)
    assert stemwright.Separator("pocket", machine=machine).device == "cpu"
    assert "torch" not in sys.modules
    machine = replace(machine, may_have_gpu=True)
    assert stemwright.Separator("pocket", machine=machine).device
    assert "torch" in sys.modules"""
    subprocess.run([sys.executable, "-c", code], check=True)
