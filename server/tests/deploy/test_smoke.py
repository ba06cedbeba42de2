"""scripts/create_jwt.py and scripts/smoke_test.sh: right where all is right, and an error where something is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from service import Service, running, wav

SCRIPTS = Path(__file__).parents[3] / "scripts"
SECRET = "s" * 32


def token(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, SCRIPTS / "create_jwt.py", *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.strip()


def smoke(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPTS / "smoke_test.sh"), *arguments]
    variables = {**os.environ, "MODEL": "gain", **settings}
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("smoke") / "data", {"JWT_SECRET": SECRET}) as service:
        yield service


@pytest.fixture
def song(tmp_path: Path) -> str:
    path = tmp_path / "song.wav"
    path.write_bytes(wav(seed=77))
    return str(path)


def test_a_token_is_as_the_document_has_it_and_may_be_more() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the document's secret is short
        claims = jwt.decode(token(), "supersecret123", algorithms=["HS256"])
    assert claims["sub"] == "dev-user"
    assert claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time.time()) < 600
    claims = jwt.decode(token(SECRET, "--sub", "boss", "--role", "admin", "--hours", "2"), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["roles"], claims["exp"] - claims["iat"]) == ("boss", ["admin"], 7200)


def test_a_song_that_comes_back_whole_is_right(service: Service, song: str) -> None:
    done = smoke(service.url, token(SECRET), song)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "made 2 outputs, each as its hash says" in done.stdout


def test_what_was_done_before_shows_nothing_and_is_an_error_unless_that_is_said(
    service: Service, tmp_path: Path
) -> None:
    again = tmp_path / "again.wav"
    again.write_bytes(wav(seed=78))
    assert smoke(service.url, token(SECRET), str(again)).returncode == 0
    done = smoke(service.url, token(SECRET), str(again))
    assert done.returncode != 0
    assert "the work was done before" in done.stderr
    assert smoke(service.url, token(SECRET), str(again), SKIPPED="ok").returncode == 0


def test_an_output_that_came_damaged_is_an_error_and_its_signature_is_not_shown(
    service: Service, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.wav"
    damaged.write_bytes(wav(seed=79))
    assert smoke(service.url, token(SECRET), str(damaged)).returncode == 0
    for stem in (service.data_dir / "blobs" / "outputs").rglob("quiet.wav"):
        stem.write_bytes(stem.read_bytes()[:-1] + b"x")
    done = smoke(service.url, token(SECRET), str(damaged), SKIPPED="ok")
    assert done.returncode != 0
    assert "an output came damaged" in done.stderr
    assert "sig=" not in done.stderr


def test_what_is_wrong_is_an_error_and_said(service: Service, song: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    text = tmp_path / "text.wav"
    text.write_text("hello")
    good = token(SECRET)
    for arguments, settings, said in (
        ((service.url, token("o" * 32), song), {}, "was refused"),
        ((service.url, good, song), {"MODEL": "nobody"}, "unknown_model"),
        ((service.url, good, str(empty)), {}, "there is no song"),
        ((service.url, good, str(text)), {}, "the upload was answered with 422"),
        (("http://127.0.0.1:1", good, song), {}, "was refused"),
    ):
        done = smoke(*arguments, **settings)
        assert done.returncode != 0, arguments
        assert said in done.stderr, (arguments, done.stderr)


def test_a_job_that_does_not_complete_is_an_error(tmp_path: Path, song: str) -> None:
    settings = {"JWT_SECRET": SECRET, "FAST_MODEL_ILL": "as if it was", "STEMWRIGHT_MAX_ATTEMPTS": "1"}
    with running(tmp_path / "data", settings) as ill:
        done = smoke(ill.url, token(SECRET), song)
    assert done.returncode != 0
    assert "the job ended" in done.stderr
