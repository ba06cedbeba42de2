"""The settings of the upload API."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stemwright_server.settings_section import Rate, Section

Keep = Annotated[float, Field(ge=0)] | None
HOSTED, HOSTED_AFTER_DOWNLOAD = 3600.0, 900.0
"""Seconds, as the document has them."""
FOR_EVER = 100 * 365.25 * 86400.0
"""Seconds. A time of removal that nobody sees come."""


class WebserverSettings(Section):
    """The upload API (`/api/upload`)."""

    webserver: bool = Field(True, description="Whether this API is served.")
    webserver_model: str = Field("htdemucs_ft", description="Model of an upload that names none.")
    webserver_format: str = Field("mp3", description="Format of the stems of an upload that names none.")
    webserver_max_file_size: int = Field(
        100 << 20, gt=0, description="Cap on an upload by this API, bytes; MAX_FILE_SIZE holds as well."
    )
    webserver_keep_seconds: Keep | Literal["auto"] = Field(
        "auto",
        description="Jobs of this API, with upload and stems, are removed so long after their end, s; `none`: they stay "
        "until somebody removes them. `auto`: `none` on a machine of one's own (nobody signs in, and only this machine "
        "reaches the service), an hour elsewhere.",
    )
    webserver_keep_after_download: Keep | Literal["auto"] = Field(
        "auto",
        description="The same from the end of a download of the whole zip, s: long enough to resume it and to go on "
        "listening; `none`: a download changes nothing. `auto`: `none` on a machine of one's own, 900 elsewhere.",
    )
    webserver_upload_rate: Rate = Field(
        "120/hour", description="Files that a caller may upload by this API. Empty: no limit."
    )
    webserver_rate: Rate = Field("6000/minute", description="Other calls of this API. Empty: no limit.")
