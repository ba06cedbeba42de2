"""`stemwright split`: songs in, stems out."""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright.cli.failure import fail
from stemwright.cli.interrupts import ended_by_signals
from stemwright.cli.progress import ProgressLine
from stemwright.cli.split_flags import add_flags, input_options, output_options, separation_options
from stemwright.cli.streams import Results, tell
from stemwright.errors import Canceled, InputError, OptionError, OutputError, StemwrightError

if TYPE_CHECKING:
    from stemwright.options import OutputOptions
    from stemwright.separator import FileSeparation


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser(
        "split",
        help="separate songs into stems",
        description="Separate songs into stems. Writes OUT/<song>/<stem>.<ext> for each.",
        epilog="Exit code: 0 when every song was separated, 2 when one was not; the others are done all the same.",
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", type=Path, help="audio or video file")
    parser.add_argument(
        "-o", "--out", "--output", type=Path, default=Path("separated"), help="folder to write to (default: separated)"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON document: artifacts and fidelity reports; after an interrupt, of the songs done by then",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no summary")
    add_flags(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Separate every input; one that fails does not keep the others from being done."""
    from stemwright.audio import InputLimits
    from stemwright.machine.allocator import keep_freed_memory
    from stemwright.separator import Separator

    keep_freed_memory()

    options, output, reading = separation_options(args), output_options(args), input_options(args)
    limits = InputLimits(max_bytes=args.max_size, max_seconds=args.max_duration)
    separator = Separator(
        args.model,
        models_path=args.models_path,
        device=args.device,
        backend=args.backend,
        on_fetch=None if args.quiet else tell,
    )
    recipe = separator.recipe(options)
    paths = _stem_paths(args.inputs, args.out, recipe.stems, output)
    separator.load(recipe)  # what is wrong with the model is said once, before the first song
    songs: list[dict[str, Any]] = []
    results = Results()
    code = 0
    with ended_by_signals():
        try:
            for path, stems in zip(args.inputs, paths, strict=True):
                line = ProgressLine(path.name, enabled=not args.quiet)
                try:
                    done = separator.separate_to(
                        stems, path, recipe, output, limits=limits, input=reading, on_progress=line.show
                    )
                except Canceled:
                    raise
                except Exception as error:  # whatever it was, it is this song's, and the others are done all the same
                    line.clear()
                    known = error if isinstance(error, StemwrightError) else _unexpected(path, error)
                    code = fail(_message(path, known))
                    songs.append({"input": str(path), "error": {"code": known.code, "message": str(known)}})
                    continue
                finally:
                    line.clear()
                songs.append(_as_json(done))
                if not args.json and not args.quiet:
                    results.say(_summary(done))
        finally:  # an interrupt as well: the songs before it are done, and nobody else has their reports
            if args.json:
                results.say(json.dumps({"songs": songs}, indent=2))
    results.check()
    return code


def _track_names(inputs: Sequence[Path]) -> list[str]:
    """A name for each song; songs of the same name in different folders must not overwrite each other.

    Nor songs whose names are the same to some file system (`one_name`).
    """
    from stemwright.stems.paths import one_name, safe_name

    names: dict[str, str] = {}
    for path in inputs:
        name = safe_name(path.name.rsplit(".", 1)[0] or path.name)
        count = 2
        unique = name
        while one_name(unique) in names:
            unique = f"{name} ({count})"
            count += 1
        names[one_name(unique)] = unique
    return list(names.values())


def _stem_paths(
    inputs: Sequence[Path], out: Path, stems: Sequence[str], output: OutputOptions
) -> list[dict[str, Path]]:
    """Where the stems of each song go.

    Raises:
        OptionError: A stem would lie where an input or a stem of another song does.
    """
    from stemwright.audio import part_path
    from stemwright.stems.paths import one_name, output_paths

    paths = [
        output_paths(path, out, stems, output, name) for path, name in zip(inputs, _track_names(inputs), strict=True)
    ]
    # Whether a stem has an input's name is asked of the file system: an input is there. Of another stem it cannot be.
    read = {os.path.realpath(path) for path in inputs} | {identity for path in inputs if (identity := _identity(path))}
    taken: set[str] = set()
    for song in paths:
        files = [os.path.realpath(each) for name in song.values() for each in (name, part_path(name))]
        for file in sorted(files):
            if file in read or _identity(file) in read or one_name(file) in taken:
                raise OptionError(
                    f"{file!r} is an input or another song's stem, and would be overwritten: "
                    "choose another folder with -o, or a --filename with {track} in it"
                )
        taken |= {one_name(file) for file in files}
    return paths


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Which file lies at the path, whatever names it has."""
    try:
        found = os.stat(path)  # noqa: PTH116 - of a string as well
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _unexpected(path: Path, error: Exception) -> StemwrightError:
    """A fault of ours, in a line like any other; where the log is asked for, with all that helps to mend it."""
    logging.getLogger(__name__).debug("unexpected", exc_info=error)
    said = " ".join(str(error).split())
    reason = f"{type(error).__name__}{f': {said}' if said else ''}"
    return InputError(
        f"{str(path)!r} cannot be separated: something unexpected happened ({reason}); please report it with the file",
        code="unexpected",
    )


def _message(path: Path, error: StemwrightError) -> str:
    """Which song it was: what is wrong with a file names it, what is wrong with options or the device does not."""
    return str(error) if isinstance(error, InputError | OutputError) else f"{str(path)!r}: {error}"


def _as_json(done: FileSeparation) -> dict[str, Any]:
    return {
        "input": str(done.source),
        "artifacts": [
            {
                "stem": each.stem,
                "path": str(each.path),
                "samples": each.samples,
                "sample_rate": each.sample_rate,
                "seconds": each.seconds,
                "size": each.size,
                "sha256": each.sha256,
            }
            for each in done.artifacts
        ],
        "report": done.report.as_dict(),
    }


def _summary(done: FileSeparation) -> str:
    report = done.report
    took = report.seconds["total"]
    lines = [
        f"{done.source.name}: {report.audio_seconds:.1f} s of music in {took:.1f} s "
        f"({report.audio_seconds / took:.1f}x real time), {report.model} on {report.device}, "
        f"{report.backend} {report.precision}",
        *(f"  {each.path}" for each in done.artifacts),
    ]
    notes = list(report.notes)
    notes += [f"{name} is silent" for name, stem in report.stems.items() if stem.silent]
    if report.residual_db is not None:
        notes.append(f"stems sum to the mix within {report.residual_db:.1f} dB")
    if report.joint_gain < 1:
        notes.append(f"all stems turned down by {report.joint_gain:.3f} so that none clips")
    if notes:
        lines.append(f"  {'; '.join(notes)}")
    return "\n".join(lines)
