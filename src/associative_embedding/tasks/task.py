"""What a task is: a sample becomes a training target (`encode`), maps become instances (`decode`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.multi_scale import View
from associative_embedding.tasks.targets import ImageTarget


@dataclass(frozen=True)
class Decoded:
    """What was found in one image, and where it comes from.

    Attributes:
        instances: N people or objects.
        group: ``(N,)`` int64, the group of each, -1 = found in another view than the one the detections are of.
        detections: M peaks or foreground pixels; xy on the map.
        channel: ``(M,)`` int64, the keypoint type or class of each detection.
        groups: of the detections, also those that became no instance.
    """

    instances: Instances
    group: Array
    detections: Detections
    channel: Array
    groups: Groups


class Task(Protocol):
    """Attributes:
    name: its key in `TASKS`.
    decode_config: a frozen dataclass of decode settings.
    channels: C.
    flip_index: ``(C,)``, where each channel goes in a mirror image.
    categories: what is found, as COCO categories; of masks, one a channel in their order.
    finds_masks: whether its instances have masks; else they have keypoints.
    shown_score: lowest score that is worth to be shown; evaluation and Python calls have no such limit.
    """

    @property
    def name(self) -> str: ...

    @property
    def decode_config(self) -> Any: ...

    @property
    def channels(self) -> int: ...

    @property
    def flip_index(self) -> Array: ...

    @property
    def categories(self) -> list[dict[str, Any]]: ...

    @property
    def finds_masks(self) -> bool: ...

    @property
    def shown_score(self) -> float: ...

    def describe(self) -> dict[str, Any]:
        """What a model file says of it, for json."""
        ...

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> Self: ...

    def encode(self, sample: Sample, *, stride: int, rng: np.random.Generator) -> ImageTarget:
        """A sample in input pixels -> its training target."""
        ...

    def decode_views(self, views: Sequence[View]) -> tuple[Decoded, View]:
        """As `decode_groups`, of one image that was seen at several sizes; and the view that the detections are of."""
        ...

    def decode_groups(self, maps: Maps, geometry: ImageGeometry) -> Decoded:
        """The instances of one image's maps (batch 1), best first, in image pixels, and what they come from.

        Raises:
            ValueError: for maps of another shape, or with NaN or infinity.
        """
        ...


def check_maps(maps: Maps, channels: int) -> None:
    """
    Raises:
        ValueError: when they are not those of one image with so many channels.
    """
    if maps.heatmap.shape[:2] != (1, channels) or maps.tag.shape[:2] != (1, channels):
        shapes = f"heatmap {tuple(maps.heatmap.shape)}, tag {tuple(maps.tag.shape)}"
        raise ValueError(f"maps must be (1, {channels}, h, w) and (1, {channels}, D, h, w), not {shapes}")
