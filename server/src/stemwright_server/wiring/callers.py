"""The wiring of who calls: which adapter of ``ports.auth`` the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from stemwright_server.ports.auth import Authenticator
from stemwright_server.settings import Settings
from stemwright_worker.errors import InvalidRequest

if TYPE_CHECKING:
    from stemwright_server.adapters.auth.key_ring import KeyRing

_log = structlog.get_logger(__name__)


def build_authenticator(settings: Settings, *, closed: bool = False) -> Authenticator:
    """Who tells callers apart. ``closed``: where no token is asked for, nobody is let in, instead of everybody.

    Raises:
        InvalidRequest: an issuer is none that keys may be fetched from.
    """
    if not settings.sign_in and closed:
        from stemwright_server.adapters.auth.closed import ClosedAuthenticator

        return ClosedAuthenticator()
    if not settings.sign_in:
        from stemwright_server.adapters.auth.anonymous import AnonymousAuthenticator

        return AnonymousAuthenticator()
    if settings.jwt_secret is None:
        return _by_fetched_keys(settings)
    from stemwright_server.adapters.auth.jwt import JwtAuthenticator

    return JwtAuthenticator(
        [each.get_secret_value() for each in (settings.jwt_secret, settings.jwt_secret_previous) if each],
        algorithm=settings.jwt_algorithm,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer or None,
        roles_claim=settings.jwt_roles_claim,
    )


def _by_fetched_keys(settings: Settings) -> Authenticator:
    from stemwright_server.adapters.auth.issued import ANY_ISSUER, IssuedTokenAuthenticator

    issuers = settings.jwt_issuer or (ANY_ISSUER,)
    key_sets = settings.jwt_jwks_url or (None,) * len(issuers)
    rings = {
        issuer: _key_ring(settings, issuer or None, key_set) for issuer, key_set in zip(issuers, key_sets, strict=True)
    }
    if settings.jwt_audience is None:
        _log.warning("audience_not_checked", issuers=list(settings.jwt_issuer))
    for ring in rings.values():
        ring.start()
    return IssuedTokenAuthenticator(rings, audience=settings.jwt_audience, roles_claim=settings.jwt_roles_claim)


def _key_ring(settings: Settings, issuer: str | None, key_set: str | None) -> KeyRing:
    from stemwright_server.adapters.auth.key_ring import KeyRing
    from stemwright_server.adapters.auth.key_source import KeySource, check_issuer_url

    allowed = settings.source_origin_allowlist
    try:
        if key_set is None or not key_set:
            check_issuer_url(issuer or "", allowed)
        else:
            check_issuer_url(key_set, allowed)
    except ValueError as error:
        name = "JWT_JWKS_URL" if key_set else "JWT_ISSUER"
        raise InvalidRequest(f"{name}: {error}.", code="bad_issuer") from error
    return KeyRing(
        issuer or key_set or "",
        KeySource(issuer=issuer, key_set=key_set, allowlist=allowed),
        every=settings.jwt_keys_seconds,
        hold=settings.jwt_keys_hold_seconds,
    )
