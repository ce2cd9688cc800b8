"""``ae predict`` of videos: writes an annotated video, json lines, a table and tracks, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding.apps.cli.label_stack import LabelStack
from associative_embedding.apps.cli.output_names import choose_stems
from associative_embedding.apps.cli.predict_images import check_names
from associative_embedding.apps.cli.speed_hint import SpeedHint
from associative_embedding.apps.cli.video_results import FORMATS, LinesWriter
from associative_embedding.apps.cli.window import Window
from associative_embedding.apps.errors import UsageError
from associative_embedding.apps.sources import collect_images
from associative_embedding.inference.load import load, remark_one_person
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.video import find_in_video
from associative_embedding.instances import Instances
from associative_embedding.io.behind import Behind
from associative_embedding.io.console import remark, remark_file, say, say_error, visible
from associative_embedding.io.counts import counted
from associative_embedding.io.find_images import each_once
from associative_embedding.io.find_videos import find_videos, is_folder
from associative_embedding.io.images import is_stack
from associative_embedding.io.lock_files import lock_of, locked
from associative_embedding.io.outputs import check_output, own_mark, say_replaced
from associative_embedding.io.progress import Progress
from associative_embedding.io.videos import Clip, Frame, Video, open_video
from associative_embedding.io.write_videos import VideoWriter
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.task import Task
from associative_embedding.tasks.tracking.planes import PlaneLinker
from associative_embedding.tasks.tracking.smoothing import Smoother
from associative_embedding.tasks.tracking.task import link_config
from associative_embedding.tasks.tracking.tracker import Tracker

TRAIL_LENGTH = 30  # frames whose centres the drawn trail of a track connects: one second of most videos


@dataclass(frozen=True)
class VideoSettings:
    """What ``ae predict`` reads and writes for videos.

    Attributes:
        output: folder of the results.
        every, start, end: the frames to process; see `Clip`.
        track: link the instances of the frames to tracks.
        link: settings that replace values of the model's `LinkConfig`; None = none.
        smooth: cutoff frequency for the keypoints of tracks, Hz; None = they are not smoothed.
        formats: files to write: keys of `FORMATS`, and "mp4"; None = "jsonl", and "mp4" unless `show` is "nothing".
        fps: frames per second of a folder of frames; None = 30.
        min_score: lowest score of the instances that are linked, drawn and written; None = the task's `shown_score`.
        show: what to draw: "found" (or "people"), or "nothing".
        scores: draw the score of each instance.
        names: draw the names of keypoints, and what their colours mean.
        window: show the annotated frames in a window.
        labels: "tif" = also write the masks of an image of several planes as a label image; "none" = do not.

    Raises:
        UsageError: for a value out of range, or a setting of tracks without `track`.
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
    names: bool = False
    window: bool = False
    labels: str | None = None

    def __post_init__(self) -> None:
        try:
            _ = self.clip  # it checks its values
        except ValueError as error:
            raise UsageError(error) from None
        for name in ("smooth", "link"):
            if getattr(self, name) is not None and not self.track:
                raise UsageError(f"--{name} needs tracks: add --track")
        if "mot" in self.kinds and not self.track:
            raise UsageError("--formats mot needs tracks: add --track")

    @property
    def clip(self) -> Clip:
        """The frames to process."""
        return Clip(self.start, self.end, self.every)

    @property
    def kinds(self) -> Sequence[str]:
        """The formats to write."""
        return self.formats or (["jsonl"] if self.show == "nothing" else ["mp4", "jsonl"])

    def files(self, stem: str, *, labels: bool = False) -> dict[str, Path]:
        """Returns the path of the file in each format; see `choose_stems`.

        Args:
            stem: of the names.
            labels: with the label image of planes.
        """
        endings = {kind: ".mp4" if kind == "mp4" else FORMATS[kind].suffix for kind in self.kinds}
        endings |= {"labels": "-labels.tif"} if labels and self.labels != "none" else {}
        return {kind: Path(self.output) / f"{stem}{ending}" for kind, ending in endings.items()}

    def tracker(self, task: Task) -> Tracker | None:
        """Returns a new tracker, or None without `track`.

        Raises:
            UsageError: for a link setting that does not exist, a value out of range, or smoothing without keypoints.
        """
        if self.smooth is not None and task.finds_masks:
            raise UsageError("--smooth works only for models that find keypoints: leave it out")
        try:
            return Tracker(link_config(task, self.link or {})) if self.track else None
        except ValueError as error:
            raise UsageError(error) from None


def predict_videos(sources: Sequence[str], model: str, options: Options, settings: VideoSettings) -> int:
    """Predicts every video of the sources: files, folders, patterns, streams, cameras (`find_videos`).

    Returns:
        the exit status: 0, or 1 if a video could not be read to its end. The results up to there are kept.

    Raises:
        UsageError: for a wrong link setting, or names of keypoints of a model that finds masks.
        ValueError: when the model cannot be used, or somebody else wrote a file of a result.
        OSError: when a result cannot be written.
        KeyboardInterrupt: the results so far are kept.
    """
    predictor = load(model, options)
    predictor = predictor.for_tracks() if settings.track else predictor
    check_names(predictor.task, names=settings.names)
    settings.tracker(predictor.task)  # a wrong link setting ends the command here; later, each video would report it
    remark_one_person(predictor)
    videos, failures = collect_images(sources, find_videos)
    videos = each_once(videos)
    masks = predictor.task.finds_masks
    stems = choose_stems(
        videos,
        lambda source, stem: list(settings.files(stem, labels=masks and is_stack(source)).values()),
        taken=videos,
    )
    files = {source: settings.files(stems[source], labels=masks and is_stack(source)) for source in videos}
    replaced = [path for source in videos for path in check_files(source, model, files[source])]
    say_replaced(replaced)
    for source in videos:
        try:
            predict_video(source, predictor, settings, files[source], model)
        except ValueError as error:
            failures += 1
            say_error(error)
        except MemoryError:
            failures += 1
            say_error(MemoryError(f"{source}: there is not enough memory for its frames"))
    return 1 if failures else 0


def check_files(source: str, model: str, files: Mapping[str, Path]) -> list[Path]:
    """Checks that the files of a video replace no file of somebody else; returns those of an earlier run.

    Raises:
        ValueError: see `check_output`.
    """
    own = {kind: FORMATS[kind].own if kind in FORMATS else own_mark() for kind in files}
    return [path for kind, path in files.items() if check_output(path, own[kind], [source, model], announce=False)]


def predict_video(
    source: str, predictor: Predictor, settings: VideoSettings, files: Mapping[str, Path], model: str = ""
) -> None:
    """Predicts one video, and writes its files. The name of the model is for hints.

    Raises:
        ValueError: when it cannot be read to its end, has no frame in the part to process, or another command writes
            its results.
        OSError: when a result cannot be written.
        KeyboardInterrupt: with the number of frames that are done.
    """
    video, clip = open_video(source, settings.fps, predictor.reading), settings.clip
    if settings.fps and not is_folder(source) and video.stack is None:
        remark(f"{source}: --fps is for folders of frames; this video states {video.fps:g} frames per second")
    stem = next(iter(files.values())).stem
    count, names = 0, ", ".join(map(str, files.values()))
    bar: Progress[Frame] = Progress((), stem, "frame", video.expected(clip))
    hint = SpeedHint(model, source, video.expected(clip), video.fps / clip.every)
    try:
        with ExitStack() as stack, bar:
            stack.enter_context(locked(lock_of(Path(settings.output) / stem)))
            writers = [
                stack.enter_context(closing(LinesWriter(path, FORMATS[kind](), predictor.task.categories)))
                for kind, path in files.items()
                if kind in FORMATS
            ]
            film = None
            if "mp4" in files:
                film = stack.enter_context(VideoWriter(files["mp4"], video.fps / clip.every, video.size))
            window = stack.enter_context(Window(source)) if settings.window else None
            labels = LabelStack(video, files["labels"]) if "labels" in files else None
            trails: dict[int, deque[Array]] = {}
            behind = stack.enter_context(Behind())
            for frame, found in find_in_frames(video, predictor, settings):
                for writer in writers:
                    writer.add(found, frame.number, frame.time)
                if labels:
                    labels.add(found)
                if window:  # it belongs to this thread
                    picture = draw_frame(frame, found, trails, settings)
                    if film:
                        behind(add_picture, film, frame, picture, clip)
                    if not window.show(picture):
                        break  # the user has closed the window: a camera's stream has no other end
                elif film:
                    behind(draw_into, film, frame, found, trails, settings)
                count += 1
                bar.update()
                hint()
            if labels:
                labels.write()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {count} frames of {source} are done -> {names}") from None
    finally:
        if count:  # also after an error: the files contain the frames before it
            say(visible(f"{source}: {counted(count, 'frame')} -> {names}"))
    if not count:
        part = " between --start and --end" if clip.start or clip.end is not None else ""
        raise ValueError(f"{source}: no frame{part}")


def find_in_frames(video: Video, predictor: Predictor, settings: VideoSettings) -> Iterator[tuple[Frame, Instances]]:
    """Yields each frame and the instances in it, with track ids and smoothed keypoints if these are set."""
    smoother = None if settings.smooth is None else Smoother(settings.smooth)
    tracker = settings.tracker(predictor.task)
    through_depth = tracker is not None and predictor.task.finds_masks and video.axes == "z"
    frames = find_in_video(
        predictor.stream,
        video,
        settings.clip,
        min_score=settings.min_score,
        tracker=None if through_depth else tracker,
        smoother=smoother,
    )
    if not through_depth:
        return frames
    linker = PlaneLinker()  # objects of a depth do not move, they overlap
    return ((frame, linker(found)) for frame, found in frames)


def draw_into(
    film: VideoWriter, frame: Frame, found: Instances, trails: dict[int, deque[Array]], settings: VideoSettings
) -> None:
    """Draws a frame as `draw_frame`, and writes it as `add_picture`."""
    add_picture(film, frame, draw_frame(frame, found, trails, settings), settings.clip)


def add_picture(film: VideoWriter, frame: Frame, picture: Array, clip: Clip) -> None:
    """Writes the annotated picture of a frame, unless it has another size than the film."""
    if film.fits(picture):
        # By the frame's own time: the videos of phones have no constant rate.
        film.add(picture, frame.time - clip.start)
    else:
        remark_file(frame.name, "has another size than the mp4, so it is left out there")


def draw_frame(frame: Frame, found: Instances, trails: dict[int, deque[Array]], settings: VideoSettings) -> Array:
    """Returns the annotated picture ``(H, W, 3)`` uint8 RGB of a frame, and adds the frame to the trails.

    Args:
        frame: the frame.
        found: the instances in it.
        trails: track id -> the centres of the track in the last frames; it is changed.
        settings: what is written beside the instances.
    """
    extend_trails(trails, found)
    paths = {number: np.array(points) for number, points in trails.items()}
    return found.draw(frame.image, scores=settings.scores, names=settings.names, legend=settings.names, trails=paths)


def extend_trails(trails: dict[int, deque[Array]], found: Instances) -> None:
    """Adds the box centres of the tracks in a frame to their trails, and drops the trails of all other tracks."""
    numbers = [] if found.track_id is None else found.track_id.tolist()
    for number in set(trails) - set(numbers):
        del trails[number]
    for number, (x, y, width, height) in zip(numbers, found.xywh, strict=False):
        if number >= 0:
            trails.setdefault(number, deque(maxlen=TRAIL_LENGTH)).append(np.array([x + width / 2, y + height / 2]))
