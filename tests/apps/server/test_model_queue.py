"""The queue in front of the model: who waits, who leaves, and what happens when the process of the model ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest

pytest.importorskip("fastapi", reason="needs the extra [serve]")

from associative_embedding.apps.server.jobs import Answer, Job, ServedModel, ServedTask
from associative_embedding.apps.server.limits import Limits
from associative_embedding.apps.server.model_process import ModelProcess, OutOfTime, ProcessEnded
from associative_embedding.apps.server.model_queue import ModelQueue, QueueFull, Stopping

pytestmark = pytest.mark.extra

MODEL = ServedModel(ServedTask("pose", [], False, 0.1, None), 64, "cpu")


class Process:
    """Stands for a `ModelProcess`. What it does with a batch is the value of `act`."""

    def __init__(self, act: Callable[[Sequence[Job], Callable[[], bool]], list[Answer | None]]) -> None:
        self.act, self.alive, self.starts, self.ran = act, True, 0, list[list[bytes]]()

    def start(self) -> ServedModel:
        self.starts += 1
        self.alive = True
        return MODEL

    def run(self, jobs: Sequence[Job], abandoned: Callable[[], bool]) -> list[Answer | None]:
        self.ran.append([job.data for job in jobs])
        try:
            return self.act(jobs, abandoned)
        except ProcessEnded:
            self.alive = False
            raise

    def kill(self) -> None:
        self.alive = False


def job(name: str) -> Job:
    return Job(name, name.encode(), {}, 0.0, False)


def echo(jobs: Sequence[Job], abandoned: Callable[[], bool]) -> list[Answer | None]:
    return [Answer(200, job.data) for job in jobs]


def with_queue(process: Process, limits: Limits, test: Callable[[ModelQueue], Awaitable[Any]]) -> None:
    """Runs a test beside the queue, which then ends."""

    async def run() -> None:
        queue = ModelQueue(cast(ModelProcess, process), MODEL, limits)
        task = asyncio.create_task(queue.run())
        await test(queue)
        queue.stop()
        await asyncio.wait_for(task, 10)

    asyncio.run(run())


async def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


class Gate:
    """Holds the process until it is opened, or until nobody waits."""

    def __init__(self) -> None:
        self.open = False
        self.left = False

    def __call__(self, jobs: Sequence[Job], abandoned: Callable[[], bool]) -> list[Answer | None]:
        while not self.open:
            if abandoned():
                self.left = True
                return [None] * len(jobs)
            time.sleep(0.005)
        return echo(jobs, abandoned)


def test_those_who_wait_become_one_batch_and_get_their_own_answers() -> None:
    gate = Gate()
    process = Process(gate)

    async def test(queue: ModelQueue) -> None:
        first = asyncio.create_task(queue.submit(job("first")))
        await until(lambda: bool(process.ran))
        others = [asyncio.create_task(queue.submit(job(name))) for name in "abcd"]
        await until(lambda: len(queue.waiting) == 4)
        gate.open = True
        assert [answer.body for answer in await asyncio.gather(first, *others)] == [b"first", b"a", b"b", b"c", b"d"]
        assert process.ran == [[b"first"], [b"a", b"b", b"c"], [b"d"]]
        assert queue.batches == 3

    with_queue(process, Limits(batch=3), test)


def test_who_leaves_leaves_the_queue_and_the_model() -> None:
    gate = Gate()
    process = Process(gate)

    async def test(queue: ModelQueue) -> None:
        tasks = [asyncio.create_task(queue.submit(job(name))) for name in "abc"]
        await until(lambda: bool(process.ran) and len(queue.waiting) == 2)
        tasks[1].cancel()
        await until(lambda: [entry.job.digest for entry in queue.waiting] == ["c"])
        tasks[0].cancel()
        await until(lambda: gate.left)
        gate.open = True
        assert (await tasks[2]).body == b"c"
        assert process.ran == [[b"a"], [b"c"]]

    with_queue(process, Limits(batch=1), test)


def test_a_full_queue() -> None:
    gate = Gate()
    process = Process(gate)

    async def test(queue: ModelQueue) -> None:
        tasks = [asyncio.create_task(queue.submit(job("a")))]
        await until(lambda: bool(process.ran))
        tasks.append(asyncio.create_task(queue.submit(job("b"))))
        await until(lambda: len(queue.waiting) == 1)
        with pytest.raises(QueueFull):
            await queue.submit(job("c"))
        tasks[1].cancel()
        await until(lambda: not queue.waiting)
        tasks.append(asyncio.create_task(queue.submit(job("c"))))
        gate.open = True
        assert (await tasks[2]).body == b"c"

    with_queue(process, Limits(queue=1, batch=1), test)


@pytest.mark.parametrize(("error", "status"), [(OutOfTime(), 413), (ProcessEnded(), 500)])
def test_of_a_batch_that_ends_the_process_only_the_guilty_one_fails(error: Exception, status: int) -> None:
    gate = Gate()

    def act(jobs: Sequence[Job], abandoned: Callable[[], bool]) -> list[Answer | None]:
        gate(jobs, abandoned)
        if any(job.data == b"bad" for job in jobs):
            raise error
        return echo(jobs, abandoned)

    process = Process(act)

    async def test(queue: ModelQueue) -> None:
        first = asyncio.create_task(queue.submit(job("first")))
        await until(lambda: bool(process.ran))
        tasks = [asyncio.create_task(queue.submit(job(name))) for name in ("a", "bad", "b")]
        await until(lambda: len(queue.waiting) == 3)
        gate.open = True
        answers = await asyncio.gather(first, *tasks)
        assert [answer.status for answer in answers] == [200, 200, status, 200]
        assert process.ran == [[b"first"], [b"a", b"bad", b"b"], [b"a"], [b"bad"], [b"b"]]
        assert process.starts == queue.restarts == 2

    with_queue(process, Limits(batch=4), test)


def test_a_process_that_ends_while_it_is_idle_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("associative_embedding.apps.server.model_queue.WATCH", 0.01)
    process = Process(echo)

    async def test(queue: ModelQueue) -> None:
        await until(lambda: queue.alive)
        process.alive = False
        assert not queue.alive
        await until(lambda: queue.alive)
        assert process.starts == 1

    with_queue(process, Limits(), test)


def test_a_process_that_does_not_start_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("associative_embedding.apps.server.model_queue.WATCH", 0.01)

    class Reluctant(Process):
        def start(self) -> ServedModel:
            if self.starts < 2:
                self.starts += 1
                raise ValueError("no such model file")
            return super().start()

    process = Reluctant(echo)
    process.alive = False

    async def test(queue: ModelQueue) -> None:
        assert (await queue.submit(job("a"))).body == b"a"
        assert process.starts == 3

    with_queue(process, Limits(), test)
    assert capsys.readouterr().err.count("no such model file") == 2


def test_the_end_answers_everybody() -> None:
    process = Process(Gate())

    async def test(queue: ModelQueue) -> None:
        tasks = [asyncio.create_task(queue.submit(job(name))) for name in "ab"]
        await until(lambda: bool(process.ran))
        process.act.open = True  # type: ignore[attr-defined]
        queue.stop()
        for task in tasks:
            with pytest.raises(Stopping):
                await task
        with pytest.raises(Stopping):
            await queue.submit(job("c"))
        assert not process.alive
        assert process.starts == 0

    with_queue(process, Limits(batch=1), test)


def test_no_message_contains_an_image() -> None:
    """Python formats what it removes from a list in vain: 40 ms for a photo."""
    assert len(repr(Job("digest", bytes(3_000_000), {}, 0.0, False))) < 200
    assert len(repr(Answer(200, bytes(3_000_000)))) < 200
