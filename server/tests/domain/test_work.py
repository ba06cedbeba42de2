"""Which model a name means, and what it takes in."""

from __future__ import annotations

from typing import Any

import pytest

from stemwright_server.domain.work import Work, find, find_by_name, offered
from stemwright_worker.contract.description import InputRule, ModelDescription, ModelLimits, ServiceDescription
from stemwright_worker.errors import InvalidRequest, TooLarge


def model(name: str, **more: Any) -> ModelDescription:
    return ModelDescription(name=name, description="", licence="", **more)


SEPARATOR = ServiceDescription(name="demucs", version="1", models=(model("ft"), model("htdemucs", default=True)))
SCRIBE = ServiceDescription(name="whisper", version="1", models=(model("large", kind="transcription"), model("small")))
EMPTY = ServiceDescription(name="empty", version="1")
ALL = (SEPARATOR, SCRIBE, EMPTY)


@pytest.mark.parametrize(
    ("service", "name", "found"),
    [
        ("demucs", "ft", "ft"),
        ("demucs", None, "htdemucs"),
        ("demucs", "", "htdemucs"),
        ("demucs", "default", "htdemucs"),
        ("whisper", None, "large"),  # none says that it is the default: the first one
    ],
)
def test_a_model_is_found_by_its_service_and_name_or_as_the_default(service: str, name: str | None, found: str) -> None:
    assert find(ALL, service, name).model.name == found


@pytest.mark.parametrize(
    ("service", "name", "code", "words"),
    [
        ("spleeter", None, "unknown_model", r"there is: demucs, whisper\.$"),
        ("demucs", "large", "unknown_variation", "it has: ft, htdemucs"),
        ("empty", None, "unknown_variation", "no variation at hand"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(service: str, name: str | None, code: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        find(ALL, service, name)
    assert caught.value.code == code


def test_a_name_means_a_model_of_the_kind_whatever_its_service() -> None:
    assert find_by_name(ALL, "ft").service == "demucs"
    assert find_by_name(ALL, "small").service == "whisper"
    assert find_by_name(ALL, "demucs").model.name == "htdemucs"  # a service's name: its default
    assert find_by_name(ALL, "large", "transcription").model.name == "large"
    assert [each.model.name for each in offered(ALL)] == ["ft", "htdemucs", "small"]


@pytest.mark.parametrize("name", ["large", "empty", "nothing"])
def test_a_model_of_another_kind_is_as_unknown_as_none(name: str) -> None:
    with pytest.raises(InvalidRequest, match="there is: ft, htdemucs, small") as caught:
        find_by_name(ALL, name)
    assert caught.value.code == "unknown_model"


def work(inputs: InputRule, limits: ModelLimits) -> Work:
    return Work(service="s", model="m", params={}, outputs=(), inputs=inputs, limits=limits)


@pytest.mark.parametrize(
    ("least", "most", "given", "words"),
    [(1, 1, 0, "takes 1 input, not 0"), (0, 0, 1, "takes no input, not 1"), (2, 2, 1, "takes 2 inputs, not 1"),
     (1, 3, 4, "takes 1 to 3 inputs, not 4")],
)  # fmt: skip
def test_another_number_of_inputs_is_refused(least: int, most: int, given: int, words: str) -> None:
    asked = work(InputRule(least=least, most=most), ModelLimits())
    for fits in (least, most):
        asked.check_count(fits)
    with pytest.raises(InvalidRequest, match=words) as caught:
        asked.check_count(given)
    assert caught.value.code == "bad_inputs"


def test_an_input_over_the_models_limits_is_refused_as_far_as_they_are_known() -> None:
    asked = work(InputRule(), ModelLimits(max_seconds=30.0, max_bytes=100))
    asked.check_input("s.wav")
    asked.check_input("s.wav", size=100, seconds=30.0)
    with pytest.raises(TooLarge) as caught:
        asked.check_input("s.wav", size=101)
    assert caught.value.code == "too_large"
    with pytest.raises(TooLarge, match=r"'s.wav' is 31 s long; the model 'm' takes at most 30 s") as caught:
        asked.check_input("s.wav", seconds=31.0)
    assert caught.value.code == "too_long"
