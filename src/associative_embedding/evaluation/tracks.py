"""``ae evaluate --track``: who is who in a video, by tags, by motion and by both, against the true tracks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

import numpy as np

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.readers.frame_pairs import check_tracks
from associative_embedding.data.readers.video_frames import in_order
from associative_embedding.evaluation.metrics.coco_eval import Metrics
from associative_embedding.evaluation.metrics.oks import oks
from associative_embedding.evaluation.metrics.table import format_table
from associative_embedding.evaluation.metrics.tracking import (
    THRESHOLD,
    TrackFrame,
    count_clear,
    count_keypoint_clear,
    hota,
    idf1,
)
from associative_embedding.evaluation.poses import pose_task
from associative_embedding.evaluation.results_file import check_outputs, write_metrics
from associative_embedding.inference.load import load
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.console import errors_name, remark, say
from associative_embedding.io.progress import Progress
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample
from associative_embedding.tasks.tracking.late_ids import LateIds
from associative_embedding.tasks.tracking.settings import LinkConfig
from associative_embedding.tasks.tracking.task import link_config
from associative_embedding.tasks.tracking.tracker import Tracker

LINKERS: tuple[Literal["tags", "motion", "both"], ...] = ("tags", "motion", "both")
SHARE = 0.1  # of an object's size, within which a keypoint counts as found in the MOTA of keypoints


@dataclass(frozen=True)
class TrackSettings:
    """Options of ``ae evaluate --track``.

    Attributes:
        annotations: a COCO json whose annotations have a ``track_id``; for videos and the order of their frames see
            `video_frames`.
        images: folder of the frames.
        link: settings that replace the model's `LinkConfig`, other than ``by``, which the table varies; None = none.
        limit: use only the first N frames of all videos; 0 = all.
        every: use every N-th frame by its number, as a slower camera would record; motion between frames grows with it.
        json: file for metrics, model and settings.
    """

    annotations: str
    images: str
    link: Mapping[str, Any] | None = None
    limit: int = 0
    every: int = 1
    json: str | None = None


@dataclass(frozen=True, eq=False)
class FrameResult:
    """The ground truth of a frame, without its image, which would fill the memory; and the instances found in it."""

    number: int
    video: int
    truth: Sample
    found: Instances


def evaluate_tracks(model: str, options: Options, settings: TrackSettings) -> Metrics:
    """Prints a table with a row for each way to link frames; the network runs once.

    Returns:
        the metrics of the linker that the model (or ``settings.link``) chooses, and metrics of the keypoints, which do
        not depend on the linker.

    Raises:
        ValueError: for annotations without tracks, a model that finds no keypoints, a wrong link setting, or a json
            that no evaluation wrote.
        OSError: for a json that cannot be written, before any image is read.
    """
    check_outputs([model, settings.annotations], settings.json)
    predictor = load(model, options).for_tracks()
    config = link_config(predictor.task, settings.link or {})
    annotations, images = settings.annotations, settings.images
    data = CocoKeypoints(annotations, images, pose_task(predictor).skeleton, people_only=False, cache=False)
    if not any(record.track_id is not None and len(record.track_id) for record in data.records):
        raise ValueError(f"{annotations}: no annotation has a 'track_id', so there are no tracks to compare with")
    check_tracks(data)
    remark(f"{annotations}: {data.videos}")
    # The network runs once; the three linkers share its results, so that only linking differs.
    frames = find_in_frames(predictor, data, settings, config.start_score)
    rows = {by: track_numbers(frames, replace(config, by=by)) for by in LINKERS}
    shown = keypoint_numbers(frames)
    for by, numbers in rows.items():
        say(f"linked by {by}:\n{format_table(numbers)}")
    say(format_table(shown))
    metrics = {**rows[config.by], **shown}
    if settings.json:
        notes = {"annotations": annotations, "frames": len(frames), "every": settings.every, "link": vars(config)}
        write_metrics(
            settings.json,
            {"metrics": metrics, "linkers": rows, "settings": {**notes, "model": model, **predictor.settings}},
        )
    return metrics


def find_in_frames(
    predictor: Predictor, data: CocoKeypoints, settings: TrackSettings, min_score: float
) -> list[FrameResult]:
    """Returns the instances with at least `min_score` in the frames that the settings choose."""
    results, data = [], data.read_as(predictor.reading)
    for i, video, number in Progress(chosen_frames(data, settings), "evaluate", "frame"):
        sample = data[i]
        with errors_name(sample.file_name):
            found = predictor.find(sample.image)
        truth = replace(sample, image=sample.image[:0], ignore=None)
        results.append(FrameResult(number, video, truth, found[found.score >= min_score]))
    return results


def chosen_frames(data: CocoKeypoints, settings: TrackSettings) -> list[tuple[int, int, int]]:
    """Returns the index in the data, the video and the number of the frames in use, video by video in order.

    Numbers count the frames in use: gaps in the link settings are in frames of this rate.
    """
    videos, frames = [record.video_id for record in data.records], [record.frame for record in data.records]
    order = in_order(videos, frames).tolist()
    first: dict[int, int] = {}
    for i in order:
        first.setdefault(videos[i], frames[i])
    since = [(i, videos[i], frames[i] - first[videos[i]]) for i in order[: settings.limit or len(order)]]
    return [(i, video, number // settings.every) for i, video, number in since if number % settings.every == 0]


def track_numbers(frames: Sequence[FrameResult], config: LinkConfig) -> Metrics:
    """HOTA with its two halves, MOTA, IDF1 and switches by OKS; MOTA of keypoints, the mean over their types."""
    linked = link_all(frames, config)
    tracked = [track_frame(frame, found) for frame, found in zip(frames, linked, strict=True)]
    counts = count_clear(tracked)
    parts = [keypoint_frame(frame, found) for frame, found in zip(frames, linked, strict=True)]
    of_keypoints = [count.mota for count in count_keypoint_clear(parts, SHARE) if count.matches + count.misses]
    return {
        **hota(tracked),
        "MOTA": counts.mota,
        "IDF1": idf1(tracked),
        "switches": float(counts.switches),
        "keypoint_MOTA": float(np.mean(of_keypoints)) if of_keypoints else None,
    }


def link_all(frames: Sequence[FrameResult], config: LinkConfig) -> list[Instances]:
    """The instances that have a track, as ``ae predict --track`` writes them, with ids that no two videos share."""
    linked: list[Instances] = []
    first = 0
    for _, video in groupby(frames, key=lambda frame: frame.video):
        tracker = Tracker(config)
        for found in link_video(tracker, video):
            track_id = np.asarray(found.track_id)
            numbered = track_id > 0
            linked.append(replace(found[numbered], track_id=track_id[numbered] + first))
        first += tracker.count  # ids must not repeat in the next video
    return linked


def link_video(tracker: Tracker, frames: Iterable[FrameResult]) -> Iterator[Instances]:
    """Yields the instances of each frame of a video with their ids."""
    late = LateIds[FrameResult](tracker)
    for frame in frames:
        yield from (found for _, found in late.add(frame, frame.found, frame.number))
    yield from (found for _, found in late.rest())


def track_frame(frame: FrameResult, found: Instances) -> TrackFrame:
    """Both sides' ids and their OKS."""
    truth = frame.truth
    assert found.skeleton is not None
    similarity = oks(found.keypoints, truth.keypoints, truth.area, found.skeleton.sigmas).T
    return TrackFrame(true_ids(frame), np.asarray(found.track_id), similarity)


def keypoint_frame(frame: FrameResult, found: Instances) -> tuple[Array, Array, Array, Array, Array]:
    truth, size = frame.truth, np.sqrt(frame.truth.area)
    return true_ids(frame), truth.keypoints, size, np.asarray(found.track_id), found.keypoints


def true_ids(frame: FrameResult) -> Array:
    """The true tracks, numbered so that no two videos share an id."""
    if frame.truth.track_id is None:  # nobody is in the frame, see `check_tracks`
        return np.zeros(0, np.int64)
    return frame.truth.track_id + (frame.video << 32)


def keypoint_numbers(frames: Sequence[FrameResult]) -> Metrics:
    """Of instances that are found (OKS of at least 0.5): mean OKS, and the distance of their keypoints in pixels."""
    similar, apart = [], []
    total = 0
    for frame in frames:
        truth, found = frame.truth, frame.found
        assert found.skeleton is not None
        total += len(truth.keypoints)
        similarity = oks(found.keypoints, truth.keypoints, truth.area, found.skeleton.sigmas)
        for n in range(len(truth.keypoints)):
            if len(found) and (best := int(similarity[:, n].argmax())) >= 0 and similarity[best, n] >= THRESHOLD:
                both = (truth.keypoints[n, :, 2] > 0) & (found.keypoints[best, :, 2] > 0)
                similar.append(similarity[best, n])
                apart += np.linalg.norm((truth.keypoints[n] - found.keypoints[best])[both, :2], axis=1).tolist()
    return {
        "found": len(similar) / max(1, total),
        "OKS": float(np.mean(similar)) if similar else None,
        "pixels_mean": float(np.mean(apart)) if apart else None,
        "pixels_median": float(np.median(apart)) if apart else None,
    }
