"""The keys in a key set (RFC 7517) that callers' tokens may be signed with, each with the one algorithm that it is for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Signatures by keys whose public half makes no signature: so nobody who knows a key set can sign."""
_MAX_KEYS = 100  # issuers have two to four
_LEAST_RSA_BITS = 2048
_KINDS: Mapping[tuple[str, str], str] = {
    ("RSA", ""): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
_SAID: Mapping[str, tuple[str, ...]] = {"EdDSA": ("EdDSA", "Ed25519")}  # its two names, RFC 8037 and RFC 9864


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """A key, and the algorithm it is for: that of its own kind, whatever a token says."""

    kid: str  # "": it has no name
    algorithm: str
    key: jwt.PyJWK


class BadKeySet(ValueError):
    """What came is no key set, or none with a key in it that can be used."""


def public_keys(document: bytes) -> Sequence[PublicKey]:
    """The keys of a key set that can be used; others, such as those for encryption, are left out.

    Raises:
        BadKeySet: it is none, or has no such key, or too many.
    """
    listed = json_object(document).get("keys")
    if not isinstance(listed, list):
        raise BadKeySet("it is no key set: it has no list `keys`")
    if len(listed) > _MAX_KEYS:
        raise BadKeySet(f"it has {len(listed)} keys; at most {_MAX_KEYS} are taken")
    found = [key for each in listed if isinstance(each, Mapping) and (key := _public_key(each)) is not None]
    if not found:
        raise BadKeySet(f"none of its {len(listed)} keys is a public key for {', '.join(ALGORITHMS)}")
    return found


def json_object(document: bytes) -> Mapping[str, Any]:
    """The object that a document is. Raises BadKeySet."""
    try:
        value = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise BadKeySet("it is not JSON") from error
    if not isinstance(value, dict):
        raise BadKeySet("it is no JSON object")
    return value


def _public_key(said: Mapping[str, Any]) -> PublicKey | None:
    kind = (said.get("kty"), said.get("crv", "") if said.get("kty") != "RSA" else "")
    algorithm = _KINDS.get(kind) if all(isinstance(part, str) for part in kind) else None  # type: ignore[arg-type]
    kid = said.get("kid", "")
    if algorithm is None or not isinstance(kid, str) or not _is_for_signatures(said, algorithm):
        return None
    try:
        key = jwt.PyJWK(dict(said), algorithm=algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):  # its numbers make no key
        return None
    if algorithm == "RS256" and key.key.key_size < _LEAST_RSA_BITS:
        return None
    return PublicKey(kid=kid, algorithm=algorithm, key=key)


def _is_for_signatures(said: Mapping[str, Any], algorithm: str) -> bool:
    """Whether it is a public key that verifies. One whose private half was published proves nothing any more."""
    operations = said.get("key_ops", ["verify"])
    return (
        "d" not in said
        and said.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and said.get("alg", algorithm) in _SAID.get(algorithm, (algorithm,))
    )
