"""The settings of the upload API."""

from __future__ import annotations

from pydantic import Field

from stemwright_server.settings_section import Rate, Section


class WebserverSettings(Section):
    """The upload API (`/api/upload`)."""

    webserver: bool = Field(True, description="Whether this API is served.")
    webserver_model: str = Field("htdemucs_ft", description="Model of an upload that names none.")
    webserver_format: str = Field("mp3", description="Format of the stems of an upload that names none.")
    webserver_max_file_size: int = Field(
        100 << 20, gt=0, description="Cap on an upload by this API, bytes; MAX_FILE_SIZE holds as well."
    )
    webserver_keep_seconds: float = Field(
        3600.0, gt=0, description="Jobs of this API, with upload and stems, are removed so long after their end, s."
    )
    webserver_keep_after_download: float | None = Field(
        900.0,
        ge=0,
        description="The same from the end of a download of the whole zip, s: long enough to resume it and to go on "
        "listening. `none`: a download changes nothing.",
    )
    webserver_upload_rate: Rate = Field(
        "120/hour", description="Files that a caller may upload by this API. Empty: no limit."
    )
    webserver_rate: Rate = Field("6000/minute", description="Other calls of this API. Empty: no limit.")
