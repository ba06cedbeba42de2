"""Signing of bodies.

Between us and those who share a secret: ``X-Signature: sha256=<hex of HMAC-SHA256(secret, body | timestamp)>`` and
``X-Timestamp``, both ways. On webhooks, the headers of Standard Webhooks beside them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from stemwright_worker.contract.worker_token import ALL_SERVICES, WORKER_TOKEN, Credential, credential, token_key
from stemwright_worker.errors import Unsigned

SIGNATURE = "X-Signature"
TIMESTAMP = "X-Timestamp"
WINDOW_SECONDS = 300
SEEN_SECONDS = 2 * WINDOW_SECONDS  # a signature made at the far end of the window is remembered to its near end

_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")
_TIMESTAMP = re.compile(r"[0-9]{1,15}")


def _signature(secret: str, body: bytes, timestamp: str) -> str:
    mac = hmac.new(secret.encode(), body + b"|" + timestamp.encode(), hashlib.sha256)
    return f"sha256={mac.hexdigest()}"


def sign(body: bytes, *, secret: str, now: float) -> dict[str, str]:
    """The two headers that sign ``body`` at ``now`` (unix seconds). A GET signs the empty body."""
    timestamp = str(int(now))
    return {SIGNATURE: _signature(secret, body, timestamp), TIMESTAMP: timestamp}


def standard_headers(body: bytes, *, message_id: str, keys: Sequence[bytes], now: float) -> dict[str, str]:
    """The three headers of Standard Webhooks: one signature for each key, so that receivers can change over."""
    timestamp = str(int(now))
    signed = f"{message_id}.{timestamp}.".encode() + body
    macs = [base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{mac}" for mac in macs),
    }


def check_signature(body: bytes, headers: Mapping[str, str], *, secrets: Sequence[str], now: float) -> str:
    """The signature in ``headers`` (any mapping that finds the two names), if one of ``secrets`` signed ``body`` so.

    Raises:
        Unsigned: codes ``signature_missing``, ``signature_malformed``, ``timestamp_expired``, ``bad_signature``.
    """
    signature, timestamp = headers.get(SIGNATURE, "").lower(), headers.get(TIMESTAMP, "")
    if not signature or not timestamp:
        raise Unsigned(f"{SIGNATURE if not signature else TIMESTAMP} is missing.", code="signature_missing")
    if _SIGNATURE.fullmatch(signature) is None:
        raise Unsigned(f"{SIGNATURE} has to be sha256= and 64 hex digits.", code="signature_malformed")
    if _TIMESTAMP.fullmatch(timestamp) is None:
        raise Unsigned(f"{TIMESTAMP} has to be whole unix seconds.", code="signature_malformed")
    if abs(now - int(timestamp)) > WINDOW_SECONDS:
        raise Unsigned(
            f"{TIMESTAMP} is more than {WINDOW_SECONDS} s off our clock; sign the request again.",
            code="timestamp_expired",
        )
    expected = [_signature(secret, body, timestamp) for secret in secrets if secret]
    # All are compared, each in constant time, so that the time says nothing about which one fits.
    if not sum(hmac.compare_digest(signature, each) for each in expected):
        raise Unsigned(f"{SIGNATURE} does not fit body and {TIMESTAMP}.", code="bad_signature")
    return signature


class Verifier:
    """Checks signatures and remembers them, in this process: no two requests of our own workers are signed alike."""

    def __init__(self, secrets: Sequence[str], *, clock: Callable[[], float] = time.time) -> None:
        """``secrets``: all that hold now, two of them while one is being replaced."""
        self._secrets = [secret for secret in secrets if secret]
        self._clock = clock
        self._lock = Lock()
        self._seen: dict[str, float] = {}  # signature -> when it may be forgotten; insertion order is time order

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Credential:
        """What the signer may do. Raises Unsigned unless ``headers`` sign ``body`` now, for the first time (``replayed``)."""
        now, secrets, found = self._clock(), self._secrets, ALL_SERVICES
        if (said := headers.get(WORKER_TOKEN)) is not None:
            found = credential(said, now=now)
            secrets = [token_key(secret, said) for secret in secrets]
        self._remember(check_signature(body, headers, secrets=secrets, now=now), now)
        return found

    def _remember(self, signature: str, now: float) -> None:
        with self._lock:
            while self._seen and next(iter(self._seen.values())) < now:
                del self._seen[next(iter(self._seen))]
            if signature in self._seen:
                raise Unsigned("This signed request was received before.", code="replayed")
            self._seen[signature] = now + SEEN_SECONDS
