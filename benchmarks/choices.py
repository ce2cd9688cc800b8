"""Measures accuracy and time of models and settings in one run, and draws the curve of docs/which-model.md.

    python benchmarks/choices.py --annotations ../shared/data/pose/coco/annotations.json \
        --images ../shared/data/pose/coco/images --held-out 0.1 --json choices.json
    python benchmarks/choices.py --again choices.json --plot docs/images/choices.svg
    python benchmarks/choices.py --time --images ../shared/data/pose/coco/images \
        --cells ../shared/data/segmentation/dsb2018/images --limit 40

The last one prints the times of all shipped models that README and their cards state, and no accuracy.

Every image passes all settings before the next one, so a slow moment of the machine affects all alike. Milliseconds are
of the processor on one thread: other programs that use the machine do not count. They cover everything from the
decoded image to the people who are shown, for whom a second look is worth it. AP is COCO's, as ``ae evaluate`` computes
it of everybody who is found, also doubtful people; its time is in the last column.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from timing import markdown, start_anew
from tqdm import tqdm

from associative_embedding.apps.cli.main import ALLOCATOR
from associative_embedding.evaluation.metrics.oks import evaluate_keypoints
from associative_embedding.evaluation.poses import PoseTestSet, coco_results, open_pose_test_set, pose_task
from associative_embedding.inference.load import load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import Refiner
from associative_embedding.io.find_images import find_images
from associative_embedding.io.images import read_image

# what a user writes -> the same for `load`; the first is what the others are compared with
SETTINGS: dict[str, dict[str, Any]] = {
    "person": {},
    "person --fine_below 0": {"fine_below": 0},
    "person --scales 1 0.5": {"scales": (1.0, 0.5)},
    "person --refine_views all": {"refine_views": "all"},
    "person --scales 1 --input_size 384": {"scales": (1.0,), "input_size": 384},
    "person --scales 1 --input_size 320": {"scales": (1.0,), "input_size": 320},
    "person --scales 1 --input_size 256": {"scales": (1.0,), "input_size": 256},
    "person --refine_size 160": {"refine_size": 160},
    "person --scales 1 --input_size 320 --refine_views all": {
        "scales": (1.0,),
        "input_size": 320,
        "refine_views": "all",
    },
    "person --refine none": {"refine": "none"},
    "person --refine none --scales 1 --input_size 384": {"refine": "none", "scales": (1.0,), "input_size": 384},
    "person --refine none --scales 1 --input_size 256": {"refine": "none", "scales": (1.0,), "input_size": 256},
    "person-fast": {},
    "person-fast --input_size 320": {"input_size": 320},
    "person-fast --input_size 256": {"input_size": 256},
    "person-fast --refine_size 224": {"refine_size": 224},
    "person-fast --refine none": {"refine": "none"},
}
SHIPPED = ("person", "person --refine none", "person-fast", "single-person", "nuclei")  # the rows of README
FAMILIES = {  # of the plot: the settings that a line joins, from fast to slow
    "person": [name for name in SETTINGS if name.split()[0] == "person" and "refine" not in name],
    "person --refine_views": [name for name in SETTINGS if "views" in name],
    "person --refine_size 160": [name for name in SETTINGS if name.startswith("person ") and "refine_size" in name],
    "person --refine none": [name for name in SETTINGS if name.startswith("person --refine none")],
    "person-fast": [name for name in SETTINGS if name.startswith("person-fast") and "none" not in name],
    "person-fast --refine none": [name for name in SETTINGS if name.startswith("person-fast --refine none")],
}
DEFAULT_SIZE = {"person": "320 px, and 512", "person-fast": "384 px"}
# of a point: its label, in points
BESIDE = dict(zip(FAMILIES, ((0, 8), (4, -12), (0, -14), (6, -11), (-6, 4), (6, -11)), strict=True))
ALIGN = dict(zip(FAMILIES, ("center", "left", "center", "left", "right", "left"), strict=True))
PLACED = {  # points whose label would hide another one
    "person": ((0, -14), "center"),
    "person --fine_below 0": ((0, -14), "center"),
    "person --scales 1 0.5": ((0, 9), "center"),
    "person --refine_views all": ((0, 8), "center"),
    "person --refine_size 160": ((8, -3), "left"),
    "person --scales 1 --input_size 320 --refine_views all": ((-4, 9), "right"),
    "person --refine none --scales 1 --input_size 256": ((-6, 4), "right"),
    "person-fast --refine_size 224": ((8, -8), "left"),
}


@dataclass
class Choice:
    """One row of the table.

    Attributes:
        ms: processor time of each image with the people who are shown, as for ``ae predict``, milliseconds.
        all_ms: the same with everybody who is found, as for ``ae evaluate``.
        ap, ar: COCO's AP and AR.
        results: COCO results, until AP is known.
    """

    ms: list[float] = field(default_factory=list)
    all_ms: list[float] = field(default_factory=list)
    ap: float = 0.0
    ar: float = 0.0
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.ms)


def load_all() -> dict[str, Predictor]:
    """Loads each first network and each refiner once: all copies would take gigabytes."""
    loaded = {model: load(model, device="cpu") for model in ("person", "person-fast")}
    refiners: dict[str, Refiner | None] = {}
    models = {}
    for name, options in SETTINGS.items():
        model = loaded[name.split()[0]]
        of_refiner = {key: value for key, value in options.items() if key.startswith("refine")}
        key = f"{name.split()[0]} {of_refiner}"
        if key not in refiners:
            refiners[key] = load(name.split()[0], device="cpu", **of_refiner).refiner
        own = {key: value for key, value in options.items() if not key.startswith("refine")}
        models[name] = Predictor(model.network, model.info, refiner=refiners[key], **own)
    return models


def measure(annotations: str, images: str, held_out: float, limit: int) -> dict[str, Choice]:
    models = load_all()
    skeleton = pose_task(models["person"]).skeleton
    test_set = open_pose_test_set(annotations, images, skeleton, held_out_share=held_out, limit=limit)
    choices = {name: Choice() for name in models}
    for model in models.values():
        model(test_set.data[0].image)  # to warm up
    for i in tqdm(range(len(test_set.data)), disable=None, unit="image"):
        add_image(test_set, i, models, choices)
    for choice in choices.values():
        metrics = evaluate_keypoints(test_set.truth.dataset, choice.results)
        choice.ap, choice.ar, choice.results = metrics["AP"], metrics["AR"], []
    return choices


def only_time(photos: str, cells: str, limit: int) -> str:
    """Returns a table of the median times of the shipped models on the first images of two folders; no accuracy."""
    models = {name: load(name.split()[0], device="cpu", **SETTINGS.get(name, {})) for name in SHIPPED}
    images = {name: find_images([cells if name == "nuclei" else photos])[:limit] for name in SHIPPED}
    ms: dict[str, list[float]] = {name: [] for name in SHIPPED}
    for i in tqdm(range(-1, min(map(len, images.values()))), disable=None, unit="image"):
        for name, model in models.items():
            image = read_image(images[name][max(i, 0)])  # the first one twice, to warm up
            before = time.process_time()
            model(image, keep_image=False)
            ms[name].append(1e3 * (time.process_time() - before))
    rows = {f"`{name}`": {"ms": f"{statistics.median(row[1:]):.0f}"} for name, row in ms.items()}
    return markdown(f"{len(ms['person']) - 1} images each", ["ms"], rows)


def add_image(test_set: PoseTestSet, i: int, models: dict[str, Predictor], choices: dict[str, Choice]) -> None:
    sample, truth = test_set.data[i], test_set.truth
    for name, model in models.items():
        choice = choices[name]
        # The first of two calls finds the caches cold, so the two take turns.
        for everybody in (i % 2 == 0, i % 2 == 1):
            before = time.process_time()
            if everybody:
                people = model.find(sample.image)  # raw scores and all keypoints, as `ae evaluate` takes them
            else:
                model(sample.image, keep_image=False)
            (choice.all_ms if everybody else choice.ms).append(1e3 * (time.process_time() - before))
        choice.results += coco_results([(sample.image_id, people)], category_id=truth.category_id, order=truth.order)


def table(choices: dict[str, Choice]) -> str:
    first = next(iter(choices.values()))
    rows = {
        f"`{name}`": {
            "AP": f"{choice.ap:.3f}",
            "AR": f"{choice.ar:.3f}",
            "ms": f"{choice.median:.0f}",
            "mean": f"{statistics.mean(choice.ms):.0f}",
            "time": f"{statistics.median(b / a for a, b in zip(first.ms, choice.ms, strict=True)):.2f}",
            "everybody, ms": f"{statistics.median(choice.all_ms):.0f}",
        }
        for name, choice in choices.items()
    }
    return markdown(f"{len(first.ms)} images", ["AP", "AR", "ms", "mean", "time", "everybody, ms"], rows)


def plot(choices: dict[str, Choice], path: Path) -> None:
    """Draws AP over the median time, one line for each family."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams["svg.fonttype"] = "path"
    pyplot.rcParams["svg.hashsalt"] = "choices"  # the same file from the same numbers
    figure, axis = pyplot.subplots(figsize=(8, 4.6))
    for family, names in FAMILIES.items():
        points = sorted((choices[name].median, choices[name].ap, name) for name in names)
        axis.plot([x for x, _, _ in points], [y for _, y, _ in points], "o-", label=family)
        for x, y, name in points:
            beside, align = PLACED.get(name, (BESIDE[family], ALIGN[family]))
            axis.annotate(label(name), (x, y), xytext=beside, ha=align, textcoords="offset points", fontsize=8)
    axis.set(xlabel="processor time of an image on one thread, ms", ylabel="AP, held-out images")
    axis.margins(x=0.1, y=0.1)
    axis.set_xlim(left=-8)
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right", frameon=False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def label(name: str) -> str:
    """Returns what a point of the plot is called: its input size, and the crops and views of each person."""
    model, *words = name.split()
    stated = {word: value for word, value in itertools.pairwise(words) if word.startswith("--")}
    if "--fine_below" in words:
        return "320 and 512 px always"
    size = f"{stated['--input_size']} px" if "--input_size" in stated else DEFAULT_SIZE[model]
    size = "512 and 256 px" if "0.5" in words else size
    crops = f"crops of {stated['--refine_size']}" if "--refine_size" in stated else ""
    parts = [part for part in (stated.get("--refine_views"), crops) if part]
    return ", ".join(parts if parts and "--input_size" not in stated else [*parts, size])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--annotations")
    parser.add_argument("--images")
    parser.add_argument("--held-out", type=float, default=0.0)
    parser.add_argument("--limit", type=int, default=0, help="images, at most (0 = all)")
    parser.add_argument("--json", type=Path, default=None, help="the numbers are written to this file")
    parser.add_argument("--again", type=Path, default=None, help="numbers of a former run, in place of measuring")
    parser.add_argument("--time", action="store_true", help="only the times of the shipped models")
    parser.add_argument("--cells", help="with --time: the images of `nuclei`")
    parser.add_argument("--plot", type=Path, default=None, help="the picture to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.time:
        if not options.images or not options.cells:
            parser.error("--time needs --images, photos of people, and --cells, images of nuclei")
        print(only_time(options.images, options.cells, options.limit or sys.maxsize))
        return
    if options.again:
        choices = {name: Choice(**row) for name, row in json.loads(options.again.read_text()).items()}
    else:
        choices = measure(options.annotations, options.images, options.held_out, options.limit)
    if options.json:
        options.json.write_text(json.dumps({name: asdict(choice) for name, choice in choices.items()}))
    if options.plot:
        plot(choices, options.plot)
    print(table(choices))


if __name__ == "__main__":
    start_anew(ALLOCATOR)
    main()
