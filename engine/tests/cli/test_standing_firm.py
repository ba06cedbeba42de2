"""What may go wrong around a batch: one file's fault is one line, and nothing is lost or left."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sounds import sound
from wcwidth import wcswidth

from stemwright.audio import open_audio, open_writer, part_path
from stemwright.cli import main
from stemwright.cli.progress import ProgressLine
from stemwright.errors import OutputError
from stemwright.options import OutputOptions, Progress
from stemwright.separator import Separator
from stemwright.stems.encoder_thread import EncoderThread
from stemwright.stems.files import StemWriter

SPLIT = [sys.executable, "-m", "stemwright", "split", "--model", "pocket", "--device", "cpu"]


def song(path: Path, seconds: float = 0.5, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_writer(path, format="wav", sample_rate=44100, channels=2) as writer:
        writer.write(np.roll(sound(44100, int(44100 * seconds)), seed * 1000, axis=1))
    return path


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def parts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".wav"]


def test_a_fault_of_ours_is_a_line_and_the_rest_of_the_batch_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = song(tmp_path / "good.wav"), song(tmp_path / "bad.wav")
    real = Separator.separate_to

    def separate_to(self: Separator, paths: object, source: Path, *args: object, **kwargs: object) -> object:
        if source == bad:
            raise ZeroDivisionError("division\nby zero")
        return real(self, paths, source, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Separator, "separate_to", separate_to)
    code = main(
        ["split", "--model", "pocket", "--device", "cpu", "--json", "-o", str(tmp_path / "o"), str(bad), str(good)]
    )
    said = capsys.readouterr()
    first, second = json.loads(said.out)["songs"]
    assert code == 2
    assert first["error"]["code"] == "unexpected"
    assert len(second["artifacts"]) == 4
    (line,) = said.err.splitlines()
    assert "bad.wav" in line
    assert "ZeroDivisionError: division by zero" in line


def test_a_part_file_is_written_by_one_process_and_a_dead_one_leaves_none_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "stem.wav"
    part_path(path).write_bytes(b"left by one that was killed" * 1000)
    with open_writer(path, format="wav", sample_rate=44100, channels=2) as writer:
        writer.write(sound(44100, 1000))
        with pytest.raises(OutputError) as refused:
            open_writer(path, format="wav", sample_rate=44100, channels=2)
        assert refused.value.code == "in_use"
        assert part_path(path).exists(), "the other one's file was removed"
        writer.close()
    assert sorted(tmp_path.iterdir()) == [path]
    with open_audio(path) as reader:
        assert sum(block.shape[1] for block in reader) == 1000


def test_a_link_in_the_place_of_a_part_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("somebody's")
    part_path(tmp_path / "stem.wav").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError) as refused:
        open_writer(tmp_path / "stem.wav", format="wav", sample_rate=44100, channels=2)
    assert refused.value.code == "not_writable"
    assert (tmp_path / "precious").read_text() == "somebody's"


def test_where_there_are_no_locks_files_are_written_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert song(tmp_path / "a.wav").exists()


def stems_of(tmp_path: Path, **options: Any) -> StemWriter:
    paths = {name: tmp_path / "out" / f"{name}.wav" for name in ("a", "b")}
    return StemWriter(paths, OutputOptions(**options), sample_rate=44100, channels=2, target=None, tags={})


@pytest.mark.parametrize("options", [{}, {"normalize": True}])
def test_names_are_held_from_the_first_block_to_the_last_whatever_is_encoded_when(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    loud = np.full((2, 2, 4410), 2.0, np.float32)
    with stems_of(tmp_path, **options) as first:
        for _ in range(2):  # after the first block what was encoded is dropped, to be encoded again at the joint gain
            with pytest.raises(OutputError) as refused:
                stems_of(tmp_path, **options)
            assert refused.value.code == "in_use"
            first.write(loud)
        made = first.finish(2.0)
    assert [each.samples for each in made] == [8820, 8820]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.wav", "b.wav"]
    with stems_of(tmp_path, **options) as second:
        second.write(loud)
        second.finish(2.0)


def test_who_fails_removes_nothing_of_another(tmp_path: Path) -> None:
    first = stems_of(tmp_path)
    with first:
        first.write(np.full((2, 2, 4410), 2.0, np.float32))
        with pytest.raises(OutputError):
            stems_of(tmp_path)
        assert len(parts(tmp_path)) == 2
        first.finish(2.0)
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_of_a_song_that_is_not_finished_nothing_is_left_not_even_a_stem_that_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, ended = EncoderThread.finish, []

    def finish(self: EncoderThread) -> object:
        ended.append(self)
        if len(ended) == 2:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(EncoderThread, "finish", finish)
    with pytest.raises(KeyboardInterrupt), stems_of(tmp_path) as stems:
        stems.write(np.full((2, 2, 4410), 0.5, np.float32))
        stems.finish(0.5)
    assert not (tmp_path / "out").exists()


def test_an_input_in_the_place_of_a_part_file_is_not_emptied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rescued = song(tmp_path / "out" / "x.wav").rename(tmp_path / "out" / "vocals.wav.part")
    before = rescued.read_bytes()
    words = ["--model", "pocket", "--device", "cpu", "-o", str(tmp_path / "out"), "--filename", "{stem}.{ext}"]
    assert main(["split", *words, str(rescued)]) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert rescued.read_bytes() == before


def test_a_reader_that_has_read_enough_changes_neither_the_work_nor_the_exit_code(tmp_path: Path) -> None:
    good = [song(tmp_path / f"{number}.wav") for number in range(3)]
    (tmp_path / "bad.wav").write_text("no song")
    command = [*SPLIT, "-o", str(tmp_path / "out"), str(tmp_path / "bad.wav"), *map(str, good)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(120) == 2
    assert len(list((tmp_path / "out").rglob("*.wav"))) == 12


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_errors_that_nobody_can_read_end_no_batch(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no song")
    command = [*SPLIT, "-o", str(tmp_path / "out"), str(tmp_path / "bad.wav"), str(song(tmp_path / "good.wav"))]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full)
    assert done.returncode == 2
    assert len(list((tmp_path / "out").rglob("*.wav"))) == 4


def test_a_second_signal_does_not_stop_the_tidying() -> None:
    code = (
        "import os, signal\nfrom stemwright.cli.interrupts import Ended, ended_by_signals\n"
        "try:\n    with ended_by_signals():\n        try:\n            os.kill(os.getpid(), signal.SIGTERM)\n"
        "        finally:\n            os.kill(os.getpid(), signal.SIGHUP)\n            os.kill(os.getpid(), signal.SIGINT)\n"
        "            print('tidied')\nexcept Ended:\n    pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("tidied\n", 0), done.stderr


def test_two_processes_with_one_name_and_one_folder_do_not_mix(tmp_path: Path) -> None:
    one, other = song(tmp_path / "x" / "01 Track.wav", 8, 1), song(tmp_path / "y" / "01 Track.wav", 12, 2)
    out = tmp_path / "out"
    command = [*SPLIT, "-q", "--json", "-o", str(out)]
    runs = [
        subprocess.Popen([*command, str(each)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for each in (one, other)
    ]
    said = [each.communicate() for each in runs]
    codes = [each.returncode for each in runs]
    assert 0 in codes
    assert all(
        code == 0 or "is being written by another process" in err for code, (_, err) in zip(codes, said, strict=True)
    )
    winners = [json.loads(text)["songs"][0] for code, (text, _) in zip(codes, said, strict=True) if code == 0]
    lengths = set()
    for path in (out / "01 Track").iterdir():
        with open_audio(path) as reader:
            lengths.add(sum(block.shape[1] for block in reader))
    assert lengths in [{each["artifacts"][0]["samples"]} for each in winners], "files of two songs lie there"


def test_songs_whose_names_are_one_on_some_file_systems_have_folders_that_are_not(tmp_path: Path) -> None:
    names = ["Song.wav", "song.wav", "caf\u00e9.wav", "CAFE\u0301.wav"]
    songs = [song(tmp_path / str(number) / name) for number, name in enumerate(names)]
    words = ["split", "--model", "pocket", "--device", "cpu", "-q", "-o", str(tmp_path / "out")]
    assert main([*words, *map(str, songs)]) == 0
    made = {folder.name for folder in (tmp_path / "out").iterdir()}
    assert made == {"Song", "song (2)", "caf\u00e9", "CAFE\u0301 (2)"}


def test_a_stem_is_not_written_over_an_input_of_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = song(tmp_path / "Vocals.wav")
    before = given.read_bytes()
    os.link(given, tmp_path / "vocals.wav.part")  # what a file system that ignores case would find there
    words = ["split", "--model", "pocket", "--device", "cpu", "-q", "-o", str(tmp_path), "--filename", "{stem}.{ext}"]
    assert main([*words, str(given)]) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert given.read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing_half_written_and_keeps_what_is_done(tmp_path: Path, number: signal.Signals) -> None:
    out, songs = tmp_path / "out", [song(tmp_path / "short.wav"), song(tmp_path / "long.wav", 60)]
    command = [*SPLIT, "-q", "--json", "-o", str(out), *map(str, songs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: (out / "long").exists() and len(parts(out)) >= 4, "the files of the second song to be begun")
        process.send_signal(number)
        printed, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert said.strip() == "stemwright: interrupted; nothing half-written is left"
    (done,) = json.loads(printed)["songs"]
    assert done["input"] == str(songs[0])
    assert {Path(each["path"]) for each in done["artifacts"]} == {each for each in out.rglob("*") if each.is_file()}
    assert not (out / "long").exists()


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*SPLIT, "-q", "-o", str(out), str(song(tmp_path / "a.wav", 10))]
    with subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        until(lambda: out.exists() and parts(out), "the files to be begun")
        process.send_signal(signal.SIGHUP)
        assert process.wait(120) == 0


def named(folder: Path, name: bytes) -> Path:
    made = song(folder / "plain.wav")
    return made.rename(os.fsdecode(os.path.join(os.fsencode(folder), name)))  # noqa: PTH118 - of bytes


@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("name", [b"caf\xe9.wav", "音楽 🎵.wav".encode(), b"two\nlines\x1b[31m.wav"])
def test_any_name_is_shown_on_any_console_after_the_work(
    tmp_path: Path, name: bytes, encoding: str, more: list[str]
) -> None:
    first, second = named(tmp_path, name), song(tmp_path / "b.wav")
    done = subprocess.run(
        [*SPLIT, *more, "-o", str(tmp_path / "out"), str(first), str(second)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(list((tmp_path / "out").rglob("*.wav"))) == 8
    if more:
        assert [len(each["artifacts"]) for each in json.loads(done.stdout)["songs"]] == [4, 4]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_full_output_is_one_line(tmp_path: Path, more: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*SPLIT, *more, "-o", str(tmp_path / "out"), str(song(tmp_path / "a.wav"))],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert done.stderr == "stemwright: error: the output cannot be written: No space left on device\n"
    assert len(list((tmp_path / "out").rglob("*.wav"))) == 4


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_matter(tmp_path: Path, closed: str) -> None:
    command = " ".join(f"'{word}'" for word in [*SPLIT, "-o", str(tmp_path / "out"), str(song(tmp_path / "a.wav"))])
    assert subprocess.run(["sh", "-c", f"{command} {closed}"], capture_output=True).returncode == 0
    assert len(list((tmp_path / "out").rglob("*.wav"))) == 4


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "0", "x"])
def test_a_limit_is_a_number(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["split", "--max-duration", seconds, "a.wav"])
    assert ended.value.code == 2
    assert "--max-duration" in capsys.readouterr().err


@pytest.mark.parametrize(("rate", "code"), [(200_000, 0), (384_000, 2)])
def test_a_rate_that_a_format_cannot_hold_is_refused(
    tmp_path: Path, rate: int, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_writer(tmp_path / "a.wav", format="wav", sample_rate=rate, channels=2) as writer:
        writer.write(sound(rate, rate // 4))
    words = ["--model", "pocket", "--device", "cpu", "--format", "ogg", "--keep-rate", "-o", str(tmp_path / "out")]
    assert main(["split", *words, str(tmp_path / "a.wav")]) == code
    assert ("ogg cannot hold 384000 Hz: 200000 at most" in capfd.readouterr().err) == (code == 2)


def drawn(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the progress line puts on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    monkeypatch.setenv("COLUMNS", str(columns))
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        line = ProgressLine(name)
        line.show(Progress(segments_done=1, segments_total=2, elapsed=75.0, remaining=75.0))
        return os.read(ours, 10_000).decode()


@pytest.mark.parametrize("columns", [20, 40, 80])
@pytest.mark.parametrize(
    "name", ["a.wav", "日本語の曲名がとても長い場合の進捗表示テスト.wav", "é" * 60, "👩‍👩‍👧" * 20, "a\x1b[2J\nb"]
)
def test_the_progress_line_fits_the_terminal(name: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    line = drawn(name, columns, monkeypatch).removeprefix("\r\x1b[2K")
    assert 0 < wcswidth(line) < columns
    assert "\x1b" not in line
