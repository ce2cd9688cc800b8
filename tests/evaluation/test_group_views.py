"""Groups of MPII Multi-Person are predicted in crops at their own scale, and without their bystanders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from associative_embedding.evaluation.group_views import (
    HEIGHT,
    LARGEST,
    MARGIN,
    Region,
    at_scale,
    cut,
    of_region,
    read_regions,
)
from associative_embedding.structures.known_skeletons import MPII_16
from associative_embedding.structures.sample import Sample
from support.tiny import photo, tiny_predictor


def region(x: float, y: float, scale: float = 0.2, group: int = 0) -> Region:
    """A group of people who stand in one place, 200 x scale pixels high."""
    return Region(np.array([x, y, x, y]), scale, group)


def sample(height: int, width: int, keypoints: Any = ()) -> Sample:
    k = np.array(keypoints, np.float32).reshape(-1, 1, 3)
    return Sample(photo(height, width), k, np.zeros(len(k), np.float32), np.ones(1, bool))


def test_the_crop_has_a_margin_and_stays_in_the_image() -> None:
    whole = sample(120, 200, [[100.5, 60.5, 2], [5, 5, 2], [0, 0, 0]])
    part, corner = cut(whole, region(100, 60))
    side = round(MARGIN * 40)
    assert corner.tolist() == [100 - side, 60 - side]
    assert np.array_equal(part.image, whole.image[60 - side : 60 + side, 100 - side : 100 + side])
    assert part.keypoints[:, 0].tolist() == [[30.5, 30.5, 2], [-65, -25, 0], [-70, -30, 0]]
    edge, corner = cut(whole, region(195, 2))
    assert (corner.tolist(), edge.image.shape) == ([165, 0], (32, 35, 3))
    outside, _ = cut(whole, region(-900, 900))
    assert min(outside.image.shape[:2]) >= 1


@pytest.mark.parametrize("scale", [0.2, 0.5])
def test_people_have_one_height_whatever_their_scale(scale: float) -> None:
    predictor = tiny_predictor(input_size=96, scales=(1.0,))
    part, _ = cut(sample(300, 300), region(150, 150, scale))
    model = at_scale(predictor, part.image.shape[:2], scale)
    (_, geometry), *_ = model.prepare(part.image)
    assert geometry.scale * 200 * scale == pytest.approx(HEIGHT * 96, rel=0.05)
    assert predictor.input_size == 96
    far = at_scale(predictor, (3000, 3000), 0.05)  # a group across a large image of small people
    assert far.input_size == LARGEST * 96
    assert at_scale(predictor, (50, 50), 50.0).input_size == 32


def test_results_move_to_the_image_and_bystanders_go() -> None:
    corner, regions = np.array([70, 30]), [region(100, 60), region(200, 60, group=1)]

    def person(x: float) -> dict[str, Any]:
        found = [[x - 5, 20, 0.5], [x + 5, 40, 0.25], [0, 0, 0]]
        return {"image_id": 7, "category_id": 1, "keypoints": np.ravel(found).tolist(), "score": 0.5}

    (row,) = of_region([person(30), person(60), person(125)], corner, regions[0], regions)
    assert row["mpii_group"] == 0
    assert row["keypoints"] == [95, 50, 0.5, 105, 70, 0.25, 0, 0, 0]
    (other,) = of_region([person(30), person(125)], corner, regions[1], regions)
    assert (other["mpii_group"], other["keypoints"][0]) == (1, 190)
    apart = region(100, 60, group=-1)
    assert len(of_region([person(30)], corner, apart, [*regions, apart])) == 1
    assert of_region([], corner, apart, [apart]) == []


def test_regions_tell_nothing_of_single_people_of_a_group() -> None:
    def row(number: int, x: float, scale: float, **values: Any) -> dict[str, Any]:
        keypoints = np.tile([x, 50, 2], 16).tolist()
        place = {"objpos": [x, 50], "scale": scale, "mpii_person": number, "head_box": [0, 0, 3, 4]}
        return {"image_id": 1, "category_id": 1, "keypoints": keypoints, "bbox": [0, 0, 9, 9], **place, **values}

    image = {"id": 1, "mpii_index": 0, "mpii_single": [2]}
    rows = [row(0, 10, 0.5), row(1, 40, 1.5), row(2, 90, 1, single_person=True)]
    dataset = {"images": [image], "annotations": rows, "categories": [MPII_16.to_category()]}
    groups = [[np.array([0, 1]), np.array([2])]]
    pair, apart = read_regions(dataset, groups, "x")[1]
    assert (pair.box.tolist(), pair.scale, pair.group) == ([10, 50, 40, 50], 1.0, 0)
    assert (apart.box.tolist(), apart.group) == ([90, 50, 90, 50], -1)
