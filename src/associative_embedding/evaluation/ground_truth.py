"""The ground truth of a COCO json for one model: its annotations, with the model's keypoint types matched by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from associative_embedding.data.readers.keypoint_categories import read_categories
from associative_embedding.data.settings import SourceConfig
from associative_embedding.evaluation.protocols import PROTOCOLS, Protocol
from associative_embedding.io.coco_json import read_coco
from associative_embedding.io.console import remark
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What the people (or animals) that a model finds are compared with.

    Attributes:
        dataset: a COCO dataset with one category, the first in the file of those that training reads. Annotations of
            the others belong to it, too: a model does not tell categories apart whose keypoints have the same names.
        order: ``(K_truth,)`` int64, for each keypoint of the category its index in the model's skeleton, -1 = the
            skeleton lacks it. Its labels are removed: the model is not expected to find it.
    """

    dataset: dict[str, Any]
    order: Array

    @property
    def category_id(self) -> int:
        """The id of the one category."""
        return int(self.dataset["categories"][0]["id"])


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
    truth = truth_for(source.annotations, skeleton, image_ids, source.rename)
    for row in truth.dataset["annotations"]:
        in_order = with_keypoints(row, truth.order, np.arange(len(skeleton)), truth.category_id)
        rows[row["image_id"]].append(in_order)
    return rows


def truth_for(
    annotations: str,
    skeleton: Skeleton,
    image_ids: set[int],
    rename: Mapping[str, str] | None = None,
    protocol: Protocol = PROTOCOLS["coco"],
) -> GroundTruth:
    """Reads a COCO json for one model: the categories that training reads, some of the images, only known keypoints.

    Args:
        annotations: path of the json.
        skeleton: the skeleton of the model.
        image_ids: the images to keep.
        rename: name in the file -> name in the skeleton, where the names differ.
        protocol: the rules of the evaluation.

    Raises:
        ValueError: if no category shares a keypoint name with the skeleton, or the dataset cannot be scored.
    """
    document = protocol.prepare(read_coco(annotations))
    types = read_categories(annotations, document, skeleton, rename or {}).types
    number, *_ = types
    order = all_types(list(types.values()))
    (category,) = (c for c in document["categories"] if c["id"] == number)
    dataset = {
        **document,
        "images": [image for image in document["images"] if image["id"] in image_ids],
        "annotations": [
            with_keypoints(row, types[row["category_id"]], order, number)
            for row in document["annotations"]
            if row.get("category_id") in types and row.get("image_id") in image_ids
        ],
        "categories": [with_types(category, order, skeleton)],
    }
    if dataset["images"]:
        # scored once without results: a faulty dataset is an error now, not after hours of prediction
        protocol.score(dataset, [], name=annotations)
        if protocol.groups is None and not any(map(is_labelled, dataset["annotations"])):
            count = len(dataset["images"])
            remark(f"{annotations}: no person to find has a labelled keypoint (images: {count}): metrics are undefined")
    return GroundTruth(dataset, order)


def is_labelled(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation is a person to find: no crowd, and with a labelled keypoint."""
    return not annotation.get("iscrowd") and any((annotation.get("keypoints") or ())[2::3])


# ---- several categories as one


def all_types(types: list[Array]) -> Array:
    """Returns the keypoint types of the first category, and after them the types that only others have."""
    first, *others = types
    more = set(np.concatenate(others).tolist() if others else ()) - {-1, *first.tolist()}
    return np.concatenate([first, np.array(sorted(more), np.int64)])


def with_types(category: dict[str, Any], order: Array, skeleton: Skeleton) -> dict[str, Any]:
    """Returns a category with the keypoints of `order`; unchanged if it has them all."""
    more = order[len(category["keypoints"]) :]
    if not len(more):
        return category
    own = Skeleton.from_category({**category, "skeleton": []})
    names = [*own.keypoints, *(skeleton.keypoints[i] for i in more)]
    sigmas = np.concatenate([own.sigmas, skeleton.sigmas[more]])
    return Skeleton.build(own.name, names, oks_sigmas=sigmas.tolist()).to_category(category["id"])


def with_keypoints(annotation: dict[str, Any], types: Array, order: Array, category_id: int) -> dict[str, Any]:
    """Returns a copy of an annotation with its keypoints in another order, and in another category.

    Args:
        annotation: a crowd may have no keypoints.
        types: ``(K,)`` the type of each of its keypoints, -1 = none: its label is removed.
        order: the types in the new order; a type that the annotation lacks becomes 0, 0, 0.
        category_id: the new category.
    """
    row = {**annotation, "category_id": category_id}
    if not annotation.get("keypoints") or (np.array_equal(types, order) and (order >= 0).all()):
        return row
    old = np.reshape(np.array(annotation["keypoints"], dtype=np.float64), (-1, 3))
    of_type = {kind: keypoint for kind, keypoint in zip(types.tolist(), old, strict=True) if kind >= 0}
    new = np.array([of_type.get(kind, np.zeros(3)) for kind in order.tolist()])
    row["keypoints"] = new.ravel().tolist()
    # counted anew: pycocotools ignores a person with 0 keypoints
    return {**row, "num_keypoints": int((new[:, 2] > 0).sum())} if (types < 0).any() else row
