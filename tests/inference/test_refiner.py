"""The second look: an oracle network that reads keypoints off the picture, and what is believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from associative_embedding.data.settings import SourceConfig
from associative_embedding.inference.refiner import Changes, Refiner, agreeing, merged_keypoints, refined_score
from associative_embedding.instances import Instances
from associative_embedding.io.images import read_image
from associative_embedding.networks.network import Network
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.target import draw_gaussians
from associative_embedding.tasks.single_person.settings import RefineConfig, RefineViews
from associative_embedding.tasks.single_person.task import SinglePersonTask
from support.tiny import FIGURE, tiny_info, tiny_network

DOTS = Skeleton.build("dots", ["red", "green", "blue"], [("red", "green"), ("green", "blue")])
TRUTH = np.array([[[80.3, 60.8], [110.1, 95.4], [75.7, 120.2]]])  # (1, 3, 2) in an image of 160 x 200
REPLACE = RefineConfig(margin=2.6, min_size=20, threshold=0.2, distance=0.2)


class Oracle(nn.Module):
    """Heatmaps are the colours: keypoint k is where channel k is brightest."""

    stride, multiple = 4, 32
    mean, std = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(image, 4)]


class Constant(Oracle):
    """The middle of every crop, whatever it shows."""

    def forward(self, image: Tensor) -> list[Tensor]:
        heatmap = torch.zeros(len(image), 3, *(side // 4 for side in image.shape[-2:]))
        heatmap[..., heatmap.shape[-2] // 2, heatmap.shape[-1] // 2] = 1
        return [heatmap]


class Blind(Oracle):
    def forward(self, image: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(image, 4) * torch.nan]


def refiner(
    body: nn.Module | None = None, config: RefineConfig = REPLACE, views: RefineViews = "all", **info: object
) -> Refiner:
    values = {"task": SinglePersonTask(DOTS, config), "tag_size": 0, "input_size": 128, **info}
    return Refiner(Network(body or Oracle(), 3, 0).eval(), tiny_info(**values), DOTS, views=views)  # type: ignore[arg-type]


def picture(xy: Array = TRUTH, sigma: float = 4.0) -> Array:
    """``(160, 200, 3)`` uint8: a dot of each colour."""
    dots = draw_gaussians(xy - 0.5, np.ones(xy.shape[:2], bool), (160, 200), sigma)
    return np.rint(dots.transpose(1, 2, 0) * 255).astype(np.uint8)


def people(keypoints: Array) -> Instances:
    n = len(keypoints)
    score = np.linspace(0.9, 0.5, n).astype(np.float32)
    tag = np.arange(n, dtype=np.float32)[:, None]
    return Instances(score, np.full(n, 7), tag, keypoints.astype(np.float32), (160, 200), DOTS)


def scored(xy: Array, *score: float) -> Array:
    return np.concatenate([xy, np.broadcast_to(score, xy.shape[:2])[..., None]], axis=2)


# --- looking


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 0.5), (2.0, 1.0, 0.75)])
@pytest.mark.parametrize("views", ["all", "sizes", "one"])
def test_what_the_crop_shows_comes_back_to_the_image(scales: tuple[float, ...], views: RefineViews) -> None:
    """Small and large, off centre and beyond the border: half a map pixel would be 1 to 4 pixels of the image."""
    squares = np.array([[40.0, 40, 100, 100], [60, 50, 91, 91], [-60, -50, 230, 230]])
    found = refiner(views=views, scales=scales).keypoints_in(picture(), squares)
    assert found.shape == (3, 3, 3)
    close = 0.05 if scales == (1.0,) or views == "one" else 0.6  # maps of several sizes are interpolated
    for person in found:
        assert person[:, :2] == pytest.approx(TRUTH[0], abs=close)
        assert (person[:, 2] > 0.4).all()


def test_nobody_and_many() -> None:
    keypoints_in = refiner(views="sizes").keypoints_in
    assert keypoints_in(picture(), np.zeros((0, 4))).shape == (0, 3, 3)
    squares = np.array([[40.0 + i % 7, 40, 100, 100] for i in range(70)])  # more than one batch
    found = keypoints_in(picture(), squares)
    assert found[-1] == pytest.approx(keypoints_in(picture(), squares[-1:])[0], abs=1e-6)


class Watched(Oracle):
    """Notes the shapes of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, image: Tensor) -> list[Tensor]:
        self.shapes.append(tuple(image.shape))
        return super().forward(image)


@pytest.mark.parametrize("at_once", [1, 32])
def test_people_of_all_shapes_are_found_in_crops_of_their_shapes(at_once: int) -> None:
    body = Watched()
    one = refiner(body, views="all", scales=(1.0, 0.75))
    one.crops_at_once = at_once
    boxes = np.array([[40.0, 40, 100, 100], [70, 40, 45, 100], [40, 50, 110, 80], [68, 41, 46, 100]])
    found = one.keypoints_in(picture(), boxes)
    assert found[..., :2] == pytest.approx(np.repeat(TRUTH, 4, axis=0), abs=0.6)
    # a batch has crops of one shape: each at both sizes, and mirrored
    sizes = {shape[2:] for shape in body.shapes}
    assert sizes == {(128, 128), (96, 96), (128, 64), (96, 64), (96, 128)}
    assert max(shape[0] for shape in body.shapes) == (1 if at_once == 1 else 2)


def test_maps_of_two_sizes_lie_on_each_other_though_their_crops_differ_in_width() -> None:
    """128 x 64 and 96 x 64 pixels: the smaller one shows a sixth more of the image on either side."""
    found = refiner(views="sizes", scales=(1.0, 0.75)).keypoints_in(picture(), np.array([[70.0, 40, 45, 100]]))
    assert found[0, :, :2] == pytest.approx(TRUTH[0], abs=0.2)
    assert (found[0, :, 2] > 0.7).all()


@pytest.mark.parametrize(
    ("rule", "beside", "width"), [("agreement", 0.2, 64), ("agreement", 9.0, 128), ("published", 0.2, 128)]
)
def test_only_our_own_rule_cuts_narrow_crops(rule: Any, beside: float, width: int) -> None:
    body = Watched()
    tall = scored(np.array([[[90.0, 40], [95, 80], [90, 120]]]), 0.9, 0.9, 0.9)
    refiner(body, replace(REPLACE, margin=1.3, beside=beside, rule=rule), views="one")(people(tall), picture())
    assert body.shapes == [(1, 3, 128, width)]


def test_what_lies_outside_of_the_image_is_not_found() -> None:
    found = refiner(Constant(), views="sizes").keypoints_in(
        picture(), np.array([[-40.0, 40, 60, 60], [10, 40, 60, 60]])
    )
    assert found[0, :, 2].tolist() == [0, 0, 0]  # the middle of the first crop is at x = -10
    assert found[1, :, :2] == pytest.approx(np.array([[40.0, 70]] * 3), abs=1.5)
    assert (found[1, :, 2] == 1).all()


def test_a_mirrored_picture_gives_the_mirrored_answer() -> None:
    """With the mirror averaged, any network is blind to the side; left and right change places."""
    info = tiny_info(task=SinglePersonTask(FIGURE), tag_size=0)
    one = Refiner(tiny_network(info), info, FIGURE)
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    found = one.keypoints_in(image, np.array([[20.0, 10, 64, 64]]))[0]
    mirrored = one.keypoints_in(np.ascontiguousarray(image[:, ::-1]), np.array([[128.0 - 84, 10, 64, 64]]))[0]
    mirrored[:, 0] = 128 - mirrored[:, 0]
    assert mirrored[FIGURE.flip_index] == pytest.approx(found, abs=1e-3)
    other = Refiner(one.network, info, FIGURE, views="sizes").keypoints_in(image, np.array([[20.0, 10, 64, 64]]))[0]
    assert not np.allclose(other, found, atol=1e-3)


def test_a_person_is_refined_and_stays_the_same_person() -> None:
    """Moved by some pixels, one keypoint missing, and a second person whom the crop does not show."""
    rough = scored(TRUTH + np.array([[4.0, -3], [-3, 4], [0, 0]]), 0.5, 0.4, 0.0)
    rough[0, 2] = 0
    elsewhere = scored(TRUTH * 0.3 + np.array([1.0, 100]), 0.5, 0.5, 0.5)
    before = people(np.concatenate([rough, elsewhere]))
    refined = refiner()(before, picture())
    after = refined.people
    assert after.keypoints[0, :, :2] == pytest.approx(TRUTH[0], abs=0.35)
    assert np.array_equal(after.keypoints[1], before.keypoints[1])
    for name in ("tag", "class_id"):
        assert np.array_equal(getattr(after, name), getattr(before, name))
    assert after.score[0] == pytest.approx((0.9 + after.keypoints[0, :2, 2].mean()) / 2)
    assert after.score[1] == pytest.approx(0.5 / 2)  # nothing of it was confirmed
    counted = refined.changes
    assert counted == Changes(people=2, left=1, keypoints=5, moved=2, filled=1)
    said = "2 of 5 keypoints moved, 1 filled, 1 of 2 people left as they were, 0 doubles dropped"
    assert str(counted) == said
    assert counted + counted == Changes(4, 2, 10, 4, 2)


def test_two_who_become_one_are_one() -> None:
    """One keypoint of the double lies elsewhere; and the surer one is first afterwards, whoever came first."""
    double = scored(TRUTH + np.array([[30.0, 0], [3, 0], [0, 3]]), 0.5, 0.5, 0.5)
    good = scored(TRUTH + np.array([1.0, 0]), 0.5, 0.5, 0.5)
    other = scored(TRUTH * 0.3 + np.array([1.0, 100]), 0.5, 0.5, 0.5)
    refined = refiner()(people(np.concatenate([other, double, good])), picture())
    assert refined.row.tolist() == [2, 0]
    assert refined.people.tag[:, 0].tolist() == [2, 0]
    assert refined.changes.doubles == 1
    both = refiner(config=replace(REPLACE, duplicate_oks=1.0))(people(np.concatenate([double, good])), picture())
    assert both.row.tolist() == [0, 1]


def test_nobody_found_nobody_refined() -> None:
    nobody = people(np.zeros((0, 3, 3)))
    refined = refiner()(nobody, picture())
    assert refined.people is nobody
    assert refined.changes == Changes()


def test_networks_that_cannot_refine() -> None:
    with pytest.raises(ValueError, match="refined by a model of the task single-person, not pose"):
        Refiner(Network(Oracle(), 3, 0), tiny_info(), FIGURE)
    with pytest.raises(ValueError, match=r"other keypoints \(red, green, blue\) cannot refine a figure"):
        Refiner(Network(Oracle(), 3, 0), tiny_info(task=SinglePersonTask(DOTS)), FIGURE)
    with pytest.raises(ValueError, match="NaN or infinity"):
        refiner(Blind())(people(scored(TRUTH, 0.5)), picture())


def test_views_are_sizes_and_mirror_images(source: SourceConfig) -> None:
    """Fewer views are a subset of all: their heatmaps are averaged."""
    image = read_image(sorted(Path(source.images).iterdir())[0])
    square = np.array([[0.0, 0, 64, 64]])
    info = tiny_info(task=SinglePersonTask(FIGURE), tag_size=0, input_size=128, scales=(1.0, 0.5))
    network, sides = tiny_network(info), []
    predict = network.predict
    network.predict = lambda x: sides.append(x.shape[-1]) or predict(x)  # type: ignore[method-assign, func-returns-value]
    found = {}
    for views, expected in (("all", [128, 128, 64, 64]), ("sizes", [128, 64]), ("one", [128])):
        sides.clear()
        found[views] = Refiner(network, info, FIGURE, views=views).keypoints_in(image, square)  # type: ignore[arg-type]
        assert sides == expected
    assert not np.allclose(found["all"], found["sizes"])
    assert not np.allclose(found["one"], found["sizes"])


def test_a_crop_of_unknown_sides_is_not_mirrored() -> None:
    dots = Skeleton.build("worm", ["kpt_0", "kpt_1", "kpt_2"])
    info = tiny_info(task=SinglePersonTask(dots), tag_size=0)
    assert not Refiner(tiny_network(info), info, dots).flip


# --- believing


def slowly(old: Array, new: Array, size: Array, config: RefineConfig) -> Array:
    """The rule as one would say it, a keypoint at a time."""
    result = old.copy()
    for n, (before, after) in enumerate(zip(old, new, strict=True)):
        found = [k for k in range(len(before)) if before[k, 2] > 0]
        near = [k for k in found if np.hypot(*(before[k, :2] - after[k, :2])) < config.distance * size[n]]
        if len(near) >= config.agree * len(found):
            for k, keypoint in enumerate(after):
                if keypoint[2] >= config.threshold:
                    result[n, k] = keypoint
    return result


@given(seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_the_rule_is_what_it_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    old = rng.random((4, 6, 3)) * [50, 50, 1]
    old[rng.random((4, 6)) < 0.3] = 0
    new = rng.random((4, 6, 3)) * [50, 50, 1]
    close = rng.random((4, 6)) < rng.random()
    new[close, :2] = old[close, :2] + rng.normal(0, 2, (int(close.sum()), 2))
    size = rng.uniform(20, 60, 4)
    config = RefineConfig(threshold=0.3, distance=0.1, agree=float(rng.random()))
    near = agreeing(old, new, size, config)
    assert np.array_equal(merged_keypoints(old, new, near, config), slowly(old, new, size, config))
    assert (near <= (old[:, :, 2] > 0)).all()


@pytest.mark.parametrize(("count", "believed"), [(3, False), (4, True)])
def test_a_fifth_must_agree(count: int, believed: bool) -> None:
    """Of 17 keypoints, 4 are more than a fifth; the size of the person says what is near."""
    old = np.concatenate([np.random.default_rng(0).random((1, 17, 2)) * 100, np.ones((1, 17, 1))], axis=2)
    new = old + np.array([11.0, 0, 0])
    new[0, :count] -= np.array([2.0, 0, 0])
    config = RefineConfig(distance=0.1, agree=0.2)
    near = agreeing(old, new, np.array([100.0]), config)
    assert near.sum() == count
    assert np.array_equal(merged_keypoints(old, new, near, config), new if believed else old)


def test_a_score_is_the_mean_of_both_looks() -> None:
    """Of three keypoints found, two are confirmed with 0.6 and 0.9; the fourth was not found at first."""
    old = np.array([[[0, 0, 0.4], [9, 9, 0.4], [5, 5, 0.4], [0, 0, 0]]])
    new = np.array([[[0, 0, 0.6], [9, 9, 0.9], [50, 5, 0.8], [7, 7, 1.0]]])
    near = agreeing(old, new, np.array([20.0]), RefineConfig())
    assert near.tolist() == [[True, True, False, False]]
    assert refined_score(np.array([0.4]), old, new, near) == pytest.approx([(0.4 + 0.5) / 2])
    assert refined_score(np.array([0.4]), old * 0, new, near & False) == pytest.approx([0.2])


def as_the_demo_does(old: Array, new: Array) -> Array:
    """pose-ae-demo's rule, a keypoint at a time."""
    result = old.copy()
    for n, (before, after) in enumerate(zip(old, new, strict=True)):
        matches = [np.sum((b[:2] - a[:2]) ** 2) < 100 for b, a in zip(before, after, strict=True) if b[2] > 0]
        if np.mean(matches) >= 0.2:
            for k, (b, a) in enumerate(zip(before, after, strict=True)):
                if b[2] == 0 or a[2] > 0.15:
                    result[n, k] = a
    return result


@given(seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_the_published_rule_is_the_demo_codes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    old = rng.random((4, 6, 3)) * [50, 50, 1]
    old[:, 1:][rng.random((4, 5)) < 0.3] = 0  # the demo code needs a keypoint
    new = rng.random((4, 6, 3)) * [50, 50, 0.3]
    close = rng.random((4, 6)) < rng.random()
    new[close, :2] = old[close, :2] + rng.normal(0, 8, (int(close.sum()), 2))
    config = RefineConfig(rule="published")
    near = agreeing(old, new, rng.uniform(1, 1000, 4), config)  # the size of a person does not matter
    assert np.array_equal(merged_keypoints(old, new, near, config), as_the_demo_does(old, new))


def test_by_the_published_rule_scores_stay_and_nobody_is_dropped() -> None:
    """And a keypoint lies a quarter map pixel, here of 100 / 32 pixels, beside the middle of one."""
    double = scored(TRUTH + np.array([[3.0, 0], [3, 0], [0, 3]]), 0.5, 0.5, 0.5)
    good = scored(TRUTH + np.array([1.0, 0]), 0.5, 0.5, 0.5)
    before = people(np.concatenate([double, good]))
    refined = refiner(config=replace(REPLACE, rule="published"))(before, picture())
    assert refined.row.tolist() == [0, 1]
    assert np.array_equal(refined.people.score, before.score)
    assert not np.array_equal(refined.people.keypoints, before.keypoints)
    square = np.array([[40.0, 40, 100, 100]])
    found = refiner(config=replace(REPLACE, rule="published"), views="sizes").keypoints_in(picture(), square)
    places = (found[0, :, :2] - 40) / (100 / 32) % 1
    assert np.minimum(abs(places - 0.25), abs(places - 0.75)).max() < 1e-4
