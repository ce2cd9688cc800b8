"""Predictions for the groups of MPII Multi-Person, in the file that MPII's published toolkit reads.

The toolkit (evalMPII, function evaluateAP) loads an array of structures ``pred`` with one entry for each evaluated
group of the test images, in the order of the release: ``pred(i).annorect(p).annopoints.point(k)`` has ``x``, ``y``,
``id`` (0 to 15) and ``score`` of a keypoint. The labels of the test images are not published.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from associative_embedding.evaluation.metrics.mpii_groups import Groups, evaluated_groups
from associative_embedding.evaluation.metrics.mpii_people import GROUP_KEY, in_mpii_order, mpii_categories
from associative_embedding.io.counts import counted
from associative_embedding.io.write_matlab import write_matlab

FILE = "pred_keypoints_mpii_multi.mat"  # the toolkit's name, in a folder for each method


def mpii_submission_path(name: str) -> str:
    """Returns the file of a method: the toolkit's name in the folder `name`."""
    return os.path.join(name, FILE)


def check_release(dataset: Mapping[str, Any], groups: Groups, name: str) -> None:
    """Checks that a dataset has every group of its part of MPII: the toolkit counts them.

    Args:
        dataset: a COCO dataset that ``ae data mpii`` wrote.
        groups: of `read_groups`.
        name: of the dataset, for messages.

    Raises:
        ValueError: for a dataset of both parts, of an older version, or without some of the images.
    """
    info = dataset.get("info")
    left_out = info.get("mpii_left_out") if isinstance(info, Mapping) else None
    if not isinstance(left_out, list) or any("mpii_single" not in image for image in dataset["images"]):
        raise ValueError(f"{name}: a submission needs the json that 'ae data mpii' of this version writes")
    if len({image["mpii_train"] for image in dataset["images"]}) > 1:
        raise ValueError(f"{name}: has training and test images, and the toolkit evaluates one part: --part test")
    count = sum(bool(groups_of(image, groups)) for image in left_out)
    if count:
        raise ValueError(
            f"{name}: lacks {counted(count, 'image')} with groups, missing in the folder, and the toolkit evaluates "
            "every group: add the files and run 'ae data mpii' again"
        )


def groups_of(image: Mapping[str, Any], groups: Groups) -> list[list[int]]:
    """Returns the evaluated groups of an image."""
    return evaluated_groups(groups[image["mpii_index"]], image["mpii_single"])


def mpii_predictions(
    dataset: Mapping[str, Any], groups: Groups, results: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Returns the toolkit's ``pred``: an entry for each evaluated group, in the order of the release.

    Args:
        dataset: a COCO dataset that ``ae data mpii`` wrote.
        groups: of `read_groups`.
        results: COCO results with `GROUP_KEY`; the third number of a keypoint is its score, 0 = not predicted.
    """
    names = mpii_categories(dataset, "annotations")
    found: dict[tuple[Any, int], list[dict[str, Any]]] = defaultdict(list)
    for row in results:
        person = person_of(row, names[row["category_id"]])
        if person is not None:
            found[row["image_id"], row[GROUP_KEY]].append(person)
    images = sorted(dataset["images"], key=lambda image: int(image["mpii_index"]))
    return [
        {"image": {"name": image["file_name"]}, "annorect": found[image["id"], i]}
        for image in images
        for i in range(len(groups_of(image, groups)))
    ]


def person_of(result: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """Returns one ``annorect`` of the toolkit; None for a person without keypoints of MPII."""
    keypoints = in_mpii_order(result["keypoints"], names, "a result")
    points = [
        {"x": x, "y": y, "id": float(number), "score": score}
        for number, (x, y, score) in enumerate(keypoints.tolist())
        if score
    ]
    return {"annopoints": {"point": points}} if points else None


def write_mpii_predictions(
    dataset: Mapping[str, Any], groups: Groups, path: str, results: list[dict[str, Any]]
) -> None:
    """Writes `mpii_predictions`.

    Raises:
        OSError: when the file cannot be written.
    """
    write_matlab(path, "pred", mpii_predictions(dataset, groups, results))
