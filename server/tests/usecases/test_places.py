"""How many of one caller's jobs wait, who may hurry, and that nobody waits for ever."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from world import CALLER, World, make_world

from stemwright_server.ports.auth import ANONYMOUS, Principal
from stemwright_server.usecases.submit import Linked
from stemwright_worker.errors import Forbidden, TooManyRequests


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


LINK = Linked(url="https://a.example/s.wav", source="http", filename="s.wav")


def options(priority: int) -> dict[str, Any]:
    return {"priority": priority, "sharing": "never"}


def limited(world: World, **limits: object) -> None:
    world.deps = replace(world.deps, limits=replace(world.deps.limits, **limits))  # type: ignore[arg-type]


def test_more_than_may_wait_are_told_to_come_later(world: World) -> None:
    limited(world, max_queued=2)
    for _ in range(2):
        world.ask(LINK, **options(5))
    with pytest.raises(TooManyRequests, match="2 of your jobs wait already") as refused:
        world.ask(LINK, **options(5))
    assert (refused.value.code, refused.value.context["retry_after"]) == ("too_many_queued", 30)
    assert world.ask(LINK, caller=Principal(subject="another"), **options(5)).created
    world.claimed()
    world.claimed()  # whoever's turn it was: one of the two is the caller's
    assert world.ask(LINK, **options(5)).created


@pytest.mark.parametrize(
    ("subject", "urgent", "allowed"),
    [
        ("somebody", (), False),
        ("somebody", ("another",), False),
        ("somebody", ("somebody",), True),
        ("somebody", ("*",), True),
        (ANONYMOUS, (), True),
        ("hmac:split", (), True),
    ],
)
def test_more_than_the_default_priority_is_for_whom_the_operator_names(
    world: World, subject: str, urgent: tuple[str, ...], allowed: bool
) -> None:
    limited(world, urgent_subjects=urgent)
    caller = Principal(subject=subject)
    assert world.ask(LINK, caller=caller, **options(5)).created
    if allowed:
        assert world.ask(LINK, caller=caller, **options(9)).created
        return
    with pytest.raises(Forbidden) as refused:
        world.ask(LINK, caller=caller, **options(6))
    assert refused.value.code == "priority_not_allowed"


def test_a_low_priority_is_not_passed_over_for_ever(world: World) -> None:
    limited(world, urgent_subjects=("*",))
    world.ask(LINK, **options(0))
    world.clock[0] += 601.0
    for _ in range(20):
        world.ask(LINK, **options(9))
    world.deps = replace(world.deps, draw=lambda: 0.99)
    assert world.job(world.claimed()).options.priority == 9
    world.deps = replace(world.deps, draw=lambda: 0.1)
    assert world.job(world.claimed()).options.priority == 0
    assert world.job(world.claimed()).options.priority == 9


def test_what_has_not_waited_long_waits_for_what_is_urgent(world: World) -> None:
    limited(world, urgent_subjects=("*",))
    world.deps = replace(world.deps, draw=lambda: 0.0)
    world.ask(LINK, **options(0))
    world.ask(LINK, caller=CALLER, **options(9))
    assert world.job(world.claimed()).options.priority == 9
