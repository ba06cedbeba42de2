"""Reading the settings where a command begins: what is wrong with them is said there, a line for each."""

from __future__ import annotations

import sys
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from stemwright_worker.errors import InvalidRequest
from stemwright_worker.settings.env_file import read_env_file
from stemwright_worker.settings.section import Section, environment_name

S = TypeVar("S", bound=Section)


def read_section(section: type[S], **given: Any) -> S:
    """The settings: options, then the environment, then the file. Raises SystemExit, having said what is wrong."""
    try:
        read_env_file()
        return section(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        end(*(_said(section, wrong) for wrong in error.errors(include_url=False)))
    except InvalidRequest as error:
        end(str(error))


def end(*lines: str) -> NoReturn:
    """Say what is wrong, a line for each, and end the process with 2."""
    for line in lines:
        print(f"stemwright: error: {line}", file=sys.stderr)
    raise SystemExit(2) from None


def _said(section: type[Section], wrong: Any) -> str:
    field = str(wrong["loc"][0]) if wrong["loc"] else ""
    name = environment_name(section, field) if field in section.model_fields else field or "settings"
    return f"{name}: {wrong['msg']}"
