"""Recipes and files of models that are fuzzed."""

from __future__ import annotations

import functools
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from associative_embedding.apps.cli.main import parse
from associative_embedding.model_files.checkpoint import load_model
from associative_embedding.model_files.converters.movenet import read_tfjs
from associative_embedding.model_files.converters.published_pose_models import load_published
from associative_embedding.model_files.exported_network import load_exported
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.training.state import read_state
from support.fuzz_files import folder, on_disk, refusing
from support.paths import ROOT
from support.tiny import tiny_model

CPU = "cpu"


def read_recipe(data: bytes) -> None:
    parse(["train", str(on_disk(data, "recipe.yaml"))])


def recipes() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "recipes").rglob("*.yaml"))]


def read_model(data: bytes) -> None:
    load_model(on_disk(data, "model.safetensors"))


def model_files() -> list[bytes]:
    path = folder() / "seed.safetensors"
    return [Path(tiny_model(path, **values)).read_bytes() for values in ({}, {"tag_size": 1, "scales": (1.0, 0.5)})]


def model_heads() -> list[bytes]:
    """The heads of model files, as texts; `read_head` adds the tensors."""
    data = model_files()[0]
    return [data[8 : 8 + int.from_bytes(data[:8], "little")]]


@functools.cache
def model_tail() -> bytes:
    data = model_files()[0]
    return data[8 + int.from_bytes(data[:8], "little") :]


def read_head(data: bytes) -> None:
    read_model(len(data).to_bytes(8, "little") + data + model_tail())


def read_description(data: bytes) -> None:
    """Reads the description inside a model file. Its readers turn these errors into one line with the file."""
    with refusing((KeyError, AttributeError, TypeError, RecursionError, ValueError)):
        ModelInfo.from_json(data.decode("utf-8", "replace"))


def descriptions() -> list[bytes]:
    path = folder() / "seed.safetensors"
    tiny_model(path)
    return [load_model(path)[1].to_json().encode(), load_model(shipped("person"))[1].to_json().encode()]


def shipped(name: str) -> Path:
    from associative_embedding.model_files.find import model_path

    return model_path(name)


def read_onnx(data: bytes) -> None:
    network, _ = load_exported(on_disk(data, "model.onnx"), CPU)
    network.predict(np.zeros((1, 3, 64, 64), np.uint8))


def onnx_files() -> list[bytes]:
    from associative_embedding.model_files.export import export_model

    tiny_model(folder() / "seed.safetensors")
    export_model(folder() / "seed.safetensors", str(folder() / "seed.onnx"), "onnx")
    return [(folder() / "seed.onnx").read_bytes()]


def read_checkpoint(data: bytes) -> None:
    """Checkpoints of other projects, which are pickles."""
    load_published(on_disk(data, "other.pth"), "higherhrnet")


def read_training_state(data: bytes) -> None:
    read_state(on_disk(data, "state.pt"), CPU)


def torch_files() -> list[bytes]:
    results = []
    keys: dict[str, Any] = {"step": 1, "network": {}, "optimizer": {}, "average": None, "identity": {}}
    for content in ({"state_dict": {"conv1.weight": torch.zeros(2, 2)}}, {**keys, "a": torch.zeros(3)}):
        for zipped in (True, False):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
            results.append(buffer.getvalue())
    return results


def read_movenet(data: bytes) -> None:
    on_disk(bytes(64), "group1-shard1of1.bin")
    read_tfjs(on_disk(data, "model.json"))


def movenet_files() -> list[bytes]:
    weights = [{"name": "a", "shape": [2, 2], "dtype": "float32"}, {"name": "b", "shape": [12], "dtype": "int32"}]
    group = {"paths": ["group1-shard1of1.bin"], "weights": weights}
    return [json.dumps({"format": "graph-model", "weightsManifest": [group]}, indent=1).encode()]
