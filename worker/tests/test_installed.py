"""Models and probes as they are found by entry point."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from stemwright_worker import installed
from stemwright_worker.errors import TooLarge, Unavailable, UnusableInput
from stemwright_worker.installed import InstalledProbe, InstalledServices


class Named:
    def __init__(self, name: str) -> None:
        self.name = name


one, other = Named("one"), Named("other")


class Trouble(Exception):
    def __init__(self, code: str, *, retryable: bool = False) -> None:
        super().__init__("/secret/place/uploads/x is bad")
        self.code = code
        self.retryable = retryable


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        __import__("sys").modules, "installed_here", __import__("types").SimpleNamespace(one=one, other=other)
    )
    entries = [
        EntryPoint(name, f"installed_here:{value}", "stemwright.services")
        for name, value in (("other", "other"), ("one", "one"), ("broken", "missing"))
    ]
    monkeypatch.setattr(installed, "entry_points", lambda group: entries if group == "stemwright.services" else [])


def test_what_does_not_load_is_left_out_and_the_rest_serves() -> None:
    assert [offer.name for offer in InstalledServices.find().offers()] == ["one", "other"]


def test_only_what_was_asked_for_is_loaded() -> None:
    services = InstalledServices.find(["one"])
    assert services.offers() == [one]
    assert services.offer("one") is one
    assert services.offer("other") is None


def test_without_a_probe_there_is_none() -> None:
    assert InstalledProbe.find(name="", max_seconds=None) is None


@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        (Trouble("truncated"), UnusableInput, "truncated"),
        (Trouble("too_long"), TooLarge, "too_long"),
        (Trouble("busy", retryable=True), Unavailable, "unavailable"),
        (OSError("/secret/place/uploads/x is bad"), Unavailable, "unavailable"),
    ],
)
def test_a_probes_error_becomes_the_services_and_names_the_song(
    error: Exception, raised: type[Exception], code: str
) -> None:
    class Failing:
        def probe(self, path: Path, *, max_seconds: float | None) -> Mapping[str, Any]:
            raise error

    probe = InstalledProbe(Failing(), max_seconds=1.0)
    with pytest.raises(raised, match=r"song\.wav is bad") as caught:
        probe.probe(Path("/secret/place/uploads/x"), filename="song.wav")
    assert getattr(caught.value, "code", None) == code
    assert "/secret" not in str(caught.value)
