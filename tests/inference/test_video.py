"""Videos in Python: frames, instances and tracks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import associative_embedding as ae
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.videos import Clip
from support.boxes import seen
from support.tiny import photo


@pytest.fixture
def frames(tmp_path: Path) -> str:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), photo(seed=number // 2)[:, :, ::-1])
    return str(tmp_path)


def test_tracks_of_a_folder_of_frames(model: str, frames: str) -> None:
    run = ae.load(model)
    found = list(run.track(frames, min_score=0.01))
    assert [frame.number for frame, _ in found] == [0, 1, 2, 3]
    for frame, people in found:
        assert people.track_id is not None
        np.testing.assert_array_equal(people.keypoints, run(frame.image, min_score=0.01).keypoints)
        assert people.draw(frame.image).shape == frame.image.shape


def test_a_part_of_it(model: str, frames: str) -> None:
    found = ae.load(model).track(frames, clip=Clip(every=2))
    assert [frame.number for frame, _ in found] == [0, 2]


def test_wrong_settings_are_told_before_the_first_frame(model: str, frames: str) -> None:
    run = ae.load(model)
    with pytest.raises(ValueError, match=r"link: .*memry"):
        run.track(frames, link={"memry": 3})
    with pytest.raises(ValueError, match=r"film\.mp4: not a video"):
        run.track(f"{frames}/film.mp4")


def test_keypoints_of_tracks_are_smoothed(model: str, frames: str) -> None:
    run = ae.load(model)
    plain, smooth = (list(run.track(frames, min_score=0.01, smooth=value)) for value in (None, 0.1))
    np.testing.assert_array_equal(plain[0][1].keypoints, smooth[0][1].keypoints)  # nothing came before
    assert any(not np.array_equal(a.keypoints, b.keypoints) for (_, a), (_, b) in zip(plain, smooth, strict=True))
    with pytest.raises(ValueError, match="smooth works only for models that find keypoints"):
        ae.load("nuclei").track(frames, smooth=1.0)


def test_the_first_frame_has_the_ids_of_the_second(monkeypatch: pytest.MonkeyPatch, model: str, frames: str) -> None:
    def stream(self: Predictor, sources: Any, **options: Any) -> Iterator[Instances]:
        for i, image in enumerate(sources):
            if i == 3:
                raise ValueError("no more")
            # somebody else comes in the third frame
            yield replace(
                seen([[10, 20], [50, 30]][: 1 + i // 2], [[0], [9]][: 1 + i // 2]), image_size=image.shape[:2]
            )

    monkeypatch.setattr(Predictor, "stream", stream)
    ids: list[list[int]] = []
    with pytest.raises(ValueError, match="no more"):
        ids.extend(np.asarray(found.track_id).tolist() for _, found in ae.load(model).track(frames))
    assert ids == [[1], [1], [1, -1]]  # the last came, although its second is not settled
