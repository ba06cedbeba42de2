"""The page where stems lie in a bucket: on another origin, fetched from there, and heard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from backing import free_port
from hearing import heard
from playwright.sync_api import Browser
from s3_server import S3Server
from service import Service, running
from steps import FAST, export, level, open_mixer, open_page, play, separate, wait


@pytest.fixture
def port() -> int:
    """Of the service: the store has to know the page's origin before there is one."""
    return free_port()


@pytest.fixture
def store(tmp_path: Path, port: int) -> Iterator[S3Server]:
    """With the rule that docs/storage.md asks for, as the compose file gives it: this page alone may fetch."""
    server = S3Server(tmp_path / "s3", f"--allow-origin=http://127.0.0.1:{port}")
    try:
        server.bucket("stems")
        yield server
    finally:
        server.close()


@pytest.fixture
def service(store: S3Server, tmp_path: Path, port: int) -> Iterator[Service]:
    with running(tmp_path / "data", {**FAST, **store.settings("stems")}, "--port", str(port)) as service:
        yield service


def test_stems_from_a_bucket_are_heard_exported_and_taken_home(
    browser: Browser, store: S3Server, service: Service, song: Path, tmp_path: Path
) -> None:
    context = browser.new_context()
    page = context.new_page()
    faults: list[str] = []
    fetched: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    page.on("request", lambda asked: fetched.append(asked.url) if asked.url.startswith(store.url) else None)
    open_page(page, service.url)
    separate(page, song)
    open_mixer(page, "Scale.wav")
    page.get_by_role("button", name="Loop", exact=True).click()
    play(page)
    wait(lambda: level(page) > 0.35, "sound")
    assert {url.partition("?")[0].rpartition("/")[2] for url in fetched} == {"quiet.wav", "rest.wav"}
    page.get_by_role("button", name="Mute Rest").click()
    wait(lambda: 0.15 < level(page) < 0.25, "half of it")
    page.get_by_role("button", name="Mute Rest").click()
    truth = np.frombuffer(song.read_bytes()[44:], dtype="<i2").reshape(-1, 2).T / 2**15
    assert np.abs(heard(export(page, tmp_path)) - truth).max() < 2**-16
    with page.expect_download() as download:
        page.get_by_role("link", name="Download Rest").click()
    assert download.value.url.startswith(store.url)
    assert download.value.path().read_bytes()[:4] == b"RIFF"
    assert faults == []
    context.close()
