"""Pose of the one person in a crop: every keypoint is where its heatmap is highest, and there are no tags.

In the system of the paper (section 4.1) this second model refines each person of the first. It is a stacked hourglass
(Newell, Yang, Deng: Stacked hourglass networks for human pose estimation, ECCV 2016).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from associative_embedding.detection.peaks import highest
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.pose.keypoint_task import KeypointTask
from associative_embedding.tasks.single_person.settings import RefineConfig
from associative_embedding.tasks.targets import ImageTarget
from associative_embedding.tasks.task import Decoded, check_maps


@dataclass(frozen=True)
class SinglePersonTask(KeypointTask):
    """Finds the keypoints of the one person (or animal) that a crop shows.

    Attributes:
        skeleton: of the person.
        decode_config: how people are cropped, and which keypoints are used.
        category_id: `Instances.class_id` of the person.
        sigma, sigma_growth: of the training targets, see `encode_pose`.
        shown_score: lowest score of a person that the commands show.
    """

    decode_config: RefineConfig = field(default_factory=RefineConfig)
    name: str = "single-person"
    shown_score: float = 0.2

    settings: ClassVar[type[RefineConfig]] = RefineConfig

    def encode(self, sample: Sample, *, stride: int, rng: np.random.Generator) -> ImageTarget:
        """Turns a sample with one person in input pixels into its training target, without tags."""
        target = super().encode(sample, stride=stride, rng=rng)
        return replace(target, index=np.empty((0, 4), dtype=np.int64))

    def decode_groups(self, maps: Maps, geometry: ImageGeometry) -> Decoded:
        """Turns one image's maps (batch 1) into one person, or none if no heatmap reaches the threshold.

        Raises:
            ValueError: for maps of several images, of another number of keypoint types, or with NaN or infinity.
        """
        check_maps(maps, self.channels)
        # No maximum filter and no grouping: a crop shows one person, so the highest place of a heatmap is its keypoint.
        peaks = highest(maps.heatmap)[0]
        # The square around an image reaches beyond it, and there are no keypoints.
        xy, size = geometry.to_image(peaks[:, :2]), geometry.image_size
        inside = ((xy >= 0) & (xy < size[::-1])).all(axis=1)
        channel = np.flatnonzero(inside & (peaks[:, 2] >= self.decode_config.threshold))
        person = self._person(peaks, channel, geometry)
        # One detection per keypoint type and one group: nothing is left to group, so the tag dimension is 0.
        no_tag = np.zeros((len(channel), 0))
        detections = Detections(score=peaks[channel, 2], tag=no_tag, xy=peaks[channel, :2], step=channel)
        groups = Groups(group=np.zeros(len(channel), dtype=np.int64), tag=person.tag, score=person.score)
        return Decoded(person, np.arange(len(person)), detections, channel, groups)

    def _person(self, peaks: Array, channel: Array, geometry: ImageGeometry) -> Instances:
        """One person, or none, from ``(K, 3)`` x, y on the map and score, and the keypoint types that count."""
        count = min(1, len(channel))
        keypoints = np.zeros((count, self.channels, 3), np.float32)
        keypoints[:, channel, :2] = geometry.to_image(peaks[channel, :2])
        keypoints[:, channel, 2] = peaks[channel, 2]
        return Instances(
            score=keypoints[:, :, 2].mean(axis=1),
            class_id=np.full(count, self.category_id, dtype=np.int64),
            tag=np.zeros((count, 0), np.float32),
            keypoints=keypoints,
            image_size=geometry.image_size,
            skeleton=self.skeleton,
        )
