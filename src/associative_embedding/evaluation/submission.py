"""Results for a test set whose annotations are not published: the official file, and no metrics."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from associative_embedding.data.readers.coco_entries import int_id
from associative_embedding.data.readers.coco_images import CocoImages
from associative_embedding.data.readers.keypoint_categories import keypoint_types
from associative_embedding.data.sources import select_test_images
from associative_embedding.evaluation.poses import coco_results
from associative_embedding.evaluation.results_file import keeping
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.console import errors_name
from associative_embedding.io.progress import Progress
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.known_skeletons import SKELETONS
from associative_embedding.structures.skeleton import Skeleton

# The files of COCO's test sets, and those of the sets with published annotations.
SET_FILE = re.compile(r"(?:image_info|person_keypoints)_([A-Za-z0-9-]+)\.json(?:\.gz)?")
SHORT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def submission_path(annotations: str, name: str) -> str:
    """Returns the zip file for COCO's server: ``person_keypoints_<set>_<name>_results.zip``.

    Args:
        annotations: path of ``image_info_<set>.json`` or ``person_keypoints_<set>.json``.
        name: of the method, also with a folder before it.

    Raises:
        ValueError: for annotations that do not name a set, or a name with other characters than the server takes.
    """
    found = SET_FILE.fullmatch(os.path.basename(annotations))
    if found is None:
        raise ValueError(
            f"{annotations}: a submission is named after its test set, which the file must name: image_info_SET.json "
            "or person_keypoints_SET.json; --results FILE writes the same results under any name"
        )
    folder, short = os.path.split(name)
    if not SHORT_NAME.fullmatch(short):
        raise ValueError(f"the submission's name must be letters, digits, '-', '_' and '.', not {short[:40]!r}")
    return os.path.join(folder, f"person_keypoints_{found[1]}_{short}_results.zip")


@dataclass(frozen=True)
class PoseImages:
    """Images without annotations, ready for models with one skeleton.

    Attributes:
        data: the images.
        category_id: of the people in the results.
        order: ``(K,)`` the model's type of each keypoint in the results, -1 = the model lacks it: 0, 0, 0.
        name: of the json, for messages.
    """

    data: CocoImages
    category_id: int
    order: Array
    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """What was predicted, for json."""
        return {"annotations": self.name, "images": len(self.data)}


def open_pose_images(
    annotations: str,
    images: str,
    skeleton: Skeleton,
    *,
    held_out_share: float = 0.0,
    ids: str | None = None,
    limit: int = 0,
) -> PoseImages:
    """Reads a COCO json without annotations; arguments: see `poses.open_pose_test_set`.

    Raises:
        ValueError: for a json that cannot be used, or when no image is left.
    """
    data = CocoImages(annotations, images)
    category_id, order = keypoints_of_results(annotations, data.categories, skeleton)
    data = select_test_images(data, held_out_share, limit, annotations, ids)
    return PoseImages(data, category_id, order, annotations)


def keypoints_of_results(
    annotations: str, categories: Sequence[dict[str, Any]], skeleton: Skeleton
) -> tuple[int, Array]:
    """Returns the category id of the results, and `PoseImages.order`.

    Raises:
        ValueError: when no category has keypoints that the skeleton has.
    """
    if not any(category.get("keypoints") for category in categories):
        # COCO's test sets list the 80 classes of its masks, without keypoints. Those of people are known.
        people = [category for category in categories if category.get("name") == "person"]
        categories = [SKELETONS["coco-17"].to_category(int_id(c, f"{annotations}: category")) for c in people]
    number, order = next(iter(keypoint_types(annotations, categories, skeleton, {}).items()))
    return number, order


def find_without_truth(predictor: Predictor, images: PoseImages, results_path: str) -> int:
    """Predicts images, and writes official COCO results, now and then during the work.

    Returns:
        the number of people.

    Raises:
        ValueError: when an image cannot be read, or the network's output is not finite; the results so far are kept.
        KeyboardInterrupt: the results so far are kept.
    """
    results: list[dict[str, Any]] = []
    data = images.data.read_as(predictor.reading)
    records = data.records
    with keeping(results, results_path, len(records)) as done:
        for record in Progress(records, "predict", "image"):
            with errors_name(record.file_name):
                people = predictor.find(np.asarray(data.pixels(record)))
            results += coco_results([(record.image_id, people)], category_id=images.category_id, order=images.order)
            done()
    return len(results)
