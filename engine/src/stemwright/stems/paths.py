"""Where the files of the stems go: from a pattern, below the output folder and never out of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from stemwright.audio import FORMATS
from stemwright.errors import OptionError
from stemwright.options import OutputOptions


def output_paths(
    source: Path, out: Path, stems: Sequence[str], options: OutputOptions, track: str | None = None
) -> dict[str, Path]:
    """Where each stem goes.

    Args:
        source: The input, whose name the pattern may use.
        out: The folder that all files lie below.
        stems: Names of the stems.
        options: The pattern, and the format, which has an extension.
        track: What ``{track}`` stands for; None: the input's name without its extension.

    Returns:
        A path for each stem, in the order of ``stems``. None of them is made.

    Raises:
        OptionError: The file name pattern leads out of ``out``, or gives two stems one name.
    """
    values = {
        "track": safe_name(track if track is not None else source.name.rsplit(".", 1)[0]),
        "trackext": safe_name(source.name.rsplit(".", 1)[-1]),
        "ext": FORMATS[options.format].extension,
    }
    paths = {}
    for stem in stems:
        name = options.filename.format(stem=safe_name(stem), **values)
        relative = Path(name)
        if relative.is_absolute() or not relative.parts or ".." in relative.parts or name.endswith(("/", "\\")):
            raise OptionError(f"the file name pattern {options.filename!r} leads out of the output folder")
        paths[stem] = out / relative
    if len({one_name(str(path)) for path in paths.values()}) < len(paths):
        raise OptionError(
            f"the file name pattern {options.filename!r} gives several stems one name: use {{stem}} in it"
        )
    return paths


def one_name(name: str) -> str:
    """What names share that some file system takes for one: those that differ in case, or in how accents are composed.

    macOS and Windows do, and folders are copied there. So it is the same everywhere, and no file system is asked.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def safe_name(part: str) -> str:
    """The part as a piece of a file name: without separators, and never a name that means a folder."""
    cleaned = part.replace("/", "_").replace("\\", "_").replace("\0", "_")
    return cleaned if cleaned.strip(". ") else "track"
