"""Multi-person pose: a detection is a heatmap peak of one keypoint type, a group is a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from associative_embedding.detection.peak_table import SCORE
from associative_embedding.detection.peaks import NOT_FINITE, detect, to_detections
from associative_embedding.grouping import group_sequentially
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.maps import Maps, Peaks
from associative_embedding.tasks.pose.duplicates import distinct
from associative_embedding.tasks.pose.keypoint_task import KeypointTask
from associative_embedding.tasks.pose.missing_keypoints import fill_missing
from associative_embedding.tasks.pose.published_rules import detect_as_published, fill_as_published
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.task import Decoded, check_maps

SHRINKAGE = 2  # keypoints of score 0 that the "shrunk" person score adds


@dataclass(frozen=True)
class PoseTask(KeypointTask):
    """Finds all people (or animals) in an image; tags decide which keypoints belong to one person.

    Attributes:
        skeleton: of the people.
        decode_config: thresholds and rules of detection, grouping and scoring.
        category_id: `Instances.class_id` of the people.
        sigma, sigma_growth: of the training targets, see `encode_pose`.
    """

    decode_config: DecodeConfig = field(default_factory=DecodeConfig)
    name: str = "pose"

    settings: ClassVar[type[DecodeConfig]] = DecodeConfig

    @property
    def shown_score(self) -> float:
        """Lowest score of a person that the commands show."""
        return self.decode_config.shown_score

    @property
    def step(self) -> Array:
        """``(C,)`` int64: the place of each keypoint type in the order in which grouping visits the types."""
        step = np.empty(self.channels, dtype=np.int64)
        step[self.skeleton.group_index] = np.arange(self.channels)
        return step

    def decode(self, maps: Maps, geometry: ImageGeometry) -> Instances:
        """Turns the maps of one image (batch 1) into people, best first; keypoints in image pixels.

        Raises:
            ValueError: see `detect`.
        """
        return self.decode_groups(maps, geometry).instances

    def decode_groups(self, maps: Maps, geometry: ImageGeometry) -> Decoded:
        """Returns the people, as `decode`, with the detections and the groups that they were made from.

        Raises:
            ValueError: see `detect`.
        """
        return self.people(*self.detect(maps), maps, geometry)

    def decode_peaks(self, peaks: Peaks, geometry: ImageGeometry) -> Decoded:
        """Returns the people in the output of a network that was exported with peaks, for one image.

        Missing keypoints are not filled in: the maps stay on the device.

        Raises:
            ValueError: for maps with NaN or infinity, or another `position` than the graph's.
        """
        c = self.decode_config
        if c.position != "parabola":
            raise ValueError(
                f"a model exported with peaks places them by a parabola, not by decode.position {c.position}"
            )
        table = peaks.table[0].astype(np.float64)
        if not (np.isfinite(table).all() and np.isfinite(peaks.total).all()):
            raise ValueError(NOT_FINITE)
        table = table[table[:, SCORE] >= c.threshold]
        detections, channel = to_detections(table, peaks.size, **self._detection)
        return self.people(detections, channel, None, geometry)

    def detect(self, maps: Maps) -> tuple[Detections, Array]:
        """Finds the peaks in one image's maps (batch 1).

        Returns:
            the detections, and the ``(M,)`` int64 keypoint type of each.

        Raises:
            ValueError: for maps of several images, of another number of keypoint types, or with NaN or infinity.
        """
        check_maps(maps, self.channels)
        if self.decode_config.position != "parabola":
            return detect_as_published(maps, self.decode_config, self.step)
        return detect(maps.heatmap[0], maps.tag[0], threshold=self.decode_config.threshold, **self._detection)

    @property
    def _detection(self) -> dict[str, Any]:
        """The decode settings that turn peaks into detections, wherever the peaks were found."""
        c = self.decode_config
        return {
            "nms": c.nms,
            "top_k": c.top_k,
            "step": self.step,
            "tag_threshold": c.tag_threshold,
            "norm": c.tag_distance,
        }

    def group(self, detections: Detections) -> Groups:
        """Groups detections into people, by `group_sequentially` with the decode settings."""
        c = self.decode_config
        return group_sequentially(
            detections,
            tag_threshold=c.tag_threshold,
            norm=c.tag_distance,
            matching=c.matching,
            assignment=c.assignment,
            open_groups=0 if c.crowd == "keep" else c.max_people,
            stop=c.crowd == "stop",
        )

    def fill(self, keypoints: Array, tag: Array, maps: Maps) -> Array:
        """Fills in missing keypoints by the decode settings; arguments as of `fill_missing`."""
        c = self.decode_config
        if c.fill_rule == "published":
            return fill_as_published(keypoints, maps, c)
        return fill_missing(
            keypoints, tag, maps, c.fill_threshold, c.tag_threshold, norm=c.tag_distance, rule=c.fill_rule
        )

    def people(self, detections: Detections, channel: Array, maps: Maps | None, geometry: ImageGeometry) -> Decoded:
        """Groups detections, and makes people of the groups: fills in, drops duplicates and low scores.

        Args:
            detections: peaks of the maps, or others, such as true keypoints.
            channel: ``(M,)`` int64 the keypoint type of each detection.
            maps: missing keypoints are filled in from these; None = they stay missing.
            geometry: from the maps to the image.
        """
        c = self.decode_config
        groups = self.group(detections)
        keypoints = assemble(detections, groups, channel, self.channels)  # (G, K, 3) x, y on the map, score
        group = np.flatnonzero((keypoints[:, :, 2] > 0).sum(axis=1) >= c.min_keypoints)
        if c.max_people and c.crowd == "keep":
            group = group[: c.max_people]
        keypoints, tag = keypoints[group], groups.tag[group]
        # Before filling: a keypoint that was filled in is no evidence of a person.
        score = person_score(keypoints, c.score)
        if c.fill and maps is not None and len(keypoints):
            keypoints = self.fill(keypoints, tag, maps)
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
    """Puts the detections of each group into one row: ``(G, K, 3)`` x, y on the map, score (0 = missing)."""
    keypoints = np.zeros((len(groups), channels, 3))
    kept = groups.group >= 0
    row, column = groups.group[kept], channel[kept]
    keypoints[row, column, :2] = detections.xy[kept]
    keypoints[row, column, 2] = np.clip(detections.score[kept], 0, 1)
    return keypoints


def person_score(keypoints: Array, rule: str) -> Array:
    """Returns the score of each person ``(G,)``, from keypoints ``(G, K, 3)``.

    Args:
        rule: "all" = mean over all K types, where missing keypoints count 0 (published code); "found" = mean over the
            keypoints found; "shrunk" = mean over the keypoints found and `SHRINKAGE` more of score 0.
    """
    score = keypoints[:, :, 2]
    found = (score > 0).sum(axis=1)
    # "all" ranks people too low who are half in the picture, "found" ranks a single peak too high; "shrunk" ranks best.
    count = {"all": np.full(len(score), score.shape[1]), "found": np.maximum(1, found), "shrunk": found + SHRINKAGE}
    return np.asarray(score.sum(axis=1) / count[rule])
