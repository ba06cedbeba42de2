"""The separation models as a worker sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from importlib.metadata import entry_points
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from packed import save_bag, save_safetensors
from small import music, tiny_htdemucs

from stemwright.audio import FORMATS, open_audio, open_writer
from stemwright.errors import InputError, ModelError, OptionError
from stemwright.options import SeparationOptions
from stemwright.separation.outputs import choose_outputs
from stemwright_demucs import service
from stemwright_demucs.params import output_options, schema, separation_options
from stemwright_demucs.separation_service import output_rules
from stemwright_worker.contract.codec import dump_announcement, load_announcement
from stemwright_worker.contract.description import FileFormat, ModelDescription
from stemwright_worker.contract.tasks import Announcement
from stemwright_worker.service import Progress, RunInput, RunRequest, Stopped


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


def described(name: str) -> ModelDescription:
    """The model of this name, as it crosses to the API and back."""
    services = load_announcement(
        dump_announcement(Announcement(worker="w", services=(service.describe(),), described="", nonce=""))
    ).services
    return next(model for model in services[0].models if model.name == name)


def complete(params: Mapping[str, Any], name: str = "tiny") -> dict[str, Any]:
    """The params with the schema's defaults."""
    properties = described(name).params["properties"]
    return {each: params.get(each, rule.get("default")) for each, rule in properties.items()}


def request(song: Path, tmp_path: Path, params: Mapping[str, Any]) -> RunRequest:
    (workdir := tmp_path / "work").mkdir()
    given = RunInput(name="input", path=song, filename="song.flac")
    return RunRequest(inputs=(given,), workdir=workdir, model="tiny", params=complete(params), max_seconds=60)


def test_it_is_found_by_its_entry_point() -> None:
    (entry,) = [each for each in entry_points(group="stemwright.services") if each.name == "demucs"]
    assert entry.load() is service


def test_every_model_is_described_by_data(tiny: str) -> None:
    models = {each.name: each for each in service.describe().models}
    assert {"htdemucs", "htdemucs_ft", "mdx_extra_q", "pocket", tiny} <= set(models)
    assert [each.name for each in models.values() if each.default] == ["htdemucs"]
    assert all(each.licence and each.revision and each.kind == "separation" for each in models.values())
    assert described(tiny) == models[tiny]
    assert described(tiny).formats["mp3"] == FileFormat(extension="mp3", content_type="audio/mpeg")


def test_describing_itself_imports_no_torch() -> None:
    code = "import sys; from stemwright_demucs import service; service.describe(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


SIX = ("drums", "bass", "other", "vocals", "guitar", "piano")


@pytest.mark.parametrize("sources", [("drums", "bass", "other", "vocals"), ("vocals", "accompaniment"), SIX])
def test_the_rules_give_the_outputs_of_the_engine_and_the_schema_refuses_what_it_refuses(
    sources: tuple[str, ...],
) -> None:
    """Every combination of what decides on outputs, two of a stem that is not there among them."""
    rules = output_rules(sources)
    model = ModelDescription(
        name="m", description="", licence="", params=schema(sources), outputs=rules, formats=described("pocket").formats
    )
    check, defaults = Draft202012Validator(model.params), complete({}, "pocket")
    subsets = [list(some) for count in range(len(sources) + 1) for some in combinations(sources, count)]
    for stems, two_stems, method in product(
        [None, ["kazoo"], *subsets], [None, "kazoo", *sources], ["add", "minus", "none", "else"]
    ):
        asked = defaults | {"stems": stems, "two_stems": two_stems, "other_method": method}
        try:
            expected = [each.name for each in choose_outputs(sources, separation_options(asked))]
        except OptionError:
            assert not check.is_valid(asked), asked
            continue
        assert check.is_valid(asked), asked
        for form, peaks in product(FORMATS.values(), (False, True)):
            made = model.outputs_of(asked | {"format": form.name, "peaks": peaks})
            stems_made = [each for each in made if each.role == "stem"]
            assert [each.name for each in stems_made] == expected
            assert [(each.filename, each.content_type) for each in stems_made] == [
                (f"{name}.{form.extension}", form.mime) for name in expected
            ]
            assert [each.filename for each in made[len(expected) :]] == (["peaks.json"] if peaks else [])


def test_the_schema_refuses_the_bit_rates_that_the_engine_refuses() -> None:
    check, defaults = Draft202012Validator(described("pocket").params), complete({}, "pocket")
    for form, bitrate in product([*FORMATS, "midi"], [None, 5_999, 6_000, 128_000, 320_000, 320_001, 512_000, 512_001]):
        asked = defaults | {"format": form, "bitrate": bitrate}
        try:
            output_options(asked)
        except OptionError:
            assert not check.is_valid(asked), asked
        else:
            assert check.is_valid(asked), asked


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"stems": []}, "no stem was asked for"),
        ({"two_stems": "piano"}, "no such stem: it has drums, bass, other, vocals"),
        ({"stems": ["bass"], "two_stems": "vocals"}, "exclude each other"),
        ({"bitrate": 128000}, "wav has no choice of bits a second: mp3, m4a, opus have"),
        ({"format": "ogg", "bitrate": 128000}, "ogg has no choice of bits a second"),
        ({"format": "mp3", "bitrate": 400000}, "mp3 cannot be written at so many bits a second: choose 6000 to 320000"),
    ],
)
def test_what_makes_no_sense_together_has_its_reason_in_the_schema(
    tiny: str, params: dict[str, Any], message: str
) -> None:
    schema = described(tiny).params
    (error,) = Draft202012Validator(schema).iter_errors(complete(params))
    assert message in schema["allOf"][error.absolute_schema_path[1]]["errorMessage"]


@pytest.mark.parametrize(
    "params",
    [
        {"stem": "vocals"},
        {"stems": "vocals"},
        {"stems": ["piano"]},
        {"shifts": 1000},
        {"shifts": True},
        {"overlap": "much"},
        {"segment": 0},
        {"segment": 3601},
        {"precision": "sloppy"},
        {"dc_offset": "none"},
        {"dc_offset": None},
    ],
)
def test_a_value_that_makes_no_sense_by_itself_is_refused(tiny: str, params: dict[str, Any]) -> None:
    check = Draft202012Validator(described(tiny).params)
    assert check.is_valid(complete({}))
    assert not check.is_valid(complete({}) | params)


def test_other_weights_under_the_same_name_are_another_revision(tiny: str, tmp_path: Path) -> None:
    before = described(tiny).revision
    assert described(tiny).revision == before
    save_safetensors(tiny_htdemucs(seed=1), tmp_path / "models", "abc")
    assert described(tiny).revision != before


def test_it_is_said_whether_weights_are_here_and_how_large_they_are(tiny: str, tmp_path: Path) -> None:
    (weights,) = (tmp_path / "models").glob("abc*.safetensors")
    assert (described(tiny).weights_here, described(tiny).weights_bytes) == (True, weights.stat().st_size)
    assert not described("htdemucs").weights_here


def test_a_model_whose_name_cannot_be_part_of_a_url_is_not_offered(tiny: str, tmp_path: Path) -> None:
    save_bag(tmp_path / "models", "my model", ["abc"])
    assert "my model" not in {each.name for each in service.describe().models}


def test_default_means_the_configured_model(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_DEFAULT_MODEL", tiny)
    assert [each.name for each in service.describe().models if each.default] == [tiny]


def test_an_unknown_model_is_not_loaded() -> None:
    with pytest.raises(ModelError) as caught:
        service.load("nope", "cpu")
    assert caught.value.code == "model_unknown"


def test_research_weights_need_to_be_accepted_in_production(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    refusal = described("htdemucs").refusal
    assert refusal is not None
    assert refusal.code == "licence_not_accepted"
    assert "DEMUCS_WEIGHTS_LICENCE_ACCEPTED=true" in refusal.message
    assert described(tiny).refusal is None
    monkeypatch.setenv("DEMUCS_WEIGHTS_LICENCE_ACCEPTED", "true")
    assert described("htdemucs").refusal is None


def test_a_run_makes_exactly_the_announced_files(tiny: str, song: Path, tmp_path: Path) -> None:
    params = {"two_stems": "vocals", "format": "flac"}
    announced = described(tiny).outputs_of(complete(params))
    seen: list[Progress] = []
    result = service.load(tiny, "cpu").run(request(song, tmp_path, params), seen.append)
    assert [each.name for each in result.files] == [each.name for each in announced] == ["vocals", "no_vocals"]
    assert [each.path.name for each in result.files] == [each.filename for each in announced]
    assert all(each.path.is_file() and each.path.parent == tmp_path / "work" for each in result.files)
    assert seen[-1].percent == 100
    # The first segment is no part of loading: progress says that computing has begun before it is done.
    assert [(each.stage, each.done) for each in seen[:2]] == [("loading", 0), ("separating", 0)]
    assert result.sample_rate == 48000
    assert result.duration == pytest.approx(2, abs=1e-3)
    assert result.report["model"] == tiny


def test_every_option_of_a_separation_can_be_asked_for_with_the_engines_own_default(tiny: str) -> None:
    machines = {"jobs"}  # how the work is laid out is the machine's matter, not the caller's
    asked = {field.name: field.default for field in fields(SeparationOptions) if field.name not in machines}
    properties = described(tiny).params["properties"]
    assert {name: properties[name].get("default") for name in asked} == asked


def test_a_dc_offset_of_the_mix_is_in_each_stem_or_shared_by_them(tiny: str, tmp_path: Path) -> None:
    offset = 0.125
    with open_writer(tmp_path / "song", format="flac", sample_rate=48000, channels=2) as writer:
        writer.write((0.05 * music(2, sample_rate=48000)).numpy() + np.float32(offset))
        writer.close()
    means = {}
    for asked in ("each", "shared"):
        (folder := tmp_path / asked).mkdir()
        run = request(tmp_path / "song", folder, {"dc_offset": asked})
        made = service.load(tiny, "cpu").run(run, lambda progress: None)
        assert "DC offset" in json.dumps(made.report), made.report
        means[asked] = [mean(each.path) for each in made.files]
    more = [each - shared for each, shared in zip(means["each"], means["shared"], strict=True)]
    assert more == pytest.approx([offset * (1 - 1 / len(more))] * len(more), abs=0.01)


def mean(path: Path) -> float:
    with open_audio(path, sample_rate=44100, channels=2) as audio:
        return float(np.concatenate(list(audio), axis=-1).mean())


def test_a_stop_passes_through_and_leaves_nothing(tiny: str, song: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done:
            raise Stopped("canceled")

    with pytest.raises(Stopped):
        service.load(tiny, "cpu").run(request(song, tmp_path, {}), stop)
    assert list((tmp_path / "work").iterdir()) == []


def test_a_song_that_is_too_long_is_refused_with_its_code(tiny: str, song: Path, tmp_path: Path) -> None:
    short = replace(request(song, tmp_path, {}), max_seconds=1)
    with pytest.raises(InputError) as caught:
        service.load(tiny, "cpu").run(short, lambda _: None)
    assert caught.value.code == "too_long"


def test_waveforms_of_the_stems_are_made_when_asked_for(tiny: str, song: Path, tmp_path: Path) -> None:
    params = {"peaks": True, "stems": ["drums", "vocals"]}
    assert [(each.name, each.role) for each in described(tiny).outputs_of(complete(params))] == [
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
