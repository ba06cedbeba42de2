"""What the constructor arguments of `demucs.htdemucs.HTDemucs` say of a network. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stemwright.models.architecture import Arguments
from stemwright.models.network import Facts

# What our network has built in: an argument with another value asks for something that is not written here.
# Arguments that only matter in training (initial values, dropout, learning rate) may have any value.
_BUILT_IN: Mapping[str, tuple[Any, ...]] = {
    "growth": (2,),
    "wiener_iters": (0,),
    "end_iters": (0,),
    "wiener_residual": (False,),
    "cac": (True,),
    "rewrite": (True,),
    "multi_freqs": (None, []),
    "context_enc": (0,),
    "t_emb": ("sin",),
    "t_norm_in": (True,),
    "t_norm_in_group": (False, 0),
    "t_group_norm": (False, 0),
    "t_norm_first": (True,),
    "t_norm_out": (True,),
    "t_weight_pos_embed": (1.0,),
    "t_layer_scale": (True,),
    "t_gelu": (True,),
    "t_sin_random_shift": (0,),
    "t_sparse_self_attn": (False,),
    "t_sparse_cross_attn": (False,),
    "t_cross_first": (False,),
    "use_train_segment": (True,),
}


def unsupported(kwargs: Mapping[str, Any]) -> str | None:
    """Which of these arguments of Demucs's class ask for what is not written here, in words; None: our network computes it."""
    for name, values in _BUILT_IN.items():
        if kwargs.get(name, values[0]) not in values:
            return f"{name}={kwargs[name]!r} is not written here"
    depth, stride, nfft = kwargs.get("depth", 4), kwargs.get("stride", 4), kwargs.get("nfft", 4096)
    if kwargs.get("norm_starts", 4) < depth:
        return "norms inside the encoder are not written here"
    if nfft // 2 // stride ** (depth - 1) <= kwargs.get("kernel_size", 8):
        return f"a depth of {depth} leaves too few rows of frequencies"
    if kwargs.get("t_layers", 5) <= 0:
        return "a network without a transformer is not written here"
    if kwargs.get("channels_time") is not None:
        return "a waveform branch of another width is not written here"
    return None


def facts(arguments: Arguments) -> Facts:
    """What is known of an HTDemucs made with these arguments."""
    kwargs = arguments.kwargs
    return Facts(
        sources=arguments.sources,
        samplerate=int(kwargs.get("samplerate", 44100)),
        audio_channels=int(kwargs.get("audio_channels", 2)),
        segment=kwargs.get("segment", 10),
        fixed_segment=True,
    )
