"""The first frames of a track have its id, too; memory stays bounded."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.instances import Instances
from associative_embedding.tasks.tracking.late_ids import MOST_HELD, LateIds
from associative_embedding.tasks.tracking.settings import LinkConfig
from associative_embedding.tasks.tracking.tracker import Tracker
from support.boxes import seen

NOBODY = seen(np.zeros((0, 2)), [])


def ids(frames: list[Instances], config: LinkConfig | None = None) -> list[list[int]]:
    """The ids in each frame; checks that frames come in order and that few wait."""
    linker, numbers = LateIds[int](Tracker(config)), []
    for i, found in enumerate(frames):
        numbers += list(linker.add(i, found, i))
        assert len(linker.held) <= MOST_HELD
    numbers += list(linker.rest())
    assert [i for i, _ in numbers] == list(range(len(frames)))
    return [np.asarray(found.track_id).tolist() for _, found in numbers]


def test_the_first_frame_has_ids() -> None:
    still = seen([[50, 50], [90, 50]], [[1], [4]])
    assert ids([still] * 3) == [[1, 2]] * 3
    assert ids([still] * 6, LinkConfig(min_frames=5)) == [[1, 2]] * 6
    assert ids([still, NOBODY, still, still]) == [[1, 2], [], [1, 2], [1, 2]]  # with a gap


def test_a_false_detection_has_no_id_and_holds_nothing_up_for_long() -> None:
    one, both = seen([[50, 50]], [[1]]), seen([[50, 50], [300, 20]], [[1], [9]])
    assert ids([one, both, one, one, one, one, one]) == [[1], [1, -1], *[[1]] * 5]
    linker = LateIds[int](Tracker())
    waiting = []
    for i, found in enumerate([one, one, both, one, one, one, one, one]):
        list(linker.add(i, found, i))
        waiting.append(len(linker.held))
    assert waiting == [1, 0, 1, 2, 3, 4, 0, 0]


def test_a_track_that_is_seen_once_has_no_id_at_the_end() -> None:
    assert ids([seen([[50, 50]], [[1]])]) == [[-1]]
    assert ids([]) == []


def test_weak_instances_hold_nothing_up() -> None:
    weak = seen([[50, 50]], [[1]], score=0.1)
    linker = LateIds[int](Tracker())
    assert len(list(linker.add(0, weak, 0))) == 1


def test_frames_wait_no_longer_than_the_limit() -> None:
    still = seen([[50, 50]], [[1]])
    numbers = ids([still] * (3 * MOST_HELD), LinkConfig(min_frames=2 * MOST_HELD))
    late = 2 * MOST_HELD - 1 - MOST_HELD  # these had to go out before the track had its id
    assert numbers == [[-1]] * late + [[1]] * (3 * MOST_HELD - late)


@given(st.integers(0, 10**6), st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def test_ids_that_the_tracker_gives_at_once_stay(seed: int, min_frames: int) -> None:
    rng = np.random.default_rng(seed)
    places, tags = rng.uniform(0, 400, (5, 2)), rng.uniform(0, 20, (5, 1))
    frames = []
    for _ in range(20):
        there = rng.random(5) < 0.6
        frames.append(seen(places[there], tags[there]))
    config = LinkConfig(min_frames=min_frames)
    tracker = Tracker(config)
    at_once = [np.asarray(tracker(found, i).track_id).tolist() for i, found in enumerate(frames)]
    for now, late in zip(at_once, ids(frames, config), strict=True):
        assert all(a in (b, -1) for a, b in zip(now, late, strict=True))
