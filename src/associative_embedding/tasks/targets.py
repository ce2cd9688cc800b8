"""The training target of one image, for any task, and batches of targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.maps import TagSamples, Target


@dataclass(frozen=True)
class ImageTarget:
    """A training target of one image, on its map.

    Attributes:
        heatmap: ``(C, h, w)`` float32 in [0, 1].
        valid: ``(C, h, w)`` bool, where the heatmap loss counts.
        index: ``(M, 4)`` int64 channel, y, x, group of each tag sample; in frames of a video the group is the track.
    """

    heatmap: Array
    valid: Array
    index: Array


def share_of(mask: Array, size: tuple[int, int]) -> Array:
    """Returns the share of each map pixel that a mask covers, ``(h, w)`` float32.

    Args:
        mask: ``(H, W)`` bool, in input pixels.
        size: (h, w) of the map.
    """
    return np.asarray(cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA))


def mostly(mask: Array, size: tuple[int, int]) -> Array:
    """Whether a mask covers at least half of each map pixel, ``(h, w)`` bool; arguments as in `share_of`."""
    return np.asarray(share_of(mask, size) >= 0.5)


def collate(rows: Sequence[tuple[Array, ImageTarget]], frames: int = 1) -> tuple[torch.Tensor, Target]:
    """Joins images ``(H, W, 3)`` uint8 and their targets into a batch: ``(B, 3, H, W)`` uint8 and a `Target`.

    Args:
        frames: number of consecutive rows that are frames of one video and share their groups (1 = single images).
    """
    # Images stay uint8 until they are on the device: a quarter of the bytes to copy.
    images, targets = zip(*rows, strict=True)
    image = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    heatmap = torch.from_numpy(np.stack([t.heatmap for t in targets]))
    valid = torch.from_numpy(np.stack([t.valid for t in targets]).astype(np.float32))
    return image, Target(heatmap, valid, join_samples([t.index for t in targets], frames))


def join_samples(indices: Sequence[Array], frames: int = 1) -> TagSamples:
    """Joins the tag samples of several images; groups are renumbered 0, 1, 2 ... through the batch.

    Args:
        indices: `ImageTarget.index` of each image.
        frames: as in `collate`.
    """
    rows, groups = [], []
    first = 0
    for image in range(0, len(indices), frames):
        video = indices[image : image + frames]
        frame = np.repeat(np.arange(image, image + len(video)), [len(index) for index in video])
        index = np.concatenate(video)
        own_groups, number = np.unique(index[:, 3], return_inverse=True)
        rows.append(np.column_stack([frame, index[:, :3], number.reshape(-1) + first]))
        # A track counts once, in the first frame: the losses average over the groups of each image.
        groups.append(np.full(len(own_groups), image, dtype=np.int64))
        first += len(own_groups)
    batch, channel, y, x, group = torch.from_numpy(np.concatenate(rows).astype(np.int64).T.copy()).unbind(0)
    return TagSamples(batch, channel, y, x, group, torch.from_numpy(np.concatenate(groups)))
