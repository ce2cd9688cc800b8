"""Masks: decoding parts what touches by its tags, and joins what is apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.masks import Masks
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.tasks.segmentation.task import SegmentationTask


def ideal(labels: Array, stride: int) -> Maps:
    """The maps of a perfect network: tags are numbers of objects."""
    map_labels = labels[stride // 2 :: stride, stride // 2 :: stride]
    heatmap = torch.from_numpy((map_labels > 0).astype(np.float32))
    return Maps(heatmap[None, None], torch.from_numpy(map_labels.astype(np.float32) * 3)[None, None, None])


@pytest.mark.parametrize("regions", [True, False])
def test_what_touches_is_parted_by_its_tags(regions: bool) -> None:
    labels = np.zeros((32, 48), np.int32)
    labels[4:20, 4:16], labels[4:20, 16:30], labels[24:30, 8:40] = 1, 2, 3
    geometry = letterbox((32, 48), 48, multiple=1, stride=2)
    task = SegmentationTask(("cell",), MaskDecodeConfig(regions=regions, min_weight=1.0))
    found = task.decode(ideal(labels, 2), geometry)
    assert found.masks is not None
    assert len(found) == 3
    assert (Masks.from_labels(labels).iou(found.masks).max(axis=1) > 0.85).all()
    assert found.class_names == {1: "cell"}
    assert SegmentationTask.from_description(task.to_description()) == task


def test_tags_alone_join_what_is_apart() -> None:
    labels = np.zeros((16, 32), np.int32)
    labels[4:12, 2:10] = labels[4:12, 20:28] = 1
    geometry = letterbox((16, 32), 32, multiple=1, stride=1)
    apart = SegmentationTask(("cell",), MaskDecodeConfig(regions=True)).decode(ideal(labels, 1), geometry)
    joined = SegmentationTask(("cell",), MaskDecodeConfig(regions=False)).decode(ideal(labels, 1), geometry)
    assert (len(apart), len(joined)) == (2, 1)


def test_maps_that_are_not_finite_are_refused() -> None:
    geometry = letterbox((8, 8), 8, multiple=1, stride=1)
    maps = Maps(torch.full((1, 1, 8, 8), torch.nan), torch.zeros(1, 1, 1, 8, 8))
    with pytest.raises(ValueError, match="NaN or infinity"):
        SegmentationTask(("cell",)).decode(maps, geometry)


def test_the_lowest_score_shown_is_a_setting() -> None:
    assert SegmentationTask(("cell",), MaskDecodeConfig(shown_score=0.7)).shown_score == 0.7


def test_no_classes() -> None:
    with pytest.raises(ValueError, match="each once and at least one"):
        SegmentationTask(())


def test_a_region_that_min_weight_dropped_stays_dropped() -> None:
    """Also beside a large object, whose label its pixels would have otherwise."""
    labels = np.zeros((32, 48), np.int32)
    labels[4:28, 4:20] = 1
    labels[10:16, 24:28] = 2
    geometry = letterbox((32, 48), 48, multiple=1, stride=2)
    kept = SegmentationTask(("cell",), MaskDecodeConfig(min_weight=5)).decode(ideal(labels, 2), geometry)
    dropped = SegmentationTask(("cell",), MaskDecodeConfig(min_weight=7)).decode(ideal(labels, 2), geometry)
    assert (len(kept), len(dropped)) == (2, 1)
    assert dropped.xywh[0].tolist() == kept.xywh[0].tolist()


@pytest.mark.parametrize(("regions", "areas"), [(True, [40, 20]), (False, [60])])
def test_masks_that_have_changed_are_cleaned(regions: bool, areas: list[int]) -> None:
    mask = np.zeros((16, 32), bool)
    mask[2:12, 2:6], mask[2:12, 8:10], mask[2:5, 20:23] = True, True, True
    task = SegmentationTask(("cell",), MaskDecodeConfig(regions=regions, min_size=10))
    found = task.decode(ideal(np.ones((16, 32), np.int32), 1), letterbox((16, 32), 32, multiple=1, stride=1))
    cleaned = task.cleaned(replace(found, masks=Masks.from_dense([mask], (16, 32))))
    assert cleaned.masks is not None
    assert cleaned.masks.area.tolist() == areas
    assert cleaned.score.tolist() == [found.score[0]] * len(areas)
