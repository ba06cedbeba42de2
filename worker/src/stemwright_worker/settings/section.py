"""What every section of the settings is made of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from stemwright_worker.errors import InvalidRequest

FILE = "_FILE"
"""At the end of a secret's name: the file that it stands in, as Docker, Kubernetes and systemd hand secrets over."""
_MOST_BYTES = 64 << 10

_MIN_SECRET = 32  # characters: shorter ones can be guessed from one signature


class Section(BaseSettings):
    """Read from the environment. A name without the prefix STEMWRIGHT_ is one that other tools use for the same thing."""

    model_config = SettingsConfigDict(env_prefix="STEMWRIGHT_", extra="ignore", frozen=True, populate_by_name=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options, the environment, and the files that it names for secrets."""
        return init_settings, _SecretFiles(settings_cls), env_settings


class _SecretFiles(PydanticBaseSettingsSource):
    """``JWT_SECRET_FILE=/run/secrets/jwt``: what stands in the file is the value of ``JWT_SECRET``."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The content of the file that is named for a secret, if one is.

        Raises:
            InvalidRequest: it cannot be read, or the secret is given twice.
        """
        alias = field.validation_alias
        name = alias if isinstance(alias, str) else f"STEMWRIGHT_{field_name.upper()}"
        path = os.environ.get(name + FILE) if is_secret(field) else None
        if not path:
            return None, name, False
        if os.environ.get(name):
            raise InvalidRequest(f"{name} and {name}{FILE} are both set; keep one of them.", code="secret_given_twice")
        return _content(name + FILE, path), alias if isinstance(alias, str) else field_name, False

    def __call__(self) -> dict[str, Any]:
        """Those that are named."""
        values = (self.get_field_value(field, name) for name, field in self.settings_cls.model_fields.items())
        return {key: value for value, key, _ in values if value is not None}


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting may be given as a file."""
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


def _content(name: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        text = data.decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"  # never a byte of what is in it
        raise InvalidRequest(f"{name}: {path!r} cannot be read: {reason}.", code="bad_secret_file") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or len(data) > _MOST_BYTES:
        said = f"is larger than {_MOST_BYTES} bytes" if text else "is empty"
        raise InvalidRequest(f"{name}: {path!r} {said}.", code="bad_secret_file")
    return text


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
