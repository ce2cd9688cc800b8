"""Pairs of frames: near each other, of one videos_json, and augmented alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from associative_embedding.data.augmentation.augment import augment
from associative_embedding.data.readers.frame_pairs import FramePairs
from associative_embedding.data.settings import Augment
from support.frame_pairs import frames_of
from support.tiny import FIGURE


def test_pairs_are_near_and_of_one_video(videos_json: str) -> None:
    data = frames_of(videos_json)
    pairs = FramePairs(data, reach=3)
    assert len(pairs) == 2 * (5 + 4 + 3)
    apart = pairs.pairs[:, 1] - pairs.pairs[:, 0]
    assert apart.min() == 1
    assert apart.max() == 3
    assert (pairs.pairs // 6)[:, 0].tolist() == (pairs.pairs // 6)[:, 1].tolist()
    sample = pairs[0]
    assert sample.later is not None
    assert sample.track_id is not None
    assert (sample.image_id, sample.later.image_id) == tuple(data.image_ids[int(i)] for i in pairs.pairs[0])


def test_both_frames_are_seen_in_one_view(videos_json: str) -> None:
    sample = FramePairs(frames_of(videos_json), reach=5)[3]
    assert sample.later is not None
    still = replace(sample, later=replace(sample, later=None))
    plain = Augment(colour=0, grey=0, blur=0)
    seen = augment(still, np.random.default_rng(0), plain, (64, 64), FIGURE.flip_index)
    assert seen.later is not None
    np.testing.assert_array_equal(seen.image, seen.later.image)
    np.testing.assert_array_equal(seen.keypoints, seen.later.keypoints)
    assert seen.later.later is None
    coloured = augment(still, np.random.default_rng(0), Augment(colour=0.4), (64, 64), FIGURE.flip_index)
    assert coloured.later is not None
    assert (coloured.image != coloured.later.image).any()
