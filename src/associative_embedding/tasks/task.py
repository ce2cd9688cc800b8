"""What a task is: a sample becomes a training target (`encode`), maps become instances (`decode_groups`)."""

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
    """The instances in one image, and the detections and groups that they were made from.

    Attributes:
        instances: N people or objects, best first.
        group: ``(N,)`` int64, the group of each instance; -1 = found at a scale other than the detections'.
        detections: M peaks or foreground pixels; xy on the map.
        channel: ``(M,)`` int64, the keypoint type or class of each detection.
        groups: of the detections, also groups that became no instance.
    """

    instances: Instances
    group: Array
    detections: Detections
    channel: Array
    groups: Groups


class Task(Protocol):
    """What training, prediction and evaluation need of a task; they use nothing else of it.

    To add a task, write a frozen dataclass with these members and add it to `all_tasks.TASKS`. Decide three things:
    what a detection is, which detections exclude each other (a *step*), and what a group becomes. Losses, peaks and
    grouping are shared. `encode` returns heatmaps and tag samples. `decode_groups` collects the detections (peaks by
    `detection.peaks.detect`), groups them by a function of `grouping`, and turns the groups into `Instances`. A task
    with one heatmap per keypoint type inherits most members from `pose.keypoint_task.KeypointTask`.

    Attributes:
        name: its key in `TASKS`, which model files and recipes store.
        decode_config: a frozen dataclass of decode settings, stored in the model file.
        channels: C, the number of heatmaps.
        flip_index: ``(C,)`` int64: channel ``c`` of a mirror image is channel ``flip_index[c]`` of the image; None if
            left and right are not known, so that nothing may be mirrored.
        categories: COCO categories of what it finds, with ``id`` and ``name``; for masks, one per channel, in order.
        finds_masks: whether its instances have masks; otherwise they have keypoints.
        shown_score: lowest score that is shown by default; evaluation has no such limit.
    """

    @property
    def name(self) -> str: ...

    @property
    def decode_config(self) -> Any: ...

    @property
    def channels(self) -> int: ...

    @property
    def flip_index(self) -> Array | None: ...

    @property
    def categories(self) -> list[dict[str, Any]]: ...

    @property
    def finds_masks(self) -> bool: ...

    @property
    def shown_score(self) -> float: ...

    def to_description(self) -> dict[str, Any]:
        """Returns what a model file stores about the task, for json; the decode settings under ``decode``."""
        ...

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> Self:
        """Returns the task that `to_description` described; settings that the file lacks have their defaults.

        Raises:
            KeyError, TypeError, ValueError: for anything that `to_description` cannot return.
        """
        ...

    def encode(self, sample: Sample, *, stride: int, rng: np.random.Generator) -> ImageTarget:
        """Turns an annotation into a training target.

        Args:
            sample: in input pixels (augmented); its image is the network's input.
            stride: input pixels per map pixel.
            rng: for choices that are drawn anew in every step.
        """
        ...

    def decode_groups(self, maps: Maps, geometry: ImageGeometry) -> Decoded:
        """Turns the maps of one image (batch 1) into instances in image pixels, best first.

        Raises:
            ValueError: for maps of another shape, or with NaN or infinity.
        """
        ...

    def decode_views(self, views: Sequence[View]) -> tuple[Decoded, View]:
        """Turns the maps of one image at several scales into instances, as `decode_groups`.

        Returns:
            the instances, and the maps that their detections are on: merged ones, or one of the views.
        """
        ...


def check_maps(maps: Maps, channels: int) -> None:
    """Checks that maps belong to one image and have a certain number of channels.

    Raises:
        ValueError: when they do not.
    """
    if maps.heatmap.shape[:2] != (1, channels) or maps.tag.shape[:2] != (1, channels):
        shapes = f"heatmap {tuple(maps.heatmap.shape)}, tag {tuple(maps.tag.shape)}"
        raise ValueError(f"maps must be (1, {channels}, h, w) and (1, {channels}, D, h, w), not {shapes}")
