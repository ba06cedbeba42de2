"""Fixtures for all tests of the server."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).with_name("support")))

from backing import Postgres, postgres_server
from service import Client, Service, running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One running service for the tests that leave it as it is; each takes a song of its own."""
    with running(tmp_path_factory.mktemp("serve") / "data") as service:
        yield service


@pytest.fixture
def client(service: Service) -> Client:
    """A caller of that service."""
    return service.client


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number for this test alone, so that its song is no duplicate of another test's."""
    return zlib.crc32(request.node.nodeid.encode())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server; each test takes a schema of its own."""
    with postgres_server() as server:
        yield server
