"""How long a webhook is tried, and what ends it."""

from __future__ import annotations

import itertools

import pytest

from stemwright_server.domain.delivery import Backoff, Delivery, DeliveryState, Result, settle

NEW = Delivery(
    id="msg_j",
    job_id="j",
    url="https://a/hook",
    kind="split",
    request_id="r",
    correlation_id=None,
    created_at=0.0,
    due_at=0.0,
    tries=1,
)


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_webhook_is_tried_ten_times_at_least_over_three_days(chance: float) -> None:
    delivery, now, times = NEW, 0.0, [0.0]
    while (delivery := settle(delivery, Result(status=500), now=now, backoff=Backoff(), chance=chance)).due_at > now:
        now = delivery.due_at
        times.append(now)
        delivery = Delivery(**vars(delivery) | {"tries": delivery.tries + 1})
    assert delivery.state is DeliveryState.DEAD
    assert len(times) == 14
    assert 3 * 86400 <= times[-1] <= 4.5 * 86400
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert waits == sorted(waits)
    assert waits[0] < 10.0  # most faults are over soon
    assert waits[-1] <= 1.2 * 12 * 3600 + 1e-6


@pytest.mark.parametrize(("status", "state"), [(200, "delivered"), (204, "delivered"), (410, "dead")])
def test_what_ends_it_at_once(status: int, state: str) -> None:
    after = settle(NEW, Result(status=status, error="e"), now=5.0, backoff=Backoff(), chance=0.0)
    assert (after.state, after.ended_at, after.status) == (state, 5.0, status)


@pytest.mark.parametrize("status", [None, 301, 302, 307, 400, 401, 404, 429, 500, 503])
def test_everything_else_is_tried_again_redirects_too(status: int | None) -> None:
    after = settle(NEW, Result(status=status, error="e"), now=5.0, backoff=Backoff(), chance=0.0)
    assert (after.state, after.due_at, after.error) == (DeliveryState.PENDING, 10.0, "e")


def test_a_receiver_may_ask_for_more_time_but_not_for_less_nor_for_ever() -> None:
    for asked, wait in ((1.0, 5.0), (60.0, 60.0), (1e9, 86400.0)):
        after = settle(NEW, Result(status=503, retry_after=asked), now=0.0, backoff=Backoff(), chance=0.0)
        assert after.due_at == wait


def test_where_no_further_try_makes_sense_there_is_none() -> None:
    after = settle(NEW, Result(error="not on the list", final=True), now=5.0, backoff=Backoff(), chance=0.0)
    assert (after.state, after.error) == (DeliveryState.DEAD, "not on the list")
