"""Compares PyTorch, ONNX Runtime and OpenVINO in one process.

    python benchmarks/runtimes.py ../shared/data/pose/coco/images [--limit 40] [--rounds 15] [--threads 1]

Prints a Markdown table of median times: the network alone at 512 x 384 pixels; whole photographs, from the file to the
people, at the model's own sizes without refinement, with ``--flip`` and with ``--refine single-person``; the refinement
of one person; and the seconds to export the graph, once for each model. The runtimes take turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import alternating_ms, call_ms, markdown, start_anew

from associative_embedding.apps.cli.main import ALLOCATOR
from associative_embedding.inference.load import load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.find_images import find_images
from associative_embedding.io.images import read_image
from associative_embedding.model_files.find import model_path
from associative_embedding.model_files.runtime import NEEDS, cached_graph

SIZE = (384, 512)  # rows and columns of the network's input
NETWORK = f"the network at {SIZE[1]} x {SIZE[0]}, ms"
Predictors = dict[str, Predictor]  # runtime -> predictor
Row = dict[str, float]  # runtime -> time


def installed() -> list[str]:
    return ["torch", *(kind for kind, modules in NEEDS.items() if all(map(importlib.util.find_spec, modules)))]


def export_seconds(model: str) -> Row:
    """Returns the seconds to export the graph for each runtime, into the empty cache."""
    seconds = {}
    for kind in installed()[1:]:
        start = time.perf_counter()
        cached_graph(model_path(model), kind)  # type: ignore[arg-type]
        seconds[kind] = time.perf_counter() - start
    return seconds


def load_each(model: str, **options: Any) -> Predictors:
    return {kind: load(model, runtime=kind, **options) for kind in installed()}  # type: ignore[arg-type]


def network_ms(predictors: Predictors, rounds: int) -> Row:
    image = np.random.default_rng(0).integers(0, 256, (1, 3, *SIZE), dtype=np.uint8)
    return alternating_ms({kind: lambda p=p: p.network.predict(image) for kind, p in predictors.items()}, rounds)


def photo_ms(predictors: Predictors, photos: Sequence[str]) -> Row:
    """Returns the median milliseconds a photograph; all runtimes predict a photograph before the next one."""
    for predictor in predictors.values():
        predictor(photos[0])
    rows = [
        {kind: call_ms(lambda p=p, photo=photo: p(photo, keep_image=False)) for kind, p in predictors.items()}
        for photo in photos
    ]
    return {kind: statistics.median(row[kind] for row in rows) for kind in predictors}


def person_ms(predictors: Predictors, photos: Sequence[str], model: str) -> Row:
    """Returns the milliseconds a person of the refinement, for the people that one runtime found."""
    finder = load(model, refine="none")
    total, people = dict.fromkeys(predictors, 0.0), 0
    for photo in photos:
        image = read_image(photo)
        found = finder(image, keep_image=False)
        people += len(found)
        for kind, predictor in predictors.items():
            total[kind] += call_ms(lambda p=predictor, f=found, i=image: p.refine(f, i))
    return {kind: milliseconds / max(1, people) for kind, milliseconds in total.items()}


def measure(options: argparse.Namespace) -> dict[str, Row]:
    photos = find_images([options.images])[: options.limit]
    rows = {"exporting the graph, seconds": export_seconds(options.model)}
    plain = load_each(options.model, refine="none")
    flipped = load_each(options.model, refine="none", flip=True)
    refined = load_each(options.model, refine=options.refine)
    rows[NETWORK] = network_ms(plain, options.rounds)
    rows["a photograph, ms"] = photo_ms(plain, photos)
    rows["the same with --flip, ms"] = photo_ms(flipped, photos)
    rows[f"the same with --refine {options.refine}, ms"] = photo_ms(refined, photos)
    rows["of this the refinement, ms a person"] = person_ms(refined, photos, options.model)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("images", help="folder of photographs")
    parser.add_argument("--limit", type=int, default=40, help="photographs, at most")
    parser.add_argument("--rounds", type=int, default=15, help="calls of the network alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", default="person")
    parser.add_argument("--refine", default="single-person")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AE_CACHE"] = str(Path(folder))
        rows = measure(options)
    texts = {name: {kind: f"{value:.1f}" for kind, value in row.items()} for name, row in rows.items()}
    print(markdown(f"{options.threads} thread{'s' * (options.threads > 1)}, medians", installed(), texts))


if __name__ == "__main__":
    start_anew(ALLOCATOR)
    main()
