"""How a request for work becomes a job."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from stemwright_server.dialects.studio.webhook import BASE_URL
from stemwright_server.dialects.studio.wire import ProcessRequest, ProcessResponse
from stemwright_server.domain.inputs import Input
from stemwright_server.domain.job import Job, JobOptions, JobState, Webhook
from stemwright_server.domain.lifecycle import Followed
from stemwright_server.domain.work import Work, find
from stemwright_server.http.ids import request_id
from stemwright_server.ports.auth import Principal
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.record import apply
from stemwright_server.usecases.submit import Stored, SubmitRequest, submit
from stemwright_worker.errors import InvalidRequest

DIALECT = "studio"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request for work and what came with it."""

    request: ProcessRequest  # body and query together
    caller: Principal
    key: str | None  # its Idempotency-Key
    base_url: str  # of the service, for what is told later


class Processing:
    """Makes jobs of what is asked."""

    def __init__(self, deps: Deps, webhooks: Collection[str] | None) -> None:
        """``webhooks``: URLs that may be told of a job's end; None: there is no key to sign with."""
        self._deps = deps
        self._webhooks = webhooks

    def process(self, asked: Asked) -> ProcessResponse:
        """Queue a job, or find the one that does this work, or did it.

        Raises:
            InvalidRequest: what ``submit`` raises, and for a callback_url that is not to be told.
        """
        request, url = asked.request, asked.request.callback_url
        if url is not None:
            self._check_callback(url)
        planner = self._deps.planner
        work = planner.plan(find(planner.services(), request.model or "", request.variation), request.params)
        meant = [request.model, request.variation, request.params, *([] if url is None else [url])]
        webhook = None if url is None else Webhook(url=url, kind=DIALECT)
        labels = {} if url is None else {BASE_URL: asked.base_url}
        submit_request = SubmitRequest(
            request_id=request_id(),
            options=JobOptions(dialect=DIALECT, webhook=webhook, labels=labels),
            key=asked.key,
            meant=meant,
        )
        source = Stored(inputs=_counted(request, work))
        submission = submit(self._deps, asked.caller, source, work, submit_request)
        job = submission.job
        if webhook is not None and not self._is_told(job, webhook, labels):
            # It ended, or tells another: a job of its own, which takes over what that one made.
            own = replace(
                submit_request, options=replace(submit_request.options, sharing="copy"), key=_second(asked.key)
            )
            job = submit(self._deps, asked.caller, source, work, own).job
        return ProcessResponse(job_id=job.id, status=job.state, skipped=job.state is JobState.COMPLETED)

    def _is_told(self, job: Job, webhook: Webhook, labels: Mapping[str, str]) -> bool:
        """Whether the end of the job is told there, or will be."""
        if job.options.webhook is not None or job.state.final:
            return job.options.webhook == webhook
        followed = apply(self._deps, job.id, Followed(webhook=webhook, labels=labels))
        return followed is not None and followed.accepted

    def _check_callback(self, url: str) -> None:
        if self._webhooks is None:
            raise InvalidRequest(
                "This service has no key to sign callbacks with; ask its operator to set WEBHOOK_SECRET, or follow the job.",
                code="webhooks_off",
            )
        if url not in self._webhooks:
            raise InvalidRequest(
                "The callback_url is not on API_WEBHOOK_URL_ALLOWLIST; it has to be spelled exactly as it stands there.",
                code="webhook_not_allowed",
            )


def _second(key: str | None) -> str | None:
    """The key under which the second job of a request is found, if the request comes again."""
    return None if key is None else "callback:" + hashlib.sha256(key.encode()).hexdigest()


def _counted(request: ProcessRequest, work: Work) -> Sequence[Input]:
    """What is to be taken in, as many as the model takes. Raises InvalidRequest, naming the field."""
    inputs = request.all_inputs()
    try:
        work.check_count(len(inputs))
    except InvalidRequest as error:
        where = "inputs" if request.inputs is not None or work.inputs.least > 1 else "file_id"
        raise InvalidRequest(f"{where}: {error}", code=error.code) from error
    return inputs
