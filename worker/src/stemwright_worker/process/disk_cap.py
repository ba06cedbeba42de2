"""A cap on what one task keeps on the disk of its worker."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from stemwright_worker.errors import ServiceError

_LOOK = 0.5  # seconds between two looks while a task runs
_BLOCK = 512  # bytes, of what stat counts in


class WorkFolderFull(ServiceError):
    """The task keeps more on the disk than one may. A repeat would, too."""

    code = "work_folder_full"


class DiskCap:
    """``with DiskCap(folder, most, over)`` looks at the folder while a task runs, and calls ``over`` once if need be."""

    def __init__(self, folder: Path, most_bytes: int | None, over: Callable[[WorkFolderFull], None]) -> None:
        """``most_bytes``: None means as much as there is room for."""
        self._folder = folder
        self._most = most_bytes
        self._over = over
        self._ended = Event()
        self._thread = Thread(target=self._watch, name="disk", daemon=True)

    def __enter__(self) -> DiskCap:
        if self._most is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def check(self) -> None:
        """Raise WorkFolderFull if it is now."""
        if self._most is not None and (used := used_bytes(self._folder)) > self._most:
            raise WorkFolderFull(f"The job needs {used} bytes on the disk of its worker so far; at most {self._most}.")

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK):
            try:
                self.check()
            except WorkFolderFull as error:
                self._over(error)
                return


def used_bytes(folder: Path) -> int:
    """What the files below take up on the disk."""
    used = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                used += os.lstat(os.path.join(where, name)).st_blocks * _BLOCK  # noqa: PTH118  # a Path for each is slow
            except FileNotFoundError:
                continue  # it was removed while we looked
    return used
