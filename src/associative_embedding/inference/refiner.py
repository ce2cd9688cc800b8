"""A second look at everybody that was found, with a single-person model (paper, section 4.1).

The image says who is there, the crop says more exactly where each keypoint is. Keypoints move, or are found at last, as
far as the second look can be believed; people on whom both looks agree rise, and of two who have become one the weaker
is dropped. Tags stay as they were found.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.instances import Instances
from associative_embedding.model_files.checkpoint import ModelInfo
from associative_embedding.model_files.exported_network import ExportedNetwork
from associative_embedding.networks.network import Network
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, centred, crop_squares, round_up, warp
from associative_embedding.structures.maps import Peaks
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.duplicates import distinct
from associative_embedding.tasks.single_person.settings import RefineConfig
from associative_embedding.tasks.single_person.task import SinglePersonTask, highest

MOST_CROPS = 32  # in one batch
MOVED = 0.02  # keypoints that moved less, relative to the person's size, are not counted as moved


class Refiner:
    """A single-person model. Calling it with people and their image refines them.

    Args:
        network: in eval mode.
        info: what the model file says; `info.scales` of `info.input_size` are the sizes that crops are seen at, and
            heatmaps are averaged at the largest.
        skeleton: of the people to be refined.
        flip: also look at the mirror image of every crop.
        name: what reports call it.

    Raises:
        ValueError: for a model of another task, or of other keypoints than the people have.
    """

    def __init__(
        self,
        network: Network | ExportedNetwork,
        info: ModelInfo,
        skeleton: Skeleton,
        *,
        flip: bool = True,
        name: str = "",
    ) -> None:
        if not isinstance(info.task, SinglePersonTask):
            raise ValueError(f"people are refined by a model of the task single-person, not {info.task.name}")
        if info.task.skeleton.keypoints != skeleton.keypoints:
            names = ", ".join(info.task.skeleton.keypoints)
            raise ValueError(f"a single-person model of other keypoints ({names}) cannot refine a {skeleton.name}")
        self.network, self.flip, self.name = network, flip, name
        self.skeleton, self.config = skeleton, info.task.decode_config
        self.flip_index = torch.as_tensor(info.task.flip_index, device=network.device)
        sizes = {round_up(info.input_size * scale, network.multiple) for scale in info.scales}
        self.sizes = sorted(sizes, reverse=True)

    def __call__(self, people: Instances, image: Array) -> Refined:
        """
        Args:
            image: the ``(H, W, 3)`` uint8 RGB picture that they were found in.

        Raises:
            ValueError: when the network's output is not finite.
        """
        if not len(people):
            return unrefined(people)
        boxes = people.xywh
        size = boxes[:, 2:].max(axis=1)
        new = self.look(image, crop_squares(boxes, margin=self.config.margin, min_size=self.config.min_size))
        near = agreeing(people.keypoints, new, size, self.config)
        keypoints = believe(people.keypoints, new, near, self.config)
        score = confirmed(people.score, people.keypoints, new, near)
        row = distinct(keypoints, score, np.asarray(self.skeleton.sigmas), self.config.duplicate_oks)
        refined = replace(people[row], keypoints=keypoints[row].astype(np.float32), score=score[row].astype(np.float32))
        return Refined(refined, row, changes(people.keypoints, keypoints, size, len(row)))

    @torch.inference_mode()
    def look(self, image: Array, squares: Array) -> Array:
        """``(N, K, 3)`` x, y in image pixels and value in [0, 1] of every keypoint of the person in each square.

        The value is 0 where a crop's highest place lies outside of the image.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            squares: ``(N, 4)`` x, y, width, height in image pixels, see `crop_squares`.

        Raises:
            ValueError: when the network's output is not finite.
        """
        found = [self._look(image, squares[i : i + MOST_CROPS]) for i in range(0, len(squares), MOST_CROPS)]
        return np.concatenate(found) if found else np.zeros((0, self.network.channels, 3))

    def _look(self, image: Array, squares: Array) -> Array:
        views = [[crop_geometry(image, square, size, self.network.stride) for square in squares] for size in self.sizes]
        heatmaps = [self._heatmap(np.stack([warp(image, crop) for crop in crops])) for crops in views]
        size = heatmaps[0].shape[-2:]
        # all sizes of a crop show the same region, so their maps differ in resolution alone
        same = [F.interpolate(maps, size=size, mode="bilinear", align_corners=False) for maps in heatmaps]
        peaks = highest(torch.stack(same).mean(dim=0))
        xy = np.stack([crop.to_image(row[:, :2]) for crop, row in zip(views[0], peaks, strict=True)])
        inside = ((xy >= 0) & (xy < image.shape[1::-1])).all(axis=2)
        return np.concatenate([xy, (peaks[:, :, 2] * inside)[..., None]], axis=2)

    def _heatmap(self, crops: Array) -> Tensor:
        """``(N, K, h, w)`` of crops ``(N, H, W, 3)`` uint8."""
        x = torch.from_numpy(crops).permute(0, 3, 1, 2).to(self.network.device)
        heatmap = self._maps(x)
        if self.flip:
            heatmap = (heatmap + self._maps(x.flip(-1)).flip(-1)[:, self.flip_index]) / 2
        return heatmap

    def _maps(self, x: Tensor) -> Tensor:
        outputs = self.network(x)
        assert not isinstance(outputs, Peaks)  # which only models with tags are exported to give
        return outputs[-1].heatmap


def crop_geometry(image: Array, square: Array, size: int, stride: int) -> ImageGeometry:
    """A square x, y, width, height of the image as an input of `size` x `size` pixels."""
    x, y, width, height = square.tolist()
    centre = (x + width / 2, y + height / 2)
    return centred((image.shape[0], image.shape[1]), (size, size), stride=stride, scale=size / width, centre=centre)


def agreeing(old: Array, new: Array, size: Array, config: RefineConfig) -> Array:
    """``(N, K)`` bool: the keypoints found at first that the second look sees near there.

    The published code takes 10 pixels for near; here the distance grows with the person.

    Args:
        old: ``(N, K, 3)`` x, y and score, 0 = not found.
        new: ``(N, K, 3)``.
        size: ``(N,)`` of the people, in the pixels of x and y.
    """
    distance = np.linalg.norm(new[:, :, :2] - old[:, :, :2], axis=2)
    return np.asarray((old[:, :, 2] > 0) & (distance < config.distance * size[:, None]))


def believe(old: Array, new: Array, near: Array, config: RefineConfig) -> Array:
    """What becomes of people after a second look, ``(N, K, 3)`` x, y and score.

    As in the published code, a keypoint is replaced when the new one is sure enough, and all of a person's new ones are
    discarded when too few of them agree with the old ones: the crop then shows somebody else.

    Args:
        old, new: ``(N, K, 3)`` x, y and score, 0 = not found.
        near: ``(N, K)`` bool, see `agreeing`.
    """
    same = near.sum(axis=1) >= config.agree * (old[:, :, 2] > 0).sum(axis=1)
    taken = same[:, None] & (new[:, :, 2] >= config.threshold)
    return np.where(taken[..., None], new, old)


def confirmed(score: Array, old: Array, new: Array, near: Array) -> Array:
    """``(N,)`` person scores after a second look: the mean of the score before and of what both looks agree on.

    That is the mean over the keypoints found at first of the new value, or of 0 where it lies elsewhere. The published
    code leaves scores as they are.

    Args:
        score: ``(N,)`` before.
        old, new, near: see `believe`.
    """
    found = np.maximum(1, (old[:, :, 2] > 0).sum(axis=1))
    return np.asarray((score + (new[:, :, 2] * near).sum(axis=1) / found) / 2)


@dataclass(frozen=True)
class Changes:
    """What refinement changed.

    Attributes:
        people: looked at.
        left: people of whom nothing changed.
        keypoints: found in the first place.
        moved: of these, by more than `MOVED` of the person's size.
        filled: keypoints found only now.
        doubles: people who turned out to be another one, and were dropped.
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
    """Of the same people, ``(N, K, 3)`` before and after.

    Args:
        size: ``(N,)`` of the people, in the pixels of x and y.
        kept: people who are not another's double.
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
    """People after a second look.

    Attributes:
        people: best first.
        row: ``(N,)`` int64, of each among the people before.
        changes: what happened.
    """

    people: Instances
    row: Array
    changes: Changes


def unrefined(people: Instances) -> Refined:
    """People without a second look."""
    return Refined(people, np.arange(len(people)), Changes())
