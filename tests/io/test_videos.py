"""Video in and out: times, rotation, parts, tracks, what is written when it stops in the middle."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from associative_embedding.io.decode_videos import container_of
from associative_embedding.io.find_videos import frame_files, is_video
from associative_embedding.io.videos import Clip, open_video, read_frames, upright, without_password
from associative_embedding.io.write_videos import VideoWriter
from associative_embedding.structures.arrays import Array
from support.video_files import shade, write

pytestmark = pytest.mark.extra

av = pytest.importorskip("av", reason="needs PyAV, the extra [video]")


def numbers_of(source: str, clip: Clip | None = None, fps: float | None = None) -> list[tuple[int, float, int]]:
    """Number, time and, by its grey level, which frame it is."""
    frames = read_frames(open_video(source, fps), clip)
    return [(f.number, round(f.time, 3), round((int(np.median(f.image)) - 20) / 10)) for f in frames]


def test_what_is_written_is_read_again(video: str) -> None:
    opened = open_video(video)
    assert opened.fps == pytest.approx(10, abs=0.01)
    assert numbers_of(video) == [(i, i / 10, i) for i in range(20)]
    frame = next(read_frames(opened))
    assert frame.image.shape == (48, 64, 3)
    assert frame.image.dtype == np.uint8


def test_a_part_of_it(video: str) -> None:
    assert numbers_of(video, Clip(every=7)) == [(0, 0.0, 0), (7, 0.7, 7), (14, 1.4, 14)]
    assert numbers_of(video, Clip(start=0.45, end=0.8)) == [(5, 0.5, 5), (6, 0.6, 6), (7, 0.7, 7)]
    assert open_video(video).expected(Clip(every=2, end=1.0)) in (0, 5)  # 0: the header states no number
    for wrong in ({"start": -1.0}, {"start": 2.0, "end": 1.0}, {"every": 0}):
        with pytest.raises(ValueError, match=r"start|every"):
            Clip(**wrong)  # type: ignore[arg-type]


def test_a_rate_that_varies_stays(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.6, 0.65, 2.0]
    found = numbers_of(write(tmp_path / "v.mp4", 6, 10, times))
    assert [t for _, t, _ in found] == times
    assert [i for _, _, i in found] == list(range(6))


def test_sideways_films_are_turned() -> None:
    class Turned:
        rotation = -90  # degrees counter-clockwise, as PyAV states it

        def to_ndarray(self, format: str) -> Array:
            image = np.zeros((2, 3, 3), np.uint8)
            image[0, 0] = 255
            return image

    assert upright(Turned()).shape == (3, 2, 3)
    assert upright(Turned())[0, 1].tolist() == [255] * 3  # a quarter clockwise: the upper left comes to the right


def test_a_folder_of_frames_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for i in range(12):
        cv2.imwrite(str(tmp_path / f"frame{i}.png"), shade(i))
    assert [Path(path).name for path in frame_files(str(tmp_path))][8:11] == ["frame8.png", "frame9.png", "frame10.png"]
    assert numbers_of(str(tmp_path), Clip(every=5), fps=4) == [(0, 0.0, 0), (5, 1.25, 5), (10, 2.5, 10)]
    assert numbers_of(str(tmp_path / "frame1*.png")) == [(0, 0.0, 1), (1, 0.033, 10), (2, 0.067, 11)]


@pytest.mark.parametrize("name", ["a.mp4", "A.MOV", "0", "x/y.mkv"])
def test_names_of_videos(name: str) -> None:
    assert is_video(name)
    assert not is_video(f"{name}.jpg")
    assert is_video("rtsp://host/x")


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/a.ts\n")  # must not be followed
    for name in ("text.mp4", "empty.mp4", "list.mp4", "missing.mp4"):
        with pytest.raises(ValueError, match=name):
            list(read_frames(open_video(str(tmp_path / name))))
    with pytest.raises(ValueError, match="holds no image"):
        open_video(str(tmp_path), 5)


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile film.mp4\n",
        "#EXTM3U\n#EXTINF:2,\nfilm.mp4\n#EXT-X-ENDLIST\n",
        "v=0\nm=video 5004 RTP/AVP 26",
    ],
    ids=["ffconcat", "m3u8", "sdp"],
)
def test_a_list_of_other_files_is_no_video(text: str, tmp_path: Path, video: str) -> None:
    shutil.copy(video, tmp_path / "film.mp4")
    (tmp_path / "list.mp4").write_text(text)
    with pytest.raises(ValueError, match=r"list\.mp4: not a video"):
        open_video(str(tmp_path / "list.mp4"))


def test_a_truncated_video_gives_what_it_has(tmp_path: Path, video: str) -> None:
    data = Path(video).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: int(len(data) * 0.7)])
    frames = []
    try:
        for frame in read_frames(open_video(str(cut))):
            frames.append(frame.number)
    except ValueError as error:
        assert "cut.mp4" in str(error)  # noqa: PT017
    assert frames == list(range(len(frames)))


def test_frames_of_another_size_or_odd_sides(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "odd.mp4", 5) as writer:
        writer.add(shade(1, (49, 65)), 0)
        with pytest.raises(ValueError, match="one size"):
            writer.add(shade(1, (40, 60)), 0.2)
    assert next(read_frames(open_video(str(tmp_path / "odd.mp4")))).image.shape == (48, 64, 3)


def test_a_written_film_begins_at_0(tmp_path: Path) -> None:
    times = [0.0, 0.1, 1.5, 1.6, 3.0]
    with VideoWriter(tmp_path / "a.mp4", 2) as writer:
        for time in times:
            writer.add(shade(1), time)
    with container_of(str(tmp_path / "a.mp4")) as film:
        assert [frame.time for frame in film.decode(video=0)] == pytest.approx(times, abs=1e-4)


# ---- the command


def test_results_name_no_password() -> None:
    assert without_password("rtsp://me:secret@host/a@b") == "rtsp://host/a@b"
    assert without_password("a//b@c.mp4") == "a//b@c.mp4"
