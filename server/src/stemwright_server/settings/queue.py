"""The settings of the queue and the store of record."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from stemwright_server.settings_section import Names, Section

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

    max_queued: int = Field(
        1000, ge=0, description="Jobs of one caller that may wait at once; more are answered with 429. 0: any number."
    )
    urgent_subjects: Names = Field(
        (),
        description="Subjects of tokens that may ask for a priority over 5, comma-separated; `*`: all. The split dialect's "
        "caller always may, and everybody where nobody has to sign in.",
    )
    broker_url: SecretStr | None = Field(
        None,
        validation_alias="BROKER_URL",
        description="The broker of Celery workers: amqp://user:password@host:5672/ (RabbitMQ) or redis://host:6379/0. "
        "With one, `serve` starts no workers of its own unless STEMWRIGHT_WORKERS says so. Unset: REDIS_URL, if the "
        "extra stemwright-server[celery] is installed; `serve` then has its own workers as well.",
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
