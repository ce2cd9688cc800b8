"""What is fuzzed: every reader of files, decoding, the losses, and the requests of the service.

Each target reads bytes; where a format is several files, the other ones are valid and lie beside it.
"""

from __future__ import annotations

import functools

from support.fuzz_images import films, pictures, read_film, read_picture, read_picture_size, tiffs
from support.fuzz_labels import (
    coco_files,
    deeplabcut_files,
    label_reader,
    matlab_files,
    read_coco_data,
    read_matlab_file,
    read_runs,
    read_shards,
    read_voc,
    read_yolo_labels,
    shard_files,
    sleap_files,
    voc_files,
    written_labels,
    yolo_labels,
)
from support.fuzz_models import (
    descriptions,
    model_files,
    model_heads,
    movenet_files,
    onnx_files,
    read_checkpoint,
    read_description,
    read_head,
    read_model,
    read_movenet,
    read_onnx,
    read_recipe,
    read_training_state,
    recipes,
    torch_files,
)
from support.fuzz_service import request, requests
from support.fuzz_values import decode, losses, noise
from support.fuzzing import Target

TARGETS: dict[str, Target] = {
    "image": Target(read_picture, pictures),
    "image-size": Target(read_picture_size, lambda: pictures() + tiffs()),
    "tiff": Target(read_picture, tiffs),
    "video": Target(read_film, films),
    "coco": Target(read_coco_data, coco_files, text=True),
    "cvat": Target(label_reader("cvat", "a.xml"), written_labels("cvat", "a.xml"), text=True),
    "deeplabcut": Target(label_reader("deeplabcut", "CollectedData_me.csv"), deeplabcut_files, text=True),
    "label-studio": Target(label_reader("label-studio", "a.json"), written_labels("label-studio", "a.json"), text=True),
    "sleap": Target(label_reader("sleap", "a.slp"), sleap_files),
    "yolo": Target(label_reader("yolo", "data.yaml"), written_labels("yolo", "data.yaml"), text=True),
    "yolo-labels": Target(read_yolo_labels, yolo_labels, text=True),
    "voc": Target(read_voc, voc_files),
    "rle": Target(read_runs, noise),
    "shards": Target(read_shards, shard_files, text=True),
    "matlab": Target(read_matlab_file, matlab_files),
    "recipe": Target(read_recipe, recipes, text=True),
    "model": Target(read_model, model_files),
    "model-head": Target(read_head, model_heads, text=True),
    "description": Target(read_description, descriptions, text=True),
    "onnx": Target(read_onnx, onnx_files, (ValueError, OSError, RuntimeError)),
    "torch": Target(read_checkpoint, torch_files),
    "state": Target(read_training_state, torch_files),
    "movenet": Target(read_movenet, movenet_files, text=True),
    "poses": Target(functools.partial(decode, masks=False), noise),
    "masks": Target(functools.partial(decode, masks=True), noise),
    "losses": Target(losses, noise),
    "requests": Target(request, requests, (), text=True),
}
