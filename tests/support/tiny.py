"""Recipes, data and models so small that a test takes a second."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from associative_embedding.data.settings import Augment, SourceConfig
from associative_embedding.data.synthetic.figures import write_synthetic_dataset
from associative_embedding.inference.predictor import Predictor
from associative_embedding.model_files.checkpoint import save_model
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.networks.network import Network
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.training.recipe import DataConfig, LossConfig, NetworkConfig, Recipe, TrainConfig

FIGURE = Skeleton.build(
    "figure",
    ["nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip"],
    [
        ("nose", "left_shoulder"),
        ("nose", "right_shoulder"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "right_hip"),
    ],
)
HOURGLASS = {"stacks": 2, "widths": [8, 8, 8], "stem": [8, 8]}
STILL = Augment(rotation=0, scale=(1.0, 1.0), shift=0, mirror=0, colour=0, grey=0, blur=0)


def tiny_data(folder: Path, images: int = 6, size: tuple[int, int] = (64, 64), **options: Any) -> SourceConfig:
    """Synthetic figures of five keypoints."""
    path = write_synthetic_dataset(folder / "data", FIGURE, images, size=size, **options)
    return SourceConfig(images=str(folder / "data" / "images"), annotations=str(path))


def tiny_recipe(folder: Path, source: SourceConfig, *, validate: bool = False, **train: Any) -> Recipe:
    """Two small hourglasses on 64-pixel images; the output folder is ``folder/run``."""
    settings: dict[str, Any] = {"steps": 12, "batch": 2, "warmup": 3, "log_every": 5, "save_every": 100, "ema": 0.9}
    return Recipe(
        output=str(folder / "run"),
        network=NetworkConfig(backbone="hourglass", tag_size=2, options=dict(HOURGLASS)),
        data=DataConfig(
            sources=[source],
            skeleton=str(source.annotations),
            input_size=64,
            sigma=1.0,
            workers=0,
            validation=[source] if validate else [],
            validation_size=64,
        ),
        loss=LossConfig(pull=0.1, push=0.1),
        train=replace(TrainConfig(device="cpu"), **{**settings, **train}),
    )


TINY_DECODE = DecodeConfig(threshold=0.02, fill_threshold=0.02, tag_threshold=0.5)


def tiny_info(
    backbone: str = "hourglass", skeleton: Skeleton = FIGURE, decode: DecodeConfig = TINY_DECODE, **values: Any
) -> ModelInfo:
    """A description of a small network; mobilenet_v2 has two position dimensions."""
    options: dict[str, Any] = {"hourglass": HOURGLASS, "mobilenet_v2": {"position": 2}}.get(backbone, {})
    return ModelInfo(
        **{
            "backbone": backbone,
            "task": PoseTask(skeleton, decode),
            "input_size": 64,
            "tag_size": 2,
            "options": dict(options),
            **values,
        }
    )


def tiny_network(info: ModelInfo, seed: int = 0) -> Network:
    """Random weights whose heatmaps have peaks."""
    torch.manual_seed(seed)
    network = info.build().eval()
    if hasattr(network.body, "heatmap_head"):
        with torch.no_grad():
            network.body.heatmap_head[-1].bias.fill_(-1.0)
            network.body.heatmap_head[-1].weight.mul_(30)
    return network


def tiny_model(path: Path, **values: Any) -> str:
    """A model file with random weights."""
    info = tiny_info(**values)
    save_model(path, tiny_network(info), info)
    return str(path)


def photo(height: int = 64, width: int = 96, seed: int = 0) -> Array:
    """Blurred noise: bright and dark places for a random network to find people in."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (9, 9), 2), None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]


def tiny_predictor(backbone: str = "mobilenet_v2", **options: Any) -> Predictor:
    info = tiny_info(backbone)
    return Predictor(tiny_network(info), info, **{"input_size": 96, **options})


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
