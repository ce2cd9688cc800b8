"""Image files -> bodies of HTTP answers: decodes, runs the model, draws. Runs in the process of the model."""

from __future__ import annotations

import io
import json
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, is_dataclass
from typing import Any

import cv2
import numpy as np
import torch

from associative_embedding.apps.server.jobs import Answer, Job, ServedModel, ServedTask
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.watched_network import Stopped, WatchedNetwork
from associative_embedding.inference.pipeline import OVERLAP
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.rules import Outputs
from associative_embedding.instances import Instances, coco_dataset
from associative_embedding.io.console import one_line, say
from associative_embedding.io.decode_images import size_of
from associative_embedding.io.images import open_image
from associative_embedding.structures.arrays import Array

KEPT_BYTES = 128 * 2**20  # of network outputs; with other settings for the same image only decoding runs again
MOST_OBJECTS = 4000  # in one tile: tiles are compared object by object
MOST_ANSWER_BYTES = 32 * 2**20
JPEG_SIDE = 65_500  # pixels; libjpeg writes no larger one
SURELY = 2  # an image is refused before the work if it needs this many times the time; others are stopped in it
NAME = "the image"


class TooLarge(Exception):
    """The image, or the answer to it, is beyond a limit. The message states what is allowed."""


@dataclass(frozen=True, eq=False)
class OpenJob:
    """A job whose image is decoded.

    Attributes:
        job: the job.
        image: ``(H, W, 3)`` uint8 RGB.
        predictor: the model with the settings of the job.
        read: what was read of a file of several planes; "" for others.
    """

    job: Job
    image: Array
    predictor: Predictor
    read: str = ""


class ModelWorker:
    """Answers jobs with a model.

    Args:
        predictor: the model. Its networks are replaced by watched ones.
        limits: of one image.
        stop: whether the service asks to leave the present jobs.
    """

    def __init__(self, predictor: Predictor, limits: Limits, stop: Callable[[], bool] = lambda: False) -> None:
        self.predictor, self.limits, self.stop = predictor, limits, stop
        self.network = WatchedNetwork(predictor.network, self._check)
        predictor.network = self.network  # type: ignore[assignment]
        if predictor.refiner:
            predictor.refiner.network = WatchedNetwork(predictor.refiner.network, self._check)  # type: ignore[assignment]
        self.outputs: OrderedDict[str, Outputs] = OrderedDict()
        self.end, self.stopped = float("inf"), False
        self._warm_up()

    @property
    def model(self) -> ServedModel:
        """What the service knows about the model."""
        task = self.predictor.task
        values = (task.name, task.categories, task.finds_masks, task.shown_score, task.decode_config)
        return ServedModel(ServedTask(*values), self.predictor.input_size, str(self.predictor.device))

    def answer(self, jobs: Sequence[Job]) -> list[Answer | None]:
        """Returns the answer to each job: one bad image does not fail the others.

        Returns:
            None for a job that was stopped because the time was over or the service asked for it.
        """
        self.end, self.stopped = time.monotonic() + self.limits.seconds_of_image, False
        if len(jobs) == 1:
            opened = [self._open(jobs[0])]
        else:
            with ThreadPoolExecutor(len(jobs)) as pool:  # decoders of images leave Python's lock to others
                opened = list(pool.map(self._open, jobs))
        self._compute_outputs([part for part in opened if isinstance(part, OpenJob)])
        answers = [self._finish(part) if isinstance(part, OpenJob) else part for part in opened]
        self._drop_outputs()
        return answers

    # ---- file -> image

    def _open(self, job: Job) -> OpenJob | Answer:
        try:
            predictor = self.predictor.with_decode(**job.settings)
            if predictor.tile_side or job.picture:
                self._check_size(size_of(io.BytesIO(job.data), NAME), picture=job.picture)
            opened = open_image(job.data, predictor.reading, name=NAME, max_pixels=self.limits.max_pixels)
            return OpenJob(job, opened.array(0), predictor, opened.pictures.says(first=True))
        except TooLarge as error:
            return Answer.refusal(413, str(error))
        except (ValueError, OSError) as error:
            return Answer.refusal(422, one_line(error))
        except Exception as error:
            return failure(error)

    def _check_size(self, size: tuple[int, int], *, picture: bool) -> None:
        """Refuses what is known to be too large before anything is decoded.

        Args:
            size: (H, W) of the image.
            picture: the answer is a picture.

        Raises:
            TooLarge: for an image that the model cannot finish in time, or a picture that is too large for a JPEG.
        """
        height, width = size
        if picture and max(size) > JPEG_SIDE:
            raise TooLarge(f"{NAME} is {width}x{height}; a picture has at most {JPEG_SIDE} pixels a side: ask for json")
        if height * width > self.limits.max_pixels:
            return  # decoding refuses it
        # Zeros that take no memory: only the shape matters.
        tiles = self.predictor.tiles(np.broadcast_to(np.uint8(0), (height, width, 3)))
        if len(tiles) == 1:
            return
        side = self.predictor.tile_side
        area = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in tiles)
        seconds, most = area / side**2 * self._seconds_of_tile(), self.limits.seconds_of_image
        if seconds > SURELY * most:
            allowed = int(np.sqrt(max(1.0, most / self._seconds_of_tile())))
            pixels = side + int((allowed - 1) * (1 - OVERLAP) * side)
            raise TooLarge(
                f"{NAME} is {width}x{height}: its {len(tiles)} tiles would keep the model for about {seconds:.0f} "
                f"seconds, and {most:g} are allowed, as for {pixels}x{pixels} pixels"
            )

    def _seconds_of_tile(self) -> float:
        """The least time that the network has needed for as many pixels as a tile has at all scales."""
        p = self.predictor
        return sum((p.input_size * scale) ** 2 for scale in p.scales) * (1 + p.flip) * self.network.seconds_per_pixel

    # ---- image -> answer

    def _compute_outputs(self, jobs: Sequence[OpenJob]) -> None:
        """Runs the network on the images whose outputs are not kept. Images of several tiles are left out.

        If the memory is too small for all of them, or one fails, none is computed here: `_finish` runs each alone.
        """
        new = {
            opened.job.digest: opened.image
            for opened in jobs
            if opened.job.digest not in self.outputs and len(self.predictor.tiles(opened.image)) == 1
        }
        if len(new) > 1:
            try:
                self.outputs.update(zip(new, self._run_network(*new.values()), strict=True))
            except Exception:
                return

    def _run_network(self, *images: Array) -> list[Outputs]:
        return self.predictor.run_network([self.predictor.prepare(image) for image in images])

    def _finish(self, opened: OpenJob) -> Answer | None:
        job, image, predictor = opened.job, opened.image, opened.predictor
        try:
            if job.digest not in self.outputs and len(tiles := predictor.tiles(image)) > 1:
                outputs: Iterable[Outputs] = (self._run_network(image[tile])[0] for tile in tiles)
            else:
                if job.digest not in self.outputs:
                    self.outputs[job.digest] = self._run_network(image)[0]
                self.outputs.move_to_end(job.digest)
                outputs = [self.outputs[job.digest]]
            found = predictor.join(image, self._parts(predictor, outputs), min_score=job.min_score)
            self._check()
            return render(predictor.shown(found, job.min_score), opened)
        except Stopped:
            return None
        except TooLarge as error:
            return Answer.refusal(413, str(error))
        except Exception as error:  # bugs included: it must fail one request, not the service
            return failure(error)

    def _parts(self, predictor: Predictor, outputs: Iterable[Outputs]) -> Iterator[Instances]:
        """Decodes tile by tile; refuses settings that make an object of every pixel."""
        for of_tile in outputs:
            self._check()
            found = predictor.decode(of_tile).instances
            if len(found) > MOST_OBJECTS:
                raise TooLarge(
                    f"with these settings {NAME} has {len(found)} objects in one tile, and {MOST_OBJECTS} are allowed: "
                    "raise threshold, bandwidth, min_size or min_weight"
                )
            yield found

    def _drop_outputs(self) -> None:
        """Drops the outputs that were used longest ago, beyond `KEPT_BYTES`."""
        total = sum(map(output_bytes, self.outputs.values()))
        while total > KEPT_BYTES:
            total -= output_bytes(self.outputs.popitem(last=False)[1])

    # ---- time

    def _check(self) -> None:
        """Is called before every run of a network and every tile.

        Raises:
            Stopped: when the time is over, or nobody waits for the answers.
        """
        if self.stopped or time.monotonic() > self.end or self.stop():
            self.stopped = True  # the service asks only once
            raise Stopped

    def _warm_up(self) -> None:
        """Runs the network twice: the first request is not slower than others, and the speed is known before it."""
        side = self.predictor.tile_side or self.predictor.input_size
        for _ in range(2):
            try:
                self._run_network(np.full((side, side, 3), 128, np.uint8))
            except Exception:  # the first request gets the error
                return


def failure(error: Exception) -> Answer:
    """Returns the answer to a job that the model failed at, and prints the error; the next image may be fine."""
    text = f"the model failed ({type(error).__name__}: {one_line(error)[:200]})"
    say(f"ae: {text}", file=sys.stderr)
    return Answer.refusal(500, text if isinstance(error, ValueError) else f"the model failed ({type(error).__name__})")


def render(found: Instances, opened: OpenJob) -> Answer:
    """Returns the annotated image as JPEG, or a COCO dataset whose annotations also have their tags.

    Of a file of several planes, ``info.read`` of the dataset states what was read.

    Raises:
        TooLarge: when it has too many bytes.
    """
    if opened.job.picture:
        good, jpeg = cv2.imencode(".jpg", found.draw(opened.image)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        assert good
        return Answer(200, jpeg.tobytes(), "image/jpeg")
    document = coco_dataset([found], opened.predictor.task.categories)
    document["info"] |= {"read": opened.read} if opened.read else {}
    for row, tag in zip(document["annotations"], found.tag, strict=True):
        row["tag"] = [round(float(value), 4) for value in tag]
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    if len(body) > MOST_ANSWER_BYTES:
        raise TooLarge(f"the answer has {len(body)} bytes, and {MOST_ANSWER_BYTES} are allowed: raise min_score")
    return Answer(200, body)


def output_bytes(outputs: Any) -> int:
    """Returns the bytes of the maps in what a network has returned for one image: lists, tuples and dataclasses."""
    if isinstance(outputs, (np.ndarray, torch.Tensor)):
        return outputs.nbytes
    if isinstance(outputs, (list, tuple)):
        return sum(map(output_bytes, outputs))
    return sum(map(output_bytes, vars(outputs).values())) if is_dataclass(outputs) else 0
