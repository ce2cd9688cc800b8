"""Pairs of frames: near each other, of one videos_json, and augmented alike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding.data.augmentation.augment import augment
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
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


def posetrack(videos_json: str, folder: Path, order: list[int] | None = None, **changes: Any) -> CocoKeypoints:
    """The drawn videos with the keys of PoseTrack18, their images in another order; `changes` of all images."""
    document = json.loads(Path(videos_json).read_text())
    for image in document["images"]:
        video, frame = image.pop("video_id"), image.pop("frame")
        image |= {"vid_id": f"00034{video}", "frame_id": 1000342000 + 10000 * video + frame, **changes}
    document["images"] = [document["images"][i] for i in order or range(12)]
    ids = {image["id"] for image in document["images"]}
    document["annotations"] = [row for row in document["annotations"] if row["image_id"] in ids]
    (folder / "posetrack.json").write_text(json.dumps(document))
    return CocoKeypoints(str(folder / "posetrack.json"), str(Path(videos_json).parent / "images"), FIGURE)


def names(pairs: FramePairs) -> set[tuple[str, str]]:
    return {(pairs.images.records[a].file_name, pairs.images.records[b].file_name) for a, b in pairs.pairs.tolist()}


def test_pairs_do_not_depend_on_keys_or_order(videos_json: str, tmp_path: Path) -> None:
    expected = names(FramePairs(frames_of(videos_json), reach=2))
    assert names(FramePairs(posetrack(videos_json, tmp_path), 2)) == expected
    assert names(FramePairs(posetrack(videos_json, tmp_path, [7, 0, 3, 11, 5, 2, 8, 1, 9, 4, 10, 6]), 2)) == expected


def test_reach_counts_frames_and_not_rows(videos_json: str, tmp_path: Path) -> None:
    """Frames 0, 3, 4 of each video: 3 and 4 are neighbours, 0 and 3 are three frames apart."""
    few = [0, 3, 4, 6, 9, 10]
    data = posetrack(videos_json, tmp_path, few)
    assert FramePairs(data, 1).pairs.tolist() == [[1, 2], [4, 5]]
    assert len(FramePairs(data, 3)) == 4
    with pytest.raises(
        ValueError, match=r"no two frames of one video lie within 2 frames; there are 2 videos by 'vid_id'"
    ):
        FramePairs(posetrack(videos_json, tmp_path, [0, 3, 6, 9]), 2)


def test_frames_that_are_not_labelled_are_not_empty(
    videos_json: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PoseTrack18 has them between labelled ones: people are in them, and no label."""
    document = json.loads(Path(videos_json).read_text())
    for image in document["images"]:
        image["is_labeled"] = image["frame"] % 2 == 0
    labelled = {image["id"] for image in document["images"] if image["is_labeled"]}
    document["annotations"] = [row for row in document["annotations"] if row["image_id"] in labelled]
    (tmp_path / "some.json").write_text(json.dumps(document))
    images = str(Path(videos_json).parent / "images")
    data = CocoKeypoints(str(tmp_path / "some.json"), images, FIGURE, people_only=False)
    assert set(data.image_ids) == labelled
    assert "6 images (" in capsys.readouterr().err
    assert len(FramePairs(data, 2)) == 4


def test_tracks_that_nobody_has_twice(videos_json: str, tmp_path: Path) -> None:
    document = json.loads(Path(videos_json).read_text())
    for number, row in enumerate(document["annotations"]):
        row["track_id"] = number
    (tmp_path / "once.json").write_text(json.dumps(document))
    data = CocoKeypoints(str(tmp_path / "once.json"), str(Path(videos_json).parent / "images"), FIGURE)
    with pytest.raises(ValueError, match="no 'track_id' is in two frames within 3 frames"):
        FramePairs(data, 3)


def test_regions_without_labels_are_ignored(videos_json: str, tmp_path: Path) -> None:
    """PoseTrack18 lists the corners' x and y of regions with people that nobody labelled."""
    square = {"ignore_regions_x": [[5, 15, 15, 5]], "ignore_regions_y": [[10, 10, 20, 20]]}
    flat = {"ignore_regions_x": [5, 15, 15, 5], "ignore_regions_y": [10, 10, 20, 20]}
    for regions in (square, flat):
        ignore = posetrack(videos_json, tmp_path, **regions)[0].ignore
        assert ignore is not None
        assert ignore[10:20, 5:15].all()
        assert ignore.sum() == 100
    assert posetrack(videos_json, tmp_path, ignore_regions_x=[], ignore_regions_y=[])[0].ignore is None
