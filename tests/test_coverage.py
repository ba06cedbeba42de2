"""The table of dev/coverage.md: what it names is there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "dev" / "coverage.md").read_text()
ROWS = re.findall(r"^\| (\d+\.\d+) \| (.+?) \| (.+?) \| (.*?) ?\| (.*?) ?\|$", PAGE, re.MULTILINE)
SHOWN, OPEN, NEVER = "shown", "open", "no program can show"


@cache
def names_in(path: str) -> set[str]:
    """The names of the test functions in a file, read and not run."""
    tree = ast.parse((ROOT / path).read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in functions if node.name.startswith("test_")}


def is_there(named: str) -> bool:
    """Whether a test, a make target or a file exists."""
    path, _, test = named.partition("::")
    if test:
        return (ROOT / path).is_file() and test in names_in(path)
    if named.startswith("make "):
        return re.search(rf"^{re.escape(named[5:])}:", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None
    return (ROOT / named).is_file()


def test_every_test_and_command_that_is_named_is_there() -> None:
    named = {each for *_, shown_by in ROWS for each in re.findall(r"`([^`]+)`", shown_by)}
    assert len(named) > 100
    assert sorted(each for each in named if not is_there(each)) == []


def test_what_is_not_there_is_seen() -> None:
    assert not is_there("tests/test_coverage.py::test_of_nothing")
    assert not is_there("tests/test_nothing.py::test_what_is_not_there_is_seen")
    assert not is_there("make nothing")
    assert not is_there("scripts/nothing.sh")


def test_a_row_that_is_shown_names_what_shows_it_and_an_open_one_what_is_missing() -> None:
    for number, _, state, missing, shown_by in ROWS:
        assert state in (SHOWN, OPEN, NEVER), number
        assert bool(missing) == (state != SHOWN), number
        assert shown_by or state != SHOWN, number


def test_the_rows_are_in_order_each_once_and_counted() -> None:
    numbers = [tuple(map(int, number.split("."))) for number, *_ in ROWS]
    assert numbers == sorted(set(numbers))
    assert len(re.findall(r"^\| \d", PAGE, re.MULTILINE)) == len(ROWS)
    for chapter, last in Counter(chapter for chapter, _ in numbers).items():
        assert (chapter, last) in numbers  # none is left out in between
    states = Counter(state for _, _, state, *_ in ROWS)
    said = f"{len(ROWS)} rows: {states[SHOWN]} shown, {states[OPEN]} open, {states[NEVER]} that no program can show."
    assert said in PAGE
