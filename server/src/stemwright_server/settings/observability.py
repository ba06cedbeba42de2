"""The settings of metrics and traces."""

from __future__ import annotations

from pydantic import Field

from stemwright_server.settings_section import Section


class ObservabilitySettings(Section):
    """Metrics and traces."""

    metrics: bool = Field(True, description="Whether the API answers GET /metrics.")
    prometheus_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        validation_alias="OBSERVABILITY_PROMETHEUS_PORT",
        description="A port of its own for /metrics, on HOST; 0 for a free one. Unset: only the API's own.",
    )
