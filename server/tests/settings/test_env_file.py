"""The file of settings beside the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from service import COMMAND, environment

from stemwright_worker.errors import InvalidRequest
from stemwright_worker.settings.env_file import read_env_file


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder and an environment that are this test's alone."""
    monkeypatch.chdir(tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STEMWRIGHT_", "PORT", "DEMUCS"))}
    monkeypatch.setattr(os, "environ", kept)


def test_without_a_file_nothing_is_read() -> None:
    Path(".env").mkdir()  # some call their virtual environment so
    assert read_env_file() is None


def test_a_file_says_what_the_environment_does_not(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        'PORT=9\nDEMUCSSVC_TOKEN=   # shared secret\n# LOG_LEVEL=DEBUG\nODD="a ${PORT} $b"\n'
    )
    os.environ["PORT"] = "7"
    assert read_env_file() == Path(".env")
    found = {name: os.environ.get(name) for name in ("PORT", "DEMUCSSVC_TOKEN", "LOG_LEVEL", "ODD")}
    assert found == {"PORT": "7", "DEMUCSSVC_TOKEN": "", "LOG_LEVEL": None, "ODD": "a ${PORT} $b"}


def test_another_file_can_be_named_and_none(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=9\n")
    (tmp_path / "other").write_text("PORT=8\n")
    os.environ["STEMWRIGHT_ENV_FILE"] = ""
    assert read_env_file() is None
    os.environ["STEMWRIGHT_ENV_FILE"] = "other"
    assert read_env_file() == Path("other")
    assert os.environ["PORT"] == "8"


@pytest.mark.parametrize("content", [None, b"A=\xff\n"], ids=["not there", "no text"])
def test_a_file_that_was_named_and_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "mine").write_bytes(content)
    os.environ["STEMWRIGHT_ENV_FILE"] = "mine"
    with pytest.raises(InvalidRequest, match="STEMWRIGHT_ENV_FILE: 'mine' cannot be read"):
        read_env_file()


@pytest.mark.parametrize(
    "command", [["serve"], ["worker"], ["webhooks", "list"], ["storage", "check"]], ids=lambda words: words[0]
)
def test_every_command_reads_it(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / ".env").write_text("PORT=ninety\n")
    asked = environment(tmp_path, {})
    del asked["STEMWRIGHT_ENV_FILE"]
    done = subprocess.run([*COMMAND, *command], env=asked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("stemwright: error: PORT: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("PORT=ninety\n", "stemwright: error: PORT: "),
        (
            "REDIS_URL=redis://127.0.0.1:9/0\n",
            "stemwright: error: A Celery worker needs BROKER_URL (or REDIS_URL) and ",
        ),
    ],
    ids=["a wrong one", "one that is missing"],
)
def test_a_celery_worker_reads_it_and_says_what_is_wrong_in_one_line(tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / ".env").write_text(written)
    asked = environment(tmp_path, {})
    del asked["STEMWRIGHT_ENV_FILE"]
    command = [sys.executable, "-m", "celery", "-A", "stemwright_server.queues", "worker"]
    done = subprocess.run(command, env=asked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith(said)], done.stderr
