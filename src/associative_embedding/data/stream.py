"""The stream of training samples, each a pure function of (seed, number), and its batches.

A run that is resumed at step s reads exactly the samples that it would have read, whatever the number of workers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from associative_embedding.data.augmentation.augment import augment
from associative_embedding.data.augmentation.compose import mosaic, overlap
from associative_embedding.data.settings import Augment
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample

ENCODE = 1  # sets the randomness of a target apart from its sample's

T = TypeVar("T")
U = TypeVar("U")


class Samples(Protocol):
    """What a stream reads from: `CocoKeypoints`, or a list of samples."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


@dataclass(frozen=True)
class Mixture:
    """One source of a stream.

    Attributes:
        dataset: its samples.
        weight: how often it is drawn, relative to the other sources.
        mosaic: probability that an image becomes a mosaic of 2 to `tiles` images of this source.
        overlap: probability that a person of another image of this source is pasted over it.
        tiles: of a mosaic, at most.
    """

    dataset: Samples
    weight: float = 1.0
    mosaic: float = 0.0
    overlap: float = 0.0
    tiles: int = 4

    def __post_init__(self) -> None:
        if len(self.dataset) == 0:
            raise ValueError("a training source has no images")
        if not (np.isfinite(self.weight) and self.weight > 0):
            raise ValueError(f"a training source's weight must be positive, not {self.weight}")
        if not (0 <= self.mosaic <= 1 and 0 <= self.overlap <= 1):
            raise ValueError(f"mosaic and overlap are probabilities, not {self.mosaic} and {self.overlap}")
        if self.tiles < 2:
            raise ValueError(f"a mosaic needs 2 or more tiles, not {self.tiles}")


class TrainingStream:
    """An endless sequence of augmented samples: ``stream.sample_at(i)`` depends on `seed` and `i` alone.

    Args:
        mixtures: the sources.
        settings: of the augmentation.
        input_size: (H, W) of the samples.
        stride: of the output maps.
        flip_index: ``(C,)`` where each keypoint type (or class) goes in a mirror image.
        edges: ``(E, 2)`` the limbs that are pasted when people overlap.
        seed: not negative.
    """

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        settings: Augment,
        *,
        input_size: tuple[int, int],
        stride: int,
        flip_index: Array,
        edges: Array,
        seed: int = 0,
    ) -> None:
        if not mixtures:
            raise ValueError("a training stream needs at least one source")
        self.mixtures = tuple(mixtures)
        self.settings = settings
        self.input_size = input_size
        self.stride = stride
        self.flip_index = np.asarray(flip_index)
        self.edges = np.asarray(edges)
        self.seed = seed
        self.bounds = np.cumsum([m.weight for m in mixtures]) / sum(m.weight for m in mixtures)

    def raw_at(self, i: int, rng: np.random.Generator) -> Sample:
        """Number i before it is augmented: its source by weight, its image in a shuffled order without repetition."""
        source = min(int(np.searchsorted(self.bounds, rng.random(), side="right")), len(self.mixtures) - 1)
        mixture = self.mixtures[source]
        dataset = mixture.dataset
        epoch, place = divmod(i, len(dataset))
        sample = dataset[int(shuffled(self.seed, source, epoch, len(dataset))[place])]
        if rng.random() < mixture.mosaic:
            others = rng.integers(len(dataset), size=rng.integers(1, mixture.tiles))
            sample = mosaic([sample, *(dataset[int(other)] for other in others)], rng, self.input_size)
        if rng.random() < mixture.overlap:
            sample = overlap(dataset[int(rng.integers(len(dataset)))], sample, rng, self.edges)
        return sample

    def sample_at(self, i: int) -> Sample:
        """Number i, in input pixels."""
        rng = np.random.default_rng((self.seed, i))
        sample = self.raw_at(i, rng)
        return augment(sample, rng, self.settings, self.input_size, self.stride, self.flip_index)[0]


@lru_cache(maxsize=16)
def shuffled(seed: int, source: int, epoch: int, length: int) -> Array:
    """``(length,)`` the order of a source's images in one epoch."""
    return np.random.default_rng((seed, source, epoch, length)).permutation(length)


class Encoded(Dataset[Any]):
    """A stream as the map-style data set that `DataLoader` wants."""

    def __init__(self, stream: TrainingStream, encode: Callable[[Sample, np.random.Generator], Any]) -> None:
        self.stream = stream
        self.encode = encode

    def __getitem__(self, i: int) -> Any:
        rng = np.random.default_rng((self.stream.seed, i, ENCODE))
        return self.encode(self.stream.sample_at(i), rng)


@dataclass(frozen=True)
class Steps:
    """The numbers of each step's samples, `parts` batches; `rank` of `world` processes takes its share of every step.

    The parts of a step are together what one batch `parts` times as large would be.
    """

    batch: int
    start_step: int
    steps: int
    rank: int
    world: int
    parts: int = 1

    def __len__(self) -> int:
        return self.steps * self.parts

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.start_step, self.start_step + self.steps):
            first = (step * self.world + self.rank) * self.parts
            for part in range(first, first + self.parts):
                yield list(range(part * self.batch, (part + 1) * self.batch))


def start_worker(worker: int) -> None:
    """One core for each worker; OpenCV's own threads do not survive a fork.

    A worker leaves its parent's process group: a signal to the group is for the trainer, which then saves and needs its
    workers for it.
    """
    os.setpgrp()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def batches(
    stream: TrainingStream,
    encode: Callable[[Sample, np.random.Generator], T],
    collate: Callable[[list[T]], U],
    *,
    batch: int,
    start_step: int,
    steps: int,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
    parts: int = 1,
) -> Iterator[U]:
    """The batches of steps ``start_step .. start_step + steps - 1``, `parts` of them a step.

    Args:
        encode: one sample, and what is random about its target -> arrays, run in the workers.
        collate: a list of them -> a batch, run in the workers too.
        batch: samples per process and part of a step.
        workers: processes that read ahead; 0 = read in this one.
        rank, world: this process and their number, in distributed training.
        parts: batches of a step.
    """
    if min(batch, parts) < 1 or steps < 0 or start_step < 0 or workers < 0 or not 0 <= rank < world:
        raise ValueError(
            f"batches: batch={batch}, parts={parts}, start_step={start_step}, steps={steps}, workers={workers}, "
            f"rank={rank} of {world} is out of range"
        )
    loader: DataLoader[Any] = DataLoader(
        Encoded(stream, encode),
        batch_sampler=Steps(batch, start_step, steps, rank, world, parts),  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=start_worker,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),  # else it would draw from, and so change, the trainer's random state
    )
    return iter(loader)
