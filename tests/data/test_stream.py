"""The stream is a pure function of seed and number; batches of it are the same however they are read."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from associative_embedding.data.augmentation.augment import augment
from associative_embedding.data.augmentation.compose import mosaic, overlap
from associative_embedding.data.settings import Augment
from associative_embedding.data.stream import Mixture, Steps, TrainingStream, batches, shuffled
from associative_embedding.data.synthetic.figures import synthetic_sample
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.structures.sample import Sample

STILL = Augment(rotation=0, scale=(1, 1), shift=0, mirror=0, colour=0, grey=0, blur=0)


def drawn(count: int, first_id: int = 0) -> list[Sample]:
    return [
        synthetic_sample(np.random.default_rng(i), COCO_17, (64, 64), image_id=i)
        for i in range(first_id, first_id + count)
    ]


def stream_of(*mixtures: Mixture, seed: int = 0, settings: Augment | None = None) -> TrainingStream:
    size, flip_index = (64, 64), COCO_17.flip_index
    return TrainingStream(
        mixtures,
        augment=partial(augment, settings=settings or Augment(), input_size=size, flip_index=flip_index),
        mosaic=partial(mosaic, size=size),
        overlap=partial(overlap, edges=COCO_17.edge_index),
        seed=seed,
    )


def encode(sample: Sample, rng: np.random.Generator) -> tuple[int, torch.Tensor, int]:
    return sample.image_id, torch.from_numpy(sample.image), len(sample.keypoints)


def collate(rows: list[Any]) -> tuple[list[int], torch.Tensor, list[int]]:
    ids, images, people = zip(*rows, strict=True)
    return list(ids), torch.stack(images), list(people)


def read(stream: TrainingStream, workers: int = 0, **steps: Any) -> list[Any]:
    return list(
        batches(stream, encode, collate, Steps(**{"batch": 3, "first": 0, "count": 4, **steps}), workers=workers)
    )


def assert_same(first: list[Any], second: list[Any]) -> None:
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        assert a[0] == b[0]
        assert torch.equal(a[1], b[1])
        assert a[2] == b[2]


@pytest.fixture(scope="module")
def mixed() -> TrainingStream:
    return stream_of(Mixture(drawn(7), mosaic=0.4, overlap=0.4), Mixture(drawn(5, 100), weight=0.5), seed=3)


def test_a_sample_depends_on_seed_and_number_alone(mixed: TrainingStream) -> None:
    forth = [mixed.sample_at(i) for i in range(12)]
    back = [mixed.sample_at(i) for i in reversed(range(12))][::-1]
    for a, b in zip(forth, back, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.keypoints, b.keypoints)
    other = stream_of(*mixed.mixtures, seed=4)
    assert not np.array_equal(other.sample_at(0).image, forth[0].image)
    assert len({a.image.tobytes() for a in forth}) == 12


def test_workers_do_not_change_the_data(mixed: TrainingStream) -> None:
    assert_same(read(mixed), read(mixed, workers=2))


def test_reading_leaves_global_random_states_alone(mixed: TrainingStream) -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    read(mixed, workers=1)
    read(mixed)
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(numpy_before, np.random.get_state()[1])


def test_a_resumed_run_reads_what_it_would_have_read(mixed: TrainingStream) -> None:
    whole = read(mixed, count=6)
    assert_same(whole[2:], read(mixed, first=2, count=4))
    assert read(mixed, count=0) == []


def test_processes_share_each_step(mixed: TrainingStream) -> None:
    whole = read(mixed, batch=4, count=3)
    parts = [read(mixed, batch=2, count=3, rank=rank, world=2) for rank in (0, 1)]
    for step, (ids, images, _) in enumerate(whole):
        assert ids == parts[0][step][0] + parts[1][step][0]
        assert torch.equal(images, torch.cat([parts[0][step][1], parts[1][step][1]]))


def test_steps_number_every_sample_once() -> None:
    numbers = [n for rank in range(3) for step in Steps(2, 0, 5, rank=rank, world=3) for n in step]
    assert sorted(numbers) == list(range(30))
    assert len(Steps(2, 0, 5, world=3)) == 5


def test_one_source_is_read_in_epochs_without_repetition() -> None:
    stream = stream_of(Mixture(drawn(7)), settings=STILL)
    ids = [stream.sample_at(i).image_id for i in range(21)]
    for epoch in range(3):
        assert sorted(ids[7 * epoch : 7 * epoch + 7]) == list(range(7))
    assert ids[:7] != ids[7:14]
    assert not np.array_equal(shuffled(0, 0, 0, 100), shuffled(1, 0, 0, 100))


def test_sources_are_drawn_by_weight() -> None:
    stream = stream_of(Mixture(drawn(3), weight=3), Mixture(drawn(3, 100)), settings=STILL)
    rng_ids = [stream.raw_at(i, np.random.default_rng((0, i))).image_id for i in range(800)]
    assert 0.2 < np.mean(np.array(rng_ids) >= 100) < 0.3


@pytest.mark.parametrize(("chance", "people"), [("mosaic", (2, 4)), ("overlap", (2, 2))])
def test_composition_puts_more_people_into_the_image(chance: str, people: tuple[int, int]) -> None:
    alone = [s for s in (replace(s, keypoints=s.keypoints[:1], area=s.area[:1]) for s in drawn(8)) if len(s.keypoints)]
    plain, composed = stream_of(Mixture(alone)), stream_of(Mixture(alone, **{chance: 1.0}))
    counts = [len(composed.raw_at(i, np.random.default_rng(i)).keypoints) for i in range(30)]
    assert max(len(plain.raw_at(i, np.random.default_rng(i)).keypoints) for i in range(30)) == 1
    assert max(counts) == people[1]
    assert np.mean(counts) > 1.4


@pytest.fixture
def spawning() -> Iterator[None]:
    """Processes start as on Windows and macOS: nothing is inherited, everything is pickled."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.slow
@pytest.mark.usefixtures("spawning")
def test_spawned_workers_do_not_change_the_data(mixed: TrainingStream) -> None:
    assert_same(read(mixed), read(mixed, workers=2))


def test_workers_start_where_there_are_no_process_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows. The worker is forked, so that it lacks the function, too."""
    for name in ("setpgrp", "getpgrp", "killpg", "register_at_fork"):
        monkeypatch.delattr(os, name)
    stream = stream_of(Mixture(drawn(1)))
    found = next(batches(stream, lambda sample, rng: signal.getsignal(signal.SIGINT), list, Steps(2, 0, 1), workers=1))
    assert found == [signal.SIG_IGN] * 2  # Ctrl-C goes to all processes of a console


def test_bad_settings() -> None:
    samples = drawn(1)
    with pytest.raises(ValueError, match="no images"):
        Mixture([])
    for values in ({"weight": 0}, {"weight": float("nan")}, {"mosaic": 1.5}, {"overlap": -1}, {"tiles": 1}):
        with pytest.raises(ValueError, match="not "):
            Mixture(samples, **values)
    with pytest.raises(ValueError, match="at least one source"):
        stream_of()
    stream = stream_of(Mixture(samples))
    for options in ({"batch": 0}, {"parts": 0}, {"count": -1}, {"first": -1}, {"rank": 1}, {"world": 0}):
        with pytest.raises(ValueError, match="batch and parts must be at least 1"):
            read(stream, **options)
    with pytest.raises(ValueError, match="workers must be at least 0, not -1"):
        read(stream, workers=-1)


@pytest.mark.slow
def test_errors_in_workers_reach_the_reader() -> None:
    def broken(sample: Sample, rng: np.random.Generator) -> None:
        raise ValueError("bad sample")

    for workers in (0, 1):
        with pytest.raises(ValueError, match="bad sample"):
            next(batches(stream_of(Mixture(drawn(1))), broken, list, Steps(1, 0, 1), workers=workers))


def test_a_signal_to_the_group_spares_the_workers() -> None:
    """SIGTERM to the process group killed the loaders, and with them the trainer before it could save."""
    stream = stream_of(Mixture(drawn(1)))
    found = next(batches(stream, lambda sample, rng: os.getpgrp(), list, Steps(2, 0, 1), workers=1))
    assert set(found).isdisjoint({os.getpgrp()})
