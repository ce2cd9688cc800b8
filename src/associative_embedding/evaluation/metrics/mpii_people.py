"""Reads what MPII's protocols evaluate from a COCO dataset and COCO results: people, groups, single people, head sizes.

Beside COCO's keys the annotations may have the keys that `data.preparation.mpii.mpii_to_coco` writes: ``head_box``,
``objpos``, ``scale``, ``mpii_person`` and ``single_person``, the images ``mpii_index`` and ``mpii_single``. A result
that was predicted for one group (`evaluation.group_views`) has its place in the image as `GROUP_KEY`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from associative_embedding.data.preparation.mpii_file import PERSON_HEIGHT
from associative_embedding.evaluation.metrics.mpii import head_sizes
from associative_embedding.evaluation.metrics.mpii_groups import evaluated_groups
from associative_embedding.evaluation.metrics.oks import checked_results
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.known_skeletons import MPII_16

GROUP_KEY = "mpii_group"
# MPII annotates head top and upper neck 0.8 diagonals of the head box apart; the head size is 0.6 diagonals
HEAD_PER_NECK = 0.75


@dataclass(frozen=True)
class MpiiPerson:
    """An annotated person.

    Attributes:
        keypoints: ``(16, 3)`` x, y in pixels and visibility, in MPII's order.
        head_size: pixels; 0 = not known.
        objpos: ``(2,)`` x, y in pixels, roughly the centre of the body.
        scale: height / 200 pixels.
        number: index of the person in MPII's annotation of the image, from 0 as in `read_groups`; None = not stated.
        single: the person stands apart from all others.
    """

    keypoints: Array
    head_size: float
    objpos: Array
    scale: float
    number: int | None
    single: bool

    @property
    def labelled(self) -> bool:
        """True for a person with at least one annotated keypoint."""
        return bool((self.keypoints[:, 2] > 0).any())


@dataclass(frozen=True)
class MpiiScene:
    """The predictions and people of one image.

    Attributes:
        predicted: ``(P, 16, 3)`` x, y in pixels and the score of the keypoint.
        score: ``(P,)`` scores of the predicted people.
        stated: ``(P,)`` int64, the group that each was predicted for, -1 = none; None = not stated.
        groups: people who are evaluated together; empty where one of them is not in the dataset.
        single_people: people who are evaluated alone.
    """

    predicted: Array
    score: Array
    stated: Array | None
    groups: list[list[MpiiPerson]]
    single_people: list[MpiiPerson]


def add_head_sizes(dataset: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy of the dataset in which each annotation with keypoints has a ``head_size``, see `head_size_of`.

    Call it before labels are removed that a model does not have: the head size needs the labels of the head.
    """
    names = {c["id"]: c["keypoints"] for c in dataset["categories"] if c.get("keypoints")}
    rows = [
        {**row, "head_size": head_size_of(row, names[row["category_id"]])} if row.get("category_id") in names else row
        for row in dataset["annotations"]
    ]
    return {**dataset, "annotations": rows}


def head_size_of(annotation: Mapping[str, Any], names: Sequence[str]) -> float:
    """Returns the head size of an annotation in pixels, 0 if it is not known.

    The first that is there: the stated ``head_size``; 0.6 x the diagonal of the ``head_box``; 0.75 x the distance from
    head top to upper neck.

    Args:
        names: names of the annotation's keypoints.
    """
    if annotation.get("head_size") is not None:
        return float(annotation["head_size"])
    if annotation.get("head_box"):
        return float(head_sizes(np.array([annotation["head_box"]], dtype=np.float64))[0])
    if not annotation.get("keypoints") or not {"head_top", "upper_neck"} <= set(names):
        return 0.0
    top, neck = (
        np.array(annotation["keypoints"][3 * i : 3 * i + 3]) for i in map(names.index, ("head_top", "upper_neck"))
    )
    return HEAD_PER_NECK * float(np.hypot(*(top - neck)[:2])) if top[2] > 0 and neck[2] > 0 else 0.0


def read_scenes(
    dataset: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    groups: Sequence[Sequence[Array]] | None,
    where: str,
) -> list[MpiiScene]:
    """Returns one scene for each image of the dataset, in its order.

    Args:
        dataset: a COCO dataset.
        results: COCO results.
        groups: see `evaluate_mpii`.
        where: name of the dataset in error messages.

    Raises:
        ValueError: for an entry that is missing or wrong; the message names it.
    """
    names_of, ids = mpii_categories(dataset, where), {image["id"] for image in dataset["images"]}
    # one pass over annotations and results, not one for each image: the release has 25,000 images
    people: dict[Any, list[MpiiPerson]] = {key: [] for key in ids}
    for number, row in enumerate(dataset["annotations"], start=1):
        if row.get("category_id") in names_of and not row.get("iscrowd") and row.get("image_id") in ids:
            text = f"{where}: annotation {row.get('id', number)} of image {row['image_id']}"
            people[row["image_id"]].append(read_person(row, names_of[row["category_id"]], text))
    found: dict[Any, list[Mapping[str, Any]]] = {key: [] for key in ids}
    checked = checked_results(results, ids, {key: len(names) for key, names in names_of.items()})
    for result, given in zip(checked, results, strict=True):
        found[result["image_id"]].append({**result, GROUP_KEY: given.get(GROUP_KEY)})
    single_is_stated = any("single_person" in row for row in dataset["annotations"])
    return [
        MpiiScene(
            predicted=np.array(
                [in_mpii_order(r["keypoints"], names_of[r["category_id"]], where) for r in found[key]]
            ).reshape(-1, 16, 3),
            score=np.array([r["score"] for r in found[key]]),
            stated=stated_groups(found[key]),
            groups=groups_of_image(image, people[key], groups, where),
            single_people=single_people_of(people[key], single_is_stated),
        )
        for key, image in ((image["id"], image) for image in dataset["images"])
    ]


def stated_groups(results: Sequence[Mapping[str, Any]]) -> Array | None:
    """Returns the groups that results were predicted for, ``(P,)`` int64; None unless all state one."""
    stated = [result.get(GROUP_KEY) for result in results]
    return None if None in stated else np.array(stated, np.int64)


def mpii_categories(dataset: Mapping[str, Any], where: str) -> dict[int, list[str]]:
    """Returns category id -> keypoint names, of the categories that have the most of MPII's keypoints.

    Raises:
        ValueError: if no category has one of them.
    """
    # by keypoint names: a dataset may call its category "person", "human" or anything else
    names_of = {c["id"]: c.get("keypoints") or [] for c in dataset["categories"]}
    common = {key: len(set(names) & set(MPII_16.keypoints)) for key, names in names_of.items()}
    most = max(common.values(), default=0)
    if not most:
        raise ValueError(f"{where}: no category has one of MPII's keypoints ({', '.join(MPII_16.keypoints)})")
    return {key: names_of[key] for key, count in common.items() if count == most}


def in_mpii_order(keypoints: Any, names: Sequence[str], where: str) -> Array:
    """Sorts a flat list of keypoints by name into ``(16, 3)``; a keypoint that it lacks is 0, 0, 0.

    Raises:
        ValueError: if the list does not have 3 numbers for each name.
    """
    flat = np.array(keypoints or [0] * (3 * len(names)), dtype=np.float64)
    if flat.shape != (3 * len(names),):
        raise ValueError(f"{where} has {flat.size} keypoint numbers, not 3 x {len(names)}")
    ordered = np.zeros((len(MPII_16), 3))
    for name, keypoint in zip(names, flat.reshape(-1, 3), strict=True):
        # a keypoint that MPII lacks (an ear of COCO, say) does not count
        if name in MPII_16.index:
            ordered[MPII_16.index[name]] = keypoint
    return ordered


def read_person(annotation: Mapping[str, Any], names: Sequence[str], where: str) -> MpiiPerson:
    """Reads one annotation. The box replaces a missing position and scale: its centre and its longer side."""
    keypoints = in_mpii_order(annotation.get("keypoints"), names, where)
    x, y, width, height = annotation.get("bbox") or box_around(keypoints)
    objpos, scale = annotation.get("objpos"), annotation.get("scale")
    return MpiiPerson(
        keypoints=keypoints,
        head_size=head_size_of(annotation, names),
        objpos=np.array(objpos or (x + width / 2, y + height / 2), dtype=np.float64),
        # at least 1 pixel: distances from a group's region are divided by the scale
        scale=float(scale or max(width, height, 1.0) / PERSON_HEIGHT),
        number=annotation.get("mpii_person"),
        single=bool(annotation.get("single_person")),
    )


def box_around(keypoints: Array) -> list[float]:
    """Returns x, y, width, height of the box around the labelled keypoints; zeros without any."""
    xy = keypoints[keypoints[:, 2] > 0, :2]
    return [*xy.min(axis=0).tolist(), *np.ptp(xy, axis=0).tolist()] if len(xy) else [0.0] * 4


def groups_of_image(
    image: Mapping[str, Any], people: list[MpiiPerson], groups: Sequence[Sequence[Array]] | None, where: str
) -> list[list[MpiiPerson]]:
    """Returns the groups of one image: those that MPII evaluates, or all labelled people as one group.

    A group is empty if one of its people is not in the dataset. It cannot be scored, but it is counted as left out.

    Raises:
        ValueError: if there are groups, but the image has no valid ``mpii_index``.
    """
    if groups is None:
        labelled = [person for person in people if person.labelled]
        return [labelled] if labelled else []
    index = image.get("mpii_index")
    if not isinstance(index, int) or not 0 <= index < len(groups):
        raise ValueError(
            f"{where}: image {image['id']}: groups need 'mpii_index', its place in the release, from 0 to "
            f"{len(groups) - 1}, not {index!r}; 'ae data mpii' writes it"
        )
    of_number = {person.number: person for person in people}
    evaluated = evaluated_groups(groups[index], image.get("mpii_single"))
    return [[of_number[n] for n in group] if of_number.keys() >= set(group) else [] for group in evaluated]


def single_people_of(people: list[MpiiPerson], single_is_stated: bool) -> list[MpiiPerson]:
    """Returns the labelled people of one image who stand apart.

    Args:
        single_is_stated: whether the dataset has the key ``single_person``. Without it, a person stands apart if no
            other person of the image is labelled.
    """
    labelled = [person for person in people if person.labelled]  # MPII withholds the labels of its test images
    if single_is_stated:
        return [person for person in labelled if person.single]
    return labelled if len(labelled) == 1 else []
