"""``ae predict`` of images: writes annotated pictures, label images and one COCO json.

An image that cannot be read does not stop the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import isdir
from pathlib import Path
from typing import Any

from associative_embedding.apps.cli.image_outputs import REGIONS, ImageOutputs, Kinds
from associative_embedding.apps.cli.results_file import OWN_RESULTS, ResultsWriter, identity
from associative_embedding.apps.cli.table_file import OWN_TABLE, TableFile
from associative_embedding.apps.errors import UsageError
from associative_embedding.apps.sources import collect_images
from associative_embedding.data.readers.coco_images import CocoImages
from associative_embedding.inference.load import load, remark_large, remark_one_person
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor, told
from associative_embedding.instances import Instances
from associative_embedding.io.console import errors_name, list_briefly, one_line, say, say_error, visible
from associative_embedding.io.files import check_writable
from associative_embedding.io.find_images import each_once, find_images
from associative_embedding.io.lock_files import lock_of, locked
from associative_embedding.io.optional_packages import need
from associative_embedding.io.outputs import check_output
from associative_embedding.io.progress import Progress
from associative_embedding.model_files.find import model_digest
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.tag_pictures import tag_pictures
from associative_embedding.tasks.task import Decoded, Task


@dataclass(frozen=True)
class ImageSettings:
    """What ``ae predict`` reads and writes for images.

    Attributes:
        output: folder for annotated pictures and label images.
        json: results file; None = ``predictions.json`` in that folder.
        min_score: lowest score of an instance, in [0, 1]; None = the task's `shown_score`. Pictures show only keypoints
            with a score of at least `drawing.skeletons.MIN_KEYPOINT_SCORE`; the results file contains all.
        show: what to draw: "found" (or "people"), "tags" (instances and their tags) or "nothing".
        scores: draw the score of each instance.
        names: draw the names of keypoints, and what their colours mean.
        labels: file type of label images, "tif", "png" or "none"; None = "tif" for a model that finds masks.
        recursive: include the images in subfolders of the sources.
        formats: files to write beside the results file: "csv" = a table; of masks "roi" and "geojson" = outlines.
            "labels" and "overlay" are written by default.
        pixel_size: side of a pixel in micrometres, for tables; None = as the file states it.
        resume: skip the images that the results file contains, and add the others to it.
        images_of: COCO json, with or without annotations: predict the images that it lists, and give them its ids. The
            source is their folder.
    """

    output: str
    json: str | None = None
    min_score: float | None = None
    show: str = "found"
    scores: bool = False
    names: bool = False
    labels: str | None = None
    recursive: bool = False
    formats: Sequence[str] | None = None
    pixel_size: float | None = None
    resume: bool = False
    images_of: str | None = None

    @property
    def results_path(self) -> Path:
        """The results file."""
        return Path(self.json) if self.json else Path(self.output) / "predictions.json"

    @property
    def table_path(self) -> Path | None:
        """The table, if there is one."""
        return self.results_path.with_suffix(".csv") if "csv" in (self.formats or ()) else None


def predict_images(sources: Sequence[str], model: str, options: Options, settings: ImageSettings) -> int:
    """Predicts every image of the sources: files, folders, patterns, URLs (`find_images`).

    Returns:
        the exit status: 0, or 1 if a source could not be read. All other sources are done then.

    Raises:
        UsageError: for label images of a model that finds no masks, or `images_of` without a folder.
        ValueError: when the model cannot be used, an image of `images_of` has no file, the results file cannot be
            continued, another command is at work on it, or somebody else wrote a file of the results.
        OSError: when a result cannot be written.
        KeyboardInterrupt: the results so far are kept.
    """
    paths, image_ids, failures = images_to_predict(sources, settings)
    if not paths:
        # Before the model is loaded and the writer is open: a mistyped source must not replace earlier results.
        return 1
    check_results(settings, [*paths, model, settings.images_of])
    predictor = load(model, options)
    settings = with_model_defaults(settings, predictor)
    remark_one_person(predictor)
    results, table = settings.results_path, settings.table_path
    for file in (results, table):
        if file:
            check_writable(file)
    count = done = 0
    with locked(lock_of(results)):
        values = result_settings(predictor, model, options, settings) | {"image_ids": digest_of(image_ids)}
        with open_outputs(paths, predictor, settings, values, image_ids) as outputs:
            try:
                for path in Progress(outputs.left, "predict", "image"):
                    try:
                        count += predict_image(path, predictor, settings, outputs)
                        done += 1
                    except (ValueError, MemoryError) as error:
                        failures += 1
                        say_error(error)
            except KeyboardInterrupt:
                # Without a result the writer makes no file, or leaves the earlier one: then no file may be named.
                kept = f"are in {results}" if done else "are done"
                raise KeyboardInterrupt(f"interrupted; {done} of {len(outputs.left)} images {kept}") from None
    if done:
        files = f"{results}, {table}" if table else results
        say(f"{count} found in {done} of {len(outputs.left)} images -> {visible(files)}")
    return 1 if failures else 0


def check_results(settings: ImageSettings, inputs: Sequence[str | None]) -> None:
    """Checks that the results file and the table replace no file of somebody else.

    Raises:
        ValueError: see `check_output`.
    """
    for path, own in ((settings.results_path, OWN_RESULTS), (settings.table_path, OWN_TABLE)):
        if path:
            check_output(path, own, inputs, announce=False)


def open_outputs(
    paths: Sequence[str],
    predictor: Predictor,
    settings: ImageSettings,
    values: Mapping[str, Any],
    image_ids: Mapping[str, int] | None,
) -> ImageOutputs:
    """Returns what writes the results of all images.

    Args:
        values: what the results depend on, see `ResultsWriter`.
        image_ids: see `ResultsWriter`.

    Raises:
        ValueError: for results that cannot be continued, or a file of somebody else.
    """
    writer = ResultsWriter(
        settings.results_path,
        categories=predictor.task.categories,
        resume=settings.resume,
        settings=values,
        image_ids=image_ids,
    )
    table = TableFile(settings.table_path, writer.done) if settings.table_path else None
    regions = tuple(kind for kind in REGIONS if kind in (settings.formats or ()))
    pictures, labels = settings.show != "nothing", settings.labels or "none"
    kinds = Kinds(settings.output, pictures, labels, settings.scores, regions, settings.names)
    return ImageOutputs(paths, kinds, writer, table)


def images_to_predict(sources: Sequence[str], settings: ImageSettings) -> tuple[list[str], dict[str, int] | None, int]:
    """Returns the paths and URLs of all images, the id of each `identity` if a json has them, and the failed sources.

    Raises:
        UsageError, ValueError: see `listed_images`.
    """
    if settings.images_of is not None:
        listed = listed_images(sources, settings.images_of)
        return list(listed), {identity(path): number for path, number in listed.items()}, 0
    paths, failures = collect_images(sources, lambda source: find_images([source], recursive=settings.recursive))
    return each_once(paths), None, failures


def listed_images(sources: Sequence[str], path: str) -> dict[str, int]:
    """Returns the path of each image that a COCO json lists, in its order, and its id.

    Args:
        sources: the folder of the images, as the only one.
        path: the json.

    Raises:
        UsageError: for other sources.
        ValueError: for a json that cannot be read or lists no image, an image without a file, or one that is listed
            twice: its result would have two ids.
    """
    if len(sources) != 1 or not isdir(sources[0]):
        raise UsageError("--images_of takes one source: the folder of the images that the json lists")
    data = CocoImages(path, sources[0])
    listed = {str(data.folder / record.file_name): record.image_id for record in data.records}
    if not listed:
        raise ValueError(f"{path}: lists no image")
    if len({identity(name) for name in listed}) < len(data):
        raise ValueError(f"{path}: lists a file of an image twice, under two ids")
    return listed


def digest_of(image_ids: Mapping[str, int] | None) -> str | None:
    """Returns a short text that differs where images have other ids; None where they are numbered."""
    if image_ids is None:
        return None
    return hashlib.sha256(repr(sorted(image_ids.values())).encode()).hexdigest()[:16]


def result_settings(predictor: Predictor, model: str, options: Options, settings: ImageSettings) -> dict[str, Any]:
    """Returns all that decides what is found in an image: results of different settings must not be mixed."""
    second = predictor.refiner and model_digest(predictor.refiner.name)
    own = {"model": model_digest(model, offline=options.offline), "refine": second, "min_score": settings.min_score}
    return {**predictor.settings, **own}


def with_model_defaults(settings: ImageSettings, predictor: Predictor) -> ImageSettings:
    """Returns the settings with the values that the model chooses in place of None.

    Raises:
        UsageError: for label images of a model that finds no masks.
        ValueError: for tags of a model without tags.
    """
    task = predictor.task
    if settings.show == "tags" and not predictor.info.tag_size:
        raise ValueError("--show tags: the model finds a single person and predicts no tags")
    min_score = task.shown_score if settings.min_score is None else settings.min_score
    check_formats(task, settings)
    return replace(settings, min_score=min_score, labels=labels_type(task, settings.labels))


def check_formats(task: Task, settings: ImageSettings) -> None:
    """Checks that the formats fit the model and the other settings, and that their packages are installed.

    Raises:
        UsageError: for outlines or `pixel_size` of a model that finds no masks, `names` of one that finds no keypoints,
            or a file that another option leaves out.
        ValueError: when a package is missing: now, not after minutes of work.
    """
    formats = settings.formats or ()
    if not task.finds_masks and (other := [kind for kind in formats if kind in (*REGIONS, "labels")]):
        raise UsageError(f"--formats {other[0]} needs masks, and this model finds keypoints; leave it out")
    if settings.pixel_size is not None and not task.finds_masks:
        raise UsageError("--pixel_size measures masks, and this model finds keypoints; leave it out")
    check_names(task, names=settings.names)
    for kind, off in (("labels", settings.labels == "none"), ("overlay", settings.show == "nothing")):
        if kind in formats and off:
            raise UsageError(f"--formats {kind} and {'--labels none' if kind == 'labels' else '--show nothing'} differ")
    if "roi" in formats:
        need("roifile", "roi", "--formats roi")


def check_names(task: Task, *, names: bool) -> None:
    """Checks that names of keypoints are drawn only for a model that finds keypoints.

    Raises:
        UsageError: for another model.
    """
    if names and task.finds_masks:
        raise UsageError("--names needs keypoints, and this model finds masks; leave it out")


def labels_type(task: Task, requested: str | None) -> str:
    """Returns the file type of the label images to write, or "none".

    Raises:
        UsageError: when a type is requested, and the task finds no masks.
    """
    if requested is not None and not task.finds_masks:
        raise UsageError(f"--labels {requested}: label images need masks, and this model finds keypoints; leave it out")
    return (requested or "tif") if task.finds_masks else "none"


def predict_image(path: str, predictor: Predictor, settings: ImageSettings, outputs: ImageOutputs) -> int:
    """Predicts one image and writes its files; returns the number of instances.

    Raises:
        ValueError: when the image cannot be read, its result cannot be written as json, or its picture is too large for
            the format.
        MemoryError: when the image needs more memory than there is.
        OSError: when a file cannot be written.
    """
    with errors_name(path):
        if settings.show == "tags":
            found, tags = explain_tags(predictor, path, settings)
            files, count = list(outputs.add(found, tags, path).values()), len(found)
        else:
            files, count = predict_pictures(path, predictor, settings, outputs)
    if files:
        say(f"{one_line(path)}: {count} found -> {visible(list_briefly([str(file) for file in files]))}")
    return count


def predict_pictures(
    path: str, predictor: Predictor, settings: ImageSettings, outputs: ImageOutputs
) -> tuple[list[Path], int]:
    """Predicts all pictures of an image and writes their files; returns these and the number of instances.

    An image of a json, which has one id, gives its first picture.
    """
    opened = predictor.open(path)
    first = settings.images_of is not None
    opened.say(first=first)

    def result(number: int) -> Instances:
        return with_pixel_size(predictor.result(opened, number, path, min_score=settings.min_score), settings)

    if len(opened) > 1 and not first:
        return outputs.add_planes(map(result, range(len(opened))), path, opened.axes)
    found = replace(result(0), source=path)
    remark_large(predictor, found.image_size, path)
    return list(outputs.add(found, (), path).values()), len(found)


def explain_tags(predictor: Predictor, source: str, settings: ImageSettings) -> tuple[Instances, list[Array]]:
    """Returns the instances of one image with at least the lowest score, and the pictures of its tags."""
    least = predictor.least(settings.min_score)
    # `explain` also returns the maps of this run, so the pictures of tags do not need the network again.
    decoded, maps, geometry = predictor.explain(source, min_score=least)
    decoded = select_instances(decoded, decoded.instances.score >= least)
    # for the values that are measured, and the size of a pixel
    found = told(decoded.instances, predictor.open(source), 0, source, decoded.instances.image)
    return with_pixel_size(replace(found, source=source), settings), tag_pictures(decoded, maps, geometry)


def with_pixel_size(found: Instances, settings: ImageSettings) -> Instances:
    """Returns the instances with the size of a pixel that the user states, if one is stated."""
    return found if settings.pixel_size is None else replace(found, pixel_size=settings.pixel_size)


def select_instances(decoded: Decoded, kept: Array) -> Decoded:
    """Returns the instances where ``kept``, ``(N,)`` bool, is true. The groups stay as they are."""
    return replace(decoded, instances=decoded.instances[kept], group=decoded.group[kept])
