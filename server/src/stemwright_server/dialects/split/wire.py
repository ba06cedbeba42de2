"""What the split dialect says and hears, in the words of its documents. These shapes stay here."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from stemwright_server.domain.job import JobState
from stemwright_worker.errors import InvalidRequest

Url = Annotated[str, StringConstraints(min_length=1, max_length=8192)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
# A part of a storage key; "uploads" and "outputs" are ours.
VersionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
CorrelationId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]  # goes into headers and logs


class _Signed(BaseModel):
    """A signed body. Unknown fields are a mistake worth saying."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """What ``body`` asks, whose signature held.

        Raises:
            InvalidRequest: a field is missing, unknown or not as documented.
        """
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            raise InvalidRequest(f"{where}: {first['msg']}.") from error


class SplitRequest(_Signed):
    """A mix to take apart."""

    version_id: VersionId = Field(description="The caller's own id: comes back in the webhook, and names the folder.")
    audio_url: Url = Field(description="GET, usually presigned. https and public, unless its origin is on the list.")
    ai_model: Name = Field(description="A model or one of its variations.", examples=["htdemucs"])
    webhook: Url = Field(description="Exactly one of API_WEBHOOK_URL_ALLOWLIST.")
    correlation_id: CorrelationId | None = Field(None, description="Comes back in the webhook; is in every log line.")
    upload_urls: Annotated[dict[Name, Url], Field(min_length=1, max_length=32)] | None = Field(
        None, description="A presigned PUT for each stem. Without them, stems go to the service's own store."
    )
    stems: Annotated[list[Name], Field(min_length=1, max_length=32)] | None = Field(
        None, description="Only these stems; all of the model's if none are named."
    )
    format: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{2,8}$")] = Field("wav", description="Of the stems.")
    priority: Annotated[int, Field(ge=0, le=9, strict=True)] = Field(5, description="A higher one is done first.")


class SplitCancelRequest(_Signed):
    """The job to call off."""

    job_id: str = Field(description="The job of the path, once more.")


class SplitResponse(BaseModel):
    """The job is queued."""

    job_id: str = Field(alias="jobId")


class SplitCancelResponse(BaseModel):
    """The job is called off."""

    job_id: str = Field(alias="jobId")
    status: JobState


class HealthzResponse(BaseModel):
    """The API answers."""

    ok: bool = True


class QueueStatusResponse(BaseModel):
    """How much there is to do, and who does it."""

    queue_depth: int = Field(description="Jobs that wait for a worker.")
    active_workers: int = Field(description="Workers that asked for work lately, or are at it.")
    completed_jobs: int = Field(description="So far; jobs that were removed since are among them.")
    failed_jobs: int = Field(description="Likewise.")
