"""Videos of every kind, and what comes of each: frames, their numbers and their times, with a start and without."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from associative_embedding.io.console import say_error
from associative_embedding.io.find_videos import find_videos
from associative_embedding.io.videos import Clip, open_video, read_frames
from support.trials import Trial, attempt_in_folder
from support.video_files import STEADY, VARYING, encode, remux, shade

Row = tuple[int, float]  # number, and time in seconds
START = 0.5  # seconds
STEADY_FILMS = {  # ending -> encoder
    ".mp4": "libx264",
    ".m4v": "libx264",
    ".mov": "libx264",
    ".mkv": "libx264",
    ".avi": "mpeg4",
    ".webm": "libvpx-vp9",
    ".flv": "libx264",
    ".ts": "libx264",
    ".m2ts": "libx264",
    ".3gp": "libx264",
    ".wmv": "msmpeg4",
    ".ogv": "libtheora",
}
CODECS = {  # of FFmpeg -> ending of a container for it
    "libx265": ".mp4",
    "libaom-av1": ".mkv",
    "libvpx": ".webm",
    "mpeg4": ".mp4",
    "mjpeg": ".avi",
    "ffv1": ".mkv",
}


def frames_of(source: str, start: float = 0.0) -> list[Row]:
    """Number (-1 for another frame than it says) and time of each frame.

    A fault is said in a line where frames came before it.
    """
    rows = []
    try:
        for frame in read_frames(open_video(source), Clip(start=start)):
            shown = round((float(np.median(frame.image)) - 20) / 10)
            rows.append((frame.number if frame.number == shown else -1, round(frame.time, 2)))
    except ValueError as error:
        if not rows:
            raise
        say_error(error)
    return rows


def is_whole(source: str, times: list[float]) -> bool:
    """Whether all frames have their number and time, also those from a start on."""
    full = [(i, round(time, 2)) for i, time in enumerate(times)]
    return frames_of(source) == full and frames_of(source, START) == [row for row in full if row[1] >= START]


def film(ending: str, codec: str, times: list[float], folder: Path) -> bool:
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    return is_whole(encode(folder / f"film{ending}", times, codec=codec, **quiet), times)


def mpeg2(folder: Path) -> bool:
    """Its times are FFmpeg's guess; the numbers count."""
    source = encode(folder / "film.mpg", [i / 25 for i in range(20)], codec="mpeg2video", rate=25)
    return [n for n, _ in frames_of(source)] == list(range(20)) and frames_of(source, START)[0][0] == 13


def shifted(folder: Path) -> bool:
    return is_whole(remux(encode(folder / "a.mp4", STEADY), folder / "film.ts", 1000.0), STEADY)


def cut_off(ending: str, kept: float, folder: Path) -> bool:
    """A part of a file has the first frames, if it has any."""
    path = Path(encode(folder / f"film{ending}", STEADY, codec="libx264"))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    rows = frames_of(str(path))
    return 4 < len(rows) < len(STEADY) and rows[:5] == [(i, round(t, 2)) for i, t in enumerate(STEADY[:5])]


def without_ending(folder: Path) -> bool:
    path = Path(encode(folder / "film.mp4", STEADY)).rename(folder / "film")
    return is_whole(str(path), STEADY)


def text(name: str, content: str, folder: Path) -> bool:
    """A file of text; FFmpeg reads some of them, and with them other files."""
    encode(folder / "secret.mp4", STEADY)
    (folder / name).write_text(content)
    return bool(frames_of(str(folder / name)))


def sound(folder: Path) -> bool:
    import av

    with av.open(str(folder / "film.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=8000)
        part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        part.sample_rate = 8000
        file.mux([*stream.encode(part), *stream.encode(None)])
    return bool(frames_of(str(folder / "film.mp4")))


def write_frames(folder: Path, count: int = 12) -> None:
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), shade(number))


def images(folder: Path) -> bool:
    """Names are sorted by their numbers: 9 before 10."""
    write_frames(folder)
    return [number for number, _ in frames_of(str(folder))] == list(range(12))


def pattern(folder: Path) -> bool:
    write_frames(folder)
    return len(frames_of(f"{folder}/*.png")) == 12


def damaged_image(folder: Path) -> bool:
    write_frames(folder)
    (folder / "5.png").write_bytes(b"no image")
    return [number for number, _ in frames_of(str(folder))] == [n for n in range(12) if n != 5]


def hidden_image(folder: Path) -> bool:
    write_frames(folder)
    shutil.copy(folder / "0.png", folder / "._1.png")
    return len(frames_of(str(folder))) == 12


def films(folder: Path) -> bool:
    for name in ("a.mp4", "b.avi"):
        encode(folder / name, STEADY)
    return [Path(path).name for path in find_videos(str(folder))] == ["a.mp4", "b.avi"]


def films_and_images(folder: Path) -> bool:
    write_frames(folder)
    encode(folder / "a.mp4", STEADY)
    return find_videos(str(folder)) == [str(folder), f"{folder}/a.mp4"]


def brackets(folder: Path) -> bool:
    path = encode(folder / "film[1].mp4", STEADY)
    return find_videos(path) == [path] and is_whole(path, STEADY)


def empty_folder(folder: Path) -> bool:
    return bool(find_videos(str(folder)))


OTHERS: list[tuple[str, str, Callable[[Path], bool]]] = [
    ("Film", ".mpg (mpeg2video)", mpeg2),
    ("Raw stream", "H.264", partial(film, ".h264", "libx264", [i / 25 for i in range(20)])),
    ("Raw stream", "MJPEG", partial(film, ".mjpeg", "mjpeg", [i / 25 for i in range(20)])),
    ("Film", "a clock that begins at 1000 seconds", shifted),
    ("Film", "without an ending", without_ending),
    ("Film", "brackets in its name", brackets),
    ("Film", ".mp4, cut off", partial(cut_off, ".mp4", 0.5)),
    ("Film", ".mkv, cut off", partial(cut_off, ".mkv", 0.8)),
    ("Film", ".ts, cut off", partial(cut_off, ".ts", 0.5)),
    ("Film", "sound alone", sound),
    ("Film", "empty file", partial(text, "film.mp4", "")),
    ("Film", "text under the name of a film", partial(text, "film.mp4", "Hello, I am no film.\n" * 20)),
    ("Film", "a playlist of other files (.m3u8)", partial(text, "film.m3u8", "#EXTM3U\n#EXTINF:2,\nsecret.mp4\n")),
    ("Film", "a list of other files (ffconcat)", partial(text, "film.mp4", "ffconcat version 1.0\nfile secret.mp4\n")),
    ("Folder", "images, in the order of their numbers", images),
    ("Folder", "a pattern (`*.png`)", pattern),
    ("Folder", "one damaged image", damaged_image),
    ("Folder", "hidden files beside images", hidden_image),
    ("Folder", "films", films),
    ("Folder", "films and images", films_and_images),
    ("Folder", "empty", empty_folder),
]


def trials_to_make() -> Iterator[tuple[str, str, Callable[[Path], bool]]]:
    for ending, codec in STEADY_FILMS.items():
        yield "Film", f"{ending} ({codec.removeprefix('lib')})", partial(film, ending, codec, STEADY)
    for codec, ending in CODECS.items():
        yield "Film", f"{ending} ({codec.removeprefix('lib')})", partial(film, ending, codec, STEADY)
    for ending in (".mp4", ".mov", ".mkv", ".ts"):
        yield "Film", f"{ending}, a rate that varies", partial(film, ending, "libx264", VARYING)
    yield from OTHERS


def video_trials() -> list[Trial]:
    """Writes and reads a video of each kind that this machine can write."""
    import av

    known = av.codecs_available
    made = [row for row in trials_to_make() if not (row[1].startswith(".flv") and av.__version__.startswith("13."))]
    return [attempt_in_folder(*row) for row in made if not isinstance(row[2], partial) or writable(row[2], known)]


def writable(read: partial[bool], known: set[str]) -> bool:
    """Whether the encoder of a film is there."""
    return read.func is not film or read.args[1] in known
