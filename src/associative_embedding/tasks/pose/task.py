"""Multi-person pose: a detection is a heatmap peak of one keypoint type, a group is a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from associative_embedding.detection.peaks import SCORE, detect, to_detections
from associative_embedding.grouping import group_sequentially
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.maps import Maps, Peaks
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.multi_scale import View, merge_views
from associative_embedding.tasks.pose.duplicates import distinct
from associative_embedding.tasks.pose.missing_keypoints import fill_missing
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.target import encode_pose
from associative_embedding.tasks.targets import ImageTarget
from associative_embedding.tasks.task import Decoded, check_maps

SHRINKAGE = 2  # keypoints of score 0 that the "shrunk" person score adds


@dataclass(frozen=True)
class PoseTask:
    """
    Attributes:
        skeleton: of the people (or animals).
        decode_config: thresholds.
        category_id: of the instances found.
        sigma, sigma_growth: of the training targets, see `pose_target.encode_pose`.
    """

    skeleton: Skeleton
    decode_config: DecodeConfig = field(default_factory=DecodeConfig)
    category_id: int = 1
    sigma: float = 2.0
    sigma_growth: float = 0.0
    name: str = "pose"

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

    @property
    def finds_masks(self) -> bool:
        return False

    @property
    def shown_score(self) -> float:
        """Lowest score of a person that ``ae predict`` shows."""
        return self.decode_config.shown_score

    def describe(self) -> dict[str, Any]:
        """What a model file says of its task; `from_description` reads it."""
        return {"skeleton": self.skeleton.to_category(), "decode": asdict(self.decode_config)}

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> PoseTask:
        """
        Raises:
            KeyError, TypeError, ValueError: when it is not what `describe` gives.
        """
        return cls(Skeleton.from_category(values["skeleton"]), DecodeConfig(**values["decode"]))

    def encode(self, sample: Sample, *, stride: int, rng: np.random.Generator) -> ImageTarget:
        """A sample in input pixels -> its training target; nothing of it is random."""
        return encode_pose(sample, stride=stride, sigma=self.sigma, sigma_growth=self.sigma_growth)

    def detect(self, maps: Maps) -> tuple[Detections, Array]:
        """The detections of one image's maps (batch 1), and the ``(M,)`` keypoint type of each.

        Raises:
            ValueError: for maps of several images, of another number of keypoint types, or with NaN or infinity.
        """
        check_maps(maps, self.channels)
        c = self.decode_config
        return detect(maps.heatmap[0], maps.tag[0], threshold=c.threshold, nms=c.nms, top_k=c.top_k, step=self.step)

    def group(self, detections: Detections) -> Groups:
        c = self.decode_config
        return group_sequentially(
            detections,
            tag_threshold=c.tag_threshold,
            norm=c.tag_distance,
            matching=c.matching,
            assignment=c.assignment,
        )

    def decode(self, maps: Maps, geometry: ImageGeometry) -> Instances:
        """People from the maps of one image (batch 1), best first; keypoints in image pixels.

        Raises:
            ValueError: see `detect`.
        """
        return self.decode_groups(maps, geometry).instances

    def decode_views(self, views: Sequence[View]) -> tuple[Decoded, View]:
        """The people of one image that was seen at several sizes, from the merged maps, and those.

        Raises:
            ValueError: see `detect`.
        """
        merged = merge_views(views)
        return self.decode_groups(*merged), merged

    def decode_groups(self, maps: Maps, geometry: ImageGeometry) -> Decoded:
        """As `decode`, with the detections and the groups.

        Raises:
            ValueError: see `detect`.
        """
        maps = Maps(
            maps.heatmap.contiguous(), maps.tag.contiguous()
        )  # networks give channels last: slow to read by channel
        return self.people(*self.detect(maps), maps, geometry)

    def decode_peaks(self, peaks: Peaks, geometry: ImageGeometry) -> Decoded:
        """As `decode_groups`, of a network that gives peaks (of one image): no missing keypoint is filled in.

        Raises:
            ValueError: for maps that held NaN or infinity.
        """
        c = self.decode_config
        table = peaks.table[0].double().cpu().numpy()
        if not (np.isfinite(table).all() and bool(peaks.total.isfinite().all())):
            raise ValueError("the network's output holds NaN or infinity")
        found = to_detections(
            table[table[:, SCORE] >= c.threshold], peaks.size, nms=c.nms, top_k=c.top_k, step=self.step
        )
        return self.people(*found, None, geometry)

    @property
    def step(self) -> Array:
        """``(C,)`` int64: the place of each keypoint type in the order of grouping."""
        step = np.empty(self.channels, dtype=np.int64)
        step[self.skeleton.group_index] = np.arange(self.channels)
        return step

    def people(self, detections: Detections, channel: Array, maps: Maps | None, geometry: ImageGeometry) -> Decoded:
        """The people that detections make, which need not be those of the maps.

        Args:
            channel: ``(M,)`` the keypoint type of each detection.
            maps: where missing keypoints are looked for; None = nowhere.
        """
        c = self.decode_config
        groups = self.group(detections)
        keypoints = assemble(detections, groups, channel, self.channels)  # (G, K, 3) x, y on the map, score
        group = np.flatnonzero((keypoints[:, :, 2] > 0).sum(axis=1) >= c.min_keypoints)
        keypoints, tag = keypoints[group], groups.tag[group]
        score = person_score(keypoints, c.score)  # before filling: what was detected, not what was hoped for
        if c.fill and maps is not None and len(keypoints):
            keypoints = fill_missing(
                keypoints, tag, maps, c.fill_threshold, c.tag_threshold, norm=c.tag_distance, rule=c.fill_rule
            )
        found = keypoints[:, :, 2] > 0
        keypoints[:, :, :2] = np.where(found[..., None], geometry.to_image(keypoints[:, :, :2]), 0)
        keep = distinct(keypoints, score, self.skeleton.sigmas, c.duplicate_oks)
        keep = keep[score[keep] >= c.min_score]
        instances = Instances(
            score=np.clip(score[keep], 0, 1).astype(np.float32),
            class_id=np.full(len(keep), self.category_id, dtype=np.int64),
            tag=tag[keep].astype(np.float32),
            keypoints=keypoints[keep].astype(np.float32),
            image_size=geometry.image_size,
            skeleton=self.skeleton,
        )
        return Decoded(instances, group[keep], detections, channel, groups)


def assemble(detections: Detections, groups: Groups, channel: Array, channels: int) -> Array:
    """``(G, K, 3)`` x, y on the map and score; score 0 where a group has no detection of that type."""
    keypoints = np.zeros((len(groups), channels, 3))
    kept = groups.group >= 0
    row, column = groups.group[kept], channel[kept]
    keypoints[row, column, :2] = detections.xy[kept]
    keypoints[row, column, 2] = np.clip(detections.score[kept], 0, 1)
    return keypoints


def person_score(keypoints: Array, rule: str) -> Array:
    """``(G,)``: the mean keypoint score over "all" K types, over those "found", or "shrunk" towards 0.

    All punishes people who are half in the picture, found trusts a single peak; shrunk is the mean over the keypoints
    found and `SHRINKAGE` more of score 0.
    """
    score = keypoints[:, :, 2]
    found = (score > 0).sum(axis=1)
    count = {"all": np.full(len(score), score.shape[1]), "found": np.maximum(1, found), "shrunk": found + SHRINKAGE}[
        rule
    ]
    return np.asarray(score.sum(axis=1) / count)
