"""Signing of bodies: ``X-Signature: sha256=<hex of HMAC-SHA256(secret, body | timestamp)>`` and ``X-Timestamp``."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from stemwright_server.domain.errors import Forbidden

SIGNATURE = "X-Signature"
TIMESTAMP = "X-Timestamp"
WINDOW_SECONDS = 300


def _signature(secret: str, body: bytes, timestamp: str) -> str:
    mac = hmac.new(secret.encode(), body + b"|" + timestamp.encode(), hashlib.sha256)
    return f"sha256={mac.hexdigest()}"


def sign(body: bytes, *, secret: str, now: float) -> dict[str, str]:
    """The two headers that sign ``body`` at ``now`` (unix seconds). A GET signs the empty body."""
    timestamp = str(int(now))
    return {SIGNATURE: _signature(secret, body, timestamp), TIMESTAMP: timestamp}


class Verifier:
    """Checks signatures: right secret, within the window, and not seen before."""

    def __init__(self, secrets: Sequence[str], *, clock: Callable[[], float] = time.time) -> None:
        """``secrets``: all that hold now, two of them while one is being replaced."""
        self._secrets = [secret for secret in secrets if secret]
        self._clock = clock
        self._lock = Lock()
        self._seen: dict[str, float] = {}  # signature -> when it may be forgotten; insertion order is time order

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Raise Forbidden unless ``headers`` (any mapping that finds the two names) sign ``body`` now."""
        signature, timestamp = headers.get(SIGNATURE, ""), headers.get(TIMESTAMP, "")
        now = self._clock()
        if not timestamp.isascii() or not timestamp.isdigit() or abs(now - int(timestamp[:15])) > WINDOW_SECONDS:
            raise Forbidden(f"{TIMESTAMP} is missing or more than {WINDOW_SECONDS} s off.", code="bad_timestamp")
        expected = [_signature(secret, body, timestamp) for secret in self._secrets]
        # All are compared, each in constant time, so that the time says nothing about which one fits.
        if not sum(hmac.compare_digest(signature.encode(), each.encode()) for each in expected):
            raise Forbidden(f"{SIGNATURE} does not fit the body.", code="bad_signature")
        self._remember(signature, now)

    def _remember(self, signature: str, now: float) -> None:
        with self._lock:
            while self._seen and next(iter(self._seen.values())) < now:
                del self._seen[next(iter(self._seen))]
            if signature in self._seen:
                raise Forbidden("This signed request was received before.", code="replayed")
            self._seen[signature] = now + 2 * WINDOW_SECONDS
