"""Maps, targets and tag samples: moved to a device, and sliced."""

from __future__ import annotations

import torch

from associative_embedding.structures.maps import Maps, TagSamples, Target


def test_moving_and_slicing_tensors() -> None:
    index = torch.zeros(4, dtype=torch.int64)
    target = Target(torch.zeros(2, 3, 4, 5), torch.ones(2, 3, 4, 5), TagSamples(*[index] * 5, groups=index[:1]))
    moved = target.to("meta")
    assert moved.heatmap.is_meta
    assert moved.valid.is_meta
    assert moved.samples.groups.is_meta
    assert moved.samples.batch.shape == (4,)
    part = Maps(torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 1, 4, 5))[1:]
    assert part.heatmap.shape == (1, 3, 4, 5)
    assert part.tag.shape == (1, 3, 1, 4, 5)
