"""Writes what is generated from the code: docs/settings.md and dev/openapi/. Run after changing a setting or a route."""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import yaml
from fastapi import FastAPI
from pydantic import SecretStr

from stemwright_server.adapters.auth.anonymous import AnonymousAuthenticator
from stemwright_server.adapters.blobs.local import LocalBlobs
from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.jobs.sqlite import sqlite_engine
from stemwright_server.adapters.services.announced import AnnouncedServices
from stemwright_server.adapters.wakeups.in_process import InProcessWakeUps
from stemwright_server.dialects import DIALECTS
from stemwright_server.dialects.dialect import Dialect
from stemwright_server.http.socketio import SocketEvents
from stemwright_server.routes.metrics.router import Metrics
from stemwright_server.settings import SECTIONS, Settings, environment_name
from stemwright_server.settings_section import FILE, is_secret
from stemwright_server.wiring.api import build_app, build_context, build_deps
from stemwright_worker.contract.signing import Verifier

ROOT = Path(__file__).resolve().parents[2]

_HEAD = """# Settings of the service

Read from the environment by `stemwright serve`, `worker`, `webhooks` and `storage` and by Celery workers, and from the file
`.env` in the current folder, if there is one: the environment wins over the file, and an option on the command line over both.
Written by `server/scripts/write_docs.py` from `settings/` and `dialects/*/settings.py` of the server, and from
`settings/` of the worker: change it there.

Each secret can stand in a file in place of the environment: where the table says "Or `NAME_FILE`", that names the file, as
secrets of Docker, Kubernetes and systemd (`LoadCredential=`) have one. Its content is the value, less one newline at its end.
`NAME` and `NAME_FILE` both set: the command ends with an error that names them. The file is read at the start; start again
after replacing a secret.
"""

_TABLE = """
## {title}

| variable | default | meaning |
| --- | --- | --- |
"""

_ENV_HEAD = """# Copy to .env and fill in what you need: every line is commented out at its default. Written by
# server/scripts/write_docs.py from the settings; docs/settings.md is the same as a page. `stemwright serve`, `worker` and
# the other commands read .env from the folder they are started in, and so do Celery workers.
#
# A service that others can reach needs JWT_SECRET; POST /split needs DEMUCSSVC_TOKEN; workers elsewhere need
# STEMWRIGHT_WORKER_SECRET. Make each with: openssl rand -hex 32
#
# deploy/docker-compose.yml needs JWT_SECRET, STEMWRIGHT_WORKER_SECRET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY and these:
#POSTGRES_PASSWORD=
#RABBITMQ_PASSWORD=

# Caps on the memory of its containers of the API and of workers.
#API_MEMORY=4g
#WORKER_MEMORY=8g
"""


def settings_page() -> str:
    """docs/settings.md."""
    page = _HEAD
    for section in SECTIONS:
        page += _TABLE.format(title=(section.__doc__ or "").rstrip("."))
        for name in section.__annotations__:
            if (field := Settings.model_fields.get(name)) is not None:
                default = _written(field.default)
                shown = f"`{default}`" if default else ""
                page += f"| `{environment_name(name)}` | {shown} | {field.description}{_or_file(name)} |\n"
    return page


def _or_file(name: str) -> str:
    """The other way to give a secret."""
    return f" Or `{environment_name(name)}{FILE}`." if is_secret(Settings.model_fields[name]) else ""


def _written(default: Any) -> str:
    """As one would write it into the environment."""
    return ",".join(default) if isinstance(default, tuple) else "" if default is None else str(default)


def app() -> FastAPI:
    """The app with nothing behind it: for its description."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(SqlJobRepository(sqlite_engine(Path(folder, "jobs.db")))) as repository,
    ):
        blobs = LocalBlobs(Path(folder), Path(folder, ".parts"), secret=b"", min_free_bytes=0)
        wakeups, settings = InProcessWakeUps(), Settings.model_construct(demucssvc_token=SecretStr("x" * 32))
        deps = build_deps(settings, repository, blobs, wakeups, AnnouncedServices(repository))
        context = build_context(settings, deps, wakeups, AnonymousAuthenticator())
        metrics = Metrics(cast(Any, None), data_dir=Path(folder))
        return build_app(settings, context, Verifier([]), metrics, SocketEvents([]))


def described(dialect: Dialect[Any]) -> dict[str, Any]:
    """The OpenAPI document of one dialect: its routes, and the schemas that they use."""
    document: dict[str, Any] = json.loads(json.dumps(app().openapi()))
    tags = {dialect.name, *dialect.openapi_tags}
    found = {}
    for path, methods in document["paths"].items():
        own = {method: route for method, route in methods.items() if tags & set(route["tags"])}
        if own:
            found[path] = own
    schemas = document["components"]["schemas"]
    used: dict[str, Any] = {}
    waiting = _references(found)
    while waiting:
        name = waiting.pop()
        if name not in used:
            used[name] = schemas[name]
            waiting |= _references(schemas[name])
    kept = {name: schemas[name] for name in schemas if name in used}
    ways = {
        name for path in found.values() for each in path.values() for way in each.get("security", ()) for name in way
    }
    schemes = {name: value for name, value in document["components"]["securitySchemes"].items() if name in ways}
    components = {"schemas": kept} | ({"securitySchemes": schemes} if schemes else {})
    return _by_short_names(document | {"paths": found, "components": components})


def _by_short_names(document: dict[str, Any]) -> dict[str, Any]:
    """Schemas of other dialects have the same names, so that the app's own document has those of modules before them."""
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    for name in schemas:
        short = name.rpartition("__")[2]
        if short != name and short not in schemas:
            text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{short}"')
            text = text.replace(f'"{name}": {{', f'"{short}": {{')
    shortened: dict[str, Any] = json.loads(text)
    return shortened


def _references(part: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(part)))


def env_example() -> str:
    """.env.example: every setting, commented out at its default."""
    text = _ENV_HEAD
    for section in SECTIONS:
        text += f"\n# ---- {(section.__doc__ or '').rstrip('.')}\n"
        for name in section.__annotations__:
            if (field := Settings.model_fields.get(name)) is not None:
                text += (
                    f"\n# {field.description}{_or_file(name)}\n#{environment_name(name)}={_written(field.default)}\n"
                )
    return text


def pages() -> dict[Path, str]:
    """Every generated file, from the root of the repository, and what it has to be."""
    found = {Path("docs/settings.md"): settings_page(), Path(".env.example"): env_example()}
    for dialect in DIALECTS:
        page = yaml.safe_dump(described(dialect), sort_keys=False, allow_unicode=True, width=120)
        found[Path(f"dev/openapi/{dialect.openapi or dialect.name}.yaml")] = str(page)
    return found


if __name__ == "__main__":
    for path, text in pages().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
        print(path)
