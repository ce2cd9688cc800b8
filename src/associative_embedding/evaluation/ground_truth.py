"""The ground truth of a COCO json for one model: its annotations, with the model's keypoint types matched by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from associative_embedding.data.settings import SourceConfig
from associative_embedding.evaluation.protocols import PROTOCOLS, Protocol
from associative_embedding.io.coco_json import read_coco
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton


def truth_of_source(source: SourceConfig, skeleton: Skeleton, image_ids: set[int]) -> dict[int, list[dict[str, Any]]]:
    """Image id -> its annotations, with keypoints in the skeleton's order; crowds and unlabelled people included.

    The training data leave crowds and unlabelled people out. The official metrics need them: as ignored regions.

    Args:
        source: a source of training data; without annotations no image has any.
        skeleton: the skeleton of the model.
        image_ids: the images to return.

    Raises:
        ValueError: see `truth_for`.
    """
    rows: dict[int, list[dict[str, Any]]] = {image_id: [] for image_id in image_ids}
    if source.annotations is None:
        return rows
    truth, _, order = truth_for(source.annotations, skeleton, image_ids, source.rename)
    for annotation in truth["annotations"]:
        keypoints = np.zeros((len(skeleton), 3))
        if annotation.get("keypoints"):
            keypoints[order[order >= 0]] = np.reshape(annotation["keypoints"], (-1, 3))[order >= 0]
        rows[annotation["image_id"]].append({**annotation, "keypoints": keypoints.ravel().tolist()})
    return rows


def truth_for(
    annotations: str,
    skeleton: Skeleton,
    image_ids: set[int],
    rename: Mapping[str, str] | None = None,
    protocol: Protocol = PROTOCOLS["coco"],
) -> tuple[dict[str, Any], int, Array]:
    """Reads a COCO json for one model: the category of its people, some of the images, only keypoints that it has.

    Args:
        annotations: path of the json.
        skeleton: the skeleton of the model.
        image_ids: the images to keep.
        rename: name in the file -> name in the skeleton, where the names differ.
        protocol: the rules of the evaluation.

    Returns:
        the dataset; the id of its category; and ``(K_file,)`` int64, for each keypoint of the category its index in the
        skeleton, -1 = the skeleton lacks it. Its labels are then removed: the model is not expected to find it.

    Raises:
        ValueError: if no category shares a keypoint name with the skeleton, or the dataset cannot be scored.
    """
    truth = protocol.prepare(read_coco(annotations))
    new = rename or {}
    names = {c["id"]: [new.get(n, n) for n in c["keypoints"]] for c in truth["categories"] if c.get("keypoints")}
    common = {key: len(set(value) & set(skeleton.keypoints)) for key, value in names.items()}
    # the category with the most keypoint types in common; ids and names differ from dataset to dataset
    category_id = max(common, key=lambda key: common[key], default=None)
    if category_id is None or not common[category_id]:
        raise ValueError(f"{annotations}: no category has a keypoint in common with the model ({skeleton.name})")
    order = np.array([skeleton.index.get(name, -1) for name in names[category_id]], dtype=np.int64)
    truth["images"] = [image for image in truth["images"] if image["id"] in image_ids]
    truth["annotations"] = [
        row
        for row in truth["annotations"]
        if row.get("category_id") == category_id and row.get("image_id") in image_ids
    ]
    truth["categories"] = [c for c in truth["categories"] if c["id"] == category_id]
    if (order < 0).any():
        truth["annotations"] = [without_labels(row, np.flatnonzero(order < 0)) for row in truth["annotations"]]
    if truth["images"]:
        # scored once without results: a faulty dataset is an error now, not after hours of prediction
        protocol.score(truth, [], name=annotations)
    return truth, category_id, order


def without_labels(annotation: dict[str, Any], types: Array) -> dict[str, Any]:
    """Returns a copy of an annotation without the labels of some keypoint types.

    Args:
        types: indices of these types in the annotation's category.
    """
    keypoints = np.array(annotation.get("keypoints", []), dtype=np.float64).reshape(-1, 3)
    if not len(keypoints):  # a crowd
        return annotation
    keypoints[types] = 0
    # counted anew: pycocotools ignores a person with 0 keypoints
    count = int((keypoints[:, 2] > 0).sum())
    return {**annotation, "keypoints": keypoints.ravel().tolist(), "num_keypoints": count}
