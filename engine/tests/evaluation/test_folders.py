from pathlib import Path

import pytest

from stemwright.errors import InputError
from stemwright.evaluation import compare_folders

MUSDB_STEMS = ("bass", "drums", "other", "vocals")


def song(folder: Path, *files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        (folder / name).write_bytes(b"")
    return folder


def musdb_song(folder: Path) -> Path:
    return song(folder, "mixture.wav", *(f"{stem}.wav" for stem in MUSDB_STEMS))


def test_a_musdb_test_folder_is_paired_song_by_song_and_stem_by_stem(tmp_path: Path) -> None:
    for name in ("Zeno - Signs", "AM Contra - Heart Peripheral"):
        musdb_song(tmp_path / "musdb/test" / name)
        song(tmp_path / "est" / name, *(f"{stem}.flac" for stem in MUSDB_STEMS))
    comparison = compare_folders(tmp_path / "musdb/test", tmp_path / "est")
    assert [s.name for s in comparison.songs] == ["AM Contra - Heart Peripheral", "Zeno - Signs"]
    assert comparison.without_estimate == ()
    first = comparison.songs[0]
    assert tuple(stem.name for stem in first.stems) == MUSDB_STEMS
    vocals = first.stems[3]
    assert vocals.references == (tmp_path / "musdb/test/AM Contra - Heart Peripheral/vocals.wav",)
    assert vocals.estimate == tmp_path / "est/AM Contra - Heart Peripheral/vocals.flac"


def test_a_single_song_folder_is_paired_with_another(tmp_path: Path) -> None:
    reference = musdb_song(tmp_path / "true/Song")
    estimate = song(tmp_path / "out", *(f"{stem}.mp3" for stem in MUSDB_STEMS))
    (only,) = compare_folders(reference, estimate).songs
    assert only.name == "Song"
    assert len(only.stems) == 4


def test_a_single_song_is_found_by_name_in_a_folder_of_separated_songs(tmp_path: Path) -> None:
    reference = musdb_song(tmp_path / "true/Song")
    song(tmp_path / "out/Song", *(f"{stem}.wav" for stem in MUSDB_STEMS))
    (only,) = compare_folders(reference, tmp_path / "out").songs
    assert only.stems[0].estimate == tmp_path / "out/Song/bass.wav"


def test_songs_without_estimate_are_named_and_not_hidden(tmp_path: Path) -> None:
    for name in ("A", "B", "C"):
        musdb_song(tmp_path / "true" / name)
    song(tmp_path / "out/B", *(f"{stem}.wav" for stem in MUSDB_STEMS))
    comparison = compare_folders(tmp_path / "true", tmp_path / "out")
    assert [s.name for s in comparison.songs] == ["B"]
    assert comparison.without_estimate == ("A", "C")


@pytest.mark.parametrize("rest", ["no_vocals", "minus_vocals", "accompaniment", "instrumental"])
def test_everything_but_a_stem_is_compared_with_the_sum_of_the_others(tmp_path: Path, rest: str) -> None:
    reference = musdb_song(tmp_path / "Song")
    estimate = song(tmp_path / "out", "vocals.wav", f"{rest}.wav")
    (only,) = compare_folders(reference, estimate).songs
    stems = {stem.name: [path.stem for path in stem.references] for stem in only.stems}
    assert stems == {"vocals": ["vocals"], rest: ["bass", "drums", "other"]}


def test_no_drums_is_compared_with_the_sum_of_all_but_drums(tmp_path: Path) -> None:
    reference = musdb_song(tmp_path / "Song")
    estimate = song(tmp_path / "out", "drums.wav", "no_drums.wav")
    (only,) = compare_folders(reference, estimate).songs
    assert [path.stem for path in only.stems[1].references] == ["bass", "other", "vocals"]


def test_an_estimate_that_no_reference_exists_for_is_left_out(tmp_path: Path) -> None:
    reference = musdb_song(tmp_path / "Song")
    estimate = song(tmp_path / "out", "guitar.wav", "piano.wav", *(f"{stem}.wav" for stem in MUSDB_STEMS))
    (only,) = compare_folders(reference, estimate).songs
    assert tuple(stem.name for stem in only.stems) == MUSDB_STEMS


def test_only_the_chosen_stems_are_compared(tmp_path: Path) -> None:
    reference = musdb_song(tmp_path / "Song")
    estimate = song(tmp_path / "out", "vocals.wav")
    (only,) = compare_folders(reference, estimate, ["vocals"]).songs
    assert [stem.name for stem in only.stems] == ["vocals"]


def test_files_that_are_no_audio_are_no_stems(tmp_path: Path) -> None:
    reference = song(musdb_song(tmp_path / "Song"), "notes.txt", "cover.jpg", "mixture.flac")
    estimate = song(tmp_path / "out", "report.json", *(f"{stem}.wav" for stem in MUSDB_STEMS))
    assert len(compare_folders(reference, estimate).songs[0].stems) == 4


def refusal(code: str, *arguments: object) -> str:
    with pytest.raises(InputError) as caught:
        compare_folders(*arguments)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_reference_stem_that_was_not_estimated_is_an_error(tmp_path: Path) -> None:
    reference = musdb_song(tmp_path / "Song")
    estimate = song(tmp_path / "out", "vocals.wav", "drums.wav", "bass.wav")
    message = refusal("missing_stem", reference, estimate)
    assert "out has no stem 'other'" in message
    assert "it has bass, drums, vocals" in message


@pytest.mark.parametrize(("stems", "where"), [(["piano"], "out"), (["guitar"], "Song")])
def test_a_chosen_stem_that_is_not_there_is_an_error(tmp_path: Path, stems: list[str], where: str) -> None:
    reference = musdb_song(tmp_path / "Song")
    estimate = song(tmp_path / "out", "vocals.wav", "guitar.wav")
    assert f"{where} has no stem {stems[0]!r}" in refusal("missing_stem", reference, estimate, stems)


def test_two_files_for_one_stem_are_an_error(tmp_path: Path) -> None:
    reference = musdb_song(tmp_path / "Song")
    estimate = song(tmp_path / "out", "vocals.wav", "vocals.flac")
    assert "both vocals.flac and vocals.wav" in refusal("ambiguous_stem", reference, estimate)


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    assert "nowhere is not a folder" in refusal("not_found", tmp_path / "nowhere", tmp_path)


def test_the_root_of_musdb_is_answered_with_the_folder_to_give(tmp_path: Path) -> None:
    musdb_song(tmp_path / "musdb18hq/test/Song")
    assert "its test folder" in refusal("not_found", tmp_path / "musdb18hq", tmp_path)


def test_an_empty_estimate_folder_is_an_error(tmp_path: Path) -> None:
    reference = musdb_song(tmp_path / "Song")
    (tmp_path / "out").mkdir()
    assert "no stems in" in refusal("not_found", reference, tmp_path / "out")


def test_estimates_of_other_songs_are_an_error(tmp_path: Path) -> None:
    musdb_song(tmp_path / "true/Song")
    song(tmp_path / "out/Another", "vocals.wav")
    assert "such as 'Song'" in refusal("not_found", tmp_path / "true", tmp_path / "out")
