"""``ae predict``: many images in, pictures, labels and one COCO json out. One bad image never stops the others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from associative_embedding.apps.cli.results_file import ResultsWriter, annotated_name, labels_name
from associative_embedding.apps.cli.tag_pictures import stack, tag_pictures
from associative_embedding.apps.errors import UsageError
from associative_embedding.inference.load import load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.console import say
from associative_embedding.io.files import write_image, write_labels
from associative_embedding.io.images import ImageError, find_images
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.task import Decoded, Task


def predict_sources(
    sources: Sequence[str],
    *,
    model: str,
    output: str,
    json_path: str | None = None,
    min_score: float | None = None,
    show: str = "found",
    scores: bool = False,
    labels: str | None = None,
    recursive: bool = False,
    resume: bool = False,
    **options: Any,
) -> int:
    """
    Args:
        sources: files, folders, patterns, URLs (see `image_io.find_images`).
        model, options: see `loading.load`.
        output: folder of the annotated pictures and label images.
        json_path: results file, by default ``predictions.json`` in that folder.
        min_score: lowest score, by default the task's `shown_score`. Pictures show the keypoints from
            `draw.MIN_KEYPOINT_SCORE` on, the results file has all.
        show: "found" (or "people"), "tags" (and what was found) or "nothing".
        scores: write each score into the picture.
        labels: "tif", "png" or "none": the label images of a model that finds masks, by default "tif".
        recursive: also look into subfolders.
        resume: leave out the images that the results file already has, and go on in it.

    Returns:
        the exit status: 0, or 1 when a source could not be read (all others are done).

    Raises:
        UsageError: for labels of a model that finds no masks.
        ValueError, OSError: when nothing can be done at all: no model, no writable output.
        KeyboardInterrupt: what was computed is kept.
    """
    paths, failures = expand(sources, recursive)
    if not paths:
        return 1  # and the results of an earlier run stay
    predictor = load(model, **options)
    kind = labels_kind(predictor.task, labels)
    if show == "tags" and not predictor.info.tag_size:
        raise ValueError(f"model {model} finds a single person and has no tags to show")
    results = Path(json_path) if json_path else Path(output) / "predictions.json"
    lowest = predictor.task.shown_score if min_score is None else min_score
    count = done = 0
    try:
        with ResultsWriter(results, categories=predictor.task.categories, resume=resume) as writer:
            before = len(paths)
            paths = [path for path in paths if path not in writer.done]
            if before > len(paths):
                say(f"{before - len(paths)} images are in {results} already")
            for path in tqdm(paths, desc="predict", unit="image", disable=None if len(paths) > 1 else True):
                try:
                    found, tags = look(predictor, path, lowest, tags=show == "tags")
                    written = save_labels(found, path, output, kind)
                    writer.add(found)
                    count, done = count + len(found), done + 1
                    if show != "nothing":
                        pictures = [found.draw(scores=scores), *tags]
                        written = [annotated_name(path, output), *written]
                        write_image(written[0], stack(pictures))
                    if written:
                        say(f"{path}: {len(found)} found -> {', '.join(map(str, written))}")
                except ValueError as error:
                    failures += 1
                    report(error)
    except KeyboardInterrupt:
        kept = f"are in {results}" if done else "are done"
        raise KeyboardInterrupt(f"interrupted; {done} of {len(paths)} images {kept}") from None
    if done:
        say(f"{count} found in {done} of {len(paths)} images -> {results}")
    return 1 if failures else 0


def look(predictor: Predictor, source: str, lowest: float, *, tags: bool) -> tuple[Instances, list[Array]]:
    """What was found in one image from a score on and, if asked for, the pictures of its tags."""
    if not tags:
        found = predictor(source)
        return found[found.score >= lowest], []
    decoded, maps, geometry = predictor.explain(source)
    decoded = select(decoded, decoded.instances.score >= lowest)
    return decoded.instances, tag_pictures(decoded, maps, geometry)


def labels_kind(task: Task, asked: str | None) -> str:
    """The kind of label images to write, "none" for no ones.

    Raises:
        UsageError: when some are asked for, and the task finds no masks.
    """
    if asked is not None and not task.finds_masks:
        raise UsageError(f"--labels {asked}: label images are of masks, and this model finds keypoints; leave it out")
    return (asked or "tif") if task.finds_masks else "none"


def save_labels(found: Instances, source: str, folder: str, kind: str) -> list[Path]:
    """Write one image's label image, if any of that kind; the files that were written."""
    if found.masks is None or kind == "none":
        return []
    path = labels_name(source, folder, f".{kind}")
    write_labels(path, found.masks.labels())
    return [path]


def expand(sources: Sequence[str], recursive: bool) -> tuple[list[str], int]:
    """The images that the sources stand for, each once, and how many sources stand for none (each is reported)."""
    good = []
    for source in sources:
        try:
            find_images([source], recursive=recursive)
            good.append(source)
        except ImageError as error:
            report(error)
    return find_images(good, recursive=recursive), len(sources) - len(good)


def report(error: Exception) -> None:
    """One line, clear of the progress bar."""
    say(f"ae: {' '.join(str(error).split())}", file=sys.stderr)


def select(decoded: Decoded, kept: Array) -> Decoded:
    """Some of what was found, ``(N,)`` bool; the groups stay."""
    return replace(decoded, instances=decoded.instances[kept], group=decoded.group[kept])
