"""What docs/proxy.md tells nginx, done by nginx: HTTPS, uploads, the socket, links, and who is counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from follower import Follower
from nginx import client_of, nginx
from origin import certificate
from redis_server import free_port
from service import Service, running, wav
from webserver import SETTINGS

TRUSTED = {"STEMWRIGHT_TRUSTED_PROXIES": "127.0.0.1"}  # as the page says
PAGE = Path(__file__).parents[3] / "docs" / "proxy.md"
FRAME = """worker_processes 1;
pid /run/nginx.pid;
events {{}}
http {{
    access_log off;
{server}
}}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("behind") / "data", SETTINGS | TRUSTED) as service:
        yield service


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the certificate."""
    folder = tmp_path_factory.mktemp("nginx")
    certificate(folder, "localhost")
    return folder


@pytest.fixture(scope="module")
def proxy(service: Service, folder: Path) -> Iterator[str]:
    """The URL of an nginx that was told what the page says, with this machine's ports and certificate."""
    (text,) = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    port = free_port()
    ours = {
        "443 ssl": f"127.0.0.1:{port} ssl",
        "http://127.0.0.1:8080": service.url,
        "/etc/letsencrypt/live/stems.example.com/fullchain.pem": f"{folder}/cert.pem",
        "/etc/letsencrypt/live/stems.example.com/privkey.pem": f"{folder}/key.pem",
    }
    for told, used in ours.items():
        assert text.count(told) == 1, told
        text = text.replace(told, used)
    with nginx(FRAME.format(server=text), folder):
        yield f"https://localhost:{port}"


def test_a_song_goes_through_it_is_followed_and_comes_back(
    proxy: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(proxy, folder)
    song = wav(90, rate=16_000)  # more than the megabyte that nginx takes if nobody says otherwise
    assert len(song) > 2**21
    answer = client.post("/api/upload", files={"audio_file": ("song.wav", song)})
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["job_id"]
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(folder / "cert.pem"))
    follower = Follower(proxy, job_id, transport="websocket", origin=proxy).ended()
    assert ("connect", "websocket") in follower.told
    (done,) = follower.all("completed")
    job = client.get(f"/api/status/{job_id}").json()
    links = [job["download_url"], *(stem["url"] for stem in job["stems"])]
    assert all(link.startswith(f"{proxy}/") for link in links), links
    assert done["download_url"].endswith(f"/api/download/{job_id}")
    whole = client.get(links[0]).content
    part = client.get(links[0], headers={"Range": "bytes=100-"})
    assert (part.status_code, part.content) == (206, whole[100:])


def test_callers_are_counted_by_their_own_address(proxy: str, folder: Path) -> None:
    left = []
    for address in ("127.0.0.2", "127.0.0.2", "127.0.0.3"):
        client = client_of(proxy, folder, address=address)
        # Whoever writes the header is not believed: nginx puts the address there that it sees.
        answer = client.get("/api/jobs", headers={"X-Forwarded-For": "192.0.2.7"})
        left.append(int(answer.headers["RateLimit-Remaining"]))
    assert left[1] == left[0] - 1
    assert left[2] == left[0]


def test_metrics_stay_inside(proxy: str, folder: Path, service: Service) -> None:
    assert client_of(proxy, folder).get("/metrics").status_code == 404
    assert service.client.http.get("/metrics").status_code == 200
