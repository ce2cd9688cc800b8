"""Instance segmentation: a detection is a foreground pixel of a class, a group is an object (paper, section 3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Self

import cv2
import numpy as np

from associative_embedding.detection.peaks import NOT_FINITE
from associative_embedding.grouping import group_by_modes
from associative_embedding.instances import Instances, concatenate
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.map_values import as_array
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.masks import Masks, require_masks
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.multi_scale import View, merge_views
from associative_embedding.tasks.segmentation.join import join_touching
from associative_embedding.tasks.segmentation.regions import (
    DROPPED,
    clean,
    fill_labels,
    fill_reach,
    mean_inside,
    to_image,
)
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.tasks.segmentation.target import encode_masks
from associative_embedding.tasks.targets import ImageTarget
from associative_embedding.tasks.task import Decoded, check_maps


@dataclass(frozen=True)
class SegmentationTask:
    """Finds objects of C classes as masks; tags separate the objects of one class.

    Attributes:
        classes: names of the C classes; `Instances.class_id` is 1 for the first.
        decode_config: thresholds and rules.
        samples, object_size: of the training targets, see `encode_masks`.
    """

    classes: tuple[str, ...]
    decode_config: MaskDecodeConfig = field(default_factory=MaskDecodeConfig)
    samples: int = 16
    object_size: tuple[float, float] = (0.0, float("inf"))
    name: str = "segmentation"

    finds_masks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes must be names, each once and at least one, not {list(self.classes)}")

    @property
    def channels(self) -> int:
        """C: one foreground map per class."""
        return len(self.classes)

    @property
    def flip_index(self) -> Array:
        """``(C,)``: a mirror image shows the same classes."""
        return np.arange(self.channels)

    @property
    def class_names(self) -> dict[int, str]:
        """Category id, from 1 on -> name."""
        return dict(enumerate(self.classes, start=1))

    @property
    def categories(self) -> list[dict[str, Any]]:
        """The classes as COCO categories, in the order of the channels."""
        return [{"id": number, "name": name} for number, name in self.class_names.items()]

    @property
    def shown_score(self) -> float:
        """Lowest score of an object that the commands show."""
        return self.decode_config.shown_score

    def to_description(self) -> dict[str, Any]:
        """Returns the classes and the decode settings, for a model file; `from_description` reads them."""
        return {"classes": list(self.classes), "decode": asdict(self.decode_config)}

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> Self:
        """Returns the task that `to_description` described.

        Raises:
            KeyError, TypeError, ValueError: for anything that `to_description` cannot return.
        """
        if not isinstance(values["classes"], list) or not all(isinstance(name, str) for name in values["classes"]):
            raise ValueError(f"classes must be a list of names, not {values['classes']!r:.60}")
        return cls(tuple(values["classes"]), MaskDecodeConfig(**values["decode"]))

    def encode(self, sample: Sample, *, stride: int, rng: np.random.Generator) -> ImageTarget:
        """Turns a sample in input pixels into its training target; the pixels whose tags are compared are random."""
        return encode_masks(sample, stride=stride, samples=self.samples, object_size=self.object_size, rng=rng)

    def decode(self, maps: Maps, geometry: ImageGeometry) -> Instances:
        """Turns the maps of one image (batch 1) into objects, best first; masks in image pixels.

        Raises:
            ValueError: for maps of another shape, or with NaN or infinity.
        """
        return self.decode_groups(maps, geometry).instances

    def decode_groups(self, maps: Maps, geometry: ImageGeometry) -> Decoded:
        """Returns the objects, as `decode`, with the detections and the groups that they were made from.

        Raises:
            ValueError: for maps of another shape, or with NaN or infinity.
        """
        check_maps(maps, self.channels)
        heatmap, tag = as_array(maps.heatmap[0]), as_array(maps.tag[0])
        if not (np.isfinite(heatmap).all() and np.isfinite(tag).all()):
            raise ValueError(NOT_FINITE)
        parts = [self._decode_class(c, heatmap[c], tag[c], geometry) for c in range(self.channels)]
        return sort_by_score(join_classes(parts), self.decode_config.min_score)

    def decode_views(self, views: Sequence[View]) -> tuple[Decoded, View]:
        """Turns the maps of one image at several scales into objects, by the setting ``scales``.

        Returns:
            the objects, and the maps that their detections are on: the merged maps, or for "proposals" the first view.

        Raises:
            ValueError: see `decode_groups`.
        """
        if self.decode_config.scales == "stacked" or len(views) == 1:
            merged = merge_views(views)
            return self.decode_groups(*merged), merged
        parts = [self.decode_groups(maps, geometry) for maps, geometry in views]
        proposals = concatenate([part.instances for part in parts])
        kept = suppress(proposals, self.decode_config.nms_iou)
        # Detections and groups stay the first view's, so a proposal of another view has no group.
        others = np.full(len(proposals) - len(parts[0].group), -1)
        return replace(parts[0], instances=proposals[kept], group=np.append(parts[0].group, others)[kept]), views[0]

    def cleaned(self, objects: Instances) -> Instances:
        """Applies `min_size` and `regions` once more, to objects whose masks have changed; in the same order."""
        config = self.decode_config
        masks, row = clean(require_masks(objects.masks), config.min_size, split=config.regions)
        return replace(objects[row], masks=masks)

    def _decode_class(self, number: int, heatmap: Array, tag: Array, geometry: ImageGeometry) -> Decoded:
        """The objects of one class, from its ``(h, w)`` heatmap and ``(D, h, w)`` tags.

        Args:
            number: of the class, from 0.
        """
        config = self.decode_config
        foreground = heatmap >= config.threshold
        y, x = np.nonzero(foreground)
        detections = Detections(
            score=heatmap[y, x].astype(np.float64),
            tag=tag[:, y, x].T.astype(np.float64),
            xy=np.stack([x, y], axis=1).astype(np.float64),
            step=np.zeros(len(y), np.int64),
        )
        groups = group_by_modes(
            detections,
            bandwidth=config.bandwidth,
            region=connected_region(foreground)[y, x] if config.regions else None,
            min_weight=config.min_weight,
        )
        groups = join_touching(detections, groups, bandwidth=config.bandwidth, valley=config.valley)
        labels = np.zeros(heatmap.shape, np.int32)
        labels[y, x] = np.where(groups.group < 0, DROPPED, groups.group + 1)
        instances, group = self._objects(number, heatmap, labels, groups, geometry)
        return Decoded(instances, group, detections, np.full(len(y), number), groups)

    def _objects(
        self, number: int, heatmap: Array, labels: Array, groups: Groups, geometry: ImageGeometry
    ) -> tuple[Instances, Array]:
        """The masks of one class in image pixels, and the group ``(N,)`` of each.

        Args:
            labels: ``(h, w)`` int32 group + 1 of each map pixel, 0 = background, `DROPPED` = of no group.
        """
        config = self.decode_config
        image_heatmap, labels = to_image(heatmap, labels, geometry)
        # The outline comes from the heatmap, which varies smoothly between map pixels; labels only divide the inside.
        labels = fill_labels(labels, image_heatmap >= config.threshold, fill_reach(geometry))
        masks, group = clean(Masks.from_labels(labels), config.min_size, split=config.regions)
        instances = Instances(
            score=mean_inside(masks, image_heatmap).clip(0, 1).astype(np.float32),
            class_id=np.full(len(group), number + 1),
            tag=groups.tag[group].astype(np.float32),
            keypoints=np.zeros((len(group), 0, 3), np.float32),
            image_size=geometry.image_size,
            skeleton=None,
            masks=masks,
            class_names=self.class_names,
        )
        return instances, group


def connected_region(foreground: Array) -> Array:
    """Numbers the 4-connected regions: ``(h, w)`` int64, 0 outside of the foreground."""
    return np.asarray(cv2.connectedComponents(foreground.astype(np.uint8), connectivity=4)[1]).astype(np.int64)


def sort_by_score(decoded: Decoded, min_score: float) -> Decoded:
    """Sorts the instances by falling score, and drops those below `min_score`."""
    order = np.argsort(-decoded.instances.score, kind="stable")
    order = order[decoded.instances.score[order] >= min_score]
    return replace(decoded, instances=decoded.instances[order], group=decoded.group[order])


def join_classes(parts: Sequence[Decoded]) -> Decoded:
    """Joins what was decoded class by class in one image; the groups of each class get the next free numbers."""
    start = np.cumsum([0, *(len(part.groups) for part in parts)])
    instances = concatenate([part.instances for part in parts])
    detections = Detections(
        score=np.concatenate([p.detections.score for p in parts]),
        tag=np.concatenate([p.detections.tag for p in parts]),
        xy=np.concatenate([p.detections.xy for p in parts]),
        step=np.concatenate([p.detections.step for p in parts]),
    )
    groups = Groups(
        group=np.concatenate(
            [np.where(p.groups.group < 0, -1, p.groups.group + n) for p, n in zip(parts, start, strict=False)]
        ),
        tag=np.concatenate([p.groups.tag for p in parts]),
        score=np.concatenate([p.groups.score for p in parts]),
    )
    group = np.concatenate([p.group + n for p, n in zip(parts, start, strict=False)])
    return Decoded(instances, group, detections, np.concatenate([p.channel for p in parts]), groups)


def suppress(instances: Instances, threshold: float) -> Array:
    """Returns rows to keep, best first: of two masks of one class with a larger IoU the weaker is dropped (NMS)."""
    assert instances.masks is not None
    order = np.argsort(-instances.score, kind="stable")
    same_class = instances.class_id[:, None] == instances.class_id
    overlaps = (instances.masks.iou(instances.masks) > threshold) & same_class
    keep: list[int] = []
    for i in order:
        if not overlaps[i, keep].any():
            keep.append(int(i))
    return np.array(keep, dtype=np.int64)
