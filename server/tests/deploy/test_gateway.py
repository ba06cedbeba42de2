"""deploy/gateway: nginx with the very files, before a real service."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from nginx import client_of, nginx
from origin import certificate
from redis_server import free_port
from service import Service, running, until, wav

GATEWAY = Path(__file__).parents[3] / "deploy" / "gateway"
SECRET = "s" * 32
# As the document has it, chapter 22.
CREATE_JWT = """
import jwt, time
payload = {"sub":"dev-user","iat":int(time.time()),"exp":int(time.time())+3600}
print(jwt.encode(payload,"supersecret123",algorithm="HS256"))
"""


def configured(name: str, folder: Path, **changes: str) -> str:
    """One of the files, with this machine's ports and paths in place of those that an operator writes there."""
    text = (GATEWAY / name).read_text()
    for told, used in changes.items():
        assert told in text, told
        text = text.replace(told, used)
    shutil.copy(GATEWAY / "locations.conf", folder)
    return text


def token(**claims: Any) -> str:
    said = {"sub": "somebody", "iss": "https://id.example", "exp": int(time.time()) + 3600} | claims
    return jwt.encode(said, SECRET, algorithm="HS256")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    trusted = {"STEMWRIGHT_TRUSTED_PROXIES": "127.0.0.0/8", "JWT_SECRET": SECRET}
    with running(tmp_path_factory.mktemp("behind") / "data", trusted) as service:
        yield service


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nginx")
    certificate(folder, "localhost")
    return folder


@pytest.fixture(scope="module")
def gateway(service: Service, folder: Path) -> Iterator[str]:
    port = free_port()
    ours = {
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
        "server 127.0.0.1:8080;": f"server {service.url.removeprefix('http://')};",
        "/etc/letsencrypt/live/stems.example.com/fullchain.pem": f"{folder}/cert.pem",
        "/etc/letsencrypt/live/stems.example.com/privkey.pem": f"{folder}/key.pem",
    }
    with nginx(configured("nginx.conf", folder, **ours), folder):
        yield f"https://localhost:{port}"


WRONG = {
    "no token": None,
    "another key": jwt.encode({"sub": "x", "exp": 1 << 33}, "o" * 32, algorithm="HS256"),
    "alg none": jwt.encode({"sub": "x", "exp": 1 << 33}, "", algorithm="none"),
    "expired": jwt.encode({"sub": "x", "exp": 1}, SECRET, algorithm="HS256"),
    "no subject": jwt.encode({"exp": 1 << 33}, SECRET, algorithm="HS256"),
    "no jwt": "x.y.z",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_whose_token_does_not_hold_gets_no_further(gateway: str, folder: Path, wrong: str | None) -> None:
    client = client_of(gateway, folder, wrong)
    forged = {"X-User": "somebody", "X-Roles": "admin"}
    for method, path in (
        ("GET", "/songs"),
        ("GET", "/status/x"),
        ("POST", "/process"),
        ("POST", "/upload"),
        ("POST", "/jobs/x/cancel"),
        ("GET", "/admin/jobs"),
    ):
        assert client.request(method, path, headers=forged).status_code == 401, path


def test_what_a_gateway_says_in_a_header_makes_nobody_an_administrator(gateway: str, folder: Path) -> None:
    client = client_of(gateway, folder, token())
    refused = client.get("/admin/jobs", headers={"X-User": "boss", "X-Roles": "admin"})
    assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")
    assert client_of(gateway, folder, token(roles=["admin"])).get("/admin/jobs").status_code == 200


def test_what_is_not_for_callers_is_not_there(gateway: str, folder: Path) -> None:
    client = client_of(gateway, folder, token(roles=["admin"]))
    for path in ("/metrics", "/worker/claim", "/worker", "/auth/verify", "/_verify"):
        assert client.get(path).status_code == 404, path
    for path in ("/", "/models", "/health", "/healthz"):
        assert client.get(path).status_code == 200, path


def test_a_song_of_several_megabytes_goes_through_and_another_users_is_not_there(gateway: str, folder: Path) -> None:
    client, song = client_of(gateway, folder, token()), wav(90, rate=16_000)
    announced = client.post("/upload", json={"filename": "song.wav", "size": len(song)}).json()
    assert announced["upload_url"].startswith(f"{gateway}/blobs/")
    assert client.put(announced["upload_url"], content=song, headers={"Authorization": ""}).status_code == 201
    job_id = client.post("/process", json={"file_id": announced["file_id"], "model": "gain"}).json()["job_id"]
    with client.stream("GET", f"/events/{announced['file_id']}") as events:  # nothing on the way keeps them back
        ended = next(line for line in events.iter_lines() if line == "event: completed")
    assert ended
    (job,) = client.get(f"/status/{announced['file_id']}").json()["jobs"]
    assert job["job_id"] == job_id
    assert len(client.get(job["outputs"][0]["url"]).content) == job["outputs"][0]["size"]
    other = client_of(gateway, folder, token(sub="another"))
    assert other.get(f"/status/{announced['file_id']}").status_code == 404


def test_a_body_that_is_no_song_is_limited_and_calls_are_counted(gateway: str, folder: Path) -> None:
    client = client_of(gateway, folder, token(), address="127.0.0.2")
    assert client.post("/process", content=b" " * (2 << 20)).status_code == 413
    answers = [client.get("/healthz").status_code for _ in range(400)]
    assert set(answers) == {200, 429}
    assert client_of(gateway, folder, token(), address="127.0.0.3").get("/healthz").status_code == 200


def test_the_documents_own_flow_by_curl(tmp_path: Path) -> None:
    """Chapters 22 and 23, with their secret, on port 80's place of this machine."""
    local = {"JWT_SECRET": "supersecret123", "ENVIRONMENT": "local", "STEMWRIGHT_TRUSTED_PROXIES": "127.0.0.1"}
    (tmp_path / "nginx").mkdir()
    song = tmp_path / "song.wav"
    song.write_bytes(wav())

    def curl(*arguments: str) -> Any:
        done = subprocess.run(["curl", "-fsS", *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    created = subprocess.run(
        [sys.executable, "-W", "ignore", "-"], input=CREATE_JWT, capture_output=True, text=True, check=True
    )
    sign = ("-H", f"Authorization: Bearer {created.stdout.strip()}", "-H", "Content-Type: application/json")
    port = free_port()
    with running(tmp_path / "data", local) as service:
        ours = {
            "listen 127.0.0.1:80;": f"listen 127.0.0.1:{port};",
            "server 127.0.0.1:8080;": f"server {service.url[7:]};",
        }
        with nginx(configured("nginx.local.conf", tmp_path / "nginx", **ours), tmp_path / "nginx"):
            here = f"http://localhost:{port}"
            curl("--retry", "20", "--retry-connrefused", "--retry-delay", "1", f"{here}/health")
            announced = curl("-X", "POST", f"{here}/upload", *sign, "-d", '{"filename": "song.wav"}')
            curl("-T", str(song), announced["upload_url"])
            body = json.dumps({"file_id": announced["file_id"], "model": "gain", "variation": "default"})
            assert curl("-X", "POST", f"{here}/process", *sign, "-d", body)["status"] == "queued"

            def completed() -> Any:
                (job,) = curl(f"{here}/status/{announced['file_id']}", *sign)["jobs"]
                return job["status"] == "completed" and job["outputs"]

            assert [output["type"] for output in until(completed, what="the job")] == ["quiet", "rest"]
            service.kill()
            asked = subprocess.run(["curl", "-si", f"{here}/songs", *sign], capture_output=True, text=True, timeout=60)
            assert "503" in asked.stdout.splitlines()[0]  # not 500: nobody knows now whether the token holds
            assert "cannot_verify" in asked.stdout
