"""Hands the requests of the service to the process of the model, and starts that process again when it ends.

Requests wait in a bounded queue. Requests that wait at the same time become one batch. A request leaves the queue when
its time is over or its client has gone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from associative_embedding.apps.server.jobs import Answer, Job, ServedModel
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.model_process import ModelProcess, OutOfTime, ProcessEnded
from associative_embedding.io.console import say_error

GPU_BATCH = 8  # images; on a CPU a batch is at most a quarter faster, and takes 300 MB more (docs/performance.md)
WATCH = 1.0  # seconds between two looks whether an idle process still runs
LONGEST_PAUSE = 30.0  # seconds between two attempts to start the process


class QueueFull(Exception):
    """As many requests wait as the limit allows."""


class Stopping(Exception):
    """The service ends."""


@dataclass(frozen=True, eq=False)
class Waiting:
    """A job in the queue, and the future that receives its answer."""

    job: Job
    answer: asyncio.Future[Answer]


class ModelQueue:
    """Runs the model for all requests, one batch at a time: two at once would share the cores and need more memory.

    The event loop of the server calls `submit`, and runs `run` as a task.

    Args:
        process: of the model, started.
        model: its description.
        limits: of the queue, of a batch and of an image.

    Attributes:
        batches: number of batches that the model has run.
        restarts: number of times that the process was started again.
    """

    def __init__(self, process: ModelProcess, model: ServedModel, limits: Limits) -> None:
        self.process, self.limits = process, limits
        self.batch = limits.batch or (1 if model.device == "cpu" else GPU_BATCH)
        self.waiting: deque[Waiting] = deque()
        self.arrived = asyncio.Event()
        self.stopping = self.running = False
        self.batches = self.restarts = 0

    async def submit(self, job: Job) -> Answer:
        """Waits for the answer to a job. When the caller is cancelled, the job leaves the queue, or its work stops.

        Raises:
            QueueFull: when the queue is full.
            Stopping: when the service ends before the answer.
        """
        if self.stopping:
            raise Stopping
        if len(self.waiting) >= self.limits.queue:
            raise QueueFull
        entry = Waiting(job, asyncio.get_running_loop().create_future())
        self.waiting.append(entry)
        self.arrived.set()
        try:
            return await entry.answer
        finally:
            entry.answer.cancel()
            if entry in self.waiting:
                self.waiting.remove(entry)

    @property
    def alive(self) -> bool:
        """Whether requests are answered: the process runs, and so does `run`."""
        return self.process.alive and self.running

    async def run(self) -> None:
        """Answers jobs until `stop`."""
        self.running = True
        try:
            await self._answer_all()
        finally:
            self.running = False

    async def _answer_all(self) -> None:
        while not self.stopping:
            if not self.process.alive:
                await self._start_again()
            self.arrived.clear()
            if not self.waiting:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.arrived.wait(), WATCH)
                continue
            await self._answer([self.waiting.popleft() for _ in range(min(self.batch, len(self.waiting)))])

    def stop(self) -> None:
        """Ends the process. Every request that still waits gets `Stopping`."""
        self.stopping = True
        self.process.kill()
        for entry in self.waiting:
            if not entry.answer.done():
                entry.answer.set_exception(Stopping())
        self.arrived.set()

    async def _answer(self, batch: list[Waiting]) -> None:
        """Runs a batch and hands out its answers. What a whole batch had no answer for runs again, each alone."""
        self.batches += 1
        answers = await self._run(batch)
        for entry, answer in zip(batch, answers, strict=True):
            if entry.answer.done():  # its client has gone, or its time is over
                continue
            if self.stopping:
                entry.answer.set_exception(Stopping())
            elif answer is not None:
                entry.answer.set_result(answer)
            elif len(batch) > 1:
                if not self.process.alive:
                    await self._start_again()
                await self._answer([entry])
            else:
                text = f"the model needs more than {self.limits.seconds_of_image:g} seconds for this image"
                entry.answer.set_result(Answer.refusal(413, f"{text} with these settings, which are allowed"))

    async def _run(self, batch: list[Waiting]) -> list[Answer | None]:
        """Returns the answers of the process; None where there is none."""
        jobs = [entry.job for entry in batch]
        try:
            return await asyncio.to_thread(self.process.run, jobs, lambda: all(e.answer.done() for e in batch))
        except OutOfTime:
            return [None] * len(batch)
        except ProcessEnded:
            failed = Answer.refusal(500, "the model failed (its process ended, and is started again)")
            return [failed if len(batch) == 1 else None] * len(batch)

    async def _start_again(self) -> None:
        """Starts the process until it runs, after ever longer pauses."""
        pause = WATCH
        while not self.stopping:
            self.restarts += 1
            try:
                await asyncio.to_thread(self.process.start)
                return
            except (ProcessEnded, ValueError, OSError) as error:
                if not self.stopping:
                    say_error(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
