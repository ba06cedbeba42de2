"""Tokens of issuers whose keys are fetched: who is let in, and what happens while keys change or the issuer is away."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Event, Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from issuer import DISCOVERY, JWKS, Issuer, issuing, jwk, new_key
from origin import body, serving, status
from service import until

from stemwright_server.adapters.auth.issued import ANY_ISSUER, IssuedTokenAuthenticator
from stemwright_server.adapters.auth.jwt import JwtAuthenticator
from stemwright_server.adapters.auth.key_ring import KeyRing
from stemwright_server.adapters.auth.key_source import KeySource, KeysUnavailable, check_issuer_url
from stemwright_server.adapters.auth.public_keys import BadKeySet, public_keys
from stemwright_server.ports.auth import Principal
from stemwright_worker.errors import Unauthenticated

HOLD = 1000.0


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class World:
    """An authenticator for issuers, whose rings end with the test."""

    def __init__(self, held: ExitStack) -> None:
        self.held = held
        self.clock = Clock()

    def issuer(self) -> Issuer:
        return self.held.enter_context(issuing())

    def ring(self, source: Callable[[], Any], name: str = "https://us.example", **more: Any) -> KeyRing:
        settings: dict[str, Any] = {"every": HOLD, "hold": HOLD, "pause": 0.0, "clock": self.clock}
        ring = KeyRing(name, source, **(settings | more))
        self.held.callback(ring.close)
        ring.start()
        return ring

    def trusting(self, *issuers: Issuer, audience: str | None = None, **more: Any) -> IssuedTokenAuthenticator:
        rings = {each.url: self.ring(KeySource(issuer=each.url, seconds=2.0), each.url, **more) for each in issuers}
        return IssuedTokenAuthenticator(rings, audience=audience)


@pytest.fixture
def world() -> Iterator[World]:
    with ExitStack() as held:
        yield World(held)


def ask(authenticator: IssuedTokenAuthenticator, token: str) -> Principal:
    """As a request does it."""
    header = f"Bearer {token}"
    if (wait := authenticator.preparation(header)) is not None:
        wait()
    return authenticator.authenticate(header)


def refused(authenticator: IssuedTokenAuthenticator, token: str) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        ask(authenticator, token)
    return str(refusal.value)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_token_of_the_issuer_names_the_caller_by_issuer_and_subject(world: World, algorithm: str) -> None:
    issuer = world.issuer()
    issuer.rotate("k", algorithm)
    found = ask(world.trusting(issuer), issuer.token("k", roles=["admin"]))
    assert found == Principal(subject=f"oidc:{issuer.url}|somebody", roles=frozenset({"admin"}))


def test_two_issuers_share_no_account_and_no_key(world: World) -> None:
    one, two = world.issuer(), world.issuer()
    both = world.trusting(one, two)
    assert ask(both, one.token()).subject != ask(both, two.token()).subject
    assert "Signature" in refused(both, two.token(iss=one.url))


def test_an_unknown_issuer_is_refused_and_nobody_is_asked(world: World) -> None:
    ours, other = world.issuer(), world.issuer()
    authenticator = world.trusting(ours)
    ask(authenticator, ours.token())
    before = len(ours.origin.asked)
    assert "none that is trusted" in refused(authenticator, other.token())
    assert (len(ours.origin.asked), other.origin.asked) == (before, [])


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 255},
        {"iss": None},
        {"nbf": 1e10},
    ],
)
def test_a_token_that_is_over_or_says_too_little_is_refused(world: World, changes: dict[str, Any]) -> None:
    issuer = world.issuer()
    assert refused(world.trusting(issuer), issuer.token(**changes))


def test_a_token_is_over_when_it_says_so_and_may_come_from_a_clock_that_is_ahead(world: World) -> None:
    issuer = world.issuer()
    authenticator = world.trusting(issuer)
    assert "expired" in refused(authenticator, issuer.token(exp=time.time() - 1))
    ahead = time.time() + 5
    assert ask(authenticator, issuer.token(iat=ahead, nbf=ahead))


def test_the_audience_has_to_fit_when_asked_for(world: World) -> None:
    issuer = world.issuer()
    authenticator = world.trusting(issuer, audience="stems")
    assert ask(authenticator, issuer.token(aud=["stems", "x"]))
    for wrong in ({}, {"aud": "x"}):
        refused(authenticator, issuer.token(**wrong))


def test_no_token_chooses_its_algorithm(world: World) -> None:
    issuer = world.issuer()
    issuer.rotate("k", "RS256")
    issuer.rotate("e", "ES256", keep=True)
    authenticator = world.trusting(issuer)
    rsa_key = issuer.keys["k"][1]
    claims = {"iss": issuer.url, "sub": "somebody", "exp": time.time() + 60}
    assert ask(authenticator, jwt.encode(claims, rsa_key, "RS256", headers={"kid": "k"}))
    public = rsa_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{part({'alg': 'HS256', 'kid': 'k'})}.{part(claims)}"
    for secret in (public, public.strip(), json.dumps(jwk(rsa_key, "RS256", kid="k")).encode()):
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        mac = base64.urlsafe_b64encode(signature.sign(signed.encode(), secret)).rstrip(b"=").decode()
        refused(authenticator, f"{signed}.{mac}")
    for alg in ("none", "None", "NONE", ""):
        refused(authenticator, f"{part({'alg': alg, 'kid': 'k'})}.{part(claims)}.")
    for other in ("RS384", "RS512", "PS256"):
        refused(authenticator, jwt.encode(claims, rsa_key, other, headers={"kid": "k"}))
    refused(authenticator, jwt.encode(claims, rsa_key, "RS256", headers={"kid": "e"}))
    embedded = {"kid": "k", "jwk": jwk(new_key("RS256"), "RS256"), "jku": "http://127.0.0.1:1/keys"}
    refused(authenticator, jwt.encode(claims, new_key("RS256"), "RS256", headers=embedded))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "." * 9,
        f"{part({'alg': 'RS256'})}.{part([])}.",
        "x" * 20_000,
        f"{part({'alg': 1})}.{part({})}.",
    ],
)
def test_what_is_no_token_is_refused(world: World, token: str) -> None:
    assert refused(world.trusting(world.issuer()), token)


@pytest.mark.parametrize("place", ["header", "claims"])
def test_a_token_that_is_nested_too_deeply_is_refused(world: World, place: str) -> None:
    issuer = world.issuer()
    deep = base64.urlsafe_b64encode(b"[" * 6000).rstrip(b"=").decode()
    token = f"{deep}.e30.x" if place == "header" else f"{part({'alg': 'ES256', 'kid': 'first'})}.{deep}.x"
    assert refused(world.trusting(issuer), token)
    with pytest.raises(Unauthenticated):
        JwtAuthenticator(["s" * 32]).authenticate(f"Bearer {token}")


def test_a_key_that_is_new_is_fetched_and_one_that_went_is_refused(world: World) -> None:
    issuer = world.issuer()
    authenticator = world.trusting(issuer)
    old = issuer.token()
    assert ask(authenticator, old)
    issuer.rotate("second")
    assert ask(authenticator, old)  # nobody asked for anything new yet
    assert ask(authenticator, issuer.token("second"))
    assert "none of" in refused(authenticator, old)


def test_a_key_that_was_taken_out_counts_no_longer_than_to_the_next_fetch(world: World) -> None:
    issuer = world.issuer()
    authenticator = world.trusting(issuer, every=0.05)
    old = issuer.token()
    assert ask(authenticator, old)
    issuer.rotate("second")
    until(lambda: not _holds(authenticator, old), what="the fetch")


def _holds(authenticator: IssuedTokenAuthenticator, token: str) -> bool:
    try:
        return bool(authenticator.authenticate(f"Bearer {token}"))
    except Unauthenticated:
        return False


def test_unknown_keys_are_asked_for_no_more_than_once_in_a_while(world: World) -> None:
    issuer = world.issuer()
    authenticator = world.trusting(issuer, pause=500.0)
    assert ask(authenticator, issuer.token())
    good, key = issuer.token(), issuer.keys["first"][1]
    issuer.rotate("second")
    for number in range(50):
        made_up = jwt.encode({"iss": issuer.url}, key, "ES256", headers={"kid": f"made up {number}"})
        assert "none of" in refused(authenticator, made_up)
    assert issuer.asked() == 1
    assert ask(authenticator, good)
    world.clock.ahead = 501.0
    assert ask(authenticator, issuer.token("second"))
    assert issuer.asked() == 2


def test_many_who_wait_for_a_key_are_served_by_one_fetch(world: World) -> None:
    issuer = world.issuer()
    authenticator = world.trusting(issuer, pause=500.0)
    assert ask(authenticator, issuer.token())
    issuer.rotate("second")
    answered, begun = issuer.origin.answers[JWKS], Event()
    go = Event()

    def slow(handler: Any) -> None:
        begun.set()
        go.wait(10)
        answered(handler)

    issuer.origin.answers[JWKS] = slow
    world.clock.ahead = 501.0
    token, found = issuer.token("second"), []
    threads = [Thread(target=lambda: found.append(ask(authenticator, token))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go.set()
    for thread in threads:
        thread.join()
    assert (len(found), issuer.asked()) == (8, 2)


def test_while_the_issuer_is_away_known_keys_go_on_and_of_others_nobody_knows(world: World) -> None:
    issuer = world.issuer()
    authenticator = world.trusting(issuer, hold=100.0)
    token = issuer.token()
    assert ask(authenticator, token)
    issuer.rotate("second", keep=True)
    published = issuer.origin.answers[JWKS]
    issuer.origin.answers[JWKS] = status(503)
    with pytest.raises(KeysUnavailable):
        ask(authenticator, issuer.token("second"))
    assert ask(authenticator, token)
    world.clock.ahead = 101.0
    with pytest.raises(KeysUnavailable):
        ask(authenticator, token)
    issuer.origin.answers[JWKS] = published
    assert ask(authenticator, token)
    assert ask(authenticator, issuer.token("second"))


def test_an_issuer_that_was_never_there_lets_nobody_in_until_it_is(world: World) -> None:
    issuer = world.issuer()
    document = issuer.origin.answers.pop(DISCOVERY)
    authenticator = world.trusting(issuer)
    with pytest.raises(KeysUnavailable):
        ask(authenticator, issuer.token())
    issuer.origin.answers[DISCOVERY] = document
    assert ask(authenticator, issuer.token())


def test_without_a_name_the_only_key_is_meant(world: World) -> None:
    issuer = world.issuer()
    authenticator = world.trusting(issuer)
    algorithm, key = issuer.keys["first"]
    nameless = jwt.encode({"iss": issuer.url, "sub": "s", "exp": time.time() + 60}, key, algorithm)
    assert ask(authenticator, nameless)
    issuer.rotate("second", keep=True)
    assert ask(authenticator, issuer.token("second"))
    assert "kid" in refused(authenticator, nameless)


def test_a_key_set_alone_is_enough_and_owners_are_told_apart_by_what_its_tokens_say(world: World) -> None:
    issuer = world.issuer()
    ring = world.ring(KeySource(issuer=None, key_set=issuer.url + JWKS))
    authenticator = IssuedTokenAuthenticator({ANY_ISSUER: ring})
    found = {ask(authenticator, issuer.token(iss=iss)).subject for iss in ("one", "https://two.example/")}
    assert found == {"oidc:one|somebody", "oidc:https://two.example/|somebody"}
    assert issuer.asked(DISCOVERY) == 0
    refused(authenticator, issuer.token(iss=None))
    refused(authenticator, issuer.token(iss="one|two"))


def test_no_subject_of_a_secret_is_one_of_an_issuer() -> None:
    secret = "s" * 32
    token = jwt.encode({"sub": "oidc:https://us.example|somebody", "exp": time.time() + 60}, secret, "HS256")
    with pytest.raises(Unauthenticated):
        JwtAuthenticator([secret]).authenticate(f"Bearer {token}")


def fails(issuer: Issuer, **more: Any) -> str:
    with pytest.raises(KeysUnavailable) as failure:
        KeySource(issuer=issuer.url, **more)()
    return str(failure.value)


def test_a_slow_key_set_is_given_up_even_if_it_drips(world: World) -> None:
    issuer, ended = world.issuer(), Event()

    def drip(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not ended.wait(0.05):
            handler.wfile.write(b" ")

    issuer.origin.answers[JWKS] = drip
    try:
        assert "did not answer within" in fails(issuer, seconds=0.5)
    finally:
        ended.set()


def test_a_huge_key_set_is_not_read(world: World) -> None:
    issuer = world.issuer()
    issuer.origin.answers[JWKS] = body(b'{"keys": [' + b" " * (1 << 20) + b"]}")
    assert "more than the 262144 bytes" in fails(issuer)
    many = [{"kty": "RSA"}] * 101
    issuer.origin.answers[JWKS] = body(json.dumps({"keys": many}).encode())
    assert "101 keys" in fails(issuer)


@pytest.mark.parametrize(
    ("path", "document", "said"),
    [
        (JWKS, b"<html>", "not JSON"),
        (JWKS, b"[" * 100_000, "not JSON"),
        (JWKS, b"[]", "no JSON object"),
        (JWKS, b'{"keys": {}}', "no list"),
        (JWKS, b'{"keys": []}', "none of its 0 keys"),
        (DISCOVERY, b"nonsense", "not JSON"),
        (DISCOVERY, b'{"issuer": "https://another.example"}', "another issuer"),
    ],
)
def test_what_is_no_key_set_is_said(world: World, path: str, document: bytes, said: str) -> None:
    issuer = world.issuer()
    issuer.origin.answers[path] = body(document)
    assert said in fails(issuer)


def test_a_redirect_is_never_followed_and_discovery_leads_to_no_private_address(world: World) -> None:
    issuer = world.issuer()
    inside = world.held.enter_context(serving())
    inside.answers["/keys"] = issuer.origin.answers[JWKS]
    issuer.origin.answers[JWKS] = status(302, location=f"{inside.url}/keys")
    assert "answered 302" in fails(issuer)
    for elsewhere in (
        f"{inside.url}/keys",
        "https://10.0.0.1/keys",
        "https://169.254.169.254/keys",
        "file:///etc/passwd",
    ):
        issuer.origin.answers[DISCOVERY] = body(json.dumps({"issuer": issuer.url, "jwks_uri": elsewhere}).encode())
        assert "is not fetched" in fails(issuer)
    assert inside.asked == []


def test_keys_for_something_else_are_left_out() -> None:
    rsa, elliptic = new_key("RS256"), new_key("ES256")
    good = jwk(elliptic, "ES256", kid="good")
    left_out = [
        jwk(rsa, "RS256", kid="k") | {"use": "enc"},
        jwk(rsa, "RS256", kid="k") | {"alg": "RS512"},
        jwk(rsa, "RS256", kid="k") | {"key_ops": ["encrypt"]},
        jwk(rsa, "RS256", kid=7),
        good | {"crv": "P-384"},
        good | {"x": "AAAA"},
        good | {"d": "AAAA"},
        {"kty": "oct", "kid": "k", "k": "c2VjcmV0"},
        {"kty": "OKP", "crv": "Ed448", "kid": "k", "x": "AAAA"},
        {"kty": ["RSA"]},
        {"kty": "RSA", "n": 7, "e": None},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        "text",
        None,
    ]
    for each in left_out:
        assert [key.kid for key in public_keys(json.dumps({"keys": [each, good]}).encode())] == ["good"]
        with pytest.raises(BadKeySet):
            public_keys(json.dumps({"keys": [each]}).encode())


@pytest.mark.parametrize(
    "url", ["http://idp.example", "idp.example", "https://u:p@idp.example", "https://idp.example?a=b"]
)
def test_an_issuer_that_others_could_speak_for_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="idp"):
        check_issuer_url(url, ())
    check_issuer_url("https://idp.example/realms/us", ())
    check_issuer_url("http://127.0.0.1:8080/realms/us", ())
    check_issuer_url("http://idp.example/realms/us", ["http://idp.example"])
