"""Fetching what strangers point at: what is refused, what is fetched, and that no trick leads inside."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpcore2
import pytest
from origin import Origin, body, certificate, in_turn, serving, status

from stemwright_worker.errors import StorageFull
from stemwright_worker.net.addresses import origins
from stemwright_worker.ports.sources import (
    FetchLimits,
    SourceError,
    SourceExpired,
    SourceNotFound,
    SourceRedirects,
    SourceRefused,
    SourceTimeout,
    SourceTooLarge,
    SourceUnreachable,
)
from stemwright_worker.sources.http import HttpSources

SONG = bytes(range(256)) * 400
LIMITS = FetchLimits(max_bytes=1 << 20, connect_seconds=20.0, idle_seconds=20.0, total_seconds=60.0, tries=1)
PUBLIC = "93.184.215.14"
NAME = "files.example"


class Network(httpcore2.SyncBackend):
    """Stands for the internet: notes where a connection goes, and leads each to the one server of the test."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port
        self.dialed: list[str] = []

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        self.dialed.append(host)
        if self.port is None:
            raise httpcore2.ConnectError("nothing is here")
        return super().connect_tcp("127.0.0.1", self.port, *args, **kwargs)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A plain one at a private address."""
    with serving() as origin:
        yield origin


@pytest.fixture
def secure(tls: tuple[Path, Path]) -> Iterator[Origin]:
    """One with a certificate for NAME."""
    with serving(tls=tls) as origin:
        yield origin


def public(secure: Origin, tls: tuple[Path, Path], *answers: list[str]) -> tuple[HttpSources, Network]:
    """A fetcher for whom every name leads to ``answers`` in turn, and every address to the secure origin."""
    network, left = Network(secure.server_port), list(answers or [[PUBLIC]])
    context = ssl.create_default_context(cafile=str(tls[0]))

    def resolve(_host: str, _port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return HttpSources(resolve=resolve, network=network, ssl_context=context), network


def refused(fetch: Callable[[], object], kind: type[SourceError]) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetch()
    assert type(caught.value) is kind, caught.value
    assert "\n" not in str(caught.value)
    return caught.value


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


# What comes


def test_a_file_comes_whole_and_described(secure: Origin, tls: tuple[Path, Path], tmp_path: Path) -> None:
    sources, network = public(secure, tls)
    secure.answers["/a/my%20song.wav"] = body(SONG, content_type="Audio/WAV; x=y")
    found = sources.fetch(f"https://{NAME}/a/my%20song.wav?X-Amz-Signature=abc#part", tmp_path / "in", LIMITS)
    assert (tmp_path / "in").read_bytes() == SONG
    assert (found.size, found.sha256) == (len(SONG), hashlib.sha256(SONG).hexdigest())
    assert (found.filename, found.content_type) == ("my song.wav", "audio/wav")
    path, headers = secure.asked[0]
    assert path == "/a/my%20song.wav?X-Amz-Signature=abc"
    assert headers["host"] == NAME
    assert {"authorization", "cookie", "referer"}.isdisjoint(headers)
    assert network.dialed == [PUBLIC]
    assert left(tmp_path) == ["in"]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="the song.flac"', "the song.flac"),
        ("attachment; filename*=UTF-8''%C3%A9t%C3%A9.wav", "été.wav"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="..\\..\\boot.ini"', "boot.ini"),
        ("attachment; filename*=nonsense'%ff", "nonsense'\N{REPLACEMENT CHARACTER}"),
        ('attachment; filename="/"', "source"),
        ('attachment; filename="' + "x" * 500 + '"', "x" * 200),
        ("attachment", "song"),
        (";;;=", "song"),
    ],
)
def test_a_name_is_for_showing(origin: Origin, tmp_path: Path, disposition: str, name: str) -> None:
    origin.answers["/song"] = body(SONG, content_disposition=disposition)
    assert HttpSources([origin.url]).fetch(f"{origin.url}/song", tmp_path / "in", LIMITS).filename == name


def test_the_certificate_is_checked_against_the_name(secure: Origin, tls: tuple[Path, Path], tmp_path: Path) -> None:
    sources, network = public(secure, tls)
    error = refused(lambda: sources.fetch("https://other.example/x", tmp_path / "in", LIMITS), SourceRefused)
    assert "certificate of other.example" in str(error)
    assert network.dialed == [PUBLIC]
    assert secure.asked == []


def test_the_next_address_is_tried_when_one_does_not_answer(
    secure: Origin, tls: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, network = public(secure, tls, ["2606:4700::1", PUBLIC])
    secure.answers["/x"] = body(SONG)
    connect = network.connect_tcp

    def only_v4(host: str, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        if ":" in host:
            raise httpcore2.ConnectError("no route")
        return connect(host, *args, **kwargs)

    monkeypatch.setattr(network, "connect_tcp", only_v4)
    assert sources.fetch(f"https://{NAME}/x", tmp_path / "in", LIMITS).size == len(SONG)


# What leads inside

_BYPASSES = [
    "http://127.0.0.1/",
    "https://127.0.0.1/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.1./",
    "https://127.0.0.01/",
    "https://0/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:93.184.215.14]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::808:808]/",
    "https://[64:ff9b:1::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
    "https://[ff0e::1]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://100.64.0.1/",
    "https://100.100.100.200/",
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.170.2/",
    "https://192.0.0.192/",
    "https://168.63.129.16/",
    "https://198.18.0.1/",
    "https://192.88.99.1/",
    "https://224.0.1.1/",
    "https://255.255.255.255/",
    "https://240.0.0.1/",
    "https://127.0.0.1:443@files.example/",
    "https://files.example@127.0.0.1/",
    "https://files.example:x@127.0.0.1/",
    "https://files.example\\@127.0.0.1/",
    "https://127.0.0.1\\.files.example/",
    "https://files.example /",
    "https://files.example\t/",
    "https://files.example\r\nX-Injected: 1/",
    "https://files.example/a\nb",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://127%2e0%2e0%2e1/",
    "https://files.example:0/",
    "https://files.example:/",
    "https://files.example:99999/",
    "https://files.example:8x/",
    "https:///path",
    "https://",
    "https:files.example",
    "https://.files.example/",
    "https://files..example/",
    "https://[127.0.0.1]/",
    "https://[::1/",
    "https://-files.example/",
    "http://files.example/",
    "file:///etc/passwd",
    "ftp://files.example/x",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "data:audio/wav;base64,AAAA",
    "//files.example/x",
    "files.example/x",
    "",
    "https://files.example/" + "x" * 9000,
]


@pytest.mark.parametrize("url", _BYPASSES, ids=[repr(url[:60]) for url in _BYPASSES])
def test_no_spelling_leads_inside(url: str, tmp_path: Path) -> None:
    """With this machine's own resolver, as far as the spelling is not refused before; nothing is ever dialed."""
    network = Network()
    error = refused(lambda: HttpSources(network=network).fetch(url, tmp_path / "in", LIMITS), SourceRefused)
    assert network.dialed == []
    assert error.code == "source_refused"
    assert not error.retryable
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["10.1.2.3"],
        ["::1"],
        ["fe80::1%eth0"],
        ["::ffff:10.0.0.1"],
        ["64:ff9b::a00:1"],
        ["169.254.169.254"],
    ],
)
@pytest.mark.parametrize("mixed", [[], [PUBLIC], ["2606:4700::1"]])
def test_a_name_that_leads_inside_is_refused_whatever_else_it_leads_to(
    secure: Origin, tls: tuple[Path, Path], tmp_path: Path, answer: list[str], mixed: list[str]
) -> None:
    sources, network = public(secure, tls, mixed + answer)
    refused(lambda: sources.fetch(f"https://{NAME}/x", tmp_path / "in", LIMITS), SourceRefused)
    assert network.dialed == []


def test_a_name_that_changes_its_answer_gains_nothing(secure: Origin, tls: tuple[Path, Path], tmp_path: Path) -> None:
    """DNS rebinding: public when it is checked, private when it is connected to."""
    sources, network = public(secure, tls, [PUBLIC], ["127.0.0.1"])
    secure.answers["/x"] = body(SONG)
    assert sources.fetch(f"https://{NAME}/x", tmp_path / "in", LIMITS).size == len(SONG)
    assert network.dialed == [PUBLIC]  # what was checked is what was dialed
    refused(lambda: sources.fetch(f"https://{NAME}/x", tmp_path / "in", LIMITS), SourceRefused)
    assert network.dialed == [PUBLIC]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:9/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/",
        "//[::1]/",
        "http://files.example/x",
        "file:///etc/passwd",
        "https://2130706433/",
        "https://user@files.example/",
    ],
)
def test_no_redirect_leads_inside(
    secure: Origin, tls: tuple[Path, Path], tmp_path: Path, code: int, location: str
) -> None:
    sources, network = public(secure, tls)
    secure.answers["/x"] = status(code, location=location)
    refused(lambda: sources.fetch(f"https://{NAME}/x", tmp_path / "in", LIMITS), SourceRefused)
    assert network.dialed == [PUBLIC]
    assert len(secure.asked) == 1


def test_a_redirect_to_a_name_that_leads_inside_is_refused(
    secure: Origin, tls: tuple[Path, Path], tmp_path: Path
) -> None:
    sources, network = public(secure, tls, [PUBLIC], ["127.0.0.1"])
    secure.answers["/x"] = status(302, location="https://elsewhere.example/")
    refused(lambda: sources.fetch(f"https://{NAME}/x", tmp_path / "in", LIMITS), SourceRefused)
    assert network.dialed == [PUBLIC]


def test_three_redirects_are_followed_and_a_fourth_is_not(
    secure: Origin, tls: tuple[Path, Path], tmp_path: Path
) -> None:
    sources, _ = public(secure, tls)
    for number in range(4):
        secure.answers[f"/{number}"] = status(302, location=f"{number + 1}?sig=x")  # relative
    secure.answers["/4"] = body(SONG)
    assert sources.fetch(f"https://{NAME}/1", tmp_path / "in", LIMITS).size == len(SONG)
    error = refused(lambda: sources.fetch(f"https://{NAME}/0", tmp_path / "in", LIMITS), SourceRedirects)
    assert (error.code, error.retryable) == ("source_redirects", False)
    secure.answers["/5"] = status(302)
    refused(lambda: sources.fetch(f"https://{NAME}/5", tmp_path / "in", LIMITS), SourceRedirects)


def test_the_environment_proxies_nothing(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    origin.answers["/x"] = body(SONG)
    assert HttpSources([origin.url]).fetch(f"{origin.url}/x", tmp_path / "in", LIMITS).size == len(SONG)


# The allowlist


def test_an_origin_on_the_list_may_be_plain_and_private_and_no_other(origin: Origin, tmp_path: Path) -> None:
    origin.answers["/x"] = body(SONG)
    listed = HttpSources([f"HTTP://127.0.0.1:{origin.server_port}/"])
    listed.check(f"{origin.url}/x")
    assert listed.fetch(f"{origin.url}/x", tmp_path / "in", LIMITS).size == len(SONG)
    near = [
        f"http://localhost:{origin.server_port}/x",
        f"https://127.0.0.1:{origin.server_port}/x",
        f"http://127.0.0.1:{origin.server_port + 1}/x",
        "http://127.0.0.1/x",
        f"http://127.0.0.2:{origin.server_port}/x",
    ]
    for url in near:
        refused(partial(listed.fetch, url, tmp_path / "in", LIMITS), SourceRefused)
    origin.answers["/out"] = status(302, location=near[0])
    refused(lambda: listed.fetch(f"{origin.url}/out", tmp_path / "in", LIMITS), SourceRefused)


def test_a_name_on_the_list_may_be_private_but_not_the_metadata_service(origin: Origin, tmp_path: Path) -> None:
    network = Network(origin.server_port)
    answers = iter([["192.168.1.5"], ["169.254.169.254"]])
    sources = HttpSources(["http://minio:9000"], network=network, resolve=lambda _host, _port: next(answers))
    origin.answers["/x"] = body(SONG)
    assert sources.fetch("http://minio:9000/x", tmp_path / "in", LIMITS).size == len(SONG)
    assert origin.asked[0][1]["host"] == "minio:9000"
    refused(lambda: sources.fetch("http://minio:9000/x", tmp_path / "in", LIMITS), SourceRefused)
    assert network.dialed == ["192.168.1.5"]


@pytest.mark.parametrize("origin", ["minio:9000", "http://minio/path", "http://u@minio", "*", "http://minio?x", ""])
def test_what_is_no_origin_is_no_setting(origin: str) -> None:
    with pytest.raises(ValueError, match=r"origin|URL"):
        origins([origin])


def test_a_port_that_is_the_usual_one_may_be_said_or_not() -> None:
    assert origins(["https://a", "https://A:443/"]) == {"https://a:443"}
    assert origins(["http://[::1]:8000"]) == {"http://[::1]:8000"}


# What fails


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (401, SourceExpired),
        (403, SourceExpired),
        (410, SourceExpired),
        (400, SourceExpired),
        (404, SourceNotFound),
        (206, SourceNotFound),
        (429, SourceUnreachable),
        (500, SourceUnreachable),
        (503, SourceUnreachable),
    ],
)
def test_an_answer_that_is_no_file_is_said(origin: Origin, tmp_path: Path, code: int, kind: type[SourceError]) -> None:
    origin.answers["/x"] = status(code)
    url = f"{origin.url}/x?X-Amz-Signature=secret"
    error = refused(lambda: HttpSources([origin.url]).fetch(url, tmp_path / "in", LIMITS), kind)
    assert error.retryable is (kind is SourceUnreachable)
    assert str(code) in str(error)
    assert "secret" not in str(error)
    assert left(tmp_path) == []


def test_what_passes_is_tried_again(origin: Origin, tmp_path: Path) -> None:
    cut_off = body(SONG[:100], content_length=str(len(SONG)))
    origin.answers["/x"] = in_turn(status(503), cut_off, body(SONG))
    limits = FetchLimits(max_bytes=1 << 20, total_seconds=60.0)
    assert HttpSources([origin.url]).fetch(f"{origin.url}/x", tmp_path / "in", limits).size == len(SONG)
    assert len(origin.asked) == 3


def test_a_body_that_is_cut_off_is_no_file(origin: Origin, tmp_path: Path) -> None:
    origin.answers["/x"] = body(SONG[:100], content_length=str(len(SONG)))
    refused(lambda: HttpSources([origin.url]).fetch(f"{origin.url}/x", tmp_path / "in", LIMITS), SourceUnreachable)
    assert left(tmp_path) == []


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # never listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        refused(lambda: HttpSources([url]).fetch(url, tmp_path / "in", LIMITS), SourceUnreachable)

    def nothing(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    sources = HttpSources(resolve=nothing)
    error = refused(lambda: sources.fetch("https://files.example/", tmp_path / "in", LIMITS), SourceUnreachable)
    assert error.retryable


def test_too_much_is_refused_announced_or_not(origin: Origin, tmp_path: Path) -> None:
    sent: list[int] = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(SONG)
            sent.append(len(SONG))

    limits = FetchLimits(max_bytes=1000, tries=3)
    origin.answers |= {"/announced": body(SONG), "/lied": endless, "/exact": body(SONG[:1000])}
    sources = HttpSources([origin.url])
    error = refused(lambda: sources.fetch(f"{origin.url}/announced", tmp_path / "in", limits), SourceTooLarge)
    assert (error.code, error.retryable) == ("source_too_large", False)
    refused(lambda: sources.fetch(f"{origin.url}/lied", tmp_path / "in", limits), SourceTooLarge)
    assert len(origin.asked) == 2
    assert left(tmp_path) == []
    assert sources.fetch(f"{origin.url}/exact", tmp_path / "in", limits).size == 1000


def test_a_compressed_body_is_refused_not_blown_up(origin: Origin, tmp_path: Path) -> None:
    origin.answers["/x"] = body(SONG, content_encoding="gzip")
    refused(lambda: HttpSources([origin.url]).fetch(f"{origin.url}/x", tmp_path / "in", LIMITS), SourceRefused)


@pytest.mark.parametrize("where", ["headers", "body"])
def test_dripping_ends_with_the_total_time(origin: Origin, tmp_path: Path, where: str) -> None:
    """A byte now and then is no silence; still it ends."""

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-A: ")
        if where == "body":
            handler.wfile.write(b"\r\n\r\n")
        while True:
            handler.wfile.write(b"a")
            handler.wfile.flush()
            time.sleep(0.02)

    origin.answers["/x"] = drip
    limits = FetchLimits(max_bytes=1 << 20, total_seconds=0.7)
    began = time.monotonic()
    error = refused(lambda: HttpSources([origin.url]).fetch(f"{origin.url}/x", tmp_path / "in", limits), SourceTimeout)
    assert time.monotonic() - began >= 0.7
    assert (error.code, error.retryable) == ("source_timeout", True)
    assert "0.7 s in all" in str(error)
    assert left(tmp_path) == []


def test_silence_ends_with_the_idle_time(origin: Origin, tmp_path: Path) -> None:
    def silent(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"a")
        handler.rfile.read()  # until the client goes

    origin.answers["/x"] = silent
    limits = FetchLimits(max_bytes=1 << 20, idle_seconds=0.3, tries=1)
    refused(lambda: HttpSources([origin.url]).fetch(f"{origin.url}/x", tmp_path / "in", limits), SourceTimeout)


def test_who_fetches_may_stop(origin: Origin, tmp_path: Path) -> None:
    class StopNow(Exception):
        pass

    seen = []

    def stop(done: int, total: int | None) -> None:
        seen.append((0 < done <= len(SONG), total))
        raise StopNow

    origin.answers["/x"] = body(SONG)
    with pytest.raises(StopNow):
        HttpSources([origin.url]).fetch(f"{origin.url}/x", tmp_path / "in", LIMITS, check=stop)
    assert seen == [(True, len(SONG))]
    assert left(tmp_path) == []


def test_a_full_disk_is_said(origin: Origin, tmp_path: Path) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full here")
    origin.answers["/x"] = body(SONG)
    (tmp_path / "in.part").symlink_to("/dev/full")
    with pytest.raises(StorageFull):
        HttpSources([origin.url]).fetch(f"{origin.url}/x", tmp_path / "in", LIMITS)
    assert left(tmp_path) == []


def test_nothing_of_a_signed_url_is_logged(origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    origin.answers["/x"] = in_turn(status(302, location="/y?X-Amz-Signature=secret2"), status(503))
    origin.answers["/y"] = status(503)
    url = f"{origin.url}/x?X-Amz-Signature=secret"
    error = refused(lambda: HttpSources([origin.url]).fetch(url, tmp_path / "in", LIMITS), SourceUnreachable)
    assert "secret" not in caplog.text + str(error)
