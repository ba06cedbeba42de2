"""`stemwright split`: songs in, stems out. Flags that `demucs` has mean here what they mean there."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright.commands.failure import fail
from stemwright.commands.progress import ProgressLine
from stemwright.errors import InputError, OptionError, OutputError

if TYPE_CHECKING:
    from stemwright.options import SeparationOptions
    from stemwright.separator import FileSeparation, Separator
    from stemwright.writing import OutputOptions

FORMAT_NAMES = ("wav", "wav24", "wav-float", "flac", "flac24", "mp3", "m4a", "ogg", "opus")


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
    parser.add_argument("--json", action="store_true", help="print one JSON document: artifacts and fidelity reports")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no summary")
    _add_model(parser)
    _add_separation(parser)
    _add_output(parser)
    _add_limits(parser)
    parser.set_defaults(func=run)


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "-n", "--name", "-M", "--model", dest="model", default="htdemucs", metavar="MODEL",
        help="which model (default: htdemucs; `stemwright models` lists them, `pocket` needs no network)",
    )  # fmt: skip
    group.add_argument("--models-path", "--repo", type=Path, metavar="DIR", help="folder of models in Demucs's formats")
    group.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    group.add_argument(
        "--precision", choices=("auto", "exact", "fast"), default="auto",
        help="exact: float32 as Demucs computes; fast: bfloat16 where the hardware has it (default: auto)",
    )  # fmt: skip
    group.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="segments side by side (default: 1)")


def _add_separation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("separation")
    which = group.add_mutually_exclusive_group()
    which.add_argument("--stems", metavar="A,B", help="only these stems, separated by commas")
    which.add_argument("--two-stems", metavar="STEM", help="this stem, and everything else as no_STEM")
    group.add_argument(
        "--other-method", choices=("add", "minus", "none"), default="add",
        help="everything else: the other stems added, the mix minus the stem (as minus_STEM), or not written",
    )  # fmt: skip
    group.add_argument("--shifts", type=int, default=0, metavar="N", help="average over N random shifts (default: 0)")
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="where the random shifts come from (default: 0)"
    )
    group.add_argument("--overlap", type=float, default=0.25, help="overlap of segments (default: 0.25)")
    group.add_argument("--segment", type=float, metavar="SECONDS", help="length of a segment (default: the model's)")


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    formats = group.add_mutually_exclusive_group()
    formats.add_argument("--format", choices=FORMAT_NAMES, help="(default: wav)")
    formats.add_argument("--mp3", dest="format", action="store_const", const="mp3", help="same as --format mp3")
    formats.add_argument("--flac", action="store_true", help="same as --format flac (flac24 with --int24)")
    depth = group.add_mutually_exclusive_group()
    depth.add_argument("--int24", action="store_true", help="24 bits: wav24, or flac24 with --flac")
    depth.add_argument("--float32", action="store_true", help="same as --format wav-float")
    group.add_argument("--mp3-bitrate", type=int, default=320, metavar="KBPS", help="(default: 320)")
    group.add_argument(
        "--mp3-preset", type=int, choices=range(2, 8), default=5, help="2: best, 7: fastest (default: 5)"
    )
    group.add_argument("--mp3-vbr", type=int, choices=range(10), help="variable bit rate instead: 0 best, 9 smallest")
    group.add_argument("--bitrate", type=int, metavar="KBPS", help="of m4a, ogg and opus (default: the format's own)")
    group.add_argument(
        "--clip-mode", choices=("rescale", "clamp", "none"), default="rescale",
        help="a stem above full scale: one gain for all stems, cut off, or left to the format (default: rescale)",
    )  # fmt: skip
    group.add_argument(
        "--filename", default="{track}/{stem}.{ext}", metavar="PATTERN",
        help="name below OUT, of {track}, {trackext}, {stem}, {ext} (default: {track}/{stem}.{ext})",
    )  # fmt: skip
    group.add_argument("--keep-rate", action="store_true", help="the input's sample rate instead of the model's")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits (none unless given)")
    group.add_argument("--max-duration", type=float, metavar="SECONDS", help="refuse longer songs")
    group.add_argument("--max-size", type=int, metavar="BYTES", help="refuse larger files")


def run(args: argparse.Namespace) -> int:
    """Separate every input; one that fails does not keep the others from being done."""
    from stemwright.allocator import keep_freed_memory
    from stemwright.audio import InputLimits
    from stemwright.separator import Separator

    keep_freed_memory()

    options, output = _separation_options(args), _output_options(args)
    names = _track_names(args.inputs)
    limits = InputLimits(max_bytes=args.max_size, max_seconds=args.max_duration)
    separator = Separator(
        args.model,
        models_path=args.models_path,
        device=args.device,
        on_fetch=None if args.quiet else lambda line: print(line, file=sys.stderr),
    )
    _check_names(separator, options)
    songs: list[dict[str, Any]] = []
    code = 0
    for path, name in zip(args.inputs, names, strict=True):
        line = ProgressLine(path.name, enabled=not args.quiet)
        try:
            done = separator.separate_file(
                path, args.out, options, output, limits=limits, track_name=name, on_progress=line.show
            )
        except (InputError, OutputError) as error:
            line.clear()
            code = fail(str(error))
            songs.append({"input": str(path), "error": {"code": error.code, "message": str(error)}})
            continue
        finally:
            line.clear()
        songs.append(_as_json(done))
        if not args.json and not args.quiet:
            _print_summary(done)
    if args.json:
        print(json.dumps({"songs": songs}, indent=2))
    return code


def _separation_options(args: argparse.Namespace) -> SeparationOptions:
    from stemwright.options import SeparationOptions

    stems = None
    if args.stems is not None and args.stems != "all":
        stems = tuple(name.strip() for name in args.stems.split(",") if name.strip())
    return SeparationOptions(
        stems=stems,
        two_stems=args.two_stems,
        other_method=args.other_method,
        shifts=args.shifts,
        seed=args.seed,
        overlap=args.overlap,
        segment=args.segment,
        jobs=args.jobs,
        precision=args.precision,
    )


def _output_options(args: argparse.Namespace) -> OutputOptions:
    from stemwright.writing import OutputOptions

    format_ = _format(args)
    mp3 = format_ == "mp3"
    kilobits = (None if args.mp3_vbr is not None else args.mp3_bitrate) if mp3 else args.bitrate
    return OutputOptions(
        format=format_,
        bitrate=kilobits * 1000 if kilobits is not None else None,
        vbr_quality=args.mp3_vbr if mp3 else None,
        preset=args.mp3_preset,
        clip_mode=args.clip_mode,
        filename=args.filename,
        keep_rate=args.keep_rate,
    )


def _format(args: argparse.Namespace) -> str:
    """One name out of `--format` and Demucs's flags."""
    base = "flac" if args.flac else args.format or "wav"
    if args.float32:
        if base != "wav":
            raise OptionError(f"--float32 is for wav; {base} has no such form")
        return "wav-float"
    if args.int24:
        if base not in ("wav", "flac"):
            raise OptionError(f"--int24 is for wav and flac; {base} has no such form")
        return f"{base}24"
    return str(base)


def _track_names(inputs: Sequence[Path]) -> list[str]:
    """A name for each song; songs of the same name in different folders must not overwrite each other."""
    names: list[str] = []
    for path in inputs:
        name = path.name.rsplit(".", 1)[0] or path.name
        count = 2
        unique = name
        while unique in names:
            unique = f"{name} ({count})"
            count += 1
        names.append(unique)
    return names


def _check_names(separator: Separator, options: SeparationOptions) -> None:
    """An unknown stem is said once, before the first song."""
    from stemwright.outputs import choose_outputs

    choose_outputs(separator.sources, options)


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


def _print_summary(done: FileSeparation) -> None:
    report = done.report
    took = report.seconds["total"]
    print(
        f"{done.source.name}: {report.audio_seconds:.1f} s of music in {took:.1f} s "
        f"({report.audio_seconds / took:.1f}x real time), {report.model} on {report.device}, "
        f"{report.backend} {report.precision}"
    )
    for each in done.artifacts:
        print(f"  {each.path}")
    notes = list(report.notes)
    notes += [f"{name} is silent" for name, stem in report.stems.items() if stem.silent]
    if report.residual_db is not None:
        notes.append(f"stems sum to the mix within {report.residual_db:.1f} dB")
    if report.joint_gain < 1:
        notes.append(f"all stems turned down by {report.joint_gain:.3f} so that none clips")
    if notes:
        print(f"  {'; '.join(notes)}")
