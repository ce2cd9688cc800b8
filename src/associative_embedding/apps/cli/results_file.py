"""The files that `ae predict` writes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from associative_embedding.instances import Instances, coco_dataset
from associative_embedding.io.coco_json import read_coco
from associative_embedding.io.files import Periodic, json_text, write_json


def annotated_name(source: str, folder: str | Path) -> Path:
    """Where the annotated picture of a source goes: ``folder/name-<hash>.jpg`` (``.png`` for a ``.png``).

    The hash is of the source's whole path or URL. So the same source always gets the same name, another source with
    the same file name gets another, now or in a later run, and no source gets its own.
    """
    is_url = "://" in source
    identity = source if is_url else os.path.abspath(source)
    path = urllib.parse.unquote(re.split("[?#]", source)[0]) if is_url else source
    stem, extension = os.path.splitext(os.path.basename(path))
    stem = re.sub(r"[^\w.-]+", "_", stem)[:60].strip("._") or "image"
    digest = hashlib.sha256(os.fsencode(identity)).hexdigest()[:8]
    return Path(folder) / f"{stem}-{digest}{'.png' if extension.lower() == '.png' else '.jpg'}"


def labels_name(source: str, folder: str | Path, extension: str) -> Path:
    """Where the label image of a source goes: ``folder/name-<hash>-labels.tif``; see `annotated_name`."""
    picture = annotated_name(source, folder)
    return picture.with_name(f"{picture.stem}-labels{extension}")


def read_earlier(path: Path, categories: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """The COCO dataset of an earlier run.

    Raises:
        ValueError: one line, when it is none, or of other categories.
    """
    document = read_coco(path)
    if categories is not None and document["categories"] != json.loads(json.dumps(list(categories))):
        raise ValueError(f"{path}: is of another model (its categories differ), so it cannot be resumed")
    return document


def append(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Two COCO datasets of the same categories as one; the ids of the second are counted on."""
    image = max((entry["id"] for entry in first["images"]), default=0)
    row = max((entry["id"] for entry in first["annotations"]), default=0)
    images = [{**entry, "id": entry["id"] + image} for entry in second["images"]]
    rows = [
        {**entry, "id": entry["id"] + row, "image_id": entry["image_id"] + image} for entry in second["annotations"]
    ]
    return {**second, "images": [*first["images"], *images], "annotations": [*first["annotations"], *rows]}


class ResultsWriter:
    """A growing results file: ``with ResultsWriter(path) as writer: writer.add(instances)``.

    The file is a whole COCO dataset at any moment. It is written with the first result (a path that cannot be written
    fails at once, not after hours), then every `interval` seconds, and at the end, also after an exception or Ctrl-C.
    Without any result an earlier file stays.
    So ``kill -9`` loses the results of the last `interval` seconds at most; of large files, which take long to write,
    those of the time in which 20 of them could be written.

    Args:
        path: of the ``.json`` file.
        interval: seconds between two writes.
        categories: see `coco_dataset`.
        resume: go on with what the file holds, instead of beginning anew.

    Raises:
        ValueError: when it is to be resumed, and is no COCO dataset of the same categories.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        interval: float = 30,
        categories: Sequence[Mapping[str, Any]] | None = None,
        resume: bool = False,
    ) -> None:
        self.path = Path(path)
        self.categories = categories
        self.earlier = read_earlier(self.path, categories) if resume and self.path.exists() else None
        self._results: list[Instances] = []
        self._periodic = Periodic(self._write, interval)

    @property
    def done(self) -> set[str]:
        """The sources whose results an earlier run has written."""
        return set() if self.earlier is None else {str(image.get("file_name")) for image in self.earlier["images"]}

    def add(self, instances: Instances) -> None:
        """Take the result of the next image. Its picture is not kept.

        Raises:
            ValueError: for a result that no json can hold (NaN); the others are not lost for it.
            OSError: see `atomic_write`.
        """
        json_text(self.path, coco_dataset([instances], self.categories))
        self._results.append(replace(instances, image=None))
        self._periodic()

    def write(self) -> None:
        """Write what there is.

        Raises:
            OSError: see `atomic_write`.
        """
        self._periodic.now()

    def _write(self) -> None:
        document = coco_dataset(self._results, self.categories)
        write_json(self.path, document if self.earlier is None else append(self.earlier, document))

    def __enter__(self) -> ResultsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._results or not self.path.exists():
            self.write()
