"""Signatures: what holds, and everything that does not."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from stemwright_worker.contract.signing import SIGNATURE, TIMESTAMP, Verifier, sign, standard_headers
from stemwright_worker.errors import Unsigned

NOW = 1_700_000_000.5


def verifier(*secrets: str, now: float = NOW) -> Verifier:
    return Verifier(secrets or ("secret",), clock=lambda: now)


def test_it_is_hmac_sha256_over_body_bar_timestamp() -> None:
    mac = hmac.new(b"secret", b'{"a":1}|1700000000', hashlib.sha256).hexdigest()
    assert sign(b'{"a":1}', secret="secret", now=NOW) == {SIGNATURE: f"sha256={mac}", TIMESTAMP: "1700000000"}


def test_what_was_signed_holds_with_either_secret_while_one_is_replaced() -> None:
    for secret in ("new", "old"):
        verifier("new", "old").verify(b"body", sign(b"body", secret=secret, now=NOW))


def test_a_signature_holds_once() -> None:
    headers, checks = sign(b"body", secret="secret", now=NOW), verifier()
    checks.verify(b"body", headers)
    with pytest.raises(Unsigned) as caught:
        checks.verify(b"body", headers)
    assert caught.value.code == "replayed"
    checks.verify(b"other", sign(b"other", secret="secret", now=NOW))


def test_a_seen_signature_is_forgotten_only_when_it_is_too_old_anyway() -> None:
    now = NOW
    checks = Verifier(["secret"], clock=lambda: now)
    headers = sign(b"body", secret="secret", now=NOW + 299)
    checks.verify(b"body", headers)
    for later, code in ((100, "replayed"), (598, "replayed"), (601, "timestamp_expired")):
        now = NOW + later
        with pytest.raises(Unsigned) as caught:
            checks.verify(b"body", headers)
        assert caught.value.code == code


@pytest.mark.parametrize("off", [-301, 301, 1e9])
def test_an_old_or_future_timestamp_does_not_hold(off: float) -> None:
    with pytest.raises(Unsigned) as caught:
        verifier(now=NOW + off).verify(b"body", sign(b"body", secret="secret", now=NOW))
    assert caught.value.code == "timestamp_expired"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({SIGNATURE: "sha256=" + "0" * 64}, "bad_signature"),
        ({SIGNATURE: ""}, "signature_missing"),
        ({SIGNATURE: "é"}, "signature_malformed"),
        ({SIGNATURE: "0" * 64}, "signature_malformed"),
        ({SIGNATURE: "sha1=" + "0" * 40}, "signature_malformed"),
        ({TIMESTAMP: "1700000001"}, "bad_signature"),  # the time is signed, too
        ({TIMESTAMP: ""}, "signature_missing"),
        ({TIMESTAMP: "1e9"}, "signature_malformed"),
        ({TIMESTAMP: "\u0661700000000"}, "signature_malformed"),  # digits to Python, not to HTTP
        ({TIMESTAMP: "9" * 5000}, "signature_malformed"),
    ],
)
def test_changed_headers_do_not_hold(changes: dict[str, str], code: str) -> None:
    with pytest.raises(Unsigned) as caught:
        verifier().verify(b"body", sign(b"body", secret="secret", now=NOW) | changes)
    assert caught.value.code == code


def test_another_body_or_secret_does_not_hold() -> None:
    for body, secret in ((b"other", "secret"), (b"body", "other")):
        with pytest.raises(Unsigned):
            verifier().verify(body, sign(b"body", secret=secret, now=NOW))


def test_no_secret_lets_nobody_in() -> None:
    with pytest.raises(Unsigned):
        Verifier(["", ""], clock=lambda: NOW).verify(b"body", sign(b"body", secret="", now=NOW))


def test_hex_in_capitals_is_the_same_signature_and_no_way_around_the_memory() -> None:
    headers, checks = sign(b"body", secret="secret", now=NOW), verifier()
    loud = headers | {SIGNATURE: headers[SIGNATURE].upper().replace("SHA256", "sha256")}
    checks.verify(b"body", loud)
    with pytest.raises(Unsigned) as caught:
        checks.verify(b"body", headers)
    assert caught.value.code == "replayed"


def test_standard_webhooks_sign_id_timestamp_and_body_with_every_key() -> None:
    headers = standard_headers(b'{"a":1}', message_id="msg_1", keys=[b"new", b"old"], now=NOW)
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1700000000")
    macs = [hmac.new(key, b'msg_1.1700000000.{"a":1}', hashlib.sha256).digest() for key in (b"new", b"old")]
    assert headers["webhook-signature"] == " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)
