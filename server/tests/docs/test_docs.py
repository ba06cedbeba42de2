"""What the documentation says is so."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SERVER = Path(__file__).resolve().parents[2]
PACKAGE = SERVER / "src" / "stemwright_server"


@pytest.fixture(scope="module")
def written() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_docs", SERVER / "scripts" / "write_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current(written: ModuleType) -> None:
    for path, expected in written.pages().items():
        assert (written.ROOT / path).read_text() == expected, f"{path}: run server/scripts/write_docs.py"


def test_every_setting_has_a_meaning(written: ModuleType) -> None:
    from stemwright_server.settings import Settings, environment_name

    names = [environment_name(name) for name in Settings.model_fields]
    assert len(names) == len(set(names))
    page, example = written.settings_page(), written.env_example()
    for name, field in Settings.model_fields.items():
        assert field.description, name
        variable = environment_name(name)
        assert (page.count(f"| `{variable}` |"), example.count(f"\n#{variable}=")) == (1, 1), (
            variable
        )  # not two meanings


def test_settings_are_read_under_the_names_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from stemwright_server.settings import Settings, environment_name

    values = {
        "data_dir": "/d",
        "log_level": "DEBUG",
        "api_cors_origins": '["https://a", "https://b"]',
        "allowed_hosts": "a, b",
        "models": "demucs",
        "jwt_algorithm": "HS512",
        "jwt_jwks_url": "",  # not beside a secret
        "device": "cpu",
        "workers": "3",
        "work_bytes": "1000",
        "database_url": "postgresql://u:p@h/d",
        "broker_url": "amqp://h",
        "prometheus_port": "9090",
        "source_origin_allowlist": "http://localhost:9000",
        "api_webhook_url_allowlist": "https://a/hook,https://b/hook",
        "webhook_secret": "whsec_" + "QUJD" * 8,
        "webhook_secret_previous": "whsec_" + "QUJD" * 8,
    }
    for name in os.environ:
        if name.startswith("STEMWRIGHT_"):
            monkeypatch.delenv(name)
    for name, field in Settings.model_fields.items():
        default = "x" * 32 if field.default is None else str(field.default)
        monkeypatch.setenv(environment_name(name), values.get(name, default))
    found = Settings()
    assert (found.data_dir, found.workers, found.jwt_algorithm) == (Path("/d"), 3, "HS512")
    assert found.api_cors_origins == ("https://a", "https://b")
    assert found.allowed_hosts == ("a", "b")
    assert found.api_webhook_url_allowlist == ("https://a/hook", "https://b/hook")
    assert found.model_fields_set == set(Settings.model_fields)


def test_a_default_can_be_copied_from_the_page(written: ModuleType) -> None:
    example = dict(re.findall(r"^#([A-Z0-9_]+)=(.*)$", written.env_example(), re.MULTILINE))
    shown = re.findall(r"^\| `([A-Z0-9_]+)` \| (?:`([^`]+)`)? \|", written.settings_page(), re.MULTILINE)
    assert dict(shown).items() <= example.items()  # which test_deploy.py reads back
    assert dict(shown)["STEMWRIGHT_YOUTUBE_HOSTS"] == "youtube.com,youtu.be,youtube-nocookie.com"
    assert len(shown) == len(re.findall(r"^\| `", written.settings_page(), re.MULTILINE))


@pytest.mark.parametrize("dialect", ["studio", "split", "stemify", "webserver"])
def test_every_route_of_a_dialect_is_in_its_readme_and_the_other_way_round(written: ModuleType, dialect: str) -> None:
    readme = (PACKAGE / "dialects" / dialect / "README.md").read_text()
    documented = set(re.findall(r"^\| `(GET|POST|PUT|DELETE) (/[^`]*)` \|", readme, re.MULTILINE))
    described = written.app().openapi()["paths"]
    routes = {
        (method.upper(), path)
        for path, methods in described.items()
        for method, route in methods.items()
        if dialect in route["tags"]
    }
    assert documented == routes


def test_every_code_that_is_raised_is_in_the_readme() -> None:
    readme = (PACKAGE / "dialects" / "studio" / "README.md").read_text()
    readme += (PACKAGE / "dialects" / "webserver" / "README.md").read_text()  # of what only it raises
    raised = set()
    readme += (PACKAGE / "dialects" / "admin" / "README.md").read_text()
    folders = (
        "usecases",
        "adapters/blobs",
        "adapters/jobs",
        "routes/blobs",
        "dialects/studio",
        "dialects/webserver",
        "dialects/admin",
    )
    for folder in folders:
        for path in (PACKAGE / folder).rglob("*.py"):
            raised |= set(re.findall(r'code="([a-z_]+)"', path.read_text()))
    own = {
        "wrong_schema",
        "extra_missing",
        "bad_endpoint",
        "artifact_missing",
        "exists",
        "copy_failed",
        "pg_dump_missing",
        "pg_dump_failed",
    }  # of the start, of the job's own error, and of the command line
    assert sorted(code for code in raised - own if f"`{code}`" not in readme) == []


def test_every_code_of_the_split_dialect_is_in_its_readme() -> None:
    readme = (PACKAGE / "dialects" / "split" / "README.md").read_text()
    files = [
        *(PACKAGE / "dialects" / "split").rglob("*.py"),
        SERVER.parent / "worker" / "src" / "stemwright_worker" / "contract" / "signing.py",
    ]
    raised = {code for path in files for code in re.findall(r'code="([a-z_]+)"', path.read_text())}
    assert {"replayed", "webhook_not_allowed", "bad_upload_urls"} < raised
    assert sorted(code for code in raised if f"`{code}`" not in readme) == []


def test_every_state_is_explained() -> None:
    from stemwright_server.domain.job import JobState

    readme = (PACKAGE / "dialects" / "studio" / "README.md").read_text()
    assert all(f"`{state}`" in readme for state in JobState)


def test_responses_are_described_with_their_models(written: ModuleType) -> None:
    described = written.app().openapi()
    for path, name in (("/upload", "UploadResponse"), ("/process", "ProcessResponse")):
        answers = described["paths"][path]["post"]["responses"]
        assert answers["200"]["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{name}"}
        assert "409" in answers
    assert "text/event-stream" in described["paths"]["/events/{file_id}"]["get"]["responses"]["200"]["content"]


def test_every_variable_of_the_track_tree_documents_has_its_name_here(written: ModuleType) -> None:
    from stemwright_server.settings import Settings, environment_name

    known = {environment_name(name) for name in Settings.model_fields} | {
        "CUDA_VISIBLE_DEVICES"
    }  # the worker's devices.py reads it
    page = (written.ROOT / "docs" / "track-tree.md").read_text()
    s3 = ("S3_ENDPOINT", "S3_REGION", "S3_BUCKET", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")
    theirs = {
        "ENVIRONMENT",
        "PORT",
        "DEMUCSSVC_TOKEN",
        "API_WEBHOOK_URL_ALLOWLIST",
        "REDIS_URL",
        "CUDA_VISIBLE_DEVICES",
        *s3,
    }
    assert theirs <= known
    assert sorted(name for name in theirs if f"`{name}`" not in page) == []


def test_the_shell_of_the_track_tree_page_signs_as_the_service_checks(
    written: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stemwright_worker.contract.signing import SIGNATURE, TIMESTAMP, check_signature

    page = (written.ROOT / "docs" / "track-tree.md").read_text()
    body, now, signature = (
        next(line for line in page.splitlines() if line.startswith(start)) for start in ("BODY=", "NOW=", "SIGNATURE=")
    )
    token = "test-token-for-local-development"
    assert f"DEMUCSSVC_TOKEN={token}" in page
    script = f'set -e\n{body}\n{now}\n{signature}\nprintf "%s\\n%s\\n%s" "$BODY" "$NOW" "$SIGNATURE"'
    environment = os.environ | {"DEMUCSSVC_TOKEN": token}
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=True)
    sent, stamp, mac = done.stdout.splitlines()
    headers = {SIGNATURE: f"sha256={mac}", TIMESTAMP: stamp}
    check_signature(sent.encode(), headers, secrets=[token], now=float(stamp))
    snippet = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert snippet is not None
    names: dict[str, Any] = {}
    exec(snippet[1], names)  # noqa: S102  # the receiver's check, as the page has it
    assert names["holds"](sent.encode(), headers, token)
    assert not names["holds"](sent.encode() + b" ", headers, token)


def test_host_and_port_come_from_the_environment_unless_an_option_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import argparse

    from stemwright_server.cli.serve import add_serve
    from stemwright_server.processes import serve as serving

    called: list[tuple[str, int]] = []
    monkeypatch.setattr(
        serving, "serve", lambda settings, inquiry, *, host, port, insecure: called.append((host, port))
    )
    parser = argparse.ArgumentParser()
    add_serve(parser.add_subparsers())
    for name in ("HOST", "PORT"):
        monkeypatch.delenv(name, raising=False)
    for environment, options in (
        ({}, []),
        ({"PORT": "9001", "HOST": "::1"}, []),
        ({"PORT": "9001", "HOST": "::1"}, ["--port", "0", "--host", "127.0.0.1"]),
    ):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        args = parser.parse_args(["serve", *options])
        assert args.func(args) == 0
    assert called == [("127.0.0.1", 8080), ("::1", 9001), ("127.0.0.1", 0)]


def test_every_warning_of_the_log_is_explained_to_operators() -> None:
    page = (SERVER.parent / "docs" / "operating.md").read_text()
    said: set[str] = set()
    for root in (PACKAGE, SERVER.parent / "worker" / "src"):
        for path in root.rglob("*.py"):
            said |= set(re.findall(r'_log\.(?:warning|error|exception)\(\s*"([a-z_]+)"', path.read_text()))
    assert {"outbox_failed", "wakeups_not_heard", "attempt_failed"} < said
    assert sorted(event for event in said if f"`{event}`" not in page) == []


def test_every_extra_is_named_with_what_needs_it() -> None:
    page = (SERVER.parent / "docs" / "operating.md").read_text()
    extras = tomllib.loads((SERVER / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = page.partition("### What has to be installed")[2].partition("\n### ")[0]
    assert [extra for extra in extras if f"`{extra}`" not in installed] == []


def test_the_document_tells_the_errors_that_are_sent_and_who_may_call(written: ModuleType) -> None:
    document = written.app().openapi()
    assert "HTTPValidationError" not in str(document)
    assert set(document["components"]["securitySchemes"]) == {"token", "signature"}
    upload = document["paths"]["/api/upload"]["post"]
    assert upload["security"] == [{"token": []}]
    assert "422" not in upload["responses"]
    assert document["paths"]["/split"]["post"]["security"] == [{"signature": []}]
    assert "security" not in document["paths"]["/healthz"]["get"]
    missing = document["paths"]["/status/{file_id}"]["get"]["responses"]["404"]["content"]
    assert list(missing) == ["application/problem+json"]
