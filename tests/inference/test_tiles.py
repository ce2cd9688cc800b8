"""Tiles: what is found tile by tile is what would have been found in the whole image."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.inference.load import load
from associative_embedding.inference.tiles import STRETCH, Window, cores, stitch, windows
from associative_embedding.instances import Instances, concatenate
from associative_embedding.io.images import read_image
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
    grid=st.sampled_from([1, 3, 4, 16]),
)
@settings(deadline=None)
def test_windows_cover_and_overlap(height: int, width: int, tile: int, share: float, grid: int) -> None:
    overlap = int(share * tile)
    covered = np.zeros((height, width), int)
    places = windows((height, width), tile, overlap, grid)
    for rows, columns in places:
        for part, length in ((rows, height), (columns, width)):
            assert part.stop - part.start <= max(tile, min(length, (1 + STRETCH) * tile))
            assert part.start % (grid if 4 * grid <= 2 * overlap < tile - 4 * grid else 1) == 0
        covered[rows, columns] += 1
    assert (covered > 0).all()
    spans = sorted({(rows.start, rows.stop) for rows, _ in places})
    assert all(a[1] - b[0] >= overlap for a, b in pairwise(spans))


@pytest.mark.parametrize("size", [(512, 512), (513, 513), (576, 100), (513, 576)])
def test_an_image_little_larger_than_a_tile_is_one(size: tuple[int, int]) -> None:
    assert windows(size, 512, 128, 16) == [(slice(0, size[0]), slice(0, size[1]))]


def test_tiles_are_no_longer_than_they_must_be() -> None:
    """A side one pixel longer than one, two or three tiles costs little more than its own pixels."""
    for side in (577, 897, 1281):
        places = windows((side, side), 512, 128, 16)
        area = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in places)
        assert area < 1.8 * side * side


@pytest.mark.parametrize("overlap", [-1, 16, 40])
def test_a_bad_overlap(overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap of tiles"):
        windows((100, 100), 32, overlap)


@pytest.mark.parametrize("size", [(200, 130), (64, 64), (65, 300), (10, 500)])
def test_each_pixel_is_in_one_core(size: tuple[int, int]) -> None:
    covered = np.zeros(size, int)
    places = windows(size, 64, 16, 8)
    for place, core in zip(places, cores(places), strict=True):
        covered[core] += 1
        assert place[0].start <= core[0].start < core[0].stop <= place[0].stop
        assert place[1].start <= core[1].start < core[1].stop <= place[1].stop
    assert (covered == 1).all()


@given(seed=st.integers(0, 9999), count=st.integers(0, 40), grid=st.sampled_from([1, 4]))
@settings(deadline=None, max_examples=50)
def test_tiles_give_the_objects_of_the_whole(seed: int, count: int, grid: int) -> None:
    """Objects are found whole and once, however they lie over the borders of tiles."""
    labels = blobs(seed, (90, 120), count)
    # what a disc over another one leaves may be in pieces that no tile shows together: each piece is an object
    truth = connected(labels)
    places = windows((90, 120), 48, 20, grid)
    found = stitch(looked_at(truth, places), (90, 120))
    expected = Masks.from_labels(truth)
    assert len(found) == len(expected)
    assert found.masks is not None
    iou = expected.iou(found.masks)
    assert (iou.max(axis=1, initial=0) == 1).all()
    assert (np.diff(found.score) <= 0).all()
    assert found.image_size == (90, 120)


def connected(labels: Array) -> Array:
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
    found = stitch(looked_at(labels, windows((64, 200), 64, 24)), (64, 200))
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
    found = stitch(parts, size)
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
    assert len(stitch(parts, (10, 20))) == 2


def test_nothing_found() -> None:
    nothing = instances(Masks.empty((10, 12)))
    found = stitch([(np.s_[0:10, 0:12], nothing), (np.s_[0:10, 8:20], nothing)], (10, 20))
    assert len(found) == 0
    assert found.image_size == (10, 20)
    assert found.class_names == nothing.class_names
    assert len(concatenate([nothing, nothing])) == 0


def one(window: Window, region: Window, score: float) -> tuple[Window, Instances]:
    """A tile in which one object is found; `region` in pixels of the image."""
    (top, left), (height, width) = (w.start for w in window), (w.stop - w.start for w in window)
    mask = np.zeros((height, width), bool)
    mask[region[0].start - top : region[0].stop - top, region[1].start - left : region[1].stop - left] = True
    return window, instances(Masks.from_dense([mask], (height, width)), np.array([score], np.float32))


def nothing_in(window: Window) -> tuple[Window, Instances]:
    return window, instances(Masks.empty((window[0].stop - window[0].start, window[1].stop - window[1].start)))


def test_an_object_that_one_tile_finds_is_decided_by_the_tile_of_most_of_its_pixels() -> None:
    """Not cut where the other tile begins: the tile that does not find it, for example for `min_weight`, counts."""
    left, right = windows((10, 40), 24, 8)  # the middle of the overlap is at 20
    kept = stitch([nothing_in(left), one(right, np.s_[2:8, 18:26], 0.6)], (10, 40))
    assert kept.xywh.tolist() == [[18, 2, 8, 6]]
    dropped = stitch([nothing_in(left), one(right, np.s_[2:8, 16:22], 0.6)], (10, 40))
    assert len(dropped) == 0


def test_a_tile_does_not_join_what_its_neighbour_separates() -> None:
    """The left tile sees one object in its margin where the right one sees two: most pixels are the right one's."""
    left, right = windows((10, 40), 24, 8)
    apart = concatenate([one(right, np.s_[2:8, x : x + 2], 0.6)[1] for x in (21, 23)])
    found = stitch([one(left, np.s_[2:8, 21:24], 0.9), (right, apart)], (10, 40))
    assert sorted(found.xywh[:, 0].tolist()) == [21, 23]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["frag_0_0.png", "frag_1_0.png"])
def test_the_shipped_model_finds_in_tiles_what_it_finds_in_the_whole(shared: Path, name: str) -> None:
    image = read_image(str(shared / "cases/microscopy/09-tile-fragments" / name))[:256]
    tiled, whole = load("nuclei"), load("nuclei", input_size=1600)
    assert (len(tiled.tiles(image)), len(whole.tiles(image))) == (2, 1)
    found, expected = tiled(image).masks, whole(image).masks
    assert found is not None
    assert expected is not None
    assert found.area.min() >= 30
    assert all(cv2.connectedComponents(crop.astype(np.uint8), connectivity=4)[0] == 2 for crop in found.crops)
    same = (found.iou(expected) > 0.9).sum()
    assert 2 * same > 0.95 * (len(found) + len(expected))
