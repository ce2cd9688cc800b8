"""Published values: maps and people of decoders (reference/goldens/decode_*.npz), and cases of metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask

CASES = ["n0", "n1", "n3", "n5", "n30", "n6_missing"]  # so many people; n3 is not square; n6 has D = 2


def load(shared: Path, case: str) -> dict[str, Array]:
    return dict(np.load(shared / f"reference/goldens/decode_{case}.npz"))


def read_maps(golden: dict[str, Array]) -> Maps:
    heatmap = torch.from_numpy(golden["det"].astype(np.float32))
    tag = torch.from_numpy(golden["tag"].astype(np.float32)).permute(0, 3, 1, 2)
    return Maps(heatmap[None], tag[None])


def decode(golden: dict[str, Array], **settings: Any) -> Instances:
    """With an image as large as the map: continuous map coordinates."""
    height, width = golden["det"].shape[1:]
    geometry = letterbox((height, width), max(height, width), multiple=1, stride=1)
    return PoseTask(COCO_17, DecodeConfig(**settings)).decode(read_maps(golden), geometry)


def load_metric_cases(shared: Path, name: str) -> Any:
    """The json of cases with the values that the official evaluation gives for them."""
    return json.loads((shared / "reference/metrics" / name).read_text())
