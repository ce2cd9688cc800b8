"""Compares rules of grouping on the maps of one model.

    python benchmarks/grouping_rules.py --annotations annotations.json --images images --held-out 0.1

The network runs once for each image; every rule then decodes the same maps. Prints a Markdown table: AP, its difference
to the model's own rule with its standard error (bootstrap over the images), and the shares of keypoints and people that
the rule groups right when the true detections are given.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from associative_embedding.evaluation.metrics.grouping import RightGrouping
from associative_embedding.evaluation.metrics.oks import evaluate_keypoints
from associative_embedding.evaluation.oracle import people_from_true_detections
from associative_embedding.evaluation.poses import PoseTestSet, coco_results, open_pose_test_set, pose_task
from associative_embedding.inference.load import load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.tasks.pose.task import PoseTask

ORDERS = {
    "face, torso, limbs (published)": "nose eye ear shoulder hip elbow wrist knee ankle",
    "torso, face, limbs": "shoulder hip nose eye ear elbow wrist knee ankle",
    "limbs, torso, face": "ankle wrist knee elbow hip shoulder ear eye nose",
}
FACTORS = (0.25, 0.5, 0.7, 1.4, 2.0, 4.0)  # times the model's own tag threshold


@dataclass(frozen=True)
class Rule:
    """A rule of grouping.

    Attributes:
        name: name of its row.
        decode: decode settings that replace the model's.
        order: order of the keypoint types, as words that their names contain; "" = the model's own.
    """

    name: str
    decode: dict[str, Any] = field(default_factory=dict)
    order: str = ""

    def apply(self, task: PoseTask) -> PoseTask:
        names = task.skeleton.keypoints
        order = (
            tuple(name for word in self.order.split() for name in names if word in name) or task.skeleton.group_order
        )
        skeleton = replace(task.skeleton, group_order=order)
        return replace(task, skeleton=skeleton, decode_config=replace(task.decode_config, **self.decode))


def rules(task: PoseTask, dimensions: int) -> list[Rule]:
    """Returns the rules to compare; the first is the model's own, which the others are compared with."""
    threshold = task.decode_config.tag_threshold
    rounded, l2, greedy = {"matching": "rounded"}, {"tag_distance": "l2"}, {"assignment": "greedy"}
    product = {"matching": "product"}
    # the Euclidean distance is larger than the root mean square by this factor
    same = {"tag_threshold": threshold * dimensions**0.5}
    return [
        Rule("the model's own"),
        Rule("product", product),
        Rule("tags alone", {"matching": "nearest"}),
        Rule("published cost", rounded),
        # 1 and L2 are the values of the published code
        Rule("published cost, L2, threshold 1", {**rounded, **l2, "tag_threshold": 1.0}),
        Rule("published cost, L2, threshold as great", {**rounded, **l2, **same}),
        Rule("L2, threshold unchanged", l2),
        Rule("greedy", greedy),
        Rule("greedy, product", {**greedy, **product}),
        Rule("greedy, published cost", {**greedy, **rounded}),
        *(Rule(f"threshold x {f:g}", {"tag_threshold": f * threshold}) for f in FACTORS),
        *(Rule(f"product, threshold x {f:g}", {**product, "tag_threshold": f * threshold}) for f in (0.7, 1.4)),
        *(Rule(f"order: {name}", order=order) for name, order in ORDERS.items()),
    ]


@dataclass
class Found:
    """The results of one rule: COCO results for each image id, and how it groups the true detections."""

    results: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    grouping: RightGrouping = field(default_factory=RightGrouping)


def decode_all(predictor: Predictor, test_set: PoseTestSet, tasks: Sequence[PoseTask]) -> list[Found]:
    found = [Found() for _ in tasks]
    for i in tqdm(range(len(test_set.data)), disable=None, unit="image"):
        sample = test_set.data[i]
        maps, geometry = predictor.maps(sample.image)
        for task, of_rule in zip(tasks, found, strict=True):
            people = [(sample.image_id, task.decode(maps, geometry))]
            rows = coco_results(people, category_id=test_set.truth.category_id, order=test_set.truth.order)
            of_rule.results[sample.image_id] = rows
            of_rule.grouping += people_from_true_detections(task, maps, geometry, sample.keypoints)[1]
    return found


def score(truth: dict[str, Any], found: Found, image_ids: Sequence[int]) -> dict[str, Any]:
    """Returns the official metrics on some images; an image that is drawn twice counts twice."""
    rows: dict[int, list[dict[str, Any]]] = {key: [] for key in image_ids}
    for row in truth["annotations"]:
        if row["image_id"] in rows:
            rows[row["image_id"]].append(row)
    # new ids, as COCO's evaluation allows each id only once
    numbered = list(enumerate(image_ids))
    drawn = {
        "images": [{"id": n} for n, _ in numbered],
        "annotations": [{**row, "image_id": n} for n, key in numbered for row in rows[key]],
        "categories": truth["categories"],
    }
    return evaluate_keypoints(drawn, [{**r, "image_id": n} for n, key in numbered for r in found.results[key]])


def standard_errors(test_set: PoseTestSet, found: Sequence[Found], ids: Sequence[int], times: int) -> list[float]:
    """Returns the standard error of the difference in AP between each rule and the first, by bootstrap."""
    # all rules are scored on the same draws: the difference varies much less than the two APs
    rng = np.random.default_rng(0)
    differences: list[list[float]] = [[] for _ in found]
    for _ in tqdm(range(times), disable=None, unit="draw"):
        drawn = rng.choice(ids, len(ids)).tolist()
        aps = [score(test_set.truth.dataset, of_rule, drawn)["AP"] for of_rule in found]
        for row, ap in zip(differences, aps, strict=True):
            row.append(ap - aps[0])
    return [statistics.pstdev(row) if row else float("nan") for row in differences]


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    predictor = load(options.model, device="auto", scales=options.scales, input_size=options.input_size)
    task = pose_task(predictor)
    test_set = open_pose_test_set(
        options.annotations, options.images, task.skeleton, held_out_share=options.held_out, limit=options.limit
    )
    listed = rules(task, predictor.info.tag_size * len(predictor.scales))
    found = decode_all(predictor, test_set, [rule.apply(task) for rule in listed])
    ids = [image["id"] for image in test_set.truth.dataset["images"]]
    errors = standard_errors(test_set, found, ids, options.draws)
    return [
        {
            "rule": rule.name,
            **score(test_set.truth.dataset, of_rule, ids),
            "standard_error": error,
            "keypoints_grouped_right": of_rule.grouping.keypoint_rate,
            "people_grouped_right": of_rule.grouping.person_rate,
        }
        for rule, of_rule, error in zip(listed, found, errors, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="person")
    parser.add_argument("--annotations", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--held-out", "--held_out", type=float, default=0.0)
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--scales", type=float, nargs="+", default=None)
    parser.add_argument("--input-size", type=int, default=None)
    parser.add_argument("--draws", type=int, default=50, help="bootstrap samples for the standard errors")
    parser.add_argument("--json", type=Path, default=None, help="also write the numbers here")
    options = parser.parse_args()
    rows = measure(options)
    print("| rule | AP | difference | AP50 | AR | keypoints / people grouped right |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in rows:
        difference = f"{row['AP'] - rows[0]['AP']:+.3f} ± {row['standard_error']:.3f}"
        rates = f"{row['keypoints_grouped_right']:.3f} / {row['people_grouped_right']:.3f}"
        print(f"| {row['rule']} | {row['AP']:.3f} | {difference} | {row['AP50']:.3f} | {row['AR']:.3f} | {rates} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
