"""Habits of the code that no linter knows of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = ("engine/tests", "server/tests", "services", "tests", "training/tests", "worker/tests")
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


def private_names_read(tree: ast.AST) -> Iterator[str]:
    """What a test reads of somebody else's: an attribute, or an imported name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and _private(node.attr):
            if not _own(node.value):
                yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom) and any(_private(each.name) for each in node.names):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def _own(node: ast.AST) -> bool:
    """Whether its attributes are the test's: of an object of its own class; or of ``os``, whose ``os._exit`` is public."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls", "os")


def _trees() -> dict[str, ast.AST]:
    """Of all files of tests, by their paths."""
    files = [
        file
        for folder in TESTS
        for file in sorted((ROOT / folder).rglob("*.py"))
        if not {"src", ".venv"} & {*file.parts}
    ]
    assert len(files) > 100
    return {file.relative_to(ROOT).as_posix(): ast.parse(file.read_text()) for file in files}


def test_no_test_patches_a_private_name() -> None:
    """A test that replaces what a module keeps to itself breaks with every change of it: pass an argument instead."""
    found = {name: list(private_names_patched(tree)) for name, tree in _trees().items()}
    assert not {name: lines for name, lines in found.items() if lines}


def test_no_test_reads_a_private_name() -> None:
    """Nor one that looks into it: what it does is seen from outside."""
    found = {name: list(private_names_read(tree)) for name, tree in _trees().items()}
    assert not {name: lines for name, lines in found.items() if lines}


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


@pytest.mark.parametrize("line", ["assert network._placed is None", "from stemwright.separator import _BLOCK"])
def test_each_kind_of_look_inside_is_found(line: str) -> None:
    assert list(private_names_read(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "self._kept = 1",
        "super()._kept(1)",
        "os._exit(1)",
        'monkeypatch.setattr(module, "__file__", "x")',
        'monkeypatch.setenv("_HOME", "x")',
        'monkeypatch.setitem(__import__("sys").modules, "name", module)',
    ],
)
def test_what_is_neither_is_not(line: str) -> None:
    assert not [*private_names_patched(ast.parse(line)), *private_names_read(ast.parse(line))]
