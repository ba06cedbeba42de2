"""What every section of the settings is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, StringConstraints
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Section(BaseSettings):
    """Read from the environment. A name without the prefix STEMWRIGHT_ is one that other tools use for the same thing."""

    model_config = SettingsConfigDict(env_prefix="STEMWRIGHT_", extra="ignore", frozen=True, populate_by_name=True)


def _comma_separated(value: object) -> object:
    """``a,b``, or a JSON list as one document writes it: ``["*"]``."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip(" \"'") for part in value.strip("[] ").split(",") if part.strip(" \"'"))


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated)]

Rate = Annotated[str, StringConstraints(pattern=r"^([1-9]\d* ?/ ?([1-9]\d* )?(second|minute|hour|day))?$")]
