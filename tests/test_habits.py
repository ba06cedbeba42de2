"""Habits of the code that no linter knows of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = ("engine/tests", "server/tests", "services", "tests", "training/tests", "worker/tests")
# Files that still patch private names, until what they test takes an argument instead.
NOT_YET = (
    "engine/tests/checkpoints/sources/test_package.py",
    "server/tests/adapters/test_blob_stores.py",
    "server/tests/adapters/test_s3_check.py",
    "server/tests/adapters/test_s3_service.py",
    "server/tests/test_bootstrap.py",
    "worker/tests/test_runtime.py",
)
# Of pytest's monkeypatch, and of mock.
_PATCHES = ("setattr", "delattr", "setitem", "delitem", "patch", "object", "dict")


def _private(name: str) -> bool:
    """Whether any part of a dotted name is private; Python's own ``__names__`` are not."""
    return any(part.startswith("_") and not part.endswith("__") for part in name.split("."))


def private_names_patched(tree: ast.AST) -> Iterator[str]:
    """What a test sets of somebody else's: by a call of a patching function, or by assigning an attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _PATCHES:
            target, *named = node.args[:2] or [ast.Constant("")]
            words = [each.value for each in (target, *named) if isinstance(each, ast.Constant)]
            words += [each.attr for each in ast.walk(target) if isinstance(each, ast.Attribute)]
            if any(isinstance(word, str) and _private(word) for word in words):
                yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _private(node.attr):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not own:
                yield f"line {node.lineno}: {ast.unparse(node)}"


def test_no_test_patches_a_private_name() -> None:
    """A test that replaces what a module keeps to itself breaks with every change of it: pass an argument instead."""
    files = {file.relative_to(ROOT).as_posix(): file for folder in TESTS for file in (ROOT / folder).rglob("*.py")}
    assert len(files) > 100
    found = {name: list(private_names_patched(ast.parse(file.read_text()))) for name, file in files.items()}
    assert not {name: lines for name, lines in found.items() if lines and name not in NOT_YET}


@pytest.mark.parametrize(
    "line",
    [
        'monkeypatch.setattr(fused, "_faster", None)',
        'monkeypatch.setattr("stemwright.separator._BLOCK", 3)',
        'monkeypatch.setattr(torch._C, "emptyCache", None)',
        "monkeypatch.setitem(operators._loaded, 1, 2)",
        'mock.patch("stemwright.separator._BLOCK")',
        'mock.patch.object(separator, "_BLOCK", 3)',
        "network._placed = None",
    ],
)
def test_each_kind_of_patch_is_found(line: str) -> None:
    assert list(private_names_patched(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "self._kept = 1",
        'monkeypatch.setattr(module, "__file__", "x")',
        'monkeypatch.setenv("_HOME", "x")',
        'monkeypatch.setitem(__import__("sys").modules, "name", module)',
    ],
)
def test_what_is_no_patch_of_a_private_name_is_not(line: str) -> None:
    assert not list(private_names_patched(ast.parse(line)))
