"""What one worker of a large job does: a shard's images in, one parquet file out.

Images never pass through Ray: a worker reads its own, a few ahead of the network, and writes its own file. What travels
is lists of paths one way and counts the other.
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
from associative_embedding.io.console import one_line
from associative_embedding.io.decode_images import decode
from associative_embedding.io.images import MAX_BYTES, read_image
from associative_embedding.io.object_stores import is_remote, read_bytes, write_bytes
from associative_embedding.structures.arrays import Array

Opened = tuple[str, Array | Exception]  # a path, and its pixels or why there are none
OF_AN_IMAGE = (ValueError, OSError, MemoryError, torch.OutOfMemoryError, cv2.error)  # what one image may be guilty of


class ShardWorker:
    """An actor of Ray Data: one model, loaded once. Called with a table of ``shard`` (number) and ``paths``.

    Each shard is written to `part_name` in the job's folder, at once or not at all; a shard that is done a second time,
    because a worker died, gives the same file.

    Returns:
        a row a shard: ``shard``, ``images``, ``errors`` (a line for each image that failed) and ``fault``, "" or the
        one line that says why nothing can be done at all.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    @cached_property
    def predictor(self) -> Predictor:
        return self.job.load()

    def __call__(self, table: Any) -> dict[str, list[Any]]:
        results = [self.do(row["shard"], row["paths"]) for row in table.to_pylist()]
        return {key: [result[key] for result in results] for key in ("shard", "images", "errors", "fault")}

    def do(self, shard: int, paths: Sequence[str]) -> Row:
        result: Row = {"shard": shard, "images": len(paths), "errors": [], "fault": ""}
        try:
            rows = list(self.rows(paths))
            write_bytes(f"{self.job.folder}/{part_name(shard)}", to_parquet(rows, self.job.notes))
        except (ValueError, OSError) as error:  # of the model or of the folder: the images' own are in the rows
            return {**result, "fault": one_line(error)}
        return {**result, "errors": [row["error"] for row in rows if row["error"]]}

    def rows(self, paths: Sequence[str]) -> Iterator[Row]:
        """A row for each path, in their order."""
        predictor = self.predictor
        lowest = predictor.task.shown_score if self.job.min_score is None else self.job.min_score
        size = self.job.batch or (1 if predictor.device.type == "cpu" else 8)
        for part in parts(ahead(opened(paths, self.job.base), 2 * size), size):
            yield from find_in(predictor, part, lowest)


def opened(paths: Sequence[str], base: str) -> Iterator[Opened]:
    for path in paths:
        try:
            yield path, open_image(path, base)
        except OF_AN_IMAGE as error:
            yield path, error


def open_image(path: str, base: str) -> Array:
    """An image of this machine, the web or an object store, ``(H, W, 3)`` uint8 RGB."""
    if is_remote(path):
        return decode(read_bytes(path, MAX_BYTES), path)
    return read_image(path if "://" in path else os.path.join(base, path))


def parts(items: Iterable[Opened], size: int) -> Iterator[list[Opened]]:
    """The items, `size` at a time."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def find_in(predictor: Predictor, part: Sequence[Opened], lowest: float) -> Iterator[Row]:
    """Yields the rows of a few images, which the network gets as one batch; if that fails, one by one."""
    whole = [image for _, image in part if not isinstance(image, Exception) and len(predictor.tiles(image)) == 1]
    try:
        outputs = iter(predictor.run_network([predictor.prepare(image) for image in whole]))
    except OF_AN_IMAGE as error:
        if len(part) > 1:
            for one in part:
                yield from find_in(predictor, [one], lowest)
            return
        part, outputs = [(part[0][0], error)], iter(())
    for path, image in part:
        if isinstance(image, Exception):
            yield failed_row(path, image)
            continue
        try:
            # Maps of all tiles of a large image would not fit into the memory, so it stays out of the batch.
            in_batch = len(predictor.tiles(image)) == 1
            found = predictor.finish(image, [next(outputs)]) if in_batch else predictor.find(image)
            yield found_row(path, found[found.score >= lowest])
        except OF_AN_IMAGE as error:
            yield failed_row(path, error)
