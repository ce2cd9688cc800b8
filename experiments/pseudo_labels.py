"""Completes annotations with the people that a model finds: missing keypoint types, and people without a label.

    ae predict IMAGES --refine single-person --min_score 0.1 --show nothing --json found.json
    python experiments/pseudo_labels.py annotations.json found.json completed.json

The new file labels everybody (`complete: true` in a recipe) with the skeleton of the predictions. Labels by hand stay
as they are. People found with a low score, and labelled people that the model did not find, become ignored regions:
the loss does not count them. Image ids stay, so `held_out` selects the same images.
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

SAME_OKS = 0.3  # lowest OKS at which a labelled and a found person are the same
# a found person with this share of keypoints inside a labelled box may be the labelled person, so it is not added
SAME_PLACE = 0.5
KEYPOINTS = 3  # fewest keypoints of a person that is added
AREA_OF_BOX = 0.53  # area of a person per area of the box, as in our COCO annotations


def combine(
    record: KeypointRecord, found: Array, score: Array, skeleton: Skeleton, labelled: Array, sure: float, seen: float
) -> tuple[list[Array], list[Array]]:
    """Returns the people of one image, each ``(K, 3)`` x, y, visibility, and its ignored boxes xywh.

    Args:
        record: the labels of the image.
        found: ``(F, K, 3)`` x, y, score, best first.
        score: ``(F,)``, scores of the found people.
        skeleton: the K keypoint types.
        labelled: ``(K,)`` bool, the types that the source labels.
        sure: lowest score of a found person who is added.
        seen: lowest score of a found keypoint that is added.
    """
    known = [person.astype(np.float64) for person in record.keypoints]
    added: list[Array] = []
    regions: list[Array] = []
    free = set(range(len(known)))
    similarity = oks(found, record.keypoints, np.maximum(record.area, 1), skeleton.sigmas) if known else None
    for n, (person, value) in enumerate(zip(found, score, strict=True)):
        shown = person[:, 2:] >= seen
        taught = np.concatenate([person[:, :2], 2 * shown], axis=1) * shown
        best = -1 if similarity is None else int(similarity[n].argmax())
        if similarity is not None and best in free and similarity[n, best] >= SAME_OKS:
            free.remove(best)
            known[best] = np.where(labelled[:, None], known[best], taught)
        elif any(inside(person, box) >= SAME_PLACE for box in record.boxes_xywh):
            continue
        elif value >= sure and shown.sum() >= KEYPOINTS:
            added.append(taught)
        else:
            regions.append(box_xywh(person))
    regions += [record.boxes_xywh[n] for n in sorted(free)]  # their unlabelled types are unknown
    return known + added, regions


def inside(person: Array, box: Array) -> float:
    """Returns the share of a person's keypoints in a box xywh."""
    xy = person[person[:, 2] > 0, :2]
    return float(((xy >= box[:2]) & (xy <= box[:2] + box[2:])).all(axis=1).mean()) if len(xy) else 1.0


def box_xywh(person: Array) -> Array:
    """Returns the box xywh of the keypoints, enlarged by a quarter, as a body extends beyond its keypoints."""
    xy = person[person[:, 2] > 0, :2]
    low, side = xy.min(axis=0), np.ptp(xy, axis=0)
    return np.concatenate([low - side / 8, side * 1.25])


def found_people(document: dict[str, Any], skeleton: Skeleton) -> dict[str, list[tuple[float, Array]]]:
    """Returns for each file name the scores and ``(K, 3)`` keypoints of the people found, best first."""
    names = {image["id"]: PurePath(image["file_name"]).name for image in document["images"]}
    people: dict[str, list[tuple[float, Array]]] = defaultdict(list)
    for row in sorted(document["annotations"], key=lambda a: -a["score"]):
        keypoints = np.array(row["keypoints"], np.float64).reshape(len(skeleton), 3)
        if (keypoints[:, 2] > 0).any():
            people[names[row["image_id"]]].append((row["score"], keypoints))
    return people


def complete(annotations: str, predictions: str, *, sure: float, seen: float) -> dict[str, Any]:
    """Returns the completed COCO document.

    Raises:
        ValueError: if a file cannot be read.
    """
    document = read_coco(predictions)
    category = document["categories"][0]
    skeleton = Skeleton.from_category(category)
    people = found_people(document, skeleton)
    images = {image["id"]: image for image in read_coco(annotations)["images"]}
    records, categories, _ = read_records(annotations, skeleton, {})
    labelled = np.isin(np.arange(len(skeleton)), categories.labelled)
    rows: list[dict[str, Any]] = []
    for record in records:
        found = people[PurePath(record.file_name).name]
        score, keypoints = [s for s, _ in found], [k for _, k in found]
        shape = (len(found), len(skeleton), 3)
        persons, regions = combine(
            record, np.reshape(keypoints, shape), np.array(score), skeleton, labelled, sure, seen
        )
        rows += [annotation(record, n, person) for n, person in enumerate(persons)]
        rows += [{"image_id": record.image_id, "bbox": rounded(box), "iscrowd": 1} for box in regions]
    return {
        "images": [images[record.image_id] for record in records],
        "categories": [category],
        "annotations": [{"id": i, "category_id": category["id"], **row} for i, row in enumerate(rows, start=1)],
    }


def annotation(record: KeypointRecord, number: int, person: Array) -> dict[str, Any]:
    """Returns a person's annotation without ids of its own; the first people of an image are the labelled ones."""
    labelled = number < len(record.keypoints)
    box = record.boxes_xywh[number] if labelled else box_xywh(person)
    return {
        "image_id": record.image_id,
        "keypoints": rounded(person),
        "num_keypoints": int((person[:, 2] > 0).sum()),
        "bbox": rounded(box),
        "area": round(float(record.area[number] if labelled else AREA_OF_BOX * box[2] * box[3]), 1),
        "iscrowd": 0,
    }


def rounded(values: Array) -> list[float]:
    return [round(value, 2) for value in values.flatten().tolist()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations", help="a COCO json of keypoints")
    parser.add_argument("predictions", help="json of ae predict for the same images")
    parser.add_argument("completed", help="the file to write")
    parser.add_argument("--sure", type=float, default=0.5, help="lowest score of people who are added")
    parser.add_argument("--seen", type=float, default=0.4, help="lowest score of keypoints that are added")
    options = parser.parse_args()
    completed = complete(options.annotations, options.predictions, sure=options.sure, seen=options.seen)
    Path(options.completed).write_text(json.dumps(completed), encoding="utf-8")
    print(f"{options.completed}: {len(completed['annotations'])} people and ignored regions")
