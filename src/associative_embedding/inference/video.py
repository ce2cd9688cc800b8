"""A video -> frame by frame the instances in it, linked to tracks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from associative_embedding.instances import Instances
from associative_embedding.io.reading import PLAIN
from associative_embedding.io.videos import Clip, Frame, Video, read_frames
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.tracking.late_ids import LateIds
from associative_embedding.tasks.tracking.smoothing import Smoother
from associative_embedding.tasks.tracking.tracker import Tracker


def find_in_video(
    stream: Callable[..., Iterator[Instances]],
    video: Video,
    clip: Clip,
    *,
    min_score: float | None = None,
    tracker: Tracker | None = None,
    smoother: Smoother | None = None,
) -> Iterator[tuple[Frame, Instances]]:
    """Yields each frame of a clip and the instances in it, in constant memory.

    With a tracker, a frame with a new track comes when the track has its id: a few frames later, see `LateIds`.

    Args:
        stream: `Predictor.stream` of the model.
        video: see `open_video`.
        clip: the frames to read.
        min_score: lowest score of an instance; None = the task's `shown_score`.
        tracker: a new one, which links the instances to tracks.
        smoother: a new one, which smooths the keypoints of tracks.

    Raises:
        ValueError: after the frames that can be read; or when the network's output is not finite.
    """
    waiting: deque[Frame] = deque()  # frames that were read and have no result yet; the stream keeps their order
    linked: LateIds[Frame] | None = LateIds(tracker) if tracker else None

    def images() -> Iterator[Array]:
        for frame in read_frames(video, clip):
            waiting.append(frame)
            yield frame.image

    def linked_frames() -> Iterator[tuple[Frame, Instances]]:
        try:
            # What is read of a frame was chosen where it was read.
            again = {} if video.reading.is_plain else vars(PLAIN)
            for found in stream(images(), min_score=min_score, keep_image=False, **again):
                frame = waiting.popleft()
                found = replace(found, source=frame.name)
                if linked is None:
                    yield frame, found
                else:
                    # Link settings count processed frames, so frames that a clip leaves out are no gap in a track.
                    yield from linked.add(frame, found, frame.number // clip.every)
        except (Exception, KeyboardInterrupt):
            # What was found before an error is a result; but a consumer that has left takes no more.
            yield from linked.rest() if linked else ()
            raise
        yield from linked.rest() if linked else ()

    for frame, found in linked_frames():
        yield frame, smoother(found, frame.time) if smoother else found
