"""Object keypoint similarity (OKS), and the official COCO and CrowdPose keypoint metrics for any skeleton.

The COCO numbers are the ten columns of the paper's tables 2 and 3. pycocotools matches and averages. This file adds the
sigmas of each category's own skeleton, and checks the files: some faults would crash pycocotools, others would change
the numbers without a message.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from associative_embedding.evaluation.metrics.coco_eval import (
    Metrics,
    check_result,
    official_numbers,
    read_truth,
    wanted_images,
)
from associative_embedding.io.coco_json import AREA_PER_BOX
from associative_embedding.io.console import list_briefly, remark
from associative_embedding.io.counts import counted
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.oks_sigmas import checked_sigmas
from associative_embedding.structures.skeleton import Skeleton

# the order of pycocotools' stats, and of the paper's tables
KEYPOINT_METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
CROWD_METRICS = ("AP", "AP50", "AP75", "AR", "AR50", "AR75")  # CrowdPose does not report sizes of people
# [low, high) of an image's crowdIndex
CROWD_LEVELS = {"AP_easy": (-math.inf, 0.2), "AP_medium": (0.2, 0.8), "AP_hard": (0.8, math.inf)}


def oks(predicted: Array, truth: Array, area: Array, sigmas: Sequence[float] | Array) -> Array:
    """Object keypoint similarity: mean over the labelled keypoints of ``exp(-d² / (2 area (2 sigma)²))``.

    The definition of the COCO keypoint evaluation (cocodataset.org/#keypoints-eval); d is the distance in pixels.

    Args:
        predicted: ``(N, K, 3)`` x, y in pixels; the third number is not read.
        truth: ``(M, K, 3)`` x, y in pixels and visibility; > 0 is labelled.
        area: ``(M,)`` area of each true person, in square pixels.
        sigmas: ``(K,)`` annotation noise of each keypoint type, as a share of the square root of the area.

    Returns:
        ``(N, M)`` float64 in [0, 1]; 0 for a true person without labelled keypoints. For all others the result equals
        pycocotools' ``computeOks``.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    predicted, truth, area, sigma = (np.asarray(a, dtype=np.float64) for a in (predicted, truth, area, sigmas))
    count = len(sigma)
    if predicted.shape[1:] != (count, 3) or truth.shape[1:] != (count, 3) or area.shape != truth.shape[:1]:
        raise ValueError(
            f"oks needs predicted (N, {count}, 3), truth (M, {count}, 3) and area (M,) for {count} sigmas, "
            f"not {predicted.shape}, {truth.shape} and {area.shape}"
        )
    labelled = truth[:, :, 2] > 0  # (M, K)
    squared = ((predicted[:, None, :, :2] - truth[None, :, :, :2]) ** 2).sum(axis=-1)  # (N, M, K)
    # np.spacing(1) as in pycocotools: it keeps an area of 0 from a division by 0
    exponent = squared / (2 * sigma) ** 2 / (area[:, None] + np.spacing(1)) / 2
    similarity: Array = np.where(labelled, np.exp(-exponent), 0).sum(axis=-1)
    similarity /= np.maximum(labelled.sum(axis=-1), 1)
    return similarity


def evaluate_keypoints(
    truth: Mapping[str, Any] | str | Path,
    results: Sequence[Mapping[str, Any]],
    *,
    sigmas: Sequence[float] | None = None,
    image_ids: Sequence[int] | None = None,
    use_area: bool = True,
    name: str | None = None,
) -> Metrics:
    """Returns the ten official COCO keypoint metrics, averaged over the categories that have keypoints.

    Args:
        truth: a COCO dataset, or the path of its json. People without labelled keypoints and crowds are ignored
            regions, as in the official evaluation. A missing ``area`` is replaced by the area of the ``bbox``, or of
            the box around the labelled keypoints. Annotation ids are not read (pycocotools miscounts an id of 0).
        results: COCO results: ``image_id``, ``category_id``, ``keypoints`` (3 K numbers), ``score`` and, in all of them
            or in none, ``bbox`` xywh, whose area sorts unmatched results into sizes. The 20 results with the highest
            scores count in each image.
        sigmas: K numbers, for all categories; None = the sigmas of each category's skeleton (`Skeleton.from_category`).
        image_ids: evaluates these images only; None = all.
        use_area: False = the area of a person is 0.53 of its box, even if the dataset contains an area.
        name: name of the dataset in error messages; None = its path.

    Returns:
        AP, AP50, AP75, APM, APL, AR, AR50, AR75, ARM, ARL in [0, 1]; None if the dataset has no person of this size.

    Raises:
        ValueError: if the dataset or a result cannot be read or scored; the message names the entry.
    """
    dataset, where = read_truth(truth, name)
    sigmas_of = category_sigmas(dataset, sigmas, where)
    wanted = wanted_images(dataset, image_ids, where)
    counts = {category: len(s) for category, s in sigmas_of.items()}
    annotations = [
        checked_truth(a, i, counts[a["category_id"]], where, use_area=use_area)
        for i, a in enumerate(dataset["annotations"], start=1)
        if a.get("category_id") in counts
    ]
    if image_ids is None:
        remark_areas(annotations, where)
    found = checked_results(results, {image["id"] for image in dataset["images"]}, counts)
    return official_numbers(
        KEYPOINT_METRICS,
        partial(SkeletonEval, sigmas_of=sigmas_of),
        {**dataset, "annotations": annotations},
        found,
        image_ids=wanted,
        category_ids=sorted(sigmas_of),
    )


def evaluate_crowdpose(
    truth: Mapping[str, Any] | str | Path, results: Sequence[Mapping[str, Any]], *, name: str | None = None
) -> Metrics:
    """Returns the CrowdPose metrics (Li et al., CVPR 2019): COCO's, and AP by the crowding of an image.

    As in the published evaluation code, the area of a person is 0.53 of its box.

    Args:
        truth: a COCO dataset, or the path of its json. The ``crowdIndex`` of an image makes it easy (below 0.2), medium
            or hard (from 0.8 on). If no image has one, the AP of the levels is None.
        results: as for `evaluate_keypoints`.
        name: name of the dataset in error messages; None = its path.

    Returns:
        AP, AP50, AP75, AR, AR50, AR75, AP_easy, AP_medium, AP_hard in [0, 1]; None if there is nothing to find.

    Raises:
        ValueError: as `evaluate_keypoints`, and if only some images have a ``crowdIndex``.
    """
    dataset, where = read_truth(truth, name)
    without = [image["id"] for image in dataset["images"] if "crowdIndex" not in image]
    # images without an index would be left out of all three levels without a message
    if 0 < len(without) < len(dataset["images"]):
        raise ValueError(f"{where}: image {without[0]} has no 'crowdIndex', but others have one")
    overall = evaluate_keypoints(dataset, results, use_area=False, name=where)
    metrics = {key: overall[key] for key in CROWD_METRICS}
    for level, (low, high) in CROWD_LEVELS.items():
        # NaN is in no interval
        ids = [image["id"] for image in dataset["images"] if low <= image.get("crowdIndex", math.nan) < high]
        metrics[level] = (
            evaluate_keypoints(dataset, results, image_ids=ids, use_area=False, name=where)["AP"] if ids else None
        )
    return metrics


def remark_areas(annotations: Sequence[Mapping[str, Any]], where: str) -> None:
    """Prints how many labelled people have an area of 0, if any: their OKS with every result is 0."""
    lost = [str(a["image_id"]) for a in annotations if not a["area"] and a["num_keypoints"] and not a["iscrowd"]]
    if lost:
        images = list_briefly(list(dict.fromkeys(lost)))
        people = counted(len(lost), "person", "people")
        remark(f"{where}: {people} with an area of 0, which counts as missed (images {images}); state 'area'")


def category_sigmas(
    dataset: Mapping[str, Any], sigmas: Sequence[float] | None, where: str = "truth"
) -> dict[int, Array]:
    """Category id -> ``(K,)`` sigmas, for the categories with keypoints.

    Raises:
        ValueError: if no category has keypoints, or the sigmas are not K numbers in the range of `checked_sigmas`.
    """
    found: dict[int, Array] = {}
    for category in dataset["categories"]:
        if not category.get("keypoints"):
            continue
        # without its edges: CrowdPose's own files carry the edges of COCO's 17 keypoints, which their 14 lack
        skeleton = Skeleton.from_category({**category, "skeleton": []})
        stated = skeleton.oks_sigmas if sigmas is None else sigmas
        found[category["id"]] = np.array(
            checked_sigmas(stated, len(skeleton), f"{where}: category {skeleton.name!r}"), np.float64
        )
    if not found:
        raise ValueError(f"{where}: no category with 'keypoints'")
    return found


def checked_truth(
    annotation: Mapping[str, Any], number: int, count: int, name: str, *, use_area: bool
) -> dict[str, Any]:
    """Returns a copy of an annotation that pycocotools can score.

    Args:
        number: its new id, above 0: pycocotools marks an unmatched result by the id 0.
        count: K, the number of keypoints of its category.
        name: name of the dataset in error messages.
        use_area: see `evaluate_keypoints`.

    Raises:
        ValueError: if the image id, the keypoints or a box that is needed are missing or wrong.
    """
    where = f"{name}: annotation {annotation.get('id', number)} of image {annotation.get('image_id')}"
    if "image_id" not in annotation:
        raise ValueError(f"{where}: it has no 'image_id'")
    keypoints = annotation.get("keypoints") or [0] * (3 * count)
    if len(keypoints) != 3 * count:
        raise ValueError(f"{where} has {len(keypoints)} keypoint numbers, not 3 x {count}")
    xyv = np.array(keypoints, dtype=np.float64).reshape(-1, 3)
    labelled_xy = xyv[xyv[:, 2] > 0, :2]
    labelled = len(labelled_xy)
    box = annotation.get("bbox")
    if box is None and not (use_area and labelled):
        reason = "without labels" if use_area else "for its area"
        raise ValueError(f"{where} has no 'bbox', which is needed {reason}")
    width, height = box[2:] if box is not None else np.ptp(labelled_xy, axis=0).tolist()
    area = annotation.get("area")
    if not use_area:
        area = width * height * AREA_PER_BOX
    counted = annotation.get("num_keypoints")
    return {
        "id": number,
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "keypoints": list(keypoints),
        "num_keypoints": labelled if counted is None else counted,
        "iscrowd": annotation.get("iscrowd") or 0,
        # pycocotools reads the box of a person without labels only, and that box was required above
        "bbox": box if box is not None else [0, 0, 0, 0],
        "area": width * height if area is None else area,
    }


def checked_results(
    results: Sequence[Mapping[str, Any]], images: set[Any], counts: Mapping[int, int]
) -> list[dict[str, Any]]:
    """Returns copies of the results with only the keys that pycocotools reads; it adds keys to what it is given.

    Args:
        images: ids of the images of the dataset.
        counts: category id -> K.

    Raises:
        ValueError: if a result has a missing key, an unknown image or category, or numbers that are not 3 K and finite.
    """
    checked = []
    keys = {"image_id", "category_id", "keypoints", "score"}
    # pycocotools decides by the first result whether results have boxes, and reads a box of all of them
    if any(r.get("bbox") for r in results):
        keys.add("bbox")
    for number, result in enumerate(results):
        where = check_result(result, number, keys, images)
        if result["category_id"] not in counts:
            raise ValueError(f"{where}: the truth has no category {result['category_id']} with keypoints")
        count = counts[result["category_id"]]
        if len(result["keypoints"]) != 3 * count:
            raise ValueError(f"{where} has {len(result['keypoints'])} keypoint numbers, not 3 x {count}")
        # NaN compares as false with every threshold: pycocotools would score it without a message
        if not np.isfinite([*result["keypoints"], result["score"], *(result.get("bbox") or ())]).all():
            raise ValueError(f"{where} has a number that is not finite")
        checked.append({key: result[key] for key in keys})
    return checked


class SkeletonEval(COCOeval):  # type: ignore[misc]
    """pycocotools' evaluation with the sigmas of each category; pycocotools has one set of 17 for all.

    Args:
        sigmas_of: category id -> ``(K,)`` sigmas.
    """

    def __init__(self, truth: COCO, found: COCO, sigmas_of: Mapping[int, Array]) -> None:
        super().__init__(truth, found, "keypoints")
        self.sigmas_of = sigmas_of

    def computeOks(self, imgId: int, catId: int) -> Any:
        # only this method reads the sigmas, once for each image and category
        self.params.kpt_oks_sigmas = self.sigmas_of[catId]
        return super().computeOks(imgId, catId)
