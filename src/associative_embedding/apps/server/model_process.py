"""Runs the model in a process of its own, which the service can end at any time.

Nothing else stops every kind of work: a decoder of images inside of its C code, a network, a loop over a million
objects. So everything that touches pixels happens in this one process: it gets image files, and returns bodies of HTTP
answers. The service itself holds only files, so its memory does not depend on what is in them; and a decoder that
crashes, or memory that is used up, ends this process and not the service. Work is first asked to stop, between two runs
of a network; the process is ended only if it does not, because a new one needs seconds to load the model.
"""

from __future__ import annotations

import atexit
import multiprocessing
import pickle
import signal
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from associative_embedding.apps.server.jobs import Answer, Job, ServedModel
from associative_embedding.apps.server.limits import Limits

if TYPE_CHECKING:  # everything that is heavy is imported in the process of the model, after it ignores Ctrl-C
    from associative_embedding.inference.predictor import Predictor

STOP = "stop"  # asks the process to leave the present jobs
GRACE = 2.0  # seconds from the end of the time to the end of the process
RESTART = 5.0  # seconds that a new process needs, about: work that nobody waits for may go on for as long
POLL = 0.05  # seconds between two looks whether anybody still waits


class ProcessEnded(Exception):
    """The process of the model ended by itself, or was ended from outside."""


class OutOfTime(ProcessEnded):
    """The process of the model was ended because its time was over."""


class ModelProcess:
    """The process that runs the model. One thread at a time calls `start` and `run`; `kill` may be called by any.

    Args:
        load: returns the model; it runs in the process, so it must be picklable, for example
            ``functools.partial(associative_embedding.load, "person")``.
        limits: of one image.
    """

    def __init__(self, load: Callable[[], Predictor], limits: Limits) -> None:
        self.load, self.limits = pickle.dumps(load), limits
        self.process: multiprocessing.process.BaseProcess | None = None
        self.connection: Connection | None = None
        self.ready = threading.Event()
        atexit.register(self.kill)  # it ignores SIGTERM, by which multiprocessing would end it

    @property
    def alive(self) -> bool:
        """Whether the process runs and has loaded the model."""
        return self.ready.is_set() and self.process is not None and self.process.is_alive()

    def start(self) -> ServedModel:
        """Starts the process, and waits until it has loaded the model.

        Raises:
            ValueError: when the model cannot be loaded.
            ProcessEnded: when the process ended before.
        """
        self.kill()
        context = multiprocessing.get_context("spawn")  # not fork: other threads may hold locks
        self.connection, other = context.Pipe()
        self.process = context.Process(target=run_jobs, args=(other, self.load, self.limits), name="model", daemon=True)
        self.process.start()
        other.close()  # now the end of the process closes the pipe
        try:
            model = self.connection.recv()
        except (EOFError, OSError):
            raise ProcessEnded("the process of the model ended while it started") from None
        if isinstance(model, str):
            raise ValueError(model)
        self.ready.set()
        assert isinstance(model, ServedModel)
        return model

    def run(self, jobs: Sequence[Job], abandoned: Callable[[], bool]) -> list[Answer | None]:
        """Returns the answer to each job; None for a job that was stopped, because its time was over or by `abandoned`.

        Args:
            jobs: one batch.
            abandoned: whether nobody waits for the answers any longer.

        Raises:
            OutOfTime: when the process did not stop at the end of its time, and was ended.
            ProcessEnded: when it ended by itself.
        """
        assert self.connection is not None
        end = time.monotonic() + self.limits.seconds_of_image + GRACE
        try:
            self.connection.send(list(jobs))
            while not self.connection.poll(POLL):
                if abandoned() and end > time.monotonic() + RESTART:
                    self.connection.send(STOP)
                    end = time.monotonic() + RESTART
                if time.monotonic() > end:
                    self.kill()
                    raise OutOfTime
            answers: list[Answer | None] = self.connection.recv()
        except (EOFError, OSError):
            self.ready.clear()
            raise ProcessEnded from None
        return answers

    def kill(self) -> None:
        """Ends the process at once, whatever it does."""
        self.ready.clear()
        if self.process is not None:
            self.process.kill()


def run_jobs(connection: Connection, load: bytes, limits: Limits) -> None:
    """The main function of the process: sends the description of the model, then the answers to jobs, without end.

    Args:
        connection: to the service. Its end ends this process, too.
        load: a pickled function that returns the model.
        limits: of one image.
    """
    # Ctrl-C and systemd send their signal to all processes of the service: the service decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from associative_embedding.apps.server.model_worker import ModelWorker

    try:
        worker = ModelWorker(pickle.loads(load)(), limits, stop=connection.poll)
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        connection.send(str(error) or type(error).__name__)
        return
    try:
        connection.send(worker.model)
        while True:
            message = connection.recv()
            if message != STOP:  # it came after the answer to the jobs that it meant
                connection.send(worker.answer(message))
    except (EOFError, OSError):  # the service has ended
        return
