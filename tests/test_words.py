"""docs/words.md: each word has one meaning, and what the page says is not used is not used."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "words.md").read_text()
GLOSSARY, _, NOT_USED = PAGE.partition("## Not used")

# Each by the parts of identifiers (``build_tally`` and ``BuildTally`` have "tally"), and the folders that have a use for
# the word in its own meaning.
REFUSED: dict[str, tuple[str, ...]] = {
    "attendance": (),
    "bell": ("training/",),  # an instrument
    "burial": (),
    "bury": (),
    "door": (),
    "fuse": ("bench/", "engine/"),  # kernels are fused
    "gates": ("engine/",),  # of networks
    "heal": (),
    "healing": (),
    "journal": (),
    "lane": ("web/", "tests/browser/"),  # of an editor
    "lanes": ("web/",),
    "letter": ("tests/", "server/tests/"),  # of the alphabet, and dead ones
    "letters": (),
    "mixdown": (),
    "postman": (),
    "presence": (),
    "speech": (),
    "tallies": (),
    "tally": (),
    "tether": (),
    "wish": (),
}


def tracked(*patterns: str) -> list[str]:
    done = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.splitlines() if (ROOT / name).exists()]


def identifiers(name: str) -> Iterator[str]:
    """All that a source file calls by a name, its own name among them; not the names of tests, which are sentences."""
    yield Path(name).stem
    text = (ROOT / name).read_text()
    if not name.endswith(".py"):
        bare = re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\n])*\"|'(?:\\.|[^'\n])*'", "", text, flags=re.DOTALL)
        yield from re.findall(r"[A-Za-z_$][\w$]*", bare)
        return
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.FunctionDef(name=found) | ast.AsyncFunctionDef(name=found):
                yield "" if found.startswith("test_") else found
            case ast.ClassDef(name=found) | ast.Name(id=found) | ast.Attribute(attr=found) | ast.arg(arg=found):
                yield found
            case ast.alias(name=found, asname=other):
                yield from (found.rpartition(".")[2], other or "")
            case _:
                pass


def parts(identifier: str) -> set[str]:
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)}


USED = sorted(
    {
        (name, identifier, frozenset(parts(identifier)))
        for name in tracked("*.py", "*.ts")
        for identifier in identifiers(name)
    },
    key=lambda each: each[:2],
)


def test_each_word_is_listed_once_in_the_order_of_the_alphabet() -> None:
    groups = [re.findall(r"^\| \*\*([^*]+)\*\*([^|]*)\|", group, re.MULTILINE) for group in GLOSSARY.split("\n## ")]
    words = [f"{word}{where.rstrip()}" for group in groups for word, where in group]
    assert [word for word, count in Counter(words).items() if count > 1] == []
    assert all(len(group) > 5 for group in groups[1:-1])
    for group in groups:
        names = [word for word, _ in group]
        assert names == sorted(names)


def test_what_is_refused_is_what_the_page_says() -> None:
    rows = re.findall(r"^\| ([a-z, ]+?)(?:(?:, for | \()[^|]*)? \|", NOT_USED, re.MULTILINE)[1:]
    listed = {word for row in rows for word in row.split(", ")} - {
        "extras",
        "parts",
    }  # words of packaging and of uploads
    forms = {word: {word, f"{word}s", f"{word}ing", f"{word.removesuffix('y')}ies"} for word in listed}
    assert {word for word in listed if not forms[word] & set(REFUSED)} == set()
    assert set(REFUSED) - set().union(*forms.values()) == set()


@pytest.mark.parametrize("word", REFUSED)
def test_no_identifier_has_a_word_that_is_not_used(word: str) -> None:
    assert [each for each in USED if word in each[2] and not each[0].startswith(REFUSED[word])] == []


def test_what_use_cases_work_with_is_not_called_parts() -> None:
    assert [name for name, identifier, _ in USED if identifier == "Parts"] == []
