"""What ``deploy/`` and ``.env.example`` say: linted, known to the settings, and started as it says, outside of containers."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import httpx2
import pytest
import yaml
from backing import Postgres, Redis, free_port
from elsewhere import SECRET
from service import COMMAND, Client, environment, until, wav

from stemwright_server.settings import Settings, environment_name

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
# Of others: the images', CUDA's, and what the compose file alone asks for.
NOT_OURS = {"CUDA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())["services"]
    return found


def docker_commands() -> list[list[str]]:
    return [
        json.loads(line) for line in re.findall(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    ]


def modal_app() -> ModuleType:
    """The Modal app, with nobody behind its decorators."""
    spec = importlib.util.spec_from_file_location("modal_app", DEPLOY / "modal_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["modal"] = MagicMock()
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["modal"]
    return module


def test_the_dockerfile_passes_its_linter() -> None:
    found = subprocess.run([BIN / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_compose_file_fits_the_schema_of_compose() -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "docker-compose.yml"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_every_variable_that_deployment_sets_is_a_setting(services: dict[str, Any]) -> None:
    known = {environment_name(name) for name in Settings.model_fields} | NOT_OURS
    compose = (DEPLOY / "docker-compose.yml").read_text()
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", compose))
    for name in ("api", "worker", "plain-worker"):
        used |= set(services[name]["environment"])
    used |= set(re.findall(r"^    (STEMWRIGHT_\w+|HOST|PORT)=", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    assert used - known == set()


def test_the_example_environment_names_every_setting_at_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    names = {environment_name(name): name for name in Settings.model_fields}
    assert {name for name, _ in lines} - NOT_OURS == set(names)
    for variable in names:
        monkeypatch.delenv(variable, raising=False)
    nothing: dict[str, Any] = {}
    defaults = Settings(**nothing)
    for variable, value in lines:
        if value:
            monkeypatch.setenv(variable, value)
    assert Settings(**nothing) == defaults


def test_the_documents_own_environment_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable of the documents, with the values that they give."""
    documents = {
        "ENVIRONMENT": "production",
        "LOG_LEVEL": "INFO",
        "DEBUG": "false",
        "HOST": "0.0.0.0",  # noqa: S104
        "PORT": "8000",
        "API_WEBHOOK_URL_ALLOWLIST": "https://api.track-tree.com/webhooks/demucs",
        "DEMUCSSVC_TOKEN": "t" * 32,
        "S3_ENDPOINT": "http://localhost:4566",
        "S3_REGION": "us-east-1",
        "S3_BUCKET": "test-bucket",
        "S3_ACCESS_KEY_ID": "test",
        "S3_SECRET_ACCESS_KEY": "test",
        "DEMUCS_MODELS_PATH": "/models/demucs",
        "DEMUCS_DEFAULT_MODEL": "htdemucs",
        "DEMUCS_GPU_ENABLED": "true",
        "DEMUCS_MAX_FILE_SIZE": "52428800",
        "DEMUCS_MAX_DURATION": "600",
        "REDIS_URL": "redis://localhost:6379",
        "REDIS_DB": "0",
        "YOUTUBE_DOWNLOAD_DIR": "/tmp/downloads",
        "YOUTUBE_MAX_DURATION": "600",
        "API_RATE_LIMIT": "5",
        "API_RATE_LIMIT_PERIOD": "3600",
        "API_CORS_ORIGINS": '["*"]',
        "OBSERVABILITY_PROMETHEUS_PORT": "9090",
        "OBSERVABILITY_ENABLE_TRACING": "true",
    }
    for variable, value in documents.items():
        monkeypatch.setenv(variable, value)
    nothing: dict[str, Any] = {}
    found = Settings(**nothing)
    assert found.broker_address == "redis://localhost:6379/0"
    assert set(documents) <= {environment_name(name) for name in Settings.model_fields}


def test_the_image_and_modal_start_what_compose_starts(services: dict[str, Any]) -> None:
    assert docker_commands() == [services["api"]["command"][:2]]  # HOST and PORT say the rest
    assert modal_app().COMMAND[:6] == services["api"]["command"]


def test_the_commands_of_the_compose_file_do_a_job_together(
    tmp_path: Path, services: dict[str, Any], postgres: Postgres, redis: Redis
) -> None:
    """API, Celery worker and plain worker with the arguments that stand there, but for address and port."""
    port = free_port()
    shared = SECRET | {"DATABASE_URL": postgres.database(), "BROKER_URL": redis.url}
    shared |= {"STEMWRIGHT_API_URL": f"http://127.0.0.1:{port}", "STEMWRIGHT_DATA_DIR": str(tmp_path / "data")}
    shared |= {"STEMWRIGHT_WORK_DIR": str(tmp_path)}
    (tmp_path / "state").mkdir()
    processes = []
    try:
        for name in ("api", "worker", "plain-worker"):
            here = {"0.0.0.0": "127.0.0.1", "8080": str(port)}  # noqa: S104
            command = [here.get(word, word) for word in services[name]["command"]]
            command = [*({"stemwright": COMMAND}.get(command[0]) or [str(BIN / command[0])]), *command[1:]]
            with (tmp_path / f"{name}.log").open("wb") as log:
                settings = environment(tmp_path / "state", shared)
                processes.append(subprocess.Popen(command, env=settings, stdout=log, stderr=log))
        client = Client(f"http://127.0.0.1:{port}")

        def workers() -> bool:
            try:
                return bool(client.http.get("/health").json()["workers"] == 2)
            except httpx2.HTTPError:
                return False

        until(workers, seconds=240.0, what="both workers")
        file_id = client.upload(wav())
        client.wait(file_id, client.submit(file_id), "completed", seconds=120.0)
        for process in reversed(processes):
            process.terminate()
            assert process.wait(120) == 0
    finally:
        for process in processes:
            process.kill()
            process.wait()
