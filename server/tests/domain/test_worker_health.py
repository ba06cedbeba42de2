"""When a worker is set aside, and for how long."""

from __future__ import annotations

import pytest

from stemwright_server.domain.worker_health import DISK_FULL, LIMIT, OWN_FAULTS, WorkerHealth, after_failure

WELL = WorkerHealth(worker="w")


def failing(
    health: WorkerHealth, *jobs: str, code: str = "crashed", now: float = 100.0, alone: bool = False
) -> WorkerHealth:
    for job in jobs:
        health = after_failure(health, job, code=code, message="m", now=now, others_are_well=not alone)
    return health


def test_jobs_that_fail_in_a_row_set_a_worker_aside_where_another_is_well() -> None:
    names = [str(number) for number in range(LIMIT)]
    assert not failing(WELL, *names[:-1]).is_aside(100.0)
    aside = failing(WELL, *names)
    assert aside.is_aside(129.9)
    assert not aside.is_aside(130.0)


def test_one_job_that_fails_again_and_again_says_nothing_of_the_worker() -> None:
    assert not failing(WELL, *["poison"] * 10).is_aside(100.0)


def test_a_worker_alone_is_not_set_aside_for_what_may_be_the_jobs_fault() -> None:
    assert not failing(WELL, *"abcdef", alone=True).is_aside(100.0)


@pytest.mark.parametrize("code", sorted(OWN_FAULTS))
def test_its_own_fault_sets_a_worker_aside_at_once_even_alone(code: str) -> None:
    assert failing(WELL, "a", code=code, alone=True).is_aside(100.0)


def test_each_trial_that_fails_doubles_the_time_up_to_ten_minutes() -> None:
    health, now, seconds = WELL, 0.0, []
    for _ in range(7):
        health = failing(health, "a", code=DISK_FULL, now=now)
        seconds.append(health.aside_until - now)
        now = health.aside_until
    assert seconds == [30, 60, 120, 240, 480, 600, 600]
    assert failing(health, "b", now=now, alone=True).aside_until == now + 600  # on trial, whatever it failed of
