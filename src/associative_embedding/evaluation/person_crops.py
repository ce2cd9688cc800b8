"""How well a single-person model finds the keypoints of people whose place is known: its validation while it learns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain

import numpy as np
from tqdm import tqdm

from associative_embedding.checkpoint import ModelInfo
from associative_embedding.config import Recipe, SourceConfig
from associative_embedding.data.people import PersonCrops
from associative_embedding.metrics.oks import oks
from associative_embedding.models.network import Network
from associative_embedding.refine import Refiner
from associative_embedding.skeleton import Skeleton, load_skeleton
from associative_embedding.training_data import open_people, open_source
from associative_embedding.types import Array, Sample

NEAR = 0.1  # of the longer side of the box around the labelled keypoints


def crop_accuracy(refiner: Refiner, people: Iterable[Sample]) -> dict[str, float]:
    """
    Args:
        people: at least one, see `PersonCrops`.

    Returns:
        OKS: mean over the people. PCK: share of their labelled keypoints that are found within `NEAR` of their size.
    """
    similarity, near = [], []
    for sample in people:
        assert sample.focus is not None
        found = refiner.look(sample.image, sample.focus[None])
        similarity.append(oks(found, sample.keypoints, sample.area, refiner.skeleton.sigmas).item())
        near.append(near_truth(found[0], sample.keypoints[0]))
    return {"OKS": float(np.mean(similarity)), "PCK": float(np.concatenate(near).mean())}


def near_truth(found: Array, truth: Array) -> Array:
    """``(L,)`` bool for the L labelled of ``(K, 3)`` keypoints: whether each is found within `NEAR` of their extent."""
    labelled = truth[:, 2] > 0
    size = np.ptp(truth[labelled, :2], axis=0).max()
    distance = np.linalg.norm(found[labelled, :2] - truth[labelled, :2], axis=1)
    return np.asarray(distance < NEAR * size)


def build_crop_validation(recipe: Recipe) -> Callable[[Network, ModelInfo], dict[str, float]] | None:
    """What the trainer calls to validate a single-person model on ``data.validation``; None without any.

    Raises:
        ValueError: when its files cannot be read, or no person is left.
    """
    if not recipe.data.validation:
        return None
    skeleton = load_skeleton(recipe.data.skeleton)
    sources = [validation_people(source, skeleton, recipe) for source in recipe.data.validation]
    count = sum(map(len, sources))

    def validate(network: Network, info: ModelInfo) -> dict[str, float]:
        training = network.training
        try:
            refiner = Refiner(network.eval(), info, skeleton)
            samples = chain.from_iterable((people[i] for i in range(len(people))) for people in sources)
            return crop_accuracy(refiner, tqdm(samples, total=count, disable=None, leave=False, desc="validate"))
        finally:
            network.train(training)

    return validate


def validation_people(source: SourceConfig, skeleton: Skeleton, recipe: Recipe) -> PersonCrops:
    """The people of a source's held-out images, or of the first ``data.validation_images`` of them."""
    images = open_source(source, skeleton, part="validation")
    first = set(images.image_ids[: recipe.data.validation_images or None])
    return open_people(source, images.select(first.__contains__), recipe.refine)
