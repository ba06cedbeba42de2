"""What a stranger gets: each distribution is built as it would be published, and the wheels are installed by themselves."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import venv
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from trove_classifiers import classifiers as known_classifiers

ROOT = Path(__file__).parents[1]
VERSION = (ROOT / "VERSION").read_text().strip()
FOLDERS = sorted(
    file.parent
    for file in [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml")]
    if "project" in tomllib.loads(file.read_text())
)
# Names of tests, of fakes, and of what prepares them.
OF_TESTS = re.compile(r"(^|/)(tests?|fakes?|support|testdata)/|(^|/)(test_|fake_|conftest)[^/]*$|_(test|fake)\.py$")


def run(*command: str | Path, cwd: Path) -> str:
    """What a command says; its complaint is the test's when it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def built(request: pytest.FixtureRequest, dist: Path) -> tuple[Path, Path, Path]:
    """A distribution's folder, its sdist, and the wheel that was built from the sdist alone."""
    folder: Path = request.param
    name = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"].replace("-", "_")
    return folder, dist / f"{name}-{VERSION}.tar.gz", dist / f"{name}-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel of every distribution. Nothing is downloaded for it."""
    out = tmp_path_factory.mktemp("dist")
    for folder in FOLDERS:
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, folder, cwd=ROOT)
    return out


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with our wheels in it and nothing else: no dependency, and no pip."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-index", "--no-deps"]
    run(*pip, *sorted(dist.glob("*.whl")), cwd=ROOT)
    return environment / "bin"


def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_a_wheel_has_the_types_of_its_package(built: tuple[Path, Path, Path]) -> None:
    _, _, wheel = built
    packages = {name.split("/")[0] for name in names(wheel) if ".dist-info/" not in name}
    assert len(packages) == 1
    assert f"{packages.pop()}/py.typed" in names(wheel)


def test_a_wheel_has_every_module_of_its_package_and_its_data(built: tuple[Path, Path, Path]) -> None:
    folder, _, wheel = built
    source = folder / "src"
    there = {str(file.relative_to(source)) for file in source.rglob("*") if file.is_file() and file.suffix != ".pyc"}
    assert there == {name for name in names(wheel) if ".dist-info/" not in name}


def test_a_wheel_has_no_test_and_no_fake(built: tuple[Path, Path, Path]) -> None:
    _, _, wheel = built
    assert [name for name in names(wheel) if OF_TESTS.search(name)] == []


def test_a_wheel_and_an_sdist_have_the_licence_of_the_repository(built: tuple[Path, Path, Path]) -> None:
    _, sdist, wheel = built
    text = (ROOT / "LICENSE").read_bytes()
    with ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/licenses/LICENSE")]
        assert archive.read(name) == text
    with tarfile.open(sdist) as files:
        member = files.extractfile(f"{sdist.name.removesuffix('.tar.gz')}/LICENSE")
        assert member is not None
        assert member.read() == text
    assert metadata(wheel)["License-Expression"] == "MIT"


def test_a_package_index_is_told_what_it_shows(built: tuple[Path, Path, Path]) -> None:
    folder, _, wheel = built
    told = metadata(wheel)
    assert told["Version"] == VERSION
    assert told["Author"]
    assert told["Keywords"]
    assert told["Summary"]
    assert told["Requires-Python"] == ">=3.11"
    links = dict(each.split(", ") for each in told.get_all("Project-URL", []))
    assert set(links) == {"Changelog", "Documentation", "Issues", "Source"}
    assert all(link.startswith(links["Source"]) for link in links.values())
    shown = told.get_all("Classifier", [])
    assert set(shown) <= known_classifiers
    assert {"Typing :: Typed", "Programming Language :: Python :: 3.11"} <= set(shown)
    assert told["Description-Content-Type"] == "text/markdown"
    assert str(told.get_payload()).strip() == (folder / "README.md").read_text().strip()


def test_the_page_on_an_index_stands_alone(built: tuple[Path, Path, Path]) -> None:
    """A link to another file of the repository leads nowhere from there."""
    folder, _, wheel = built
    page = (folder / "README.md").read_text()
    assert [link for link in re.findall(r"\]\(([^)\s]+)\)", page) if not re.match(r"https?://|#", link)] == []
    assert page.startswith(f"# {metadata(wheel)['Name']}\n")
    assert "pip install" in page
    assert "MIT licence" in page


def test_the_wheels_alone_have_a_command_line_that_imports_nothing_else(installed: Path, tmp_path: Path) -> None:
    """No dependency is installed beside them: an import of one would end these."""
    assert run(installed / "stemwright", "--version", cwd=tmp_path) == f"stemwright {VERSION}\n"
    for words in ([], ["split"], ["serve"], ["worker"]):
        said = run(installed / "stemwright", *words, "--help", cwd=tmp_path)
        assert said.startswith("usage: stemwright")
        assert "warning" not in said
    assert {"split", "models", "serve", "worker"} <= set(
        re.findall(r"^ {4}([a-z]+)", run(installed / "stemwright", "--help", cwd=tmp_path), re.MULTILINE)
    )
