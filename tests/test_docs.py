"""What the documentation says is so."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob("*/*/README.md"),
        *ROOT.glob("*/src/**/README.md"),
    ]
)
PROJECTS = ["engine", "worker", "server", "services/demucs"]
# With an environment, and a lock, of their own.
APART = ["services/pitch"]


def dependencies(project: str) -> list[str]:
    found = tomllib.loads((ROOT / project / "pyproject.toml").read_text())["project"]["dependencies"]
    return [re.split(r"[<>=!\[ ]", each)[0] for each in found]


def script(path: str) -> Any:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("project", [*PROJECTS, *APART])
def test_every_runtime_dependency_has_its_reason(project: str) -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    missing = [name for name in dependencies(project) if not name.startswith("stemwright") and f"`{name}`" not in page]
    assert not missing


def test_every_runtime_dependency_is_in_the_lock() -> None:
    locked = {
        name
        for file in (ROOT / "requirements").glob("lock*.txt")
        for name in re.findall(r"^#? ?([\w.-]+)==", file.read_text(), re.MULTILINE)
    }
    wanted = {name for project in PROJECTS for name in dependencies(project) if not name.startswith("stemwright")}
    assert wanted <= locked


@pytest.mark.parametrize("project", APART)
def test_every_runtime_dependency_of_a_service_is_in_its_own_lock(project: str) -> None:
    lock = (ROOT / project / "requirements.lock").read_text()
    locked = {line.split("==")[0] for line in lock.splitlines() if "==" in line}
    assert {name for name in dependencies(project) if not name.startswith("stemwright")} <= locked


def test_torch_is_pinned_to_one_version_everywhere() -> None:
    lock = (ROOT / "requirements" / "lock.txt").read_text()
    pin = re.search(r"^torch==\S+$", (ROOT / "requirements" / "torch.txt").read_text(), re.MULTILINE)
    assert pin is not None
    assert f"\n# {pin.group()}\n" in lock


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target


FOLDERS = "bench|deploy|dev|docs|engine|examples|requirements|scripts|server|services|tests|training|web|worker"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_of_the_repository_that_a_page_names_is_there(page: Path) -> None:
    named = set(re.findall(rf"(?<![\w./-])((?:{FOLDERS})/[\w./-]*[\w/])", page.read_text()))
    # What a reader makes: the service of docs/new-model.md, and the environment of any service.
    named = {path for path in named if not re.match(r"services/level\b|services/\w+/\.venv", path)}
    names = {*(ROOT / each for each in ("", "docs")), page.parent}  # a path may begin at any of these
    assert sorted(path for path in named if not any((folder / path).exists() for folder in names)) == []


def test_the_index_has_every_page_of_the_documentation() -> None:
    docs = ROOT / "docs"
    linked = {(docs / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", (docs / "README.md").read_text())}
    assert set(docs.rglob("*.md")) - {docs / "README.md"} - linked == set()
    assert f"]({(docs / 'README.md').relative_to(ROOT)})" in (ROOT / "README.md").read_text()


def test_the_changelog_has_a_section_for_the_version() -> None:
    """Releases newest first, each with its day, below what is not released yet."""
    version = (ROOT / "VERSION").read_text().strip()
    sections = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0] == "Unreleased"
    assert [each for each in sections[1:] if not re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2}", each)] == []
    assert sections[1].split(" - ")[0] == version


def test_every_make_target_that_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert named <= targets
    assert {"demo", "serve", "test", "lint"} <= targets


def test_the_readme_quotes_what_make_bench_wrote_and_nothing_else() -> None:
    readme = (ROOT / "README.md").read_text()
    quoted = re.findall(r"<!-- figures of (\S+) -->\n(.*?)\n<!-- end of figures -->", readme, re.DOTALL)
    assert quoted
    table = script("bench/table.py")
    for file, text in quoted:
        assert text == table.markdown(json.loads((ROOT / file).read_text()))


def test_the_picture_of_the_rooms_is_what_the_code_says() -> None:
    rooms = script("scripts/draw_rooms.py")
    assert rooms.PICTURE.read_text() == rooms.draw(), "run scripts/draw_rooms.py"
