"""The numbers that a first recipe follows from, of data whose numbers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import open_masks
from associative_embedding.structures.arrays import Array
from associative_embedding.training.data_facts import (
    DataFacts,
    is_upright,
    keypoint_facts,
    mask_facts,
    share_to_hold_out,
)
from support.coco_files import box_mask, compressed, document, thing, write
from support.tiny import FIGURE

# Head above the feet; nothing else is the same.
STANDING = np.array([[50, 10, 2], [40, 30, 2], [60, 30, 2], [45, 90, 2], [55, 90, 2]], np.float64)


def keypoints_file(
    folder: Path, people: list[list[Array]], *, frames: bool = False, sizes: bool = True
) -> CocoKeypoints:
    """One image of 120 x 100 pixels for each list of people."""
    (folder / "images").mkdir()
    images: list[dict[str, Any]] = []
    annotations = []
    for number, persons in enumerate(people, start=1):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), np.zeros((100, 120, 3), np.uint8))
        images.append({"id": number, "file_name": f"{number}.png"})
        images[-1] |= {"width": 120, "height": 100} if sizes else {}
        images[-1] |= {"frame_id": number, "video_id": 1} if frames else {}
        for person in persons:
            row = {"image_id": number, "keypoints": person.ravel().tolist(), "bbox": [0, 0, 9, 9], "area": 81}
            annotations.append({"id": len(annotations) + 1, "category_id": 1, **row})
    content = {"images": images, "annotations": annotations, "categories": [FIGURE.to_category()]}
    (folder / "a.json").write_text(json.dumps(content))
    return CocoKeypoints(str(folder / "a.json"), str(folder / "images"), FIGURE, cache=False)


@pytest.mark.parametrize("sizes", [True, False])
def test_facts_of_keypoints(tmp_path: Path, sizes: bool) -> None:
    small = STANDING * [0.5, 0.5, 1]
    facts = keypoint_facts(keypoints_file(tmp_path, [[STANDING], [STANDING, small], [small, STANDING]], sizes=sizes))
    assert facts == DataFacts(images=3, objects=5, long_side=120.0, object_side=80.0, crowded=True, upright=True)


def test_hidden_keypoints_do_not_make_a_person_large(tmp_path: Path) -> None:
    person = STANDING.copy()
    person[3:, 2] = 0
    facts = keypoint_facts(keypoints_file(tmp_path, [[person]]))
    assert (facts.object_side, facts.crowded) == (20.0, False)


def test_frames_with_numbers_are_a_video(tmp_path: Path) -> None:
    facts = keypoint_facts(keypoints_file(tmp_path, [[STANDING]] * 3, frames=True))
    assert (facts.video, facts.upright) == (True, False)


def test_facts_of_masks(tmp_path: Path) -> None:
    things = [thing(1, compressed(box_mask(2, 3, 8, 8))), thing(2, compressed(box_mask(12, 13, 4, 4)))]
    annotations, images = write(tmp_path, document(*things))
    facts = mask_facts(open_masks(SourceConfig(images=images, annotations=annotations), ("cat", "dog"), part="train"))
    assert (facts.images, facts.objects, facts.crowded) == (2, 2, True)
    assert facts.object_side == 6.0  # between 8 and 4
    assert facts.long_side == 40.0


def turned(people: Array, degrees: Array) -> Array:
    """The people, each turned around its own middle."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.stack([np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)], axis=-2)
    return np.concatenate([people[..., :2] @ turn, people[..., 2:]], axis=-1)


def test_directions_of_those_who_stand_are_alike() -> None:
    people = np.repeat(STANDING[None], 36, axis=0)
    assert is_upright(turned(people, np.linspace(-30, 30, 36)))
    assert not is_upright(turned(people, np.arange(0, 360, 10)))
    assert not is_upright(people[:2])  # of two nothing can be said
    assert not is_upright(people * [1, 1, 0])


def test_the_smallest_share_that_leaves_five_images() -> None:
    assert share_to_hold_out(range(1000)) == 0.1
    assert share_to_hold_out(range(4)) == 0.0
    few = next(n for n in range(5, 100) if share_to_hold_out(range(n)))
    assert share_to_hold_out(range(few)) >= 0.15
