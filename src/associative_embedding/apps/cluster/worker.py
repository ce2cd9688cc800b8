"""One worker of a large job: reads the images of a shard and writes one parquet file with their results.

Images never pass through Ray. A worker reads its images itself, a few ahead of the network, and writes its own file.
Ray transports only lists of paths to the worker, and counts back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import cv2
import torch

from associative_embedding.apps.cluster.job import Job, part_name
from associative_embedding.apps.cluster.result_rows import Row, failed_row, found_row, to_parquet
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.prefetch import ahead
from associative_embedding.io.console import errors_name, one_line
from associative_embedding.io.images import MAX_BYTES, open_image
from associative_embedding.io.object_stores import is_remote, read_bytes, write_bytes
from associative_embedding.io.reading import Reading
from associative_embedding.networks.device import CPU
from associative_embedding.structures.arrays import Array

OpenedImage = tuple[str, Array | Exception]  # a path, and the image or the error that prevented reading it

# Errors that one image can cause, such as a broken file or a size beyond the memory. They become a row of the results.
IMAGE_ERRORS = (ValueError, OSError, MemoryError, torch.OutOfMemoryError, cv2.error)


class ShardWorker:
    """Predicts shards: an actor of Ray Data with one model, which it loads once.

    A call gets a table with the columns ``shard`` (number) and ``paths``, and returns the columns of `predict_shard`.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    @cached_property
    def predictor(self) -> Predictor:
        # Loaded with the first shard, which can return an error. An error in `__init__` would only kill the actor.
        return self.job.load()

    def __call__(self, table: Any) -> dict[str, list[Any]]:
        results = [self.predict_shard(row["shard"], row["paths"]) for row in table.to_pylist()]
        return {key: [result[key] for result in results] for key in ("shard", "images", "errors", "fault")}

    def predict_shard(self, shard: int, paths: Sequence[str]) -> Row:
        """Writes the results of one shard to its file, the whole file or none.

        A shard that is done twice, because a worker died, gives the same file again.

        Returns:
            ``shard``: its number. ``images``: their number. ``errors``: a line for each image that failed. ``fault``:
            one line with an error that stops the whole job, or "".
        """
        result: Row = {"shard": shard, "images": len(paths), "errors": [], "fault": ""}
        try:
            rows = list(self.rows(paths))
            write_bytes(f"{self.job.folder}/{part_name(shard)}", to_parquet(rows, self.job.notes))
        except (ValueError, OSError) as error:
            # The model or the folder is wrong; errors of single images are in the rows. Returned, not raised: of a
            # shard that raises, Ray Data only logs the error (`max_errored_blocks`), and the job would not stop.
            return {**result, "fault": one_line(error)}
        return {**result, "errors": [row["error"] for row in rows if row["error"]]}

    def rows(self, paths: Sequence[str]) -> Iterator[Row]:
        """Yields a row for each path, in their order."""
        predictor = self.predictor
        size = self.job.batch or (1 if predictor.device == CPU else 8)
        # Two batches are read ahead: one waits while the next one is read.
        for batch in batches(ahead(open_images(paths, self.job.base, predictor.reading), 2 * size), size):
            yield from find_in_batch(predictor, batch, self.job.min_score)


def open_images(paths: Sequence[str], base: str, reading: Reading) -> Iterator[OpenedImage]:
    """Yields each path with its image, or with the error that prevented reading it."""
    for path in paths:
        try:
            yield path, read_one(path, base, reading)
        except IMAGE_ERRORS as error:
            yield path, error


def read_one(path: str, base: str, reading: Reading) -> Array:
    """Reads an image from this machine, the web or an object store, ``(H, W, 3)`` uint8 RGB.

    Args:
        path: file name, web address or URI.
        base: folder that a relative file name starts from.
        reading: what is read of it.

    Raises:
        ValueError, OSError: when it cannot be read, or has several pictures: a row has the result of one.
    """
    if is_remote(path):
        opened = open_image(read_bytes(path, MAX_BYTES), reading, name=path)
    else:
        opened = open_image(path if "://" in path else os.path.join(base, path), reading)
    if len(opened) > 1:
        raise ValueError(f"has {opened.pictures.counts}; choose one picture by --page, or join them by --project")
    return opened.first


def batches(images: Iterable[OpenedImage], size: int) -> Iterator[list[OpenedImage]]:
    """Yields the images, `size` at a time."""
    rest = iter(images)
    while batch := list(islice(rest, size)):
        yield batch


def find_in_batch(predictor: Predictor, batch: Sequence[OpenedImage], min_score: float | None) -> Iterator[Row]:
    """Yields the rows of some images. The network runs on all of them at once; if that fails, on each alone."""
    whole = [image for _, image in batch if not isinstance(image, Exception) and len(predictor.tiles(image)) == 1]
    try:
        with errors_name(batch[0][0]):
            outputs = iter(predictor.run_network([predictor.prepare(image) for image in whole]))
    except IMAGE_ERRORS as error:
        if len(batch) > 1:
            # One image is too large or broken. Alone, each of the others still gets its result.
            for opened in batch:
                yield from find_in_batch(predictor, [opened], min_score)
            return
        batch, outputs = [(batch[0][0], error)], iter(())
    for path, image in batch:
        if isinstance(image, Exception):
            yield failed_row(path, image)
            continue
        try:
            # The maps of all tiles of a large image would not fit into the memory, so it is not in the batch.
            in_batch = len(predictor.tiles(image)) == 1
            least = predictor.least(min_score)
            with errors_name(path):
                if in_batch:
                    found = predictor.finish(image, [next(outputs)], min_score=least)
                else:
                    found = predictor.find(image, min_score=least)
            yield found_row(path, predictor.shown(found, least))
        except IMAGE_ERRORS as error:
            yield failed_row(path, error)
