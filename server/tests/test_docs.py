"""What the documentation says is so."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from types import ModuleType

import pytest

SERVER = Path(__file__).resolve().parents[1]
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
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"`{environment_name(name)}`" in written.settings_page()


def test_settings_are_read_under_the_names_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from stemwright_server.settings import Settings, environment_name

    values = {
        "data_dir": "/d",
        "log_level": "DEBUG",
        "api_cors_origins": '["https://a", "https://b"]',
        "allowed_hosts": "a, b",
        "models": "demucs",
        "jwt_algorithm": "HS512",
        "device": "cpu",
        "workers": "3",
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
    readme += (SERVER.parent / "docs" / "web-server.md").read_text()  # of what only it raises
    raised = set()
    folders = ("usecases", "adapters/blobs", "adapters/jobs", "dialects/blobs", "dialects/studio", "dialects/webserver")
    for folder in folders:
        for path in (PACKAGE / folder).rglob("*.py"):
            raised |= set(re.findall(r'code="([a-z_]+)"', path.read_text()))
    own = {
        "wrong_schema",
        "extra_missing",
        "bad_endpoint",
        "artifact_missing",
    }  # of the start, and of the job's own error
    assert sorted(code for code in raised - own if f"`{code}`" not in readme) == []


def test_every_code_of_the_split_dialect_is_in_its_readme() -> None:
    readme = (PACKAGE / "dialects" / "split" / "README.md").read_text()
    files = [*(PACKAGE / "dialects" / "split").rglob("*.py"), PACKAGE / "contract" / "signing.py"]
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
