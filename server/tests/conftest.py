"""Fixtures for all tests of the server."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Iterator

import pytest
from backing import Postgres, RabbitMQ, Redis, broker_server, postgres_server
from s3_server import S3Server
from service import Client, Service, running

from stemwright_server.adapters.blobs.s3_service import S3Service


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


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server that checks signatures."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def bucket(s3_server: S3Server) -> S3Service:
    """A bucket for this test alone."""
    return s3_server.bucket(f"test-{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def _redis() -> Iterator[Redis]:
    with broker_server(Redis) as server:
        assert isinstance(server, Redis)
        yield server


@pytest.fixture(scope="session")
def _rabbitmq() -> Iterator[RabbitMQ]:
    with broker_server(RabbitMQ) as server:
        assert isinstance(server, RabbitMQ)
        yield server


@pytest.fixture
def redis(_redis: Redis) -> Redis:
    """One Redis for the session, empty."""
    _redis.empty()
    return _redis


@pytest.fixture
def rabbitmq(_rabbitmq: RabbitMQ) -> RabbitMQ:
    """One RabbitMQ for the session, each test in a virtual host of its own."""
    _rabbitmq.empty()
    return _rabbitmq
