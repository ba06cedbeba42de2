"""Reading the settings where a command begins."""

from __future__ import annotations

from typing import Any

from stemwright_server.settings import Settings
from stemwright_worker.settings.reading import end, read_section

__all__ = ["end", "read_settings"]


def read_settings(**given: Any) -> Settings:
    """The settings: options, then the environment, then the file. Raises SystemExit, having said what is wrong."""
    return read_section(Settings, **given)
