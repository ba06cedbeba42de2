"""The file of settings: what it says is put into the environment, as far as that says nothing itself.

Into the environment, not into ``Settings`` alone: what is of others, such as ``CUDA_VISIBLE_DEVICES``, is to reach them too.
"""

from __future__ import annotations

import os
from pathlib import Path

from stemwright_worker.errors import InvalidRequest

NAME = "STEMWRIGHT_ENV_FILE"
DEFAULT = ".env"


def read_env_file() -> Path | None:
    """Read the file that STEMWRIGHT_ENV_FILE names, or ``.env`` of the current folder if there is one; which it was.

    Raises:
        InvalidRequest: a file that was named cannot be read.
    """
    named = os.environ.get(NAME, DEFAULT)
    path = Path(named)
    if not named or (named == DEFAULT and not path.is_file()):
        return None
    from dotenv import load_dotenv  # only where there is one: most services have none

    try:
        with path.open(encoding="utf-8") as file:
            load_dotenv(stream=file, override=False, interpolate=False)  # a secret may hold a "${"
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{NAME}: {named!r} cannot be read: {error}.", code="bad_env_file") from error
    return path
