"""The README of the stemify dialect says of every variable and command of the original document what it is here, and it is so."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from stemwright_server.cli.serve import add_serve
from stemwright_server.cli.worker import add_worker
from stemwright_server.dialects import stemify
from stemwright_server.settings import Settings, environment_name

PAGE = Path(stemify.__file__).with_name("README.md")

# The variables of the original document's .env, in its order, with the values it gives them.
VARIABLES = {
    "ENVIRONMENT": "production",
    "LOG_LEVEL": "INFO",
    "DEBUG": "false",
    "HOST": "0.0.0.0",  # noqa: S104 (a value that is read, nothing listens)
    "PORT": "8000",
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


def section(title: str) -> str:
    return PAGE.read_text().split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_variable_is_on_the_page_and_no_other() -> None:
    assert re.findall(r"^\| `([A-Z_]+)` \|", section("Settings"), re.MULTILINE) == list(VARIABLES)


def test_every_variable_is_read_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {environment_name(field): field for field in Settings.model_fields}
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    found = Settings()
    for name in VARIABLES:
        assert fields[name] in found.model_fields_set, name
    assert (found.port, found.demucs_max_file_size, found.demucs_max_duration) == (8000, 50 << 20, 600.0)
    assert found.redis_address == "redis://localhost:6379/0"
    assert found.api_cors_origins == ("*",)
    assert found.stemify_rate == "5/3600 second"


@pytest.mark.parametrize(
    ("variable", "value", "name", "said"),
    [
        ("DEBUG", "true", "log_threshold", "DEBUG"),
        ("DEMUCS_GPU_ENABLED", "false", "worker_device", "cpu"),
        ("REDIS_URL", "redis://u:p@h/3", "redis_address", "redis://u:p@h/3"),
        ("API_RATE_LIMIT", "0", "stemify_rate", ""),
    ],
)
def test_what_a_variable_does(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str, said: str) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(Settings(), name) == said


def test_the_commands_on_the_page_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    add_serve(subparsers)
    add_worker(subparsers)

    def options(name: str) -> str:
        with pytest.raises(SystemExit):
            parser.parse_args([name, "--help"])
        return capsys.readouterr().out

    commands = re.findall(r"`stemwright (serve|worker)([^`:]*)`", section("Starting"))
    assert {name for name, _ in commands} == {"serve", "worker"}
    for name, arguments in commands:
        known = options(name)
        for option in re.findall(r"--[a-z-]+", arguments):
            assert option in known, (name, option)
