"""Which files to compare: song folders as in MUSDB18-HQ, and as ``stemwright split`` writes them.

A song folder holds one audio file for each stem, named after it: ``<song>/vocals.wav``. The mix
(``mixture.wav``) may lie beside them. A folder of songs holds song folders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemwright.errors import InputError

AUDIO_SUFFIXES = frozenset(
    {".aac", ".aif", ".aiff", ".flac", ".m4a", ".mka", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav", ".webm"}
)
MIX_NAMES = frozenset({"mix", "mixture"})

_REST_OF_VOCALS = ("accompaniment", "instrumental")


@dataclass(frozen=True, kw_only=True)
class StemFiles:
    """One comparison. The reference is the sum of its files: one, or all the others for a ``no_vocals``."""

    name: str
    references: tuple[Path, ...]
    estimate: Path


@dataclass(frozen=True, kw_only=True)
class SongFiles:
    """The comparisons of one song."""

    name: str
    stems: tuple[StemFiles, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two folders hold."""

    songs: tuple[SongFiles, ...]
    without_estimate: tuple[str, ...]  # names of reference songs that the estimates lack


def compare_folders(reference: Path, estimate: Path, stems: Sequence[str] | None = None) -> Comparison:
    """Pair the songs and stems of two folders, both either one song folder or a folder of songs.

    Args:
        reference: The true stems.
        estimate: The separated stems. ``no_<stem>`` and ``minus_<stem>`` (and for vocals ``accompaniment`` and
            ``instrumental``) are compared with the sum of the other references.
        stems: Which stems of the estimates to compare; all references must have their estimate when not given.

    Raises:
        InputError: Codes ``not_found`` (no such folder, or no stems in it), ``missing_stem``, ``ambiguous_stem``.
    """
    for folder in (reference, estimate):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; give the folder of a song or of songs", code="not_found")
    wanted = tuple(stems) if stems is not None else None
    if _stems_of(reference):
        own = estimate if _stems_of(estimate) else estimate / reference.resolve().name
        return Comparison(songs=(_pair_song(reference, own, wanted),), without_estimate=())
    songs = list(_songs_of(reference))
    if not songs:
        raise InputError(
            f"no stems in {reference} nor in its folders; give a folder such as <song>/ with vocals.wav, "
            "drums.wav and so on, or the folder of such folders (of MUSDB18-HQ: its test folder)",
            code="not_found",
        )
    found = [song for song in songs if (estimate / song.name).is_dir()]
    if not found:
        raise InputError(
            f"{estimate} has no folder named as a song of {reference}, such as {songs[0].name!r}", code="not_found"
        )
    return Comparison(
        songs=tuple(_pair_song(song, estimate / song.name, wanted) for song in found),
        without_estimate=tuple(song.name for song in songs if song not in found),
    )


def _songs_of(folder: Path) -> Iterator[Path]:
    yield from (child for child in sorted(folder.iterdir()) if child.is_dir() and _stems_of(child))


def _stems_of(folder: Path) -> dict[str, Path]:
    """Stem name to file, sorted by name; empty when there is no such folder."""
    stems: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() not in AUDIO_SUFFIXES or path.stem in MIX_NAMES or not path.is_file():
            continue
        if path.stem in stems:
            raise InputError(
                f"{folder} has both {stems[path.stem].name} and {path.name}; leave one file for each stem",
                code="ambiguous_stem",
            )
        stems[path.stem] = path
    return stems


def _pair_song(reference: Path, estimate: Path, wanted: tuple[str, ...] | None) -> SongFiles:
    references, estimates = _stems_of(reference), _stems_of(estimate)
    if not estimates:
        raise InputError(f"no stems in {estimate}: no audio file named after a stem", code="not_found")
    names = wanted if wanted is not None else tuple(estimates)
    pairs = []
    for name in names:
        if name not in estimates:
            raise _missing(name, estimate, estimates)
        files = _reference_of(name, references)
        if files:
            pairs.append(StemFiles(name=name, references=files, estimate=estimates[name]))
        elif wanted is not None:
            raise _missing(name, reference, references)
    if wanted is None:
        compared = {path for pair in pairs for path in pair.references}
        for name, path in references.items():
            if path not in compared:
                raise _missing(name, estimate, estimates)
    return SongFiles(name=reference.resolve().name, stems=tuple(pairs))


def _reference_of(name: str, references: Mapping[str, Path]) -> tuple[Path, ...]:
    if name in references:
        return (references[name],)
    left_out = "vocals" if name in _REST_OF_VOCALS else name.removeprefix("no_").removeprefix("minus_")
    if left_out == name or left_out not in references:
        return ()
    return tuple(path for stem, path in references.items() if stem != left_out)


def _missing(name: str, folder: Path, present: Mapping[str, Path]) -> InputError:
    return InputError(
        f"{folder} has no stem {name!r}; it has {', '.join(present)}; choose with --stems what to compare",
        code="missing_stem",
    )
