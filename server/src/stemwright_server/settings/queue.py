"""The settings of the queue and the store of record."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from stemwright_server.settings_section import Section

_BROKERS = ("amqp://", "amqps://", "redis://", "rediss://")
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

    broker_url: SecretStr | None = Field(
        None,
        validation_alias="BROKER_URL",
        description="The broker of Celery workers: amqp://user:password@host:5672/ (RabbitMQ) or redis://host:6379/0. "
        "With one, `serve` starts no workers of its own unless STEMWRIGHT_WORKERS says so. Unset: REDIS_URL, if the "
        "extra stemwright-server[celery] is installed; `serve` then has its own workers as well.",
    )
    api_url: str = Field(
        "http://127.0.0.1:8080", description="Where `stemwright worker` and Celery workers find the service."
    )
    work_dir: Path | None = Field(
        None, description="Where workers outside `serve` keep the files of the task at hand. Unset: the system's place."
    )
    work_bytes: int | None = Field(
        None,
        gt=0,
        description="Cap on what one task may keep on the disk of its worker, bytes: the mix, the stems and temporary "
        "files. A job over it fails with `work_folder_full`. Unset: none.",
    )
    worker_least_priority: int = Field(
        0, ge=0, le=9, description="Workers take no job below this priority: some can be kept for what is urgent."
    )

    worker_nice: int = Field(
        5,
        ge=0,
        le=19,
        description="By how much worker processes on this machine give way to the API and others, as `nice` has it: "
        "status calls stay quick while jobs take all processors.",
    )

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if not value.get_secret_value().startswith(_DATABASES):
            raise ValueError("has to begin with postgresql:// or sqlite:///")
        return value

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if not value.get_secret_value().startswith(_BROKERS):
            raise ValueError("has to begin with amqp://, amqps://, redis:// or rediss://")
        return value

    @property
    def on_postgres(self) -> bool:
        """Whether jobs are kept where several API processes may share them."""
        return self.database_url is not None and self.database_url.get_secret_value().startswith("postgres")
