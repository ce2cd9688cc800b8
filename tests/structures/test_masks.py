"""Regions as crops: every form is the same set of pixels, and agrees with pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp
from pycocotools import mask as coco

from associative_embedding.structures.masks import Masks, trim
from associative_embedding.structures.run_lengths import decode_runs

dense_masks = stnp.arrays(bool, st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 9)))


@given(dense_masks)
def test_every_form_is_the_same_pixels(dense: np.ndarray) -> None:
    masks = Masks.from_dense(dense, dense.shape[1:])
    assert (masks.dense() == dense).all()
    assert masks.area.tolist() == dense.sum(axis=(1, 2)).tolist()
    assert all((decode_runs(r, dense.shape[1:]) == mask).all() for r, mask in zip(masks.to_rle(), dense, strict=True))
    # counted as the COCO format counts it, to the letter
    assert [r["counts"].encode() for r in masks.to_rle()] == [
        coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"] for mask in dense
    ]


@given(dense_masks, st.data())
@settings(deadline=None)
def test_overlaps_are_those_of_the_pixels(dense: np.ndarray, data: st.DataObject) -> None:
    size = dense.shape[1:]
    other = data.draw(stnp.arrays(bool, st.tuples(st.integers(0, 3), st.just(size[0]), st.just(size[1]))))
    common = (dense[:, None] & other).sum(axis=(2, 3))
    union = (dense[:, None] | other).sum(axis=(2, 3))
    a, b = Masks.from_dense(dense, size), Masks.from_dense(other, size)
    assert (a.intersection(b) == common).all()
    assert a.iou(b) == pytest.approx(common / np.maximum(1, union))


@given(stnp.arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4)))
def test_labels_there_and_back(labels: np.ndarray) -> None:
    assert (Masks.from_labels(labels, 5).labels() == labels).all()
    assert len(Masks.from_labels(labels, 5)) == 5
    assert len(Masks.from_labels(labels)) == labels.max()


def test_where_regions_overlap_the_first_one_has_the_label() -> None:
    first, second = np.zeros((2, 3, 3), bool)
    first[:2], second[1:] = True, True
    assert Masks.from_dense([first, second], (3, 3)).labels().tolist() == [[1] * 3, [1] * 3, [2] * 3]


def test_boxes_are_tight_whatever_the_crops_are() -> None:
    crop = np.zeros((4, 5), bool)
    crop[1:3, 2] = True
    masks = Masks((20, 30), np.array([[10, 20], [0, 0]]), (crop, np.zeros((0, 0), bool)))
    assert masks.xywh.tolist() == [[22, 11, 1, 2], [0, 0, 0, 0]]
    assert trim(crop)[0] == (1, 2)
    assert trim(crop)[1].shape == (2, 1)


def test_slices_like_an_array() -> None:
    masks = Masks.from_labels(np.array([[1, 2, 3]]))
    assert len(masks[0]) == 1
    assert masks[[2, 0]].labels().tolist() == [[2, 0, 1]]
    assert masks[np.array([False, True, False])].labels().tolist() == [[0, 1, 0]]
    assert masks[1:].area.tolist() == [1, 1]
    assert [len(m) for m in masks] == [1, 1, 1]
    assert len(masks[np.zeros(3, bool)]) == 0
    with pytest.raises(IndexError):
        masks[3]


def test_moved_and_joined() -> None:
    part = Masks.from_labels(np.array([[1, 1], [0, 2]]))
    whole = Masks.join([part.moved(0, 0, (2, 4)), part.moved(0, 2, (2, 4))], (2, 4))
    assert whole.labels().tolist() == [[1, 1, 3, 3], [0, 2, 0, 4]]
    assert len(Masks.join([], (2, 4))) == len(Masks.empty((2, 4))) == 0
    assert repr(whole) == "Masks(4 in 4x2)"


@given(dense_masks, st.data())
def test_without_a_region(dense: np.ndarray, data: st.DataObject) -> None:
    size = dense.shape[1:]
    region = data.draw(stnp.arrays(bool, size))
    masks = Masks.from_dense(dense, size)
    assert (masks.without(region).dense() == (dense & ~region)).all()
    assert (masks.dense() == dense).all()


def test_a_region_of_another_size_is_refused() -> None:
    masks = Masks.from_labels(np.array([[1, 2, 3]]))
    for region in (np.zeros((3, 1), bool), np.zeros((1, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"a region must be \(H, W\) = \(1, 3\) bool"):
            masks.without(region)


@pytest.mark.parametrize(
    ("corners", "crop", "message"),
    [
        ([[0, 0], [1, 1]], np.ones((1, 1), bool), "corners must be"),
        ([[0, 0]], np.ones((1, 1), np.uint8), "must be .h, w. bool"),
        ([[0, 0]], np.ones(3, bool), "must be .h, w. bool"),
        ([[3, 3]], np.ones((2, 2), bool), "leaves the image"),
        ([[-1, 0]], np.ones((1, 1), bool), "leaves the image"),
    ],
)
def test_bad_masks(corners: list[list[int]], crop: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Masks((4, 4), np.array(corners), (crop,))


def test_masks_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="in an image of"):
        Masks.from_dense([np.zeros((2, 2), bool)], (3, 3))
    with pytest.raises(ValueError, match="cannot be joined"):
        Masks.join([Masks.empty((2, 2))], (3, 3))


def test_intersections_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The boxes of many masks are compared part by part: all at once took 34 GB for the objects of two noisy tiles."""
    random = np.random.default_rng(3)
    a, b = (Masks.from_dense(random.random((n, 9, 8)) < 0.2, (9, 8)) for n in (7, 5))
    expected = (a.dense()[:, None] & b.dense()).sum(axis=(2, 3))
    for rows in (1, 3, 7, 256):
        monkeypatch.setattr("associative_embedding.structures.masks.ROWS", rows)
        np.testing.assert_array_equal(a.intersection(b), expected)
