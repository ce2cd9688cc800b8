"""The protocols of ``ae evaluate`` for poses: the rules of COCO, CrowdPose and MPII, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.mpii_coco import evaluate_mpii, format_mpii
from associative_embedding.evaluation.metrics.mpii_groups import Groups, read_groups
from associative_embedding.evaluation.metrics.mpii_people import add_head_sizes
from associative_embedding.evaluation.metrics.oks import evaluate_crowdpose, evaluate_keypoints
from associative_embedding.evaluation.metrics.table import format_table


def unchanged(truth: dict[str, Any]) -> dict[str, Any]:
    """Returns the dataset as it is."""
    return truth


@dataclass(frozen=True)
class Protocol:
    """The rules by which results are scored.

    Attributes:
        score: computes the metrics from a COCO dataset and COCO results; ``name=`` is the dataset's name in messages.
        show: turns the metrics into text.
        prepare: adds to the dataset what `score` derives from labels. It runs before the labels are removed that the
            model does not have, because MPII's head sizes come from labels of the head.
        digits: decimal places of the metrics in a table.
        groups: of `read_groups`: the images are predicted and scored by these; None = whole images are predicted.
    """

    score: Callable[..., Metrics]
    show: Callable[[Metrics], str] = format_table
    prepare: Callable[[dict[str, Any]], dict[str, Any]] = unchanged
    digits: int = 3
    groups: Groups | None = None


PROTOCOLS: dict[str, Protocol] = {
    "coco": Protocol(evaluate_keypoints),
    "crowdpose": Protocol(evaluate_crowdpose),
    # MPII's metrics are percentages, the others shares
    "mpii": Protocol(evaluate_mpii, format_mpii, add_head_sizes, digits=1),
}


def build_protocol(name: str, groups: str | None = None) -> Protocol:
    """Returns a protocol by its name.

    Args:
        name: a key of `PROTOCOLS`.
        groups: path of ``mpii_groups_v12.mat``, for the protocol mpii only.

    Raises:
        ValueError: for an unknown protocol, for groups with another protocol than mpii, or for a file without groups.
        OSError: if the file of groups cannot be read.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}; known are {', '.join(PROTOCOLS)}")
    if groups is None:
        return PROTOCOLS[name]
    if name != "mpii":
        raise ValueError(f"groups of people belong to the protocol mpii, not {name}")
    # read here, so that a wrong file is an error before the evaluation begins
    listed = read_groups(groups)
    return replace(PROTOCOLS[name], score=partial(evaluate_mpii, groups=listed), groups=listed)
