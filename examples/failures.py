"""Draws the photographs in which a model misses most people: left the people it missed, right the people it found.

    python examples/failures.py --annotations ../shared/data/pose/coco/annotations.json \
        --images ../shared/data/pose/coco/images --held-out 0.1 --output failures.jpg

Only people of a minimum size count (square root of the area in image pixels). A person is missed if no person that
``ae predict`` would show has an OKS of at least 0.5 with this person.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

from associative_embedding import load
from associative_embedding.drawing.canvas import draw_box
from associative_embedding.evaluation.metrics.oks import oks
from associative_embedding.evaluation.poses import open_pose_test_set, pose_task
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances, draw_instances
from associative_embedding.io.write_images import write_image
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample

NEAR = 0.5  # lowest OKS at which a person counts as found
SIDE = 400  # side of a tile, pixels
COLUMNS = 2  # pairs of tiles in a row
RED = (255, 40, 40)


@dataclass(frozen=True)
class Result:
    """One photograph with its true people and the people found.

    Attributes:
        sample: the photograph and its N labelled people.
        found: the people that ``ae predict`` would show.
        large: ``(N,)`` bool, large enough to count.
        missed: ``(N,)`` bool, large enough, and not found.
    """

    sample: Sample
    found: Instances
    large: Array
    missed: Array


def predict(model: Predictor, sample: Sample, size: float) -> Result:
    task = pose_task(model)
    found = model(sample.image, keep_image=False)
    found = found[found.score >= task.shown_score]
    large = (np.sqrt(sample.area) >= size) & (sample.keypoints[:, :, 2] > 0).any(axis=1)
    # oks of every found person with every true person; `initial` also covers photographs without any found person
    similarity = oks(found.keypoints, sample.keypoints, sample.area, task.skeleton.sigmas)
    return Result(sample, found, large, large & (similarity.max(axis=0, initial=0) < NEAR))


def pair(result: Result) -> Array:
    """Draws boxes around the missed people, and beside them the people found: ``(SIDE, 2 SIDE, 3)`` uint8 RGB."""
    truth = result.sample.image.copy()
    for keypoints in result.sample.keypoints[result.missed]:
        xy = keypoints[keypoints[:, 2] > 0, :2]
        draw_box(truth, xy.min(axis=0) - 4, xy.max(axis=0) + 4, 1.5, RED)
    return np.concatenate([tile(truth), tile(draw_instances(result.sample.image, result.found))], axis=1)


def tile(image: Array) -> Array:
    """Resizes a picture and puts it into the middle of a white square, ``(SIDE, SIDE, 3)``."""
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    small = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    square = np.full((SIDE, SIDE, 3), 255, np.uint8)
    top, left = (SIDE - small.shape[0]) // 2, (SIDE - small.shape[1]) // 2
    square[top : top + small.shape[0], left : left + small.shape[1]] = small
    return square


def sheet(results: list[Result]) -> Array:
    tiles = [pair(result) for result in results]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[i : i + COLUMNS], axis=1) for i in range(0, len(tiles), COLUMNS)]
    return np.concatenate(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--model", default="person")
    parser.add_argument("--annotations", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--held-out", "--held_out", type=float, default=0.0)
    parser.add_argument("--limit", type=int, default=0, help="highest number of images (0 = all)")
    parser.add_argument("--size", type=float, default=48, help="smallest size of people that count")
    parser.add_argument("--count", type=int, default=12, help="photographs on the sheet")
    parser.add_argument("--output", required=True, help="the picture to write")
    options = parser.parse_args()
    model = load(options.model)
    test_set = open_pose_test_set(
        options.annotations,
        options.images,
        pose_task(model).skeleton,
        held_out_share=options.held_out,
        limit=options.limit,
    )
    people, missed = 0, 0
    worst: list[Result] = []
    for i in tqdm(range(len(test_set.data)), disable=None, unit="image"):
        row = predict(model, test_set.data[i], options.size)
        people, missed = people + int(row.large.sum()), missed + int(row.missed.sum())
        worst = sorted([*worst, row], key=lambda row: -row.missed.sum())[: options.count]
    print(f"{missed} of {people} people missed")
    write_image(options.output, sheet(worst))


if __name__ == "__main__":
    main()
