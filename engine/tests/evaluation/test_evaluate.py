"""Files in, figures out: by the command, as a user runs it."""

import json
import math
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemwright.cli import main
from stemwright.evaluation import framewise_sdr, si_sdr, usdr

RATE = 8000
STEMS = ("bass", "drums", "other", "vocals")


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> None:
    """A 16-bit wav of ``[channels, n]`` samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm(samples).T.astype("<i2").tobytes())


def pcm(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.round(samples * 32768), -32768, 32767)


def read_back(samples: np.ndarray) -> np.ndarray:
    """What a reader makes of a file that `write` wrote."""
    return (pcm(samples) / 32768).astype(np.float32)


def song(seed: int, seconds: float = 3.4) -> np.ndarray:
    """``[stems, 2, samples]``, of changing level."""
    random = np.random.default_rng(seed)
    samples = int(seconds * RATE)
    level = np.interp(np.arange(samples), np.linspace(0, samples, 8), random.uniform(0.2, 1, 8))
    return np.asarray(0.05 * level * random.standard_normal((len(STEMS), 2, samples)))


def separated(references: np.ndarray, leak: float) -> np.ndarray:
    return np.asarray(references + leak * (references.sum(axis=0) - references))


def write_song(folder: Path, stems: np.ndarray, names: tuple[str, ...] = STEMS, rate: int = RATE) -> Path:
    for name, samples in zip(names, stems, strict=True):
        write(folder / f"{name}.wav", samples, rate)
    return folder


def evaluate(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["evaluate", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def document(capsys: pytest.CaptureFixture[str], reference: Path, estimate: Path, *more: str) -> dict[str, Any]:
    code, out, _ = evaluate(capsys, "--reference", reference, "--estimate", estimate, "--json", *more)
    assert code == 0
    return json.loads(out)  # type: ignore[no-any-return]


def refusal(capsys: pytest.CaptureFixture[str], reference: Path, estimate: Path) -> str:
    code, out, err = evaluate(capsys, "--reference", reference, "--estimate", estimate, "--json")
    assert code == 2
    assert out == ""
    assert err.startswith("stemwright: error: ")
    assert err.count("\n") == 1
    return err


def test_the_figures_of_a_song_are_those_of_its_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = song(1)
    made = separated(true, 0.3)
    found = document(capsys, write_song(tmp_path / "true/Song", true), write_song(tmp_path / "out/Song", made))
    references, estimates = read_back(true), read_back(made)
    frames = framewise_sdr(references, estimates, RATE)
    (only,) = found["songs"]
    assert only["name"] == "Song"
    assert only["sample_rate"] == RATE
    assert only["seconds"] == pytest.approx(3.4)
    for index, stem in enumerate(STEMS):
        figures = only["stems"][stem]
        assert figures["frames"] == 3
        assert figures["sdr"] == pytest.approx(float(np.median(frames[index])), abs=1e-4)
        assert figures["si_sdr"] == pytest.approx(si_sdr(references[index], estimates[index]), abs=1e-4)
        assert figures["usdr"] == pytest.approx(usdr(references[index], estimates[index]), abs=1e-4)


def test_a_folder_of_songs_is_summed_up_as_museval_and_the_challenges_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, leak in enumerate((0.1, 0.2, 0.9)):
        true = song(seed)
        write_song(tmp_path / f"musdb/test/Song {seed}", true)
        write(tmp_path / f"musdb/test/Song {seed}/mixture.wav", true.sum(axis=0))
        write_song(tmp_path / f"out/Song {seed}", separated(true, leak))
    found = document(capsys, tmp_path / "musdb/test", tmp_path / "out")
    assert [each["name"] for each in found["songs"]] == ["Song 0", "Song 1", "Song 2"]
    means: dict[str, list[float]] = {figure: [] for figure in ("sdr", "si_sdr", "usdr")}
    for stem in STEMS:
        per_song = [each["stems"][stem] for each in found["songs"]]
        total = found["summary"][stem]
        assert total["songs"] == 3
        assert total["sdr"] == pytest.approx(np.median([s["sdr"] for s in per_song]), abs=1e-4)
        assert total["si_sdr"] == pytest.approx(np.median([s["si_sdr"] for s in per_song]), abs=1e-4)
        assert total["usdr"] == pytest.approx(np.mean([s["usdr"] for s in per_song]), abs=1e-4)
        for figure, values in means.items():
            values.append(total[figure])
    for figure, values in means.items():
        assert found["mean_of_stems"][figure] == pytest.approx(np.mean(values), abs=1e-4)


def test_the_table_names_songs_stems_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = song(4)
    reference = write_song(tmp_path / "true/A Song", true)
    estimate = write_song(tmp_path / "out", 0.5 * true)
    code, out, _ = evaluate(capsys, "--reference", reference, "--estimate", estimate)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["song", "stem", "SDR", "SI-SDR", "uSDR"]
    assert lines[1].startswith("A Song")
    assert lines[1].split()[2:4] == ["bass", "6.02"]
    assert lines[-1].split()[:4] == ["mean", "of", "stems", "6.02"]


def test_flac_estimates_are_read_beside_wav_references(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = song(5)
    write_song(tmp_path / "true", true)
    write_song(tmp_path / "wav", true)
    for stem in STEMS:
        to_flac(tmp_path / f"wav/{stem}.wav", tmp_path / f"out/{stem}.flac")
    found = document(capsys, tmp_path / "true", tmp_path / "out")
    assert {figures["sdr"] for figures in found["songs"][0]["stems"].values()} == {"Infinity"}


def to_flac(source: Path, target: Path) -> None:
    import av

    target.parent.mkdir(exist_ok=True)
    with av.open(str(source)) as decoded, av.open(str(target), "w") as encoded:
        stream = encoded.add_stream("flac", rate=RATE)
        stream.layout = "stereo"
        stream.format = "s16"
        for frame in decoded.decode(audio=0):
            encoded.mux(stream.encode(frame))
        encoded.mux(stream.encode(None))


def test_accompaniment_is_compared_with_the_sum_of_the_other_stems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    true = song(6)
    reference = write_song(tmp_path / "true", true)
    rest = read_back(true)[:3].sum(axis=0)
    estimate = write_song(tmp_path / "out", np.stack([true[3], 0.5 * rest]), ("vocals", "accompaniment"))
    stems = document(capsys, reference, estimate)["songs"][0]["stems"]
    assert stems["accompaniment"]["sdr"] == pytest.approx(20 * math.log10(2), abs=0.01)
    assert stems["vocals"]["sdr"] == "Infinity"


def test_a_silent_stem_is_undefined_and_written_as_null(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = song(7)
    true[2] = 0
    reference = write_song(tmp_path / "true", true)
    estimate = write_song(tmp_path / "out", separated(true, 0.2))
    found = document(capsys, reference, estimate)
    assert found["songs"][0]["stems"]["other"]["sdr"] is None
    assert found["songs"][0]["stems"]["vocals"]["frames"] == 3
    _, out, _ = evaluate(capsys, "--reference", reference, "--estimate", estimate)
    row = next(line.split() for line in out.splitlines() if "other" in line)
    assert row[1:3] == ["-", "-"]


def test_an_encoders_padding_is_trimmed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = song(8)
    reference = write_song(tmp_path / "true", true)
    padded = np.pad(0.5 * true, ((0, 0), (0, 0), (0, RATE // 20)), constant_values=0.5)
    expected = document(capsys, reference, write_song(tmp_path / "even", 0.5 * true))["songs"]
    found = document(capsys, reference, write_song(tmp_path / "longer", padded))["songs"]
    assert found[0]["stems"] == expected[0]["stems"]
    shorter = document(capsys, reference, write_song(tmp_path / "shorter", 0.5 * true[:, :, : -RATE // 20]))["songs"]
    assert shorter[0]["stems"]["vocals"]["sdr"] == expected[0]["stems"]["vocals"]["sdr"]


def test_another_length_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = song(9)
    reference = write_song(tmp_path / "true", true)
    estimate = write_song(tmp_path / "out", true[:, :, : 2 * RATE])
    assert "is 2.000 s long and" in refusal(capsys, reference, estimate)


def test_references_of_several_lengths_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = song(10)
    estimate = write_song(tmp_path / "out", true)
    reference = write_song(tmp_path / "true", true)
    for folder in (reference, estimate):
        write(folder / "vocals.wav", true[3, :, :RATE])
    assert "must be equally long" in refusal(capsys, reference, estimate)


def test_another_rate_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = song(11)
    reference = write_song(tmp_path / "true", true)
    estimate = write_song(tmp_path / "out", true, rate=2 * RATE)
    assert "is at 16000 Hz and" in refusal(capsys, reference, estimate)


def test_a_missing_stem_is_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = song(12)
    reference = write_song(tmp_path / "true", true)
    estimate = write_song(tmp_path / "out", true[:3], STEMS[:3])
    assert "has no stem 'vocals'" in refusal(capsys, reference, estimate)


def test_a_file_that_is_no_audio_is_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = song(13)
    reference = write_song(tmp_path / "true", true)
    estimate = write_song(tmp_path / "out", true)
    (estimate / "drums.wav").write_text("not audio")
    assert "drums.wav" in refusal(capsys, reference, estimate)


def test_chosen_stems_alone_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = song(14)
    reference = write_song(tmp_path / "true", true)
    estimate = write_song(tmp_path / "out", true[3:], ("vocals",))
    found = document(capsys, reference, estimate, "--stems", "vocals")
    assert list(found["songs"][0]["stems"]) == ["vocals"]


def test_songs_that_were_not_separated_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    true = song(15)
    for name in ("A", "B"):
        write_song(tmp_path / "true" / name, true)
    write_song(tmp_path / "out/A", true)
    code, out, err = evaluate(capsys, "--reference", tmp_path / "true", "--estimate", tmp_path / "out", "--json")
    assert code == 0
    assert json.loads(out)["without_estimate"] == ["B"]
    assert err == "stemwright: no estimate for B: not evaluated\n"


def test_help_needs_neither_numpy_nor_torch() -> None:
    program = (
        "import sys, argparse; from stemwright.cli import evaluate; "
        "evaluate.add(argparse.ArgumentParser().add_subparsers()); "
        "print([name for name in ('numpy', 'torch', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
