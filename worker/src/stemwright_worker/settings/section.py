"""What every section of the settings is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_MIN_SECRET = 32  # characters: shorter ones can be guessed from one signature


class Section(BaseSettings):
    """Read from the environment. A name without the prefix STEMWRIGHT_ is one that other tools use for the same thing."""

    model_config = SettingsConfigDict(env_prefix="STEMWRIGHT_", extra="ignore", frozen=True, populate_by_name=True)


def _comma_separated(value: object) -> object:
    """``a,b``, or a JSON list as one document writes it: ``["*"]``."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip(" \"'") for part in value.strip("[] ").split(",") if part.strip(" \"'"))


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated)]


def long_enough(value: SecretStr | None) -> SecretStr | None:
    """A secret that signs. ValueError if it is short."""
    if value is not None and len(value.get_secret_value()) < _MIN_SECRET:
        raise ValueError(f"has to be at least {_MIN_SECRET} characters; make one with: openssl rand -hex 32")
    return value


def environment_name(section: type[Section], field: str) -> str:
    """The environment variable of a setting."""
    alias = section.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"STEMWRIGHT_{field.upper()}"
