"""``ae predict --show tags``: one run of the network, and one colour for each person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding.apps.cli import predict_images as run_predict
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.images import read_image
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks import tag_pictures
from support.commands import predict
from support.tiny import photo, tiny_predictor


@pytest.mark.parametrize("options", [[], ["--flip", "--scales", "1", "0.5"]])
def test_the_picture_of_tags(model: str, folder: Path, tmp_path: Path, options: list[str]) -> None:
    assert predict(model, tmp_path / "out", folder / "a.jpg", "--show", "tags", "--scores", *options) == 0
    (path,) = (tmp_path / "out").glob("*.jpg")
    height, width = read_image(path).shape[:2]
    assert height > 64 + 5 * 26  # people, tag maps, and a row a keypoint type
    assert width > 600


def test_tag_maps_are_drawn_over_what_they_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def draw(image: Array, tag: Array, heatmap: Array, channels: dict[str, int], **options: Any) -> Array:
        seen.update(image=image, tag=tag)
        return image

    monkeypatch.setattr(tag_pictures, "draw_tag_maps", draw)
    run = tiny_predictor(input_size=128)
    tag_pictures.tag_pictures(*run.explain(photo(100, 130)))
    height, width = seen["tag"].shape[1:]
    assert seen["image"].shape[:2] == (4 * height, 4 * width)


def test_a_person_has_one_colour_in_all_pictures() -> None:
    """Groups are numbered as the people shown; detections of people that are not shown are in none."""
    decoded, _, geometry = tiny_predictor().explain(photo())
    everybody = decoded.instances
    shown = run_predict.select_instances(decoded, np.arange(len(everybody)) > 0)
    groups, people = tag_pictures.shown_groups(shown), shown.instances
    assert len(groups) == len(people) == len(everybody) - 1 > 0
    np.testing.assert_allclose(groups.tag, people.tag, rtol=1e-5)
    xy = geometry.to_image(decoded.detections.xy)
    for i in np.flatnonzero(groups.group >= 0):
        x, y, score = people.keypoints[groups.group[i], decoded.channel[i]]
        if score > 0:  # not at the edge of the image
            np.testing.assert_allclose((x, y), xy[i], atol=1e-3)
    assert set(groups.group) == {-1, *range(len(people))}


def test_people_with_equal_tags_keep_their_own_groups() -> None:
    """Groups are numbers; that tags are equal says nothing."""
    run = tiny_predictor().with_decode(duplicate_oks=1.0, fill=False)
    maps, geometry = run.maps(photo())
    decoded = run.task.decode_groups(Maps(maps.heatmap, np.zeros_like(maps.tag)), geometry)
    assert len(decoded.groups) > 1
    groups = tag_pictures.shown_groups(decoded)
    assert sorted(np.bincount(groups.group[groups.group >= 0])) == sorted(np.bincount(decoded.groups.group))


def test_nobody_shown_is_no_group() -> None:
    decoded, _, _ = tiny_predictor().explain(photo())
    nobody = run_predict.select_instances(decoded, np.zeros(len(decoded.instances), bool))
    assert set(tag_pictures.shown_groups(nobody).group) == {-1}


def test_tags_are_shown_of_the_same_run_of_the_network(
    model: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, original = [], Predictor.run_network
    monkeypatch.setattr(Predictor, "run_network", lambda self, batch: (seen.append(1), original(self, batch))[1])
    assert predict(model, tmp_path / "out", folder / "a.jpg", "--show", "tags") == 0
    assert len(seen) == 1
