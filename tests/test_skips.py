"""A test is left out where the machine cannot do what it tests, never because a tool is missing: `make test` installs those."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = [ROOT / folder for folder in ("engine", "server", "services", "training", "tests", "worker")]

# Every reason there is, by what is lacking.
HARDWARE = {
    "this machine has no GPU",
    "this processor has no AVX-512, which the kernels for AMX use beside it",
    "this processor has no such instructions",
}
SYSTEM = {
    "another allocator than glibc's",
    "file modes are POSIX",
    "folders have no mode here",
    "limits of the system",
    "looks into /proc",
    "no /dev/full here",
    "only Linux opens what was deleted by its descriptor",
    "sessions are no groups of the scheduler here",
    "the filter is Linux's",
    "the kernel's Landlock knows no ports",
    "the kernel's Landlock knows no signals",
    "the system has no disk that is always full",
}
RIGHTS = {
    "a small file system can be mounted by root only",
    "root may read everything",
    "this machine lets nobody mount a file system",
}
OTHERS = {
    "somebody has LocalStack's port",
    "this RabbitMQ leads its queues again",
}


def of_ours(file: Path) -> bool:
    """Whether it is a test of this repository: packages in a service's environment have tests too."""
    return "tests" in file.parts and ".venv" not in file.parts


def _reasons(tree: ast.AST) -> Iterator[str]:
    """Why tests are left out: what every call of ``skip``, ``skipif``, ``xfail`` or ``importorskip`` says."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            reason = next((each.value for each in node.keywords if each.arg == "reason"), None)
            match node.func.attr:
                case "importorskip" | "xfail":
                    yield f"{node.func.attr} in line {node.lineno}"
                case "skip" if ast.unparse(node.func) in ("pytest.skip", "pytest.mark.skip"):
                    yield ast.literal_eval(reason or node.args[0])
                case "skipif":
                    assert reason is not None
                    yield ast.literal_eval(reason)


def test_no_test_is_left_out_for_a_missing_tool() -> None:
    files = [file for folder in TESTS for file in folder.rglob("*.py") if of_ours(file.relative_to(ROOT))]
    found = {reason: file for file in files for reason in _reasons(ast.parse(file.read_text()))}
    assert len(found) > 5
    allowed = HARDWARE | SYSTEM | RIGHTS | OTHERS
    assert {reason: file.name for reason, file in found.items() if reason not in allowed} == {}
    assert allowed - set(found) == set(), "nobody gives these reasons any more"
