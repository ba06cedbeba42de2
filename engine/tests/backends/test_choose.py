"""Which backend a song gets, what is started for the next one, and what the report says of it."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from packed import save_safetensors
from small import music, tiny_hdemucs, tiny_htdemucs

from stemwright import Machine, OptionError, SeparationOptions, Separator
from stemwright.backends import code_version
from stemwright.backends.background import start_in_background
from stemwright.backends.candidate import Candidate, find_candidate
from stemwright.backends.choose import Chooser, Decision
from stemwright.backends.eager import EagerNetwork
from stemwright.backends.measure import precisions_on
from stemwright.backends.measurements import Measured, Measurements
from stemwright.backends.prepare import prepare
from stemwright.checkpoints import find
from stemwright.checkpoints.checkpoint import CheckpointFile
from stemwright.machine.hashing import sha256_of
from stemwright.models.architecture import LoadedModule
from stemwright.models.htdemucs.architecture import HTDEMUCS
from stemwright.models.network import PLAIN, Computation, Network
from stemwright.networks import Networks
from stemwright.options import Precision

COMPILED = Computation(backend="compiled", precision="fp32")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """This one, with a cache of its own, where backends are prepared in the background."""
    return Machine.here({"STEMWRIGHT_CACHE": str(tmp_path / "cache")})


@pytest.fixture
def network(tmp_path: Path, machine: Machine) -> Candidate:
    file = save_safetensors(tiny_htdemucs(), tmp_path, "abc")
    made = find_candidate(CheckpointFile(path=file), sha256_of(file), machine)
    assert made is not None
    return made


@pytest.fixture
def started() -> list[list[str]]:
    """Commands that would run in the background."""
    return []


@pytest.fixture
def chooser(started: list[list[str]]) -> Callable[[Machine], Chooser]:
    """Makes choosers to which every network is worth building for."""
    start = partial(start_in_background, start=lambda command, **_: started.append(command))
    return lambda machine: Chooser(machine, worth_building=0, start=start)


def remember(network: Candidate, *extra: Measured, **failed: str) -> None:
    plain = Measured(computation=PLAIN, seconds=2.0, agreement_db=math.inf)
    made = Measurements(measured=(plain, *extra), failed=failed)
    network.machine.cache.write_note(network.measurements_name, made.as_json())


def loads(network: Candidate, chooser: Chooser) -> Callable[[], Network]:
    """Loads the network as each song does."""
    info = find("abc", network.file.parent)
    networks = Networks(info, device="cpu", machine=network.machine, chooser=chooser)
    return lambda: networks.bag("auto").network(0)


def test_the_first_song_runs_at_once_on_plain_torch_and_one_process_prepares_the_rest(
    network: Candidate, chooser: Callable[[Machine], Chooser], started: list[list[str]]
) -> None:
    load = loads(network, chooser(network.machine))
    first = load()
    assert first.computation == PLAIN
    assert "are being prepared while nothing is separated" in first.notes[0]
    # -P: no module of the folder that the command was called in takes the place of one of ours.
    assert [command[1:] for command in started] == [["-P", "-m", "stemwright.backends.background", str(network.file)]]
    assert load() is first
    assert len(started) == 1


def test_what_was_measured_decides_and_the_report_says_why(
    network: Candidate, chooser: Callable[[Machine], Chooser], started: list[list[str]]
) -> None:
    remember(network, **{"compiled fp32": "there is no C++ compiler (g++ or clang++)"})
    separator = Separator("abc", models_path=network.file.parent, device="cpu", machine=network.machine)
    report = separator.separate(music(1).numpy(), 44100).report
    assert report.backend == "eager"
    assert "eager fp32 was measured best: 2.00 s a segment" in report.notes[0]
    assert "not used: compiled fp32 (there is no C++ compiler" in report.notes[0]
    assert loads(network, chooser(network.machine))().notes == report.notes
    assert not started


def test_a_measurement_that_ends_with_plain_torch_is_told_by_the_same_process(
    network: Candidate, chooser: Callable[[Machine], Chooser], started: list[list[str]]
) -> None:
    load = loads(network, chooser(network.machine))
    first = load().notes
    remember(network)
    second = load().notes
    assert len(started) == 1
    assert "are being prepared while nothing is separated" in first[0]
    assert "eager fp32 was measured best" in second[0]


def test_16_bits_are_used_where_they_were_measured_best(network: Candidate) -> None:
    bf16 = Computation(backend="eager", precision="bf16")
    remember(network, Measured(computation=bf16, seconds=0.5, agreement_db=42))
    separator = Separator("abc", models_path=network.file.parent, device="cpu", machine=network.machine)
    auto = separator.separate(music(1).numpy(), 44100).report
    exact = separator.separate(music(1).numpy(), 44100, SeparationOptions(precision="exact")).report
    assert (auto.precision, exact.precision) == ("bf16", "fp32")


def test_16_bits_that_were_asked_for_and_never_measured_are_told(tmp_path: Path, machine: Machine) -> None:
    save_safetensors(tiny_hdemucs(), tmp_path, "v3")
    with_amx = replace(machine, flags=machine.flags | {"amx_tile"})
    separator = Separator("v3", models_path=tmp_path, device="cpu", machine=with_amx)
    report = separator.separate(music(0.5).numpy(), 44100, SeparationOptions(precision="fast")).report
    assert report.precision == "bf16"
    assert report.notes == ("bf16 was asked for: how closely it agrees was not measured",)


def test_a_built_network_that_is_gone_or_damaged_is_prepared_again(
    network: Candidate, chooser: Callable[[Machine], Chooser], started: list[list[str]]
) -> None:
    remember(network, Measured(computation=COMPILED, seconds=1.0, agreement_db=120))
    folder = network.machine.cache_folder / network.built_name(COMPILED)
    folder.mkdir()
    (folder / "contents.json").write_text('{"core.pt2": "not its hash"}')
    loaded = loads(network, chooser(network.machine))()
    assert loaded.computation == PLAIN
    assert loaded.notes[0] == "the compiled fp32 network in the cache is missing or damaged"
    assert len(started) == 1
    assert not folder.exists()


def test_a_preparation_that_dies_again_and_again_is_not_started_for_ever(
    network: Candidate, chooser: Callable[[Machine], Chooser], started: list[list[str]]
) -> None:
    network.machine.cache.write_note(network.measurements_name.replace("measured", "attempts"), 3)
    assert "failed 3 times" in chooser(network.machine).decide(network, "auto").notes[0]
    assert not started


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="file modes are POSIX")
def test_nothing_is_prepared_in_a_cache_that_others_may_write_to(
    network: Candidate, chooser: Callable[[Machine], Chooser], started: list[list[str]]
) -> None:
    network.machine.cache_folder.mkdir()
    network.machine.cache_folder.chmod(0o775)
    assert "chmod go-w" in chooser(network.machine).decide(network, "auto").notes[0]
    assert not started


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"STEMWRIGHT_BACKEND": "eager"}, "the backend eager was asked for: torch computes it as it is"),
        ({"STEMWRIGHT_WARM": "off"}, "STEMWRIGHT_WARM is off"),
    ],
)
def test_settings_turn_it_off(
    variables: dict[str, str],
    expected: str,
    network: Candidate,
    chooser: Callable[[Machine], Chooser],
    started: list[list[str]],
) -> None:
    assert expected in chooser(Machine.here(variables)).decide(network, "auto").notes[0]
    assert not started


def decided(network: Candidate, wanted: Precision = "auto", **changes: Any) -> Decision:
    """What is decided for a network on a machine that is changed so."""
    machine = replace(network.machine, **changes)
    return Chooser(machine).decide(replace(network, machine=machine), wanted)


def test_a_backend_that_is_asked_for_and_cannot_be_had_is_said(network: Candidate) -> None:
    remember(network, **{"openvino fp32": "broken"})
    decision = decided(network, backend="openvino")
    assert decision.computation == PLAIN
    assert decision.notes == ("the backend openvino was asked for, and is not to be had: openvino fp32 (broken)",)


def test_a_backend_that_does_not_exist_is_said(network: Candidate, tmp_path: Path) -> None:
    remember(network)
    machine = Machine.here({"STEMWRIGHT_BACKEND": "tensorrt", "STEMWRIGHT_CACHE": str(tmp_path / "cache")})
    notes = Chooser(machine).decide(network, "auto").notes
    assert notes[0] == (
        "STEMWRIGHT_BACKEND is 'tensorrt', which is none of auto, eager, compiled, openvino: auto is meant"
    )
    assert "eager fp32 was measured best" in notes[1]


def test_a_separator_is_told_which_backend_to_use_and_the_environment_is_not_asked(
    network: Candidate, tmp_path: Path
) -> None:
    remember(network, Measured(computation=COMPILED, seconds=1.0, agreement_db=120))
    told: dict[str, Any] = {"models_path": tmp_path, "device": "cpu"}
    eager = Separator("abc", backend="eager", machine=network.machine, **told)
    assert "eager fp32 was measured best" in eager.separate(music(0.5).numpy(), 44100).report.notes[0]
    other = replace(network.machine, backend="eager", notes=("what the environment said means nothing",))
    auto = Separator("abc", backend="auto", machine=other, **told)
    assert auto.separate(music(0.5).numpy(), 44100).report.notes[0].startswith("the compiled fp32 network in the cache")
    with pytest.raises(OptionError, match="backend is 'tensorrt': choose one of auto, eager, compiled, openvino"):
        Separator("abc", backend="tensorrt", **told)  # type: ignore[arg-type]


def test_a_network_that_the_backend_does_not_compute_is_computed_by_torch_and_that_is_said(
    tmp_path: Path, machine: Machine
) -> None:
    save_safetensors(tiny_hdemucs(), tmp_path, "v3")
    separator = Separator("v3", models_path=tmp_path, device="cpu", backend="compiled", machine=machine)
    report = separator.separate(music(0.5).numpy(), 44100).report
    assert report.backend == "eager"
    assert report.notes == (
        "the backend compiled was asked for, which computes HTDemucs on a CPU only: torch computes this",
    )


def test_without_torch_fast_is_said_to_be_float32_too(network: Candidate) -> None:
    decision = decided(network, "fast", torch=None)
    assert str(decision.computation) == "openvino fp32"
    assert decision.notes == ("there is no torch here: OpenVINO computes in float32, for fast as well",)


def test_small_networks_and_other_kinds_are_computed_as_they_are(network: Candidate, tmp_path: Path) -> None:
    assert "the network is small" in decided(network).notes[0]
    v3 = save_safetensors(tiny_hdemucs(), tmp_path, "v3")
    assert find_candidate(CheckpointFile(path=v3), sha256_of(v3), network.machine) is None
    assert prepare(CheckpointFile(path=v3), say=print, machine=network.machine) is None


def test_another_machine_another_torch_or_other_weights_are_measured_anew(network: Candidate) -> None:
    def other(**changes: Any) -> Candidate:
        return replace(network, machine=replace(network.machine, **changes))

    name = network.measurements_name
    assert other(backend="eager", cache_folder=Path("elsewhere")).measurements_name == name
    assert replace(network, sha256="0" * 64).measurements_name != name
    assert other(limits=replace(network.machine.limits, onednn="avx2")).measurements_name != name
    assert other(threads=network.machine.threads + 1).measurements_name != name
    assert other(torch="9.9").measurements_name != name
    assert other(openvino="9.9").measurements_name != name


def test_a_device_is_measured_at_once_and_only_once(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a GPU is; the CPU stands for it here."""
    file = save_safetensors(tiny_htdemucs(depth=3, t_layers=1), tmp_path, "abc")
    loads: list[weakref.ref[torch.nn.Module]] = []

    class Counted(CheckpointFile):
        def load(self) -> LoadedModule:
            made = super().load()
            loads.append(weakref.ref(made.module))
            return made

    checkpoint = Counted(path=file)

    with monkeypatch.context() as patched:  # as when there is no memory
        patched.setattr(EagerNetwork, "computation", Computation(backend="eager", precision="fp32", device="meta"))
        precisions_on("cpu", "bf16", "0" * 64, checkpoint, machine)
    assert [each() for each in loads] == [None, None], "what was tried takes memory from what is used"

    known = precisions_on("cpu", "bf16", "0" * 64, checkpoint, machine)
    assert [str(each.computation) for each in known.measured] == ["eager fp32", "eager bf16"]
    assert known.measured[1].agreement_db > 25  # so small a network loses more than a released one
    assert precisions_on("cpu", "bf16", "0" * 64, checkpoint, machine) == known
    assert len(loads) == 4


PLACES = (code_version.BACKENDS, HTDEMUCS.code)


def test_every_file_of_the_network_and_its_kernels_counts_as_its_code(tmp_path: Path) -> None:
    """What was built from another version would otherwise be used on."""
    for folder in PLACES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(code_version.PACKAGE / folder, tmp_path / folder, ignore=ignored)
    version = code_version.hash_of_code(tmp_path, *PLACES)
    assert version == code_version.code_version(HTDEMUCS)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"dconv.cpp", "amx.h", "fused.py", "layers.py"} <= {file.name for file in files}
    for file in files:
        before = file.read_bytes()
        file.write_bytes(before + b"\n")
        assert code_version.hash_of_code(tmp_path, *PLACES) != version, file
        file.write_bytes(before)
    (tmp_path / "backends" / "native" / "new.cpp").touch()
    assert code_version.hash_of_code(tmp_path, *PLACES) != version


def test_what_is_compiled_is_made_of_code_that_counts() -> None:
    """A module that computes and lies elsewhere would have to be named by the architecture."""
    code = (
        "import sys, stemwright.backends.compiled, stemwright.backends.trial, stemwright.models.htdemucs.core\n"
        "computing = [name for name, module in sys.modules.items() if hasattr(module, 'torch') or hasattr(module, 'nn')]\n"
        "print(*(name for name in computing if name.startswith('stemwright.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    folders = tuple(f"stemwright.{folder.replace('/', '.')}" for folder in PLACES)
    found = set(done.stdout.split())
    assert "stemwright.models.htdemucs.layers" in found
    # The base class of cores has no code of its own.
    assert {name for name in found if not name.startswith(folders)} == {"stemwright.models.core"}
