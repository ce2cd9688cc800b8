"""``ae predict``: many images in, annotated pictures and one COCO json out. One bad image never stops the others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from associative_embedding.draw import draw_instances, draw_tag_maps, draw_tag_plot
from associative_embedding.image_io import ImageError, find_images, read_image
from associative_embedding.output import ResultsWriter, annotated_name, write_image
from associative_embedding.predict import Predictor, load
from associative_embedding.types import Array, Instances

MIN_SCORE = 0.15  # of a person that is shown; evaluation has no such limit


def predict_sources(
    sources: Sequence[str],
    *,
    model: str,
    output: str,
    json_path: str | None,
    input_size: int | None,
    scales: Sequence[float],
    flip: bool,
    device: str,
    min_score: float | None,
    show: str,
    scores: bool,
    recursive: bool,
) -> int:
    """
    Returns:
        the exit status: 0, or 1 when a source could not be read (all others are done).

    Raises:
        ValueError, OSError: when nothing can be done at all: no model, no writable output.
    """
    predictor = load(model, device=device, input_size=input_size, scales=scales, flip=flip)
    paths, unreadable = expand(sources, recursive)
    results = Path(json_path) if json_path else Path(output) / "predictions.json"
    lowest = MIN_SCORE if min_score is None else min_score
    people = done = 0
    with ResultsWriter(results, categories={1: predictor.info.skeleton}) as writer:
        for path in tqdm(paths, desc="predict", unit="image", disable=None if len(paths) > 1 else True):
            try:
                image = read_image(path)
                found = replace(predictor(image), source=path)
            except ValueError as error:
                report(error)
                continue
            found = found[found.score >= lowest]
            writer.add(found)
            people, done = people + len(found), done + 1
            if show != "nothing":
                target = annotated_name(path, output)
                write_image(target, picture(predictor, found, image, show=show, scores=scores))
                tqdm.write(f"{path}: {len(found)} people -> {target}")
    print(f"{people} people in {done} images -> {results}")
    return 0 if done == len(paths) and not unreadable else 1


def expand(sources: Sequence[str], recursive: bool) -> tuple[list[str], int]:
    """The images that the sources stand for, and how many sources stand for none (each is reported)."""
    paths: dict[str, None] = {}
    failures = 0
    for source in sources:
        try:
            paths.update(dict.fromkeys(find_images([source], recursive=recursive)))
        except ImageError as error:
            failures += 1
            report(error)
    return list(paths), failures


def report(error: Exception) -> None:
    """One line, clear of the progress bar."""
    tqdm.write(f"ae: {' '.join(str(error).split())}", file=sys.stderr)


def picture(predictor: Predictor, found: Instances, image: Array, *, show: str, scores: bool) -> Array:
    """The annotated picture: people, or the tags as in the paper's figures 4 and 7."""
    people = draw_instances(image, found, scores=scores)
    if show == "people":
        return people
    maps, _ = predictor.maps(image)
    detections, _ = predictor.task.detect(maps)
    skeleton = predictor.info.skeleton
    plot = draw_tag_plot(detections, predictor.task.group(detections), skeleton)
    shown = {name: skeleton.index[name] for name in skeleton.group_order[:: max(1, len(skeleton) // 6)]}
    tinted = draw_tag_maps(image, maps.tag[0, :, 0].float().cpu().numpy(), maps.heatmap[0].float().cpu().numpy(), shown)
    return stack([people, tinted, plot])


def stack(pictures: Sequence[Array]) -> Array:
    """Pictures one below the other, on white."""
    width = max(picture.shape[1] for picture in pictures)
    canvas = np.full((sum(picture.shape[0] for picture in pictures), width, 3), 255, np.uint8)
    top = 0
    for item in pictures:
        canvas[top : top + item.shape[0], : item.shape[1]] = item
        top += item.shape[0]
    return canvas
