"""``stemwright evaluate``: the parser and what it prints. Numpy is imported when it runs, not at ``--help``."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.evaluation.evaluate import SongScore, StemSummary

_DESCRIPTION = """\
Compare separated stems with the true ones. Both folders are either one song (vocals.wav, drums.wav, ...)
or a folder of songs, as MUSDB18-HQ's test folder, in any audio format.

SDR     museval's (BSSEval v4): median over frames of one second, then over songs; what papers quote for MUSDB18
SI-SDR  scale-invariant, over the whole song; median over songs
uSDR    of the MDX and SDX challenges, over the whole song; mean over songs
"""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``evaluate`` command; its ``func`` default takes the arguments and returns the exit code."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure separated stems against the true ones (SDR, SI-SDR, uSDR)",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--reference", required=True, type=Path, metavar="DIR", help="the true stems")
    parser.add_argument("--estimate", required=True, type=Path, metavar="DIR", help="the separated stems")
    parser.add_argument(
        "--stems", metavar="A,B", help="compare only these stems of the estimates (all of the references if not given)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and print; a song is printed when it is done.

    Raises:
        InputError: See `stemwright.evaluation.compare_folders` and
            `stemwright.evaluation.evaluate_song`.
    """
    from stemwright.evaluation.evaluate import evaluate_song, summarize
    from stemwright.evaluation.folders import compare_folders

    wanted = [name.strip() for name in arguments.stems.split(",")] if arguments.stems else None
    comparison = compare_folders(arguments.reference, arguments.estimate, wanted)
    for name in comparison.without_estimate:
        print(f"stemwright: no estimate for {name}: not evaluated", file=sys.stderr)
    width = max(len(name) for name in (_total(comparison.songs), *(song.name for song in comparison.songs)))
    if not arguments.json:
        print(_row(width, "song", "stem", "SDR", "SI-SDR", "uSDR"))
    songs: list[SongScore] = []
    for files in comparison.songs:
        songs.append(evaluate_song(files))
        if not arguments.json:
            _print_song(songs[-1], width)
    summary = summarize(songs)
    if arguments.json:
        print(json.dumps(_document(songs, summary, comparison.without_estimate), indent=2))
    else:
        _print_summary(summary, _total(songs), width)
    return 0


def _total(songs: Sequence[object]) -> str:
    return f"all songs ({len(songs)})"


def _print_song(song: SongScore, width: int) -> None:
    for index, (stem, score) in enumerate(song.stems.items()):
        name = "" if index else song.name
        print(_row(width, name, stem, _db(score.sdr), _db(score.si_sdr), _db(score.usdr)), flush=True)


def _print_summary(summary: dict[str, StemSummary], title: str, width: int) -> None:
    from stemwright.evaluation.evaluate import overall

    print()
    rows = {**summary, "mean of stems": overall(summary)}
    for index, (stem, total) in enumerate(rows.items()):
        name = "" if index else title
        print(_row(width, name, stem, _db(total.sdr), _db(total.si_sdr), _db(total.usdr)))


def _row(width: int, song: str, stem: str, *figures: str) -> str:
    return f"{song:<{width}}  {stem:<14}" + "".join(f"{figure:>9}" for figure in figures)


def _db(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _document(
    songs: Sequence[SongScore], summary: dict[str, StemSummary], without_estimate: Sequence[str]
) -> dict[str, Any]:
    from stemwright.evaluation.evaluate import overall

    return {
        "songs": [
            {
                "name": song.name,
                "seconds": song.seconds,
                "sample_rate": song.sample_rate,
                "stems": {stem: {**_figures(score), "frames": score.frames} for stem, score in song.stems.items()},
            }
            for song in songs
        ],
        "without_estimate": list(without_estimate),
        "summary": {stem: {**_figures(total), "songs": total.songs} for stem, total in summary.items()},
        "mean_of_stems": _figures(overall(summary)),
    }


def _figures(score: Any) -> dict[str, float | str | None]:
    return {"sdr": _number(score.sdr), "si_sdr": _number(score.si_sdr), "usdr": _number(score.usdr)}


def _number(value: float) -> float | str | None:
    """JSON has no NaN and no infinity: undefined is null, and an infinity its name, which most languages parse."""
    if math.isnan(value):
        return None
    return round(value, 5) if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
