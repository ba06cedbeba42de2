"""Fixtures for tests of the studio dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from studio import Studio


@pytest.fixture
def make_studio(tmp_path: Path) -> Iterator[Callable[..., Studio]]:
    """Makes a service, with settings."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Studio:
            secrets = {name: SecretStr(value) for name, value in settings.items() if name.endswith("_secret")}
            studio = Studio(tmp_path, **settings | secrets)
            stack.callback(studio.api.repository.close)
            return studio

        yield make


@pytest.fixture
def studio(make_studio: Callable[..., Studio]) -> Studio:
    """A service of one's own machine."""
    return make_studio()
