"""The tests of the services that have an environment of their own, run in it: `make test` installs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SERVICES = sorted(file.parent for file in (ROOT / "services").glob("*/requirements-test.txt"))
each_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


def python(service: Path) -> Path:
    found = service / ".venv" / "bin" / "python"
    assert found.exists(), f"run make {service.relative_to(ROOT)}/.venv/.tested"
    return found


@each_service
def test_the_services_own_tests_pass(service: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH"))}
    variables["OMP_NUM_THREADS"] = "1"
    command = [str(python(service)), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(service / "tests")]
    done = subprocess.run(command, cwd=service, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:]
    assert " passed" in done.stdout


@each_service
def test_the_environment_has_nothing_of_the_server_and_not_what_it_does_without(service: Path) -> None:
    code = (
        "from importlib.util import find_spec; print([each for each in "
        "('stemwright', 'stemwright_server', 'stemwright_demucs', 'fastapi', 'sqlalchemy', 'torch', 'tensorflow', 'librosa') "
        "if find_spec(each)])"
    )
    done = subprocess.run([python(service), "-c", code], cwd=service, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
