"""Prediction on videos by command: what is written, also when it stops in the middle."""

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
from PIL import Image

from associative_embedding.apps.cli import predict_videos as run_video
from associative_embedding.apps.cli.main import main
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.lock_files import lock_of, locked
from associative_embedding.io.videos import open_video, read_frames
from associative_embedding.io.write_videos import VideoWriter
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.pose.task import PoseTask
from support.boxes import BOX, seen
from support.tiny import tiny_model
from support.video_files import STEADY, encode, shade, write

pytest.importorskip("av", reason="needs PyAV, the extra [video]")
pytestmark = pytest.mark.extra


def walkers(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(self: Predictor, sources: Any, *, min_score: float | None, keep_image: bool) -> Iterator[Instances]:
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
    assert [[a["track_id"] for a in f["annotations"]] for f in frames] == [[1, 2]] * 10
    (mot,) = (np.loadtxt(p, delimiter=",") for p in out.glob("*.txt"))
    assert mot.shape == (20, 10)
    assert mot[0, :6].tolist() == [1, 1, 7, 17, 8, 8]  # frames and places count from 1
    (table,) = out.glob("*.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 20
    assert rows[0]["track_id"] == "1"  # from the first frame on
    assert (rows[-1]["frame"], rows[-1]["track_id"], rows[-1]["a_x"], rows[-1]["b_score"]) == (
        "18",
        "2",
        "46",
        "1",
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
    assert [[a["track_id"] for a in f["annotations"]] for f in frames] == [[1, 2]] * 5


def test_two_commands_do_not_write_one_film(
    video: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with locked(lock_of(out / Path(video).stem)):
        assert run(video, model, out, "--formats", "jsonl") == 1
    assert "is at work in this folder" in capsys.readouterr().err
    assert list(out.iterdir()) == []
    assert run(video, model, out, "--formats", "jsonl") == 0
    assert len(list(out.iterdir())) == 1  # nothing is left behind


def test_a_real_network_looks_at_frames_in_order(video: str, model: str, tmp_path: Path) -> None:
    assert run(video, model, tmp_path / "out", "--formats", "jsonl", "--end", "0.55") == 0
    frames = lines(tmp_path / "out")[1:]
    assert [f["image"]["frame"] for f in frames] == list(range(6))
    assert all("track_id" not in a for f in frames for a in f["annotations"])


def test_what_was_done_is_kept_when_it_is_interrupted(
    video: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walkers(monkeypatch)
    inner = run_video.find_in_frames

    def stops(*arguments: Any) -> Iterator[Any]:
        for i, pair in enumerate(inner(*arguments)):
            if i == 5:
                raise KeyboardInterrupt
            yield pair

    monkeypatch.setattr(run_video, "find_in_frames", stops)
    out = tmp_path / "out"
    assert run(video, model, out, "--track") == 130
    assert "5 frames" in capsys.readouterr().err
    assert len(lines(out)) == 6
    (made,) = out.glob("*.mp4")
    assert len(list(read_frames(open_video(str(made))))) == 5


@pytest.mark.parametrize("number", [5, 19])
def test_a_full_disk_ends_the_command(
    video: str,
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> None:
    """The frame is written while the next ones are found, or all are."""
    walkers(monkeypatch)
    add, times = VideoWriter.add, list[float]()

    def until_full(writer: VideoWriter, image: Array, time: float) -> None:
        times.append(time)
        if len(times) > number:
            raise OSError(f"cannot write {writer.path}: No space left on device")
        add(writer, image, time)

    monkeypatch.setattr(VideoWriter, "add", until_full)
    out = tmp_path / "out"
    assert run(video, model, out) == 1
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("ae: ")] == [
        f"ae: error: cannot write {out / 'a.mp4'}: No space left on device"
    ]
    assert len(times) == number + 1
    (made,) = out.glob("*.mp4")
    assert len(list(read_frames(open_video(str(made))))) == number


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


def frames(folder: Path, sizes: dict[int, tuple[int, int]] | None = None, damaged: int | None = None) -> str:
    """Six frames; some have another size, one may be damaged."""
    folder.mkdir()
    for i in range(6):
        cv2.imwrite(str(folder / f"{i}.png"), shade(i, (sizes or {}).get(i, (48, 64))))
    if damaged is not None:
        (folder / f"{damaged}.png").write_bytes(b"\x89PNG")
    return str(folder)


def test_a_damaged_frame_of_a_folder_is_named_and_left_out(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walkers(monkeypatch)
    folder, out = frames(tmp_path / "frames", damaged=2), tmp_path / "out"
    assert run(folder, model, out, "--track", "--formats", "mp4", "jsonl", "csv", "mot") == 1
    assert [line["image"]["frame"] for line in lines(out)[1:]] == [0, 1, 3, 4, 5]
    printed = capsys.readouterr()
    assert "2.png: is damaged" in printed.err
    assert "1 frame cannot be read and is left out" in printed.err
    assert "5 frames" in printed.out
    (mot,) = (np.loadtxt(path, delimiter=",") for path in out.glob("*.txt"))
    assert sorted(set(mot[:, 0])) == [1, 2, 4, 5, 6]


def test_a_frame_of_another_size_is_left_out_of_the_mp4_alone(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = frames(tmp_path / "frames", {0: (16, 16), 3: (40, 60)}), tmp_path / "out"
    assert run(folder, model, out, "--track") == 0
    assert len(lines(out)) == 7
    (made,) = out.glob("*.mp4")
    assert len(list(read_frames(open_video(str(made))))) == 4
    assert "3.png: has another size than the mp4" in capsys.readouterr().err


def test_frames_expanded_by_the_shell_are_no_videos_of_one_frame(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(frames(tmp_path / "frames"))
    assert main(["predict", *map(str, sorted(folder.glob("*.png"))), "--track", "--model", model]) == 2
    assert "a pattern in quotes" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["photo.jpg", "photo.tif"])
def test_one_image_has_no_tracks(name: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 48), (20, 0, 0)).save(tmp_path / name)
    assert main(["predict", str(tmp_path / name), "--track", "--model", model]) == 2
    assert f"{name} is one image" in capsys.readouterr().err


def test_an_animation_is_a_film_with_track(model: str, tmp_path: Path) -> None:
    pages = [Image.new("RGB", (64, 48), (shade, 0, 0)) for shade in (20, 90, 160)]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:], duration=100)
    assert run(str(tmp_path / "a.gif"), model, tmp_path / "out", "--track") == 0
    assert len(lines(tmp_path / "out")) == 4


def test_every_film_of_a_folder_has_its_own_tracks(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walkers(monkeypatch)
    films, out = tmp_path / "films", tmp_path / "out"
    films.mkdir()
    for name in ("1.mp4", "3.mp4"):
        write(films / name, 4)
    (films / "2.mp4").write_text("no film")
    assert run(str(films), model, out, "--track", "--formats", "jsonl") == 1
    written = sorted(out.glob("*.jsonl"))
    assert [path.name[0] for path in written] == ["1", "3"]
    for path in written:
        rows = [json.loads(line) for line in path.read_text().splitlines()[1:]]
        assert [[a["track_id"] for a in row["annotations"]] for row in rows] == [[1, 2]] * 4
    assert "2.mp4: not a video that can be read" in capsys.readouterr().err
    assert run(str(films / "*.mp4"), model, out, "--formats", "jsonl") == 1
    assert capsys.readouterr().out.count("4 frames") == 2


def test_a_film_given_twice_and_a_rate_that_it_does_not_need(
    video: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(video, model, tmp_path / "out", "--fps", "5", "--formats", "jsonl", "--end", "0.05") == 0
    printed = capsys.readouterr()
    assert "--fps is for folders of frames; this video states 10 frames per second" in printed.err
    assert ": 1 frame -> " in printed.out
    assert main(["predict", video, video, "--model", model, "--output", str(tmp_path / "out"), "--end", "0.2"]) == 0
    assert capsys.readouterr().out.count("2 frames") == 1


def test_a_stream_that_cannot_be_sought_does_not_stop_the_others(
    video: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = encode(tmp_path / "picamera.mp4", STEADY, container="h264")
    out = str(tmp_path / "out")
    assert main(["predict", raw, video, "--start", "0.2", "--model", model, "--output", out]) == 0
    printed = capsys.readouterr()
    assert "picamera.mp4: is read from its beginning to --start" in printed.err
    assert "15 frames" in printed.out
    assert "18 frames" in printed.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--every", "0"], "every must be 1 or more"),
        (["--start", "3", "--end", "2"], "0 <= start < end"),
        (["--start", "100"], "no frame between --start and --end"),
        (["--formats", "mot"], "add --track"),
        (["--smooth", "1"], "add --track"),
        (["--link", "{by: motion}"], "add --track"),
        (["--track", "--link", "{buy: motion}"], "unexpected keyword argument 'buy'"),
        (["--track", "--link", "{max_gap: -1}"], "max_gap must be at least 0"),
        (["--labels", "png"], "--labels works only for images"),
        (["--show", "tags"], "--show tags works only for images"),
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
    assert "the sources are images and videos" in printed
    assert "--every works only for videos, or with --track for folders of frames" in printed
