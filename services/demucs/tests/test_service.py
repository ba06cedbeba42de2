"""The separation models as a worker sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packed import save_bag, save_safetensors
from small import SOURCES, music, tiny_htdemucs

from stemwright.audio import open_audio, open_writer
from stemwright.errors import InputError, ModelError, OptionError
from stemwright_demucs import service
from stemwright_demucs.probe import probe
from stemwright_worker.service import Progress, RunRequest, Stopped


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (folder := tmp_path / "models").mkdir()
    save_safetensors(tiny_htdemucs(), folder, "abc")
    save_bag(folder, "tiny", ["abc"])
    monkeypatch.setenv("DEMUCS_MODELS_PATH", str(folder))
    return "tiny"


@pytest.fixture
def song(tmp_path: Path) -> Path:
    with open_writer(tmp_path / "song", format="flac", sample_rate=48000, channels=2) as writer:
        writer.write((0.5 * music(2, sample_rate=48000)).numpy())
        writer.close()
    return tmp_path / "song"


def request(song: Path, tmp_path: Path, params: Mapping[str, Any]) -> RunRequest:
    (workdir := tmp_path / "work").mkdir()
    return RunRequest(input=song, workdir=workdir, model="tiny", params=params, max_seconds=60)


def test_it_is_found_by_its_entry_points() -> None:
    (entry,) = [each for each in entry_points(group="stemwright.services") if each.name == "demucs"]
    assert entry.load() is service
    (entry,) = [each for each in entry_points(group="stemwright.probes") if each.name == "audio"]
    assert entry.load() is probe


def test_every_model_has_stems_and_a_licence(tiny: str) -> None:
    models = {each.name: each for each in service.models()}
    assert models[tiny].outputs == tuple(SOURCES)
    assert {"htdemucs", "htdemucs_ft", "mdx_extra_q"} <= set(models)
    assert [each.name for each in models.values() if each.default] == ["htdemucs"]
    assert all(each.licence for each in models.values())


def test_describing_itself_imports_no_torch() -> None:
    code = (
        "import sys; from stemwright_demucs import service; service.models();"
        "service.outputs('htdemucs', service.check('htdemucs', {})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_equal_work_has_equal_params(tiny: str) -> None:
    full = service.check(tiny, {})
    assert full["format"] == "wav"
    assert service.check(tiny, {"shifts": 0, "stems": None}) == full
    assert service.check(tiny, {"stems": ["vocals", "bass"]}) == service.check(tiny, {"stems": ["bass", "vocals"]})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"stem": "vocals"}, "there is no parameter 'stem'"),
        ({"stems": "vocals"}, "array or null is meant"),
        ({"stems": ["piano"]}, "no stem 'piano'"),
        ({"stems": []}, "no stem was asked for"),
        ({"two_stems": "piano"}, "no stem 'piano'"),
        ({"stems": ["bass"], "two_stems": "vocals"}, "exclude each other"),
        ({"shifts": 1000}, "between 0 and 20"),
        ({"shifts": True}, "integer is meant"),
        ({"overlap": "much"}, "number is meant"),
        ({"segment": 0}, "it must lie between 0 and any"),
        ({"format": "midi"}, "choose one of wav"),
        ({"bitrate": 128000}, "wav has no choice of bits a second"),
        ({"format": "ogg", "bitrate": 128000}, "ogg has no choice of bits a second"),
        ({"format": "mp3", "bitrate": 640000}, "between 6000 and 512000"),
        ({"precision": "sloppy"}, "choose one of auto"),
    ],
)
def test_params_that_make_no_sense_are_refused_with_the_reason(tiny: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        service.check(tiny, params)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        service.check("nope", {})
    assert caught.value.code == "unknown_variation"


def test_other_weights_under_the_same_name_are_other_work(tiny: str, tmp_path: Path) -> None:
    before = service.check(tiny, {})
    assert service.check(tiny, {}) == before
    save_safetensors(tiny_htdemucs(seed=1), tmp_path / "models", "abc")
    assert service.check(tiny, {})["weights"] != before["weights"]


def test_a_model_whose_name_cannot_be_part_of_a_url_is_not_offered(tiny: str, tmp_path: Path) -> None:
    save_bag(tmp_path / "models", "my model", ["abc"])
    assert "my model" not in {each.name for each in service.models()}


def test_default_means_the_configured_model(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_DEFAULT_MODEL", tiny)
    assert [each.name for each in service.models() if each.default] == [tiny]
    assert [each.name for each in service.outputs("default", service.check("default", {}))] == SOURCES


def test_research_weights_need_to_be_accepted_in_production(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(ModelError, match="DEMUCS_WEIGHTS_LICENCE_ACCEPTED=true") as caught:
        service.check("htdemucs", {})
    assert caught.value.code == "licence_not_accepted"
    service.check(tiny, {})
    monkeypatch.setenv("DEMUCS_WEIGHTS_LICENCE_ACCEPTED", "true")
    service.check("htdemucs", {})


def test_a_run_makes_exactly_the_announced_files(tiny: str, song: Path, tmp_path: Path) -> None:
    params = service.check(tiny, {"two_stems": "vocals", "format": "flac"})
    announced = service.outputs(tiny, params)
    seen: list[Progress] = []
    result = service.load(tiny, "cpu").run(request(song, tmp_path, params), seen.append)
    assert [each.name for each in result.files] == [each.name for each in announced] == ["vocals", "no_vocals"]
    assert [each.path.name for each in result.files] == [each.filename for each in announced]
    assert all(each.path.is_file() and each.path.parent == tmp_path / "work" for each in result.files)
    assert seen[-1].percent == 100
    assert result.sample_rate == 48000
    assert result.duration == pytest.approx(2, abs=1e-3)
    assert result.report["model"] == tiny


def test_a_stop_passes_through_and_leaves_nothing(tiny: str, song: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done:
            raise Stopped("canceled")

    params = service.check(tiny, {})
    with pytest.raises(Stopped):
        service.load(tiny, "cpu").run(request(song, tmp_path, params), stop)
    assert list((tmp_path / "work").iterdir()) == []


def test_a_song_that_is_too_long_is_refused_with_its_code(tiny: str, song: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    short = RunRequest(input=song, workdir=tmp_path / "work", model=tiny, params=service.check(tiny, {}), max_seconds=1)
    with pytest.raises(InputError) as caught:
        service.load(tiny, "cpu").run(short, lambda _: None)
    assert caught.value.code == "too_long"


def test_a_probe_says_what_a_file_is_or_why_it_will_not_do(song: Path, tmp_path: Path) -> None:
    assert probe(song, max_seconds=None) == {
        "duration": pytest.approx(2), "sample_rate": 48000, "channels": 2, "codec": "flac"
    }  # fmt: skip
    (bad := tmp_path / "bad").write_bytes(b"RIFF")
    with pytest.raises(InputError):
        probe(bad, max_seconds=None)


def test_waveforms_of_the_stems_are_made_when_asked_for(tiny: str, song: Path, tmp_path: Path) -> None:
    params = service.check(tiny, {"peaks": True, "stems": ["drums", "vocals"]})
    assert [(each.name, each.role) for each in service.outputs(tiny, params)] == [
        ("drums", "stem"),
        ("vocals", "stem"),
        ("peaks.json", "peaks"),
    ]
    made = service.load(tiny, "cpu").run(request(song, tmp_path, params), lambda progress: None)
    files = {each.name: each.path for each in made.files}
    waveforms = json.loads(files["peaks.json"].read_text())
    assert list(waveforms) == ["drums", "vocals"]
    for stem, waveform in waveforms.items():
        with open_audio(files[stem], sample_rate=44100, channels=2) as audio:
            samples = np.concatenate(list(audio), axis=-1)
        assert (waveform["sample_rate"], waveform["length"]) == (44100, samples.shape[-1])
        pairs = np.array(waveform["data"]).reshape(-1, 2)
        size = waveform["samples_per_peak"]
        runs = [samples[:, start : start + size] for start in range(0, samples.shape[-1], size)]
        expected = np.array([[127 * run.min(), 127 * run.max()] for run in runs])
        assert np.abs(pairs - expected).max() <= 1.0  # of 127: rounding, and that of 16 bits


def test_no_waveforms_are_made_unasked(tiny: str) -> None:
    assert [each.role for each in service.outputs(tiny, service.check(tiny, {}))] == ["stem"] * len(SOURCES)
