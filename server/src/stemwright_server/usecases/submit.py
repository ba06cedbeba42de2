"""Asking for work on a track."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stemwright_server.domain.job import Extras, Job
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.jobs import IdempotencyKey, Submission, Waiting
from stemwright_server.usecases import job_log as job_log
from stemwright_server.usecases.access import owned_track
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.reuse import reuse_at_once
from stemwright_server.usecases.upload import receive
from stemwright_worker.contract.service import Offer
from stemwright_worker.errors import Gone, InvalidRequest, ServiceError
from stemwright_worker.ports.tracing import current_traceparent

DEFAULT_MODEL = "default"  # may be said instead of naming none


def submit(
    deps: Deps,
    caller: Principal,
    *,
    track_id: str,
    service: str,
    model: str | None,
    params: Mapping[str, Any],
    key: str | None,
    request_id: str,
    extras: Extras | None = None,
) -> Submission:
    """Queue a job, or find the one that does or did the same work, or that the idempotency key stands for.

    A private job (see ``Extras``) is always a new one, but for the key.

    Raises NotFound, Conflict (not uploaded yet), Gone, UnusableInput, InvalidRequest, StorageFull.
    """
    track = owned_track(deps, caller, track_id)
    if track.state is TrackState.PENDING:
        track = receive(deps, track.id)
    if track.state is TrackState.EXPIRED:
        raise Gone(f"The bytes of {track.filename!r} were removed after their retention time; upload the song again.")
    return _queue(
        deps,
        caller,
        track,
        service=service,
        model=model,
        params=params,
        key=key,
        fingerprint=_hash([track_id, service, model, params]),
        request_id=request_id,
        extras=extras or Extras(),
    )


def submit_link(
    deps: Deps,
    caller: Principal,
    *,
    url: str,
    source: str,
    filename: str,
    service: str,
    model: str | None,
    params: Mapping[str, Any],
    key: str | None,
    meant: Any,
    request_id: str,
    extras: Extras,
) -> Submission:
    """Queue a job on a file that its worker fetches with ``source`` from ``url``; nothing of it is kept here.

    ``meant``: what the request means, as JSON values: the same where the idempotency key comes again, although links are
    often signed anew. Raises InvalidRequest, StorageFull.
    """
    now = deps.clock()
    track = Track(
        id=uuid.uuid4().hex,
        owner=caller.subject,
        filename=filename,
        key="",
        created_at=now,
        upload_until=now,
        request_id=request_id,
        source=source,
        source_url=url,
        state=TrackState.REMOTE,
        used_at=now,
    )
    return _queue(
        deps,
        caller,
        track,
        service=service,
        model=model,
        params=params,
        key=key,
        fingerprint=_hash(meant),
        request_id=request_id,
        extras=extras,
    )


def check_work(deps: Deps, *, service: str, model: str, params: Mapping[str, Any]) -> None:
    """Raise InvalidRequest for work that ``submit`` would refuse, before a file is taken in for it."""
    _checked(_offer(deps, service), model, params)


def _queue(
    deps: Deps,
    caller: Principal,
    track: Track,
    *,
    service: str,
    model: str | None,
    params: Mapping[str, Any],
    key: str | None,
    fingerprint: str,
    request_id: str,
    extras: Extras,
) -> Submission:
    offer = _offer(deps, service)
    chosen = _default(offer) if model in (None, "", DEFAULT_MODEL) else str(model)
    complete = _checked(offer, chosen, params)
    outputs = offer.outputs(chosen, complete)
    deps.blobs.check_room()
    now = deps.clock()
    job = Job(
        id=uuid.uuid4().hex,
        track_id=track.id,
        owner=caller.subject,
        service=offer.name,
        model=chosen,
        params=complete,
        outputs=outputs,
        work_key=_hash([track.id, offer.name, chosen, complete, uuid.uuid4().hex if extras.private else ""]),
        created_at=now,
        available_at=now,
        request_id=request_id,
        extras=replace(extras, traceparent=current_traceparent.get() or extras.traceparent),
    )
    idempotency = IdempotencyKey(owner=caller.subject, key=key, fingerprint=fingerprint) if key else None
    submission = deps.repository.submit(job, key=idempotency, track=track if track.state is TrackState.REMOTE else None)
    if not submission.created:
        return submission
    job_log.created(submission.job)
    if extras.reuse and (done := reuse_at_once(deps, submission.job)) is not None:
        return Submission(job=done, created=True)
    deps.broker.wake(Waiting.of(submission.job))
    deps.notifier.tell(submission.job)
    return submission


def _offer(deps: Deps, service: str) -> Offer:
    offer = deps.catalogue.offer(service)
    if offer is None:
        known = ", ".join(offer.name for offer in deps.catalogue.offers()) or "none is installed"
        raise InvalidRequest(f"There is no model {service!r}; there is: {known}.", code="unknown_model")
    return offer


def _default(offer: Offer) -> str:
    models = offer.models()
    if not models:
        raise InvalidRequest(f"The model {offer.name!r} has no variation at hand.", code="unknown_variation")
    return next((each.name for each in models if each.default), models[0].name)


def _checked(offer: Offer, model: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return offer.check(model, params)
    except ServiceError:
        raise
    except Exception as error:
        code = getattr(error, "code", None)
        if code is None:
            raise  # a fault of the model's own, not of the request
        raise InvalidRequest(str(error), code=code) from error


def _hash(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
