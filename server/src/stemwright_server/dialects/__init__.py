"""The HTTP APIs, one folder each: routes, shapes, settings, and a README that is its page."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from stemwright_server.dialects.dialect import Dialect

# A new one is a folder and its name here. In this order they are on the page of the settings.
DIALECTS: tuple[Dialect[Any], ...] = tuple(
    import_module(f"{__name__}.{name}").DIALECT
    for name in (
        "studio",
        "split",
        "webserver",
        "stemify",
        "admin",
    )
)
