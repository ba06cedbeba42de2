"""From a request of the split dialect to what ``submit`` is told: which work, which links."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from stemwright_server.dialects.split.wire import SplitRequest
from stemwright_server.domain.job import JobOptions, Webhook
from stemwright_server.domain.work import Offered, Work, find_by_name
from stemwright_server.ports.planner import Planner
from stemwright_server.usecases.submit import Linked, SubmitRequest
from stemwright_worker.errors import Forbidden, InvalidRequest
from stemwright_worker.ports.sources import SourceFetcher, SourceRefused

KIND = "split"  # of its jobs and webhooks
VERSION_ID, BASE_URL = "version_id", "base_url"  # labels of its jobs
SOURCE = "http"  # who fetches its links
_OURS = ("uploads", "outputs")  # folders of the store


def translate(
    asked: SplitRequest,
    *,
    planner: Planner,
    source: SourceFetcher,
    webhooks: Collection[str],
    base_url: str,
    request_id: str,
    key: str | None,
    traceparent: str | None,
) -> tuple[Linked, Work, SubmitRequest]:
    """Check all that can be checked without the network.

    Raises InvalidRequest, Forbidden (code ``webhook_not_allowed``), SourceRefused.
    """
    if asked.version_id in _OURS:
        raise InvalidRequest(f"versionId: {asked.version_id!r} is a folder of the service; choose another.")
    if asked.webhook not in webhooks:
        raise Forbidden(
            "The webhook is not on API_WEBHOOK_URL_ALLOWLIST; it has to be spelled exactly as it stands there.",
            code="webhook_not_allowed",
        )
    source.check(asked.audio_url)
    found = find_by_name(planner.services(), asked.ai_model)
    made = found.model.default_outputs
    stems = _stems(asked, found.model.name, made)
    _check_upload_urls(asked, stems, source)
    work = planner.plan(found, _params(asked, found, made, stems))
    options = JobOptions(
        dialect=KIND,
        priority=asked.priority,
        sharing="never",
        webhook=Webhook(url=asked.webhook, kind=KIND),
        upload_urls=asked.upload_urls or {},
        labels={VERSION_ID: asked.version_id, BASE_URL: base_url},
        correlation_id=asked.correlation_id,
        traceparent=traceparent,
    )
    link = Linked(url=asked.audio_url, source=SOURCE, filename=_filename(asked.audio_url))
    return link, work, SubmitRequest(request_id=request_id, options=options, key=key, meant=_meant(asked))


def _stems(asked: SplitRequest, model: str, made: Sequence[str]) -> Sequence[str]:
    """The stems that will be made."""
    if asked.stems is None:
        return made
    unknown = [stem for stem in asked.stems if stem not in made]
    if unknown:
        words = ", ".join(made)
        raise InvalidRequest(f"stems: {model} makes no {unknown[0]!r}; it makes: {words}.", code="unknown_stem")
    return [stem for stem in made if stem in asked.stems]


def _params(asked: SplitRequest, found: Offered, made: Sequence[str], stems: Sequence[str]) -> Mapping[str, Any]:
    takes, name = found.model.params.get("properties", {}), found.model.name
    params: dict[str, Any] = {}
    if "format" in takes:
        params["format"] = asked.format
    elif asked.format != "wav":
        raise InvalidRequest(f"format: {name} makes wav only, not {asked.format!r}.", code="bad_params")
    if len(stems) != len(made):
        if "stems" not in takes:
            raise InvalidRequest(f"stems: {name} makes all of its stems, never some.", code="bad_params")
        params["stems"] = list(stems)
    return params


def _check_upload_urls(asked: SplitRequest, stems: Sequence[str], source: SourceFetcher) -> None:
    if asked.upload_urls is None:
        return
    if set(asked.upload_urls) != set(stems):
        words = ", ".join(stems)
        raise InvalidRequest(f"uploadUrls: has to name exactly the stems to be made: {words}.", code="bad_upload_urls")
    if len(set(asked.upload_urls.values())) != len(stems):
        raise InvalidRequest("uploadUrls: two stems have the same URL.", code="bad_upload_urls")
    for stem, url in asked.upload_urls.items():
        try:
            source.check(url)
        except SourceRefused as error:
            raise InvalidRequest(f"uploadUrls.{stem}: {error}", code="upload_url_refused") from error


def _filename(url: str) -> str:
    """The last part of the URL's path, to be shown only."""
    last = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    return "".join(character for character in last if character.isprintable())[:200].strip() or "source"


def _meant(asked: SplitRequest) -> dict[str, Any]:
    """What the request means: links that are signed anew for a second try are the same links."""
    meant = asked.model_dump()
    meant["audio_url"] = asked.audio_url.partition("?")[0]
    meant["upload_urls"] = {stem: url.partition("?")[0] for stem, url in (asked.upload_urls or {}).items()}
    return meant
