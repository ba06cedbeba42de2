"""What is known of Demucs's released models.

Bags, signatures and the `.th` file names (whose last part begins the file's sha256) are those of `demucs/remote/` of
demucs 4.1.0; the hub repositories are those of `demucs.hf`. Full hashes of the hub's safetensors files are pinned where
two independent publications agree; a file without one is checked against what the hub itself declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HUB_NAMESPACE = "adefossez"
LEGACY_ROOT = "https://dl.fbaipublicfiles.com/demucs/"
LICENCE = "weights are their author's, for research use; see https://github.com/adefossez/demucs"

FOUR_STEMS = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """One released bag."""

    description: str
    repository: str  # on the hub, below HUB_NAMESPACE
    signatures: tuple[str, ...]
    sources: tuple[str, ...] = FOUR_STEMS
    weights: tuple[tuple[float, ...], ...] | None = None  # one row per network, one column per source; None: all equal
    segment: float | None = None  # seconds, overrides what the networks say
    quantized: bool = False


KNOWN: Mapping[str, KnownModel] = {
    "htdemucs": KnownModel(
        description="Hybrid Transformer Demucs (v4): the default",
        repository="HTDemucs",
        signatures=("955717e8",),
    ),
    "htdemucs_ft": KnownModel(
        description="htdemucs fine-tuned, one network per stem: better, and four times the work for four stems",
        repository="HTDemucs-ft",
        signatures=("f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d"),
        weights=((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
    ),
    "htdemucs_6s": KnownModel(
        description="htdemucs with piano and guitar stems; the piano is weak",
        repository="HTDemucs-6s",
        signatures=("5c90dfd2",),
        sources=(*FOUR_STEMS, "guitar", "piano"),
    ),
    "hdemucs_mmi": KnownModel(
        description="Hybrid Demucs (v3), retrained on MusDB and 800 songs",
        repository="Demucs-hdemucs_mmi",
        signatures=("75fc33f5",),
        segment=44,
    ),
    "mdx": KnownModel(
        description="Hybrid Demucs (v3) of the MDX challenge, trained on MusDB only",
        repository="Demucs-mdx",
        signatures=("0d19c1c6", "7ecf8ec1", "c511e2ab", "7d865c68"),
        weights=((1, 1, 0, 0), (0, 1, 0, 0), (1, 0, 1, 1), (1, 0, 1, 1)),
        segment=44,
    ),
    "mdx_extra": KnownModel(
        description="Hybrid Demucs (v3) of the MDX challenge, trained with extra data",
        repository="Demucs-mdx_extra",
        signatures=("e51eebcc", "a1d90b5c", "5d2d6c55", "cfa93e08"),
        segment=44,
    ),
    "mdx_q": KnownModel(
        description="mdx, quantised: smaller to fetch, slightly worse",
        repository="Demucs-mdx_q",
        signatures=("6b9c2ca1", "b72baf4e", "42e558d4", "305bc58f"),
        weights=((1, 1, 0, 0), (0, 1, 0, 0), (1, 0, 1, 1), (1, 0, 1, 1)),
        segment=44,
        quantized=True,
    ),
    "mdx_extra_q": KnownModel(
        description="mdx_extra, quantised: smaller to fetch, slightly worse",
        repository="Demucs-mdx_extra_q",
        signatures=("83fc094f", "464b36d7", "14fc6a69", "7fd6ef75"),
        segment=44,
        quantized=True,
    ),
}

# signature -> path below LEGACY_ROOT; the part after the dash begins the file's sha256.
LEGACY: Mapping[str, str] = {
    "0d19c1c6": "mdx_final/0d19c1c6-0f06f20e.th",
    "5d2d6c55": "mdx_final/5d2d6c55-db83574e.th",
    "7d865c68": "mdx_final/7d865c68-3d5dd56b.th",
    "7ecf8ec1": "mdx_final/7ecf8ec1-70f50cc9.th",
    "a1d90b5c": "mdx_final/a1d90b5c-ae9d2452.th",
    "c511e2ab": "mdx_final/c511e2ab-fe698775.th",
    "cfa93e08": "mdx_final/cfa93e08-61801ae1.th",
    "e51eebcc": "mdx_final/e51eebcc-c1b80bdd.th",
    "6b9c2ca1": "mdx_final/6b9c2ca1-3fd82607.th",
    "b72baf4e": "mdx_final/b72baf4e-8778635e.th",
    "42e558d4": "mdx_final/42e558d4-196e0e1b.th",
    "305bc58f": "mdx_final/305bc58f-18378783.th",
    "14fc6a69": "mdx_final/14fc6a69-a89dd0ee.th",
    "464b36d7": "mdx_final/464b36d7-e5a9386e.th",
    "7fd6ef75": "mdx_final/7fd6ef75-a905dd85.th",
    "83fc094f": "mdx_final/83fc094f-4a16d450.th",
    "955717e8": "hybrid_transformer/955717e8-8726e21a.th",
    "f7e0c4bc": "hybrid_transformer/f7e0c4bc-ba3fe64a.th",
    "d12395a8": "hybrid_transformer/d12395a8-e57c48e6.th",
    "92cfc3b6": "hybrid_transformer/92cfc3b6-ef3bcb9c.th",
    "04573f0d": "hybrid_transformer/04573f0d-f3cf25b2.th",
    "75fc33f5": "hybrid_transformer/75fc33f5-1941ce65.th",
    "5c90dfd2": "hybrid_transformer/5c90dfd2-34c22ccb.th",
}

# sha256 of `<signature>.safetensors` on the hub.
SAFETENSORS_SHA256: Mapping[str, str] = {
    "955717e8": "d9fa14133cfcc034a6758923bb3a8ca9f8dfd0b582134643bbf83f72c17576dd",
    "f7e0c4bc": "2c85ab3c62dd6edd8e0b965e38b16fd1cdde357cc25de6b6bc9ce7c83f60925f",
    "d12395a8": "5b01a97567ae9a3178a6236fb520251045c03eb8834bc8c24a4eec11d6c8fb56",
    "92cfc3b6": "a241863551f30d01c42bd7b97da40839922ead3acb0f1fcab25682f55b4eeb59",
    "04573f0d": "68854b0d7c2b3274723b5761f6fd9f5aec5f1bcd3f0de7c1669546fdb7871b7c",
    "5c90dfd2": "d2a1745f0744721f6b8ca5bf469b67c651ea5ed1b52998cab033b2158609d411",
}
