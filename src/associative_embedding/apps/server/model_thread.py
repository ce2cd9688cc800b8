"""Runs the model of the service in one thread.

Requests wait in a bounded queue. Requests that wait at the same time become one batch.
"""

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

# Images whose network outputs are kept, a few MB each. When a slider of the page changes a threshold, the page sends
# the same image again, and only decoding runs: milliseconds instead of a second.
KEPT_OUTPUTS = 8


class QueueFull(Exception):
    """As many requests wait as the limit allows."""


@dataclass(frozen=True, eq=False)
class QueuedImage:
    """An image in the queue.

    Attributes:
        key: digest of the image file; equal keys mean equal images.
        image: ``(H, W, 3)`` uint8 RGB.
        settings: decode settings of the request, which replace the settings of the model.
        result: receives the instances, or the error.
    """

    key: str
    image: Array
    settings: dict[str, Any]
    result: asyncio.Future[Instances]


class ModelThread:
    """Runs the model for all requests.

    The event loop of the server calls `submit` and runs `run`. Only the network and decoding run in a thread, one batch
    at a time: two batches at once would share the cores and need twice the memory.

    Args:
        predictor: the model.
        limits: limits of the queue, of a batch and of time.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor, self.limits = predictor, limits
        self.queue: asyncio.Queue[QueuedImage] = asyncio.Queue(limits.queue)
        self.outputs: OrderedDict[str, Outputs] = OrderedDict()
        self.batches = 0

    async def submit(self, key: str, image: Array, settings: dict[str, Any]) -> Instances:
        """Waits for the instances of an image.

        Raises:
            QueueFull: when the queue is full.
            TimeoutError: after the time limit.
            ValueError: for a setting out of range, or when the network's output is not finite.
        """
        queued = QueuedImage(key, image, settings, asyncio.get_running_loop().create_future())
        try:
            self.queue.put_nowait(queued)
        except asyncio.QueueFull:
            raise QueueFull from None
        return await asyncio.wait_for(queued.result, self.limits.timeout)

    async def run(self) -> None:
        """Answers requests until it is cancelled. Call `drain` before, so that waiting requests get their answers."""
        while True:
            batch = [await self.queue.get()]
            while len(batch) < self.limits.batch and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            batch = [queued for queued in batch if not queued.result.done()]  # nobody waits for those that timed out
            answers = await asyncio.to_thread(self.find_in, batch)
            for queued, answer in zip(batch, answers, strict=True):
                if queued.result.done():  # timed out while the batch ran; setting a result again would be an error
                    continue
                if isinstance(answer, Exception):
                    queued.result.set_exception(answer)
                else:
                    queued.result.set_result(answer)

    async def drain(self) -> None:
        """Waits until the queue is empty, at most for the time limit of a request."""
        end = time.monotonic() + self.limits.timeout
        while not self.queue.empty() and time.monotonic() < end:
            await asyncio.sleep(0.01)

    def find_in(self, batch: list[QueuedImage]) -> list[Instances | Exception]:
        """Returns the instances of each image, or its error: one bad image does not fail the batch."""
        self.batches += 1
        errors = self._compute_outputs(batch)
        answers = [errors.get(queued.key) or self._answer(queued) for queued in batch]
        # The outputs that were used last are kept. They are dropped after the answers, which still need them.
        for queued in batch:
            if queued.key in self.outputs:
                self.outputs.move_to_end(queued.key)
        while len(self.outputs) > KEPT_OUTPUTS:
            self.outputs.popitem(last=False)
        return answers

    def _compute_outputs(self, batch: list[QueuedImage]) -> dict[str, Exception]:
        """Runs the network on the images whose outputs are not kept; returns key -> error for those that fail.

        Images of several tiles are left out: the outputs of all their tiles are too large to be kept.
        """
        new = {
            queued.key: queued.image
            for queued in batch
            if queued.key not in self.outputs and len(self.predictor.tiles(queued.image)) == 1
        }
        errors: dict[str, Exception] = {}
        try:
            self.outputs.update(zip(new, self._run_network(*new.values()), strict=True))
        except Exception:  # the memory is too small for all at once, or one of them fails: each again, alone
            for key, image in new.items():
                try:
                    self.outputs[key] = self._run_network(image)[0]
                except Exception as error:
                    errors[key] = error
        return errors

    def _run_network(self, *images: Array) -> list[Outputs]:
        return self.predictor.run_network([self.predictor.prepare(image) for image in images])

    def _answer(self, queued: QueuedImage) -> Instances | Exception:
        try:
            predictor = self.predictor.with_decode(**queued.settings)
            if queued.key in self.outputs:
                return predictor.finish(queued.image, [self.outputs[queued.key]])
            return predictor.find(queued.image)
        except Exception as error:  # any error, bugs included: it must fail one request, not the service
            return error
