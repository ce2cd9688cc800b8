"""A sigma of the OKS is a finite number in its range, wherever it comes from."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.oks_sigmas import checked_sigmas
from associative_embedding.structures.skeleton import Skeleton

WRONG: list[Any] = [
    float("inf"), float("nan"), -float("inf"), 0, -0.1, 1e300, 10**400, 1e-200, 1.5, "0.1", True, None, [0.1], {}, 1j,
]  # fmt: skip


@pytest.mark.parametrize("value", WRONG, ids=lambda value: f"{value!r:.20}")
def test_one_wrong_sigma_is_one_line(value: Any) -> None:
    category = {"name": "cat", "keypoints": ["a", "b"], "oks_sigmas": [0.1, value]}
    with pytest.raises(ValueError, match=r"'cat'.* needs 2 positive oks_sigmas, numbers from 0.0001 to 1") as caught:
        Skeleton.from_category(category)
    assert len(str(caught.value)) < 250
    with pytest.raises(ValueError, match="needs 17 positive oks_sigmas"):
        replace(COCO_17, oks_sigmas=(*COCO_17.oks_sigmas[1:], value))


@pytest.mark.parametrize("values", ["0.1", 0.1, {"a": 0.1, "b": 0.1}, [0.1], [], [0.1] * 3, np.zeros((2, 2))])
def test_anything_but_a_list_of_each_keypoint(values: Any) -> None:
    with pytest.raises(ValueError, match="needs 2 positive oks_sigmas"):
        checked_sigmas(values, 2, "x")


def test_numbers_of_any_kind_are_read() -> None:
    assert checked_sigmas([1, np.float32(0.5)], 2, "x") == (1.0, 0.5)
    assert checked_sigmas(np.array([0.1, 0.2]), 2, "x") == (0.1, 0.2)
    assert json.dumps(checked_sigmas((np.float64(0.1),), 1, "x")) == "[0.1]"
