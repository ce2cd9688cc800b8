"""Instances of frames become tracks: by their tags, by where they should be, or both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.tracking.settings import LinkConfig
from associative_embedding.tasks.tracking.tracker import Tracker
from support.boxes import SIZE, seen


def ids(tracker: Tracker, frames: list[Instances], first: int = 0) -> list[list[int]]:
    numbers = []
    for i, found in enumerate(frames):
        track_id = tracker(found, first + i).track_id
        assert track_id is not None
        numbers.append(track_id.tolist())
    return numbers


def settled(**values: object) -> LinkConfig:
    return replace(LinkConfig(min_frames=1), **values)  # type: ignore[arg-type]


def crossing(tags: tuple[float, float], steps: int = 21) -> list[Instances]:
    """Two that walk towards each other and pass; the first of a frame is the one that began on the left."""
    way = np.linspace(50, 350, steps)
    return [seen([[x, 100], [400 - x, 104]], [[tags[0]], [tags[1]]]) for x in way]


@pytest.mark.parametrize("by", ["tags", "motion", "both"])
def test_two_that_pass_each_other_keep_their_numbers(by: str) -> None:
    assert ids(Tracker(settled(by=by)), crossing((0, 5))) == [[1, 2]] * 21


def test_equal_tags_are_told_apart_by_motion_and_equal_ways_by_tags() -> None:
    assert ids(Tracker(settled(by="both")), crossing((0, 0))) == [[1, 2]] * 21
    jump = [seen([[100, 100], [140, 100]], [[0], [5]]), seen([[140, 100], [100, 100]], [[0], [5]])]
    assert ids(Tracker(settled(by="tags")), jump) == [[1, 2], [1, 2]]
    assert ids(Tracker(settled(by="motion")), jump) == [[1, 2], [2, 1]]


@given(st.integers(0, 10**6), st.integers(1, 6))
@settings(deadline=None, max_examples=50)
def test_the_order_within_a_frame_does_not_matter(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(0, 4000, (count, 2)), rng.uniform(-3, 3, (count, 2))
    tracker, last = Tracker(settled()), {}
    for t in range(6):
        order = rng.permutation(count)
        found = seen((start + t * speed)[order], (10.0 * np.arange(count))[order, None])
        numbers = tracker(found, t).track_id
        assert numbers is not None
        now = {int(who): int(number) for who, number in zip(order, numbers, strict=True)}
        assert sorted(now.values()) == list(range(1, count + 1))
        assert not last or now == last
        last = now


def test_a_track_begins_when_it_was_seen_often_enough() -> None:
    tracker = Tracker(LinkConfig(min_frames=3))
    still = [seen([[50, 50]], [[1]])] * 4
    assert ids(tracker, still) == [[-1], [-1], [1], [1]]
    weak = Tracker(settled(start_score=0.5))
    assert ids(weak, [seen([[50, 50]], [[1]], score=s) for s in (0.4, 0.6, 0.4)]) == [[-1], [1], [1]]


def test_a_gap_is_bridged_where_it_should_be() -> None:
    tracker = Tracker(settled(max_gap=10, memory=10))
    assert ids(tracker, [seen([[50 + 10 * t, 50]], [[1]]) for t in range(4)]) == [[1]] * 4
    assert ids(tracker, [seen(np.zeros((0, 2)), [])] * 5, first=4) == [[]] * 5
    assert ids(tracker, [seen([[140, 50]], [[1]])], first=9) == [[1]]  # five frames on at the same speed
    assert ids(tracker, [seen([[140, 50]], [[1]])], first=30) == [[2]]  # too long ago


def test_who_comes_back_elsewhere_is_known_by_its_tag() -> None:
    config = settled(max_gap=3, memory=100)
    start, elsewhere = [seen([[50, 50], [90, 50]], [[1], [4]])] * 3, seen([[300, 150], [250, 20]], [[4], [8]])
    tracker = Tracker(config)
    ids(tracker, start)
    assert ids(tracker, [elsewhere], first=40) == [[2, 3]]
    motion = Tracker(replace(config, by="motion"))
    ids(motion, start)
    assert ids(motion, [elsewhere], first=40) == [[3, 4]]
    forgetful = Tracker(replace(config, memory=20))
    ids(forgetful, start)
    assert ids(forgetful, [elsewhere], first=40) == [[3, 4]]
    assert len(forgetful.tracks) == 2  # memory does not grow


def test_classes_never_join() -> None:
    frames = [seen([[50, 50]], [[1]], class_id=c) for c in (1, 2, 1)]
    assert ids(Tracker(settled()), frames) == [[1], [2], [1]]


def test_the_tag_of_a_track_follows_slow_change() -> None:
    drift = [seen([[50, 50]], [[0.2 * t]]) for t in range(40)]
    assert ids(Tracker(settled(by="tags", tag_threshold=2.5)), drift) == [[1]] * 40


def test_what_cannot_be_linked() -> None:
    tracker = Tracker(settled())
    tracker(seen([[50, 50]], [[1]]), 5)
    with pytest.raises(ValueError, match="in order"):
        tracker(seen([[50, 50]], [[1]]), 5)
    with pytest.raises(ValueError, match="one length"):
        tracker(seen([[50, 50]], [[1, 2]]), 6)
    with pytest.raises(ValueError, match="memory must be at least max_gap"):
        LinkConfig(max_gap=10, memory=5)


def test_instances_carry_their_track(tmp_path: object) -> None:
    found = Tracker(settled())(seen([[50, 50], [90, 50]], [[1], [4]]), 0)
    assert found[1].track_id is not None
    assert found[1].track_id.tolist() == [2]
    assert [row["track_id"] for row in found.to_coco()] == [1, 2]
    assert "track_id" not in seen([[50, 50]], [[1]]).to_coco()[0]
    with pytest.raises(ValueError, match="track_id"):
        replace(found, track_id=np.zeros(1, np.int64))
    image: Array = np.zeros((*SIZE, 3), np.uint8)
    once = found.draw(image)
    again = replace(found[[1, 0]]).draw(image)
    np.testing.assert_array_equal(np.unique(once.reshape(-1, 3), axis=0), np.unique(again.reshape(-1, 3), axis=0))


def test_memory_does_not_grow_with_the_video() -> None:
    tracker = Tracker()
    for t in range(3000):
        tracker(seen([[10 + 400 * (t % 7), 50]], [[100.0 * t]]), t)
    assert len(tracker.tracks) < 200
