"""Callers prove who they are by a JSON Web Token of an issuer whose public keys are fetched: OpenID Connect, or a key set."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jwt

from stemwright_server.adapters.auth.claims import MAX_SUBJECT, ROLES_CLAIM, bearer_token, roles_of, subject_of
from stemwright_server.adapters.auth.key_ring import KeyRing
from stemwright_server.ports.auth import ISSUED, Principal
from stemwright_worker.errors import Unauthenticated

ANY_ISSUER = ""
_LEEWAY = 10.0  # seconds that an issuer's clock may be ahead of ours


class IssuedTokenAuthenticator:
    """Implements ports.auth.Authenticator: tokens signed by RS256, ES256 or EdDSA, with ``iss``, ``sub`` and ``exp``.

    A key is used with the algorithm of its own kind and with no other, so that a token signed with a public key as if that
    were a secret holds as little as one that is not signed.
    """

    def __init__(
        self, rings: Mapping[str, KeyRing], *, audience: str | None = None, roles_claim: str = ROLES_CLAIM
    ) -> None:
        """``rings``: keys by issuer. Under ``ANY_ISSUER``, and then alone: of a key set whose issuers are not told apart."""
        self._rings = rings
        self._audience = audience
        self._roles_claim = roles_claim

    def preparation(self, authorization: str | None) -> Callable[[], None] | None:
        try:
            ring, kid, _ = self._signer(bearer_token(authorization))
        except Unauthenticated:
            return None  # as it will be told
        return partial(ring.ask, kid) if ring.is_worth_asking(kid) else None

    def authenticate(self, authorization: str | None) -> Principal:
        token = bearer_token(authorization)
        ring, kid, issuer = self._signer(token)
        key = ring.find(kid)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],  # never the token's own word for it
                audience=self._audience,
                issuer=issuer,
                leeway=_LEEWAY,
                options={"require": ["iss", "sub", "exp"], "verify_aud": self._audience is not None},
            )
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(f"The token does not hold: {error}.") from error
        if claims["exp"] <= time.time():  # the leeway is for clocks that are ahead, not for tokens that are over
            raise Unauthenticated("The token does not hold: Signature has expired.")
        owner = f"{ISSUED}{issuer}|{subject_of(claims)}"
        if len(owner) > MAX_SUBJECT:
            raise Unauthenticated(f"The token's issuer and subject are longer than {MAX_SUBJECT} characters together.")
        return Principal(subject=owner, roles=roles_of(claims, self._roles_claim))

    def _signer(self, token: str) -> tuple[KeyRing, str, str]:
        """Whose keys to look at, for which one, and the issuer: as the token says, which nobody believes yet.

        Raises Unauthenticated, without having asked anybody, for an issuer that is not one of ours.
        """
        try:
            kid = jwt.get_unverified_header(token).get("kid", "")
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")  # it is verified with the key
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(f"The token does not hold: {error}.") from error
        if not isinstance(issuer, str) or not issuer or "|" in issuer or not issuer.isprintable():
            raise Unauthenticated("The token does not say who issued it (iss).")
        ring = self._rings.get(issuer) or self._rings.get(ANY_ISSUER)
        if ring is None:
            raise Unauthenticated("The token's issuer (iss) is none that is trusted here.")
        return ring, kid if isinstance(kid, str) else "", issuer
