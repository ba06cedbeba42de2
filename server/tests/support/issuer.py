"""An OpenID Connect issuer for tests: a web server with a discovery document and a key set, and the keys to sign with."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from origin import Origin, body, serving

DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/keys"
_JWK: Mapping[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


def new_key(algorithm: str) -> Any:
    """A private key for it."""
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, algorithm: str, **more: Any) -> dict[str, Any]:
    """The public half, as a key set has it."""
    found: dict[str, Any] = _JWK[algorithm].to_jwk(key.public_key(), as_dict=True)
    return found | {"use": "sig", "alg": algorithm} | more


class Issuer:
    """``keys``: by name, its algorithm and the private key. ``publish`` tells what is in the key set from then on."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.url = origin.url
        self.keys: dict[str, tuple[str, Any]] = {}
        origin.answers[DISCOVERY] = body(json.dumps({"issuer": self.url, "jwks_uri": self.url + JWKS}).encode())
        self.rotate("first")

    def rotate(self, kid: str, algorithm: str = "ES256", *, keep: bool = False) -> None:
        """A new key, in place of all others or beside them, is in the key set."""
        self.keys = (self.keys if keep else {}) | {kid: (algorithm, new_key(algorithm))}
        self.publish()

    def publish(self, *more: Mapping[str, Any]) -> None:
        """The keys, and whatever else, are in the key set."""
        listed = [jwk(key, algorithm, kid=kid) for kid, (algorithm, key) in self.keys.items()]
        self.origin.answers[JWKS] = body(json.dumps({"keys": [*listed, *more]}).encode())

    def token(self, kid: str = "first", **changes: Any) -> str:
        """One of this issuer; ``changes`` to its claims, None for one that it has not."""
        algorithm, key = self.keys[kid]
        now = time.time()
        claims = {"iss": self.url, "sub": "somebody", "iat": now, "exp": now + 60} | changes
        said = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(said, key, algorithm=algorithm, headers={"kid": kid})

    def asked(self, path: str = JWKS) -> int:
        """How often it was asked for a document."""
        return sum(each == path for each, _ in self.origin.asked)


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer on a free port, with one key called ``first``."""
    with serving() as origin:
        yield Issuer(origin)
