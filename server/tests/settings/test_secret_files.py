"""Secrets that stand in files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from service import COMMAND, Client, environment, running

from stemwright_server.settings import SECTIONS, Settings, environment_name
from stemwright_server.settings_section import FILE, is_secret
from stemwright_worker.errors import InvalidRequest

SECRETS = [name for name, field in Settings.model_fields.items() if is_secret(field)]
VALUES = {
    "database_url": "postgresql://u:p@h/d",
    "broker_url": "amqp://h",
    "webhook_secret": "whsec_" + "QUJD" * 8,
    "webhook_secret_previous": "whsec_" + "QUJD" * 8,
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing."""
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"]})


def test_what_is_a_secret_is_known() -> None:
    assert {"jwt_secret", "worker_secret", "demucssvc_token", "webhook_secret", "s3_secret_access_key"} <= set(SECRETS)
    assert {"database_url", "broker_url", "redis_url", "jwt_secret_previous", "worker_secret_previous"} <= set(SECRETS)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_may_stand_in_a_file(tmp_path: Path, name: str, end: str) -> None:
    value = VALUES.get(name, f"{name} with a space at its end, and a newline\nin it ")
    (tmp_path / "secret").write_bytes((value + end).encode())
    os.environ[environment_name(name) + FILE] = str(tmp_path / "secret")
    assert getattr(Settings(), name).get_secret_value() == value


@pytest.mark.parametrize(
    "name",
    [
        "jwt_secret",
        "jwt_secret_previous",
        "worker_secret",
        "worker_secret_previous",
        "demucssvc_token",
        "webhook_secret",
    ],
)
def test_a_secret_that_signs_is_not_short(name: str) -> None:
    for short in ("short", "supersecret123" if name != "jwt_secret" else "supersecret124"):
        os.environ[environment_name(name)] = short
        with pytest.raises(ValueError, match="has to be"):
            Settings()


def test_no_section_takes_the_checks_of_another_away() -> None:
    whole = Settings.__pydantic_decorators__.field_validators  # by name: two of one name would be one
    for section in SECTIONS:
        for name, check in section.__pydantic_decorators__.field_validators.items():
            assert whole[name].info.fields == check.info.fields, f"{section.__name__}.{name}"


def test_what_is_no_secret_is_read_from_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("7")
    os.environ["PORT_FILE"] = str(tmp_path / "file")
    assert Settings().port == 8080


def test_given_twice_is_an_error_and_empty_is_not_given(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("f" * 32)
    os.environ |= {"JWT_SECRET_FILE": str(tmp_path / "secret"), "JWT_SECRET": "e" * 32}
    with pytest.raises(InvalidRequest, match="JWT_SECRET and JWT_SECRET_FILE are both set"):
        Settings()
    os.environ["JWT_SECRET"] = ""
    found = Settings().jwt_secret
    assert found is not None
    assert found.get_secret_value() == "f" * 32
    os.environ |= {"JWT_SECRET_FILE": "", "JWT_SECRET": "e" * 32}
    assert Settings().jwt_secret is not None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xffsecret", "no text"),
        (b"x" * 70_000, "larger"),
    ],
)
def test_a_file_that_is_no_secret_is_one_line_that_shows_nothing_of_it(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "it").write_bytes(content)
    os.environ["JWT_SECRET_FILE"] = str(tmp_path / "it")
    with pytest.raises(InvalidRequest, match=said) as error:
        Settings()
    assert str(error.value).startswith("JWT_SECRET_FILE: '")
    assert "xxx" not in str(error.value)


def test_a_service_reads_them_and_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("short\n")
    settings = {"JWT_SECRET_FILE": str(tmp_path / "secret"), "STEMWRIGHT_WORKERS": "0"}
    command = [*COMMAND, "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    refused = subprocess.run(command, env=environment(tmp_path, settings), capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith("stemwright: error: JWT_SECRET: ")
    assert "short" not in refused.stderr
    (tmp_path / "secret").write_text("s" * 32 + "\n")
    with running(tmp_path / "data", settings) as service:
        assert Client(service.url).http.get("/status/x").status_code == 401
