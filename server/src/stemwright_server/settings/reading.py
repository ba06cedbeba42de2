"""Reading the settings where a command begins: what is wrong with them is said there, a line for each."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from pydantic import ValidationError

from stemwright_server.settings import Settings, environment_name
from stemwright_server.settings.env_file import read_env_file
from stemwright_worker.errors import InvalidRequest


def read_settings(**given: Any) -> Settings:
    """The settings: options, then the environment, then the file. Raises SystemExit, having said what is wrong."""
    try:
        read_env_file()
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        end(*(_said(wrong) for wrong in error.errors(include_url=False)))
    except InvalidRequest as error:
        end(str(error))


def end(*lines: str) -> NoReturn:
    """Say what is wrong, a line for each, and end the process with 2."""
    for line in lines:
        print(f"stemwright: error: {line}", file=sys.stderr)
    raise SystemExit(2) from None


def _said(wrong: Any) -> str:
    field = str(wrong["loc"][0]) if wrong["loc"] else ""
    return f"{environment_name(field) if field in Settings.model_fields else field or 'settings'}: {wrong['msg']}"
