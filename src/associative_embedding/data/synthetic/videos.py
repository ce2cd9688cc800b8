"""Videos of drawn figures that move, for tests and lessons of tracking. Only colours distinguish the figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from associative_embedding.data.synthetic.bones import bone_tree, random_pose, rest_layout
from associative_embedding.data.synthetic.figures import annotate_figures, background, colours, draw_figure, hsv
from associative_embedding.data.synthetic.write_samples import write_samples
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton

PACE = (0.5, 2.5)  # of a figure, in percent of the image's shorter side per frame
PERIOD = (12, 30)  # frames of a walking cycle


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure that swings between two poses while it moves on a straight line.

    Attributes:
        ends: ``(2, K, 2)`` x, y of the two poses, about 2 high and centred.
        half: half the height of the figure, in pixels.
        start: ``(2,)`` x, y at frame 0, in pixels.
        velocity: ``(2,)`` pixels per frame.
        period, phase: of the swing, in frames and radians.
        limbs: ``(E, 3)`` uint8 RGB, colours of the limbs.
    """

    ends: Array
    half: float
    start: Array
    velocity: Array
    period: float
    phase: float
    limbs: Array

    def at(self, frame: int, size: tuple[int, int]) -> Array:
        """Returns ``(K, 2)`` x, y of its keypoints in a frame of `size` (H, W); it turns round at the sides."""
        share = 0.5 + 0.5 * np.sin(2 * np.pi * frame / self.period + self.phase)
        shape = share * self.ends[0] + (1 - share) * self.ends[1]
        sides = np.array([size[1], size[0]], float)
        # a reflection at both sides: 0 to `sides` on the way out, `sides` to 0 on the way back
        way = np.mod(self.start + self.velocity * frame, 2 * sides)
        return np.asarray(shape * self.half + np.minimum(way, 2 * sides - way))


def random_figures(rng: np.random.Generator, skeleton: Skeleton, size: tuple[int, int], count: int) -> list[Figure]:
    """Returns `count` figures for frames of `size` (H, W), with evenly spaced hues: no two look alike."""
    rest, tree = rest_layout(skeleton), bone_tree(skeleton)
    hues = (rng.uniform(0, 180) + 180 * np.arange(count) / max(1, count)) % 180
    limbs = len(skeleton.edges)
    made = []
    for hue in hues:
        angle, pace = rng.uniform(0, 2 * np.pi), rng.uniform(*PACE) / 100 * min(size)
        made.append(
            Figure(
                ends=np.stack([random_pose(rng, rest, tree), random_pose(rng, rest, tree)]),
                half=min(size) * rng.uniform(0.15, 0.3),
                start=rng.uniform(0.2, 0.8, 2) * (size[1], size[0]),
                velocity=pace * np.array([np.cos(angle), 0.5 * np.sin(angle)]),  # mostly sideways, as people walk
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
    """Yields the frames of one video; figures cross and cover each other, and their track ids are 1, 2 ...

    Args:
        rng: the source of all randomness.
        skeleton: what to draw.
        frames: number of frames.
        size: (H, W).
        people: smallest and largest number of figures.
        first_id: image id of the first frame.
    """
    scene = background(rng, size)
    figures = random_figures(rng, skeleton, size, int(rng.integers(people[0], people[1], endpoint=True)))
    dots = colours(skeleton, True)[0]
    for frame in range(frames):
        image, owner = scene.copy(), np.full(size, -1, np.int32)
        keypoints = np.zeros((len(figures), len(skeleton), 3), np.float32)
        for n, figure in enumerate(figures):
            keypoints[n, :, :2] = figure.at(frame, size)
            draw_figure(image, owner, n, keypoints[n, :, :2], skeleton.edge_index, (dots, figure.limbs))
        # a figure keeps its number also in frames that it is outside of
        tracks = np.arange(1, len(figures) + 1)
        yield annotate_figures(image, owner, keypoints, image_id=first_id + frame, track_id=tracks)


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
    """Writes ``annotations.json`` (COCO with ``track_id`` and ``video_id``) and ``images/*.jpg``.

    Args:
        folder: made if it is missing.
        skeleton: what to draw.
        videos: number of videos.
        frames: number of frames of each video.
        seed: 0 or more.
        size, people: see `moving_video`.

    Returns:
        the path of the json.

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
