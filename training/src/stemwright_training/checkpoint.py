"""Writes a trained network as a checkpoint in Demucs's own format: a safetensors file and the yaml bag that names it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save
from torch import Tensor

BANDNET = "stemwright.models.bandnet.BandNet"
HTDEMUCS = "demucs.htdemucs.HTDemucs"
LICENCE = "MIT, ours: trained on songs that Stemwright composes itself"


def write_model(
    folder: Path, name: str, klass: str, kwargs: Mapping[str, Any], state: Mapping[str, Tensor], *, description: str
) -> Path:
    """Writes `<signature>.safetensors` (half precision) and `<name>.yaml` into `folder`; returns the checkpoint's path.

    The signature is the start of the weights' own sha256, so a new training has a new file name; the
    file's full sha256 is pinned in the yaml. An older checkpoint that the yaml named is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"klass": klass, "args": "[]", "kwargs": json.dumps(dict(kwargs))}
    halves = {key: _half(value) for key, value in sorted(state.items())}
    data = save(halves, metadata)
    signature = hashlib.sha256(data).hexdigest()[:8]
    bag = folder / f"{name}.yaml"
    for old in yaml.safe_load(bag.read_text())["models"] if bag.exists() else []:
        (folder / f"{old}.safetensors").unlink(missing_ok=True)
    path = folder / f"{signature}.safetensors"
    path.write_bytes(data)
    content = {
        "models": [signature],
        "description": description,
        "licence": LICENCE,
        "sha256": {signature: hashlib.sha256(data).hexdigest()},
    }
    bag.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def _half(tensor: Tensor) -> Tensor:
    return (tensor.half() if tensor.is_floating_point() else tensor).contiguous()


def averaged_weights(run: Path) -> tuple[dict[str, Tensor], int, float]:
    """The averaged weights of a training run so far, with its steps and seconds."""
    state = torch.load(run / "state.pt", map_location="cpu", weights_only=True)["state"]
    return state["average"], int(state["step"]), float(state["seconds"])
