"""``ae predict``: many images in, pictures, labels and one COCO json out. One bad image never stops the others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from associative_embedding.draw_masks import mask_colours
from associative_embedding.draw_tags import draw_tag_histogram, draw_tag_maps, draw_tag_plot, foreground_maps
from associative_embedding.errors import UsageError
from associative_embedding.geometry import ImageGeometry, warp
from associative_embedding.image_io import ImageError, find_images
from associative_embedding.loading import load
from associative_embedding.masks import Masks
from associative_embedding.output import ResultsWriter, annotated_name, labels_name, say, write_image, write_labels
from associative_embedding.predict import Predictor
from associative_embedding.skeleton import Skeleton
from associative_embedding.tasks.task import Decoded, Task
from associative_embedding.types import Array, Groups, Instances, Maps


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


def tag_pictures(decoded: Decoded, maps: Maps, geometry: ImageGeometry) -> list[Array]:
    """The tags as in the paper: maps over the image (figure 7), and a plot (figure 4) or histogram (figure 5)."""
    found = decoded.instances
    if found.image is None:
        raise ValueError("these instances keep no image")
    view = warp(found.image, geometry)  # what the maps cover
    if found.masks is not None:
        return pixel_tag_pictures(decoded, found.masks, maps, view)
    return keypoint_tag_pictures(decoded, found.skeleton, maps, view) if found.skeleton else []


def keypoint_tag_pictures(decoded: Decoded, skeleton: Skeleton, maps: Maps, view: Array) -> list[Array]:
    """Maps of about six keypoint types, and a row of dots a keypoint type."""
    titles = {name: skeleton.index[name] for name in skeleton.group_order[:: max(1, len(skeleton) // 6)]}
    tag, heatmap = (value.float().cpu().numpy() for value in (maps.tag[0, :, 0], maps.heatmap[0]))
    plot = draw_tag_plot(replace(decoded.detections, step=decoded.channel), shown_groups(decoded), skeleton)
    return [draw_tag_maps(view, tag, heatmap.clip(0, 1), titles), plot]


def pixel_tag_pictures(decoded: Decoded, masks: Masks, maps: Maps, view: Array) -> list[Array]:
    """Maps of the foreground, and a histogram: of the six classes with the most pixels that went to an instance."""
    pixels, groups = replace(decoded.detections, step=decoded.channel), shown_groups(decoded)
    channels, (height, width) = maps.heatmap.shape[1], maps.heatmap.shape[-2:]
    count = np.bincount(decoded.channel[groups.group >= 0], minlength=channels)
    shown = [int(c) for c in np.argsort(-count, kind="stable")[:6] if count[c]] or [0]
    names = dict(enumerate(decoded.instances.class_names.values()))
    titles = {names.get(c, f"class {c}"): c for c in shown}
    tag, score = foreground_maps(pixels, channels, (height, width))
    return [
        draw_tag_maps(view, tag, score, titles, columns=3),
        draw_tag_histogram(pixels, groups, titles, mask_colours(masks)),
    ]


def shown_groups(decoded: Decoded) -> Groups:
    """The groups numbered as the instances are, so that each has one colour in all pictures; the others dropped."""
    groups, found = decoded.groups, decoded.instances
    instance = np.full(len(groups) + 1, -1)  # the last one for detections that have no group: index -1
    known = np.flatnonzero(decoded.group >= 0)  # -1: found in another view than the one that is shown
    instance[decoded.group[known]] = known
    return Groups(group=instance[groups.group], tag=found.tag, score=found.score)


def stack(pictures: Sequence[Array]) -> Array:
    """Pictures one below the other, on white."""
    width = max(picture.shape[1] for picture in pictures)
    canvas = np.full((sum(picture.shape[0] for picture in pictures), width, 3), 255, np.uint8)
    top = 0
    for item in pictures:
        canvas[top : top + item.shape[0], : item.shape[1]] = item
        top += item.shape[0]
    return canvas
