"""From a request of the split dialect to a job: which model, which params, which links."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from stemwright_server.dialects.split.wire import SplitRequest
from stemwright_server.domain.job import Extras, Webhook
from stemwright_server.ports.catalogue import Catalogue
from stemwright_worker.contract.service import ServiceModel
from stemwright_worker.errors import Forbidden, InvalidRequest
from stemwright_worker.ports.sources import SourceFetcher, SourceRefused

KIND = "split"  # of its jobs and webhooks
VERSION_ID, BASE_URL = "version_id", "base_url"  # labels of its jobs
_OURS = ("uploads", "outputs")  # folders of the store


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What ``submit_link`` is to be told."""

    service: str
    model: str
    params: Mapping[str, Any]
    url: str
    filename: str
    meant: Mapping[str, Any]
    extras: Extras


def translate(
    asked: SplitRequest,
    *,
    catalogue: Catalogue,
    source: SourceFetcher,
    webhooks: Collection[str],
    base_url: str,
    traceparent: str | None,
) -> Wanted:
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
    service, model = _find(catalogue, asked.ai_model)
    stems = _stems(asked, model)
    _check_upload_urls(asked, stems, source)
    return Wanted(
        service=service,
        model=model.name,
        params=_params(asked, model, stems),
        url=asked.audio_url,
        filename=_filename(asked.audio_url),
        meant=_meant(asked),
        extras=Extras(
            dialect=KIND,
            priority=asked.priority,
            private=True,
            webhook=Webhook(url=asked.webhook, kind=KIND),
            upload_urls=asked.upload_urls or {},
            labels={VERSION_ID: asked.version_id, BASE_URL: base_url},
            correlation_id=asked.correlation_id,
            traceparent=traceparent,
        ),
    )


def _find(catalogue: Catalogue, name: str) -> tuple[str, ServiceModel]:
    """The document's ``aiModel`` names weights, which are models here; a service's name means its default."""
    known = [(offer.name, model) for offer in catalogue.offers() for model in offer.models()]
    named = [found for found in known if found[1].name == name]
    of_model = sorted((found for found in known if found[0] == name), key=lambda found: not found[1].default)
    if not named and not of_model:
        words = ", ".join(model.name for _, model in known) or "none is installed"
        raise InvalidRequest(f"aiModel: there is no model {name!r}; there is: {words}.", code="unknown_model")
    return (named or of_model)[0]


def _stems(asked: SplitRequest, model: ServiceModel) -> tuple[str, ...]:
    """The stems that will be made."""
    if asked.stems is None:
        return model.outputs
    unknown = [stem for stem in asked.stems if stem not in model.outputs]
    if unknown:
        words = ", ".join(model.outputs)
        raise InvalidRequest(f"stems: {model.name} makes no {unknown[0]!r}; it makes: {words}.", code="unknown_stem")
    return tuple(stem for stem in model.outputs if stem in asked.stems)


def _params(asked: SplitRequest, model: ServiceModel, stems: tuple[str, ...]) -> Mapping[str, Any]:
    takes = model.params.get("properties", {})
    params: dict[str, Any] = {}
    if "format" in takes:
        params["format"] = asked.format
    elif asked.format != "wav":
        raise InvalidRequest(f"format: {model.name} makes wav only, not {asked.format!r}.", code="bad_params")
    if stems != model.outputs:
        if "stems" not in takes:
            raise InvalidRequest(f"stems: {model.name} makes all of its stems, never some.", code="bad_params")
        params["stems"] = list(stems)
    return params


def _check_upload_urls(asked: SplitRequest, stems: tuple[str, ...], source: SourceFetcher) -> None:
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
