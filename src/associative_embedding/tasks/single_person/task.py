"""Pose of the one person that a crop shows: every keypoint is where its heatmap is highest, and there are no tags.

The second stage of the paper's system (section 4.1) refines each person that the first one found with such a model, a
stacked hourglass (Newell, Yang, Deng: Stacked hourglass networks for human pose estimation, ECCV 2016).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from associative_embedding.detection.peaks_on_gpu import subpixel
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.multi_scale import View, merge_views
from associative_embedding.tasks.pose.target import encode_pose
from associative_embedding.tasks.single_person.settings import RefineConfig
from associative_embedding.tasks.targets import ImageTarget
from associative_embedding.tasks.task import Decoded, check_maps


@dataclass(frozen=True)
class SinglePersonTask:
    """
    Attributes:
        skeleton: of the person (or animal).
        decode_config: how a person is cropped and when it is believed.
        category_id: of the instance found.
        sigma, sigma_growth: of the training targets, see `pose_target.encode_pose`.
    """

    skeleton: Skeleton
    decode_config: RefineConfig = field(default_factory=RefineConfig)
    category_id: int = 1
    sigma: float = 2.0
    sigma_growth: float = 0.0
    name: str = "single-person"
    finds_masks: bool = False
    shown_score: float = 0.2

    @property
    def channels(self) -> int:
        """C: one heatmap a keypoint type."""
        return len(self.skeleton)

    @property
    def flip_index(self) -> Array:
        """``(C,)``: in a mirror image, left and right change places."""
        return self.skeleton.flip_index

    @property
    def categories(self) -> list[dict[str, Any]]:
        """What is found, as COCO categories."""
        return [self.skeleton.to_category(self.category_id)]

    def describe(self) -> dict[str, Any]:
        """What a model file says of its task; `from_description` reads it."""
        return {"skeleton": self.skeleton.to_category(), "decode": asdict(self.decode_config)}

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> SinglePersonTask:
        """
        Raises:
            KeyError, TypeError, ValueError: when it is not what `describe` gives.
        """
        return cls(Skeleton.from_category(values["skeleton"]), RefineConfig(**values["decode"]))

    def encode(self, sample: Sample, *, stride: int, rng: np.random.Generator) -> ImageTarget:
        """A sample with one person in input pixels -> its training target, without tags; nothing of it is random."""
        target = encode_pose(sample, stride=stride, sigma=self.sigma, sigma_growth=self.sigma_growth)
        return replace(target, index=np.empty((0, 4), dtype=np.int64))

    def decode_views(self, views: Sequence[View]) -> tuple[Decoded, View]:
        """The person of one image that was seen at several sizes, from the averaged heatmaps, and those.

        Raises:
            ValueError: see `decode_groups`.
        """
        merged = merge_views(views)
        return self.decode_groups(*merged), merged

    def decode_groups(self, maps: Maps, geometry: ImageGeometry) -> Decoded:
        """The person that one image's maps (batch 1) show; nobody where no keypoint is believed.

        Raises:
            ValueError: for maps of several images, of another number of keypoint types, or with NaN or infinity.
        """
        check_maps(maps, self.channels)
        peaks = highest(maps.heatmap)[0]
        channel = np.flatnonzero(peaks[:, 2] >= self.decode_config.threshold)
        people = min(1, len(channel))
        keypoints = np.zeros((people, self.channels, 3), np.float32)
        keypoints[:, channel, :2] = geometry.to_image(peaks[channel, :2])
        keypoints[:, channel, 2] = peaks[channel, 2]
        score = keypoints[:, :, 2].mean(axis=1)
        instances = Instances(
            score=score,
            class_id=np.full(people, self.category_id, dtype=np.int64),
            tag=np.zeros((people, 0), np.float32),
            keypoints=keypoints,
            image_size=geometry.image_size,
            skeleton=self.skeleton,
        )
        tag = np.zeros((len(channel), 0))
        detections = Detections(score=peaks[channel, 2], tag=tag, xy=peaks[channel, :2], step=channel)
        groups = Groups(group=np.zeros(len(channel), dtype=np.int64), tag=instances.tag, score=score)
        return Decoded(instances, np.arange(people), detections, channel, groups)


@torch.no_grad()
def highest(heatmap: Tensor) -> Array:
    """``(B, K, 3)`` float64 x, y on the map and value in [0, 1] of the highest place of every heatmap.

    Args:
        heatmap: ``(B, K, h, w)``.

    Raises:
        ValueError: for NaN or infinity.
    """
    batch, channels, height, width = heatmap.shape
    flat = heatmap.reshape(batch * channels, height, width)
    value, place = flat.flatten(1).max(dim=1)
    xy = subpixel(flat, torch.arange(len(flat), device=flat.device), place // width, place % width)
    table = torch.cat([xy, value[:, None].float().clamp(0, 1)], dim=1).double()
    if not bool(torch.isfinite(flat.sum(dtype=torch.float32))):
        raise ValueError("the network's output holds NaN or infinity")
    return np.asarray(table.cpu().numpy().reshape(batch, channels, 3))
