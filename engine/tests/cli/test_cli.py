"""The command line as a user runs it: what it prints, where it writes, how it says what was wrong."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pty
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from packed import save_bag, save_safetensors
from small import SOURCES, music, tiny_htdemucs

from stemwright import cli
from stemwright.audio import open_audio, open_writer

COMMAND = [str(Path(sys.executable).with_name("stemwright"))]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_safetensors(tiny_htdemucs(), folder, "abc")
    save_bag(folder, "tiny", ["abc"])
    return folder


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "song.flac")


def write_song(path: Path, seconds: float = 2.3, sample_rate: int = 44100, gain: float = 0.5) -> Path:
    with open_writer(path, format="flac", sample_rate=sample_rate, channels=2, tags={"title": "A Title"}) as writer:
        writer.write(np.float32(gain) * music(seconds, sample_rate=sample_rate).numpy())
        writer.close()
    return path


@dataclass(frozen=True, kw_only=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*args: object, models: Path | None = None, cwd: Path | None = None) -> Done:
    """The command in this process: what a user sees, without the seconds that importing torch takes each time."""
    out, err = io.StringIO(), io.StringIO()
    env = {"DEMUCS_MODELS_PATH": str(models)} if models else {}
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(cwd or Path.cwd()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name, value in env.items():
            patch.setenv(name, value)
        try:
            code = cli.main([str(arg) for arg in args])
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


def samples(path: Path) -> np.ndarray:
    with open_audio(path) as blocks:
        return np.concatenate(list(blocks), axis=-1)


def test_a_song_becomes_a_folder_of_stems(song: Path, models: Path, tmp_path: Path) -> None:
    done = run("split", song, "-o", tmp_path / "out", "--model", "tiny", models=models)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out" / "song").iterdir()) == sorted(f"{s}.wav" for s in SOURCES)
    assert "stems sum to the mix within" in done.stdout
    assert done.stderr == ""


def test_json_is_one_document_whose_hashes_are_those_of_the_files(song: Path, models: Path, tmp_path: Path) -> None:
    done = run(
        "split",
        song,
        "-o",
        tmp_path,
        "-n",
        "tiny",
        "--stems",
        "vocals,drums",
        "--format",
        "flac",
        "--json",
        models=models,
    )
    (only,) = json.loads(done.stdout)["songs"]
    assert [each["stem"] for each in only["artifacts"]] == ["vocals", "drums"]
    for each in only["artifacts"]:
        assert hashlib.sha256(Path(each["path"]).read_bytes()).hexdigest() == each["sha256"]
        assert each["samples"] == samples(song).shape[-1]
        assert each["seconds"] == pytest.approx(2.3, abs=1e-3)
        assert each["sample_rate"] == 44100
    assert only["report"]["model"] == "tiny"
    assert only["report"]["samples"] == samples(song).shape[-1]


@pytest.mark.parametrize("name", ["wav", "wav24", "wav-float", "flac", "flac24", "mp3", "m4a", "ogg", "opus"])
def test_every_format_holds_exactly_the_samples_of_the_mix(name: str, song: Path, models: Path, tmp_path: Path) -> None:
    done = run("split", song, "-o", tmp_path / "out", "-n", "tiny", "--stems", "bass", "--format", name, models=models)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "out" / "song").iterdir()
    with open_audio(file, sample_rate=44100) as blocks:
        assert sum(block.shape[-1] for block in blocks) == samples(song).shape[-1]


def test_demucs_flags_mean_what_they_mean_there(song: Path, models: Path, tmp_path: Path) -> None:
    flags = [
        "--two-stems",
        "vocals",
        "--flac",
        "--int24",
        "--shifts",
        "1",
        "--overlap",
        "0.1",
        "--segment",
        "1",
        "-j",
        "2",
    ]
    done = run(
        "split", song, "-o", tmp_path / "out", "--repo", models, "-n", "tiny", "-d", "cpu", *flags,
        "--clip-mode", "clamp", "--filename", "{stem}-{track}-{trackext}.{ext}", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["no_vocals-song-flac.flac", "vocals-song-flac.flac"]
    probed = json.loads(run("probe", tmp_path / "out" / names[0], "--json").stdout)
    assert (probed["codec"], probed["sample_rate"], probed["channels"]) == ("flac", 44100, 2)
    assert probed["tags"]["title"] == "A Title"


def test_bitrate_is_that_of_mp3_too(song: Path, models: Path, tmp_path: Path) -> None:
    flags = ("-n", "tiny", "--stems", "bass", "--mp3", "--bitrate", "64")
    assert run("split", song, "-o", tmp_path, *flags, models=models).returncode == 0
    assert (tmp_path / "song" / "bass.mp3").stat().st_size == pytest.approx(2.3 * 8000, rel=0.1)


def test_the_inputs_rate_is_kept_when_asked_for(models: Path, tmp_path: Path) -> None:
    song = write_song(tmp_path / "forty-eight.flac", seconds=1.23456, sample_rate=48000)
    done = run("split", song, "-o", tmp_path / "out", "-n", "tiny", "--keep-rate", "--stems", "drums", models=models)
    assert done.returncode == 0, done.stderr
    info = json.loads(run("probe", tmp_path / "out" / "forty-eight" / "drums.wav", "--json").stdout)
    assert info["sample_rate"] == 48000
    assert samples(tmp_path / "out" / "forty-eight" / "drums.wav").shape == samples(song).shape


def test_stems_that_would_clip_are_turned_down_together(models: Path, tmp_path: Path) -> None:
    with open_writer(tmp_path / "loud.wav", format="wav-float", sample_rate=44100, channels=2) as writer:
        writer.write(8 * music(2).numpy())
        writer.close()
    for format_ in ("wav-float", "wav24"):
        done = run(
            "split", "loud.wav", "-o", format_, "-n", "tiny", "--format", format_, "--json", models=models, cwd=tmp_path
        )
        report = json.loads(done.stdout)["songs"][0]["report"]
        assert max(stem["peak"] for stem in report["stems"].values()) > 1
        assert (report["joint_gain"] < 1) == (format_ == "wav24")
    gain = report["joint_gain"]
    for stem in SOURCES:
        raw = samples(tmp_path / "wav-float" / "loud" / f"{stem}.wav")
        np.testing.assert_allclose(samples(tmp_path / "wav24" / "loud" / f"{stem}.wav"), gain * raw, atol=1e-6)


def test_songs_go_on_after_one_that_fails_and_the_exit_code_tells(song: Path, models: Path, tmp_path: Path) -> None:
    (bad := tmp_path / "bad.mp3").write_text("not music")
    done = run(
        "split", bad, song, tmp_path / "missing.wav", "-o", tmp_path / "out", "-n", "tiny", "--json", models=models
    )
    assert done.returncode == 2
    assert [line.split(":")[:2] for line in done.stderr.splitlines()] == [["stemwright", " error"]] * 2
    first, second, third = json.loads(done.stdout)["songs"]
    assert first["error"]["code"] == "not_audio"
    assert len(second["artifacts"]) == 4
    assert third["error"]["code"] == "not_found"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["song"]


def test_songs_go_on_after_one_that_the_options_do_not_fit(song: Path, models: Path, tmp_path: Path) -> None:
    high = write_song(tmp_path / "high.flac", seconds=0.5, sample_rate=96000)
    flags = ("--keep-rate", "--mp3", "--json", "-n", "tiny", "--stems", "bass")
    done = run("split", high, song, "-o", tmp_path / "out", *flags, models=models)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "high.flac" in line
    assert "mp3 cannot hold 96000 Hz" in line
    first, second = json.loads(done.stdout)["songs"]
    assert first["error"]["code"] == "bad_option"
    assert [each["stem"] for each in second["artifacts"]] == ["bass"]


def test_songs_that_a_pattern_would_write_over_each_other_are_refused(song: Path, models: Path, tmp_path: Path) -> None:
    other = write_song(tmp_path / "other.flac", seconds=0.3)
    flags = ("-n", "tiny", "--filename", "{stem}.{ext}")
    done = run("split", song, other, "-o", tmp_path / "out", *flags, models=models)
    assert done.returncode == 2
    assert "{track}" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_input_is_not_overwritten(models: Path, tmp_path: Path) -> None:
    song = write_song(tmp_path / "bass.flac", seconds=0.3)
    before = song.read_bytes()
    flags = ("-n", "tiny", "--flac", "--filename", "{stem}.{ext}")
    assert run("split", song, "-o", tmp_path, *flags, models=models).returncode == 2
    assert song.read_bytes() == before


def test_songs_of_one_name_do_not_overwrite_each_other(models: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_song(tmp_path / name / "same.flac", seconds=0.5)
    inputs = [tmp_path / "a" / "same.flac", tmp_path / "b" / "same.flac"]
    assert run("split", *inputs, "-o", tmp_path / "out", "-n", "tiny", models=models).returncode == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["same", "same (2)"]


@pytest.mark.parametrize(
    "name", ["it's.flac", 'a "b" $(c);&.flac', "ünï ✓.flac", "-dash.flac", "two\nlines.flac", "..flac", "no ending"]
)
def test_any_name_works_and_stays_inside_the_folder(name: str, models: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "in").mkdir()
    write_song(tmp_path / "x.flac", seconds=0.3).rename(folder / name)
    done = run("split", "--", folder / name, models=models, cwd=tmp_path)
    assert done.returncode == 2
    assert "htdemucs" in done.stderr  # the default model is not here; the option's order is what is shown
    done = run(
        "split",
        "-n",
        "tiny",
        "-o",
        "out",
        "--stems",
        "bass",
        "--json",
        "--",
        folder / name,
        models=models,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    written = Path(json.loads(done.stdout)["songs"][0]["artifacts"][0]["path"])
    assert written.is_absolute() is False
    assert (tmp_path / written).is_file()
    assert (tmp_path / written).resolve().is_relative_to((tmp_path / "out").resolve())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-n", "nope"], "no model is called 'nope'"),
        (["-n", "tiny", "--stems", "piano"], "no stem 'piano'"),
        (["-n", "tiny", "--overlap", "1"], "overlap is 1.0"),
        (["-n", "tiny", "--segment", "9"], "longer than the 1.5 s"),
        (["-n", "pocket", "--segment", "inf"], "segment is inf s"),
        (["-n", "tiny", "--mp3", "--int24"], "--int24 is for wav and flac"),
        (["-n", "tiny", "--filename", "{stem}/../../{track}"], "leads out of the output folder"),
        (["-n", "tiny", "--filename", "{track}"], "gives several stems one name"),
        (["-n", "tiny", "--filename", "{nonsense}"], "it may use"),
        (["-n", "tiny", "--filename", "{track.nonsense}/{stem}"], "it may use"),
        (["-n", "tiny", "--filename", "{track/{stem}"], "it may use"),
        (
            ["-n", "tiny", "--format", "ogg", "--bitrate", "128"],
            "ogg has no choice of bits a second: mp3, m4a, opus have",
        ),
        (["-n", "tiny", "--format", "opus", "--bitrate", "1"], "choose 6000 to 512000"),
        (["-n", "tiny", "--mp3", "--mp3-bitrate", "512"], "choose 6000 to 320000"),
        (["-n", "tiny", "--mp3", "--bitrate", "128", "--mp3-vbr", "2"], "not allowed with"),
        (["-n", "tiny", "--mp3-vbr", "2"], "--mp3-vbr is for mp3"),
        (["-n", "tiny", "-d", "abacus"], "no device 'abacus'"),
        (["-n", "tiny", "--format", "midi"], "invalid choice"),
        (["-n", "tiny", "--backend", "tensorrt"], "invalid choice"),
        (["-n", "tiny", "--max-duration", "1"], "too long"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_writes_nothing(
    flags: list[str], message: str, song: Path, models: Path, tmp_path: Path
) -> None:
    done = run("split", song, "-o", tmp_path / "out", *flags, models=models)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("stemwright: error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_the_backend_that_a_flag_names_is_the_one_that_is_asked_for(song: Path, models: Path, tmp_path: Path) -> None:
    done = run("split", song, "-o", tmp_path, "-n", "tiny", "-d", "cpu", "--backend", "eager", "--json", models=models)
    (note,) = json.loads(done.stdout)["songs"][0]["report"]["notes"]
    assert note == "the backend eager was asked for: torch computes it as it is"


def test_progress_with_the_time_left_is_on_a_terminal_and_nothing_of_it_in_a_pipe(
    song: Path, models: Path, tmp_path: Path
) -> None:
    master, terminal = pty.openpty()
    env = {**os.environ, "DEMUCS_MODELS_PATH": str(models), "COLUMNS": "100"}
    process = subprocess.Popen(
        [*COMMAND, "split", str(song), "-o", str(tmp_path), "-n", "tiny"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env=env,
    )
    os.close(terminal)
    seen = b""
    while select.select([master], [], [], 60)[0]:
        try:
            seen += os.read(master, 4096)
        except OSError:  # the other end is closed
            break
    assert process.wait() == 0
    shown = seen.decode()
    assert "100% 3/3" in shown
    assert "left" in shown


def test_help_answers_without_importing_anything_heavy() -> None:
    code = (
        "import sys; from stemwright import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'av', 'demucs', 'huggingface_hub', 'fastapi', 'sqlalchemy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "split" in done.stdout


def test_models_are_listed_with_licence_and_place_without_torch(models: Path) -> None:
    listed = json.loads(run("models", "list", "--json", models=models).stdout)["models"]
    by_name = {each["name"]: each for each in listed}
    assert by_name["tiny"]["stems"] == SOURCES
    assert by_name["tiny"]["files"] == [str(models / "abc.safetensors")]
    assert by_name["htdemucs"]["bytes"] is None
    assert all(each["licence"] for each in listed)


@pytest.mark.parametrize("action", ["pull", "warm", "verify"])
def test_actions_on_models_that_speak_in_lines_refuse_json(action: str, models: Path) -> None:
    for words in ((action, "tiny", "--json"), ("--json", action, "tiny")):
        done = run("models", *words, models=models)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--json" in done.stderr


def test_verify_tells_a_good_model_from_a_damaged_one(models: Path, tmp_path: Path) -> None:
    good = run("models", "verify", "tiny", models=models)
    assert good.returncode == 0, good.stderr
    assert "ok, sha256" in good.stdout
    (tmp_path / "bad.safetensors").write_bytes((models / "abc.safetensors").read_bytes()[:-100])
    bad = run("models", "verify", "bad", "--models-path", tmp_path)
    assert bad.returncode == 2
    assert "damaged" in bad.stderr


def test_an_interrupt_leaves_nothing_half_written(models: Path, tmp_path: Path) -> None:
    import signal
    import time

    song = tmp_path / "long.wav"
    with open_writer(song, format="wav", sample_rate=44100, channels=2) as writer:
        second = music(1).numpy()
        for _ in range(240):  # so long that it is not done before anybody has looked
            writer.write(second)
    process = subprocess.Popen(
        [*COMMAND, "split", str(song), "-o", str(tmp_path / "out"), "-n", "tiny"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "DEMUCS_MODELS_PATH": str(models)},
        # A shell that starts the tests in the background has interrupts ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "long").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not list((tmp_path / "out").rglob("*.*"))
