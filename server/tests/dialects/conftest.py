"""The strangers that the dialects deal with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from origin import Origin, serving
from track_tree import Receiver


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Who is told of the end of jobs by webhook."""
    with Receiver() as receiver:
        yield receiver
        receiver.shutdown()


@pytest.fixture(scope="module")
def store() -> Iterator[Origin]:
    """Where links lead: songs to GET, and presigned URLs to PUT stems to."""
    with serving() as origin:
        yield origin
