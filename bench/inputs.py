"""What is measured on: networks in the released configurations with random weights, saved as Demucs saves them.

The tests of the engine make theirs loud and save them in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from demucs.transformer import LayerScale
from safetensors.torch import save_file

SOURCES = ["drums", "bass", "other", "vocals"]
SEGMENT = Fraction(39, 5)  # seconds
_LOUDNESS = 0.2  # deviation of LayerScales
_RELEASED = {"channels": 48, "bottom_channels": 512, "dconv_mode": 3, "segment": SEGMENT}
Network = TypeVar("Network", bound=torch.nn.Module)


def htdemucs(seed: int = 0) -> HTDemucs:
    """Demucs's own class, in the configuration of its released weights."""
    torch.manual_seed(seed)
    network: HTDemucs = loud(HTDemucs(sources=SOURCES, **_RELEASED)).requires_grad_(False)
    return network


def hdemucs(seed: int = 0) -> HDemucs:
    """One network of `mdx_extra`; its segments are shorter here than the released 44 s, to keep the measurement short."""
    torch.manual_seed(seed)
    network: HDemucs = loud(HDemucs(sources=SOURCES, channels=48, hybrid_old=False, segment=10)).requires_grad_(False)
    return network


def loud(network: Network) -> Network:
    """Initial layer scales of 1e-3 would make the residual branches numerically invisible, and agreement look easy."""
    chance = torch.Generator().manual_seed(7)
    for module in network.modules():
        if type(module).__name__ == LayerScale.__name__:
            scale = cast(torch.Tensor, module.scale)
            scale.data = torch.randn(scale.shape, generator=chance) * _LOUDNESS
    return network.eval()


def save(network: Any, folder: Path, name: str) -> Path:
    """A checkpoint as Demucs's export to the hub writes it; one that is there already is kept."""
    file = folder / f"{name}.safetensors"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_safetensors(network, folder, name)
    return file


def made_with(network: torch.nn.Module) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a network of Demucs's, as it keeps them for its checkpoint."""
    return cast(tuple[tuple[Any, ...], dict[str, Any]], network._init_args_kwargs)


def save_safetensors(
    network: torch.nn.Module, folder: Path, signature: str, *, state: Mapping[str, Any] | None = None, **metadata: str
) -> Path:
    """As Demucs's export to the hub does; a nested state is flattened and described in the metadata."""
    args, kwargs = made_with(network)
    described = {
        "klass": f"{type(network).__module__}.{type(network).__name__}",
        "args": json.dumps(_encoded(args)),
        "kwargs": json.dumps(_encoded(kwargs)),
    }
    tensors: dict[str, torch.Tensor] = {}
    if state is None:
        tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    else:
        described["structure"] = json.dumps(_flattened(state, tensors))
    file = folder / f"{signature}.safetensors"
    save_file(tensors, file, metadata={**described, **metadata})
    return file


def _encoded(value: Any) -> Any:
    if isinstance(value, Fraction):
        return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}
    if isinstance(value, Mapping):
        return {key: _encoded(item) for key, item in value.items()}
    return [_encoded(item) for item in value] if isinstance(value, list | tuple) else value


def _flattened(node: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(node, torch.Tensor):
        tensors[name := f"t{len(tensors)}"] = node.contiguous()
        return {"_tensor": name}
    if isinstance(node, Mapping):
        return {"_dict": [[key, _flattened(item, tensors)] for key, item in node.items()]}
    if isinstance(node, type):
        return {"_class": f"{node.__module__}.{node.__name__}"}
    if isinstance(node, list | tuple):
        return {f"_{type(node).__name__}": [_flattened(item, tensors) for item in node]}
    return node
