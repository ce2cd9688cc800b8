"""Joint detection and grouping with associative embedding (Newell, Huang, Deng, 2017).

One network gives every detection a score and a tag; equal tags mean the same group.

    import associative_embedding as ae

    model = ae.load()
    people = model("photo.jpg")
    people.keypoints      # (N, K, 3) x, y, score
    people.save("out.json")

Names are imported when they are first used, so that ``import associative_embedding`` is light. What is named as its
module comes from there: ``from associative_embedding.train import train``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from associative_embedding.version import VERSION as __version__

_HOME = {  # no name of a submodule: importing that one would put the module in its place
    "COCO_17": "skeleton",
    "CROWDPOSE_14": "skeleton",
    "DecodeConfig": "settings",
    "Detections": "types",
    "Groups": "types",
    "ImageGeometry": "geometry",
    "Instances": "types",
    "LSP_14": "skeleton",
    "MPII_16": "skeleton",
    "Maps": "types",
    "ModelInfo": "checkpoint",
    "Network": "models.network",
    "PoseTask": "tasks.pose",
    "Predictor": "predict",
    "Recipe": "config",
    "Refiner": "refine",
    "Sample": "types",
    "SinglePersonTask": "tasks.single_pose",
    "Skeleton": "skeleton",
    "TagSamples": "types",
    "Target": "types",
    "build_network": "models.zoo",
    "draw_instances": "draw",
    "evaluate_keypoints": "metrics.oks",
    "focal_loss": "losses",
    "group_sequentially": "grouping",
    "load": "loading",
    "load_model": "checkpoint",
    "mse_loss": "losses",
    "read_image": "image_io",
    "save_model": "checkpoint",
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
