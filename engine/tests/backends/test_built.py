"""Networks that were compiled or converted compute what plain torch computes, and songs use them."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packed import save_safetensors
from small import music, snr_db, tiny_htdemucs

from stemwright import Machine, SeparationOptions, Separator
from stemwright.backends import compiled, library, openvino_core
from stemwright.backends import prepare as preparation
from stemwright.backends.candidate import find_candidate
from stemwright.backends.eager import EagerNetwork
from stemwright.backends.measurements import Measurements
from stemwright.backends.prepare import prepare
from stemwright.backends.timing import Timing
from stemwright.checkpoints.checkpoint import CheckpointFile
from stemwright.checkpoints.files import load_network
from stemwright.cli import main
from stemwright.machine.hashing import sha256_of
from stemwright.models.network import Computation, Samples

SMALLEST = {"depth": 3, "t_layers": 2}
# Widths that our own kernels are written for, and few layers: compiling is what takes the time.
FUSABLE = {"depth": 2, "t_layers": 1, "channels": 16, "bottom_channels": 64, "t_heads": 1}
COMPILED, INTEGERS = (Computation(backend="compiled", precision=each) for each in ("fp32", "int16"))


def as_tensor(stems: Mapping[str, Samples]) -> torch.Tensor:
    return torch.from_numpy(np.stack(list(stems.values())))


def finalizers_of(make: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[weakref.finalize[..., Any]]:
    """What was to be done when the thing that is made here goes, which it does at once."""
    found: list[weakref.finalize[..., Any]] = []

    def kept(*words: Any) -> weakref.finalize[..., Any]:
        found.append(real(*words))
        return found[-1]

    real = weakref.finalize
    with monkeypatch.context() as patch:
        patch.setattr(weakref, "finalize", kept)
        make()
    return found


RUN_COMPILED = """
import sys
from dataclasses import replace
import numpy as np
from stemwright import Machine, SeparationOptions, Separator
here = Machine.here()
machine = replace(here, may_have_gpu=False, openvino=None, flags=here.flags - {"amx_tile"})
separator = Separator("abc", models_path=sys.argv[1], machine=machine)
result = separator.separate(np.load(sys.argv[2]), 44100, SeparationOptions(precision="exact"))
assert result.report.backend == "compiled", result.report
assert "torch" not in sys.modules, "importing it takes a second or two"
np.save(sys.argv[3], np.stack(list(result.stems.values())))
"""


def test_what_was_compiled_agrees_to_100_db_and_songs_use_it_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save_safetensors(tiny_htdemucs(**FUSABLE), tmp_path, "abc")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where torch would unpack a package
    here = Machine.here()
    machine = replace(here, openvino=None, flags=here.flags - {"amx_tile"})  # integers are for processors without AMX
    separator, mix = Separator("abc", models_path=tmp_path, device="cpu", machine=machine), music(2).numpy()
    first = separator.separate(mix, 44100)
    assert first.report.backend == "eager"
    with_kernels = Timing(is_faster=lambda one, other, given: True, bf16_is_faster=lambda: False)
    known = prepare(CheckpointFile(path=file), say=print, machine=machine, timing=with_kernels)
    assert known is not None
    assert not known.failed
    agreements = {each.computation: each.agreement_db for each in known.measured}
    assert agreements[COMPILED] > 100
    assert 65 < agreements[INTEGERS] < 100
    assert len(list(machine.cache_folder.glob(f"compiled-*/{library.KERNELS}"))) == 2
    # So small a network may be as fast in plain torch.
    separator = Separator("abc", models_path=tmp_path, device="cpu", backend="compiled", machine=machine)
    second = separator.separate(mix, 44100, SeparationOptions(precision="exact"))
    assert (second.report.backend, second.report.precision) == ("compiled", "fp32")
    assert "compiled fp32 was measured best" in second.report.notes[0]
    assert snr_db(as_tensor(first.stems), as_tensor(second.stems)) > 100
    assert not list(tmp_path.glob("aotinductor_*")), "a process that is killed would leave behind what was unpacked"
    np.save(tmp_path / "mix.npy", mix)
    words = [sys.executable, "-c", RUN_COMPILED, str(tmp_path), str(tmp_path / "mix.npy"), str(tmp_path / "stems.npy")]
    subprocess.run(words, check=True)
    assert np.array_equal(np.load(tmp_path / "stems.npy"), np.stack(list(second.stems.values())))
    (folder,) = machine.cache_folder.glob("compiled-fp32-*/")
    finalizers = finalizers_of(lambda: library.CoreLibrary(folder), monkeypatch)
    assert [each.alive for each in finalizers] == [False], "its weights stay when a worker changes models"


def without_backends() -> Machine:
    return replace(Machine.here(), compiler=None, openvino=None)


def test_the_process_that_prepares_leaves_a_measurement(tmp_path: Path) -> None:
    file = save_safetensors(tiny_htdemucs(**SMALLEST), tmp_path, "abc")
    machine = without_backends()
    preparation.main([str(file)], machine)
    found = find_candidate(CheckpointFile(path=file), sha256_of(file), machine)
    assert found is not None
    assert Measurements.from_json(machine.cache.note(found.measurements_name)) is not None


def test_integers_are_built_where_there_is_no_amx_and_bfloat16_where_it_is_faster() -> None:
    plain_machine = replace(Machine.here({}), flags=frozenset({"avx2"}), openvino=None)
    with_openvino = replace(plain_machine, openvino="2026.4.1")
    with_amx = replace(plain_machine, flags=frozenset({"amx_tile", "amx_bf16", "avx512bw"}))

    def built(machine: Machine, *, bf16_is_faster: bool) -> list[str]:
        return [str(each) for each in preparation.candidates(machine, bf16_is_faster=bf16_is_faster)]

    plain = ["compiled fp32", "compiled int16"]
    assert built(plain_machine, bf16_is_faster=False) == plain
    assert built(with_openvino, bf16_is_faster=False) == [*plain, "openvino fp32"]
    assert built(plain_machine, bf16_is_faster=True) == [
        "eager bf16",
        "compiled fp32",
        "compiled bf16",
        "compiled int16",
    ]
    assert built(with_amx, bf16_is_faster=True) == ["eager bf16", "compiled fp32", "compiled bf16"]


def test_a_network_of_integers_is_not_built_where_their_kernel_is_of_no_use(tmp_path: Path) -> None:
    file = save_safetensors(tiny_htdemucs(**SMALLEST), tmp_path, "abc")
    machine = replace(Machine.here(), compiler="false")  # no kernel comes of it
    with pytest.raises(RuntimeError, match="the kernel for integers is not right here, or not faster"):
        compiled.build(load_network(file), "int16", tmp_path, machine)


def test_without_a_compiler_the_others_are_measured_and_the_reason_is_kept(tmp_path: Path) -> None:
    file = save_safetensors(tiny_htdemucs(**SMALLEST), tmp_path, "abc")
    machine = without_backends()
    said: list[str] = []
    known = prepare(CheckpointFile(path=file), say=said.append, machine=machine)
    assert known is not None
    assert str(known.measured[0].computation) == "eager fp32"
    assert {"compiled fp32"} <= set(known.failed)
    assert set(known.failed.values()) == {"there is no C++ compiler (g++ or clang++)"}
    assert any("compiled fp32: not used: there is no C++ compiler" in line for line in said)
    assert prepare(CheckpointFile(path=file), say=pytest.fail, machine=machine) == known  # measured once
    assert [json.loads(note.read_text()) for note in machine.cache_folder.glob("attempts-*")] == [
        0
    ]  # none of them failed


RUN_WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # as if it were not installed
import importlib.util as util
find = util.find_spec
util.find_spec = lambda name, *rest: None if name == "torch" else find(name, *rest)
import numpy as np
from stemwright import Separator
separator = Separator("abc", models_path=sys.argv[1])
result = separator.separate(np.load(sys.argv[2]), 44100)
assert "demucs" not in sys.modules
assert (result.report.backend, result.report.precision) == ("openvino", "fp32"), result.report
np.save(sys.argv[3], np.stack(list(result.stems.values())))
"""


def test_openvino_agrees_to_100_db_and_runs_without_torch(tmp_path: Path) -> None:
    file = save_safetensors(tiny_htdemucs(**SMALLEST), tmp_path, "abc")
    network, cache = load_network(file), Machine.here().cache
    found = find_candidate(CheckpointFile(path=file), sha256_of(file), Machine.here())
    computation = Computation(backend="openvino", precision="fp32")
    assert found is not None
    with cache.building(name := found.built_name(computation)):
        cache.build(name, lambda folder: openvino_core.convert(network, folder))
    mix = music(1.2).numpy()
    built = found.open(computation)
    assert built is not None
    expected = torch.from_numpy(EagerNetwork(network)(mix[None]))
    assert snr_db(expected, torch.from_numpy(built(mix[None]))) > 100
    np.save(tmp_path / "mix.npy", mix)
    arguments = [str(tmp_path), str(tmp_path / "mix.npy"), str(tmp_path / "stems.npy")]
    done = subprocess.run([sys.executable, "-c", RUN_WITHOUT_TORCH, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with_torch = Separator("abc", models_path=tmp_path, device="cpu").separate(mix, 44100)
    got = torch.from_numpy(np.load(tmp_path / "stems.npy"))
    assert snr_db(as_tensor(with_torch.stems), got) > 100


def test_without_torch_and_without_a_converted_model_the_error_says_what_to_do(tmp_path: Path) -> None:
    save_safetensors(tiny_htdemucs(**SMALLEST), tmp_path, "abc")
    np.save(tmp_path / "mix.npy", music(0.1).numpy())
    arguments = [str(tmp_path), str(tmp_path / "mix.npy"), str(tmp_path / "stems.npy")]
    done = subprocess.run([sys.executable, "-c", RUN_WITHOUT_TORCH, *arguments], capture_output=True, text=True)
    assert "MissingExtraError" in done.stderr
    assert "stemwright models warm" in done.stderr or "stemwright[openvino]" in done.stderr


def test_models_warm_says_when_there_is_nothing_to_build(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "warm", "pocket"]) == 0
    assert "nothing to build: torch computes it as it is" in capsys.readouterr().out
