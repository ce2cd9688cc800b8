"""Tar shards: the same samples as the folder they were made of, whatever is read first, and one line for damage."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from associative_embedding.apps.cli.main import main
from associative_embedding.data.readers.coco_masks import CocoMasks
from associative_embedding.data.readers.tar_shards import Shards, read_index
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import open_keypoints, open_masks
from associative_embedding.io.reading import Reading
from associative_embedding.training.batches import build_stream, build_task
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.run_folder import plain
from associative_embedding.training.train import train
from support.tiny import FIGURE, tiny_data, tiny_recipe


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return tiny_data(tmp_path_factory.mktemp("plain"), images=7)


def shard(source: SourceConfig, output: Path, *options: str) -> int:
    arguments = [str(source.annotations), "--images", source.images, "--output", str(output), *options]
    return main(["data", "shard", *arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, source: SourceConfig) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "shards"
    assert shard(source, folder, "--size", "3") == 0
    return folder


def assert_same(a: Any, b: Any) -> None:
    assert len(a) == len(b) > 0
    for i in np.random.default_rng(0).permutation(len(a)):
        one, two = a[int(i)], b[int(i)]
        assert (one.image_id, one.file_name) == (two.image_id, two.file_name)
        for name in ("image", "keypoints", "area", "labelled"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("held_out", [0.0, 0.3])
def test_samples_are_those_of_the_folder(source: SourceConfig, folder: Path, cache: bool, held_out: float) -> None:
    for part in ("train", "validation") if held_out else ("train",):
        whole = open_keypoints(replace(source, cache=cache, held_out=held_out), FIGURE, part=part)
        parts = open_keypoints(SourceConfig(shards=str(folder), cache=cache, held_out=held_out), FIGURE, part=part)
        assert_same(whole, parts)


def test_masks_too(source: SourceConfig, folder: Path) -> None:
    document = json.loads((folder / "annotations.json").read_text())
    names = [category["name"] for category in document["categories"]]
    assert_same(
        CocoMasks(str(source.annotations), source.images, names),
        CocoMasks(str(folder / "annotations.json"), str(folder), names),
    )


def test_a_stream_is_the_same_at_any_place(tmp_path: Path, source: SourceConfig, folder: Path) -> None:
    recipes = [tiny_recipe(tmp_path, s) for s in (source, SourceConfig(shards=str(folder)))]
    recipes = [replace(r, data=replace(r.data, skeleton=str(source.annotations))) for r in recipes]
    one, two = (build_stream(r.data, build_task(r), seed=3) for r in recipes)
    for i in (40, 3, 3, 17):
        np.testing.assert_array_equal(one.sample_at(i).image, two.sample_at(i).image)
        np.testing.assert_array_equal(one.sample_at(i).keypoints, two.sample_at(i).keypoints)


@pytest.mark.parametrize("workers", [0, 2])
def test_training_from_shards_gives_the_same_weights(
    tmp_path: Path, source: SourceConfig, folder: Path, workers: int
) -> None:
    states = []
    for name, s in (("plain", source), ("shards", SourceConfig(shards=str(folder), cache=False))):
        recipe = tiny_recipe(tmp_path / name, s, steps=3)
        data = replace(recipe.data, skeleton=str(source.annotations), workers=workers)
        train(replace(recipe, data=data))
        states.append(torch.load(tmp_path / name / "run" / "state.pt", weights_only=True)["network"])
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_tars_are_as_webdataset_wants_them(source: SourceConfig, folder: Path, tmp_path: Path) -> None:
    """Members of a sample follow each other and share the name up to its first dot."""
    count = 0
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            for image, text in zip(members[::2], members[1::2], strict=True):
                key, extension = image.name.split(".")
                assert text.name == f"{key}.json"
                assert extension == "jpg"
                entry = json.loads(tar.extractfile(text).read())  # type: ignore[union-attr]
                assert int(key) == entry["image"]["id"]
                assert {row["image_id"] for row in entry["annotations"]} <= {int(key)}
                data = tar.extractfile(image).read()  # type: ignore[union-attr]
                assert data == (Path(source.images) / entry["image"]["file_name"]).read_bytes()
                count += 1
    assert count == 7
    assert shard(source, tmp_path / "again", "--size", "3") == 0
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_a_recipe_with_shards_is_read_back(folder: Path) -> None:
    recipe = Recipe(data=replace(Recipe().data, sources=[SourceConfig(shards=str(folder))]))
    written = plain(recipe)["data"]["sources"][0]
    assert SourceConfig(**written | {"reading": Reading(**written["reading"])}) == recipe.data.sources[0]
    with pytest.raises(ValueError, match=r"source.images is in the shards .*: leave it out"):
        SourceConfig(shards=str(folder), images="elsewhere")
    with pytest.raises(ValueError, match="a source needs images, the folder of its files, or shards"):
        open_keypoints(SourceConfig(annotations=str(folder / "annotations.json")), FIGURE, part="train")


# --- what can be wrong


def damaged(folder: Path, target: Path, change: Callable[[dict[str, Any]], Any]) -> str:
    """A copy of the shards whose index was changed, as a folder's name."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    document = json.loads((target / "shards.json").read_text())
    changed = change(document)
    (target / "shards.json").write_text(json.dumps(document if changed is None else changed))
    return str(target)


def place_of(document: dict[str, Any]) -> list[int]:
    return document["images"]["000001.jpg"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["tars"][0].update(name="../shard-000000.tar"), "'../shard-000000.tar' is no name of a shard"),
        (lambda d: d["tars"][0].update(name="/etc/passwd"), "'/etc/passwd' is no name of a shard"),
        (lambda d: d["tars"][0].update(name="shard-000009.tar"), "cannot read the shard (No such file"),
        (lambda d: d["tars"][0].update(bytes=5), "not the 5 of its index: is it truncated?"),
        (lambda d: place_of(d).__setitem__(0, 9), "image '000001.jpg' lies outside of its tar"),
        (lambda d: place_of(d).__setitem__(2, 10**9), "image '000001.jpg' lies outside of its tar"),
        (lambda d: place_of(d).__setitem__(1, -1), "not an index of shards"),
        (lambda d: place_of(d).__setitem__(1, "0"), "not an index of shards"),
        (lambda d: d["images"].pop("000001.jpg") and None, "'file_name' '000001.jpg' is missing in"),
        (lambda d: [d], "not an index of shards"),
        (lambda d: d.update(version=2), "not an index of shards"),
        (lambda d: d.update(tars=None), "not an index of shards"),
    ],
)
def test_a_wrong_index_gets_one_line(
    change: Callable[[dict[str, Any]], Any], message: str, folder: Path, tmp_path: Path
) -> None:
    source = SourceConfig(shards=damaged(folder, tmp_path / "bad", change))
    with pytest.raises(ValueError) as caught:
        open_keypoints(source, FIGURE, part="train")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damage_in_a_tar_gets_one_line(folder: Path, tmp_path: Path) -> None:
    bad = Path(damaged(folder, tmp_path / "bad", lambda _: None))
    name, place = next(iter(Shards(bad).places.items()))
    path = bad / f"shard-{place.tar:06d}.tar"
    data = bytearray(path.read_bytes())
    data[place.offset + 20] ^= 255
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"{path.name}: {name} is damaged \(its checksum differs\)"):
        Shards(bad).read(name)
    path.write_bytes(data[:-10])
    with pytest.raises(ValueError, match="is it truncated"):
        Shards(bad)
    (bad / "shards.json").write_text("{")
    with pytest.raises(ValueError, match=r"shards.json: not a json file"):
        Shards(bad)


def test_shards_are_not_written_over_or_left_in_parts(
    source: SourceConfig, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert shard(source, folder) == 1
    assert "contains shards already" in capfd.readouterr().err
    assert shard(source, tmp_path / "x", "--size", "0") == 1
    assert "the number of images in a tar, must be at least 1, not 0" in capfd.readouterr().err
    assert shard(replace(source, images=str(tmp_path)), tmp_path / "x") == 1
    assert "is missing in" in capfd.readouterr().err
    images = tmp_path / "images"
    images.mkdir()
    for path in Path(source.images).iterdir():
        (images / path.name).write_bytes(path.read_bytes())
    (images / "000005.jpg").write_bytes(b"\xff\xd8 cut")
    assert shard(replace(source, images=str(images)), tmp_path / "x", "--size", "3") == 1
    assert "000005.jpg: is not an image" in capfd.readouterr().err
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["shard-000000.tar"]


def test_a_file_name_cannot_leave_the_folder(
    source: SourceConfig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(Path(str(source.annotations)).read_text())
    document["images"][0]["file_name"] = "../secret.jpg"
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    bad = replace(source, annotations=str(tmp_path / "annotations.json"))
    assert shard(bad, tmp_path / "x") == 1
    assert "does not stay within the folder of images" in capfd.readouterr().err


def test_an_index_with_a_byte_order_mark_is_read_and_one_with_a_number_of_any_length_is_one_line(
    tmp_path: Path,
) -> None:
    (tmp_path / "index.json").write_text("{}", encoding="utf-8-sig")
    with pytest.raises(ValueError, match="not an index of shards"):
        read_index(tmp_path / "index.json")
    (tmp_path / "index.json").write_text(f'{{"a": {"9" * 5000}}}')
    with pytest.raises(ValueError, match=r"index\.json: not a json file"):
        read_index(tmp_path / "index.json")


def test_images_of_several_channels(tmp_path: Path) -> None:
    """They are packed whole; the options state what must be readable, and the recipe what is read."""
    values = np.random.default_rng(0).integers(0, 256, (3, 24, 32), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    tifffile.imwrite(
        tmp_path / "images" / "a.tif", values, ome=True, photometric="minisblack", metadata={"axes": "CYX"}
    )
    entry = {"id": 1, "file_name": "a.tif", "height": 24, "width": 32}
    thing: dict[str, Any] = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 8, 8], "area": 64, "iscrowd": 0}
    thing["segmentation"] = [[2, 2, 10, 2, 10, 10, 2, 10]]
    document = {"images": [entry], "annotations": [thing], "categories": [{"id": 1, "name": "cell"}]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    source = SourceConfig(annotations=str(tmp_path / "a.json"), images=str(tmp_path / "images"))
    assert shard(source, tmp_path / "none") == 1
    assert shard(source, tmp_path / "shards", "--channel", "4") == 1
    assert shard(source, tmp_path / "shards", "--channel", "2") == 0
    packed = SourceConfig(shards=str(tmp_path / "shards"), reading=Reading(channel=3))
    found = open_masks(packed, ["cell"], part="train")[0].image
    np.testing.assert_array_equal(found, np.repeat(values[2][:, :, None], 3, 2))
