"""The page in a real Chromium, against a real service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hearing import tones
from origin import Origin, serving
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright
from service import Service, running
from steps import FAST

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--no-first-run"]
PATIENCE = 60_000  # ms: the machine may be busy with other tests
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Origin]:
    """Where links lead."""
    with serving() as origin:
        yield origin


@pytest.fixture(scope="session")
def fast(tmp_path_factory: pytest.TempPathFactory, elsewhere: Origin) -> Iterator[Service]:
    """A service whose model is quick; what it separates into sums to the mix."""
    settings = {**FAST, "SOURCE_ORIGIN_ALLOWLIST": elsewhere.url}
    with running(tmp_path_factory.mktemp("page") / "data", settings) as service:
        yield service


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab that minds: an exception in it, a breach of its policy, and a request to anybody else fail the test."""
    page = context.new_page()
    faults: list[str] = []

    def console(line: ConsoleMessage) -> None:
        if "Content Security Policy" in line.text:
            faults.append(line.text)

    def request(asked: Request) -> None:
        if not asked.url.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:")):
            faults.append(asked.url)

    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", console)
    page.on("request", request)
    yield page
    assert faults == []


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds, each of a tone of its own, so that one can hear where one is."""
    path = tmp_path_factory.mktemp("songs") / "Scale.wav"
    path.write_bytes(tones())
    return path
