"""Video in and out: times, rotation, parts, tracks, what is written when it stops in the middle."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from associative_embedding.apps.cli import predict_videos as run_video
from associative_embedding.apps.cli.main import main
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.videos import (
    Part,
    VideoWriter,
    frame_files,
    is_video,
    open_video,
    read_frames,
    upright,
    without_password,
)
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.tracking.tracker import Tracker
from support.boxes import BOX, seen
from support.tiny import tiny_model

av = pytest.importorskip("av", reason="needs PyAV, the extra [video]")


def shade(i: int, size: tuple[int, int] = (48, 64)) -> Array:
    """A frame whose grey level says its number."""
    return np.full((*size, 3), 20 + 10 * i, np.uint8)


def write(path: Path, frames: int = 20, fps: float = 10, times: list[float] | None = None) -> str:
    with VideoWriter(path, fps) as writer:
        for i in range(frames):
            writer.add(shade(i), times[i] if times else i / fps)
    return str(path)


def numbers_of(source: str, part: Part | None = None, fps: float | None = None) -> list[tuple[int, float, int]]:
    """Number, time and, by its grey level, which frame it is."""
    frames = read_frames(open_video(source, fps), part)
    return [(f.number, round(f.time, 3), round((int(np.median(f.image)) - 20) / 10)) for f in frames]


@pytest.fixture
def video(tmp_path: Path) -> str:
    return write(tmp_path / "a.mp4")


def test_what_is_written_is_read_again(video: str) -> None:
    opened = open_video(video)
    assert opened.fps == pytest.approx(10, abs=0.01)
    assert numbers_of(video) == [(i, i / 10, i) for i in range(20)]
    frame = next(read_frames(opened))
    assert frame.image.shape == (48, 64, 3)
    assert frame.image.dtype == np.uint8


def test_a_part_of_it(video: str) -> None:
    assert numbers_of(video, Part(every=7)) == [(0, 0.0, 0), (7, 0.7, 7), (14, 1.4, 14)]
    assert numbers_of(video, Part(start=0.45, end=0.8)) == [(5, 0.5, 5), (6, 0.6, 6), (7, 0.7, 7)]
    assert open_video(video).expected(Part(every=2, end=1.0)) in (0, 5)  # 0: the header states no number
    for wrong in ({"start": -1.0}, {"start": 2.0, "end": 1.0}, {"every": 0}):
        with pytest.raises(ValueError, match=r"start|every"):
            Part(**wrong)  # type: ignore[arg-type]


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
    assert numbers_of(str(tmp_path), Part(every=5), fps=4) == [(0, 0.0, 0), (5, 1.25, 5), (10, 2.5, 10)]
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


# ---- the command


def walkers(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(self: Predictor, sources: Any, *, keep_image: bool = True) -> Iterator[Instances]:
        for image in sources:
            i = round((int(np.median(image)) - 20) / 10)
            found = seen([[10 + 2 * i, 20], [50, 30 - i]], [[0], [3]], side=8)
            yield replace(found, image_size=(image.shape[0], image.shape[1]))

    monkeypatch.setattr(Predictor, "stream", stream)


@pytest.fixture
def model(tmp_path: Path) -> str:
    return tiny_model(tmp_path / "tiny.safetensors", task=PoseTask(BOX))


def run(video: str, model: str, folder: Path, *options: str) -> int:
    return main(["predict", video, "--model", model, "--output", str(folder), "--min_score", "0", *options])


def lines(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_everything_that_is_written(video: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walkers(monkeypatch)
    out = tmp_path / "out"
    assert run(video, model, out, "--track", "--every", "2", "--formats", "mp4", "jsonl", "csv", "mot") == 0
    head, *frames = lines(out)
    assert head["categories"]
    assert [f["image"]["frame"] for f in frames] == list(range(0, 20, 2))
    assert [f["image"]["time"] for f in frames] == pytest.approx([i / 10 for i in range(0, 20, 2)])
    assert [[a["track_id"] for a in f["annotations"]] for f in frames] == [[-1, -1]] + [[1, 2]] * 9
    (mot,) = (np.loadtxt(p, delimiter=",") for p in out.glob("*.txt"))
    assert mot.shape == (18, 10)
    assert mot[0, :6].tolist() == [3, 1, 11, 17, 8, 8]  # frames and places count from 1
    (table,) = out.glob("*.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 20
    assert rows[0]["track_id"] == ""
    assert (rows[-1]["frame"], rows[-1]["track_id"], rows[-1]["a_x"], rows[-1]["b_score"]) == (
        "18",
        "2",
        "46.00",
        "1.0000",
    )
    (made,) = out.glob("*.mp4")
    pictures = list(read_frames(open_video(str(made))))
    assert [round(p.time, 3) for p in pictures] == [i / 10 for i in range(0, 20, 2)]
    assert (
        pictures[-1].image.max(axis=2).astype(int) - pictures[-1].image.min(axis=2) > 80
    ).any()  # something is drawn


def test_tracks_of_a_video_that_is_looked_at_now_and_then(
    video: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walkers(monkeypatch)
    assert run(video, model, tmp_path / "out", "--track", "--every", "4", "--formats", "jsonl") == 0
    frames = lines(tmp_path / "out")[1:]
    assert [[a["track_id"] for a in f["annotations"]] for f in frames] == [[-1, -1]] + [[1, 2]] * 4


def test_results_name_no_password() -> None:
    assert without_password("rtsp://me:secret@host/a@b") == "rtsp://host/a@b"
    assert without_password("a//b@c.mp4") == "a//b@c.mp4"


def test_a_real_network_looks_at_frames_in_order(video: str, model: str, tmp_path: Path) -> None:
    assert run(video, model, tmp_path / "out", "--formats", "jsonl", "--end", "0.55") == 0
    frames = lines(tmp_path / "out")[1:]
    assert [f["image"]["frame"] for f in frames] == list(range(6))
    assert all("track_id" not in a for f in frames for a in f["annotations"])


def test_what_was_done_is_kept_when_it_is_interrupted(
    video: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walkers(monkeypatch)
    inner = run_video.look_at

    def stops(*arguments: Any) -> Iterator[Any]:
        for i, pair in enumerate(inner(*arguments)):
            if i == 5:
                raise KeyboardInterrupt
            yield pair

    monkeypatch.setattr(run_video, "look_at", stops)
    out = tmp_path / "out"
    assert run(video, model, out, "--track") == 130
    assert "5 frames" in capsys.readouterr().err
    assert len(lines(out)) == 6
    (made,) = out.glob("*.mp4")
    assert len(list(read_frames(open_video(str(made))))) == 5


def test_one_bad_video_does_not_stop_the_others(
    video: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("x")
    code = main(["predict", str(bad), video, "--model", model, "--output", str(tmp_path / "o"), "--formats", "jsonl"])
    assert code == 1
    printed = capsys.readouterr()
    assert "bad.mp4: not a video that can be read" in printed.err
    assert "20 frames" in printed.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--every", "0"], "every must be 1 or more"),
        (["--start", "3", "--end", "2"], "0 <= start < end"),
        (["--start", "100"], "no frame in the part that was asked for"),
        (["--formats", "mot"], "add --track"),
        (["--smooth", "1"], "add --track"),
        (["--link", "{by: motion}"], "add --track"),
        (["--track", "--link", "{buy: motion}"], "unexpected keyword argument 'buy'"),
        (["--track", "--link", "{max_gap: -1}"], "max_gap must be at least 0"),
        (["--labels", "png"], "--labels is not of videos"),
        (["--show", "tags"], "--show tags is of images"),
        (["--formats", "avi"], "formats"),
        (["--window"], "--window needs"),
    ],
)
def test_mistakes_are_one_line(
    options: list[str],
    message: str,
    video: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    assert run(video, model, tmp_path / "out", *options) in (1, 2)
    error = capsys.readouterr().err.strip()
    assert message in error
    assert error.count("\n") == 0


def test_images_and_videos_at_once(video: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), shade(3))
    assert main(["predict", video, str(tmp_path / "a.png"), "--model", model]) == 2
    assert main(["predict", str(tmp_path / "a.png"), "--model", model, "--every", "2"]) == 2
    printed = capsys.readouterr().err
    assert "images and videos at once" in printed
    assert "--every is of videos, or of a folder of frames with --track" in printed


def test_memory_does_not_grow_with_the_video() -> None:
    tracker = Tracker()
    for t in range(3000):
        tracker(seen([[10 + 400 * (t % 7), 50]], [[100.0 * t]]), t)
    assert len(tracker.tracks) < 200
