"""The smallest scale first: when the larger scales of a model run, too (`Options.fine_below`)."""

from __future__ import annotations

from collections.abc import Sequence

from associative_embedding.instances import Instances
from associative_embedding.model_files.check_description import MAX_SIDE
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.tasks.pose.task import PoseTask


def check_fine_below(below: int, info: ModelInfo, scales: Sequence[float], tag_scales: Sequence[float]) -> None:
    """Checks that a model can start with its smallest scale.

    Args:
        below: pixels, not 0, see `Options.fine_below`.
        info: the description in the model file.
        scales, tag_scales: of the run.

    Raises:
        ValueError: if it cannot, or for a value out of range.
    """
    if not 0 < below <= MAX_SIDE:
        raise ValueError(f"fine_below {below} is not within 0..{MAX_SIDE} pixels")
    if not isinstance(info.task, PoseTask) or info.conventions:
        raise ValueError("fine_below: only models of this project that find people can start with the smallest scale")
    if len(scales) < 2:
        raise ValueError("fine_below chooses among several scales, and there is one: leave it out, or state 0")
    if min(scales) not in tag_scales:
        raise ValueError(f"fine_below needs the tags of the smallest scale, {min(scales):g}, too")


def needs_fine(found: Instances, geometry: ImageGeometry, below: int) -> bool:
    """Returns whether the larger scales run: a person is small, or nobody is found.

    Args:
        found: the people that the smallest scale finds, in image pixels.
        geometry: of the smallest scale.
        below: pixels of its input; the longer side of a small person is shorter.
    """
    sides = found.xywh[:, 2:].max(axis=1, initial=0) * geometry.scale
    return not len(found) or bool((sides < below).any())
