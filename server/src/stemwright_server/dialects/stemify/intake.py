"""What POST /stemify asks, and how it becomes a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stemwright_server.dialects.stemify.wire import FILENAME
from stemwright_server.domain.job import Job, JobOptions, JobState
from stemwright_server.domain.work import find_by_name
from stemwright_server.http.ids import request_id
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.blobs import Part
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.estimate import Estimate, estimate
from stemwright_server.usecases.submit import Linked, Sent, Source, SubmitRequest, submit
from stemwright_worker.errors import InvalidRequest
from stemwright_worker.ports.sources import SourceFetcher

YOUTUBE = "youtube"  # the source that fetches links
UNTITLED = "YouTube video"  # until its worker knows the title
_FIELDS = ("youtube_url", "model", "output_format", "normalize")
_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


@dataclass(frozen=True, kw_only=True)
class StemifyLimits:
    """What this dialect takes, within what the service takes."""

    default_model: str
    max_bytes: int  # of a file
    max_seconds: float  # of its audio
    youtube_max_seconds: float  # of a video


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The fields of the form, understood."""

    model: str
    params: Mapping[str, Any]
    youtube_url: str | None

    @classmethod
    def of(cls, fields: Mapping[str, str], default_model: str) -> Asked:
        """Empty fields count as not given. Raises InvalidRequest."""
        if unknown := set(fields) - set(_FIELDS):
            names = f"file, {', '.join(_FIELDS)}"
            raise InvalidRequest(f"There is no field {min(unknown)!r}; there are: {names}.", code="unknown_field")
        given = {name: value.strip() for name, value in fields.items() if value.strip()}
        params: dict[str, Any] = {}
        if "output_format" in given:
            params["format"] = given["output_format"].lower()
        normalize = given.get("normalize", "false").lower()
        if normalize not in _BOOLEANS:
            raise InvalidRequest(f"normalize is {normalize!r}: true or false is meant.")
        if _BOOLEANS[normalize]:
            params["normalize"] = True
        return cls(model=given.get("model", default_model), params=params, youtube_url=given.get("youtube_url"))


class Intake:
    """Makes jobs of what is asked."""

    def __init__(self, deps: Deps, limits: StemifyLimits, *, links: SourceFetcher | None) -> None:
        """``links`` looks at a ``youtube_url`` before its job is queued; None: there are no links."""
        self.deps = deps
        self._limits = limits
        self._links = links

    @property
    def max_bytes(self) -> int:
        """Of a file."""
        return min(self._limits.max_bytes, self.deps.limits.max_bytes)

    def submit(
        self, caller: Principal, fields: Mapping[str, str], file: tuple[str, Part] | None, *, key: str | None
    ) -> tuple[Job, Estimate]:
        """Queue the job of a form; ``file``: its name and bytes. Raises what the use cases raise."""
        asked = Asked.of(fields, self._limits.default_model)
        if (file is None) == (asked.youtube_url is None):
            code = "no_input" if file is None else "two_inputs"
            raise InvalidRequest("Give one of file and youtube_url.", code=code)
        found = find_by_name(self.deps.planner.services(), asked.model)
        work = self.deps.planner.plan(found, asked.params)
        meant = [work.service, work.model, asked.params]
        if file is None:
            source, submit_request = self._link(asked.youtube_url or "", meant, key)
        else:
            source, submit_request = self._file(*file, meant, key)
        job = submit(self.deps, caller, source, work, submit_request).job
        return job, self._estimate(job)

    def _file(self, filename: str, part: Part, meant: Sequence[Any], key: str | None) -> tuple[Source, SubmitRequest]:
        options = _options(max_seconds=self._limits.max_seconds, labels={FILENAME: filename})
        return Sent(part=part, filename=filename), SubmitRequest(
            request_id=request_id(), options=options, key=key, meant=meant
        )

    def _link(self, url: str, meant: Sequence[Any], key: str | None) -> tuple[Source, SubmitRequest]:
        if self._links is None:
            raise InvalidRequest("This service takes no links; upload the file.", code="links_off")
        self._links.check(url)
        options = _options(max_seconds=self._limits.youtube_max_seconds)
        submit_request = SubmitRequest(request_id=request_id(), options=options, key=key, meant=[url, *meant])
        return Linked(url=url, source=YOUTUBE, filename=UNTITLED), submit_request

    def _estimate(self, job: Job) -> Estimate:
        if job.state is JobState.COMPLETED:
            return Estimate(seconds=0.0)
        track = self.deps.repository.track(job.track_id)
        workers = [worker for worker in self.deps.workers.present() if job.service in worker.services]
        return estimate(
            self.deps,
            service=job.service,
            model=job.model,
            duration=track.duration if track is not None else None,
            devices={worker.device for worker in workers},
        )


def _options(*, max_seconds: float, labels: Mapping[str, str] | None = None) -> JobOptions:
    # Every call makes a job of its own, which its caller may delete without taking it from another. What an equal one
    # made is copied into it.
    return JobOptions(dialect="stemify", sharing="copy", max_seconds=max_seconds, labels=labels or {})
