"""What one upload costs: each thing is asked once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from world import CALLER, SERVICE, SONG, World, make_world

from stemwright_server.usecases.submit import Linked, Sent, Source
from stemwright_server.usecases.upload import announce


class Counted:
    """Does what another object does, and counts the calls of each method."""

    def __init__(self, counted: Any, calls: Counter[str]) -> None:
        self._counted, self._calls = counted, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._counted, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._calls[name] += 1
            return found(*args, **kwargs)

        return call


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


LINK = Linked(url="https://a.example/s.wav", source="http", filename="s.wav")


@contextmanager
def sent(world: World, media_type: str | None = None) -> Iterator[Source]:
    with world.deps.blobs.receive(100) as part:
        part.write(SONG)
        yield Sent(part=part, filename="s.wav", media_type=media_type)


@pytest.mark.parametrize(
    ("source", "calls"),
    [
        (sent, {"sniff": 1, "probe": 1}),  # room was asked for before the file came in
        (lambda world: sent(world, "audio/wav"), {"probe": 1}),  # who took it in has looked at it
        (lambda world: nullcontext(LINK), {"check_room": 1}),
    ],
    ids=["a file", "a file that was looked at", "a link"],
)
def test_a_file_is_looked_at_once_room_is_asked_for_once_and_no_url_is_signed(
    world: World, source: Callable[[World], AbstractContextManager[Source]], calls: dict[str, int]
) -> None:
    counts: Counter[str] = Counter()
    blobs, probe = (cast(Any, Counted(each, counts)) for each in (world.deps.blobs, world.deps.probe))
    with source(world) as given:
        world.deps = replace(world.deps, blobs=blobs, probe=probe)
        assert world.ask(given).created
    seen = {name: counts[name] for name in ("check_room", "put_url", "sniff", "probe") if counts[name]}
    assert seen == calls


def test_an_announced_file_gets_a_url_and_room_is_asked_for_once(world: World) -> None:
    counts: Counter[str] = Counter()
    world.deps = replace(world.deps, blobs=cast(Any, Counted(world.deps.blobs, counts)))
    assert announce(world.deps, CALLER, filename="s.wav", size=3, sha256=None, request_id="r").upload_url
    assert (counts["check_room"], counts["put_url"]) == (1, 1)


def test_what_a_job_is_to_do_is_what_was_planned(world: World) -> None:
    job = world.ask(LINK).job
    assert (job.service, job.model, dict(job.params)) == (SERVICE.name, "v", {})
    assert [each.filename for each in job.outputs] == ["a.wav"]
