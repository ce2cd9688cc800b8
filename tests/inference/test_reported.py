"""What is reported to a user is a keypoint of the image, and of one person."""

from __future__ import annotations

import numpy as np

from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.reported import edge_distance, reported
from associative_embedding.instances import Instances
from support.pictures import PAIR, SIZE
from support.tiny import tiny_predictor


def found(*people: list[list[float]]) -> Instances:
    n = len(people)
    score = np.linspace(0.9, 0.8, n, dtype=np.float32)
    keypoints = np.array(people, np.float32).reshape(n, 3, 3)
    return Instances(score, np.ones(n, np.int64), np.zeros((n, 1)), keypoints, SIZE, PAIR)


def test_a_keypoint_at_the_edge_is_missing() -> None:
    """Half a map pixel, or a share of a person who is large."""
    height, width = SIZE
    person = found([[40, height - 1.0, 0.9], [60, 60, 0.9], [width - 5.0, 30, 0.9]])
    assert edge_distance(person.keypoints, SIZE).tolist() == [[1, 60, 5]]
    people, somebody = reported(person, cell=4)
    assert people.keypoints[0, :, 2].tolist() == np.float32([0, 0.9, 0.9]).tolist()
    assert people.keypoints[0, 0].tolist() == [0, 0, 0]
    assert somebody.all()
    assert (reported(person, cell=12)[0].keypoints[0, :, 2] > 0).tolist() == [False, True, False]
    assert (reported(person, cell=0.1)[0].keypoints[0, :, 2] > 0).tolist() == [False, True, True]


def test_a_keypoint_of_two_people_is_one_person_s() -> None:
    first = [[20, 20, 0.9], [60, 60, 0.9], [90, 30, 0.9]]
    second = [[20, 20, 0.9], [61, 90, 0.9], [99, 90, 0.9]]
    people, somebody = reported(found(first, second), cell=1)
    assert (people.keypoints[:, :, 2] > 0).tolist() == [[True] * 3, [False, True, True]]
    assert somebody.tolist() == [True, True]
    assert reported(found(first, first), cell=1)[1].tolist() == [True, False]
    assert len(reported(found(), cell=1)[0]) == 0


def test_a_call_reports_and_evaluation_has_all() -> None:
    model = tiny_predictor()
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    everything, shown = model.find(image), model(image, min_score=0)
    assert len(everything) == len(shown)
    cell = cell_of(model, image)
    lost = (everything.keypoints[:, :, 2] > 0) & (shown.keypoints[:, :, 2] == 0)
    at_edge = (edge_distance(everything.keypoints, shown.image_size) < 0.55 * cell) & (
        everything.keypoints[:, :, 2] > 0
    )
    assert at_edge.any()
    assert lost[at_edge].all()


def cell_of(model: Predictor, image: np.ndarray) -> float:
    geometry = model.prepare(image)[0][1]
    return geometry.stride / geometry.scale
