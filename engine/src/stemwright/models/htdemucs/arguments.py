"""What the constructor arguments of `demucs.htdemucs.HTDemucs` say of a network. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


def supports(kwargs: Mapping[str, Any]) -> bool:
    """Whether our network computes what these arguments of Demucs's class ask for."""
    plain = all(kwargs.get(name, values[0]) in values for name, values in _BUILT_IN.items())
    depth, stride, nfft = kwargs.get("depth", 4), kwargs.get("stride", 4), kwargs.get("nfft", 4096)
    no_norms = kwargs.get("norm_starts", 4) >= depth
    rows_left = nfft // 2 // stride ** (depth - 1) > kwargs.get("kernel_size", 8)
    return plain and no_norms and rows_left and kwargs.get("t_layers", 5) > 0 and kwargs.get("channels_time") is None


def facts(sources: tuple[str, ...], kwargs: Mapping[str, Any]) -> Facts:
    """What is known of an HTDemucs made with these arguments."""
    return Facts(
        sources=sources,
        samplerate=int(kwargs.get("samplerate", 44100)),
        audio_channels=int(kwargs.get("audio_channels", 2)),
        segment=kwargs.get("segment", 10),
        fixed_segment=True,
    )
