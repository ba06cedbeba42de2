"""What ``deploy/`` and ``.env.example`` say: linted, known to the settings, and started as it says, outside of containers."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import httpx2
import jwt
import pytest
import yaml
from backing import Postgres, free_port, listens
from service import COMMAND, Client, environment, until, wav

from stemwright_server.settings import Settings, environment_name
from stemwright_worker.settings import WorkerSettings

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
# Of others: the images', CUDA's, and what the compose file alone asks for.
DIGESTS = {f"{image}_DIGEST" for image in ("CUDA", "POSTGRES", "RABBITMQ", "RCLONE", "REDIS", "UBUNTU")}
CAPS = {"API_MEMORY", "WORKER_MEMORY"}
NOT_OURS = {"NVIDIA_DRIVER_CAPABILITIES", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD"} | CAPS
ENGINES = {"STEMWRIGHT_BACKEND", "STEMWRIGHT_WARM"}  # settings of the engine, which workers have
OURS = {"api", "bucket", "worker", "plain-worker", "demucs"}
# What each container cannot do without, of all that is secret or leads somewhere.
CREDENTIALS = {
    "api": {"BROKER_URL", "DATABASE_URL", "JWT_SECRET", "S3_SECRET_ACCESS_KEY", "STEMWRIGHT_WORKER_SECRET"},
    "worker": {"BROKER_URL", "STEMWRIGHT_WORKER_SECRET"},
    "plain-worker": {"STEMWRIGHT_WORKER_SECRET"},
    "demucs": {"STEMWRIGHT_WORKER_SECRET"},
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())["services"]
    return found


def docker_commands() -> list[list[str]]:
    return [
        json.loads(line) for line in re.findall(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    ]


def image_environment() -> dict[str, str]:
    """The settings that the image itself gives."""
    return dict(re.findall(r"^    (STEMWRIGHT_\w+|HOST|PORT)=(\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))


def modal_app() -> ModuleType:
    """The Modal app, with nobody behind its decorators."""
    spec = importlib.util.spec_from_file_location("modal_app", DEPLOY / "modal_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    modal = MagicMock()
    for decorator in (modal.App.return_value.function, modal.concurrent, modal.web_server):
        decorator.side_effect = lambda *_, **__: lambda function: function
    sys.modules["modal"] = modal
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["modal"]
    return module


@pytest.mark.parametrize("dockerfile", [DEPLOY / "Dockerfile", *DEPLOY.parent.glob("services/*/Dockerfile")], ids=str)
def test_the_dockerfile_passes_its_linter(dockerfile: Path) -> None:
    found = subprocess.run([BIN / "hadolint", dockerfile], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", [DEPLOY / "Dockerfile", *DEPLOY.parent.glob("services/*/Dockerfile")], ids=str)
def test_what_an_image_is_made_of_is_there_and_not_kept_out(dockerfile: Path) -> None:
    """``.dockerignore`` leaves out everything but what it names."""
    ignore = (DEPLOY.parent / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in ignore if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile.read_text(), re.MULTILINE)
    for name in {name for words in copied for name in words.split()}:
        assert (DEPLOY.parent / name).exists(), name
        assert any(name == each or name.startswith(f"{each}/") for each in kept), name


def test_a_container_of_a_service_runs_the_command_of_its_image(services: dict[str, Any]) -> None:
    for folder in DEPLOY.parent.glob("services/*/Dockerfile"):
        block = services[folder.parent.name]
        assert block["build"]["dockerfile"] == str(folder.relative_to(DEPLOY.parent))
        assert block["command"] == json.loads(re.findall(r"^CMD (\[.*\])$", folder.read_text(), re.MULTILINE)[0])
        assert set(block["environment"]) <= {environment_name(name) for name in Settings.model_fields} | ENGINES


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.gpu.yml"])
def test_the_compose_file_fits_the_schema_of_compose(name: str) -> None:
    command = [
        str(BIN / "check-jsonschema"),
        "--builtin-schema",
        "vendor.compose-spec",
        str(DEPLOY / name),
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_every_variable_that_deployment_sets_is_a_setting(services: dict[str, Any]) -> None:
    known = {environment_name(name) for name in Settings.model_fields} | NOT_OURS | DIGESTS | ENGINES
    compose = (DEPLOY / "docker-compose.yml").read_text()
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", compose))
    for name in OURS:
        used |= set(services[name]["environment"])
    used |= set(image_environment())
    assert used - known == set()


def test_a_container_gets_no_secret_that_it_does_not_need(services: dict[str, Any]) -> None:
    secrets = {
        environment_name(name)
        for name, field in Settings.model_fields.items()
        if "Secret" in str(field.annotation) or name in {"broker_url", "redis_url"}
    }
    assert not any("env_file" in each for each in services.values())  # it would give all of it to everybody
    for name, needed in CREDENTIALS.items():
        given = secrets & set(services[name]["environment"])
        assert needed <= given, name
        assert name == "api" or given == needed, name


def test_every_setting_can_be_said_in_the_env_file_of_compose(services: dict[str, Any]) -> None:
    """A variable without a value is passed on if it stands there."""
    fixed = {"STEMWRIGHT_API_URL", "STEMWRIGHT_ENV_FILE", "STEMWRIGHT_SERVICES_PATH", "STEMWRIGHT_WORK_DIR"}
    settings = {environment_name(name) for name in Settings.model_fields} - fixed - {"DEMUCS_GPU_ENABLED"}
    assert settings <= set(services["api"]["environment"])
    for name in ("worker", "plain-worker", "demucs"):
        passed = {environment_name(each) for each in WorkerSettings.model_fields} - {"STEMWRIGHT_SERVICES_PATH"}
        assert passed | ENGINES <= set(services[name]["environment"]), name


def test_containers_may_do_no_more_than_they_need(services: dict[str, Any]) -> None:
    for name, each in services.items():
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert each["mem_limit"], name
        assert each["pids_limit"], name
        if name in OURS:
            assert (each["read_only"], each["init"]) == (True, True), name
            assert "cap_add" not in each, name


def test_workers_keep_weights_and_have_a_gpu_where_there_is_one(services: dict[str, Any]) -> None:
    on_gpu = yaml.safe_load((DEPLOY / "docker-compose.gpu.yml").read_text())["services"]
    for name in ("worker", "plain-worker", "demucs"):
        assert "weights:/home/stemwright/.cache" in services[name]["volumes"], name
        assert "deploy" not in services[name], name  # without the second file nothing asks for a GPU
        assert services[name]["build"]["args"]["TORCH_INDEX"].endswith("/cpu"), name
        assert services[name]["environment"]["DEMUCS_GPU_ENABLED"] == "false", name
        (device,) = on_gpu[name]["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
        assert on_gpu[name]["environment"] == {"DEMUCS_GPU_ENABLED": "true"}
        assert on_gpu[name]["build"]["args"]["TORCH_INDEX"] == ""


def test_the_folders_that_containers_write_to_are_made_in_their_images(services: dict[str, Any]) -> None:
    """A new volume takes its owner and its mode from there; all else is read-only."""
    for name, path in (("api", DEPLOY / "Dockerfile"), ("worker", DEPLOY / "Dockerfile")):
        made = re.findall(r"install -d -m 0700 -o stemwright -g stemwright (.*)$", path.read_text(), re.MULTILINE)[0]
        assert {each.rpartition(":")[2] for each in services[name]["volumes"]} <= set(made.split())
    made = re.findall(r"install -d -m 0700.* stemwright (.*)$", (ROOT / "services/demucs/Dockerfile").read_text(), re.M)
    assert {each.rpartition(":")[2] for each in services["demucs"]["volumes"]} <= set(made[0].split())


def test_every_image_can_be_pinned_by_digest(tmp_path: Path) -> None:
    digest = "sha256:" + "0" * 64
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho {digest}\n')
    docker.chmod(0o755)
    found = subprocess.run(
        [ROOT / "scripts/pin_images.sh"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(found.stdout.split()) == {f"{name}=@{digest}" for name in DIGESTS}
    asked = {line.rpartition(" ")[2] for line in (tmp_path / "asked").read_text().splitlines()}
    compose = "".join(path.read_text() for path in DEPLOY.glob("docker-compose*.yml"))
    assert asked == set(re.findall(r"(?:image|BASE): ([^\s$]+:[^\s$]+)\$", compose))


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


def test_what_the_health_check_and_the_volume_hang_on_is_not_for_the_env_file_to_change(
    services: dict[str, Any],
) -> None:
    """Compose puts what a service's ``environment`` says above its ``env_file``, and that above the image."""
    own = image_environment()
    assert set(own) == {"HOST", "PORT", "STEMWRIGHT_DATA_DIR"}
    for name in ("api", "bucket"):
        assert own.items() <= services[name]["environment"].items(), name
    assert services["api"]["command"][2:] == ["--host", own["HOST"], "--port", own["PORT"]]
    assert services["api"]["ports"] == [f"8080:{own['PORT']}"]
    assert services["api"]["volumes"] == [f"data:{own['STEMWRIGHT_DATA_DIR']}"]


def test_the_image_starts_as_it_says_and_its_health_check_knows_whether_it_runs(tmp_path: Path) -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    check = json.loads(re.findall(r"^    CMD (\[.*\])$", dockerfile, re.MULTILINE)[0])
    said = image_environment()
    assert (said["HOST"], said["PORT"], said["STEMWRIGHT_DATA_DIR"]) == ("0.0.0.0", "8080", "/data")  # noqa: S104
    own = {"PORT": str(free_port()), "STEMWRIGHT_DATA_DIR": str(tmp_path / "data"), "STEMWRIGHT_WORKERS": "0"}
    # It listens to everybody, so it asks for an authenticator first.
    refused = environment(tmp_path, said | own)
    done = subprocess.run(here(docker_commands()[0]), env=refused, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.startswith("stemwright: error: ")
    settings = refused | {"JWT_SECRET": "j" * 32}

    def healthy() -> bool:
        return (
            subprocess.run([sys.executable, *check[1:]], env=settings, capture_output=True, check=False).returncode == 0
        )

    with started(here(docker_commands()[0]), tmp_path / "image.log", settings):
        until(healthy, seconds=120.0, what="the health check to pass")
    assert not healthy()


def test_the_modal_app_starts_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, port = modal_app(), free_port()
    words = {"0.0.0.0": "127.0.0.1", "8080": str(port), "/tmp/stemwright": str(tmp_path / "data")}  # noqa: S104
    monkeypatch.setattr(module, "COMMAND", here([words.get(word, word) for word in module.COMMAND]))
    for name, value in environment(tmp_path, {}).items():
        monkeypatch.setenv(name, value)
    begun: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen
    monkeypatch.setattr(module.subprocess, "Popen", lambda command: begun.append(popen(command)))
    module.serve()
    monkeypatch.undo()
    try:
        until(lambda: answers(port), seconds=120.0, what="the service to answer")
        begun[0].terminate()
        assert begun[0].wait(120) == 0
    finally:
        begun[0].kill()
        begun[0].wait()


def test_the_commands_of_the_compose_file_do_a_job_together(
    tmp_path: Path, services: dict[str, Any], postgres: Postgres
) -> None:
    """All of them but the database: with the arguments and the environment that stand there, but for hosts and ports."""
    port, objects, redis = free_port(), free_port(), free_port()
    buckets = tmp_path / "buckets"
    buckets.mkdir()
    said = dict.fromkeys(("POSTGRES_PASSWORD", "STEMWRIGHT_WORKER_SECRET", "S3_SECRET_ACCESS_KEY"), "s" * 32)
    said |= {"JWT_SECRET": "j" * 32}
    said |= {"S3_ACCESS_KEY_ID": "AKIDCOMPOSE", "BROKER_URL": f"redis://127.0.0.1:{redis}/0"}
    said |= dict.fromkeys(("S3_ENDPOINT", "S3_PUBLIC_ENDPOINT"), f"http://127.0.0.1:{objects}")
    own = {"DATABASE_URL": postgres.database(), "STEMWRIGHT_API_URL": f"http://127.0.0.1:{port}"}
    own |= {"STEMWRIGHT_DATA_DIR": str(tmp_path / "data"), "STEMWRIGHT_WORK_DIR": str(tmp_path), "ENVIRONMENT": "local"}
    elsewhere = {"8080": str(port), "--addr=:9000": f"--addr=127.0.0.1:{objects}"}
    elsewhere |= {"/buckets": str(buckets)}
    more = {"redis": ["--port", str(redis), "--dir", str(tmp_path)], "objects": ["--config", "/dev/null"]}
    more["objects"] += ["--cache-dir", str(tmp_path / "cache")]

    def command(name: str) -> list[str]:
        words = [filled_in(word, said) for word in services[name]["command"]]
        binary = ["rclone"] if name == "objects" else []  # the entry point of its image
        return here([*binary, *(elsewhere.get(word, word) for word in words), *more.get(name, [])])

    def settings(name: str) -> dict[str, str]:
        given = {key: value for key, value in services[name].get("environment", {}).items() if value is not None}
        found = {
            key: filled_in(value, said) for key, value in given.items()
        }  # of the rest nothing is said in this .env
        return environment(tmp_path / "state", found | own)

    (tmp_path / "state").mkdir()
    with ExitStack() as stack:

        def start(name: str) -> subprocess.Popen[bytes]:
            return stack.enter_context(started(command(name), tmp_path / f"{name}.log", settings(name)))

        for name, where in (("redis", redis), ("objects", objects)):
            start(name)
            until(partial(listens, where), seconds=120.0, what=f"{name} to listen")
        asked = httpx2.get(f"http://127.0.0.1:{objects}/", headers={"Origin": page(services)}, trust_env=False)
        assert asked.headers["access-control-allow-origin"] == page(services)
        assert start("bucket").wait(120) == 0, (tmp_path / "bucket.log").read_text()
        assert [folder.name for folder in buckets.iterdir()] == ["stemwright"]
        for name in ("api", "worker", "plain-worker"):
            start(name)
        until(lambda: answers(port).get("workers") == 2, seconds=240.0, what="both workers")
        token = jwt.encode({"sub": "somebody", "exp": time.time() + 600}, "j" * 32, algorithm="HS256")
        client = Client(f"http://127.0.0.1:{port}", token)
        announced = client.announce().json()
        assert httpx2.put(announced["upload_url"], content=wav(), trust_env=False, timeout=60.0).status_code == 200
        job_id = client.submit(announced["file_id"])
        job = client.wait(announced["file_id"], job_id, "completed", seconds=120.0)
        for output in job["outputs"]:
            data = (buckets / "stemwright" / output["path"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == output["sha256"]


def here(command: list[str]) -> list[str]:
    """The command as it is called where nothing is installed for all."""
    ours = {"stemwright": COMMAND, "celery": [sys.executable, "-m", "celery"], "rclone": [str(BIN / "rclone")]}
    return [*ours.get(command[0], [command[0]]), *command[1:]]


def filled_in(text: str, given: Mapping[str, str]) -> str:
    """``${NAME}``, ``${NAME:-default}`` and ``${NAME:?error}`` as Compose reads them; they may be nested."""
    pattern = re.compile(r"\$\{(\w+)(?::([-?])([^${}]*))?\}")
    while found := pattern.search(text):
        name, kind, rest = found.groups()
        assert name in given or kind == "-", f"{name} is not set"
        text = text[: found.start()] + (given.get(name) or rest) + text[found.end() :]
    return text


def page(services: dict[str, Any]) -> str:
    """The origin of the page of an installation whose settings say nothing about it."""
    return f"http://localhost:{services['api']['ports'][0].partition(':')[0]}"


def answers(port: int) -> dict[str, Any]:
    """What ``GET /health`` says; nothing if there is nobody."""
    try:
        return dict(httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=30.0).json())
    except httpx2.HTTPError:
        return {}


@contextmanager
def started(command: list[str], log: Path, settings: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has to end well when it is told to."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=dict(settings), stdout=out, stderr=out, cwd=log.parent)
    try:
        yield process
        process.terminate()
        assert process.wait(120) in (0, 128 + signal.SIGTERM), log.read_text()  # 143: how rclone and shells say it
    finally:
        process.kill()
        process.wait()
