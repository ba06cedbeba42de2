"""Every setting: name, default, meaning. Read by bootstrap and the command line only; documented in docs/settings.md.

One section a file; ``Settings`` is all of them.
"""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from stemwright_server.settings.core import CoreSettings
from stemwright_server.settings.observability import ObservabilitySettings
from stemwright_server.settings.queue import QueueSettings
from stemwright_server.settings.section import Section
from stemwright_server.settings.sources import SourceSettings
from stemwright_server.settings.split import SplitSettings
from stemwright_server.settings.stemify import StemifySettings
from stemwright_server.settings.storage import StorageSettings
from stemwright_server.settings.webhooks import WebhookSettings
from stemwright_server.settings.webserver import WebserverSettings

SECTIONS: tuple[type[Section], ...] = (  # in the order of the page
    CoreSettings,
    StorageSettings,
    QueueSettings,
    SourceSettings,
    SplitSettings,
    WebhookSettings,
    WebserverSettings,
    StemifySettings,
    ObservabilitySettings,
)


class Settings(
    CoreSettings,
    StorageSettings,
    QueueSettings,
    SourceSettings,
    SplitSettings,
    WebhookSettings,
    WebserverSettings,
    StemifySettings,
    ObservabilitySettings,
):
    """All sections."""

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
    def signs_webhooks(self) -> bool:
        """Whether there is a key to sign webhooks with."""
        return any((self.webhook_secret, self.webhook_secret_previous, self.demucssvc_token))

    @property
    def worker_device(self) -> str:
        """STEMWRIGHT_DEVICE, unless DEMUCS_GPU_ENABLED forbids it."""
        return self.device if self.demucs_gpu_enabled else "cpu"


def environment_name(field: str) -> str:
    """The environment variable of a setting."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"STEMWRIGHT_{field.upper()}"
