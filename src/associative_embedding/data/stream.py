"""The stream of training samples, each a pure function of (seed, number), and its batches.

A run that resumes at step s therefore reads exactly the samples that it would have read, with any number of workers.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample

ENCODE = 1  # third part of the seed of a target: its random numbers must differ from the sample's

Encoded = TypeVar("Encoded")
Batch = TypeVar("Batch")


class Samples(Protocol):
    """The part of a data set that a stream reads; a list of samples has it, too."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


@dataclass(frozen=True)
class Mixture:
    """One source of a stream, and how its samples are mixed.

    Attributes:
        dataset: the samples of the source.
        weight: how often the source is drawn, relative to the other sources.
        mosaic: probability that an image becomes a mosaic of 2 to `tiles` images of this source.
        overlap: probability that a person of another image of this source is pasted over the image.
        tiles: largest number of images in a mosaic.
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


class Stream(Protocol):
    """The samples of a run by number, and the sources they come from; `sample_at` depends on seed and number alone."""

    mixtures: tuple[Mixture, ...]
    seed: int

    def sample_at(self, i: int) -> Sample: ...


class TrainingStream:
    """An endless sequence of augmented samples: ``stream.sample_at(i)`` depends on `seed` and `i` alone.

    The functions get the random generator as their last argument. `functools.partial` binds their settings to them, so
    that the stream can be pickled for loader processes and no setting travels through it.

    Args:
        mixtures: the sources.
        augment: a sample -> a random view of it, in input pixels.
        mosaic: several samples -> one with all of them.
        overlap: two samples -> the second one with a person of the first pasted over it.
        seed: 0 or more.
    """

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        *,
        augment: Callable[[Sample, np.random.Generator], Sample],
        mosaic: Callable[[Sequence[Sample], np.random.Generator], Sample],
        overlap: Callable[[Sample, Sample, np.random.Generator], Sample],
        seed: int = 0,
    ) -> None:
        if not mixtures:
            raise ValueError("a training stream needs at least one source")
        self.mixtures = tuple(mixtures)
        self.augment, self.mosaic, self.overlap = augment, mosaic, overlap
        self.seed = seed
        self.bounds = np.cumsum([m.weight for m in mixtures]) / sum(m.weight for m in mixtures)

    def raw_at(self, i: int, rng: np.random.Generator) -> Sample:
        """Returns sample i before augmentation: a source drawn by weight, then its next image in shuffled order.

        The order of the draws from `rng` is part of the data; a change of it would break the resuming of older runs.
        """
        # the last of the bounds may round to below 1
        source = min(int(np.searchsorted(self.bounds, rng.random(), side="right")), len(self.mixtures) - 1)
        mixture = self.mixtures[source]
        dataset = mixture.dataset
        # The place depends on i, not on how often the source was drawn: that would need all samples before this one.
        epoch, place = divmod(i, len(dataset))
        sample = dataset[int(shuffled(self.seed, source, epoch, len(dataset))[place])]
        if rng.random() < mixture.mosaic:
            others = rng.integers(len(dataset), size=rng.integers(1, mixture.tiles))
            sample = self.mosaic([sample, *(dataset[int(other)] for other in others)], rng)
        if rng.random() < mixture.overlap:
            sample = self.overlap(dataset[int(rng.integers(len(dataset)))], sample, rng)
        return sample

    def sample_at(self, i: int) -> Sample:
        """Returns sample i after augmentation, in input pixels."""
        rng = np.random.default_rng((self.seed, i))
        return self.augment(self.raw_at(i, rng), rng)


@lru_cache(maxsize=16)  # every sample needs it, and a permutation of COCO takes milliseconds
def shuffled(seed: int, source: int, epoch: int, length: int) -> Array:
    """Returns ``(length,)`` the order of a source's images in one epoch."""
    return np.random.default_rng((seed, source, epoch, length)).permutation(length)


class EncodedSamples(Dataset[Any]):
    """A stream as the map-style data set that `DataLoader` needs."""

    def __init__(self, stream: Stream, encode: Callable[[Sample, np.random.Generator], Any]) -> None:
        self.stream = stream
        self.encode = encode

    def __getitem__(self, i: int) -> Any:
        # seeded by the number and not by the worker: any worker may read any sample
        rng = np.random.default_rng((self.stream.seed, i, ENCODE))
        return self.encode(self.stream.sample_at(i), rng)


@dataclass(frozen=True)
class Steps:
    """The sample numbers of consecutive training steps, batch by batch, for one of several processes.

    A step of all processes reads ``world * parts * batch`` consecutive numbers, so its samples are the same for every
    split into processes and parts.

    Attributes:
        batch: samples of one batch.
        first: number of the first step.
        count: number of steps.
        parts: batches of one step in this process, whose gradients are averaged.
        rank, world: index of this process, and number of processes.
    """

    batch: int
    first: int
    count: int
    parts: int = 1
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if min(self.batch, self.parts) < 1 or min(self.first, self.count) < 0 or not 0 <= self.rank < self.world:
            raise ValueError(
                f"{self}: batch and parts must be at least 1, first and count at least 0, and rank below world"
            )

    def __len__(self) -> int:
        return self.count * self.parts

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.first + self.count):
            first_part = (step * self.world + self.rank) * self.parts
            for part in range(first_part, first_part + self.parts):
                yield list(range(part * self.batch, (part + 1) * self.batch))


def start_worker(worker: int) -> None:
    """Prepares a loader process: one core, since OpenCV's own threads do not survive a fork.

    Ctrl-C and signals to the process group are for the trainer, which then saves and needs its workers until then.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):  # Windows has no process groups; its Ctrl-C is the only signal to all processes
        os.setpgrp()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def batches(
    stream: Stream,
    encode: Callable[[Sample, np.random.Generator], Encoded],
    collate: Callable[[list[Encoded]], Batch],
    steps: Steps,
    *,
    workers: int = 0,
) -> Iterator[Batch]:
    """Returns the batches of some steps.

    Args:
        stream: the samples.
        encode: makes the arrays of one sample, with random numbers for the target alone; runs in the workers.
        collate: makes a batch of a list of these; runs in the workers, too.
        steps: which samples form which batch.
        workers: processes that read ahead; 0 = read in this process.

    Raises:
        ValueError: for a negative number of workers.
    """
    if workers < 0:
        raise ValueError(f"workers must be at least 0, not {workers}")
    loader: DataLoader[Any] = DataLoader(
        EncodedSamples(stream, encode),
        # the numbers go to the workers, so the data do not depend on which worker is free
        batch_sampler=steps,  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=start_worker,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),  # the default generator is the trainer's: a draw would change the training
    )
    return iter(loader)
