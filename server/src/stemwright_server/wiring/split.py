"""The wiring of the split dialect and of webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from fastapi import FastAPI

    from stemwright_server.http.common import Callers
    from stemwright_server.settings import Settings
    from stemwright_server.usecases.deps import Deps
    from stemwright_server.usecases.webhook_dispatcher import WebhookDispatcher
    from stemwright_server.usecases.workers import WorkerRegistry

_log = structlog.get_logger(__name__)


def include_split(app: FastAPI, settings: Settings, deps: Deps, callers: Callers, registry: WorkerRegistry) -> None:
    """The routes of the split dialect, as far as the settings turn it on."""
    from stemwright_server.dialects.split.router import SplitConfig, healthz_router, split_router

    app.include_router(healthz_router())
    if settings.demucssvc_token is None:
        _log.info("split_is_off", reason="POST /split and GET /queue/status answer 404 until DEMUCSSVC_TOKEN is set")
        return
    from stemwright_worker.sources.http import HttpSources

    config = SplitConfig(secrets=_tokens(settings), webhooks=frozenset(settings.api_webhook_url_allowlist))
    app.include_router(split_router(deps, config, HttpSources(settings.source_origin_allowlist), callers, registry))


def build_dispatcher(settings: Settings, deps: Deps) -> WebhookDispatcher:
    """What sends the webhooks of ended jobs. A dialect that has some adds how their bodies are made here."""
    from stemwright_server.adapters.webhooks.http import HttpWebhooks
    from stemwright_server.dialects.split.request import KIND as SPLIT
    from stemwright_server.dialects.split.webhook import SplitWebhook
    from stemwright_server.dialects.webserver.intake import DIALECT as WEBSERVER
    from stemwright_server.dialects.webserver.webhook import WebserverWebhook
    from stemwright_server.domain.delivery import Backoff
    from stemwright_server.settings.webhooks import webhook_key
    from stemwright_server.usecases.outbox import Outbox, WebhookKeys
    from stemwright_server.usecases.webhook_dispatcher import WebhookDispatcher

    tokens = _tokens(settings)
    both = (settings.webhook_secret, settings.webhook_secret_previous)
    standard = [webhook_key(each.get_secret_value()) for each in both if each is not None]
    allowed = frozenset(settings.api_webhook_url_allowlist)
    outbox = Outbox(
        deps=deps,
        sender=HttpWebhooks(allowed, seconds=settings.webhook_seconds),
        bodies={SPLIT: SplitWebhook(deps), WEBSERVER: WebserverWebhook(deps)},
        keys=WebhookKeys(token=tokens[0] if tokens else None, standard=standard or [each.encode() for each in tokens]),
        allowed=allowed,
        backoff=Backoff(tries=settings.webhook_tries, first=settings.webhook_retry_seconds),
        send_seconds=settings.webhook_seconds,
    )
    return WebhookDispatcher(outbox, hands=settings.webhook_senders)


def _tokens(settings: Settings) -> list[str]:
    """Those that hold now, the current one first; none if there is no current one."""
    both = (settings.demucssvc_token, settings.demucssvc_token_previous)
    return [each.get_secret_value() for each in both if each is not None] if settings.demucssvc_token else []
