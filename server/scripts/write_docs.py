"""Writes what is generated from the code: docs/settings.md and dev/openapi/orchestrator.yaml. Run after changing either."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from fastapi import FastAPI

from stemwright_server.adapters.bell import Bell
from stemwright_server.adapters.blobs.local import LocalBlobs
from stemwright_server.adapters.jobs.memory import MemoryJobRepository
from stemwright_server.adapters.models.installed import InstalledModels
from stemwright_server.bootstrap import build_app, build_parts
from stemwright_server.settings import SECTIONS, Settings, environment_name
from stemwright_server.usecases.workers import Presence

ROOT = Path(__file__).resolve().parents[2]

_HEAD = """# Settings of the service

Read from the environment by `stemwright serve` and `stemwright worker`; an option on the command line wins. Written by
`server/scripts/write_docs.py` from `server/src/stemwright_server/settings/`: change it there.
"""

_TABLE = """
## {title}

| variable | default | meaning |
| --- | --- | --- |
"""


def settings_page() -> str:
    """docs/settings.md."""
    page = _HEAD
    for section in SECTIONS:
        page += _TABLE.format(title=(section.__doc__ or "").rstrip("."))
        for name in section.__annotations__:
            if (field := Settings.model_fields.get(name)) is not None:
                default = "" if field.default in (None, ()) else f"`{field.default}`"
                page += f"| `{environment_name(name)}` | {default} | {field.description} |\n"
    return page


def app() -> FastAPI:
    """The app with nothing behind it: for its description."""
    with tempfile.TemporaryDirectory() as folder:
        blobs = LocalBlobs(Path(folder), secret=b"", min_free_bytes=0)
        bell, settings = Bell(), Settings.model_construct()
        parts = build_parts(settings, MemoryJobRepository(), blobs, bell, InstalledModels[Any]([]))
        return build_app(settings, parts, blobs, bell, Presence(), worker_secret="")


def openapi_page() -> str:
    """dev/openapi/orchestrator.yaml."""
    document = json.loads(json.dumps(app().openapi()))
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))


def pages() -> dict[Path, str]:
    """Every generated file, from the root of the repository, and what it has to be."""
    return {Path("docs/settings.md"): settings_page(), Path("dev/openapi/orchestrator.yaml"): openapi_page()}


if __name__ == "__main__":
    for path, text in pages().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
        print(path)
