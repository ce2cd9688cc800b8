"""``ae predict`` of videos: frames in; an annotated video, json lines, tables and tracks out, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from associative_embedding.apps.cli.predict_images import report
from associative_embedding.apps.cli.results_file import annotated_name
from associative_embedding.apps.cli.video_results import FORMATS, LinesWriter
from associative_embedding.apps.cli.window import Window
from associative_embedding.apps.errors import UsageError
from associative_embedding.inference.load import load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.console import say
from associative_embedding.io.videos import Frame, Part, Video, VideoWriter, open_video, read_frames
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.tracking.settings import LinkConfig
from associative_embedding.tasks.tracking.smoothing import Smoother
from associative_embedding.tasks.tracking.task import link_config
from associative_embedding.tasks.tracking.tracker import Tracker

TRAIL = 30  # looks at a video that a trail is long


@dataclass(frozen=True)
class VideoSettings:
    """Attributes:
    output: folder of the results.
    part: of each video.
    link: how frames are linked; None = not at all.
    smooth: Hz, cutoff of the keypoints of tracks; None = as they were found.
    formats: of `video_results.FORMATS`, and "mp4".
    fps: of a folder of frames.
    min_score: lowest score of what is linked, drawn and written.
    scores: write each score into the picture.
    window: show the pictures.
    """

    output: str
    part: Part
    link: LinkConfig | None
    smooth: float | None
    formats: Sequence[str]
    fps: float | None
    min_score: float
    scores: bool
    window: bool


def predict_videos(
    sources: Sequence[str],
    *,
    model: str,
    output: str,
    part: Part,
    track: bool,
    link: Mapping[str, Any],
    smooth: float | None,
    formats: Sequence[str],
    fps: float | None = None,
    window: bool = False,
    min_score: float | None = None,
    scores: bool = False,
    **options: Any,
) -> int:
    """
    Args:
        sources: see `video_io.open_video`.
        model, options: see `loading.load`.
        track: link the frames.
        link: settings of `LinkConfig` that replace the model's.
        others: see `VideoSettings`; min_score is by default the task's `shown_score`.

    Returns:
        the exit status: 0, or 1 when a video could not be read to its end (what was done is kept).

    Raises:
        UsageError: for settings that do not go together.
        ValueError, OSError: when nothing can be done at all.
        KeyboardInterrupt: what was computed is kept.
    """
    if "mot" in formats and not track:
        raise UsageError("the format mot is of tracks: add --track")
    predictor = load(model, **options)
    settings = VideoSettings(
        output=output,
        part=part,
        link=link_config(predictor.task, link) if track else None,
        smooth=smooth,
        formats=formats,
        fps=fps,
        min_score=predictor.task.shown_score if min_score is None else min_score,
        scores=scores,
        window=window,
    )
    failures = 0
    for source in sources:
        try:
            predict_video(source, predictor, settings)
        except ValueError as error:
            failures += 1
            report(error)
    return 1 if failures else 0


def predict_video(source: str, predictor: Predictor, settings: VideoSettings) -> None:
    """One video.

    Raises:
        ValueError: when it cannot be read (on).
        KeyboardInterrupt: saying what was done.
    """
    video = open_video(source, settings.fps)
    name = annotated_name(source, settings.output)
    files = {kind: name.with_suffix(".mp4" if kind == "mp4" else FORMATS[kind].suffix) for kind in settings.formats}
    count, done = 0, f"-> {', '.join(map(str, files.values()))}"
    total = video.expected(settings.part)
    bar = tqdm(desc=name.stem, unit="frame", total=total, disable=None, smoothing=0.1)
    try:
        with ExitStack() as stack, bar:
            writers = [
                stack.enter_context(LinesWriter(files[kind], FORMATS[kind](), predictor.task.categories))
                for kind in settings.formats
                if kind != "mp4"
            ]
            pictures = (
                stack.enter_context(VideoWriter(files["mp4"], video.fps / settings.part.every))
                if "mp4" in files
                else None
            )
            window = stack.enter_context(Window(source)) if settings.window else None
            trails: dict[int, deque[Array]] = {}
            for frame, found in look_at(video, predictor, settings):
                for writer in writers:
                    writer.add(found, frame.number, frame.time)
                if pictures or window:
                    follow(trails, found)
                    picture = found.draw(
                        frame.image, scores=settings.scores, trails={k: np.array(v) for k, v in trails.items()}
                    )
                    if pictures:
                        pictures.add(picture, frame.time - settings.part.start)
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


def look_at(video: Video, predictor: Predictor, settings: VideoSettings) -> Iterator[tuple[Frame, Instances]]:
    """What is found in each frame, with tracks if asked for."""
    waiting: deque[Frame] = deque()  # read, but not looked at yet: the stream gives results in the same order

    def images() -> Iterator[Array]:
        for frame in read_frames(video, settings.part):
            waiting.append(frame)
            yield frame.image

    tracker = None if settings.link is None else Tracker(settings.link)
    smoother = None if settings.smooth is None else Smoother(settings.smooth)
    for found in predictor.stream(images(), keep_image=False):
        frame = waiting.popleft()
        found = replace(found[found.score >= settings.min_score], source=frame.name)
        if tracker:
            found = tracker(found, frame.number // settings.part.every)  # its settings count the frames that it sees
        if smoother:
            found = smoother(found, frame.time)
        yield frame, found


def follow(trails: dict[int, deque[Array]], found: Instances) -> None:
    """Move on the trails of the tracks that are seen, and forget the others."""
    numbers = [] if found.track_id is None else found.track_id.tolist()
    for number in set(trails) - set(numbers):
        del trails[number]
    for number, (x, y, width, height) in zip(numbers, found.xywh, strict=False):
        if number >= 0:
            trails.setdefault(number, deque(maxlen=TRAIL)).append(np.array([x + width / 2, y + height / 2]))
