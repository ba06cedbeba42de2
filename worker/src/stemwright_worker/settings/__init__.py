"""The settings of workers: name, default, meaning. The server's settings are these and its own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from stemwright_worker.ports.sources import YOUTUBE_HOSTS
from stemwright_worker.settings.section import Names, Section, long_enough


class YouTubeSettings(Section):
    """Links to videos."""

    youtube_download_dir: Path | None = Field(
        None,
        validation_alias="YOUTUBE_DOWNLOAD_DIR",
        description="Where workers download from YouTube; each download has a folder of its own in it for its time. "
        "Unset: the worker's own folder.",
    )
    youtube_max_duration: float = Field(
        600.0, gt=0, validation_alias="YOUTUBE_MAX_DURATION", description="Cap on a video's length, seconds."
    )
    youtube_seconds: float = Field(600.0, gt=0, description="How long a download from YouTube may take.")
    youtube_hosts: Names = Field(
        YOUTUBE_HOSTS,
        description="Hosts that `youtube_url` may point at, comma-separated; their subdomains count. Empty: off.",
    )


class WorkerSettings(YouTubeSettings):
    """Workers."""

    worker_secret: SecretStr | None = Field(
        None,
        description="Key that workers outside `stemwright serve` sign with (32 characters at least). At a worker: it, or what "
        "`stemwright workers token` prints, which is for some services and for some time.",
    )
    api_url: str = Field(
        "http://127.0.0.1:8080",
        description="Where `stemwright worker`, `stemwright-worker run` and Celery workers find the service.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", validation_alias="LOG_LEVEL", description="Least severe log line that is written."
    )
    debug: bool = Field(False, validation_alias="DEBUG", description="The same as LOG_LEVEL=DEBUG.")

    models: Names = Field(
        (), description="Services to offer and to run, comma-separated. Empty: all that are installed."
    )
    services_path: str | None = Field(
        None,
        description="Folders of services that have an environment of their own, FOLDER/NAME/.venv, separated by `:`. Each "
        "service gets worker processes in its environment. Unset: `services` of the checkout that this runs from; empty: none.",
    )
    probe: str = Field(
        "",
        description="Which installed probe decodes uploads. Empty: the first; `none`: none, and only their first bytes "
        "are looked at.",
    )
    workers: int | None = Field(
        None,
        ge=0,
        description="Worker processes that `serve` and `stemwright worker` start for each environment of services; 0: "
        "`serve` starts none. Unset: one for each GPU, or one on the CPU.",
    )
    device: str = Field("auto", description="Device of a single worker: auto, cpu, cuda, cuda:1 ...")
    demucs_gpu_enabled: bool = Field(
        True, validation_alias="DEMUCS_GPU_ENABLED", description="false: workers compute on the CPU, whatever there is."
    )
    heartbeat_seconds: float = Field(15.0, gt=0, description="Longest time between two reports of a worker.")
    stop_seconds: float = Field(10.0, gt=0, description="What a worker gets to end in good order on shutdown.")
    finish_seconds: float = Field(
        0.0,
        ge=0,
        description="What a worker outside `serve` that is told to go (SIGTERM) gets to finish its job in, before it gives it "
        "back. 0: it gives it back at once.",
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

    source_origin_allowlist: Names = Field(
        (),
        validation_alias="SOURCE_ORIGIN_ALLOWLIST",
        description="Origins (`scheme://host[:port]`, comma-separated) that may be plain http or private when a file is "
        "fetched from there or uploaded to there.",
    )
    enable_tracing: bool = Field(
        False,
        validation_alias="OBSERVABILITY_ENABLE_TRACING",
        description="Send OpenTelemetry traces to OTEL_EXPORTER_OTLP_ENDPOINT. Needs stemwright-server[tracing], or "
        "stemwright-worker[tracing] where only workers run.",
    )
    otlp_endpoint: str = Field(
        "http://localhost:4318",
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="Where a collector takes OTLP over HTTP.",
    )

    @field_validator("worker_secret")
    @classmethod
    def _secret_is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        return long_enough(value)

    @field_validator("source_origin_allowlist")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from stemwright_worker.net.addresses import origins  # only where something is listed

        if value:
            origins(value)
        return value

    @property
    def log_threshold(self) -> str:
        """LOG_LEVEL, or DEBUG if that is asked for."""
        return "DEBUG" if self.debug else self.log_level

    @property
    def worker_device(self) -> str:
        """STEMWRIGHT_DEVICE, unless DEMUCS_GPU_ENABLED forbids it."""
        return self.device if self.demucs_gpu_enabled else "cpu"

    @property
    def traces_endpoint(self) -> str | None:
        """Where traces go; None: nobody traces."""
        return self.otlp_endpoint if self.enable_tracing else None
