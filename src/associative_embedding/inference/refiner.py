"""Refines the people of an image with a single-person model (paper, section 4.1).

The first model finds people in the whole image; the second one runs on a crop around each person, where it localises
keypoints more exactly. The paper gives no rule for what is done with both results; its demo code, pose-ae-demo, has
one. `RefineConfig.rule` selects between that rule and ours, which differs in seven places:

| | published | agreement (ours) |
|---|---|---|
| a new keypoint agrees with the old one | within 10 image pixels | within a share of the person's size |
| a missing keypoint is filled in | whatever its heatmap value | from the threshold on |
| a person's score | stays | mean of the old score and the agreement |
| two people in one place | both stay | the weaker is dropped |
| one keypoint in two people | stays in both | stays in one; the other has the first model's keypoint, or none |
| crop of a person | square | as narrow as the person |
| place of a keypoint | a quarter pixel towards the higher neighbour | top of a parabola |

Both discard all new keypoints of a person of whom too few agree, and replace a keypoint that was found from the
threshold on. Neither places a keypoint outside of the image, nor where no heatmap value is positive; the demo code
does, and its threshold excludes the value itself. Tags do not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, get_args

import numpy as np

from associative_embedding.detection.peaks import highest
from associative_embedding.instances import Instances
from associative_embedding.model_files.exported_network import ExportedNetwork
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.networks.device import CPU
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, centred, crop_input_size, round_up, warp
from associative_embedding.structures.map_values import Values, as_array, mirrored
from associative_embedding.structures.maps import Maps, Peaks
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.multi_scale import merge_mirror, merge_views
from associative_embedding.tasks.pose.duplicates import distinct
from associative_embedding.tasks.pose.shared_keypoints import settle
from associative_embedding.tasks.published.positions import quarter
from associative_embedding.tasks.single_person.settings import RefineConfig, RefineViews
from associative_embedding.tasks.single_person.task import SinglePersonTask

if TYPE_CHECKING:
    from associative_embedding.networks.network import Network

NO_REFINER = "none"  # in place of the name of one
MOST_CROPS = 32  # in one batch on a GPU: in a crowd the activations of all crops would not fit into its memory
MOVED = 0.02  # of the person's size: smaller shifts do not count as moved
ONE_PERSON = 0.5  # OKS from which two people are taken for one
PUBLISHED_DISTANCE = 10.0  # image pixels up to which keypoints agree in the demo code


class Refiner:
    """A single-person model. Calling it with people and their image refines them.

    Args:
        network: in eval mode.
        info: the description in the model file. Crops are resampled to each of `info.scales` times `info.input_size`;
            the heatmaps are averaged at the largest.
        skeleton: of the people to refine.
        views: of every crop: "all" = each size and, if left and right keypoints are known, its mirror image; "sizes" =
            each size; "one" = the largest size.
        name: of the model, for messages.

    Raises:
        ValueError: for a model of another task, or of other keypoints than the people have, or for other views.
    """

    def __init__(
        self,
        network: Network | ExportedNetwork,
        info: ModelInfo,
        skeleton: Skeleton,
        *,
        views: RefineViews = "all",
        name: str = "",
    ) -> None:
        if not isinstance(info.task, SinglePersonTask):
            raise ValueError(f"people are refined by a model of the task single-person, not {info.task.name}")
        if info.task.skeleton.keypoints != skeleton.keypoints:
            names = ", ".join(info.task.skeleton.keypoints)
            raise ValueError(f"a single-person model of other keypoints ({names}) cannot refine a {skeleton.name}")
        if views not in get_args(RefineViews):
            raise ValueError(f"views must be one of {', '.join(get_args(RefineViews))}, not {views!r}")
        self.network, self.name = network, name
        self.views, self.flip = views, views == "all" and info.task.skeleton.sides_known
        self.skeleton, self.config = skeleton, info.task.decode_config
        self.flip_index = info.task.skeleton.flip_index
        # A set: two scales may round up to one size, which would then count twice in the mean.
        sizes = {round_up(info.input_size * scale, network.multiple) for scale in info.scales}
        self.sizes = sorted(sizes, reverse=True)[: 1 if views == "one" else None]
        # One after the other stays in the cache of a CPU, which is quicker than a batch, with the same bits.
        self.crops_at_once = 1 if str(network.device) == CPU else MOST_CROPS

    def __call__(self, people: Instances, image: Array) -> Refined:
        """Returns the refined people.

        Args:
            people: N instances with keypoints.
            image: ``(H, W, 3)`` uint8 RGB, the image they were found in.

        Raises:
            ValueError: when the network's output is not finite.
        """
        if not len(people):
            return unrefined(people)
        boxes = people.xywh
        size = boxes[:, 2:].max(axis=1)
        new = self.keypoints_in(image, self.config.crops(boxes))
        # Order matters: what agrees is measured on the old keypoints, before any is replaced.
        near = agreeing(people.keypoints, new, size, self.config)
        keypoints = merged_keypoints(people.keypoints, new, near, self.config)
        score, duplicate_oks = people.score, 1.0
        if self.config.rule == "agreement":
            score = refined_score(people.score, people.keypoints, new, near)
            duplicate_oks = self.config.duplicate_oks
        row = distinct(keypoints, score, np.asarray(self.skeleton.sigmas), duplicate_oks)
        if self.config.rule == "agreement":
            # Two people in one place are one person, found in two ways: neither would stay whole.
            apart = row[distinct(keypoints[row], score[row], np.asarray(self.skeleton.sigmas), ONE_PERSON)]
            # A crop can show a neighbour's keypoint well, so the score of the person counts, too.
            claim = new[apart, :, 2] * score[apart, None]
            keypoints[apart] = settle(keypoints[apart], people.keypoints[apart], claim, size[apart])
        refined = replace(people[row], keypoints=keypoints[row].astype(np.float32), score=score[row].astype(np.float32))
        return Refined(refined, row, changes(people.keypoints, keypoints, size, len(row)))

    def keypoints_in(self, image: Array, boxes: Array) -> Array:
        """Returns ``(N, K, 3)`` x, y in image pixels and score in [0, 1] of the keypoints of the person in each box.

        The score is 0 where the peak of a heatmap lies outside the image.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            boxes: ``(N, 4)`` x, y, width, height in image pixels, see `RefineConfig.crops`.

        Raises:
            ValueError: when the network's output is not finite.
        """
        found = np.zeros((len(boxes), self.network.channels, 3))
        for rows in self._batches(boxes):
            found[rows] = self._keypoints_in(image, boxes[rows])
        return found

    def _batches(self, boxes: Array) -> Iterator[Array]:
        """Yields the rows of boxes whose crops go through the network together: those of one shape."""
        shapes = [tuple(self._input_size(box, size) for size in self.sizes) for box in boxes]
        for shape in dict.fromkeys(shapes):
            rows = np.array([row for row, own in enumerate(shapes) if own == shape])
            yield from np.split(rows, range(self.crops_at_once, len(rows), self.crops_at_once))

    def _geometry(self, image: Array, box: Array, size: int) -> ImageGeometry:
        return crop_geometry(image, box, self._input_size(box, size), self.network.stride)

    def _input_size(self, box: Array, size: int) -> tuple[int, int]:
        """(H, W) of the network's input for a box whose longer side becomes `size` pixels."""
        return crop_input_size(box, size, self.network.multiple)

    def _keypoints_in(self, image: Array, boxes: Array) -> Array:
        crops = [[self._geometry(image, box, size) for box in boxes] for size in self.sizes]
        # The crops of a batch differ in place only, so the first one's geometry relates the maps of all sizes.
        views = [(self._look(np.stack([warp(image, crop) for crop in row])), row[0]) for row in crops]
        peaks = self._peaks(merge_views(views)[0].heatmap)
        xy = np.stack([crop.to_image(row[:, :2]) for crop, row in zip(crops[0], peaks, strict=True)])
        # A crop at the border contains padding, where a peak is no keypoint of the image.
        inside = ((xy >= 0) & (xy < image.shape[1::-1])).all(axis=2)
        return np.concatenate([xy, (peaks[:, :, 2] * inside)[..., None]], axis=2)

    def _peaks(self, heatmap: Values) -> Array:
        """Returns ``(N, K, 3)`` float64 x, y on the map and value in [0, 1] of heatmaps ``(N, K, h, w)``."""
        peaks = highest(heatmap)
        if self.config.rule == "published":
            flat = as_array(heatmap.reshape(-1, *heatmap.shape[2:]))
            y, x = np.divmod(flat.reshape(len(flat), -1).argmax(axis=1), flat.shape[2])
            peaks[:, :, :2] = quarter(flat, np.arange(len(flat)), y, x).reshape(*peaks.shape[:2], 2)
        return peaks

    def _look(self, crops: Array) -> Maps:
        """Returns the maps of crops ``(N, H, W, 3)`` uint8 RGB, and of their mirror images, merged."""
        x = np.ascontiguousarray(crops.transpose(0, 3, 1, 2))
        maps = self._maps(x)
        return merge_mirror(maps, self._maps(mirrored(x)), self.flip_index) if self.flip else maps

    def _maps(self, x: Array) -> Maps:
        outputs = self.network.predict(x)
        assert not isinstance(outputs, Peaks)  # only models with tags are exported with peaks
        return outputs[-1]


def crop_geometry(image: Array, box: Array, input_size: tuple[int, int], stride: int) -> ImageGeometry:
    """Returns the geometry that maps a box x, y, width, height of the image to the middle of an input (H, W)."""
    x, y, width, height = box.tolist()
    scale = max(input_size) / max(width, height)
    centre = (x + width / 2, y + height / 2)
    return centred((image.shape[0], image.shape[1]), input_size, stride=stride, scale=scale, centre=centre)


def agreeing(old: Array, new: Array, size: Array, config: RefineConfig) -> Array:
    """Returns ``(N, K)`` bool: whether the new position of a keypoint is near the old one.

    "Near" is up to 10 pixels by the published rule; by ours it grows with the person (`config.distance`).

    Args:
        old: ``(N, K, 3)`` x, y in image pixels and score, 0 = not found.
        new: ``(N, K, 3)`` x, y and score.
        size: ``(N,)`` longer side of the box around each person, in the pixels of x and y.
    """
    distance = np.linalg.norm(new[:, :, :2] - old[:, :, :2], axis=2)
    reach = PUBLISHED_DISTANCE if config.rule == "published" else config.distance * size[:, None]
    return np.asarray((old[:, :, 2] > 0) & (distance < reach))


def merged_keypoints(old: Array, new: Array, near: Array, config: RefineConfig) -> Array:
    """Returns the keypoints of refined people, ``(N, K, 3)`` x, y and score.

    A new keypoint with at least `config.threshold` replaces the old one. By the published rule a missing keypoint is
    filled in below the threshold, too. If fewer than `config.agree` of the keypoints that a person had agree, the crop
    shows somebody else, and by both rules all new keypoints are discarded.

    Args:
        old, new: ``(N, K, 3)`` x, y and score, 0 = not found.
        near: ``(N, K)`` bool, see `agreeing`.
    """
    # Of the keypoints found, not of all K: a person who is half in the image has few.
    same = near.sum(axis=1) >= config.agree * (old[:, :, 2] > 0).sum(axis=1)
    used = new[:, :, 2] >= config.threshold
    if config.rule == "published":
        used |= (old[:, :, 2] == 0) & (new[:, :, 2] > 0)
    return np.where((same[:, None] & used)[..., None], new, old)


def refined_score(score: Array, old: Array, new: Array, near: Array) -> Array:
    """Returns the ``(N,)`` scores of refined people by our rule: the mean of the old score and the agreement.

    The agreement is the mean over the old keypoints of the new score, 0 where the new position is not near. By the
    published rule scores stay; ours is worth 0.01 AP, as agreement ranks people well.

    Args:
        score: ``(N,)`` old scores in [0, 1].
        old, new, near: see `merged_keypoints`.
    """
    # At least 1: a person without keypoints has no agreement to divide by.
    found = np.maximum(1, (old[:, :, 2] > 0).sum(axis=1))
    return np.asarray((score + (new[:, :, 2] * near).sum(axis=1) / found) / 2)


@dataclass(frozen=True)
class Changes:
    """Counts of what refinement changed.

    Attributes:
        people: number of people refined.
        left: people whose keypoints did not change.
        keypoints: keypoints found by the first model.
        moved: of these, how many moved by more than `MOVED` of the person's size.
        filled: keypoints found only by the refiner.
        doubles: people dropped as doubles of another person.
    """

    people: int = 0
    left: int = 0
    keypoints: int = 0
    moved: int = 0
    filled: int = 0
    doubles: int = 0

    def __str__(self) -> str:
        return (
            f"{self.moved} of {self.keypoints} keypoints moved, {self.filled} filled, "
            f"{self.left} of {self.people} people left as they were, {self.doubles} doubles dropped"
        )

    def __add__(self, other: Changes) -> Changes:
        return Changes(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


def changes(old: Array, new: Array, size: Array, kept: int) -> Changes:
    """Returns what changed between the keypoints ``(N, K, 3)`` of N people before and after refinement.

    Args:
        size: ``(N,)`` longer side of the box around each person, in the pixels of x and y.
        kept: number of people who are no doubles.
    """
    found = old[:, :, 2] > 0
    distance = np.linalg.norm(new[:, :, :2] - old[:, :, :2], axis=2)
    return Changes(
        people=len(old),
        left=int((old == new).all(axis=(1, 2)).sum()),
        keypoints=int(found.sum()),
        moved=int((found & (distance > MOVED * size[:, None])).sum()),
        filled=int((~found & (new[:, :, 2] > 0)).sum()),
        doubles=len(old) - kept,
    )


@dataclass(frozen=True)
class Refined:
    """Refined people.

    Attributes:
        people: N instances, best first.
        row: ``(N,)`` int64, the row of each person among the people before refinement.
        changes: counts of what changed.
    """

    people: Instances
    row: Array
    changes: Changes


def unrefined(people: Instances) -> Refined:
    """Returns people as they are, for a model without a refiner."""
    return Refined(people, np.arange(len(people)), Changes())
