"""The thread that owns the model. Requests wait in a bounded queue; those that wait together are one batch."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from associative_embedding.apps.server.limits import Limits
from associative_embedding.inference.predictor import Outputs, Predictor
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array

KEPT_OUTPUTS = 8  # images whose maps are kept: a threshold that is moved in the page then only decodes them again


class Busy(Exception):
    """The queue is full."""


@dataclass(frozen=True, eq=False)
class QueuedImage:
    """An image in the queue.

    Attributes:
        key: equal keys are equal images.
        image: ``(H, W, 3)`` uint8 RGB.
        settings: decode settings of the request.
        result: gets the instances, or the error.
    """

    key: str
    image: Array
    settings: dict[str, Any]
    result: asyncio.Future[Instances]


class ModelThread:
    """Runs the model, in a thread of its own.

    Args:
        predictor: the model.
        limits: of queue, batch and time.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor, self.limits = predictor, limits
        self.queue: asyncio.Queue[QueuedImage] = asyncio.Queue(limits.queue)
        self.outputs: OrderedDict[str, Outputs] = OrderedDict()
        self.batches = 0

    async def submit(self, key: str, image: Array, settings: dict[str, Any]) -> Instances:
        """Waits for the instances of an image.

        Raises:
            Busy: when the queue is full.
            TimeoutError: when it took longer than the limit.
            ValueError: for settings that do not exist, or when the network's output is not finite.
        """
        queued = QueuedImage(key, image, settings, asyncio.get_running_loop().create_future())
        try:
            self.queue.put_nowait(queued)
        except asyncio.QueueFull:
            raise Busy from None
        return await asyncio.wait_for(queued.result, self.limits.timeout)

    async def run(self) -> None:
        """Works until it is cancelled; `drain` first, so that nobody who waits loses the answer."""
        while True:
            batch = [await self.queue.get()]
            while len(batch) < self.limits.batch and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            batch = [queued for queued in batch if not queued.result.done()]  # the others have timed out
            answers = await asyncio.to_thread(self.find_in, batch)
            for queued, answer in zip(batch, answers, strict=True):
                if queued.result.done():
                    continue
                if isinstance(answer, Exception):
                    queued.result.set_exception(answer)
                else:
                    queued.result.set_result(answer)

    async def drain(self) -> None:
        """Waits until the queue is empty, at most as long as a request may take."""
        end = time.monotonic() + self.limits.timeout
        while not self.queue.empty() and time.monotonic() < end:
            await asyncio.sleep(0.01)

    def find_in(self, batch: list[QueuedImage]) -> list[Instances | Exception]:
        """Returns the instances of each image, or its own error: one bad image does not fail the batch."""
        self.batches += 1
        faults = self._compute_outputs(batch)
        answers = [faults.get(queued.key) or self._answer(queued) for queued in batch]
        for queued in batch:
            if queued.key in self.outputs:
                self.outputs.move_to_end(queued.key)
        while len(self.outputs) > KEPT_OUTPUTS:
            self.outputs.popitem(last=False)
        return answers

    def _compute_outputs(self, batch: list[QueuedImage]) -> dict[str, Exception]:
        """Runs the network on the images whose outputs are not kept; returns the errors by key.

        Images of several tiles are left out: the maps of all their tiles are too large to be kept.
        """
        new = {
            queued.key: queued.image
            for queued in batch
            if queued.key not in self.outputs and len(self.predictor.tiles(queued.image)) == 1
        }
        faults: dict[str, Exception] = {}
        try:
            self.outputs.update(zip(new, self._run(*new.values()), strict=True))
        except Exception:  # too little memory for all at once, or a fault of one of them
            for key, image in new.items():
                try:
                    self.outputs[key] = self._run(image)[0]
                except Exception as error:
                    faults[key] = error
        return faults

    def _run(self, *images: Array) -> list[Outputs]:
        return self.predictor.run_network([self.predictor.prepare(image) for image in images])

    def _answer(self, queued: QueuedImage) -> Instances | Exception:
        try:
            predictor = self.predictor.with_decode(**queued.settings)
            if queued.key in self.outputs:
                return predictor.finish(queued.image, [self.outputs[queued.key]])
            return predictor.find(queued.image)
        except Exception as error:  # also a fault of our own: the thread must live on
            return error
