"""``ae predict``: many images in, annotated pictures and one COCO json out. One bad image never stops the others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from associative_embedding.draw import draw_tag_maps, draw_tag_plot
from associative_embedding.geometry import ImageGeometry, warp
from associative_embedding.image_io import ImageError, find_images
from associative_embedding.output import ResultsWriter, annotated_name, say, write_image
from associative_embedding.predict import load
from associative_embedding.tasks.task import Decoded
from associative_embedding.types import Array, Groups, Maps

MIN_SCORE = 0.2  # of a person in results and pictures; evaluation and Python calls have no such limit


def predict_sources(
    sources: Sequence[str],
    *,
    model: str,
    output: str,
    json_path: str | None = None,
    input_size: int | None = None,
    scales: Sequence[float] | None = None,
    flip: bool = False,
    refine: str | None = None,
    device: str = "auto",
    min_score: float | None = None,
    show: str = "people",
    scores: bool = False,
    recursive: bool = False,
) -> int:
    """
    Args:
        sources: files, folders, patterns, URLs (see `image_io.find_images`).
        model, input_size, scales, flip, refine, device: see `predict.load`.
        output: folder of the annotated pictures.
        json_path: results file, by default ``predictions.json`` in that folder.
        min_score: lowest score of a person, by default `MIN_SCORE`. Pictures show the keypoints from
            `draw.MIN_KEYPOINT_SCORE` on, the results file has all.
        show: "people", "tags" or "nothing".
        scores: write each person's score into the picture.
        recursive: also look into subfolders.

    Returns:
        the exit status: 0, or 1 when a source could not be read (all others are done).

    Raises:
        ValueError, OSError: when nothing can be done at all: no model, no writable output.
        KeyboardInterrupt: what was computed is kept.
    """
    paths, failures = expand(sources, recursive)
    if not paths:
        return 1  # and the results of an earlier run stay
    predictor = load(model, device=device, input_size=input_size, scales=scales, flip=flip, refine=refine)
    if show == "tags" and not predictor.info.tag_size:
        raise ValueError(f"model {model} finds a single person and has no tags to show")
    results = Path(json_path) if json_path else Path(output) / "predictions.json"
    lowest = MIN_SCORE if min_score is None else min_score
    people = done = 0
    try:
        with ResultsWriter(results, categories=predictor.task.categories) as writer:
            for path in tqdm(paths, desc="predict", unit="image", disable=None if len(paths) > 1 else True):
                try:
                    decoded, maps, geometry = predictor.explain(path)
                    decoded = select(decoded, decoded.instances.score >= lowest)
                    found = decoded.instances
                    writer.add(found)
                    people, done = people + len(found), done + 1
                    if show != "nothing":
                        target = annotated_name(path, output)
                        pictures = [found.draw(scores=scores)]
                        if show == "tags":
                            pictures += tag_pictures(decoded, maps, geometry)
                        write_image(target, stack(pictures))
                        say(f"{path}: {len(found)} found -> {target}")
                except ValueError as error:
                    failures += 1
                    report(error)
    except KeyboardInterrupt:
        kept = f"are in {results}" if done else "are done"
        raise KeyboardInterrupt(f"interrupted; {done} of {len(paths)} images {kept}") from None
    if done:
        say(f"{people} found in {done} of {len(paths)} images -> {results}")
    return 1 if failures else 0


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
    """Some of the people, ``(N,)`` bool; the groups stay."""
    return replace(decoded, instances=decoded.instances[kept], group=decoded.group[kept])


def tag_pictures(decoded: Decoded, maps: Maps, geometry: ImageGeometry) -> list[Array]:
    """The tags as in the paper's figures 7 and 4: maps over the image, and a row of dots a keypoint type."""
    found = decoded.instances
    if found.image is None:
        raise ValueError("these instances keep no image")
    skeleton = found.skeleton
    plot = draw_tag_plot(replace(decoded.detections, step=decoded.channel), shown_groups(decoded), skeleton)
    titles = {name: skeleton.index[name] for name in skeleton.group_order[:: max(1, len(skeleton) // 6)]}
    view = warp(found.image, geometry)  # what the maps cover
    tag, heatmap = (value.float().cpu().numpy() for value in (maps.tag[0, :, 0], maps.heatmap[0]))
    return [draw_tag_maps(view, tag, heatmap.clip(0, 1), titles), plot]


def shown_groups(decoded: Decoded) -> Groups:
    """The groups numbered as the people are, so that a person has one colour in all pictures; the others dropped."""
    groups, found = decoded.groups, decoded.instances
    person = np.full(len(groups) + 1, -1)  # the last one for detections that have no group: index -1
    person[decoded.group] = np.arange(len(found))
    return Groups(group=person[groups.group], tag=groups.tag[decoded.group], score=groups.score[decoded.group])


def stack(pictures: Sequence[Array]) -> Array:
    """Pictures one below the other, on white."""
    width = max(picture.shape[1] for picture in pictures)
    canvas = np.full((sum(picture.shape[0] for picture in pictures), width, 3), 255, np.uint8)
    top = 0
    for item in pictures:
        canvas[top : top + item.shape[0], : item.shape[1]] = item
        top += item.shape[0]
    return canvas
