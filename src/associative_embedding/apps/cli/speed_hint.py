"""Tells who waits for a video which model is faster, with the frames a second of this machine."""

from __future__ import annotations

import sys
import time

from associative_embedding.io.console import say, visible
from associative_embedding.io.progress import in_words

FIRST = 3  # frames that are not timed: the model is still starting
SECONDS = 10.0  # of timing
LONG = 60.0  # seconds of work left from which a hint is worth a line
FASTER = {"person": "person-fast"}  # shipped models with a faster one of the same keypoints


class SpeedHint:
    """Call it after each frame; it prints one line where the work is slower than the video, and would take long.

    Args:
        model: name or file of the model.
        source: the video.
        frames: to process, as far as it is known.
        fps: frames per second of the video that are processed.
    """

    def __init__(self, model: str, source: str, frames: int | None, fps: float) -> None:
        self.faster, self.source, self.frames, self.fps = FASTER.get(model), source, frames, fps
        self.count, self.began, self.done = 0, 0.0, False

    def __call__(self) -> None:
        self.count += 1
        if self.count == FIRST:
            self.began = time.monotonic()
        seconds = time.monotonic() - self.began
        if self.done or self.count <= FIRST or seconds < SECONDS:
            return
        self.done = True
        rate = (self.count - FIRST) / seconds
        left = None if self.frames is None else (self.frames - self.count) / rate
        if rate >= self.fps or (left is not None and left < LONG):
            return
        wait = "" if left is None else f", {in_words(left)} left"
        model = f"--model {self.faster} is several times as fast, " if self.faster else ""
        every = max(2, round(self.fps / rate))
        text = f"{rate:.2g} frames a second{wait}; {model}--every {every} takes every {every}th frame"
        say(f"ae: {visible(self.source)}: {text}", file=sys.stderr)
