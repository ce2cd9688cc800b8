"""Targets of images -> the target of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.maps import TagSamples, Target
from associative_embedding.tasks.targets import ImageTarget


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
