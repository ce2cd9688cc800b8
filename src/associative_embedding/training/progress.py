"""Shows how far a run is: a bar on a terminal, else a line a minute."""

from __future__ import annotations

import math
import shutil
import sys
import time
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from associative_embedding.io.console import say, visible
from associative_embedding.io.progress import in_words
from associative_embedding.training.clock import Clock, now

COLUMNS = 80  # of the narrowest usual terminal
FORMAT = "{desc} {percentage:3.0f}%|{bar}| {unit}"  # tqdm would put a comma before a postfix
FIRST, EVERY = 10.0, 60.0  # seconds until the first line, which has the expected end, and between two lines


class Progress:
    """A context manager for the steps of a session.

    Args:
        name: of the run.
        steps: of the run.
        done: steps before this session.
        clock: of the run.
        silent: show nothing, as in all processes but the first.
    """

    def __init__(self, name: str, steps: int, done: int, clock: Clock, *, silent: bool = False) -> None:
        self.name, self.steps, self.first, self.clock, self.silent = visible(name), steps, done, clock, silent
        self.loss = math.nan
        self.began = now()
        self.next_line = self.began + FIRST
        self.bar: tqdm[Any] = tqdm(
            total=steps,
            initial=done,
            disable=silent or None,
            desc=self.name[:16],
            bar_format=FORMAT,
            unit=f"step {done} of {steps}",  # until the next one is done
            ncols=min(COLUMNS, shutil.get_terminal_size().columns) - 1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def update(self, step: int, place: float) -> None:
        """Shows a step.

        Args:
            step: number of steps done.
            place: step of the schedules, which a time budget moves ahead.
        """
        time_now = now()
        left = self.left(step, time_now)
        if not self.bar.disable:
            self.bar.unit = self.words(step, left)
            self.bar.update(min(max(place, step), self.steps) - self.bar.n)
        # The first line also stands above a bar: it says when the run ends.
        if not self.silent and time_now >= self.next_line and (self.bar.disable or math.isfinite(self.next_line)):
            end = time.strftime("%H:%M", time.localtime(time.time() + left))
            say(f"ae: {self.name}: {self.words(step, left)}, until about {end}", file=sys.stderr)
            self.next_line = time_now + EVERY if self.bar.disable else math.inf

    def left(self, step: int, time_now: float) -> float:
        """Returns the seconds until the end of the run, at the speed of this session."""
        of_steps = (time_now - self.began) / max(1, step - self.first) * (self.steps - step)
        return max(0.0, min(of_steps, self.clock.limit - self.clock.seconds))

    def words(self, step: int, left: float) -> str:
        """Returns the step, the time left and the loss."""
        loss = "" if math.isnan(self.loss) else f", loss {self.loss:.3g}"
        return f"step {step} of {self.steps}{loss}, {in_words(left)} left"
