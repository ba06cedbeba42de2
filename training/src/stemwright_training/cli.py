"""`stemwright-training`: one command for the whole run, and one for each of its steps."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(arguments)
    # torch reads these when it loads; keeping freed memory saves a fifth of a step on Linux.
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    from . import example, pipeline

    places = pipeline.Places(data=args.data, repository=args.repository)
    match args.command:
        case "run":
            pipeline.whole_run(
                places,
                minutes=args.minutes,
                songs=args.songs,
                held_out=args.held_out,
                workers=args.threads,
                device=args.device,
                compare_minutes=args.compare_minutes,
                from_bundled=args.from_bundled,
            )
        case "render":
            pipeline.render_songs(places, args.songs, args.held_out, args.threads)
        case "example":
            example.write_example(args.out)
        case "check":
            known = len(pipeline.songs_of_card(places))
            if not 1 <= args.songs <= known:
                parser.error(f"--songs is {args.songs}: the card has figures of {known}, choose at most that")
            worst = pipeline.check(places, args.songs)
            print(f"largest difference from the card: {worst:.2f} dB")
            return int(worst > args.tolerance)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stemwright-training", description="Synthetic songs, and the model that learns from them."
    )
    parser.add_argument(
        "--repository", type=Path, default=REPOSITORY, help="the repository that checkpoint and card are written to"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run", help="render, train, measure, write checkpoint and card; goes on where it was stopped"
    )
    run.add_argument("--minutes", type=float, default=60.0, help="of training")
    run.add_argument(
        "--compare-minutes",
        type=float,
        default=8.0,
        help="for a small HTDemucs, and as many for BandNet; 0: no comparison",
    )
    run.add_argument("--from-bundled", action="store_true", help="go on from the weights that ship")
    run.add_argument("--device", default="cpu", help="cpu or cuda")
    render = commands.add_parser("render", help="render the songs only")
    for command in (run, render):
        command.add_argument("--songs", type=int, default=120, help="to train on")
        command.add_argument("--held-out", type=int, default=24, help="songs of the card's figures")
    check = commands.add_parser("check", help="measure the bundled model again on held-out songs rendered again")
    check.add_argument("--songs", type=int, default=4)
    check.add_argument("--tolerance", type=float, default=0.3, help="dB")
    song = commands.add_parser("example", help="render the example song")
    song.add_argument("--out", type=Path, required=True)
    for command in (run, render, check, song):
        command.add_argument(
            "--data", type=Path, default=Path("data/training"), help="folder for songs and runs: gigabytes"
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
