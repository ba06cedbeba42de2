"""Where workers outside ``stemwright serve`` keep the files of the task at hand."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stemwright_worker.errors import Unavailable
from stemwright_worker.process.instance import instance, reap_dead


def keep_files_private() -> None:
    """What this process and its children write from here on is for its own user alone: songs, and signed URLs.

    For commands that serve. The command line that splits keeps the umask of who called it.
    """
    os.umask(0o077)


@contextmanager
def worker_folder(root: Path | None, *, reap: Callable[[str], None]) -> Iterator[tuple[str, Path]]:
    """An id for this worker and a folder that goes with it, in ``root`` or the system's place for temporary files.

    Folders of workers that died are removed first, and ``reap`` is called with their ids.
    """
    root = root or _own_temporary_folder()

    def remove(dead: str) -> None:
        shutil.rmtree(root / f"stemwright-worker-{dead}", ignore_errors=True)
        reap(dead)

    instances = root / ".stemwright-workers"
    reap_dead(instances, remove)
    with instance(instances) as me:
        folder = root / f"stemwright-worker-{me}"
        try:
            yield me, folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _own_temporary_folder() -> Path:
    """Nobody else's on this machine."""
    folder = Path(tempfile.gettempdir()) / f"stemwright-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise Unavailable(f"{folder} belongs to somebody else; set STEMWRIGHT_WORK_DIR to another folder.")
    return folder
