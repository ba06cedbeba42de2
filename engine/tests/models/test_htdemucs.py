"""Our HTDemucs computes what Demucs's does, from the same state dict."""

from __future__ import annotations

from typing import Any, cast

import demucs.htdemucs
import pytest
import torch
from small import SOURCES, arguments_of, music, snr_db, tiny_htdemucs

from stemwright.models.architecture import Arguments
from stemwright.models.htdemucs.architecture import HTDEMUCS
from stemwright.models.htdemucs.arguments import facts
from stemwright.models.htdemucs.network import HTDemucs
from stemwright.models.htdemucs.stft import inverse, spectrogram
from stemwright.models.registry import ARCHITECTURES


class Transforms(demucs.htdemucs.HTDemucs):
    """Demucs's own network, whose transforms are there for classes that inherit from it."""

    def spectrogram(self, mix: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self._spec(mix))  # type: ignore[no-untyped-call]

    def inverse(self, z: torch.Tensor, length: int) -> torch.Tensor:
        return cast(torch.Tensor, self._ispec(z, length))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"dconv_mode": 1, "bottom_channels": 0},
        {"sources": [*SOURCES, "guitar", "piano"], "t_layers": 2},
        {"dconv_mode": 0, "freq_emb": 0, "depth": 3},
    ],
    ids=["as released", "v4 defaults", "six stems", "plain and shallow"],
)
def test_it_agrees_with_demucs_to_100_db_on_the_same_weights(kwargs: dict[str, Any]) -> None:
    peer = tiny_htdemucs(**kwargs)
    own = HTDemucs(**arguments_of(peer))
    own.load_state_dict(peer.state_dict())
    mix = torch.stack([music(1.5), music(1.5, seed=2)])
    with torch.inference_mode():
        assert snr_db(peer(mix), own.eval()(mix)) > 100


def test_a_short_piece_gives_a_short_result_as_in_demucs() -> None:
    peer = tiny_htdemucs()
    own = HTDemucs(**arguments_of(peer))
    own.load_state_dict(peer.state_dict())
    with torch.inference_mode():
        expected, got = peer(music(0.4)[None]), own.eval()(music(0.4)[None])
    assert got.shape == expected.shape
    assert snr_db(expected, got) > 100


def test_a_piece_longer_than_the_training_segment_is_refused() -> None:
    network = HTDemucs(SOURCES, channels=8, segment=1)
    with pytest.raises(ValueError, match="44101 samples are more than the segment of 44100"):
        network.valid_length(44101)


def test_variants_that_are_not_written_here_run_on_demucs_own_class() -> None:
    kwargs = {"sources": SOURCES, "channels": 8, "cac": False, "wiener_iters": 1, "end_iters": 1, "t_layers": 1}
    variant = Arguments(klass="demucs.htdemucs.HTDemucs", kwargs=kwargs)
    assert HTDEMUCS.unsupported(variant) == "wiener_iters=1 is not written here"
    assert type(ARCHITECTURES.of(variant).build(variant)).__module__ == "demucs.htdemucs"
    released = Arguments(klass="demucs.htdemucs.HTDemucs", kwargs={"sources": SOURCES, "channels": 8})
    assert type(ARCHITECTURES.of(released).build(released)) is HTDemucs


def test_its_arguments_say_what_the_network_says() -> None:
    arguments = Arguments(klass="demucs.htdemucs.HTDemucs", kwargs=arguments_of(tiny_htdemucs()))
    assert facts(arguments) == HTDEMUCS.facts(HTDEMUCS.build(arguments))


def test_no_other_class_is_ever_built() -> None:
    with pytest.raises(ValueError, match=r"os\.system"):
        ARCHITECTURES.of(Arguments(klass="os.system"))


@pytest.mark.parametrize("samples", [1024, 44100, 66150, 5000])
def test_the_spectrogram_is_demucs_own_and_its_inverse_gives_the_wave_back(samples: int) -> None:
    peer = Transforms(SOURCES, channels=8, t_layers=0)
    mix = music(samples / 44100)[None]
    z = spectrogram(mix, 4096)
    expected = peer.spectrogram(mix)
    assert torch.equal(z.movedim(-1, 1), expected)
    assert snr_db(peer.inverse(expected, samples), inverse(z, samples)) > 120
