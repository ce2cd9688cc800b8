"""The One-Euro filter over tracks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.tracking.smoothing import Smoother
from support.boxes import seen


def at(x: float, track: int = 1) -> Instances:
    return replace(seen([[x, 100]], [[1]]), track_id=np.array([track]))


def path(smoother: Smoother, places: Array, fps: float = 30) -> Array:
    return np.array([smoother(at(x), t / fps).keypoints[0, 0, 0] for t, x in enumerate(places)]) + 10


def test_trembling_shrinks_and_the_mean_stays() -> None:
    places = 100 + np.random.default_rng(0).normal(0, 1, 300)
    smooth = path(Smoother(cutoff=1.0), places)
    assert smooth[60:].std() < 0.5 * places[60:].std()
    assert abs(smooth[60:].mean() - 100) < 0.3
    assert path(Smoother(cutoff=0.3), places)[60:].std() < smooth[60:].std()


def test_fast_motion_is_hardly_delayed() -> None:
    places = 100.0 + 8 * np.arange(60)
    assert (
        abs(path(Smoother(reaction=5.0), places)[-1] - places[-1])
        < abs(path(Smoother(reaction=0), places)[-1] - places[-1]) / 4
    )


def test_tracks_are_apart_and_start_anew_after_a_gap() -> None:
    smoother = Smoother(memory=1.0)
    smoother(at(100, 1), 0.0)
    assert smoother(at(300, 2), 0.1).keypoints[0, 0, 0] == 290
    assert smoother(at(104, 1), 0.2).keypoints[0, 0, 0] < 93.9  # held back
    assert smoother(at(300, 1), 5.0).keypoints[0, 0, 0] == 290
    assert len(smoother.past) == 1


def test_missing_keypoints_and_instances_without_a_track() -> None:
    smoother = Smoother()
    smoother(at(100), 0.0)
    gone = at(0)
    gone.keypoints[0, 0] = 0
    assert (smoother(gone, 0.1).keypoints[0, 0] == 0).all()
    assert smoother(at(200), 0.2).keypoints[0, 0, 0] == 190  # nothing to be smooth with
    unknown = at(150, -1)
    np.testing.assert_array_equal(smoother(unknown, 0.3).keypoints, unknown.keypoints)
    plain = seen([[50, 50]], [[1]])
    assert smoother(plain, 0.4) is plain
    with pytest.raises(ValueError, match="positive"):
        Smoother(cutoff=0)
