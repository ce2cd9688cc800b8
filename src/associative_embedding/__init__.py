"""Joint detection and grouping with associative embedding (Newell, Huang, Deng, 2017).

One network gives every detection a score and a tag; equal tags mean the same group.

    import associative_embedding as ae

    model = ae.load()
    people = model("photo.jpg")
    people.keypoints      # (N, K, 3) x, y, score
    people.save("out.json")

Names are imported when they are first used, so that ``import associative_embedding`` is light. What is named as its
module comes from there: ``from associative_embedding.training.train import train``.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# PyTorch's threads wait for each other by counting, on cores that another process may need: beside a busy one, two of
# them are ten times slower than one (docs/performance.md). OpenMP reads this when torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "100")

_HOME = {  # no name of a submodule: importing that one would put the module in its place
    "COCO_17": "structures.known_skeletons",
    "Clip": "io.videos",
    "CROWDPOSE_14": "structures.known_skeletons",
    "DecodeConfig": "tasks.pose.settings",
    "Detections": "structures.detections",
    "Groups": "structures.detections",
    "ImageGeometry": "structures.geometry",
    "Instances": "instances",
    "LSP_14": "structures.known_skeletons",
    "MPII_16": "structures.known_skeletons",
    "Maps": "structures.maps",
    "LinkConfig": "tasks.tracking.settings",
    "ModelInfo": "model_files.model_info",
    "Network": "networks.network",
    "Options": "inference.options",
    "PoseTask": "tasks.pose.task",
    "Predictor": "inference.predictor",
    "Reading": "io.reading",
    "Recipe": "training.recipe",
    "Refiner": "inference.refiner",
    "Sample": "structures.sample",
    "SinglePersonTask": "tasks.single_person.task",
    "Skeleton": "structures.skeleton",
    "TagSamples": "structures.maps",
    "Target": "structures.maps",
    "Tracker": "tasks.tracking.tracker",
    "build_network": "networks.zoo",
    "draw_instances": "instances",
    "evaluate_keypoints": "evaluation.metrics.oks",
    "focal_loss": "losses",
    "group_sequentially": "grouping",
    "load": "inference.load",
    "load_model": "model_files.checkpoint",
    "mse_loss": "losses",
    "read_image": "io.images",
    "save_model": "model_files.checkpoint",
    "tag_distance": "grouping",
    "tag_loss": "losses",
}
__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
