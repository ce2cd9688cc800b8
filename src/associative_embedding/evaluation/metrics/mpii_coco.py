"""MPII's protocols on a COCO dataset and COCO results: Multi-Person AP of groups, PCKh of single people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding.evaluation.metrics.coco_eval import Metrics, read_truth
from associative_embedding.evaluation.metrics.mpii import PeopleGroup, mpii_multiperson_ap, pckh
from associative_embedding.evaluation.metrics.mpii_groups import assign_to_group, group_region
from associative_embedding.evaluation.metrics.mpii_people import MpiiPerson, MpiiScene, read_scenes
from associative_embedding.evaluation.metrics.table import format_table
from associative_embedding.structures.arrays import Array

MPII_COUNTS = ("groups", "groups_left_out", "single_people")  # the metrics that are counts, not percentages


def evaluate_mpii(
    truth: Mapping[str, Any] | str | Path,
    results: Sequence[Mapping[str, Any]],
    *,
    groups: Sequence[Sequence[Array]] | None = None,
    name: str | None = None,
) -> Metrics:
    """Returns MPII Multi-Person AP (the paper's table 1), and PCKh of the people who stand alone.

    A prediction counts in the group that it states, or else in whose region it lies (`assign_to_group`); others are
    bystanders. A group is left out, with the predictions in its region, if one of its people is not in the dataset, has
    no labels, or has an unknown head size. The PCKh of a person counts the prediction with the highest score in the
    person's own region. The box of a person replaces a missing ``objpos`` (its centre) and ``scale`` (its longer side).

    Args:
        truth: a COCO dataset, or the path of its json. Its keypoints have MPII's names; others do not count.
        results: COCO results, with keypoints in the order of the dataset. The third number of a keypoint is its score,
            0 = not predicted. Every prediction counts, however low its score.
        groups: the result of `read_groups`, see `evaluated_groups`. None = all labelled people of an image are one
            group.
        name: name of the dataset in error messages; None = its path.

    Returns:
        Head ... Ankle, Total, and the same with "PCKh " before it, in percent, None where nothing is annotated; and the
        numbers of groups, of groups left out and of single people.

    Raises:
        ValueError: if the dataset or a result cannot be read or scored; the message names the entry.
    """
    dataset, where = read_truth(truth, name)
    scenes = read_scenes(dataset, results, groups, where)
    scored = [group for scene in scenes for group in scored_groups(scene)]
    single = [person for scene in scenes for person in scored_single_people(scene)]
    total = sum(len(scene.groups) for scene in scenes)
    # no_people comes first: np.concatenate needs an array, also if there is no single person
    alone = pckh(*(np.concatenate(rows) for rows in zip(no_people(), *single, strict=True)))
    return {
        **mpii_multiperson_ap(scored),
        **{f"PCKh {column}": value for column, value in alone.items()},
        **dict(zip(MPII_COUNTS, (len(scored), total - len(scored), len(single)), strict=True)),
    }


def no_people() -> tuple[Array, Array, Array]:
    """Returns empty predicted keypoints, true keypoints and head sizes."""
    return np.zeros((0, 16, 3)), np.zeros((0, 16, 3)), np.zeros(0)


def scored_groups(scene: MpiiScene) -> list[PeopleGroup]:
    """Returns the groups of one image that can be scored, each with the predictions for it or in its region."""
    of = groups_in_place(scene.predicted, scene.groups) if scene.stated is None else scene.stated
    return [
        PeopleGroup(
            scene.predicted[of == i], np.stack([p.keypoints for p in group]), np.array([p.head_size for p in group])
        )
        for i, group in enumerate(scene.groups)
        if group and all(person.labelled and person.head_size > 0 for person in group)
    ]


def groups_in_place(predicted: Array, groups: Sequence[Sequence[MpiiPerson]]) -> Array:
    """Returns ``(P,)`` int64, the group in whose region each prediction lies (`assign_to_group`), -1 = none.

    Args:
        predicted: ``(P, 16, 3)`` x, y in pixels and score.
        groups: of one image; an empty one has no region.
    """
    places = [i for i, group in enumerate(groups) if group]
    # groups that cannot be scored take part, so that their predictions do not count as errors of a neighbour
    regions = [region_of(groups[i]) for i in places]
    boxes = np.reshape([box for box, _ in regions], (-1, 4))
    found = assign_to_group(predicted, boxes, np.array([scale for _, scale in regions]))
    return np.array([*places, -1])[found]


def region_of(people: Sequence[MpiiPerson]) -> tuple[Array, float]:
    """Returns the box around people's positions and their mean scale, see `group_region`."""
    return group_region(np.stack([p.objpos for p in people]), np.array([p.scale for p in people]))


def scored_single_people(scene: MpiiScene) -> list[tuple[Array, Array, Array]]:
    """For each single person of known head size: ``(1, 16, 3)`` predicted, ``(1, 16, 3)`` true, ``(1,)`` head size."""
    rows = []
    for person in scene.single_people:
        region, scale = region_of([person])
        near = np.flatnonzero(assign_to_group(scene.predicted, region[None], np.array([scale])) == 0)
        # without a prediction in the region all keypoints are missing, and count as wrong
        predicted = scene.predicted[near[scene.score[near].argmax()]] if len(near) else np.zeros((16, 3))
        if person.head_size > 0:
            rows.append((predicted[None], person.keypoints[None], np.array([person.head_size])))
    return rows


def format_mpii(metrics: Mapping[str, float | None]) -> str:
    """Returns the paper's eight columns, in percent: a row for groups, a row for single people; other metrics below."""
    columns = [key.removeprefix("PCKh ") for key in metrics if key.startswith("PCKh ")]
    known = {*MPII_COUNTS, *columns, *(f"PCKh {column}" for column in columns)}
    rest = {key: value for key, value in metrics.items() if key not in known}
    groups, left_out, single = (int(metrics[key] or 0) for key in MPII_COUNTS)
    lines = [
        "    " + "".join(f"{column:>9}" for column in columns),
        "AP  " + percentages(metrics, columns) + f"   {groups} groups, {left_out} left out",
        "PCKh" + percentages(metrics, [f"PCKh {column}" for column in columns]) + f"   {single} single people",
    ]
    return "\n".join([*lines, format_table(rest)] if rest else lines)


def percentages(metrics: Mapping[str, float | None], names: Sequence[str]) -> str:
    """Returns the values of the `names` in columns of 9 characters."""
    values = [metrics[name] for name in names]
    return "".join(f"{'none' if value is None else format(value, '.1f'):>9}" for value in values)
