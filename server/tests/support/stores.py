"""Job stores for tests: empty ones, and the one that commit 495868d left behind."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

OLD_STORE = Path(__file__).with_name("store_495868d")
# What is in it, by the names of its files.
FINISHED, FAILED, RUNNING, QUEUED = "finished.wav", "failed.wav", "running.wav", "queued.wav"
FOR_EVER = str(100 * 365 * 86400)  # seconds: the rows stay as old as they are, and must not be swept away for it


def lay_out_old_store(data_dir: Path) -> Path:
    """The data folder of a service of 495868d; the path of its database."""
    shutil.copytree(OLD_STORE / "blobs", data_dir / "blobs")
    path = data_dir / "stemwright.db"
    with closing(sqlite3.connect(path)) as store:
        store.executescript((OLD_STORE / "store.sql").read_text())
    return path
