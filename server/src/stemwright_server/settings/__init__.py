"""Every setting: name, default, meaning. Read by the wiring and the command line only; documented in docs/settings.md.

One section a file: those of the service here, that of each dialect in its folder. ``Settings`` is all of them.
"""

from __future__ import annotations

from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import model_validator

from stemwright_server.dialects import DIALECTS
from stemwright_server.settings.core import CoreSettings
from stemwright_server.settings.observability import ObservabilitySettings
from stemwright_server.settings.queue import QueueSettings
from stemwright_server.settings.storage import StorageSettings
from stemwright_server.settings.webhooks import WebhookSettings
from stemwright_server.settings_section import Section
from stemwright_worker.settings import WorkerSettings, YouTubeSettings
from stemwright_worker.settings.section import environment_name as name_in_environment


class ServiceSettings(
    CoreSettings,
    StorageSettings,
    QueueSettings,
    WorkerSettings,
    YouTubeSettings,
    WebhookSettings,
    ObservabilitySettings,
):
    """The sections of the service, in the order of the page."""

    @model_validator(mode="after")
    def _renewed_in_time(self) -> Self:
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ValueError(
                "heartbeat_seconds has to be at most half of lease_seconds, or a lease is lost by one delay"
            )
        return self

    @property
    def redis_address(self) -> str | None:
        """REDIS_URL with a database: its own, or REDIS_DB."""
        if self.redis_url is None or not self.redis_url.get_secret_value():
            return None
        parts = urlsplit(self.redis_url.get_secret_value())
        return urlunsplit(parts if parts.path.strip("/") else parts._replace(path=f"/{self.redis_db}"))

    @property
    def broker_address(self) -> str | None:
        """BROKER_URL, or else the Redis that is there anyway."""
        return self.broker_url.get_secret_value() if self.broker_url else self.redis_address


_OF_DIALECTS: tuple[type[Section], ...] = tuple(each.settings for each in DIALECTS if each.settings is not None)
SECTIONS: tuple[Any, ...] = (*ServiceSettings.__bases__, *_OF_DIALECTS)


class Settings(ServiceSettings, *_OF_DIALECTS):  # type: ignore[misc]  # which dialects there are is known at run time
    """All sections."""


def environment_name(field: str) -> str:
    """The environment variable of a setting."""
    return name_in_environment(Settings, field)
