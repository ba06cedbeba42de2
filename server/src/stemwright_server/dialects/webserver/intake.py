"""What an upload asks, and how it becomes a job."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from stemwright_server.dialects.webserver.form import Upload
from stemwright_server.domain.job import Job, JobOptions, Webhook
from stemwright_server.domain.work import Work, find_by_name
from stemwright_server.http.ids import request_id
from stemwright_server.http.multipart import plain_filename
from stemwright_server.ports.auth import Principal
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.submit import Linked, Sent, SubmitRequest, submit
from stemwright_worker.contract.description import ModelDescription
from stemwright_worker.errors import InvalidRequest

DIALECT = "webserver"
# Labels: the service's own address, "" if it is not known, and one for webhooks, which is always there.
OWN_URL, BASE_URL = "own_url", "base_url"
LINKS = "http"  # the source that fetches a source_url
_FIELDS = (
    "model",
    "format",
    "stems",
    "two_stems",
    "shifts",
    "overlap",
    "dc_offset",
    "priority",
    "webhook_url",
    "source_url",
)


@dataclass(frozen=True, kw_only=True)
class WebserverRules:
    """What this dialect takes and how long it keeps it, within what the service does."""

    default_model: str
    default_format: str
    max_bytes: int  # of a file
    keep_seconds: float  # of a job, after its end
    keep_after_download: float | None


@dataclass(frozen=True, kw_only=True)
class UrlRules:
    """Which URLs of callers are taken."""

    webhooks: Collection[str] | None = ()  # those that may be told; None: there is nothing to sign what they are told
    source: Callable[[str], None] | None = None  # raises for a link that would never be fetched; None: no links


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Of the service, for what is told after the request."""

    own: str  # "": not known, since the caller's word for it does not count
    arrival: str  # the same, or else the address at which the request came in


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The fields of the form, understood."""

    work: Work
    meant: Sequence[Any]  # which work that is, in words that stay the same
    priority: int
    webhook_url: str | None
    source_url: str | None
    addresses: Addresses


class Intake:
    """Makes jobs of what is asked."""

    def __init__(self, deps: Deps, rules: WebserverRules, url_rules: UrlRules) -> None:
        self.deps = deps
        self.rules = rules
        self._url_rules = url_rules

    @property
    def max_bytes(self) -> int:
        """Of a file."""
        return min(self.rules.max_bytes, self.deps.limits.max_bytes)

    @property
    def takes_links(self) -> bool:
        """Whether ``source_url`` may be given."""
        return self._url_rules.source is not None

    def read(self, fields: Mapping[str, str], addresses: Addresses) -> Asked:
        """Understand the fields; empty ones count as not given. Raises InvalidRequest, SourceRefused."""
        if unknown := set(fields) - set(_FIELDS):
            raise InvalidRequest(
                f"There is no field {min(unknown)!r}; there are: audio_file, {', '.join(_FIELDS)}.",
                code="unknown_field",
            )
        given = {name: value.strip() for name, value in fields.items() if value.strip()}
        found = find_by_name(self.deps.planner.services(), given.get("model", self.rules.default_model))
        params = self._params(found.model, given)
        asked = Asked(
            work=self.deps.planner.plan(found, params),
            meant=[found.service, found.model.name, params],
            priority=_number(given, "priority", int, 5),
            webhook_url=given.get("webhook_url"),
            source_url=given.get("source_url"),
            addresses=addresses,
        )
        if not 0 <= asked.priority <= 9:
            raise InvalidRequest(f"priority is {asked.priority}: 0 to 9 is meant.", code="bad_params")
        self._check_urls(asked)
        return asked

    def submit_file(self, caller: Principal, asked: Asked, file: Upload, *, key: str | None) -> Job:
        """The job of an uploaded file."""
        sent = Sent(part=file.part, filename=file.filename, media_type=file.media_type, transient=True)
        submit_request = self._submit_request(asked, file.filename, asked.meant, key)
        return submit(self.deps, caller, sent, asked.work, submit_request).job

    def submit_link(self, caller: Principal, asked: Asked, *, key: str | None) -> Job:
        """The job of a link."""
        url = asked.source_url or ""
        filename = plain_filename(unquote(urlsplit(url).path))
        link = Linked(url=url, source=LINKS, filename=filename)
        submit_request = self._submit_request(asked, filename, [url.partition("?")[0], *asked.meant], key)
        return submit(self.deps, caller, link, asked.work, submit_request).job

    def _params(self, model: ModelDescription, given: Mapping[str, str]) -> dict[str, Any]:
        known = model.params.get("properties", {})
        params: dict[str, Any] = {}
        if given.get("stems", "all") != "all":
            params["stems"] = [name.strip() for name in given["stems"].split(",") if name.strip()]
        if "two_stems" in given:
            params["two_stems"] = given["two_stems"]
        if "shifts" in given:
            params["shifts"] = _number(given, "shifts", int, 0)
        if "overlap" in given:
            params["overlap"] = _number(given, "overlap", float, 0.0)
        if "dc_offset" in given:
            params["dc_offset"] = given["dc_offset"].lower()
        if "format" in given:
            params["format"] = given["format"].lower()
        if wrong := [name for name in params if name not in known]:
            raise InvalidRequest(f"The model {model.name!r} takes no {', '.join(wrong)}.", code="bad_params")
        if "format" in known:
            params.setdefault("format", self.rules.default_format)
        if "peaks" in known:
            params["peaks"] = True
        return params

    def _check_urls(self, asked: Asked) -> None:
        if asked.webhook_url is not None:
            self._check_webhook(asked.webhook_url)
        if asked.source_url is not None:
            if self._url_rules.source is None:
                raise InvalidRequest("This service takes no links; upload the file.", code="links_off")
            self._url_rules.source(asked.source_url)

    def _check_webhook(self, url: str) -> None:
        if self._url_rules.webhooks is None:
            raise InvalidRequest(
                "This service has no key to sign webhooks with; ask its operator to set WEBHOOK_SECRET, or ask for the "
                "job's status.",
                code="webhooks_off",
            )
        if url not in self._url_rules.webhooks:
            raise InvalidRequest(
                "The webhook_url is not on API_WEBHOOK_URL_ALLOWLIST; it has to be spelled exactly as it stands there.",
                code="webhook_not_allowed",
            )

    def _submit_request(self, asked: Asked, filename: str, meant: Sequence[Any], key: str | None) -> SubmitRequest:
        # Every upload is a job of its own, removed without taking anything from another.
        options = JobOptions(
            dialect=DIALECT,
            priority=asked.priority,
            sharing="copy",
            keep_seconds=self.rules.keep_seconds,
            max_bytes=self.max_bytes,
            webhook=None if asked.webhook_url is None else Webhook(url=asked.webhook_url, kind=DIALECT),
            labels={"filename": filename, OWN_URL: asked.addresses.own, BASE_URL: asked.addresses.arrival},
        )
        return SubmitRequest(request_id=request_id(), options=options, key=key, meant=meant)


def _number(given: Mapping[str, str], name: str, kind: Callable[[str], Any], default: Any) -> Any:
    if name not in given:
        return default
    try:
        number = kind(given[name])
        if math.isfinite(number):
            return number
    except (ValueError, OverflowError):  # the latter of a whole number that no float holds
        pass
    raise InvalidRequest(f"{name} is {given[name][:40]!r}: a number is meant.", code="bad_params")
