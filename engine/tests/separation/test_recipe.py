"""What a run is, resolved without loading a network."""

from __future__ import annotations

import pytest

from stemwright.errors import OptionError
from stemwright.models.bag import Bag
from stemwright.models.network import Network
from stemwright.options import SeparationOptions
from stemwright.separation.recipe import resolve

SOURCES = ("drums", "bass", "vocals")
WEIGHTS = [[1.0, 1.0, 0.0], [0.0, 3.0, 1.0]]


def never() -> Network:
    raise AssertionError("a network was loaded")


BAG = Bag(sources=SOURCES, loaders=[never, never], weights=WEIGHTS)


def test_without_options_all_stems_are_given_and_all_networks_run() -> None:
    recipe = resolve(BAG, SeparationOptions())
    assert recipe.stems == SOURCES
    assert [share.index for share in recipe.shares] == [0, 1]
    assert [share.shares for share in recipe.shares] == [(1.0, 0.25, 0.0), (0.0, 0.75, 1.0)]
    assert recipe.complete


def test_a_network_that_contributes_to_no_output_is_not_run_and_the_sum_is_not_the_mix() -> None:
    recipe = resolve(BAG, SeparationOptions(stems=("vocals",)))
    assert recipe.stems == ("vocals",)
    assert [share.index for share in recipe.shares] == [1]
    assert not recipe.complete


@pytest.mark.parametrize(
    ("method", "stems", "indices"),
    [("add", ("drums", "no_drums"), [0, 1]), ("minus", ("drums", "minus_drums"), [0]), ("none", ("drums",), [0])],
)
def test_two_stems_run_what_the_rest_is_made_of(method: str, stems: tuple[str, ...], indices: list[int]) -> None:
    recipe = resolve(BAG, SeparationOptions(two_stems="drums", other_method=method))  # type: ignore[arg-type]
    assert recipe.stems == stems
    assert [share.index for share in recipe.shares] == indices


def test_a_stem_that_the_model_lacks_is_said_with_those_that_it_has() -> None:
    with pytest.raises(OptionError, match="no stem 'piano': it has drums, bass, vocals") as caught:
        resolve(BAG, SeparationOptions(stems=("piano",)))
    assert caught.value.code == "stem_unknown"
