"""True tags or true detections in the place of the predicted ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.settings import SourceConfig
from associative_embedding.evaluation import experiments as compare
from associative_embedding.evaluation.oracle import Given, with_true_tags
from associative_embedding.evaluation.poses import evaluate_pose_model, find_people, open_pose_test_set
from associative_embedding.grouping import group_sequentially
from associative_embedding.inference.predictor import Predictor
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections
from associative_embedding.structures.geometry import ImageGeometry, letterbox
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.sample import Sample
from support.tiny import FIGURE, TINY_DECODE, tiny_info, tiny_network


class Tagger(Predictor):
    """Finds nothing, but its tags tell people apart by their place: `spread` per pixel."""

    def __init__(self, spread: float) -> None:
        info = tiny_info(decode=replace(TINY_DECODE, threshold=0.5, tag_threshold=1e-6, duplicate_oks=1.0))
        super().__init__(tiny_network(info), info, input_size=160)
        self.spread = spread
        self.people: list[Array] = []

    def maps(self, image: Array) -> tuple[Maps, ImageGeometry]:
        maps, geometry = super().maps(image)
        tag = np.zeros_like(maps.tag)
        for n, person in enumerate(self.people):
            x, y = np.rint(geometry.to_map(person[:, :2].astype(np.float64))).astype(int).T
            tag[0, np.arange(len(person)), :, y, x] = self.spread * (1 + n)
        return Maps(np.zeros_like(maps.heatmap), tag), geometry


def tagged(source: SourceConfig, spread: float, given: Given) -> Any:
    predictor = Tagger(spread)
    test_set = open_pose_test_set(str(source.annotations), source.images, FIGURE)
    kept = CocoKeypoints.__getitem__

    class Watched(CocoKeypoints):
        def __getitem__(self, index: int) -> Any:
            sample = kept(self, index)
            predictor.people = list(sample.keypoints)
            return sample

    test_set.data.__class__ = Watched
    return evaluate_pose_model(predictor, test_set, given=given)[0]


def test_true_detections_with_right_tags_are_perfect(source: SourceConfig) -> None:
    """Each keypoint where it is annotated, not where its map pixel is; and a heatmap of zeros does not matter."""
    found = tagged(source, 1.0, given="detections")
    assert found["AP"] == found["AR75"] == pytest.approx(1)
    assert found["people_grouped_right"] == 1
    assert tagged(source, 1.0, given="nothing")["AP"] == 0


def test_true_detections_with_equal_tags_are_mixed_up(source: SourceConfig) -> None:
    found = tagged(source, 0.0, given="detections")
    assert found["AP"] < 0.9
    assert found["people_grouped_right"] < 0.9


def test_true_detections_are_all_of_the_people(model: str, source: SourceConfig) -> None:
    """Nothing is filled in: as many keypoints as are labelled, each at its place."""
    test_set = open_pose_test_set(str(source.annotations), source.images, FIGURE)
    predictor = compare.load(model).with_decode(min_keypoints=0, duplicate_oks=1.0)
    sample = test_set.data[0]
    instances, _ = find_people(predictor, sample, "detections")
    found = instances.keypoints[instances.keypoints[:, :, 2] > 0][:, :2]
    truth = sample.keypoints[sample.keypoints[:, :, 2] > 0][:, :2]
    assert (instances.keypoints[:, :, 2][instances.keypoints[:, :, 2] > 0] == 1).all()
    np.testing.assert_allclose(*(a[np.lexsort(a.T)] for a in (found, truth)), atol=1e-3)


def test_true_tags_are_those_of_the_nearest_person() -> None:
    """Two people, the first without an ear; a detection far from all is of nobody, and nobody is two of them."""
    geometry = letterbox((100, 100), 100, multiple=4, stride=4)
    keypoints = np.zeros((2, len(FIGURE), 3), dtype=np.float32)
    keypoints[0, :2], keypoints[1, :2] = [[20, 20, 2], [24, 20, 0]], [[60, 20, 2], [64, 20, 1]]
    sample = Sample(np.zeros((100, 100, 3), np.uint8), keypoints, np.full(2, 900.0), np.ones(len(FIGURE), bool))
    xy = geometry.to_map(np.array([[58.0, 21], [21, 20], [24, 20], [63, 20], [5, 90], [95, 90]]))
    channel = np.array([0, 0, 1, 1, 0, 1])
    detections = Detections(np.ones(6), np.zeros((6, 3)), xy, channel)
    found = with_true_tags(detections, channel, geometry, sample, FIGURE.sigmas)
    groups = group_sequentially(found, tag_threshold=1.0).group
    assert groups[0] == groups[3]
    assert len(set(groups.tolist())) == 5  # each of the others is alone, the ear of the first person too
    alone = replace(sample, keypoints=keypoints[:0], area=np.zeros(0))
    assert len(set(with_true_tags(detections, channel, geometry, alone, FIGURE.sigmas).tag[:, 0])) == 6
