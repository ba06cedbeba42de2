"""The files of .github: valid by the schemas of GitHub, and what the workflows run is there."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(set((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) - {GITHUB / "ISSUE_TEMPLATE" / "config.yml"})


def _jobs(workflow: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(workflow.read_text())["jobs"].values())


def _commands() -> list[str]:
    return [step["run"] for workflow in WORKFLOWS for job in _jobs(workflow) for step in job["steps"] if "run" in step]


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("custom.github-workflows-require-timeout", WORKFLOWS),
        ("vendor.github-issue-forms", FORMS),
        ("vendor.github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
    ],
)
def test_the_files_fit_their_schemas(schema: str, files: list[Path]) -> None:
    assert files
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", schema, *map(str, files)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_make_targets_that_they_run_are_there() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    run = {target for command in _commands() for target in re.findall(r"\bmake ([a-z-]+)", command)}
    assert {"lint", "test", "wheels"} <= run <= targets


def test_the_files_that_they_run_are_there() -> None:
    files = [file for command in _commands() for file in re.findall(r"\S+/\S+\.py\b", command)]
    assert files
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_the_tests_run_on_every_python_that_the_distributions_name() -> None:
    (job,) = _jobs(GITHUB / "workflows" / "test.yml")
    for project in ("engine", "server", "services/demucs", "training"):
        classifiers = tomllib.loads((ROOT / project / "pyproject.toml").read_text())["project"]["classifiers"]
        named = re.findall(r"Programming Language :: Python :: (3\.\d+)", "\n".join(classifiers))
        assert named == job["strategy"]["matrix"]["python"], project
