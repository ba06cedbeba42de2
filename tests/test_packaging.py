"""One version in one place, and one policy for the ranges of versions that the distributions ask for."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version as installed_version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
VERSION = (ROOT / "VERSION").read_text().strip()


def _set_version() -> ModuleType:
    spec = importlib.util.spec_from_file_location("set_version", ROOT / "scripts" / "set_version.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _project(file: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(file.read_text())["project"]
    return project


def _requirements(file: Path) -> list[Requirement]:
    project = _project(file)
    extras = [each for extra in project.get("optional-dependencies", {}).values() for each in extra]
    return [Requirement(each) for each in [*project.get("dependencies", []), *extras]]


def _own_environment(file: Path) -> Path | None:
    """The lock of a service that is installed in an environment of its own only, whose tests run there."""
    return file.with_name("requirements.lock") if file.with_name("requirements-test.txt").exists() else None


PYPROJECTS = _set_version().pyprojects(ROOT)
every_distribution = pytest.mark.parametrize("file", PYPROJECTS, ids=lambda file: str(file.parent.relative_to(ROOT)))


def test_the_distributions_are_found() -> None:
    assert {"engine", "server", "demucs", "training"} <= {file.parent.name for file in PYPROJECTS}


@every_distribution
def test_the_version_is_the_one_of_the_file_version(file: Path) -> None:
    project = _project(file)
    assert project["dynamic"] == ["version"]
    assert "version" not in project
    source = tomllib.loads(file.read_text())["tool"]["hatch"]["version"]
    assert (file.parent / source["path"]).resolve() == ROOT / "VERSION"
    if _own_environment(file) is None:
        assert installed_version(project["name"]) == VERSION, "run make setup"


@every_distribution
def test_our_distributions_ask_for_each_other_at_the_same_version(file: Path) -> None:
    for requirement in _requirements(file):
        if requirement.name.startswith("stemwright"):
            assert str(requirement.specifier) == f"=={VERSION}", requirement


def test_the_page_has_no_version_of_its_own() -> None:
    assert '"version"' not in (ROOT / "web" / "package.json").read_text()


def test_one_command_sets_the_version_everywhere(tmp_path: Path) -> None:
    for file in PYPROJECTS:
        copy = tmp_path / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True)
        shutil.copy(file, copy)
    script = _set_version()
    script.set_version(tmp_path, "9.8.7")
    assert (tmp_path / "VERSION").read_text() == "9.8.7\n"
    asked = [each for file in script.pyprojects(tmp_path) for each in _requirements(file)]
    assert {str(each.specifier) for each in asked if each.name.startswith("stemwright")} == {"==9.8.7"}


@every_distribution
def test_every_requirement_has_the_bounds_of_the_policy(file: Path) -> None:
    """The policy and its exceptions are in docs/dependencies.md, under "Ranges"."""
    page = (ROOT / "docs" / "dependencies.md").read_text().split("\n## Ranges\n")[1].split("\n## ")[0]
    by_date = set(re.findall(r"`([a-z-]+)`", page.split("by date")[1].split("\n- ")[0].split("\n\n")[0]))
    others = [each for each in _requirements(file) if not each.name.startswith("stemwright")]
    for requirement in others:
        kinds = {each.operator: Version(each.version) for each in requirement.specifier}
        if set(kinds) == {"=="}:
            assert f"`{requirement.name}`" in page, f"{requirement}: say why it is one version exactly"
        elif requirement.name in by_date:
            assert set(kinds) == {">="}, requirement
        else:
            assert set(kinds) == {">=", "<"}, requirement
            assert len(kinds["<"].release) == 1, f"{requirement}: up to a major version"


@every_distribution
def test_the_lock_is_within_every_range(file: Path) -> None:
    own = _own_environment(file)
    files = [own] if own is not None else (ROOT / "requirements").glob("lock*.txt")
    lock = dict(
        pin for each in files for pin in re.findall(r"^(?:# )?([\w.-]+)==(\S+)", each.read_text(), re.MULTILINE)
    )
    assert len(lock) > 30
    for requirement in _requirements(file):
        if requirement.name in lock:
            assert requirement.specifier.contains(lock[requirement.name], prereleases=True), requirement


LOCKS = [*(ROOT / "requirements").glob("lock*.txt"), *ROOT.glob("services/*/requirements*.lock")]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_every_line_of_a_lock_has_hashes(lock: Path) -> None:
    """pip would refuse the file otherwise, but only where somebody installs from it."""
    pins = re.findall(r"^[\w.-]+==\S+(?: \\\n    --hash=sha256:[0-9a-f]{64})+$", lock.read_text(), re.MULTILINE)
    assert len(pins) == len(re.findall(r"^\w", lock.read_text(), re.MULTILINE)) > 0


def test_no_package_is_in_two_locks_of_one_environment() -> None:
    names = [
        name
        for file in (ROOT / "requirements").glob("lock*.txt")
        for name in re.findall(r"^([\w.-]+)==", file.read_text(), re.MULTILINE)
    ]
    assert len(names) == len(set(names))


def test_pip_takes_no_file_that_is_not_the_one_locked(tmp_path: Path) -> None:
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        file.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("thing-1.0.dist-info/RECORD", "")
    locked = re.search(r"^LOCKED := \$\(PIP\) (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert locked is not None
    right = hashlib.sha256(wheel.read_bytes()).hexdigest()
    for number, code in ((right, 0), ("0" * 64, 1)):
        (tmp_path / "lock.txt").write_text(f"thing==1.0 \\\n    --hash=sha256:{number}\n")
        command = [sys.executable, "-m", "pip", "install", "--no-deps", *locked[1].split(), "--no-index"]
        command += ["--find-links", str(tmp_path), "--target", str(tmp_path / number), "-r", str(tmp_path / "lock.txt")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
    assert "HASHES" in done.stderr.upper()
