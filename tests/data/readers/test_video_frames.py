"""Videos and frame numbers as data sets of tracks state them, or do not."""

from __future__ import annotations

from typing import Any

import pytest

from associative_embedding.data.readers.video_frames import in_order, video_frames

Entry = dict[str, Any]


def entries(count: int = 3, videos: int = 2, **keys: Any) -> list[Entry]:
    """Entries of some videos; a key's value is made by a function of video and frame."""
    return [
        {"id": 10 * v + f, "file_name": f"{v}/{f}.png", **{key: make(v, f) for key, make in keys.items()}}
        for v in range(videos)
        for f in range(count)
    ]


V = "2 videos by 'video_id', frames"
FOLDERS = "2 videos (no image states 'video_id' or 'vid_id': one for each folder), frames"


@pytest.mark.parametrize(
    ("keys", "note"),
    [
        ({"video_id": lambda v, f: v + 7, "frame_id": lambda v, f: f}, f"{V} by 'frame_id'"),
        # PoseTrack18: texts, and frame ids that count through all videos
        (
            {"vid_id": lambda v, f: f"00034{v}", "frame_id": lambda v, f: 10003420000 + 10000 * v + f},
            "2 videos by 'vid_id', frames by 'frame_id'",
        ),
        (
            {"video": lambda v, f: f"train/{v}", "frame_index": lambda v, f: float(f)},
            "2 videos by 'video', frames by 'frame_index'",
        ),
        ({"video_id": lambda v, f: v * 2**70, "frame": lambda v, f: str(f)}, f"{V} by 'frame'"),
        ({"frame_id": lambda v, f: f}, f"{FOLDERS} by 'frame_id'"),
        ({"video_id": lambda v, f: v}, f"{V} by their names"),
        ({"video_id": lambda v, f: v, "frame_id": lambda v, f: 0}, f"{V} by their names"),  # several frames have it
        ({"video_id": lambda v, f: v, "frame_id": lambda v, f: 2**80 + f}, f"{V} by their names"),
        ({"video_id": lambda v, f: v, "file_name": lambda v, f: f"{f}_camera_1.png"}, f"{V} by their names"),
        ({"video_id": lambda v, f: v, "file_name": lambda v, f: "abc"[f]}, f"{V} in the order of the file"),
    ],
)
def test_each_key_and_each_way_without_one(keys: dict[str, Any], note: str) -> None:
    images = entries(**keys)
    found = video_frames(images)
    assert found.note == note
    assert list(found.video) == [0, 0, 0, 1, 1, 1]
    for start in (0, 3):
        first, second, third = found.frame[start : start + 3]
        assert third - second == second - first == 1
    assert found.stated == ("frames by 'frame" in note)
    shuffled = [images[i] for i in (4, 1, 0, 5, 2, 3)]
    if "order of the file" not in note:
        again = video_frames(shuffled)
        ordered = [shuffled[i]["id"] for i in in_order(again.video, again.frame)]
        assert sorted([ordered[:3], ordered[3:]]) == [[0, 1, 2], [10, 11, 12]]


def test_images_of_no_video_are_left_out() -> None:
    images = [*entries(video_id=lambda v, f: v), {"id": 99, "file_name": "loose.png"}]
    found = video_frames(images)
    assert found.note == "2 videos by 'video_id', frames by their names, 1 image of no video left out"
    assert in_order(found.video, found.frame).tolist() == [0, 1, 2, 3, 4, 5]


def test_no_image_has_no_video() -> None:
    assert in_order(video_frames([]).video, video_frames([]).frame).tolist() == []
