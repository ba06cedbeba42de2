"""``docs/new-model.md``: the service that it builds is built from it, installed in an environment of its own, and asked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from service import Client, environment, running, until, wav

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "new-model.md").read_text()
FILE = re.compile(r"^`(services/level/\S+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of services with the page's in it, installed as ``make services`` does, but without a network."""
    folder = tmp_path_factory.mktemp("checkout")
    for name, content in FILE.findall(PAGE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    level = folder / "services" / "level"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", level / ".venv"], check=True)
    python = level / ".venv" / "bin" / "python"
    (site,) = (level / ".venv").glob("lib/python*/site-packages")
    link(["numpy", "soundfile", "pytest", "hatchling", *requirements(ROOT / "worker")], site)
    local = [ROOT / "worker", level]
    options = ["--no-index", "--no-deps", "--no-build-isolation", "-q", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *options, *local], check=True)
    return folder / "services"


def requirements(project: Path) -> list[str]:
    """What a project of ours needs, without extras."""
    import tomllib

    return list(tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"])


def link(needed: list[str], site: Path) -> None:
    """Put what is installed here, and all that it needs, into another environment; not one package more."""
    done: set[str] = set()
    while needed:
        requirement = Requirement(needed.pop())
        if requirement.name in done or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        done.add(requirement.name)
        found = distribution(requirement.name)
        needed += found.requires or []
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(found.locate_file(top))))


def test_the_pages_service_has_no_package_that_it_does_not_need(services: Path) -> None:
    code = (
        "from importlib.util import find_spec; import stemwright_level; print([each for each in "
        "('torch', 'stemwright', 'stemwright_server', 'stemwright_demucs', 'fastapi') if find_spec(each)])"
    )
    python = services / "level" / ".venv" / "bin" / "python"
    assert subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_pages_own_tests_pass(services: Path) -> None:
    python = services / "level" / ".venv" / "bin" / "python"
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(services / "level" / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_pages_service_does_a_job_over_http(services: Path, tmp_path: Path) -> None:
    settings = {"STEMWRIGHT_SERVICES_PATH": str(services), "STEMWRIGHT_MODELS": "gain,level"}
    with running(tmp_path / "data", settings) as service:
        client = Client(service.url)
        file_id = client.upload(wav(2.5))
        answer = client.process(file_id, model="level", params={"block_seconds": 0.5})
        assert answer.status_code == 200, answer.text
        job = client.wait(file_id, answer.json()["job_id"], "completed")
        (output,) = job["outputs"]
        levels = json.loads(client.http.get(output["url"]).content)
        assert len(levels["blocks"]) == 5
        assert levels["peak"][0] == pytest.approx(0, abs=0.1)  # noise over the whole scale
        assert levels["mean"][0] == pytest.approx(-4.77, abs=0.1)
        refused = client.process(file_id, model="level", params={"block_seconds": 0})
        assert (refused.status_code, refused.json()["code"]) == (422, "bad_params")
        # The service beside it, of the API's own environment, is there as ever.
        assert client.wait(file_id, client.submit(file_id), "completed")["outputs"]


def test_the_command_of_its_image_takes_jobs_of_an_api_that_has_nothing_of_it(services: Path, tmp_path: Path) -> None:
    """What a worker announces is all that the API knows of the service."""
    (command,) = re.findall(r"^CMD (\[.*\])$", PAGE, re.MULTILINE)
    binary = services / "level" / ".venv" / "bin" / json.loads(command)[0]
    secret = {"STEMWRIGHT_WORKER_SECRET": "s" * 32}
    settings = secret | {"STEMWRIGHT_MODELS": "level", "STEMWRIGHT_SERVICES_PATH": "", "STEMWRIGHT_WORKERS": "0"}
    with running(tmp_path / "data", settings) as service:
        client = Client(service.url)
        file_id = client.upload(wav())
        refused = client.process(file_id, model="level")
        assert (refused.status_code, refused.json()["code"]) == (422, "unknown_model")
        own = {"STEMWRIGHT_API_URL": service.url, "STEMWRIGHT_WORK_DIR": str(tmp_path)}
        variables = environment(service.state, secret | own) | {"STEMWRIGHT_MODELS": "", "PYTHONPATH": ""}
        with (tmp_path / "worker.log").open("wb") as log:
            worker = subprocess.Popen([binary, *json.loads(command)[1:]], env=variables, stdout=log, stderr=log)
        try:
            until(lambda: client.http.get("/health").json()["workers"] == 1, what="the worker")
            answer = client.process(file_id, model="level")
            assert answer.status_code == 200, answer.text
            assert client.wait(file_id, answer.json()["job_id"], "completed")["outputs"]
            worker.terminate()
            assert worker.wait(60) == 0
        finally:
            worker.kill()
            worker.wait()


def test_its_image_is_built_as_hadolint_wants_it(services: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, services / "level" / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
