"""The growing results file that ``ae predict`` writes for images."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from associative_embedding.apps.cli.output_names import image_of
from associative_embedding.instances import Instances, coco_dataset
from associative_embedding.io.coco_json import check_lists, read_json
from associative_embedding.io.files import Periodic, json_text, utf8_name, write_json
from associative_embedding.io.outputs import Own, own_form

# keys of an image's entry: its files, as paths from the folder of the results file
FILES = ("picture", "labels", "roi", "geojson")
FOLDER = "folder"  # key of the settings: digest of the folder that relative names begin in
OWN_RESULTS: Own = own_form(r'\{"info": \{"description": "Instances found by associative-embedding', rb"\}\n")


def read_results(
    path: Path, categories: Sequence[Mapping[str, Any]] | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Reads the COCO dataset that an earlier run wrote.

    Args:
        path: the results file.
        categories: the categories that it must have, in the COCO format; None = any.
        settings: the settings that it must have, if it states any; older files do not.

    Raises:
        ValueError: one line, when the file is no COCO dataset, has other categories, is of another model or other
            settings, or has names that mean files of another folder.
    """
    # As it is: a person with one keypoint has an area of 0 here, which readers of annotations take for a mistake.
    document: dict[str, Any] = read_json(path)
    check_lists(document, str(path))
    if not all(type(entry.get("id")) is int for key in ("images", "annotations") for entry in document[key]):
        raise ValueError(f"{path}: has an entry without a number as its 'id', so it cannot be resumed")
    # A round trip through json: the file has lists where the categories have tuples.
    if categories is not None and document["categories"] != json.loads(json.dumps(list(categories))):
        raise ValueError(f"{path}: another model wrote it (its categories differ), so it cannot be resumed")
    check_settings(path, document, settings)
    return document


def check_settings(path: Path, document: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Checks that results were made with the same settings; arguments and errors: see `read_results`."""
    info = document.get("info")
    stated = info.get("settings") if isinstance(info, dict) else None
    other = [key for key, value in settings.items() if isinstance(stated, dict) and stated.get(key, value) != value]
    if names := [key for key in other if key != FOLDER]:
        raise ValueError(
            f"{path}: its results have other settings ({', '.join(names)}); repeat the command as it was, or choose "
            "another --output"
        )
    if other and any(map(is_relative, names_of(document))):
        raise ValueError(f"{path}: its image names begin in another folder; run the command where it was started")


def files_of_others(document: Mapping[str, Any], folder: Path, sources: Sequence[str]) -> list[Path]:
    """Returns the pictures and label images in a results file that are of other images than these.

    Args:
        document: earlier results.
        folder: of their file.
        sources: paths or URLs of images.
    """
    known = set(map(identity, sources))
    others = [image for image in document["images"] if identity(image_of(str(image.get("file_name")))) not in known]
    return [folder / str(image[kind]) for image in others for kind in FILES if kind in image]


def path_from(folder: Path, path: Path) -> str:
    """Returns a path as it leads there from a folder: results are moved with their folder."""
    try:
        return utf8_name(Path(os.path.relpath(path, folder)).as_posix())
    except ValueError:  # on another drive of Windows
        return utf8_name(path.absolute().as_posix())


def names_of(document: Mapping[str, Any]) -> list[str]:
    """Returns the names of the images in a COCO dataset."""
    return [str(image.get("file_name")) for image in document["images"]]


def is_relative(name: str) -> bool:
    """Whether the meaning of a name depends on the current folder."""
    return "://" not in name and not os.path.isabs(name)


def identity(source: str) -> str:
    """Returns one text for all spellings of a source: its absolute path, or its URL."""
    return utf8_name(source if "://" in source else os.path.abspath(source))


def current_folder() -> str:
    """Returns a digest of the current folder: results are shared, and need not tell where they were made."""
    return hashlib.sha256(os.fsencode(os.getcwd())).hexdigest()[:16]


def check_image_ids(path: Path, document: Mapping[str, Any], image_ids: Mapping[str, int]) -> None:
    """Checks that the images of earlier results have the ids that they are to have.

    Raises:
        ValueError: for results that were numbered in another way.
    """
    for image in document["images"]:
        if image_ids.get(identity(str(image.get("file_name")))) != image["id"]:
            raise ValueError(f"{path}: its images have other ids than those of --images_of; choose another --output")


def join_datasets(first: Mapping[str, Any], second: Mapping[str, Any], *, number: bool = True) -> dict[str, Any]:
    """Returns two COCO datasets with equal categories as one.

    The ids of the first stay; the ids of the second are raised by the highest id of the first. Without `number` the
    ids of all images stay.
    """
    last_image = max((image["id"] for image in first["images"]), default=0) if number else 0
    last_row = max((row["id"] for row in first["annotations"]), default=0)
    images = [{**image, "id": image["id"] + last_image} for image in second["images"]]
    rows = [
        {**row, "id": row["id"] + last_row, "image_id": row["image_id"] + last_image} for row in second["annotations"]
    ]
    return {**second, "images": [*first["images"], *images], "annotations": [*first["annotations"], *rows]}


class ResultsWriter:
    """Writes a growing results file: ``with ResultsWriter(path) as writer: writer.add(instances)``.

    The file is a whole COCO dataset at any moment. It is written with the first result, so that a wrong path fails at
    once and not after hours; then every `interval` seconds; and at the end, also after an exception or Ctrl-C. Without
    any result an earlier file stays as it is.

    So ``kill -9`` loses at most the results of the last `interval` seconds. A large file takes long to write; then the
    loss is at most the results of 20 times that long (`io.files.PAUSE_PER_WRITE`).

    Args:
        path: the ``.json`` file.
        interval: seconds between two writes.
        categories: see `coco_dataset`.
        resume: keep the results in the file and add to them; False = replace them.
        settings: what the results depend on, json values; written to the file, and compared by `resume`.
        image_ids: `identity` of each source -> its image id; None = images are numbered from 1 on.

    Raises:
        ValueError: with `resume`, for a file that cannot be continued, see `read_results`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        interval: float = 30,
        categories: Sequence[Mapping[str, Any]] | None = None,
        resume: bool = False,
        settings: Mapping[str, Any] | None = None,
        image_ids: Mapping[str, int] | None = None,
    ) -> None:
        self.path, self.image_ids = Path(path), image_ids
        self.categories = categories
        # as it will be read from the file: lists, no tuples
        self.settings = {**json.loads(json.dumps(settings)), FOLDER: current_folder()} if settings else {}
        found = resume and self.path.exists()
        self.earlier = read_results(self.path, categories, self.settings) if found else None
        if self.earlier is not None and image_ids is not None:
            check_image_ids(self.path, self.earlier, image_ids)
        self._results: list[Instances] = []
        self._files: list[dict[str, str]] = []
        self._periodic = Periodic(self._write, interval)

    @property
    def done(self) -> set[str]:
        """The `identity` of each source whose result an earlier run wrote: all planes of an image, or none."""
        names = [] if self.earlier is None else names_of(self.earlier)
        return {identity(known) for name in names for known in (name, image_of(name))}

    def add(self, instances: Instances, files: Mapping[str, Path] | None = None) -> None:
        """Adds the result of the next image.

        Args:
            instances: the result.
            files: what was written for the image, such as ``picture``; the entry of the image names it.

        Raises:
            ValueError: for a result with a value that json cannot hold (NaN). It is left out; the others are kept.
            OSError: see `atomic_write`.
        """
        self.add_planes([instances], [files or {}])

    def add_planes(self, planes: Sequence[Instances], files: Sequence[Mapping[str, Path]]) -> None:
        """Adds the results of all planes of the next image at once: `resume` does the image again, or skips it whole.

        Arguments, one for each plane, and errors: see `add`.
        """
        # Checked before: otherwise one NaN would make the whole file unwritable, at the end of a long run.
        json_text(self.path, coco_dataset(planes, self.categories))
        self._results += [replace(plane, image=None) for plane in planes]  # images of a long run would fill the memory
        folder = self.path.parent
        self._files += [{kind: path_from(folder, path) for kind, path in named.items()} for named in files]
        self._periodic()

    def write(self) -> None:
        """Writes the results so far.

        Raises:
            OSError: see `atomic_write`.
        """
        self._periodic.now()

    def _write(self) -> None:
        known = self.image_ids
        ids = None if known is None else [known[identity(result.source)] for result in self._results]
        document = coco_dataset(self._results, self.categories, ids)
        for image, files in zip(document["images"], self._files, strict=True):
            image |= files
        document["info"] |= {"settings": self.settings} if self.settings else {}
        if self.earlier is not None:
            document = join_datasets(self.earlier, document, number=known is None)
        write_json(self.path, document)

    def __enter__(self) -> ResultsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Without a new result the file of an earlier run stays; if there is none, an empty dataset is the result.
        if self._results or not self.path.exists():
            self.write()
