"""Samples of one person each: the crop around a person, and who is left out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from associative_embedding.data.readers.person_crops import PersonCrops
from associative_embedding.data.settings import SourceConfig
from associative_embedding.structures.geometry import crop_boxes
from support.person_crops import SQUARES, crops_of, images_of


def test_every_labelled_person_is_a_sample_of_its_own(source: SourceConfig) -> None:
    images, crops = images_of(source), crops_of(source)
    expected = [
        person
        for sample in (images[i] for i in range(len(images)))
        for person in sample.keypoints
        if (person[:, 2] > 0).sum() >= 4
    ]
    assert len(crops) == len(expected) > len(images)
    for i, person in enumerate(expected):
        sample = crops[i]
        assert np.array_equal(sample.keypoints, person[None])
        assert sample.area.shape == (1,)
        assert sample.ignore is None


def test_the_focus_is_a_square_around_the_person(source: SourceConfig) -> None:
    crops = crops_of(source)
    for i in range(len(crops)):
        sample = crops[i]
        assert sample.focus is not None
        x, y, width, height = sample.focus
        at = sample.keypoints[0, sample.keypoints[0, :, 2] > 0, :2]
        assert width == height
        assert width == pytest.approx(max(20, 1.25 * np.ptp(at, axis=0).max()), rel=1e-5)
        assert [x + width / 2, y + height / 2] == pytest.approx((at.min(axis=0) + at.max(axis=0)) / 2, rel=1e-5)


def test_a_person_of_few_keypoints_is_left_out(source: SourceConfig) -> None:
    images = images_of(source)
    record = images.records[0]
    record.keypoints[0, 1:, 2] = 0
    crops = PersonCrops(images, crop=SQUARES)
    assert (0, 0) not in crops.places
    assert (0, 1) in crops.places


NARROW = partial(crop_boxes, margin=1.3, min_size=20, beside=0.1)


def test_crops_are_known_before_an_image_is_read(source: SourceConfig) -> None:
    crops = crops_of(source, NARROW)
    assert crops.crops.shape == (len(crops), 4)
    assert (np.ptp(crops.crops[:, 2:], axis=1) > 1).any()
    for i, crop in enumerate(crops.crops):
        assert np.array_equal(crops[i].focus, crop)


def test_an_image_without_a_stated_size_has_the_crop_of_what_is_inside(source: SourceConfig) -> None:
    """Its size is known when it is read: the crop of before, which had a keypoint outside of the image, is too wide."""
    images = images_of(source)
    keypoints = images.records[0].keypoints.copy()
    assert (keypoints[0, :, 2] > 0).all()
    keypoints[0, 0, 0] = 5000
    images.records[0] = replace(images.records[0], keypoints=keypoints, size=None)
    crops = PersonCrops(images, crop=NARROW)
    focus = crops[0].focus
    assert focus is not None
    assert crops.crops[0, 2] > 5000 > 160 * 1.3 >= focus[2]
