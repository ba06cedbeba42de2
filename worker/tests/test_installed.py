"""Models and probes as they are found by entry point."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.errors import TooLarge, Unavailable, UnusableInput
from stemwright_worker.installed import InstalledProbe, InstalledServices
from stemwright_worker.service import Service


class Trouble(Exception):
    def __init__(self, code: str, *, retryable: bool = False) -> None:
        super().__init__("/secret/place/uploads/x is bad")
        self.code = code
        self.retryable = retryable


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment with one distribution, which has services and no probe."""
    (tmp_path / "installed_here.py").write_text(
        "from types import SimpleNamespace\n\n"
        "one, other = SimpleNamespace(name='one'), SimpleNamespace(name='other')\n"
        "third = SimpleNamespace(name='another')\n"
    )
    folder = tmp_path / "installed_here-0.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-here\nVersion: 0.1\n")
    entries = "".join(f"{name} = installed_here:{name}\n" for name in ("other", "one", "missing", "third"))
    entries += "module = installed_here\n"
    (folder / "entry_points.txt").write_text(f"[stemwright.services]\n{entries}")
    monkeypatch.setattr(sys, "path", [str(tmp_path), sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")])
    monkeypatch.delitem(sys.modules, "installed_here", raising=False)


def test_what_does_not_load_or_is_not_called_as_its_entry_point_is_left_out_and_the_rest_serves() -> None:
    """A worker process finds services by the names of their entry points: one of another name it would never run."""
    assert [service.name for service in InstalledServices.find().all()] == ["one", "other"]


def test_only_what_was_asked_for_is_loaded() -> None:
    services = InstalledServices.find(["one"])
    assert [service.name for service in services.all()] == ["one"]
    assert services.get("one") is services.all()[0]
    assert services.get("other") is None


def test_a_description_of_another_name_is_left_out() -> None:
    class Renamed:
        def __init__(self, name: str, said: str) -> None:
            self.name, self._said = name, said

        def describe(self) -> ServiceDescription:
            return ServiceDescription(name=self._said, version="1")

    services = InstalledServices([cast(Service, Renamed("one", "one")), cast(Service, Renamed("other", "another"))])
    assert [each.name for each in services.descriptions()] == ["one"]


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


def test_where_no_probe_has_the_name_the_first_bytes_are_looked_at_and_nothing_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "probe_here.py").write_text(
        "def sniff(head):\n    return 'audio/wav' if head[:4] == b'RIFF' else None\n"
    )
    folder = tmp_path / "probe_here-0.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: probe-here\nVersion: 0.1\n")
    (folder / "entry_points.txt").write_text("[stemwright.probes]\nwav = probe_here\n")
    probe = InstalledProbe.find(name="none", max_seconds=None)
    assert probe is not None
    assert (probe.sniff(b"RIFF"), probe.sniff(b"Dear")) == ("audio/wav", None)
    assert probe.probe(tmp_path / "nothing", filename="song.wav").duration is None
