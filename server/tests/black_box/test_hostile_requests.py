"""Requests as a stranger, or a page that a user looks at, would send them to a service of one's own."""

from __future__ import annotations

import json
import socket
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import jwt
import pytest
from service import Client, Service, running, wav

LOUD = {"model": "loud", "format": "wav"}
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """On loopback, where nobody signs in, without a worker."""
    folder = tmp_path_factory.mktemp("own")
    models = folder / "models"
    models.mkdir()
    (models / "damaged.yaml").write_text("models: [")
    (models / "damaged-12345678.th").write_bytes(b"\x80\x04 no checkpoint")
    (models / "half.safetensors").write_bytes(b"\xff" * 40)
    settings = {
        "STEMWRIGHT_WORKERS": "0",
        "STEMWRIGHT_MODELS": "gain,demucs",
        "DEMUCS_MODELS_PATH": str(models),
        "API_CORS_ORIGINS": "https://practice.example",
        "OX_API_RATE_LIMIT": "1000",
    }
    with running(folder / "data", settings) as service:
        yield service


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Where callers show a token."""
    settings = {"STEMWRIGHT_WORKERS": "0", "JWT_SECRET": SECRET}
    with running(tmp_path_factory.mktemp("signed") / "data", settings) as service:
        yield service


def token(subject: Any) -> str:
    """With this subject, written into the JSON as it is."""
    return jwt.encode({"sub": subject, "exp": 4_000_000_000}, SECRET, algorithm="HS256")


def raw(service: Service, request: bytes) -> tuple[int, bytes]:
    """Status and all of the answer to a request of just these bytes."""
    host, port = service.url.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)), timeout=30)) as connection:
        connection.sendall(request)
        found = b""
        while block := connection.recv(65536):
            found += block
    return int(found.split()[1]), found


@pytest.mark.parametrize(
    "path", ["/metrics%0a", "/metrics%0A", "/healthz%00", "/api/jobs%0d%0a", "/%7f", "/metrics%0a/"]
)
def test_a_path_with_a_control_character_leads_nowhere(own: Service, path: str) -> None:
    code, answer = raw(own, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    assert code == 404
    assert b"# HELP" not in answer
    assert own.client.http.get("/metrics").status_code == 200


@pytest.mark.parametrize(
    "hosts",
    [
        ["127.0.0.1", "evil.example"],
        ["127.0.0.1", "127.0.0.1"],
        ["127.0.0.1/x"],
        ["user@127.0.0.1"],
        ["127.0.0.1:8080:9"],
        [""],
    ],
)
def test_a_request_names_one_host(own: Service, hosts: list[str]) -> None:
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    code, answer = raw(own, f"GET /api/jobs HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
    assert code == 400
    assert b"evil.example" not in answer


FORMS = ["/api/upload", "/api/upload/batch", "/api/v1/stemify", "/upload", "/process", "/api/cancel/x"]


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_others_changes_nothing(own: Service, path: str, headers: dict[str, str]) -> None:
    field = "audio_file" if path.startswith("/api/upload") else "file"
    answer = own.client.http.post(path, files={field: ("a.wav", wav())}, headers=headers)
    assert answer.status_code == 403, answer.text
    assert "API_CORS_ORIGINS" in answer.text


def test_our_own_page_an_allowed_one_and_programs_are_let_in(own: Service) -> None:
    for headers in ({}, {"Origin": own.url, "Sec-Fetch-Site": "same-origin"}, {"Origin": "https://practice.example"}):
        answer = own.client.http.post("/api/upload", data=LOUD, files={"audio_file": ("a.wav", wav())}, headers=headers)
        assert answer.status_code == 202, answer.text


def test_whoever_shows_a_token_may_call_from_any_page(signed: Service) -> None:
    headers = {"Origin": "https://elsewhere.example", "Authorization": f"Bearer {token('me')}"}
    answer = signed.client.http.post("/api/upload", data=LOUD, files={"audio_file": ("a.wav", wav())}, headers=headers)
    assert answer.status_code == 202, answer.text


DIGITS = "9" * 400


@pytest.mark.parametrize(
    "fields",
    [
        {"priority": DIGITS},
        {"shifts": DIGITS},
        {"shifts": "9" * 5000},
        {"overlap": "1e400"},
        {"overlap": "nan"},
        {"priority": "-" + DIGITS},
        {"stems": "vocals\x00"},
        {"model": "po\x00cket"},
        {"model": "\x00"},
        {"two_stems": "\udcff".encode("utf-8", "surrogatepass").decode("latin-1")},
    ],
    ids=str,
)
def test_fields_that_no_number_or_word_is_are_refused(own: Service, fields: dict[str, str]) -> None:
    answer = own.client.http.post("/api/upload", data=fields, files={"audio_file": ("a.wav", wav())})
    assert answer.status_code in (400, 404, 422), answer.text
    assert len(answer.text) < 2000


@pytest.mark.parametrize(
    "body",
    [
        f'{{"model": "pocket", "file_id": "x", "params": {{"shifts": {DIGITS}}}}}',
        f'{{"model": "pocket", "file_id": "x", "params": {{"seed": {"9" * 19}}}}}',
        '{"model": "pocket", "file_id": "x", "params": {"overlap": NaN}}',
        '{"model": "pocket", "file_id": "x", "params": {"format": "\\ud800"}}',
        '{"model": "pocket", "file_id": "x", "params": {"\\u0000": 1}}',
        '{"model": "\\ud800", "file_id": "x"}',
        '{"model": "pocket", "file_id": "\\u0000"}',
        '{"model": "pocket", "file_id": "\\ud800"}',
        f'{{"model": "pocket", "file_id": "x", "params": {"[" * 50_000 + "]" * 50_000}}}',
        f'{{"model": {"9" * 5000}, "file_id": "x"}}',
    ],
    ids=range(10),
)
def test_json_that_cannot_be_kept_is_refused(own: Service, body: str) -> None:
    file_id = own.client.upload(wav(seed=zlib.crc32(body.encode()) % 10_000))
    answer = own.client.http.post(
        "/process",
        content=body.replace('"file_id": "x"', f'"file_id": "{file_id}"'),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code in (400, 404, 422), answer.text


@pytest.mark.parametrize("boundary", ["b" * 300, "b" * 71, "", "\u00e4"])
def test_a_boundary_that_is_none_is_refused(own: Service, boundary: str) -> None:
    kind = f"multipart/form-data; boundary={boundary}".encode("latin-1")
    for path in ("/api/upload", "/api/v1/stemify"):
        answer = own.client.http.post(path, content=b"--x--", headers={b"Content-Type": kind})
        assert answer.status_code in (400, 422), answer.text


@pytest.mark.parametrize("subject", ["\ud800", "hmac:split", "anonymous", "", "a" * 256, "a\x00b", 7, None])
def test_a_subject_that_cannot_be_or_is_the_services_own_is_nobody(signed: Service, subject: Any) -> None:
    made = jwt.api_jws.encode(
        json.dumps({"sub": subject, "exp": 4_000_000_000}).encode(), SECRET, algorithm="HS256", headers={"typ": "JWT"}
    )
    answer = Client(signed.url, made).http.get("/api/jobs")
    assert answer.status_code == 401, answer.text


def test_a_damaged_file_among_the_models_takes_nothing_from_the_others(own: Service) -> None:
    answer = own.client.http.post("/api/upload", data={"model": "pocket"}, files={"audio_file": ("a.wav", wav())})
    assert answer.status_code == 202, answer.text
    assert "pocket" in own.client.http.get("/models").text


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
def test_no_page_of_ours_loads_scripts_of_others(own: Service, path: str) -> None:
    assert own.client.http.get(path).status_code == 404


def test_nobody_escapes_a_rate_limit_by_a_header(own: Service) -> None:
    left = [
        int(
            own.client.http.get("/api/jobs", headers={"X-Forwarded-For": f"192.0.2.{each}"}).headers[
                "RateLimit-Remaining"
            ]
        )
        for each in range(3)
    ]
    assert left[2] == left[0] - 2


def test_nothing_of_all_this_was_unexpected(own: Service, signed: Service) -> None:
    for service in (own, signed):
        assert [line for line in service.logged() if line["event"] == "unexpected_error"] == []


def test_the_data_folder_is_for_its_owner_alone(own: Service) -> None:
    own.client.http.post("/api/upload", data=LOUD, files={"audio_file": ("a.wav", wav())})
    modes = {path: path.stat().st_mode & 0o077 for path in [own.data_dir, *Path(own.data_dir).rglob("*")]}
    assert [path for path, mode in modes.items() if mode] == []
