"""Frames a second of ``ae predict`` on a film, with decoding, drawing and H.264, for models and with tracks.

    python benchmarks/video.py PHOTO [--frames 150] [--threads 2] [--rounds 3]

The film pans over a photo of people at 640 x 360. The settings take turns; each number is the median of the rounds.
"Frames a second" is of wall-clock time without the start of the process, "processor" the time of all threads for a
frame. The last two columns are medians of ratios within a round: of the frames a second to those of the first setting,
and of the processor's time to that of the setting before, which for ``--track`` is the same without tracks.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from timing import markdown, start_anew

from associative_embedding.apps.cli.allocator import ALLOCATOR
from associative_embedding.apps.cli.predict_videos import VideoSettings, predict_video
from associative_embedding.inference.load import load
from associative_embedding.io.images import read_image
from associative_embedding.io.write_videos import VideoWriter

HEIGHT, WIDTH, FPS = 360, 640, 30.0
SETTINGS: dict[str, tuple[dict[str, Any], bool]] = {  # what a user writes -> options of `load`, and whether it tracks
    "person-fast": ({"model": "person-fast"}, False),
    "person-fast --track": ({"model": "person-fast"}, True),
    "person-fast --refine none": ({"model": "person-fast", "refine": "none"}, False),
    "person-fast --refine none --track": ({"model": "person-fast", "refine": "none"}, True),
    "person --refine none": ({"refine": "none"}, False),
    "person --refine_views all": ({"refine_views": "all"}, False),
    "person": ({}, False),
    "person --track": ({}, True),
}


def write_film(path: Path, photo: str, frames: int) -> None:
    """Pans from one side of a photo, or from its top, to the other and back."""
    image = read_image(photo)
    scale = 1.25 * max(HEIGHT / image.shape[0], WIDTH / image.shape[1])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    room = np.array(image.shape[:2]) - (HEIGHT, WIDTH)
    with VideoWriter(path, FPS) as film:
        for number in range(frames):
            y, x = (room * (1 - np.cos(2 * np.pi * number / frames)) / 2).astype(int)
            film.add(np.ascontiguousarray(image[y : y + HEIGHT, x : x + WIDTH]), number / FPS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    start_anew(ALLOCATOR)
    torch.set_num_threads(options.threads)
    models = {name: load(**loaded, device="cpu") for name, (loaded, _) in SETTINGS.items()}
    fps: dict[str, list[float]] = {name: [] for name in SETTINGS}
    ms: dict[str, list[float]] = {name: [] for name in SETTINGS}
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        write_film(film, options.photo, options.frames)
        for _ in range(options.rounds):
            for name, (_, track) in SETTINGS.items():
                settings = VideoSettings(folder, track=track)
                start, processor = time.perf_counter(), time.process_time()
                predict_video(str(film), models[name], settings, settings.files("found"))
                fps[name].append(options.frames / (time.perf_counter() - start))
                ms[name].append(1e3 * (time.process_time() - processor) / options.frames)
    names = list(SETTINGS)
    rows = {
        f"`{name}`": {
            "frames a second": f"{statistics.median(fps[name]):.1f}",
            "processor, ms": f"{statistics.median(ms[name]):.1f}",
            "of the first": ratio(fps[names[0]], fps[name]),
            "processor, of the one before": ratio(ms[names[max(i - 1, 0)]], ms[name]),
        }
        for i, name in enumerate(names)
    }
    print(markdown(f"{options.threads} threads", list(next(iter(rows.values()))), rows))


def ratio(first: list[float], second: list[float]) -> str:
    return f"{statistics.median(b / a for a, b in zip(first, second, strict=True)):.2f}"


if __name__ == "__main__":
    main()
