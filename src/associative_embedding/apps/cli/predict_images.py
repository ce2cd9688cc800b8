"""``ae predict``: images in; pictures, label images and one COCO json out. A bad image never stops the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from associative_embedding.apps.cli.results_file import ResultsWriter, annotated_name, labels_name
from associative_embedding.apps.cli.tag_pictures import stack, tag_pictures
from associative_embedding.apps.errors import UsageError
from associative_embedding.apps.sources import expand
from associative_embedding.inference.load import load
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.console import say, say_error
from associative_embedding.io.find_images import each_once, find_images
from associative_embedding.io.write_images import write_image, write_labels
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.task import Decoded, Task


@dataclass(frozen=True)
class ImageSettings:
    """What ``ae predict`` writes.

    Attributes:
        output: folder of the annotated pictures and label images.
        json: results file; None = ``predictions.json`` in that folder.
        min_score: lowest score; None = the task's `shown_score`. Pictures show keypoints with a score of at least
            `drawing.skeletons.MIN_KEYPOINT_SCORE`, the results file contains all.
        show: "found" (or "people"), "tags" (instances and their tags) or "nothing".
        scores: write each score into the picture.
        labels: label images of masks, "tif", "png" or "none"; None = "tif" for a model that finds masks.
        recursive: include subfolders of the sources.
        resume: skip the images in the results file, and continue it.
    """

    output: str
    json: str | None = None
    min_score: float | None = None
    show: str = "found"
    scores: bool = False
    labels: str | None = None
    recursive: bool = False
    resume: bool = False

    @property
    def results(self) -> Path:
        return Path(self.json) if self.json else Path(self.output) / "predictions.json"


def predict_images(sources: Sequence[str], model: str, options: Options, settings: ImageSettings) -> int:
    """Predicts every image of the sources: files, folders, patterns, URLs (`find_images`).

    Returns:
        the exit status: 0, or 1 when a source could not be read (all others are done).

    Raises:
        UsageError: for labels of a model that finds no masks.
        ValueError, OSError: when nothing can be done at all: no model, no writable output.
        KeyboardInterrupt: the results so far are kept.
    """
    paths, failures = expand(sources, lambda source: find_images([source], recursive=settings.recursive))
    paths = each_once(paths)
    if not paths:
        return 1  # before the writer opens: the results of an earlier run stay
    predictor = load(model, options)
    settings = complete(settings, predictor)
    count = done = 0
    try:
        with ResultsWriter(settings.results, categories=predictor.task.categories, resume=settings.resume) as writer:
            paths = remaining(paths, writer)
            for path in tqdm(paths, desc="predict", unit="image", disable=None if len(paths) > 1 else True):
                try:
                    count += predict_image(path, predictor, settings, writer)
                    done += 1
                except ValueError as error:
                    failures += 1
                    say_error(error)
    except KeyboardInterrupt:
        kept = f"are in {settings.results}" if done else "are done"
        raise KeyboardInterrupt(f"interrupted; {done} of {len(paths)} images {kept}") from None
    if done:
        say(f"{count} found in {done} of {len(paths)} images -> {settings.results}")
    return 1 if failures else 0


def complete(settings: ImageSettings, predictor: Predictor) -> ImageSettings:
    """Fills in what depends on the model.

    Raises:
        UsageError, ValueError: for label images or tags of a model that has none.
    """
    task = predictor.task
    if settings.show == "tags" and not predictor.info.tag_size:
        raise ValueError("the model finds a single person and has no tags to show")
    min_score = task.shown_score if settings.min_score is None else settings.min_score
    return replace(settings, min_score=min_score, labels=labels_kind(task, settings.labels))


def labels_kind(task: Task, asked: str | None) -> str:
    """Returns the kind of label images to write, or "none".

    Raises:
        UsageError: when some are asked for, and the task finds no masks.
    """
    if asked is not None and not task.finds_masks:
        raise UsageError(f"--labels {asked}: label images are of masks, and this model finds keypoints; leave it out")
    return (asked or "tif") if task.finds_masks else "none"


def remaining(paths: Sequence[str], writer: ResultsWriter) -> list[str]:
    """Returns the images that the results file does not contain yet."""
    left = [path for path in paths if path not in writer.done]
    if len(left) < len(paths):
        say(f"{len(paths) - len(left)} images are in {writer.path} already")
    return left


def predict_image(path: str, predictor: Predictor, settings: ImageSettings, writer: ResultsWriter) -> int:
    """Predicts one image and writes its files; returns the number of instances.

    Raises:
        ValueError: when the image cannot be read, or its result cannot be written as json.
    """
    found, tags = find(predictor, path, settings)
    # Labels first: an image counts as done when its result is in the file, and a stop in between must not lose them.
    written = save_labels(found, path, settings)
    writer.add(found)
    if settings.show != "nothing":
        picture = annotated_name(path, settings.output)
        write_image(picture, stack([found.draw(scores=settings.scores), *tags]))
        written = [picture, *written]
    if written:
        say(f"{path}: {len(found)} found -> {', '.join(map(str, written))}")
    return len(found)


def find(predictor: Predictor, source: str, settings: ImageSettings) -> tuple[Instances, list[Array]]:
    """Returns the instances of one image from the lowest score on, and the pictures of its tags if asked for."""
    if settings.show != "tags":
        found = predictor(source)
        return found[found.score >= settings.min_score], []
    decoded, maps, geometry = predictor.explain(source)
    decoded = select(decoded, decoded.instances.score >= settings.min_score)
    return decoded.instances, tag_pictures(decoded, maps, geometry)


def save_labels(found: Instances, source: str, settings: ImageSettings) -> list[Path]:
    """Writes the label image of one image, if the settings ask for it; returns the files written."""
    if found.masks is None or settings.labels == "none":
        return []
    path = labels_name(source, settings.output, f".{settings.labels}")
    write_labels(path, found.masks.labels())
    return [path]


def select(decoded: Decoded, kept: Array) -> Decoded:
    """Returns the instances marked in ``(N,)`` bool; the groups stay."""
    return replace(decoded, instances=decoded.instances[kept], group=decoded.group[kept])
