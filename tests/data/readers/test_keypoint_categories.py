"""Which of several categories are read for a skeleton."""

from __future__ import annotations

from typing import Any

import pytest

from associative_embedding.data.readers.keypoint_categories import KeypointCategories, read_categories
from associative_embedding.structures.skeleton import Skeleton

RAT = Skeleton.build("rat", ["nose", "left_ear", "right_ear", "tail"])


def category(number: int, *names: str, name: str | None = None) -> dict[str, Any]:
    return {"id": number, "name": name or f"c{number}", "keypoints": list(names)}


def read(*categories: dict[str, Any], annotated: tuple[int, ...] = (1, 2, 2, 3)) -> KeypointCategories:
    rows = [{"category_id": number, "keypoints": [1, 2, 2]} for number in annotated]
    return read_categories("a.json", {"categories": list(categories), "annotations": rows}, RAT, {})


def test_one_category_needs_no_note() -> None:
    found = read(category(1, *RAT.keypoints), category(2, *RAT.keypoints), {"id": 3, "name": "car"}, annotated=(1, 1))
    assert found.note == ""
    assert found.read == {"c1": 2}


def test_all_with_the_same_keypoints_are_read_whatever_their_order() -> None:
    found = read(category(1, *RAT.keypoints), category(2, *RAT.keypoints[::-1]), category(3, "nose"))
    assert {key: types.tolist() for key, types in found.types.items()} == {1: [0, 1, 2, 3], 2: [3, 2, 1, 0]}
    assert found.labelled == [0, 1, 2, 3]
    assert found.note == (
        "annotations of c1 (1), c2 (2) are read as one category, with the same keypoints; "
        "annotations of c3 (1) are left out: the skeleton has fewer of their keypoints"
    )


def test_the_names_of_54_categories_fit_into_a_line() -> None:
    """AP-10K has 54 species with the same 17 names."""
    found = read(*(category(i, *RAT.keypoints) for i in range(54)), annotated=tuple(range(54)))
    assert len(found.types) == 54
    assert "c0 (1), c1 (1), c2 (1), c3 (1) and 50 more are read as one" in found.note


def test_annotations_with_keypoints_of_a_category_without_names_are_left_out_with_a_note() -> None:
    found = read(category(1, *RAT.keypoints), {"id": 2, "name": "mouse"}, {"id": 3, "name": "car"})
    assert found.left_out == {"mouse": 2, "car": 1}


def test_only_types_that_all_categories_have_are_labelled() -> None:
    assert read(category(1, "nose", "tail"), category(2, "tail", "left_ear")).labelled == [3]
    with pytest.raises(ValueError, match=r"a\.json: the categories c1 \(1\), c2 \(2\) have no keypoint name"):
        read(category(1, "nose", "tail"), category(2, "right_ear", "left_ear"))


def test_two_categories_of_one_id_are_refused_if_their_keypoints_differ() -> None:
    assert read(category(1, *RAT.keypoints), category(1, *RAT.keypoints)).labelled == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"a\.json: two categories have the id 1 and other keypoints; give each its"):
        read(category(1, *RAT.keypoints), category(1, *RAT.keypoints[::-1]))
