"""Every setting: name, default, meaning. Read by the wiring and the command line only; documented in docs/settings.md.

One section a file: those of the service here, that of each dialect in its folder. ``Settings`` is all of them.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from stemwright_server.dialects import DIALECTS
from stemwright_server.settings.core import CoreSettings
from stemwright_server.settings.observability import ObservabilitySettings
from stemwright_server.settings.queue import QueueSettings
from stemwright_server.settings.sources import SourceSettings
from stemwright_server.settings.storage import StorageSettings
from stemwright_server.settings.webhooks import WebhookSettings
from stemwright_server.settings_section import Section


class ServiceSettings(
    CoreSettings, StorageSettings, QueueSettings, SourceSettings, WebhookSettings, ObservabilitySettings
):
    """The sections of the service, in the order of the page."""

    @property
    def log_threshold(self) -> str:
        """LOG_LEVEL, or DEBUG if that is asked for."""
        return "DEBUG" if self.debug else self.log_level

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

    @property
    def worker_device(self) -> str:
        """STEMWRIGHT_DEVICE, unless DEMUCS_GPU_ENABLED forbids it."""
        return self.device if self.demucs_gpu_enabled else "cpu"


_OF_DIALECTS: tuple[type[Section], ...] = tuple(each.settings for each in DIALECTS if each.settings is not None)
SECTIONS: tuple[Any, ...] = (*ServiceSettings.__bases__, *_OF_DIALECTS)


class Settings(ServiceSettings, *_OF_DIALECTS):  # type: ignore[misc]  # which dialects there are is known at run time
    """All sections."""


def environment_name(field: str) -> str:
    """The environment variable of a setting."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"STEMWRIGHT_{field.upper()}"
