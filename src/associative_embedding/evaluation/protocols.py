"""By whose rules a model's results are scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.mpii_coco import evaluate_mpii, format_mpii
from associative_embedding.evaluation.metrics.mpii_groups import read_groups
from associative_embedding.evaluation.metrics.mpii_people import add_head_sizes
from associative_embedding.evaluation.metrics.oks import evaluate_crowdpose, evaluate_keypoints, format_table


def unchanged(truth: dict[str, Any]) -> dict[str, Any]:
    return truth


@dataclass(frozen=True)
class Protocol:
    """
    Attributes:
        score: a COCO dataset, COCO results, and ``name=`` of the truth in messages -> the official numbers.
        show: those numbers -> text.
        prepare: what must be noted in the truth before labels are removed that the model does not know.
        digits: of the numbers in a table.
    """

    score: Callable[..., Metrics]
    show: Callable[[Metrics], str] = format_table
    prepare: Callable[[dict[str, Any]], dict[str, Any]] = unchanged
    digits: int = 3


PROTOCOLS: dict[str, Protocol] = {
    "coco": Protocol(evaluate_keypoints),
    "crowdpose": Protocol(evaluate_crowdpose),
    "mpii": Protocol(evaluate_mpii, format_mpii, add_head_sizes, digits=1),
}


def build_protocol(name: str, groups: str | None = None) -> Protocol:
    """
    Args:
        name: a key of `PROTOCOLS`.
        groups: ``mpii_groups_v12.mat``, of MPII's protocol alone.

    Raises:
        ValueError: for an unknown protocol, groups of another than MPII's, or a file that holds none.
        OSError: when the groups cannot be read.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}; known are {', '.join(PROTOCOLS)}")
    if groups is None:
        return PROTOCOLS[name]
    if name != "mpii":
        raise ValueError(f"groups of people belong to the protocol mpii, not {name}")
    return replace(PROTOCOLS[name], score=partial(evaluate_mpii, groups=read_groups(groups)))
