"""The client in JavaScript: from Node, and in a page of another origin, against a real service."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import jwt
import pytest
from playwright.sync_api import Browser
from service import Service, running, wav

CLIENT = Path(__file__).parents[2] / "clients" / "js"
SECRET = "s" * 32


def token(seconds: int = 3600) -> str:
    return jwt.encode({"sub": "js", "exp": int(time.time()) + seconds}, SECRET, algorithm="HS256")


def tool(name: str, *arguments: str) -> None:
    program = CLIENT / "node_modules" / ".bin" / name
    assert program.exists(), "run scripts/install_web_tools.sh first"
    done = subprocess.run([program, *arguments], cwd=CLIENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def built() -> Path:
    tool("tsc")
    return CLIENT / "dist"


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture(scope="module")
def studio(built: Path) -> Iterator[str]:
    """The origin of a page that is not the service's own, with the client in it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(built))) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, studio: str) -> Iterator[Service]:
    settings = {"JWT_SECRET": SECRET, "API_CORS_ORIGINS": studio}
    with running(tmp_path_factory.mktemp("js") / "data", settings) as service:
        yield service


def test_its_types_are_those_of_the_committed_openapi(tmp_path: Path) -> None:
    page = CLIENT.parents[1] / "dev" / "openapi" / "orchestrator.yaml"
    made = tmp_path / "openapi.ts"
    tool("openapi-typescript", str(page), "--output", str(made), "--immutable", "--alphabetize")
    assert made.read_text() == (CLIENT / "src" / "openapi.ts").read_text(), "run npm run types in clients/js"


def test_it_works_from_node(built: Path, service: Service, tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(wav(2.0))
    told = {
        "STEMWRIGHT_URL": service.url,
        "STEMWRIGHT_SONG": str(song),
        "STEMWRIGHT_TOKEN": token(),
        "STEMWRIGHT_OLD_TOKEN": token(-3600),
    }
    command = ["node", "--test", "--test-reporter=tap", "tests/client.test.js"]
    done = subprocess.run(command, cwd=CLIENT, env={**os.environ, **told}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert "# fail 0" in done.stdout
    assert "# skipped 0" in done.stdout


def test_it_works_in_a_page_of_another_origin(studio: str, service: Service, browser: Browser) -> None:
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"{studio}/")
        found = page.evaluate(
            """async ([baseUrl, token, song]) => {
              const { Stemwright, StemwrightError } = await import("/index.js");
              const client = new Stemwright({ baseUrl, token: async () => token });
              const sent = [], heard = [];
              const file = new File([new Uint8Array(song)], "from a page.wav");
              const { fileId } = await client.upload(file, { onProgress: (bytes, total) => sent.push(bytes / total) });
              const again = await client.upload(file);
              const { jobId } = await client.process({ file_id: fileId, model: "gain", params: { segments: 5, sleep: 0.05 } });
              const job = await client.wait(fileId, jobId, { onProgress: ({ status }) => heard.push(status) });
              const blob = await client.download(job.outputs[0]);
              const refused = await client.status("none").catch((error) => error instanceof StemwrightError && error.code);
              const status = await client.status(fileId);
              return { sent, heard, again, fileId, name: status.filename, size: blob.size, said: job.outputs[0].size, refused };
            }""",
            [service.url, token(), list(wav(1.0, seed=5))],
        )
    finally:
        context.close()
    assert found["sent"][-1] == 1
    assert found["again"] == {"fileId": found["fileId"], "existed": True}
    assert found["heard"][-1] == "completed"
    assert found["name"] == "from a page.wav"
    assert found["size"] == found["said"]
    assert found["refused"] == "file_not_found"
