"""The word for all that was asked of a song."""

from __future__ import annotations

from itertools import product

import pytest

from stemwright_server.domain.job import JobState
from stemwright_server.domain.song import summary

Q, R, C, F, X = JobState.QUEUED, JobState.RUNNING, JobState.COMPLETED, JobState.FAILED, JobState.CANCELED


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([], "none"),
        ([Q, C, F], "queued"),
        ([Q, R, F], "running"),
        ([C, C], "completed"),
        ([C, F], "partly"),
        ([C, X], "partly"),
        ([F, X], "failed"),
        ([X, X], "canceled"),
    ],
)
def test_one_word_says_what_is_under_way_or_what_became_of_it(states: list[JobState], word: str) -> None:
    assert summary(states) == word


def test_the_word_is_final_when_every_job_is() -> None:
    for states in product(JobState, repeat=3):
        assert (summary(states) in ("queued", "running")) == any(not state.final for state in states)
