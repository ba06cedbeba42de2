"""Every setting: name, default, meaning. Read by bootstrap and the command line only; documented in docs/settings.md.

One section a file; ``Settings`` is all of them.
"""

from __future__ import annotations

from stemwright_server.settings.core import CoreSettings
from stemwright_server.settings.section import Section

SECTIONS: tuple[type[Section], ...] = (CoreSettings,)  # in the order of the page


class Settings(CoreSettings):
    """All sections."""


def environment_name(field: str) -> str:
    """The environment variable of a setting."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"STEMWRIGHT_{field.upper()}"
