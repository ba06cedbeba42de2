"""Workers' tokens: what holds, and everything that does not."""

from __future__ import annotations

import base64
import json

import pytest

from stemwright_worker.contract.signing import Verifier, sign
from stemwright_worker.contract.worker_token import ALL_SERVICES, WORKER_TOKEN, mint, signing_key
from stemwright_worker.errors import Forbidden, Unsigned

NOW = 1_700_000_000.0
SECRET = "s" * 32


def verifier(*secrets: str, now: float = NOW) -> Verifier:
    return Verifier(secrets or (SECRET,), clock=lambda: now)


def signed(token: str) -> dict[str, str]:
    key, headers = signing_key(token)
    return sign(b"body", secret=key, now=NOW) | headers


def refused(headers: dict[str, str], *, now: float = NOW) -> str:
    with pytest.raises(Unsigned) as caught:
        verifier(now=now).verify(b"body", headers)
    return caught.value.code


def said(**claims: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()


def test_a_token_is_for_the_services_that_it_names() -> None:
    found = verifier().verify(b"body", signed(mint(SECRET, services=["whisper", "pitch"], expires_at=NOW + 60)))
    found.check("whisper", "pitch")
    found.check()
    with pytest.raises(Forbidden, match="for pitch, whisper, not for demucs"):
        found.check("whisper", "demucs")


def test_the_secret_itself_is_for_all() -> None:
    assert verifier().verify(b"body", sign(b"body", secret=SECRET, now=NOW)) == ALL_SERVICES
    assert signing_key(SECRET) == (SECRET, {})


def test_a_token_of_the_secret_before_holds_while_it_is_replaced() -> None:
    verifier("n" * 32, SECRET).verify(b"body", signed(mint(SECRET, services=["a"], expires_at=NOW + 60)))


def test_a_token_is_over_when_it_says_so() -> None:
    assert refused(signed(mint(SECRET, services=["a"], expires_at=NOW))) == "token_expired"


def test_the_secret_is_in_no_part_of_it_and_its_key_does_not_travel() -> None:
    token = mint(SECRET, services=["a"], expires_at=NOW + 60)
    key, headers = signing_key(token)
    assert SECRET not in token
    assert key not in "".join(signed(token).values())
    assert token == f"swt1.{headers[WORKER_TOKEN]}.{key}"


def test_what_a_token_says_cannot_be_changed_or_left_out() -> None:
    headers = signed(mint(SECRET, services=["whisper"], expires_at=NOW + 60))
    wider = said(exp=int(NOW) + 60, services=["demucs", "whisper"])
    later = said(exp=int(NOW) + 6000, services=["whisper"])
    for other in (wider, later, headers[WORKER_TOKEN] + "AA"):
        assert refused(headers | {WORKER_TOKEN: other}) in ("bad_signature", "token_malformed")
    del headers[WORKER_TOKEN]  # its key signs for nothing without what it is a key for
    assert refused(headers) == "bad_signature"


def test_a_token_of_another_secret_does_not_hold() -> None:
    assert refused(signed(mint("t" * 32, services=["a"], expires_at=NOW + 60))) == "bad_signature"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "!",
        "a" * 5000,
        "W10",
        said(),
        said(exp="x", services=[]),
        said(exp=1e400),
        said(exp=1, services=7),
        "\xff",
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    assert refused(sign(b"body", secret=SECRET, now=NOW) | {WORKER_TOKEN: text}) == "token_malformed"


@pytest.mark.parametrize("services", [[], [""], ["a b"], ["a,b"], ["x" * 65], ["-a"]])
def test_no_token_is_made_for_what_is_no_service(services: list[str]) -> None:
    with pytest.raises(ValueError, match="service"):
        mint(SECRET, services=services, expires_at=NOW)
