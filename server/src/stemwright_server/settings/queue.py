"""The settings of the queue and the store of record."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from stemwright_server.settings.section import Section

_DATABASES = ("postgresql://", "postgres://", "postgresql+psycopg://", "sqlite:///")


class QueueSettings(Section):
    """Queue and database."""

    database_url: SecretStr | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="Where jobs are kept: postgresql://user:password@host/name, needed as soon as there are several "
        "API processes. Unset: SQLite in the data folder.",
    )
    database_pool: int = Field(15, gt=0, description="Connections to PostgreSQL that an API process holds at most.")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if not value.get_secret_value().startswith(_DATABASES):
            raise ValueError("has to begin with postgresql:// or sqlite:///")
        return value
