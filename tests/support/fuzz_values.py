"""Decoding and the losses, on maps that are drawn from bytes."""

from __future__ import annotations

import numpy as np
import torch

from associative_embedding.losses import pixel_tag_loss, tag_loss
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.training.collate import join_samples


class Bytes:
    """Draws numbers from bytes, and zeros behind their end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, count: int) -> bytes:
        part = self.data[self.place : self.place + count]
        self.place += count
        return part.ljust(count, b"\6")

    def number(self, low: int, high: int) -> int:
        return low + int.from_bytes(self.take(2), "little") % (high - low + 1)


def drawn_maps(draw: Bytes) -> tuple[Maps, tuple[int, int]]:
    """Returns maps of any size and their size. They have few values, so ties, plateaus and extremes are frequent."""
    channels, dimension, height, width = draw.number(1, 20), draw.number(1, 4), draw.number(1, 12), draw.number(1, 12)
    # 0, 0.5 and 1 besides: random floats seldom equal a threshold
    palette = np.concatenate([np.frombuffer(draw.take(24), np.float32), np.float32([0.0, 0.5, 1.0])])
    shapes = [(1, channels, height, width), (1, channels, dimension, height, width)]
    parts = [np.frombuffer(draw.take(int(np.prod(shape))), np.uint8).reshape(shape) for shape in shapes]
    heatmap, tag = (palette[part % len(palette)] for part in parts)
    return Maps(heatmap, tag), (height, width)


def decode(data: bytes, *, masks: bool) -> None:
    draw = Bytes(data)
    maps, (height, width) = drawn_maps(draw)
    geometry = letterbox((height * 4, width * 4), max(height, width) * 4, multiple=4, stride=4)
    names = [f"c{i}" for i in range(maps.heatmap.shape[1])]
    if masks:
        config = MaskDecodeConfig(threshold=0.3, min_size=0, min_weight=0, regions=bool(draw.number(0, 1)))
        task: SegmentationTask | PoseTask = SegmentationTask(tuple(names), config)
    else:
        score = ("all", "found", "shrunk")[draw.number(0, 2)]
        task = PoseTask(Skeleton.build("any", names), DecodeConfig(threshold=0.1, fill_threshold=0.01, score=score))  # type: ignore[arg-type]
    finite = bool(np.isfinite(maps.heatmap).all() and np.isfinite(maps.tag).all())
    try:
        found = task.decode(maps, geometry)
    except ValueError as error:
        if "NaN or infinity" not in str(error):
            raise AssertionError("another error than the documented one") from error
        # values near the largest float may overflow in the sum that checks for NaN and infinity
        if finite and np.abs(maps.heatmap).max() < 1e30 > np.abs(maps.tag).max():
            raise AssertionError("finite maps are refused") from error
        return
    assert finite
    assert np.isfinite(found.tag).all()
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert masks or np.isfinite(found.keypoints).all()


def losses(data: bytes) -> None:
    draw = Bytes(data)
    maps, (height, width) = drawn_maps(draw)
    sizes = (maps.heatmap.shape[1], height, width, 5)
    rows = [[draw.number(0, size - 1) for size in sizes] for _ in range(draw.number(0, 30))]
    tag = torch.from_numpy(maps.tag).nan_to_num(0, 0, 0).clamp(-1e6, 1e6)
    for loss in (tag_loss, pixel_tag_loss):
        own = tag.clone().requires_grad_()
        pull, push = loss(own, join_samples([np.array(rows, np.int64).reshape(-1, 4)]))
        (pull.mean() + push.mean()).backward()  # type: ignore[no-untyped-call]
        assert own.grad is not None
        assert all(bool(torch.isfinite(value).all()) for value in (pull, push, own.grad))


def noise() -> list[bytes]:
    data = np.random.default_rng(0).bytes(4000)
    return [data, data[:900], data[:300]]
