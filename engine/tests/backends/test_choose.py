"""Which backend a song gets, what is started for the next one, and what the report says of it."""

from __future__ import annotations

import math
import os
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from packed import save_safetensors
from small import music, tiny_hdemucs, tiny_htdemucs

from stemwright import SeparationOptions, Separator
from stemwright.backends import choose, code_version, warm
from stemwright.backends.candidate import Candidate, candidate
from stemwright.backends.choose import decide
from stemwright.backends.eager import EagerNetwork
from stemwright.backends.measure import precisions_on
from stemwright.backends.ways import PLAIN, Measured, Measurements, Way
from stemwright.checkpoints.checkpoint import CheckpointFile
from stemwright.machine.cache import Cache
from stemwright.machine.hashing import sha256_of
from stemwright.models.architecture import LoadedModule
from stemwright.models.network import Computation

COMPILED = Way(backend="compiled", precision="fp32")


@pytest.fixture
def found(tmp_path: Path) -> Candidate:
    file = save_safetensors(tiny_htdemucs(), tmp_path, "abc")
    made = candidate(CheckpointFile(path=file), sha256_of(file))
    assert made is not None
    return made


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would run in the background; every network is worth building for."""
    commands: list[list[str]] = []
    monkeypatch.setenv("STEMWRIGHT_WARM", "background")
    monkeypatch.setattr(choose, "_WORTH_BUILDING", 0)
    monkeypatch.setattr(warm.subprocess, "Popen", lambda command, **_: commands.append(command))
    return commands


def remember(found: Candidate, cache: Cache, *extra: Measured, **failed: str) -> None:
    plain = Measured(way=PLAIN, seconds=2.0, agreement_db=math.inf)
    cache.write_note(found.measurements_name, Measurements(measured=(plain, *extra), failed=failed).as_json())


def test_the_first_song_runs_at_once_on_plain_torch_and_one_process_prepares_the_rest(
    tmp_path: Path, started: list[list[str]]
) -> None:
    file = save_safetensors(tiny_htdemucs(), tmp_path, "abc")
    separator = Separator("abc", models_path=tmp_path, device="cpu")
    first = separator.separate(music(1).numpy(), 44100).report
    second = separator.separate(music(1).numpy(), 44100).report
    assert (first.backend, first.precision) == ("eager", "fp32")
    assert "are being prepared in the background" in first.notes[0]
    # -P: no module of the folder that the command was called in takes the place of one of ours.
    assert [command[1:] for command in started] == [["-P", "-m", "stemwright.backends.warm", str(file)]]
    assert second.backend == "eager"


def test_what_was_measured_decides_and_the_report_says_why(tmp_path: Path, started: list[list[str]]) -> None:
    file = save_safetensors(tiny_htdemucs(), tmp_path, "abc")
    separator = Separator("abc", models_path=tmp_path, device="cpu")
    found = candidate(CheckpointFile(path=file), sha256_of(file))
    assert found is not None
    remember(found, Cache(), **{"compiled fp32": "there is no C++ compiler (g++ or clang++)"})
    report = separator.separate(music(1).numpy(), 44100).report
    assert report.backend == "eager"
    assert "eager fp32 was measured best: 2.00 s a segment" in report.notes[0]
    assert "not used: compiled fp32 (there is no C++ compiler" in report.notes[0]
    assert not started


def test_a_measurement_that_ends_with_plain_torch_is_told_by_the_same_process(
    found: Candidate, started: list[list[str]]
) -> None:
    separator = Separator("abc", models_path=found.file.parent, device="cpu")
    first = separator.separate(music(0.5).numpy(), 44100).report
    remember(found, Cache())
    second = separator.separate(music(0.5).numpy(), 44100).report
    assert len(started) == 1
    assert "are being prepared in the background" in first.notes[0]
    assert "eager fp32 was measured best" in second.notes[0]


def test_16_bits_are_used_where_they_were_measured_best(tmp_path: Path) -> None:
    file = save_safetensors(tiny_htdemucs(), tmp_path, "abc")
    found = candidate(CheckpointFile(path=file), sha256_of(file))
    assert found is not None
    bf16 = Way(backend="eager", precision="bf16")
    remember(found, Cache(), Measured(way=bf16, seconds=0.5, agreement_db=42))
    separator = Separator("abc", models_path=tmp_path, device="cpu")
    auto = separator.separate(music(1).numpy(), 44100).report
    exact = separator.separate(music(1).numpy(), 44100, SeparationOptions(precision="exact")).report
    assert (auto.precision, exact.precision) == ("bf16", "fp32")


def test_16_bits_that_were_asked_for_and_never_measured_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_safetensors(tiny_hdemucs(), tmp_path, "v3")
    monkeypatch.setattr("stemwright.networks.low_precision", lambda device: "bf16")  # as with AMX
    separator = Separator("v3", models_path=tmp_path, device="cpu")
    report = separator.separate(music(0.5).numpy(), 44100, SeparationOptions(precision="fast")).report
    assert report.precision == "bf16"
    assert report.notes == ("bf16 was asked for: how closely it agrees was not measured",)


def test_a_built_network_that_is_gone_or_damaged_is_prepared_again(found: Candidate, started: list[list[str]]) -> None:
    cache = Cache()
    remember(found, cache, Measured(way=COMPILED, seconds=1.0, agreement_db=120))
    folder = cache.root / found.built_name(COMPILED)
    folder.mkdir()
    (folder / "contents.json").write_text('{"core.pt2": "not its hash"}')
    separator = Separator("abc", models_path=found.file.parent, device="cpu")
    report = separator.separate(music(0.5).numpy(), 44100).report
    assert report.backend == "eager"
    assert report.notes[0] == "the compiled fp32 network in the cache is missing or damaged"
    assert len(started) == 1
    assert not folder.exists()


def test_a_preparation_that_dies_again_and_again_is_not_started_for_ever(
    found: Candidate, started: list[list[str]]
) -> None:
    cache = Cache()
    cache.write_note(found.measurements_name.replace("measured", "attempts"), 3)
    decision = decide(found, "auto", cache, may_start=True)
    assert "failed 3 times" in decision.notes[0]
    assert not started


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="file modes are POSIX")
def test_nothing_is_prepared_in_a_cache_that_others_may_write_to(found: Candidate, started: list[list[str]]) -> None:
    cache = Cache()
    cache.root.mkdir()
    cache.root.chmod(0o775)
    assert "chmod go-w" in decide(found, "auto", cache, may_start=True).notes[0]
    assert not started


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("STEMWRIGHT_BACKEND", "eager", "asks for torch as it is"),
        ("STEMWRIGHT_WARM", "off", "STEMWRIGHT_WARM is off"),
    ],
)
def test_settings_turn_it_off(
    setting: str, value: str, expected: str, found: Candidate, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, value)
    assert expected in decide(found, "auto", Cache(), may_start=True).notes[0]
    assert not started


def test_a_backend_that_is_asked_for_and_cannot_be_had_is_said(
    found: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMWRIGHT_BACKEND", "openvino")
    remember(found, Cache(), **{"openvino fp32": "broken"})
    decision = decide(found, "auto", Cache(), may_start=True)
    assert decision.way == PLAIN
    assert decision.notes == ("STEMWRIGHT_BACKEND asks for openvino, which is not to be had: openvino fp32 (broken)",)


def test_a_backend_that_does_not_exist_is_said(found: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_BACKEND", "tensorrt")
    remember(found, Cache())
    notes = decide(found, "auto", Cache(), may_start=True).notes
    assert notes[0] == (
        "STEMWRIGHT_BACKEND is 'tensorrt', which is none of auto, eager, compiled, openvino: auto is meant"
    )
    assert "eager fp32 was measured best" in notes[1]


def test_without_torch_fast_is_said_to_be_float32_too(found: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "has_torch", lambda: False)
    decision = decide(found, "fast", Cache(), may_start=True)
    assert str(decision.way) == "openvino fp32"
    assert decision.notes == ("there is no torch here: OpenVINO computes in float32, for fast as well",)


def test_small_networks_and_other_kinds_are_computed_as_they_are(
    found: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMWRIGHT_WARM", "background")
    assert "the network is small" in decide(found, "auto", Cache(), may_start=True).notes[0]
    v3 = save_safetensors(tiny_hdemucs(), tmp_path, "v3")
    assert candidate(CheckpointFile(path=v3), sha256_of(v3)) is None
    assert warm.warm(CheckpointFile(path=v3), say=print) is None


def test_another_machine_another_torch_or_other_weights_are_measured_anew(
    found: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = found.measurements_name
    other_weights = replace(found, sha256="0" * 64)
    assert other_weights.measurements_name != name
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert found.measurements_name != name
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    assert found.measurements_name == name
    monkeypatch.setattr("stemwright.machine.processor.version_of", lambda package: "9.9")
    assert found.measurements_name != name


def test_a_device_is_measured_at_once_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a GPU is; the CPU stands for it here."""
    file, cache = save_safetensors(tiny_htdemucs(depth=3, t_layers=1), tmp_path, "abc"), Cache()
    loads: list[weakref.ref[torch.nn.Module]] = []

    class Counted(CheckpointFile):
        def load(self) -> LoadedModule:
            made = super().load()
            loads.append(weakref.ref(made.module))
            return made

    checkpoint = Counted(path=file)

    with monkeypatch.context() as patched:  # as when there is no memory
        patched.setattr(EagerNetwork, "computation", Computation(backend="eager", device="meta", precision="fp32"))
        precisions_on("cpu", "bf16", "0" * 64, checkpoint, cache)
    assert [each() for each in loads] == [None, None], "what was tried takes memory from what is used"

    known = precisions_on("cpu", "bf16", "0" * 64, checkpoint, cache)
    assert [str(each.way) for each in known.measured] == ["eager fp32", "eager bf16"]
    assert known.measured[1].agreement_db > 25  # so small a network loses more than a released one
    assert precisions_on("cpu", "bf16", "0" * 64, checkpoint, cache) == known
    assert len(loads) == 4


def test_every_file_of_the_kernels_counts_as_code_of_the_network() -> None:
    """A kernel that changed would otherwise go on as it was built before."""
    native = Path(code_version.__file__).parent / "native"
    assert {f"backends/native/{file.name}" for file in native.iterdir()} <= set(code_version._CODE)
