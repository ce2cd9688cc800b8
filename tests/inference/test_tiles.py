"""Tiles: what is found tile by tile is what would have been found in the whole image."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.inference.tiles import Window, stitch, trusted, windows
from associative_embedding.instances import Instances, concatenate
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks


def instances(masks: Masks, score: Array | None = None, class_id: Array | None = None) -> Instances:
    n = len(masks)
    return Instances(
        score=np.linspace(0.9, 0.5, n).astype(np.float32) if score is None else score,
        class_id=np.ones(n, np.int64) if class_id is None else class_id,
        tag=np.arange(n, dtype=np.float32)[:, None],
        keypoints=np.zeros((n, 0, 3), np.float32),
        image_size=masks.size,
        skeleton=None,
        masks=masks,
        class_names={1: "cell", 2: "other"},
    )


def blobs(seed: int, size: tuple[int, int], count: int, radius: tuple[int, int] = (2, 9)) -> Array:
    """``(H, W)`` labels of discs; later ones lie over earlier ones."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    labels = np.zeros(size, np.int32)
    for i in range(count):
        cy, cx, r = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(*radius)
        labels[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = i + 1
    return labels


def looked_at(labels: Array, places: list[Window]) -> list[tuple[Window, Instances]]:
    """A perfect detector on every tile: the objects, as far as they lie in it, numbered anew."""
    parts = []
    for place in places:
        _, inner = np.unique(labels[place], return_inverse=True)
        inner = inner.reshape(labels[place].shape) + (0 if (labels[place] == 0).any() else 1)
        parts.append((place, instances(Masks.from_labels(inner.astype(np.int32)))))
    return parts


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    tile=st.integers(8, 64),
    share=st.floats(0, 0.49),
    seed=st.integers(0, 9),
)
@settings(deadline=None)
def test_windows_cover_and_overlap(height: int, width: int, tile: int, share: float, seed: int) -> None:
    overlap = int(share * tile)
    covered = np.zeros((height, width), int)
    for rows, columns in windows((height, width), tile, overlap):
        assert rows.stop - rows.start == min(tile, height)
        assert columns.stop - columns.start == min(tile, width)
        covered[rows, columns] += 1
    assert (covered > 0).all()
    starts = sorted({rows.start for rows, _ in windows((height, width), tile, overlap)})
    assert all(b - a <= tile - overlap for a, b in pairwise(starts))


@pytest.mark.parametrize("overlap", [-1, 16, 40])
def test_a_bad_overlap(overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap of tiles"):
        windows((100, 100), 32, overlap)


def test_trusted_areas_leave_no_gap() -> None:
    size, overlap = (200, 130), 16
    covered = np.zeros(size, bool)
    for place in windows(size, 64, overlap):
        covered[trusted(place, size, 5)] = True
    assert covered.all()


@given(seed=st.integers(0, 9999), count=st.integers(0, 40), margin=st.integers(0, 4))
@settings(deadline=None, max_examples=50)
def test_tiles_give_the_objects_of_the_whole(seed: int, count: int, margin: int) -> None:
    """Objects are found whole and once, however they lie over the borders of tiles."""
    labels = blobs(seed, (90, 120), count)
    # what a disc over another one leaves may be in pieces that no tile shows together: each piece is an object
    truth = connected(labels)
    places = windows((90, 120), 48, 22)
    found = stitch(looked_at(truth, places), (90, 120), margin)
    expected = Masks.from_labels(truth)
    assert len(found) == len(expected)
    assert found.masks is not None
    iou = expected.iou(found.masks)
    assert (iou.max(axis=1, initial=0) == 1).all()
    assert (np.diff(found.score) <= 0).all()
    assert found.image_size == (90, 120)


def connected(labels: Array) -> Array:
    import cv2

    result, count = np.zeros_like(labels), 0
    for i in range(1, labels.max(initial=0) + 1):
        n, part = cv2.connectedComponents((labels == i).astype(np.uint8), connectivity=4)
        for k in range(1, n):
            count += 1
            result[part == k] = count
    return result


def test_an_object_larger_than_a_tile() -> None:
    labels = np.zeros((64, 200), np.int32)
    labels[20:40, 5:195] = 1
    found = stitch(looked_at(labels, windows((64, 200), 64, 24)), (64, 200), 4)
    assert len(found) == 1
    assert found.masks is not None
    assert (found.masks.dense()[0] == (labels == 1)).all()


def test_of_two_that_disagree_the_better_keeps_the_pixels() -> None:
    size = (10, 20)
    left, right = np.s_[0:10, 0:12], np.s_[0:10, 8:20]
    a, b = np.zeros((10, 12), bool), np.zeros((10, 12), bool)
    a[2:8, 6:9] = True  # one column of the strip
    b[2:8, 0:9] = True  # all of it
    parts = [(left, instances(Masks.from_dense([a], (10, 12)), np.array([0.6], np.float32)))]
    parts += [(right, instances(Masks.from_dense([b], (10, 12)), np.array([0.8], np.float32)))]
    found = stitch(parts, size, 0)
    assert found.masks is not None
    assert found.score.tolist() == pytest.approx([0.8, 0.6])
    assert found.masks.area.tolist() == [54, 12]
    assert found.masks.dense().sum(axis=0).max() == 1


def test_classes_do_not_meet() -> None:
    mask = np.ones((10, 12), bool)
    parts = [
        (np.s_[0:10, 0:12], instances(Masks.from_dense([mask], (10, 12)))),
        (np.s_[0:10, 8:20], instances(Masks.from_dense([mask], (10, 12)), class_id=np.array([2]))),
    ]
    assert len(stitch(parts, (10, 20), 0)) == 2


def test_nothing_found() -> None:
    nothing = instances(Masks.empty((10, 12)))
    found = stitch([(np.s_[0:10, 0:12], nothing), (np.s_[0:10, 8:20], nothing)], (10, 20), 0)
    assert len(found) == 0
    assert found.image_size == (10, 20)
    assert found.class_names == nothing.class_names
    assert len(concatenate([nothing, nothing])) == 0
