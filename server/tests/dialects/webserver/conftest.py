"""Fixtures for tests of the upload API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from service import Service, running
from webserver import SETTINGS, Uploader


@pytest.fixture(scope="session")
def webserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One running service for the tests that leave it as it is."""
    settings = SETTINGS | {"STEMWRIGHT_WEBSERVER_UPLOAD_RATE": ""}
    with running(tmp_path_factory.mktemp("webserver") / "data", settings) as service:
        yield service


@pytest.fixture
def uploader(webserver: Service) -> Uploader:
    """A caller of that service."""
    return Uploader(webserver)
