"""The flags of `stemwright split`, and the options that they mean. Those that `demucs` has mean here what they mean there."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import get_args

from stemwright.audio.info import InputOptions
from stemwright.errors import OptionError
from stemwright.machine.machine import BackendChoice
from stemwright.options import DEFAULT_MODEL, DcOffset, OutputOptions, SeparationOptions

_FORMAT_NAMES = ("wav", "wav24", "wav-float", "flac", "flac24", "mp3", "m4a", "ogg", "opus")
_MP3_BITRATE = 320  # kbit/s, as in Demucs


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add all flags but those that say where to read and write."""
    _add_input(parser)
    _add_model(parser)
    _add_separation(parser)
    _add_output(parser)
    _add_limits(parser)


def _add_input(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("input")
    group.add_argument(
        "--track", type=int, metavar="N",
        help="which audio track of a file that has several, from 1 (default: the first that can be decoded)",
    )  # fmt: skip
    group.add_argument(
        "--video-clock", action="store_true",
        help="keep the silence that a film means: before sound that begins after the picture, and in gaps of the sound",
    )  # fmt: skip


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "-n", "--name", "-M", "--model", dest="model", default=DEFAULT_MODEL, metavar="MODEL",
        help=f"which model (default: {DEFAULT_MODEL}; `stemwright models` lists them, `pocket` needs no network)",
    )  # fmt: skip
    group.add_argument("--models-path", "--repo", type=Path, metavar="DIR", help="folder of models in Demucs's formats")
    group.add_argument("-d", "--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    group.add_argument(
        "--precision", choices=("auto", "exact", "fast"), default="auto",
        help="exact: float32 as Demucs computes; fast: bfloat16 where the hardware has it (default: auto)",
    )  # fmt: skip
    group.add_argument(
        "--dc-offset", choices=get_args(DcOffset), default="auto",
        help="a constant in the mix: in each stem, as Demucs does, or shared among them, so that they sum to the mix "
        "(default: auto, as the model was made)",
    )  # fmt: skip
    group.add_argument(
        "--backend", choices=get_args(BackendChoice),
        help="what computes HTDemucs on a CPU (default: $STEMWRIGHT_BACKEND, or auto, the one that was measured fastest)",
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
    formats.add_argument("--format", choices=_FORMAT_NAMES, help="(default: wav)")
    formats.add_argument("--mp3", dest="format", action="store_const", const="mp3", help="same as --format mp3")
    formats.add_argument("--flac", action="store_true", help="same as --format flac (flac24 with --int24)")
    depth = group.add_mutually_exclusive_group()
    depth.add_argument("--int24", action="store_true", help="24 bits: wav24, or flac24 with --flac")
    depth.add_argument("--float32", action="store_true", help="same as --format wav-float")
    group.add_argument(
        "--mp3-preset", type=int, choices=range(2, 8), default=5, help="2: best, 7: fastest (default: 5)"
    )
    bits = group.add_mutually_exclusive_group()
    bits.add_argument(
        "--mp3-bitrate", type=int, default=_MP3_BITRATE, metavar="KBPS", help=f"(default: {_MP3_BITRATE})"
    )
    bits.add_argument("--mp3-vbr", type=int, choices=range(10), help="variable bit rate instead: 0 best, 9 smallest")
    bits.add_argument("--bitrate", type=int, metavar="KBPS", help="of mp3, m4a and opus (default: the format's own)")
    group.add_argument(
        "--clip-mode", choices=("rescale", "clamp", "none"), default="rescale",
        help="a stem above full scale: one gain for all stems, cut off, or left to the format (default: rescale)",
    )  # fmt: skip
    group.add_argument(
        "--filename", default="{track}/{stem}.{ext}", metavar="PATTERN",
        help="name below OUT, of {track}, {trackext}, {stem}, {ext} (default: {track}/{stem}.{ext})",
    )  # fmt: skip
    group.add_argument("--keep-rate", action="store_true", help="the input's sample rate instead of the model's")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:  # NaN is no limit either
        raise argparse.ArgumentTypeError(f"{text} is no limit: a number of seconds over 0 is meant")
    return value


def _bytes(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is no limit: a number of bytes over 0 is meant")
    return value


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits (none unless given)")
    group.add_argument("--max-duration", type=_seconds, metavar="SECONDS", help="refuse longer songs")
    group.add_argument("--max-size", type=_bytes, metavar="BYTES", help="refuse larger files")


def input_options(args: argparse.Namespace) -> InputOptions:
    """The input options that the flags mean.

    Raises:
        OptionError: There can be no such track.
    """
    return InputOptions(track=args.track, video_clock=args.video_clock)


def separation_options(args: argparse.Namespace) -> SeparationOptions:
    """The separation options that the flags mean.

    Raises:
        OptionError: One makes no sense, by itself or with another.
    """
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
        dc_offset=args.dc_offset,
    )


def output_options(args: argparse.Namespace) -> OutputOptions:
    """The output options that the flags mean.

    Raises:
        OptionError: One makes no sense, by itself or with the format.
    """
    format_ = _format(args)
    if args.mp3_vbr is not None and format_ != "mp3":
        raise OptionError(f"--mp3-vbr is for mp3; {format_} has no such choice")
    kilobits = args.bitrate
    if kilobits is None and format_ == "mp3" and args.mp3_vbr is None:
        kilobits = args.mp3_bitrate
    return OutputOptions(
        format=format_,
        bitrate=kilobits * 1000 if kilobits is not None else None,
        vbr_quality=args.mp3_vbr,
        preset=args.mp3_preset,
        clip_mode=args.clip_mode,
        filename=args.filename,
        keep_rate=args.keep_rate,
    )


def _format(args: argparse.Namespace) -> str:
    """One name of a format out of `--format` and Demucs's flags."""
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
