"""A stream whose batches differ in shape, each still a pure function of (seed, number).

A crop is as narrow as its person, but a batch is one tensor, so all of its samples need one shape. People are therefore
sorted by the shape of their crop, and every batch draws its shape. The same serves training at several sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from associative_embedding.data.stream import Mixture, Samples, TrainingStream
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample

SHAPE = 2  # third part of the seed of a batch: its random number must differ from those of samples and targets

Shape = tuple[int, int]  # H, W of the network's input


class StreamByShape:
    """Several streams, of one shape each: every batch comes from one of them.

    A stream is drawn with a probability in proportion to the weights of its sources. Over all batches, a source that
    `split_by_shape` has split thus keeps its weight, and each of its samples its frequency.

    Args:
        mixtures: all sources, each once, before they were split.
        streams: at least one, of one seed.
        batch: samples of one batch: `batch` consecutive numbers, as in `Steps`, come from one stream.

    Raises:
        ValueError: without a stream, or for a batch below 1.
    """

    def __init__(self, mixtures: Sequence[Mixture], streams: Sequence[TrainingStream], *, batch: int) -> None:
        if not streams or batch < 1:
            raise ValueError(f"a stream by shape needs streams and a batch of 1 or more, not {len(streams)}, {batch}")
        self.mixtures, self.streams, self.batch = tuple(mixtures), tuple(streams), batch
        self.seed = streams[0].seed
        weights = [sum(mixture.weight for mixture in stream.mixtures) for stream in streams]
        self.bounds = np.cumsum(weights) / sum(weights)

    def stream_at(self, i: int) -> TrainingStream:
        """Returns the stream that the batch of sample i is drawn from."""
        drawn = np.random.default_rng((self.seed, i // self.batch, SHAPE)).random()
        # the last of the bounds may round to below 1
        return self.streams[min(int(np.searchsorted(self.bounds, drawn, side="right")), len(self.streams) - 1)]

    def sample_at(self, i: int) -> Sample:
        """Returns sample i after augmentation, in input pixels."""
        return self.stream_at(i).sample_at(i)


class Part:
    """Some of the samples of a data set.

    Args:
        samples: the data set.
        rows: ``(n,)`` int, the indices of its samples that are used.
    """

    def __init__(self, samples: Samples, rows: Array) -> None:
        self.samples, self.rows = samples, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[int(self.rows[index])]


def split_by_shape(mixtures: Sequence[Mixture], shapes: Sequence[Array]) -> dict[Shape, list[Mixture]]:
    """Splits sources by the shapes of their samples.

    The weight of a source is divided among its parts by their numbers of samples. A source of one shape stays as it is.

    Args:
        mixtures: S sources.
        shapes: for each source ``(N, 2)`` H, W of its N samples.

    Returns:
        for each shape, in ascending order, the parts of the sources that have it.
    """
    parts: dict[Shape, list[Mixture]] = {}
    for mixture, own in zip(mixtures, shapes, strict=True):
        found, which = np.unique(own, axis=0, return_inverse=True)
        for k, (height, width) in enumerate(found.tolist()):
            rows = np.flatnonzero(which.ravel() == k)
            parts.setdefault((height, width), []).append(mixture if len(found) == 1 else part_of(mixture, rows))
    return dict(sorted(parts.items()))


def part_of(mixture: Mixture, rows: Array) -> Mixture:
    """Returns some samples of a source, with the share of its weight that falls on them."""
    weight = mixture.weight * len(rows) / len(mixture.dataset)
    return replace(mixture, dataset=Part(mixture.dataset, rows), weight=weight)
