"""Starting, refusing to start, and who may connect."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import jwt
import pytest
from backing import Postgres
from issuer import JWKS, issuing
from origin import status
from service import COMMAND, Client, Service, environment, running, until, wav

from stemwright_worker.contract.codec import dump_announcement
from stemwright_worker.contract.description import ModelDescription, ServiceDescription
from stemwright_worker.contract.tasks import Announcement

SECRET = "s" * 32


def serve(tmp_path: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A service that does not start."""
    return subprocess.run(
        [*COMMAND, "serve", "--port", "0", "--data-dir", str(tmp_path / "data"), *arguments],
        env=environment(tmp_path, settings),
        capture_output=True,
        text=True,
        timeout=120,  # for names that the machine asks others about
        check=False,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104
def test_other_machines_are_not_let_in_without_authentication(tmp_path: Path, host: str) -> None:
    refused = serve(tmp_path, "--host", host)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"stemwright: error: {host} can be reached from other machines")
    assert "JWT_SECRET" in refused.stderr
    assert "--insecure" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_they_are_let_in_when_that_is_said(tmp_path: Path) -> None:
    with running(tmp_path / "data", {}, "--host", "0.0.0.0", "--insecure") as service:  # noqa: S104
        assert service.url.startswith("http://127.0.0.1:")
        file_id = service.client.upload(wav())
        service.client.wait(file_id, service.client.submit(file_id), "completed")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"JWT_SECRET": "short"}, "JWT_SECRET"),
        ({"JWT_ISSUER": "http://idp.example"}, "JWT_ISSUER: 'http://idp.example' has to be https"),
        ({"JWT_ISSUER": "us"}, "JWT_ISSUER: 'us'"),
        ({"JWT_SECRET": SECRET, "JWT_JWKS_URL": "https://idp.example/keys"}, "set JWT_SECRET or JWT_JWKS_URL"),
        ({"JWT_JWKS_URL": "https://a.example,https://b.example"}, "2 key sets and JWT_ISSUER 0 issuers"),
        ({"MAX_FILE_SIZE": "many"}, "MAX_FILE_SIZE"),
        ({"STEMWRIGHT_MAX_ATTEMPTS": "0"}, "STEMWRIGHT_MAX_ATTEMPTS"),
        ({"STEMWRIGHT_LEASE_SECONDS": "20"}, "heartbeat_seconds"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "cannot be reached"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    refused = serve(tmp_path, **settings)
    assert refused.returncode == 2
    assert refused.stderr.startswith("stemwright: error: ")
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "short" not in refused.stderr.replace("at least", "")


@pytest.mark.parametrize(
    ("settings", "arguments", "said"),
    [
        ({}, ["--host", "0.0.0.0"], "0.0.0.0 can be reached"),  # noqa: S104
        ({}, ["--host", "::", "--insecure"], ":: can be reached"),
        ({"ENVIRONMENT": "prod"}, [], "ENVIRONMENT is prod"),
        ({"STEMWRIGHT_PUBLIC_URL": "https://stems.example"}, [], "STEMWRIGHT_PUBLIC_URL is https://stems.example"),
    ],
)
def test_the_secret_of_the_documents_is_refused_where_others_come(
    tmp_path: Path, settings: dict[str, str], arguments: list[str], said: str
) -> None:
    refused = serve(tmp_path, *arguments, JWT_SECRET="supersecret123", **settings)
    (line,) = refused.stderr.splitlines()
    assert refused.returncode == 2
    assert line.startswith("stemwright: error: JWT_SECRET is the one of the documents")
    assert said in line
    assert "supersecret123" not in line


def test_on_ones_own_machine_the_secret_of_the_documents_holds_with_a_warning(tmp_path: Path) -> None:
    settings = {"JWT_SECRET": "supersecret123", "ENVIRONMENT": "local", "STEMWRIGHT_WORKERS": "0"}
    said = {"sub": "dev-user", "iat": int(time.time()), "exp": int(time.time()) + 3600}
    with running(tmp_path / "data", settings) as service:
        token = jwt.encode(said, "supersecret123", algorithm="HS256")  # as the document makes it
        assert Client(service.url, token).announce().status_code == 200
        assert Client(service.url).announce().status_code == 401
        assert [each["level"] for each in service.logged() if each["event"] == "development_secret"] == ["warning"]
        assert "InsecureKeyLengthWarning" not in service.log.read_text()


def test_a_model_where_services_are_named_is_said(tmp_path: Path) -> None:
    refused = serve(tmp_path, STEMWRIGHT_MODELS="pocket")
    assert refused.returncode == 2
    last = refused.stderr.splitlines()[-1]
    assert last.startswith("stemwright: error: STEMWRIGHT_MODELS is 'pocket'")
    assert "services are named there" in last


def test_a_folder_that_is_named_by_mistake_keeps_its_mode(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with running(shared):
        assert shared.stat().st_mode & 0o777 == 0o777
        assert (shared / "blobs").stat().st_mode & 0o077 == 0
    with running(tmp_path / "own"):
        assert (tmp_path / "own").stat().st_mode & 0o077 == 0


def test_an_address_or_port_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    for arguments in (("--host", "203.0.113.1", "--insecure"), ("--host", "no.such.host.invalid"), ("--port", "1" * 6)):
        refused = serve(tmp_path, *arguments)
        assert refused.returncode == 2, refused.stderr
        assert "error: " in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_service_that_describes_itself_wrongly_is_left_out_and_the_others_run(tmp_path: Path) -> None:
    model = ModelDescription(name="v", description="", licence="", params={"type": "thing"})
    bad = ServiceDescription(name="bad", version="1", models=(model,))
    said = dump_announcement(Announcement(worker="", services=(bad,), described="", nonce="")).decode()
    python = tmp_path / "services" / "bad" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    python.chmod(0o755)
    with running(tmp_path / "data", {"STEMWRIGHT_SERVICES_PATH": str(tmp_path / "services")}) as service:
        assert "bad" not in {each["name"] for each in service.client.http.get("/models").json()["models"]}
        file_id = service.client.upload(wav())
        service.client.wait(file_id, service.client.submit(file_id), "completed")


def test_callers_with_tokens_see_their_own_things_only(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"JWT_SECRET": SECRET}) as service:
        one, other = (
            Client(service.url, jwt.encode({"sub": name, "exp": time.time() + 60}, SECRET)) for name in ("one", "other")
        )
        file_id = one.upload(wav())
        job_id = one.submit(file_id, segments=40, sleep=0.1)
        nobody = service.client.http
        for client, status in ((nobody, 401), (other.http, 404)):
            assert client.get(f"/status/{file_id}").status_code == status
            assert client.get(f"/events/{file_id}").status_code == status
            assert client.post(f"/jobs/{job_id}/cancel").status_code == status
            assert client.post("/process", json={"file_id": file_id, "model": "gain"}).status_code == status
        refused = nobody.post("/upload", json={"filename": "a.wav"})
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert other.upload(wav()) != file_id  # no duplicate: another owner's song is none of mine
        assert one.http.post(f"/jobs/{job_id}/cancel").status_code == 200
        assert nobody.get("/health").status_code == 200


def test_callers_come_with_tokens_of_an_issuer_that_is_asked_for_its_keys(tmp_path: Path) -> None:
    with issuing() as issuer:
        settings = {"JWT_ISSUER": issuer.url, "JWT_AUDIENCE": "stems", "STEMWRIGHT_WORKERS": "0"}
        with running(tmp_path / "data", settings, "--host", "0.0.0.0") as service:  # noqa: S104
            one = Client(service.url, issuer.token(aud="stems"))
            file_id = one.upload(wav())
            assert one.status(file_id)["file_id"] == file_id
            assert (
                Client(service.url, issuer.token(aud="stems", sub="another")).http.get(f"/status/{file_id}").status_code
                == 404
            )
            for bad in (None, issuer.token(), issuer.token(aud="stems", exp=1), "a.b.c"):
                assert Client(service.url, bad).http.get(f"/status/{file_id}").status_code == 401
            issuer.rotate("second", keep=True)
            published, issuer.origin.answers[JWKS] = issuer.origin.answers[JWKS], status(503)
            two = Client(service.url, issuer.token("second", aud="stems"))

            def away_from_it() -> httpx2.Response | None:
                answer = two.http.get(f"/status/{file_id}")
                return answer if answer.status_code == 503 else None

            away = until(away_from_it, what="a fetch, which waits for its pause")
            assert (away.json()["code"], away.headers["Retry-After"]) == ("issuer_unreachable", "2")
            assert one.http.get(f"/status/{file_id}").status_code == 200
            issuer.origin.answers[JWKS] = published
            until(lambda: two.http.get(f"/status/{file_id}").status_code == 200, what="the new key")


def test_without_authentication_only_loopback_names_are_answered(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"STEMWRIGHT_WORKERS": "0"}) as service:
        port = service.url.rpartition(":")[2]
        for host, status in ((f"127.0.0.1:{port}", 200), (f"localhost:{port}", 200), (f"rebound.example:{port}", 400)):
            assert service.client.http.get("/health", headers={"Host": host}).status_code == status


def test_loopback_of_ipv6_works_whole(tmp_path: Path) -> None:
    with running(tmp_path / "data", {}, "--host", "::1") as service:
        assert service.url.startswith("http://[::1]:")
        file_id = service.client.upload(wav())
        service.client.wait(file_id, service.client.submit(file_id), "completed")


def test_browsers_of_named_origins_may_call_and_read_the_request_id(tmp_path: Path) -> None:
    settings = {"API_CORS_ORIGINS": '["https://studio.example"]', "STEMWRIGHT_WORKERS": "0"}
    with running(tmp_path / "data", settings) as service:
        asked = {"Origin": "https://studio.example"}
        answer = service.client.http.get("/models", headers=asked)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://studio.example"
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
        refused = service.client.http.post("/process", json={}, headers=asked)
        assert refused.headers["Access-Control-Allow-Origin"] == "https://studio.example"
        preflight = asked | {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
        assert service.client.http.options("/blobs/uploads/x", headers=preflight).status_code == 200
        stranger = service.client.http.get("/models", headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in stranger.headers


def test_every_origin_may_call_if_all_are_named(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"API_CORS_ORIGINS": '["*"]', "STEMWRIGHT_WORKERS": "0"}) as service:
        anyone = {"Origin": "https://anyone.example"}
        answer = service.client.http.get("/models", headers=anyone)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers  # a token is sent on purpose, never by a cookie
        preflight = anyone | {
            "Access-Control-Request-Method": "DELETE",
            "Access-Control-Request-Headers": "authorization",
        }
        asked = service.client.http.options("/api/v1/jobs/x", headers=preflight)
        assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (200, "*")
        socket = {"EIO": "4", "transport": "polling"}
        assert service.client.http.get("/socket.io/", params=socket, headers=anyone).status_code == 200
    with running(tmp_path / "none", {"STEMWRIGHT_WORKERS": "0"}) as service:  # and none, if none is
        assert "Access-Control-Allow-Origin" not in service.client.http.get("/models", headers=anyone).headers
        assert service.client.http.get("/socket.io/", params=socket, headers=anyone).status_code == 400


def test_workers_doors_are_closed_to_others(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"STEMWRIGHT_WORKERS": "0"}) as service:
        for path in ("/worker/claim", "/worker/report", "/worker/leave"):
            answer = service.client.http.post(path, content=b"{}")
            assert (answer.status_code, answer.json()["code"]) == (401, "signature_missing")
            forged = {"X-Timestamp": str(int(time.time())), "X-Signature": "sha256=" + "0" * 64}
            answer = service.client.http.post(path, content=b"{}", headers=forged)
            assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")


def test_signed_urls_outlive_a_restart(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"STEMWRIGHT_WORKERS": "0"}) as service:
        announced = service.client.announce().json()
    key = tmp_path / "data" / "url.key"
    assert key.stat().st_mode & 0o077 == 0
    with running(tmp_path / "data", {"STEMWRIGHT_WORKERS": "0"}) as service:
        path = announced["upload_url"].partition("/blobs/")[2]
        assert service.client.put(f"{service.url}/blobs/{path}", wav()).status_code == 201


def test_a_second_service_on_the_folder_is_refused_unless_they_share_a_database(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"STEMWRIGHT_WORKERS": "0"}) as service:
        done = serve(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/jobs.db")
        assert done.returncode == 2
        assert f"in use by another stemwright serve (process {service.process.pid})" in done.stderr


def test_of_files_on_their_way_in_those_of_dead_services_are_removed_and_no_others(
    tmp_path: Path, postgres: Postgres
) -> None:
    settings = {"STEMWRIGHT_WORKERS": "0", "DATABASE_URL": postgres.database()}
    left = tmp_path / "data" / "blobs" / ".parts" / "dead" / "upload"
    for path in (left, tmp_path / "data" / "instances" / "dead.lock"):
        path.parent.mkdir(parents=True)
        path.touch()
    song = wav()
    with running(tmp_path / "data", settings) as first:
        assert not left.parent.exists()
        path = first.client.announce().json()["upload_url"].removeprefix(first.url)
        head = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(song)}\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", int(first.url.rpartition(":")[2])), timeout=60.0) as upload:
            upload.sendall(head.encode() + song[:1000])
            until(lambda: len(first.files()) == 1, what="the upload to begin")
            with running(tmp_path / "data", settings):
                upload.sendall(song[1000:])
                assert upload.recv(100).startswith(b"HTTP/1.1 201 ")
    assert len(first.files()) == 1
    assert not list(left.parent.parent.iterdir())  # nor are folders, when a service has ended well


def test_retention_removes_uploads_outputs_and_records(tmp_path: Path) -> None:
    settings = {"STEMWRIGHT_UPLOAD_RETENTION": "3", "STEMWRIGHT_OUTPUT_RETENTION": "12"}
    with running(tmp_path / "data", settings) as service:
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id)
        client.wait(file_id, job_id, "completed")
        until(lambda: client.status(file_id)["status"] == "expired", what="the upload to expire")
        assert client.process(file_id).status_code == 410
        assert client.upload(wav()) != file_id  # the song may come again
        until(lambda: client.http.get(f"/status/{file_id}").status_code == 404, what="the record to go")
        until(lambda: service.files() == [], what="all files to go")


def test_the_server_never_imports_torch_nor_the_engine() -> None:
    """Every module of the package in one process, and what that drags in."""
    code = (
        "import importlib, pkgutil, sys, stemwright_server as package\n"
        "for module in pkgutil.walk_packages(package.__path__, 'stemwright_server.'): importlib.import_module(module.name)\n"
        "print([name for name in ('torch', 'stemwright', 'demucs', 'numpy') if name in sys.modules], len(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.startswith("[] ")


def test_the_worker_process_imports_no_database_and_no_web_framework() -> None:
    code = (
        "import sys, pathlib, stemwright_worker.__main__\n"
        "from stemwright_worker.settings import WorkerSettings\n"
        "from stemwright_worker.wiring import build_worker, worker_config\n"
        "build_worker(worker_config(WorkerSettings(), secret='s', worker='w', device='cpu', work_dir=pathlib.Path('w'),"
        " services=()))\n"
        "print([name for name in ('torch', 'sqlalchemy', 'fastapi', 'starlette', 'uvicorn') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "[]\n"


def test_the_commands_are_light_to_import() -> None:
    code = "import sys, stemwright_server.cli.serve; print([n for n in ('pydantic', 'fastapi', 'structlog') if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "[]\n"


def test_two_installations_cannot_share_the_files_of_one_folder(tmp_path: Path, postgres: Postgres) -> None:
    one, other = ({"STEMWRIGHT_WORKERS": "0", "DATABASE_URL": postgres.database()} for _ in range(2))
    with running(tmp_path / "data", one):
        with running(tmp_path / "data", one) as second:  # another process of the same installation
            assert second.client.http.get("/health").status_code == 200
        with pytest.raises(AssertionError, match="holds the files of another installation"):
            Service(tmp_path / "data", other)
    with pytest.raises(AssertionError, match="give this one another --data-dir"):  # nor when that one is down
        Service(tmp_path / "data", other)
