"""Measures the time and AP of an exported network with 8 bits instead of 32, quantised by ONNX Runtime.

    python benchmarks/int8.py ../shared/data/pose/mpii/images --annotations ../shared/data/pose/coco/annotations.json \
        --images ../shared/data/pose/coco/images --held-out 0.1

The first argument is a folder of photographs that calibrate the ranges (static quantisation, weights per tensor and per
channel, inputs at all sizes of the model). Prints a Markdown table: median milliseconds of the network at 512 x 384
pixels on one thread, AP on the held-out images, and the size of the file.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from timing import alternating_ms, markdown, start_anew

from associative_embedding.apps.cli.main import ALLOCATOR
from associative_embedding.evaluation.poses import evaluate_pose_model, open_pose_test_set, pose_task
from associative_embedding.inference.load import load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.find_images import find_images
from associative_embedding.io.images import read_image
from associative_embedding.model_files.export import export_model
from associative_embedding.model_files.find import model_path
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import letterbox, warp

SIZE = (384, 512)  # rows and columns of the network's input


class Photographs(CalibrationDataReader):  # type: ignore[misc]
    """Yields photographs as inputs of the network, at all sizes of the model."""

    def __init__(self, paths: Sequence[str], predictor: Predictor) -> None:
        self.inputs = self.inputs_of(paths, predictor)

    def inputs_of(self, paths: Sequence[str], predictor: Predictor) -> Iterator[Array]:
        network = predictor.network
        for path in paths:
            image = read_image(path)
            for scale in predictor.scales:
                side = round(predictor.input_size * scale)
                geometry = letterbox(image.shape[:2], side, multiple=network.multiple, stride=network.stride)
                yield np.ascontiguousarray(warp(image, geometry).transpose(2, 0, 1)[None])

    def get_next(self) -> dict[str, Array] | None:
        image = next(self.inputs, None)
        return None if image is None else {"image": image}


def quantised(source: Path, paths: Sequence[str], *, per_channel: bool) -> Path:
    """Writes an exported model with 8 bits in its convolutions, and returns its path.

    The file keeps the model's description, so `load` can read it.
    """
    target = source.with_stem(f"int8-{'channel' if per_channel else 'tensor'}")
    # a new reader for each file, as a reader can be used only once
    reader = Photographs(paths, load(source, refine="none"))
    quantize_static(str(source), str(target), reader, op_types_to_quantize=["Conv"], per_channel=per_channel)
    return target


def network_ms(predictors: dict[str, Predictor], rounds: int) -> dict[str, float]:
    image = np.random.default_rng(0).integers(0, 256, (1, 3, *SIZE), dtype=np.uint8)
    return alternating_ms({name: lambda p=p: p.network.predict(image) for name, p in predictors.items()}, rounds)


def average_precision(predictor: Predictor, options: argparse.Namespace) -> float:
    test_set = open_pose_test_set(
        options.annotations,
        options.images,
        pose_task(predictor).skeleton,
        held_out_share=options.held_out,
        limit=options.limit,
    )
    return float(evaluate_pose_model(predictor, test_set)[0]["AP"] or 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("photographs", help="folder of photographs that calibrate")
    parser.add_argument("--annotations", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--held-out", "--held_out", type=float, default=0.0)
    parser.add_argument("--limit", type=int, default=0, help="images to evaluate on, at most (0 = all)")
    parser.add_argument("--calibrate", type=int, default=40, help="photographs that calibrate, at most")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--model", default="person")
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = find_images([options.photographs])[: options.calibrate]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "float32.onnx")
        export_model(model_path(options.model), str(source), "onnx")
        files = {
            "float32": source,
            "int8 per tensor": quantised(source, paths, per_channel=False),
            "int8 per channel": quantised(source, paths, per_channel=True),
        }
        predictors = {name: load(file, refine="none") for name, file in files.items()}
        times = network_ms(predictors, options.rounds)
        rows = {
            name: {
                "ms": f"{times[name]:.0f}",
                "AP": f"{average_precision(predictor, options):.3f}",
                "MB": f"{files[name].stat().st_size / 1e6:.1f}",
            }
            for name, predictor in predictors.items()
        }
    print(markdown("weights", ["ms", "AP", "MB"], rows))


if __name__ == "__main__":
    start_anew(ALLOCATOR)
    main()
