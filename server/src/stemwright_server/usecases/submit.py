"""Asking for work on a track."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from stemwright_server.domain.errors import Gone, InvalidRequest, ServiceError
from stemwright_server.domain.job import Job
from stemwright_server.domain.track import TrackState
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.catalogue import Offer
from stemwright_server.ports.jobs import IdempotencyKey, Submission
from stemwright_server.usecases.access import owned_track
from stemwright_server.usecases.parts import Parts
from stemwright_server.usecases.upload import receive

DEFAULT_VARIATION = "default"  # may be said instead of naming none


def submit(
    parts: Parts,
    caller: Principal,
    *,
    track_id: str,
    model: str,
    variation: str | None,
    params: Mapping[str, Any],
    key: str | None,
    request_id: str,
) -> Submission:
    """Queue a job, or find the one that does or did the same work, or that the idempotency key stands for.

    Raises NotFound, Conflict (not uploaded yet), Gone, UnusableInput, InvalidRequest, StorageFull.
    """
    track = owned_track(parts, caller, track_id)
    if track.state is TrackState.PENDING:
        track = receive(parts, track.id)
    if track.state is TrackState.EXPIRED:
        raise Gone(f"The bytes of {track.filename!r} were removed after their retention time; upload the song again.")
    offer = _offer(parts, model)
    chosen = _default(offer) if variation in (None, "", DEFAULT_VARIATION) else str(variation)
    complete = _checked(offer, chosen, params)
    outputs = offer.outputs(chosen, complete)
    parts.blobs.check_room()
    now = parts.clock()
    job = Job(
        id=uuid.uuid4().hex,
        track_id=track.id,
        owner=caller.subject,
        model=offer.name,
        variation=chosen,
        params=complete,
        outputs=outputs,
        work_key=_hash([track.id, offer.name, chosen, complete]),
        created_at=now,
        available_at=now,
        request_id=request_id,
    )
    fingerprint = _hash([track_id, model, variation, params])
    idempotency = IdempotencyKey(owner=caller.subject, key=key, fingerprint=fingerprint) if key else None
    submission = parts.repository.submit(job, key=idempotency)
    if submission.created:
        parts.broker.ring()
        parts.notifier.tell(submission.job)
    return submission


def _offer(parts: Parts, model: str) -> Offer:
    offer = parts.catalogue.offer(model)
    if offer is None:
        known = ", ".join(offer.name for offer in parts.catalogue.offers()) or "none is installed"
        raise InvalidRequest(f"There is no model {model!r}; there is: {known}.", code="unknown_model")
    return offer


def _default(offer: Offer) -> str:
    variations = offer.variations()
    if not variations:
        raise InvalidRequest(f"The model {offer.name!r} has no variation at hand.", code="unknown_variation")
    return next((each.name for each in variations if each.default), variations[0].name)


def _checked(offer: Offer, variation: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return offer.check(variation, params)
    except ServiceError:
        raise
    except Exception as error:
        code = getattr(error, "code", None)
        if code is None:
            raise  # a fault of the model's own, not of the request
        raise InvalidRequest(str(error), code=code) from error


def _hash(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
