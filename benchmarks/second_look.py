"""Counts what is lost by looking again only at people who may be shown (`WORTH_A_LOOK`), and what is saved.

    python benchmarks/second_look.py --annotations ../shared/data/pose/coco/annotations.json \
        --images ../shared/data/pose/coco/images --held-out 0.1 [--limit 120]

Every photo is looked at both ways, in turns: with a second look at everybody who was found, and with the rule. Time is
the processor's, on one thread; the ratio is that of the sums.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from unittest import mock

import torch
from timing import markdown, start_anew

from associative_embedding.apps.cli.main import ALLOCATOR
from associative_embedding.evaluation.poses import open_pose_test_set, pose_task
from associative_embedding.inference import pipeline
from associative_embedding.inference.load import load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array

EVERYBODY = 0.0  # in place of WORTH_A_LOOK


@dataclass
class Way:
    """What one way found.

    Attributes:
        shown: people who are shown.
        crops: people who were looked at again.
        seconds: of the processor.
    """

    shown: int = 0
    crops: int = 0
    seconds: float = 0.0

    def look(self, model: Predictor, image: Array, worth: float) -> Instances:
        """Returns the people who are shown when `worth` takes the place of `WORTH_A_LOOK`."""
        assert model.refiner is not None
        keypoints_in = model.refiner.keypoints_in

        def counted(image: Array, boxes: Array) -> Array:
            self.crops += len(boxes)
            return keypoints_in(image, boxes)

        before = time.process_time()
        with (
            mock.patch.object(pipeline, "WORTH_A_LOOK", worth),
            mock.patch.object(model.refiner, "keypoints_in", counted),
        ):
            people = model(image, keep_image=False)
        self.seconds += time.process_time() - before
        self.shown += len(people)
        return people


def same_people(before: Instances, after: Instances) -> int:
    """Returns how many of some people are, bit for bit, among others."""
    equal = (before.keypoints[:, None] == after.keypoints[None]).all(axis=(2, 3))
    return int(equal.any(axis=1).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--model", default="person")
    parser.add_argument("--annotations", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--held-out", type=float, default=0.0)
    parser.add_argument("--limit", type=int, default=0)
    options = parser.parse_args()
    start_anew(ALLOCATOR)
    torch.set_num_threads(1)
    model = load(options.model, device="cpu")
    test_set = open_pose_test_set(
        options.annotations,
        options.images,
        pose_task(model).skeleton,
        held_out_share=options.held_out,
        limit=options.limit,
    )
    everybody, rule, same = Way(), Way(), 0
    for i in range(len(test_set.data)):
        image = test_set.data[i].image
        if not i:
            model(image)  # to warm up
        ways = [(everybody, EVERYBODY), (rule, pipeline.WORTH_A_LOOK)]
        found = {id(way): way.look(model, image, worth) for way, worth in (ways if i % 2 else ways[::-1])}
        same += same_people(found[id(everybody)], found[id(rule)])
    rows = {
        "everybody who was found": {"looked at": everybody.crops, "shown": everybody.shown, "same": "", "time": "1.00"},
        "who may be shown": {
            "looked at": rule.crops,
            "shown": rule.shown,
            "same": same,
            "time": f"{rule.seconds / max(everybody.seconds, 1e-9):.2f}",
        },
    }
    cells = {name: {key: str(value) for key, value in row.items()} for name, row in rows.items()}
    print(markdown(f"{len(test_set.data)} photos", ["looked at", "shown", "same", "time"], cells))


if __name__ == "__main__":
    main()
