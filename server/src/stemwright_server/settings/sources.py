"""The settings of fetching: what strangers' URLs may lead to."""

from __future__ import annotations

from pydantic import Field, field_validator

from stemwright_server.settings_section import Names, Section


class SourceSettings(Section):
    """Files at callers' URLs."""

    source_origin_allowlist: Names = Field(
        (),
        validation_alias="SOURCE_ORIGIN_ALLOWLIST",
        description="Origins (`scheme://host[:port]`, comma-separated) that may be plain http or private when a file is "
        "fetched from there or uploaded to there.",
    )

    @field_validator("source_origin_allowlist")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from stemwright_worker.net.addresses import origins  # only where something is listed

        if value:
            origins(value)
        return value
