"""Work planned by what services announced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from memory_jobs import MemoryJobRepository

from stemwright_server.adapters.services.announced import AnnouncedServices
from stemwright_server.adapters.services.params import ParamsSchema
from stemwright_server.domain.work import Work, find
from stemwright_server.domain.worker import AnnouncedService
from stemwright_worker.contract.codec import described
from stemwright_worker.contract.description import (
    FileFormat,
    ModelDescription,
    OutputRule,
    Refusal,
    ServiceDescription,
)
from stemwright_worker.errors import InvalidRequest

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "stems": {"type": ["array", "null"], "items": {"enum": ["bass", "drums", "vocals"]}},
        "shifts": {"type": "integer", "minimum": 0, "maximum": 20, "default": 0},
        "overlap": {"type": "number", "minimum": 0, "maximum": 0.95, "default": 0.25},
        "segment": {"type": ["number", "null"], "exclusiveMinimum": 0},
        "format": {"enum": ["wav", "mp3"], "default": "wav"},
        "bitrate": {"type": ["integer", "null"]},
        "peaks": {"type": "boolean", "default": False},
    },
    "additionalProperties": False,
    "allOf": [
        {"properties": {"stems": {"minItems": 1}}, "errorMessage": "no stem was asked for"},
        {
            "if": {"properties": {"format": {"const": "wav"}}, "required": ["format"]},
            "then": {"properties": {"bitrate": {"type": "null"}}},
            "errorMessage": "wav has no choice of bits a second",
        },
    ],
}
DEFAULTS = {
    "stems": None, "shifts": 0, "overlap": 0.25, "segment": None, "format": "wav", "bitrate": None, "peaks": False
}  # fmt: skip
MODEL = ModelDescription(
    name="v",
    description="",
    licence="",
    params=SCHEMA,
    outputs=(
        *(OutputRule(name=name, filename=f"{name}.{{extension}}", listed_in="stems") for name in ("bass", "vocals")),
        OutputRule(
            name="peaks.json",
            filename="peaks.json",
            content_type="application/json",
            role="peaks",
            when={"peaks": (True,)},
        ),
    ),
    formats={
        "wav": FileFormat(extension="wav", content_type="audio/wav"),
        "mp3": FileFormat(extension="mp3", content_type="audio/mpeg"),
    },
    revision="abc",
)


def service(*models: ModelDescription, name: str = "m") -> ServiceDescription:
    return ServiceDescription(name=name, version="1", models=models)


@pytest.fixture
def store() -> MemoryJobRepository:
    return MemoryJobRepository()


@pytest.fixture
def planner(store: MemoryJobRepository) -> AnnouncedServices:
    planner = AnnouncedServices(store)
    announce(planner, service(MODEL))
    return planner


def announce(planner: AnnouncedServices, *services: ServiceDescription, worker: str = "w") -> str:
    said = described(services)
    planner.announce(services, described=said, worker=worker)
    return said


def plan(planner: AnnouncedServices, params: Mapping[str, Any]) -> Work:
    return planner.plan(find(planner.services(), "m", None), params)


def test_params_are_completed_in_the_schemas_order_and_outputs_follow_from_them(planner: AnnouncedServices) -> None:
    work = plan(planner, {})
    assert (work.service, work.model) == ("m", "v")
    assert work.params == DEFAULTS | {"weights": "abc"}
    assert list(work.params) == [*SCHEMA["properties"], "weights"]
    assert [(each.name, each.filename, each.content_type, each.role) for each in work.outputs] == [
        ("bass", "bass.wav", "audio/wav", "stem"),
        ("vocals", "vocals.wav", "audio/wav", "stem"),
    ]
    some = plan(planner, {"stems": ["vocals"], "format": "mp3", "peaks": True})
    assert [(each.filename, each.role) for each in some.outputs] == [("vocals.mp3", "stem"), ("peaks.json", "peaks")]


def test_equal_work_has_equal_params_however_it_is_asked(planner: AnnouncedServices) -> None:
    assert plan(planner, {"shifts": 0, "stems": None}) == plan(planner, {})
    assert plan(planner, {"shifts": 2.0}).params["shifts"] == 2
    assert isinstance(plan(planner, {"shifts": 2.0}).params["shifts"], int)
    several = plan(planner, {"stems": ["vocals", "bass", "vocals"]})
    assert several == plan(planner, {"stems": ["bass", "vocals"]})
    assert several.params["stems"] == ["bass", "vocals"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"stem": "vocals"}, "there is no parameter 'stem': there are stems, shifts, overlap"),
        ({"shifts": 99, "stem": "vocals"}, "there is no parameter 'stem'"),  # names come first
        ({"stems": "vocals"}, "stems is 'vocals': array or null is meant"),
        ({"stems": ["piano"]}, "the model has no stem 'piano': it has bass, drums, vocals"),
        ({"stems": []}, "stems is []: no stem was asked for"),
        ({"stems": ["drums"]}, "These params make no output of 'v'"),
        ({"shifts": 99}, "shifts is 99: it must lie between 0 and 20"),
        ({"shifts": True}, "shifts is True: integer is meant"),
        ({"overlap": "much", "shifts": 99}, "overlap is 'much': number is meant"),  # as they were given
        ({"segment": 0}, "segment is 0: it must lie between 0 and any"),
        ({"format": "midi"}, "format is 'midi': choose one of wav, mp3"),
        ({"bitrate": 128000}, "bitrate is 128000: wav has no choice of bits a second"),
        ({"format": "m" * 999}, f"format is '{'m' * 96}...: choose one of wav, mp3"),  # not all of it
    ],
)
def test_params_that_make_no_sense_are_refused_with_the_reason(
    planner: AnnouncedServices, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        plan(planner, params)
    assert str(caught.value).startswith(message)
    assert (caught.value.code, "\n" in str(caught.value)) == ("bad_params", False)


def test_a_param_without_a_default_has_to_be_given() -> None:
    schema = ParamsSchema({"type": "object", "properties": {"prompt": {"type": "string"}}})
    assert schema.complete({"prompt": "rain"}) == {"prompt": "rain"}
    with pytest.raises(InvalidRequest, match="prompt is missing"):
        schema.complete({})


def test_a_schema_that_is_left_open_takes_more_and_keeps_its_order() -> None:
    schema = ParamsSchema({"properties": {"a": {"default": 1}}})
    assert list(schema.complete({"c": 3, "b": 2})) == ["a", "b", "c"]


def test_a_model_that_cannot_be_had_here_says_why_before_its_params_are_looked_at(planner: AnnouncedServices) -> None:
    refusal = Refusal(code="licence_not_accepted", message="the weights are not free: accept their licence")
    announce(planner, service(replace(MODEL, refusal=refusal)))
    with pytest.raises(InvalidRequest, match="accept their licence") as caught:
        plan(planner, {"nonsense": 1})
    assert caught.value.code == "licence_not_accepted"


def test_a_description_whose_params_are_no_schema_is_refused_and_nothing_of_it_kept(planner: AnnouncedServices) -> None:
    with pytest.raises(InvalidRequest) as caught:
        announce(planner, service(replace(MODEL, params={"type": "thing"})))
    assert caught.value.code == "bad_description"
    assert str(caught.value).startswith("The service 'm', model 'v': the params are no JSON Schema")
    assert plan(planner, {}).outputs


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"$ref": "http://127.0.0.1:1/schema.json"}, "not in their JSON Schema"),  # and it is not fetched
        ({"$ref": "#/$defs/nowhere"}, "not in their JSON Schema"),
        (True, "write an object"),
    ],
)
def test_a_schema_that_no_request_could_be_checked_by_is_refused_when_it_is_announced(rule: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        ParamsSchema({"properties": {"a": rule}})
    assert caught.value.code == "bad_description"


def test_a_rule_that_is_referred_to_says_its_own_reason() -> None:
    schema = ParamsSchema({
        "properties": {"a": {"$ref": "#/$defs/many"}},
        "$defs": {"many": {"minimum": 3, "errorMessage": "three at least"}},
    })  # fmt: skip
    with pytest.raises(InvalidRequest, match="a is 1: three at least"):
        schema.complete({"a": 1})


def test_what_was_announced_is_known_to_other_processes_and_to_the_next_one(store: MemoryJobRepository) -> None:
    here, there = AnnouncedServices(store), AnnouncedServices(store)
    assert not there.knows("x", ["m"], worker="w")
    said = announce(here, service(MODEL), service(name="n"))
    for planner in (here, there, AnnouncedServices(store)):
        assert planner.knows(said, ["m", "n"], worker="w")
        assert [each.name for each in planner.services()] == ["m", "n"]
    assert not here.knows(said, ["m", "other"], worker="w")
    assert not here.knows("another", ["m"], worker="w")


def test_a_store_that_was_wiped_is_asked_to_be_told_again() -> None:
    class Wipeable(MemoryJobRepository):
        wiped = False

        def services(self) -> Any:
            return [] if self.wiped else super().services()

    store = Wipeable()
    planner = AnnouncedServices(store, fresh_seconds=0.0)
    said = announce(planner, service(MODEL))
    assert planner.knows(said, ["m"], worker="w")
    store.wiped = True
    assert not planner.knows(said, ["m"], worker="w")
    store.wiped = False
    announce(planner, service(MODEL))
    assert planner.knows(said, ["m"], worker="w")


def test_two_workers_that_describe_a_service_differently_do_not_announce_in_turns(store: MemoryJobRepository) -> None:
    """While one of them is upgraded: the last word holds, and neither has to say its own again."""
    now = [1000.0]
    planner = AnnouncedServices(store, clock=lambda: now[0])
    old = announce(planner, service(MODEL), worker="old")
    new = announce(planner, service(replace(MODEL, revision="abd")), worker="new")
    assert planner.knows(old, ["m"], worker="old")
    assert planner.knows(new, ["m"], worker="new")
    assert plan(planner, {}).params["weights"] == "abd"
    now[0] += 86400.0  # the upgrade was taken back, and no new worker is there any more
    assert not planner.knows(old, ["m"], worker="old")


def test_a_worker_that_offers_again_what_it_did_before_says_so_again(store: MemoryJobRepository) -> None:
    """A model was put beside the others and taken away again: nothing may go on offering it."""
    planner = AnnouncedServices(store)
    before = announce(planner, service(MODEL))
    announce(planner, service(MODEL, replace(MODEL, name="tried")))
    assert not planner.knows(before, ["m"], worker="w")
    announce(planner, service(MODEL))
    assert planner.knows(before, ["m"], worker="w")
    assert [each.name for each in planner.services()[0].models] == ["v"]


def test_who_announced_is_kept_as_far_as_the_store_has_room_for_it(store: MemoryJobRepository) -> None:
    """An environment far down in folders announces by the path of its interpreter."""
    announce(AnnouncedServices(store), service(MODEL), worker=f"/{'deep/' * 50}python")
    assert store.services()[0].worker == f"/{'deep/' * 50}python"[-128:]


def test_a_request_costs_no_question_to_the_store() -> None:
    class Counting(MemoryJobRepository):
        asked = 0

        def services(self) -> Any:
            self.asked += 1
            return super().services()

    store = Counting()
    planner = AnnouncedServices(store, fresh_seconds=60.0)
    said = announce(planner, service(MODEL))
    for _ in range(50):
        plan(planner, {})
        assert planner.knows(said, ["m"], worker="w")
    assert store.asked == 1


def test_a_service_that_nobody_claims_work_for_any_more_is_forgotten_and_a_claim_keeps_it(
    store: MemoryJobRepository,
) -> None:
    now = [1000.0]
    planner = AnnouncedServices(store, clock=lambda: now[0], fresh_seconds=0.0)
    said = announce(planner, service(MODEL))
    for _ in range(3):
        now[0] += 6 * 86400.0
        assert planner.knows(said, ["m"], worker="w")
    now[0] += 8 * 86400.0
    assert planner.services() == []
    assert not planner.knows(said, ["m"], worker="w")


def test_only_the_named_services_are_offered_and_the_others_are_known_all_the_same(store: MemoryJobRepository) -> None:
    planner = AnnouncedServices(store, names=["n"])
    said = announce(planner, service(MODEL), service(name="n"))
    assert [each.name for each in planner.services()] == ["n"]
    assert planner.knows(said, ["m", "n"], worker="w")
    assert isinstance(store.services()[0], AnnouncedService)
