"""Worker processes as they are started, against an API that answers what the test wants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from stemwright_worker.contract.codec import load_announcement
from stemwright_worker.process.supervisor import CONTRACT_MISMATCH
from stemwright_worker.settings import WorkerSettings
from stemwright_worker.settings.section import environment_name
from stemwright_worker.wiring import dump_config, load_config, worker_config

SERVICE = """
from stemwright_worker.contract.description import ModelDescription, ServiceDescription

class Quiet:
    name = "quiet"

    def describe(self):
        print("words of a library")
        model = ModelDescription(name="m", description="", licence="")
        return ServiceDescription(name=self.name, version="1", models=(model,))

    def prepare(self, device):
        pass

class Broken(Quiet):
    name = "broken"

    def describe(self):
        raise ValueError("the folder of models is gone")

quiet, broken = Quiet(), Broken()
"""
OLDER = "The worker is older."


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """An environment with two services and nothing said about workers."""
    (tmp_path / "quiet_services.py").write_text(SERVICE)
    (info := tmp_path / "quiet-1.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: quiet\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[stemwright.services]\nquiet = quiet_services:quiet\nbroken = quiet_services:broken\n"
    )
    ours = {environment_name(WorkerSettings, name) for name in WorkerSettings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"PYTHONPATH": str(tmp_path), "STEMWRIGHT_ENV_FILE": "", "STEMWRIGHT_WORK_DIR": str(tmp_path)}


@contextmanager
def api_of_another_contract() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the base class's name
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"code": "contract_mismatch", "error": OLDER}).encode()
            self.send_response(204 if self.path == "/worker/leave" else 409)
            self.send_header("Content-Length", "0" if self.path == "/worker/leave" else str(len(body)))
            self.end_headers()
            if self.path != "/worker/leave":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


COMMAND = [sys.executable, "-m", "stemwright_worker"]


def run(*arguments: str, variables: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *arguments], env=variables, capture_output=True, timeout=120, check=False)


def test_describe_prints_what_the_services_offer_and_leaves_out_what_cannot_say_it(variables: dict[str, str]) -> None:
    done = run("describe", "quiet", "broken", variables=variables)
    assert done.returncode == 0
    assert [each.name for each in load_announcement(done.stdout).services] == ["quiet"]
    assert b"words of a library" in done.stderr
    assert b"the folder of models is gone" in done.stderr


def test_describe_imports_neither_torch_nor_a_web_framework(variables: dict[str, str]) -> None:
    code = (
        "import sys; from stemwright_worker.cli import main; main(['describe']);"
        "print([n for n in ('torch', 'fastapi', 'sqlalchemy') if n in sys.modules], file=sys.stderr)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr.splitlines()[-1] == "[]"


def test_a_worker_process_that_the_api_does_not_understand_ends_with_the_reason(
    variables: dict[str, str], tmp_path: Path
) -> None:
    with api_of_another_contract() as url:
        config = worker_config(
            WorkerSettings(api_url=url),
            secret="s" * 32,
            worker="w",
            device="cpu",
            work_dir=tmp_path / "w",
            services=("quiet",),
        )
        with subprocess.Popen(COMMAND, env=variables, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write(dump_config(config) + b"\n")
            process.stdin.flush()  # and it stays open: its end would be the parent's
            said = process.stderr.read().decode()
    assert process.returncode == CONTRACT_MISMATCH
    assert said.splitlines()[-1] == f"stemwright_worker: error: {OLDER}"
    assert not (tmp_path / "w").exists()


def test_workers_that_the_api_does_not_understand_are_not_started_again_and_the_command_ends(
    variables: dict[str, str],
) -> None:
    with api_of_another_contract() as url:
        settings = {"STEMWRIGHT_API_URL": url, "STEMWRIGHT_WORKER_SECRET": "s" * 32, "STEMWRIGHT_MODELS": "quiet"}
        done = run("run", "--device", "cpu", variables=variables | settings)
    said = done.stderr.decode()
    assert done.returncode == 2
    assert said.count(OLDER) == 1
    assert said.splitlines()[-1].startswith("stemwright: error: No worker here can talk to the API")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "set STEMWRIGHT_WORKER_SECRET to the one that the service has"),
        (
            {"STEMWRIGHT_WORKER_SECRET": "short"},
            "STEMWRIGHT_WORKER_SECRET: Value error, has to be at least 32 characters",
        ),
        ({"STEMWRIGHT_WORKER_SECRET": "s" * 32, "STEMWRIGHT_MODELS": "none"}, "No service is installed here"),
    ],
)
def test_what_keeps_workers_from_running_is_one_line(
    variables: dict[str, str], settings: dict[str, str], said: str
) -> None:
    done = run("run", variables=variables | settings)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"stemwright: error: {said}")


def test_a_parent_of_a_later_version_may_tell_a_worker_more_than_it_knows(tmp_path: Path) -> None:
    config = worker_config(
        WorkerSettings(), secret="s", worker="w", device="cpu", work_dir=tmp_path, services=("a",), watchdog=3
    )
    line = json.dumps(json.loads(dump_config(config)) | {"invented_later": 1}).encode()
    assert load_config(line) == config


def test_the_readme_lists_every_setting() -> None:
    page = (Path(__file__).parents[1] / "README.md").read_text()
    rows = page.partition("## Settings")[2].splitlines()
    listed = [line.split("`")[1] for line in rows if line.startswith("| `")]
    assert sorted(listed) == sorted(environment_name(WorkerSettings, name) for name in WorkerSettings.model_fields)
