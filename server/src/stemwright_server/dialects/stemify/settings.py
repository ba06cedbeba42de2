"""The settings of the stemify dialect, under the names that its document uses."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from stemwright_worker.settings import YouTubeSettings


class StemifySettings(YouTubeSettings):
    """The stemify dialect."""

    demucs_models_path: Path | None = Field(
        None,
        validation_alias="DEMUCS_MODELS_PATH",
        description="Folder of models of your own, in Demucs's formats. Read by workers of the service demucs.",
    )
    demucs_default_model: str = Field(
        "htdemucs", validation_alias="DEMUCS_DEFAULT_MODEL", description="The model of requests that name none."
    )
    demucs_weights_licence_accepted: bool = Field(
        False,
        validation_alias="DEMUCS_WEIGHTS_LICENCE_ACCEPTED",
        description="`true`: you have read the licence of the weights and may use them. Where ENVIRONMENT is `production`, "
        "as in the compose file, models whose weights are for research (htdemucs for one) run only then.",
    )
    demucs_max_file_size: int = Field(
        50 << 20,
        gt=0,
        validation_alias="DEMUCS_MAX_FILE_SIZE",
        description="Cap on a file that comes by /api/v1/stemify, bytes. MAX_FILE_SIZE holds for it as well.",
    )
    demucs_max_duration: float = Field(
        600.0,
        gt=0,
        validation_alias="DEMUCS_MAX_DURATION",
        description="Cap on such a file's audio, seconds. MAX_DURATION holds for it as well.",
    )
    api_rate_limit: int = Field(
        5,
        ge=0,
        validation_alias="API_RATE_LIMIT",
        description="Calls of POST /api/v1/stemify that a caller has in each period; 0: no limit.",
    )
    api_rate_limit_period: int = Field(
        3600, gt=0, validation_alias="API_RATE_LIMIT_PERIOD", description="The period of API_RATE_LIMIT, seconds."
    )

    @property
    def stemify_rate(self) -> str:
        """API_RATE_LIMIT and its period as one rate; empty: no limit."""
        return f"{self.api_rate_limit}/{self.api_rate_limit_period} second" if self.api_rate_limit else ""
