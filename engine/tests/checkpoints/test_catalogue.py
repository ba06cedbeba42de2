"""Models are found by name, in the right place, and what is wrong with one is said clearly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from packed import save_bag, save_safetensors, save_th
from small import SOURCES, tiny_htdemucs

from stemwright.checkpoints import catalogue, find
from stemwright.checkpoints.catalogue import sources_of
from stemwright.checkpoints.manifest import KNOWN, LEGACY
from stemwright.errors import ModelError

Save = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (made := tmp_path / "models").mkdir()
    return made


def test_every_released_model_is_known_with_a_file_for_each_network() -> None:
    names = {model.name: model for model in catalogue()}
    assert {"htdemucs", "htdemucs_ft", "htdemucs_6s", "mdx_extra", "mdx_extra_q"} <= set(names)
    for known in KNOWN.values():
        assert all(signature in LEGACY for signature in known.signatures)
    assert names["htdemucs_6s"].sources == (*SOURCES, "guitar", "piano")
    assert all(model.licence for model in names.values())


def test_a_released_model_names_demucs_own_bag() -> None:
    """Compared with the package itself, so that a new release of it cannot differ unseen."""
    import demucs
    import yaml

    remote = Path(demucs.__file__).parent / "remote"
    for name, known in KNOWN.items():
        bag = yaml.safe_load((remote / f"{name}.yaml").read_text())
        assert tuple(bag["models"]) == known.signatures
        assert bag.get("segment") == known.segment
        weights = bag.get("weights")
        assert (tuple(map(tuple, weights)) if weights else None) == known.weights
    listed = {Path(line).name for line in (remote / "files.txt").read_text().split() if line.endswith(".th")}
    assert {Path(path).name for path in LEGACY.values()} <= listed


@pytest.mark.parametrize("save", [save_th, save_safetensors])
def test_a_bag_in_a_folder_is_found_by_its_name_and_a_network_by_its_signature(save: Save, folder: Path) -> None:
    save(tiny_htdemucs(), folder, "abc")
    save_bag(folder, "mine", ["abc", "abc"], weights=[[1, 1, 0, 0], [0, 0, 1, 1]], segment=1)
    model = find("mine", folder)
    assert (model.origin, model.sources, model.segment) == ("folder", tuple(SOURCES), 1)
    assert [member.path.parent for member in model.members if member.path] == [folder, folder]
    assert find("abc", folder).members[0].path == model.members[0].path
    assert {"mine", "abc"} <= {each.name for each in catalogue(folder)}


def test_the_folder_can_be_named_by_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_safetensors(tiny_htdemucs(), folder, "abc")
    monkeypatch.setenv("DEMUCS_MODELS_PATH", str(folder))
    assert find("abc").origin == "folder"


def test_safetensors_is_preferred_where_both_formats_lie(folder: Path) -> None:
    save_th(tiny_htdemucs(), folder, "abc")
    file = save_safetensors(tiny_htdemucs(), folder, "abc")
    assert find("abc", folder).members[0].path == file


def test_an_unknown_name_is_answered_with_the_places_looked_at_and_the_names_there_are(folder: Path) -> None:
    with pytest.raises(ModelError, match=rf"no model is called 'nope': looked in {folder}.*htdemucs_ft") as caught:
        find("nope", folder)
    assert caught.value.code == "model_unknown"


@pytest.mark.parametrize("name", ["../abc", "/etc/passwd", "", ".", "a/b", "abc.yaml"])
def test_a_name_never_leads_to_a_file_outside(name: str, folder: Path) -> None:
    save_safetensors(tiny_htdemucs(), folder.parent, "abc")
    with pytest.raises(ModelError, match="no model is called"):
        find(name, folder)


@pytest.mark.parametrize(
    ("bag", "message"),
    [
        ("models: [abc", "not valid YAML"),
        ("[1, 2]", "does not list its networks"),
        ("models: []", "does not list its networks"),
        ("models: ['../abc']", "does not list its networks"),
        ("models: [abc]\nsegment: -1", "seconds above 0"),
        ("models: [abc]\nweights: [[1, 1]]", "must be 1 rows of 4"),
        ("models: [abc]\nweights: [[1, 1, 0, 1]]", "leave a stem without any network"),
        ("models: [abc]\nweights: [[a, 1, 0, 1]]", "are not numbers"),
        ("models: [missing]", "missing is not in"),
    ],
)
def test_a_bag_that_makes_no_sense_is_refused_with_the_reason(bag: str, message: str, folder: Path) -> None:
    save_safetensors(tiny_htdemucs(), folder, "abc")
    (folder / "mine.yaml").write_text(bag)
    with pytest.raises(ModelError, match=message):
        find("mine", folder)
    assert "mine" not in {model.name for model in catalogue(folder)}


def test_a_broken_bag_with_the_name_of_a_released_model_is_left_out_and_hides_no_other(folder: Path) -> None:
    (folder / "htdemucs.yaml").write_text("models: []")
    listed = {model.name for model in catalogue(folder)}
    assert "htdemucs" not in listed
    assert {"pocket", "htdemucs_ft"} <= listed


def test_every_source_names_its_models_once_and_finds_each() -> None:
    for source in sources_of(None):
        assert (names := source.names())
        assert len(set(names)) == len(names)
        assert {(source.find(name).name, source.find(name).origin) for name in names} == {
            (name, source.origin) for name in names
        }


def test_weights_that_are_not_free_for_every_use_are_marked() -> None:
    assert {model.origin for model in catalogue() if model.restricted} == {"hub", "package"}
    assert not find("pocket").restricted


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a folder"):
        find("htdemucs", tmp_path / "nowhere")
