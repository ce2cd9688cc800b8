"""Ten thousand objects: files take seconds, and memory that does not grow with objects times pixels."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.instances import Instances
from associative_embedding.structures.masks import Masks
from support.found_instances import found

COUNT, SIDE = 10_000, 20


@pytest.fixture(scope="module")
def field() -> Instances:
    """A grid of crosses."""
    cross = np.zeros((SIDE, SIDE), bool)
    cross[2:18, 6:14] = cross[6:14, 2:18] = True
    y, x = np.divmod(np.arange(COUNT), 100)
    side = 100 * SIDE
    masks = Masks((side, side), np.stack([y, x], axis=1) * SIDE, (cross,) * COUNT)
    return replace(
        found(0, masks=True),
        score=np.ones(COUNT, np.float32),
        class_id=np.ones(COUNT, np.int64),
        tag=np.zeros((COUNT, 1), np.float32),
        keypoints=np.zeros((COUNT, 0, 3), np.float32),
        image_size=masks.size,
        masks=masks,
        image=np.zeros((side, side, 3), np.uint8),
    )


@pytest.mark.slow
@pytest.mark.extra
@pytest.mark.parametrize("ending", ["csv", "geojson", "zip", "tif", "json", "jpg"])
def test_files_of_ten_thousand_objects(field: Instances, ending: str, tmp_path: Path) -> None:
    if ending == "zip":
        pytest.importorskip("roifile", reason="needs roifile, of the extra [roi]")
    start = time.process_time()
    field.save(str(tmp_path / f"a.{ending}"))
    assert time.process_time() - start < 60  # 0.2 to 2 s on two idle cores
    assert (tmp_path / f"a.{ending}").stat().st_size > 10_000


@pytest.mark.slow
def test_outlines_of_ten_thousand_objects_need_little_memory(field: Instances) -> None:
    tracemalloc.start()
    features = field.to_geojson()["features"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(features) == COUNT
    assert peak < 300 * 2**20  # a mask of the whole image each would be 40 GB
