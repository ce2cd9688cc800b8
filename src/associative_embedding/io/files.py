"""Results out: one COCO dataset, annotated pictures, label images, and files that are whole or not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
import tempfile
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import cv2
import numpy as np
from tqdm import tqdm

from associative_embedding.coco_json import read_coco
from associative_embedding.skeleton import Skeleton
from associative_embedding.types import Array, Instances
from associative_embedding.version import VERSION

# what cv2 encodes, with its options; 95 is visually lossless
IMAGE_OPTIONS: dict[str, tuple[int, ...]] = {
    ".bmp": (),
    ".jpeg": (cv2.IMWRITE_JPEG_QUALITY, 95),
    ".jpg": (cv2.IMWRITE_JPEG_QUALITY, 95),
    ".png": (),
    ".tif": (),
    ".tiff": (),
    ".webp": (cv2.IMWRITE_WEBP_QUALITY, 95),
}
# Deflate without a predictor (TIFF tags 259 and 317): what cv2 does by default, LZW, not every reader reads
LABEL_OPTIONS: dict[str, tuple[int, ...]] = {".png": (), ".tif": (259, 8, 317, 1), ".tiff": (259, 8, 317, 1)}


def atomic_write(path: str | Path, data: bytes) -> None:
    """Write a file so that nobody, whatever happens, ever sees a part of it.

    The data go to a temporary file in the same folder, to the disk, and only then to the name; on a failure the old
    file stays and the temporary one is removed. Missing parent folders are made. A symbolic link is followed.

    Raises:
        OSError: one line with the path and the reason.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        _prepare(target)
        try:
            with open(partial, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def _prepare(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):  # never replace /dev/null or a folder
        raise OSError("is not a regular file")


def check_writable(path: str | Path) -> None:
    """Notice before the work, not after it, that `atomic_write` could not write a file. What is there stays as it is.

    Raises:
        OSError: one line with the path and the reason.
    """
    target = Path(os.path.realpath(path))
    try:
        _prepare(target)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def say(text: str, file: TextIO | None = None) -> None:
    """Print a line for people, clear of a progress bar. That nobody reads on (``| head -1``) stops no work."""
    stream = sys.stdout if file is None else file
    try:
        tqdm.write(text, file=stream)
        stream.flush()
    except BrokenPipeError:  # what the stream still holds must go somewhere, or Python complains at its exit
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def write_json(path: str | Path, document: Any) -> None:
    """Write a json file atomically.

    Raises:
        ValueError: when the document holds what json cannot (NaN, an array).
        OSError: see `atomic_write`.
    """
    atomic_write(path, _json_text(path, document))


def _json_text(path: str | Path, document: Any) -> bytes:
    try:
        return json.dumps(document, allow_nan=False).encode("ascii") + b"\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"cannot write {path}: not a json document ({error})") from None


def write_image(path: str | Path, rgb: Array) -> None:
    """Write an ``(H, W, 3)`` uint8 RGB picture atomically, in the format of the extension.

    Raises:
        ValueError: for an extension that is not in `IMAGE_OPTIONS`, or a picture that the format cannot hold.
        OSError: see `atomic_write`.
    """
    extension = Path(path).suffix.lower()
    if extension not in IMAGE_OPTIONS:
        raise ValueError(f"cannot write {path}: the extension must be one of {', '.join(IMAGE_OPTIONS)}")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or str(rgb.dtype) != "uint8" or rgb.size == 0:
        raise ValueError(f"cannot write {path}: the picture must be (H, W, 3) uint8, not {rgb.shape} {rgb.dtype}")
    atomic_write(path, _encode(path, rgb[:, :, ::-1], IMAGE_OPTIONS[extension]))


def write_labels(path: str | Path, labels: Array) -> None:
    """Write a label image atomically, without loss: each pixel's value is the number of its object.

    Args:
        path: ``.tif``, ``.tiff`` or ``.png``: 16 bits without sign; a TIFF of more than 65,535 objects has 32 bits.
        labels: ``(H, W)`` integers, 0 = background; see `Masks.labels`.

    Raises:
        ValueError: for another extension, or labels that the format cannot hold.
        OSError: see `atomic_write`.
    """
    extension = Path(path).suffix.lower()
    if extension not in LABEL_OPTIONS:
        raise ValueError(f"cannot write {path}: the extension must be one of {', '.join(LABEL_OPTIONS)}")
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.size == 0:
        raise ValueError(f"cannot write {path}: labels must be (H, W) integers, not {labels.shape} {labels.dtype}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > np.iinfo(np.int32).max:
        raise ValueError(f"cannot write {path}: labels must be from 0 to 2147483647, not {low} to {high}")
    wide = high > np.iinfo(np.uint16).max
    if wide and extension == ".png":
        raise ValueError(f"cannot write {path}: a .png holds 65535 labels, not {high}; write a .tif")
    pixels = labels.astype(np.int32 if wide else np.uint16)
    atomic_write(path, _encode(path, pixels, LABEL_OPTIONS[extension]))


def _encode(path: str | Path, pixels: Array, options: tuple[int, ...]) -> bytes:
    """The bytes of an image file, of pixels as cv2 has them (BGR)."""
    extension = Path(path).suffix.lower()
    try:
        done, data = cv2.imencode(extension, pixels, options)
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f"cannot write {path}: {extension} cannot hold {pixels.shape[1]}x{pixels.shape[0]} pixels")
    return data.tobytes()


def save_instances(instances: Instances, path: str | Path) -> None:
    """One image's result: a COCO dataset (``.json``) or the annotated picture (an extension of `IMAGE_OPTIONS`).

    Of masks, a ``.tif`` or ``.tiff`` is not the picture but the label image: pixels of the first instance are 1, of
    the second 2, ..., of none 0 (see `write_labels` and `Masks.labels`).

    Raises:
        ValueError: for another extension, or for a picture when the instances keep no image.
        OSError: see `atomic_write`.
    """
    extension = Path(path).suffix.lower()
    if extension == ".json":
        write_json(path, coco_dataset([instances]))
    elif instances.masks is not None and extension in (".tif", ".tiff"):
        write_labels(path, instances.masks.labels())
    elif extension in IMAGE_OPTIONS:
        write_image(path, instances.draw())
    else:
        raise ValueError(f"cannot save {path}: the extension must be .json or one of {', '.join(IMAGE_OPTIONS)}")


def coco_dataset(results: Iterable[Instances], categories: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Results as one COCO dataset: ``info``, ``images``, ``annotations`` and ``categories``.

    Image ids count from 1 in the order of the results, annotation ids from 1 over all of them. The third value of a
    keypoint is its score in [0, 1] (0 = not found), not COCO's visibility. ``annotations`` alone is what COCO's
    evaluation calls a results file, when the image ids are the dataset's.

    Args:
        results: one `Instances` per image, images without instances too.
        categories: all that there are, in the COCO format. By default those that the results name; a skeleton of which
            nothing was found gets the lowest free id.

    Raises:
        ValueError: when a category id stands for two categories, or is none of `categories`.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    known = {category["id"]: category for category in categories or ()}
    unfound: list[Skeleton] = []
    for image_id, result in enumerate(results, start=1):
        height, width = result.image_size
        images.append({"id": image_id, "file_name": result.source, "width": int(width), "height": int(height)})
        for category in result.categories:
            if category["id"] not in known and categories is not None:
                raise ValueError(f"{result.source}: category id {category['id']} is none of {sorted(known)}")
            if known.setdefault(category["id"], category) != category:
                raise ValueError(f"{result.source}: category id {category['id']} stands for two categories")
        for annotation in result.to_coco(image_id):
            annotations.append({"id": len(annotations) + 1, **annotation})
        if not result.categories and result.skeleton is not None:
            unfound.append(result.skeleton)
    for skeleton in unfound:
        if categories is None and not any(skeleton.to_category(key) == named for key, named in known.items()):
            free = min(set(range(1, len(known) + 2)) - known.keys())
            known[free] = skeleton.to_category(free)
    return {
        "info": {
            "description": "Instances found by associative-embedding; a keypoint is x, y, score",
            "version": VERSION,
            "date_created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "images": images,
        "annotations": annotations,
        "categories": [known[category_id] for category_id in sorted(known)],
    }


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


class Periodic:
    """Writes what grows at the first call, then every `interval` seconds, or less often when a write takes long.

    Args:
        write: writes all there is.
        interval: seconds between two writes, at least 20 times what the last one took.
    """

    def __init__(self, write: Callable[[], None], interval: float = 30) -> None:
        self._write = write
        self._interval = interval
        self._next = 0.0

    def __call__(self) -> None:
        """Write when it is time to."""
        if time.monotonic() >= self._next:
            self.now()

    def now(self) -> None:
        start = time.monotonic()
        self._write()
        end = time.monotonic()
        self._next = end + max(self._interval, 20 * (end - start))


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
        _json_text(self.path, coco_dataset([instances], self.categories))
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
