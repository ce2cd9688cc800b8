"""MPII's protocols on a COCO json and COCO results: who is evaluated together, in which region, in which head sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding.evaluation.metrics.coco_eval import Metrics, read_truth
from associative_embedding.evaluation.metrics.mpii import (
    PERSON_HEIGHT,
    PeopleGroup,
    assign_to_group,
    group_region,
    head_size,
    mpii_multiperson_ap,
    pckh,
)
from associative_embedding.evaluation.metrics.oks import checked_results, format_table
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.known_skeletons import MPII_16

# MPII's head top and upper neck lie 0.8 diagonals of the head box apart and the head size is 0.6 of them
HEAD_PER_NECK = 0.75
LEFT_OUT = ("groups", "groups_left_out", "single_people")


@dataclass(frozen=True)
class Person:
    """An annotated person.

    Attributes:
        keypoints: ``(16, 3)`` x, y in pixels and visibility, in MPII's order.
        head_size: pixels, 0 if it is not known.
        objpos: ``(2,)`` x, y in pixels of the body's centre.
        scale: height / 200 pixels.
        number: place in the image's annotation, as `read_groups` counts; None if the json does not say.
        single: stands apart from all others.
    """

    keypoints: Array
    head_size: float
    objpos: Array
    scale: float
    number: int | None
    single: bool

    @property
    def labelled(self) -> bool:
        return bool((self.keypoints[:, 2] > 0).any())


@dataclass(frozen=True)
class Scene:
    """One image.

    Attributes:
        predicted: ``(P, 16, 3)`` x, y in pixels and the keypoint's score.
        score: ``(P,)`` of the predicted people.
        teams: people who are evaluated together.
        singles: people who are evaluated alone.
    """

    predicted: Array
    score: Array
    teams: list[list[Person]]
    singles: list[Person]


def state_head_sizes(dataset: dict[str, Any]) -> dict[str, Any]:
    """A copy in which every annotation of MPII's keypoints has a ``head_size``.

    That is 0.6 x the diagonal of its ``head_box``, or without one `HEAD_PER_NECK` of the distance from head top to
    upper neck, or 0. It must be stated before labels are removed that a model does not know.
    """
    names = {c["id"]: c["keypoints"] for c in dataset["categories"] if c.get("keypoints")}
    rows = [
        {**row, "head_size": size_of_head(row, names[row["category_id"]])} if row.get("category_id") in names else row
        for row in dataset["annotations"]
    ]
    return {**dataset, "annotations": rows}


def size_of_head(annotation: Mapping[str, Any], names: Sequence[str]) -> float:
    """Pixels; 0 if it is not known. `names`: of the annotation's keypoints."""
    if annotation.get("head_size") is not None:
        return float(annotation["head_size"])
    if annotation.get("head_box"):
        return float(head_size(np.array([annotation["head_box"]], dtype=np.float64))[0])
    if not annotation.get("keypoints") or not {"head_top", "upper_neck"} <= set(names):
        return 0.0
    top, neck = (
        np.array(annotation["keypoints"][3 * i : 3 * i + 3]) for i in map(names.index, ("head_top", "upper_neck"))
    )
    return HEAD_PER_NECK * float(np.hypot(*(top - neck)[:2])) if top[2] > 0 and neck[2] > 0 else 0.0


def evaluate_mpii(
    truth: Mapping[str, Any] | str | Path,
    results: Sequence[Mapping[str, Any]],
    *,
    groups: Sequence[Sequence[Array]] | None = None,
    name: str | None = None,
) -> Metrics:
    """MPII Multi-Person AP, and PCKh of the people who stand alone.

    A prediction counts in the group in whose region it lies, see `assign_to_group`; others are bystanders. Groups with
    a person who is not in the json, has no labels, or whose head size is not known are left out, with the predictions
    in their region.
    Without ``objpos`` and ``scale`` the centre and the longer side of the person's box are taken.
    For PCKh a person's prediction is the best scored one in the person's own region.

    Args:
        truth: a COCO dataset, or the path of its json, whose keypoints have MPII's names; those of other names do not
            count. It may have the keys that `data.mpii.mpii_to_coco` adds.
        results: COCO results in the order of the truth's keypoints; a keypoint's third number is its own score, 0 = not
            predicted. Every prediction counts, however low its score.
        groups: of `read_groups`; those of several people are evaluated. None: all labelled people of an image are one.
        name: what messages call the truth, by default its path.

    Returns:
        Head ... Ankle, Total and the same with "PCKh " before it, in percent, None where nothing is annotated; and the
        numbers of groups, of groups left out and of single people.

    Raises:
        ValueError: for a truth or a result that cannot be read or scored; the line says which one and why.
    """
    dataset, where = read_truth(truth, name)
    category = mpii_category(dataset, where)
    scenes = read_scenes(dataset, category, results, groups, where)
    teams = [team for scene in scenes for team in scored_teams(scene)]
    singles = [single for scene in scenes for single in scored_singles(scene)]
    total = sum(len(scene.teams) for scene in scenes)
    alone = pckh(*(np.concatenate(rows) for rows in zip(*singles, strict=True))) if singles else pckh(*nobody())
    return {
        **mpii_multiperson_ap(teams),
        **{f"PCKh {column}": value for column, value in alone.items()},
        **dict(zip(LEFT_OUT, (len(teams), total - len(teams), len(singles)), strict=True)),
    }


def nobody() -> tuple[Array, Array, Array]:
    return np.zeros((0, 16, 3)), np.zeros((0, 16, 3)), np.zeros(0)


def format_mpii(metrics: Mapping[str, float | None]) -> str:
    """The paper's eight columns for groups of people and for single people, in percent; what else there is below."""
    columns = [key.removeprefix("PCKh ") for key in metrics if key.startswith("PCKh ")]
    known = {*LEFT_OUT, *columns, *(f"PCKh {column}" for column in columns)}
    rest = {key: value for key, value in metrics.items() if key not in known}
    groups, left_out, single = (int(metrics[key] or 0) for key in LEFT_OUT)
    lines = [
        "    " + "".join(f"{column:>9}" for column in columns),
        "AP  " + percentages(metrics, columns) + f"   {groups} groups, {left_out} left out",
        "PCKh" + percentages(metrics, [f"PCKh {column}" for column in columns]) + f"   {single} single people",
    ]
    return "\n".join([*lines, format_table(rest)] if rest else lines)


def percentages(metrics: Mapping[str, float | None], names: Sequence[str]) -> str:
    values = [metrics[name] for name in names]
    return "".join(f"{'none' if value is None else format(value, '.1f'):>9}" for value in values)


# ---- reading


def mpii_category(dataset: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The category that has most of MPII's keypoints."""
    common = [(len(set(c.get("keypoints") or ()) & set(MPII_16.keypoints)), c) for c in dataset["categories"]]
    count, category = max(common, key=lambda pair: pair[0], default=(0, {}))
    if not count:
        raise ValueError(f"{where}: no category has one of MPII's keypoints ({', '.join(MPII_16.keypoints)})")
    return category


def in_mpii_order(keypoints: Any, names: Sequence[str], where: str) -> Array:
    """``(16, 3)`` of a flat list; what it lacks is 0."""
    flat = np.array(keypoints or [0] * (3 * len(names)), dtype=np.float64)
    if flat.shape != (3 * len(names),):
        raise ValueError(f"{where} has {flat.size} keypoint numbers, not 3 x {len(names)}")
    ordered = np.zeros((len(MPII_16), 3))
    for name, keypoint in zip(names, flat.reshape(-1, 3), strict=True):
        if name in MPII_16.index:
            ordered[MPII_16.index[name]] = keypoint
    return ordered


def read_scenes(
    dataset: Mapping[str, Any],
    category: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    groups: Sequence[Sequence[Array]] | None,
    where: str,
) -> list[Scene]:
    names, ids = category["keypoints"], {image["id"] for image in dataset["images"]}
    people: dict[Any, list[Person]] = {key: [] for key in ids}
    apart_is_stated = any("single_person" in row for row in dataset["annotations"])
    for number, row in enumerate(dataset["annotations"], start=1):
        if row.get("category_id") == category["id"] and not row.get("iscrowd") and row.get("image_id") in ids:
            text = f"{where}: annotation {row.get('id', number)} of image {row['image_id']}"
            people[row["image_id"]].append(read_person(row, names, text))
    found: dict[Any, list[Mapping[str, Any]]] = {key: [] for key in ids}
    for result in checked_results(results, ids, {category["id"]: len(names)}):
        found[result["image_id"]].append(result)
    return [
        Scene(
            predicted=np.array([in_mpii_order(r["keypoints"], names, where) for r in found[key]]).reshape(-1, 16, 3),
            score=np.array([r["score"] for r in found[key]]),
            teams=teams_of(image, people[key], groups, where),
            singles=singles_of(people[key], apart_is_stated),
        )
        for key, image in ((image["id"], image) for image in dataset["images"])
    ]


def read_person(annotation: Mapping[str, Any], names: Sequence[str], where: str) -> Person:
    keypoints = in_mpii_order(annotation.get("keypoints"), names, where)
    x, y, width, height = annotation.get("bbox") or box_around(keypoints)
    objpos, scale = annotation.get("objpos"), annotation.get("scale")
    return Person(
        keypoints=keypoints,
        head_size=size_of_head(annotation, names),
        objpos=np.array(objpos or (x + width / 2, y + height / 2), dtype=np.float64),
        scale=float(scale or max(width, height, 1.0) / PERSON_HEIGHT),
        number=annotation.get("mpii_person"),
        single=bool(annotation.get("single_person")),
    )


def box_around(keypoints: Array) -> list[float]:
    """x, y, width, height of the labelled keypoints."""
    xy = keypoints[keypoints[:, 2] > 0, :2]
    return [*xy.min(axis=0).tolist(), *np.ptp(xy, axis=0).tolist()] if len(xy) else [0.0] * 4


def teams_of(
    image: Mapping[str, Any], people: list[Person], groups: Sequence[Sequence[Array]] | None, where: str
) -> list[list[Person]]:
    """The groups of people of one image; an empty one where the json does not have all of its people."""
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
    several = [group.tolist() for group in groups[index] if len(group) > 1]
    return [[of_number[n] for n in group] if of_number.keys() >= set(group) else [] for group in several]


def singles_of(people: list[Person], apart_is_stated: bool) -> list[Person]:
    """Those who stand apart, or where the json does not say so of anybody, the only labelled person of the image."""
    labelled = [person for person in people if person.labelled]
    return [p for p in labelled if p.single] if apart_is_stated else labelled if len(labelled) == 1 else []


# ---- who is compared with whom


def scored_teams(scene: Scene) -> list[PeopleGroup]:
    """The groups that can be scored, each with the predictions in its region."""
    teams = [team for team in scene.teams if team]
    if not teams:
        return []
    regions = [group_region(np.stack([p.objpos for p in t]), np.array([p.scale for p in t])) for t in teams]
    of = assign_to_group(scene.predicted, np.stack([box for box, _ in regions]), np.array([s for _, s in regions]))
    return [
        PeopleGroup(
            scene.predicted[of == i], np.stack([p.keypoints for p in team]), np.array([p.head_size for p in team])
        )
        for i, team in enumerate(teams)
        if all(p.labelled and p.head_size > 0 for p in team)
    ]


def scored_singles(scene: Scene) -> list[tuple[Array, Array, Array]]:
    """``(1, 16, 3)`` predicted and true keypoints and ``(1,)`` head size of each single person."""
    rows = []
    for person in scene.singles:
        region, scale = group_region(person.objpos[None], np.array([person.scale]))
        near = np.flatnonzero(assign_to_group(scene.predicted, region[None], np.array([scale])) == 0)
        best = near[scene.score[near].argmax()] if len(near) else None
        predicted = np.zeros((1, 16, 3)) if best is None else scene.predicted[best][None]
        if person.head_size > 0:
            rows.append((predicted, person.keypoints[None], np.array([person.head_size])))
    return rows
