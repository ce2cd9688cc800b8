"""Drawn figures that walk about: videos for tests and lessons of tracking. Who is who is told by the colour alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from associative_embedding.data.synthetic.figures import (
    background,
    bones,
    colours,
    draw_figure,
    figures_sample,
    hsv,
    pose,
    rest_layout,
    write_samples,
)
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton

PACE = (0.5, 2.5)  # of a figure, percent of the image's side a frame
PERIOD = (12, 30)  # frames of a step


@dataclass(frozen=True, eq=False)
class Figure:
    """Attributes:
    ends: ``(2, K, 2)`` the two poses it swings between, about 2 high and centred.
    half: half its height, pixels.
    start, velocity: ``(2,)`` pixels, and pixels a frame.
    period, phase: of its swing, frames and radians.
    limbs: ``(E, 3)`` uint8 RGB.
    """

    ends: Array
    half: float
    start: Array
    velocity: Array
    period: float
    phase: float
    limbs: Array

    def at(self, frame: int, size: tuple[int, int]) -> Array:
        """``(K, 2)`` its keypoints in a frame; at the sides of the image it turns round."""
        share = 0.5 + 0.5 * np.sin(2 * np.pi * frame / self.period + self.phase)
        shape = share * self.ends[0] + (1 - share) * self.ends[1]
        room = np.array([size[1], size[0]], float)
        way = np.mod(self.start + self.velocity * frame, 2 * room)
        return np.asarray(shape * self.half + np.minimum(way, 2 * room - way))


def figures(rng: np.random.Generator, skeleton: Skeleton, size: tuple[int, int], count: int) -> list[Figure]:
    """So many figures, with limbs of different hues."""
    rest, tree = rest_layout(skeleton), bones(skeleton)
    hues = (rng.uniform(0, 180) + 180 * np.arange(count) / max(1, count)) % 180
    limbs = len(skeleton.edges)
    made = []
    for hue in hues:
        angle, pace = rng.uniform(0, 2 * np.pi), rng.uniform(*PACE) / 100 * min(size)
        made.append(
            Figure(
                ends=np.stack([pose(rng, rest, tree), pose(rng, rest, tree)]),
                half=min(size) * rng.uniform(0.15, 0.3),
                start=rng.uniform(0.2, 0.8, 2) * (size[1], size[0]),
                velocity=pace * np.array([np.cos(angle), 0.5 * np.sin(angle)]),
                period=rng.uniform(*PERIOD),
                phase=rng.uniform(0, 2 * np.pi),
                limbs=hsv(np.full(limbs, hue), 200, 130 + 60 * (np.arange(limbs) % 2)),
            )
        )
    return made


def moving_video(
    rng: np.random.Generator,
    skeleton: Skeleton,
    frames: int,
    size: tuple[int, int] = (256, 256),
    people: tuple[int, int] = (2, 3),
    *,
    first_id: int = 1,
) -> Iterator[Sample]:
    """The frames of one video, whose figures cross and cover each other; a figure's track is its number from 1 on."""
    scene = background(rng, size)
    cast = figures(rng, skeleton, size, int(rng.integers(people[0], people[1], endpoint=True)))
    dots = colours(skeleton, True)[0]
    for frame in range(frames):
        image, owner = scene.copy(), np.full(size, -1, np.int32)
        keypoints = np.zeros((len(cast), len(skeleton), 3), np.float32)
        for n, figure in enumerate(cast):
            keypoints[n, :, :2] = figure.at(frame, size)
            draw_figure(image, owner, n, keypoints[n, :, :2], skeleton.edge_index, (dots, figure.limbs))
        tracks = np.arange(1, len(cast) + 1)
        yield figures_sample(image, owner, keypoints, image_id=first_id + frame, track_id=tracks)


def write_moving_dataset(
    folder: str | Path,
    skeleton: Skeleton,
    videos: int,
    frames: int,
    seed: int = 0,
    *,
    size: tuple[int, int] = (256, 256),
    people: tuple[int, int] = (2, 3),
) -> Path:
    """Write ``annotations.json`` (COCO with ``track_id`` and ``video_id``) and ``images/*.jpg``.

    Returns:
        The path of the json.

    Raises:
        ValueError: for a number that is out of range.
    """
    if (
        videos < 1
        or frames < 2
        or seed < 0
        or not 16 <= min(size) <= max(size) <= 8192
        or not 0 < people[0] <= people[1]
    ):
        raise ValueError(
            f"moving figures: videos={videos} must be at least 1, frames={frames} at least 2, seed={seed} at least 0, "
            f"the sides of size={size} within 16..8192 and people={people} 1 <= low <= high"
        )
    samples = (
        sample
        for video in range(videos)
        for sample in moving_video(
            np.random.default_rng((seed, video)), skeleton, frames, size, people, first_id=1 + video * frames
        )
    )
    return write_samples(Path(folder), samples, skeleton, frames)
