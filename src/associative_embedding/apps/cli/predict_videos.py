"""``ae predict`` of videos: frames in; an annotated video, json lines, tables and tracks out, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from associative_embedding.apps.cli.results_file import annotated_name
from associative_embedding.apps.cli.video_results import FORMATS, LinesWriter
from associative_embedding.apps.cli.window import Window
from associative_embedding.apps.errors import UsageError
from associative_embedding.inference.load import load
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.console import say, say_error
from associative_embedding.io.videos import Clip, Frame, Video, open_video, read_frames
from associative_embedding.io.write_videos import VideoWriter
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.task import Task
from associative_embedding.tasks.tracking.smoothing import Smoother
from associative_embedding.tasks.tracking.task import link_config
from associative_embedding.tasks.tracking.tracker import Tracker

TRAIL = 30  # frames that the drawn trail of a track is long


@dataclass(frozen=True)
class VideoSettings:
    """What ``ae predict`` reads of a video and writes.

    Attributes:
        output: folder of the results.
        every, start, end: the frames to process; see `Clip`.
        track: link the frames.
        link: settings that replace the model's `LinkConfig`; None = none.
        smooth: cutoff frequency of the keypoints of tracks, Hz; None = not smoothed.
        formats: of `FORMATS`, and "mp4"; None = "mp4", if there is something to draw, and "jsonl".
        fps: frames per second of a folder of frames.
        min_score: lowest score of what is linked, drawn and written; None = the task's `shown_score`.
        show: "found" (or "people"), or "nothing".
        scores: write each score into the picture.
        window: show the pictures.
    """

    output: str
    every: int = 1
    start: float = 0.0
    end: float | None = None
    track: bool = False
    link: Mapping[str, Any] | None = None
    smooth: float | None = None
    formats: Sequence[str] | None = None
    fps: float | None = None
    min_score: float | None = None
    show: str = "found"
    scores: bool = False
    window: bool = False

    def __post_init__(self) -> None:
        try:
            Clip(self.start, self.end, self.every)
        except ValueError as error:
            raise UsageError(error) from None
        for name in ("smooth", "link"):
            if getattr(self, name) is not None and not self.track:
                raise UsageError(f"--{name} is of tracks: add --track")
        if "mot" in self.kinds and not self.track:
            raise UsageError("the format mot is of tracks: add --track")

    @property
    def clip(self) -> Clip:
        return Clip(self.start, self.end, self.every)

    @property
    def kinds(self) -> Sequence[str]:
        """The formats to write."""
        return self.formats or (["jsonl"] if self.show == "nothing" else ["mp4", "jsonl"])

    def files(self, source: str) -> dict[str, Path]:
        """The file of each format."""
        name = annotated_name(source, self.output)
        return {kind: name.with_suffix(".mp4" if kind == "mp4" else FORMATS[kind].suffix) for kind in self.kinds}

    def tracker(self, task: Task) -> Tracker | None:
        """
        Raises:
            UsageError: for a link setting that does not exist, or a value out of range.
        """
        try:
            return Tracker(link_config(task, self.link or {})) if self.track else None
        except ValueError as error:
            raise UsageError(error) from None


def predict_videos(sources: Sequence[str], model: str, options: Options, settings: VideoSettings) -> int:
    """Predicts every video: a file, a stream, the number of a camera, a folder of frames (`open_video`).

    Returns:
        the exit status: 0, or 1 when a video could not be read to its end (what was done is kept).

    Raises:
        UsageError: for settings that do not go together.
        ValueError, OSError: when nothing can be done at all.
        KeyboardInterrupt: the results so far are kept.
    """
    predictor = load(model, options)
    settings.tracker(predictor.task)  # so that a wrong link setting is an error before the first video
    failures = 0
    for source in sources:
        try:
            predict_video(source, predictor, settings)
        except ValueError as error:
            failures += 1
            say_error(error)
    return 1 if failures else 0


def predict_video(source: str, predictor: Predictor, settings: VideoSettings) -> None:
    """Predicts one video.

    Raises:
        ValueError: when it cannot be read, or not to its end.
        KeyboardInterrupt: with the number of frames that are done.
    """
    video, clip, files = open_video(source, settings.fps), settings.clip, settings.files(source)
    count, done = 0, f"-> {', '.join(map(str, files.values()))}"
    bar = tqdm(
        desc=Path(files[settings.kinds[0]]).stem, unit="frame", total=video.expected(clip), disable=None, smoothing=0.1
    )
    try:
        with ExitStack() as stack, bar:
            lines = [
                stack.enter_context(LinesWriter(path, FORMATS[kind](), predictor.task.categories))
                for kind, path in files.items()
                if kind != "mp4"
            ]
            film = stack.enter_context(VideoWriter(files["mp4"], video.fps / clip.every)) if "mp4" in files else None
            window = stack.enter_context(Window(source)) if settings.window else None
            trails: dict[int, deque[Array]] = {}
            for frame, found in find_in_frames(video, predictor, settings):
                for writer in lines:
                    writer.add(found, frame.number, frame.time)
                if film or window:
                    picture = draw(frame, found, trails, scores=settings.scores)
                    if film:
                        film.add(picture, frame.time - clip.start)
                    if window and not window.show(picture):
                        break
                count += 1
                bar.update()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {count} frames of {source} are done {done}") from None
    finally:
        if count:
            say(f"{source}: {count} frames {done}")
    if not count:
        raise ValueError(f"{source}: no frame in the part that was asked for")


def find_in_frames(video: Video, predictor: Predictor, settings: VideoSettings) -> Iterator[tuple[Frame, Instances]]:
    """Yields each frame and the instances in it, linked and smoothed if the settings ask for it."""
    waiting: deque[Frame] = deque()  # read, but without a result yet: the stream keeps the order

    def images() -> Iterator[Array]:
        for frame in read_frames(video, settings.clip):
            waiting.append(frame)
            yield frame.image

    tracker = settings.tracker(predictor.task)
    smoother = None if settings.smooth is None else Smoother(settings.smooth)
    min_score = predictor.task.shown_score if settings.min_score is None else settings.min_score
    for found in predictor.stream(images(), keep_image=False):
        frame = waiting.popleft()
        found = replace(found[found.score >= min_score], source=frame.name)
        if tracker:
            # Gaps in the link settings are in processed frames, so that they mean the same with --every.
            found = tracker(found, frame.number // settings.every)
        if smoother:
            found = smoother(found, frame.time)
        yield frame, found


def draw(frame: Frame, found: Instances, trails: dict[int, deque[Array]], *, scores: bool) -> Array:
    """Returns the annotated picture ``(H, W, 3)`` of a frame, and moves the trails on."""
    follow(trails, found)
    paths = {number: np.array(points) for number, points in trails.items()}
    return found.draw(frame.image, scores=scores, trails=paths)


def follow(trails: dict[int, deque[Array]], found: Instances) -> None:
    """Adds the centres of the tracks in a frame to their trails, and drops the trails of all other tracks."""
    numbers = [] if found.track_id is None else found.track_id.tolist()
    for number in set(trails) - set(numbers):
        del trails[number]
    for number, (x, y, width, height) in zip(numbers, found.xywh, strict=False):
        if number >= 0:
            trails.setdefault(number, deque(maxlen=TRAIL)).append(np.array([x + width / 2, y + height / 2]))
