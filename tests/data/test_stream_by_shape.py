"""Every batch has one shape, drawn by frequency; samples still depend on seed and number alone."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from associative_embedding.data.stream import EncodedSamples, Mixture, Steps, TrainingStream
from associative_embedding.data.stream_by_shape import Part, StreamByShape, split_by_shape
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample

TALL, WIDE = (16, 8), (8, 16)
BATCH = 4


def samples(first_id: int, count: int) -> list[Sample]:
    nobody = np.zeros((0, 5, 3), np.float32), np.zeros(0, np.float32), np.ones(5, bool)
    return [Sample(np.full((16, 16, 3), i, np.uint8), *nobody, image_id=first_id + i) for i in range(count)]


def shapes(tall: int, wide: int) -> Array:
    return np.array([TALL] * tall + [WIDE] * wide).reshape(-1, 2)


SOURCES = [Mixture(samples(0, 8), weight=3.0), Mixture(samples(100, 10)), Mixture(samples(200, 2), weight=2.0)]
SHAPES = [shapes(6, 2), shapes(1, 9), shapes(2, 0)]


def varied(sample: Sample, rng: np.random.Generator, shape: tuple[int, int]) -> Sample:
    return replace(sample, image=rng.integers(0, 256, (*shape, 3), dtype=np.uint8))


def stream_of(mixtures: list[Mixture], shape: tuple[int, int], seed: int = 5) -> TrainingStream:
    return TrainingStream(
        mixtures, augment=partial(varied, shape=shape), mosaic=partial(max), overlap=partial(max), seed=seed
    )


def by_shape(batch: int = BATCH) -> StreamByShape:
    streams = [stream_of(parts, shape) for shape, parts in split_by_shape(SOURCES, SHAPES).items()]
    return StreamByShape(SOURCES, streams, batch=batch)


def test_sources_are_split_by_the_shapes_of_their_samples() -> None:
    split = split_by_shape(SOURCES, SHAPES)
    assert list(split) == [WIDE, TALL]
    assert [mixture.weight for mixture in split[WIDE]] == pytest.approx([3 * 2 / 8, 9 / 10])
    assert [mixture.weight for mixture in split[TALL]] == pytest.approx([3 * 6 / 8, 1 / 10, 2])
    assert split[TALL][2] is SOURCES[2]  # all of it has one shape
    part = split[WIDE][0].dataset
    assert isinstance(part, Part)
    assert [part[i].image_id for i in range(len(part))] == [6, 7]


def test_sources_of_one_shape_stay_as_they_are() -> None:
    ((shape, parts),) = split_by_shape(SOURCES[:2], [shapes(8, 0), shapes(10, 0)]).items()
    assert shape == TALL
    assert all(a is b for a, b in zip(parts, SOURCES[:2], strict=True))


def test_the_samples_of_a_batch_have_one_shape_in_all_processes_and_parts() -> None:
    stream = by_shape()
    found = set()
    for rank in (0, 1):
        for numbers in Steps(BATCH, first=3, count=10, parts=2, rank=rank, world=2):
            (shape,) = {stream.sample_at(number).image.shape[:2] for number in numbers}
            found.add(shape)
    assert found == {TALL, WIDE}


def test_shapes_and_sources_are_drawn_by_their_weights() -> None:
    stream, count = by_shape(batch=1), 2500
    drawn = Counter(stream.sample_at(i).image.shape[:2] for i in range(count))
    assert drawn[WIDE] / count == pytest.approx((3 * 2 / 8 + 9 / 10) / 6, abs=0.03)
    ids = np.array([stream.sample_at(i).image_id for i in range(count)])
    share = [((ids >= low) & (ids < low + 100)).mean() for low in (0, 100, 200)]
    assert share == pytest.approx([3 / 6, 1 / 6, 2 / 6], abs=0.03)
    # and each of the samples as often as the others of its source
    assert np.bincount(ids[ids < 100]) / (ids < 100).sum() == pytest.approx(1 / 8, abs=0.03)


def test_a_sample_depends_on_seed_and_number_alone() -> None:
    stream = by_shape()
    again = pickle.loads(pickle.dumps(by_shape()))  # as a loader process gets it
    for i in (37, 2, 40, 2, 3):
        assert np.array_equal(stream.sample_at(i).image, again.sample_at(i).image)
    assert (
        EncodedSamples(stream, lambda sample, rng: (sample.image_id, rng.random()))[9]
        == EncodedSamples(again, lambda sample, rng: (sample.image_id, rng.random()))[9]
    )


def test_all_sources_are_reported_once() -> None:
    assert by_shape().mixtures == tuple(SOURCES)
    assert by_shape().seed == 5


@pytest.mark.parametrize(("count", "batch"), [(0, 4), (1, 0)])
def test_bad_settings(count: int, batch: int) -> None:
    with pytest.raises(ValueError, match="needs streams and a batch of 1 or more"):
        StreamByShape(SOURCES, [stream_of(SOURCES, TALL)] * count, batch=batch)
