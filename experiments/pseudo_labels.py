"""Complete annotations with what a model finds: keypoint types that a source does not label, and people it leaves out.

    ae predict IMAGES --refine single-person --min_score 0.1 --show nothing --json found.json
    python experiments/pseudo_labels.py annotations.json found.json completed.json

The file written labels everybody (`complete: true` in a recipe) with the skeleton of the predictions. What was labelled
by hand stays as it is. Who was found, but not surely, and whom only half is known of become ignored regions: neither
taught as present nor as absent. Image ids stay, so `held_out` takes the same images.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from associative_embedding.data.readers.coco_records import KeypointRecord, read_records
from associative_embedding.evaluation.metrics.oks import oks
from associative_embedding.io.coco_json import read_coco
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton

SAME_OKS = 0.3  # of one person, labelled and found
SAME_PLACE = 0.5  # share of a found person's keypoints inside a labelled box: too near to call it somebody else
KEYPOINTS = 3  # that a person who is added shows at least
AREA_OF_BOX = 0.53  # as in the annotations of COCO here


def combine(
    record: KeypointRecord, found: Array, score: Array, skeleton: Skeleton, labelled: Array, sure: float, seen: float
) -> tuple[list[Array], list[Array]]:
    """One image's people ``(K, 3)`` x, y, visibility, and its ignored boxes xywh.

    Args:
        found: ``(F, K, 3)`` x, y, score, best first.
        score: ``(F,)`` of each found person.
        labelled: ``(K,)`` bool, the types that the source labels.
        sure: lowest score of a found person who is taught.
        seen: lowest score of a found keypoint that is taught.
    """
    known = [person.astype(np.float64) for person in record.keypoints]
    added: list[Array] = []
    regions: list[Array] = []
    free = set(range(len(known)))
    likeness = oks(found, record.keypoints, np.maximum(record.area, 1), skeleton.sigmas) if known else None
    for n, (person, value) in enumerate(zip(found, score, strict=True)):
        shown = person[:, 2:] >= seen
        taught = np.concatenate([person[:, :2], 2 * shown], axis=1) * shown
        best = -1 if likeness is None else int(likeness[n].argmax())
        if likeness is not None and best in free and likeness[n, best] >= SAME_OKS:
            free.remove(best)
            known[best] = np.where(labelled[:, None], known[best], taught)
        elif any(inside(person, box) >= SAME_PLACE for box in record.boxes_xywh):
            continue
        elif value >= sure and shown.sum() >= KEYPOINTS:
            added.append(taught)
        else:
            regions.append(box_xywh(person))
    regions += [record.boxes_xywh[n] for n in sorted(free)]  # their unlabelled types are not known
    return known + added, regions


def inside(person: Array, box: Array) -> float:
    """The share of a person's keypoints in a box xywh."""
    xy = person[person[:, 2] > 0, :2]
    return float(((xy >= box[:2]) & (xy <= box[:2] + box[2:])).all(axis=1).mean()) if len(xy) else 1.0


def box_xywh(person: Array) -> Array:
    """The extent of the keypoints found, a quarter larger."""
    xy = person[person[:, 2] > 0, :2]
    low, side = xy.min(axis=0), np.ptp(xy, axis=0)
    return np.concatenate([low - side / 8, side * 1.25])


def found_people(document: dict[str, Any], skeleton: Skeleton) -> dict[str, list[tuple[float, Array]]]:
    """File name -> score and ``(K, 3)`` keypoints of who was found there, best first."""
    names = {image["id"]: PurePath(image["file_name"]).name for image in document["images"]}
    people: dict[str, list[tuple[float, Array]]] = defaultdict(list)
    for row in sorted(document["annotations"], key=lambda a: -a["score"]):
        keypoints = np.array(row["keypoints"], np.float64).reshape(len(skeleton), 3)
        if (keypoints[:, 2] > 0).any():
            people[names[row["image_id"]]].append((row["score"], keypoints))
    return people


def complete(annotations: str, predictions: str, *, sure: float, seen: float) -> dict[str, Any]:
    """The completed COCO document.

    Raises:
        ValueError: when a file cannot be read.
    """
    document = read_coco(predictions)
    category = document["categories"][0]
    skeleton = Skeleton.from_category(category)
    people = found_people(document, skeleton)
    images = {image["id"]: image for image in read_coco(annotations)["images"]}
    records, labelled = read_records(annotations, skeleton, {})
    rows: list[dict[str, Any]] = []
    for record in records:
        found = people[PurePath(record.file_name).name]
        score, keypoints = [s for s, _ in found], [k for _, k in found]
        shape = (len(found), len(skeleton), 3)
        persons, regions = combine(
            record, np.reshape(keypoints, shape), np.array(score), skeleton, labelled, sure, seen
        )
        for n, person in enumerate(persons):
            box = record.boxes_xywh[n] if n < len(record.keypoints) else box_xywh(person)
            area = record.area[n] if n < len(record.keypoints) else AREA_OF_BOX * box[2] * box[3]
            rows.append(
                {
                    "image_id": record.image_id,
                    "keypoints": [round(v, 2) for v in person.flatten().tolist()],
                    "num_keypoints": int((person[:, 2] > 0).sum()),
                    "bbox": [round(v, 2) for v in box.tolist()],
                    "area": round(float(area), 1),
                    "iscrowd": 0,
                }
            )
        rows += [
            {"image_id": record.image_id, "bbox": [round(v, 2) for v in box.tolist()], "iscrowd": 1} for box in regions
        ]
    return {
        "images": [images[record.image_id] for record in records],
        "categories": [category],
        "annotations": [{"id": i, "category_id": category["id"], **row} for i, row in enumerate(rows, start=1)],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations", help="a COCO json of keypoints")
    parser.add_argument("predictions", help="what ae predict --json wrote of the same images")
    parser.add_argument("completed", help="the file to write")
    parser.add_argument("--sure", type=float, default=0.5, help="lowest score of people who are added")
    parser.add_argument("--seen", type=float, default=0.4, help="lowest score of keypoints that are added")
    options = parser.parse_args()
    completed = complete(options.annotations, options.predictions, sure=options.sure, seen=options.seen)
    Path(options.completed).write_text(json.dumps(completed), encoding="utf-8")
    print(f"{options.completed}: {len(completed['annotations'])} people and ignored regions")
