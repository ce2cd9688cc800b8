"""Measures which step takes the time of one photograph, from the file to the picture.

    python benchmarks/profile_predict.py ../shared/data/pose/coco/images [--limit 40] [--runtime onnx] [--threads 1]

Times the functions that do the work, and prints their medians over the photographs as a Markdown table. "other" is the
rest of the whole time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from timing import call_ms, markdown, start_anew

from associative_embedding.apps.cli.main import ALLOCATOR
from associative_embedding.inference import predictor
from associative_embedding.inference.load import load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import draw_instances
from associative_embedding.io.find_images import find_images
from associative_embedding.tasks.pose import keypoint_task, task

# step -> the module or class in which its caller finds the function, and the function's name
PARTS: dict[str, tuple[Any, str]] = {
    "read": (predictor, "read_image"),
    "resize": (predictor, "warp"),
    "network": (Predictor, "run_network"),
    "merge sizes": (keypoint_task, "merge_views"),
    "detect": (task, "detect"),
    "group": (task, "group_sequentially"),
    "fill": (task, "fill_missing"),
    "refine": (Predictor, "refine"),
}


class Watch:
    """Replaces a function by a timed one, and sums its milliseconds until they are read."""

    running = False  # of all watches: a step inside another one must not count twice

    def __init__(self, owner: Any, name: str) -> None:
        self.spent = 0.0
        setattr(owner, name, self.around(getattr(owner, name)))

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            if Watch.running:
                return function(*arguments, **options)
            Watch.running, before = True, time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                Watch.running = False
                self.spent += 1e3 * (time.perf_counter() - before)

        return timed

    def read(self) -> float:
        spent, self.spent = self.spent, 0.0
        return spent


def times_of(model: Predictor, photo: str, watches: dict[str, Watch]) -> dict[str, float]:
    """Returns the milliseconds of each step for one photograph, in the order of the steps."""
    found = []
    whole = call_ms(lambda: found.append(model(photo)))
    row = {name: watch.read() for name, watch in watches.items()}
    row["other"] = whole - sum(row.values())
    row["draw"] = call_ms(lambda: draw_instances(found[0].image, found[0]))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("images", help="folder of photographs")
    parser.add_argument("--limit", type=int, default=40, help="photographs, at most")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", default="person")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    photos = find_images([options.images])[: options.limit]
    model = load(options.model, runtime=options.runtime)
    watches = {name: Watch(*place) for name, place in PARTS.items()}
    times_of(model, photos[0], watches)  # to warm up
    rows = [times_of(model, photo, watches) for photo in photos]
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    whole = sum(medians.values())
    texts = {name: {"ms": f"{ms:.1f}", "percent": f"{100 * ms / whole:.0f}"} for name, ms in medians.items()}
    print(markdown(f"a photograph of {len(photos)}", ["ms", "percent"], texts))


if __name__ == "__main__":
    start_anew(ALLOCATOR)
    main()
