"""The losses against the paper's formula written as loops, published values, and invariances."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from associative_embedding.losses import (
    Kernel,
    Reduction,
    cross_entropy_loss,
    focal_loss,
    mse_loss,
    pixel_tag_loss,
    tag_loss,
)
from associative_embedding.structures.maps import TagSamples
from associative_embedding.training.collate import join_samples

OFFICIAL = {"push_sigma": 0.5**0.5, "pull_reduction": "mean", "official_push": True}
PAPER = {"push_sigma": 1.0, "pull_reduction": "sum", "official_push": False}
HINGE = OFFICIAL | {"push_kernel": "max"}
VARIANTS = [
    pytest.param(PAPER, id="paper"),
    pytest.param(OFFICIAL, id="official"),
    pytest.param(HINGE, id="hinge"),
]


def naive(
    tag: Tensor,
    samples: TagSamples,
    *,
    push_sigma: float,
    pull_reduction: Reduction,
    official_push: bool,
    push_kernel: Kernel = "exp",
) -> tuple[Tensor, Tensor]:
    """The formulas as loops over images, people, keypoints and pairs of people."""
    rows = list(
        zip(*(getattr(samples, name).tolist() for name in ("batch", "channel", "y", "x", "group")), strict=True)
    )
    pulls, pushes = [], []
    for b in range(len(tag)):
        people = [g for g, image in enumerate(samples.groups.tolist()) if image == b]
        pull = push = tag.new_zeros(())
        means = []
        for person in people:
            tags = [tag[b, c, :, y, x] for image, c, y, x, g in rows if g == person and image == b]
            mean = sum(tags[1:], tags[0]) / len(tags)
            spread = [((t - mean) ** 2).sum() / len(mean) for t in tags]
            pull = pull + sum(spread) / (len(tags) if pull_reduction == "mean" else 1) / len(people)
            means.append(mean)
        for i, j in product(range(len(means)), repeat=2):
            squared = ((means[i] - means[j]) ** 2).sum() / len(means[i])
            if push_kernel == "exp":
                kernel = torch.exp(-squared / (2 * push_sigma**2))
            else:
                kernel = (1 - squared**0.5).clamp(min=0) if i != j else torch.ones(())
            if not official_push:
                push = push + kernel / len(people) ** 2
            elif i != j:
                push = push + 0.5 * kernel / (len(people) * (len(people) - 1))
        pulls.append(pull)
        pushes.append(push)
    return torch.stack(pulls), torch.stack(pushes)


def random_case(
    people: list[int], *, dimension: int = 1, seed: int = 0, shape: tuple[int, int, int] = (5, 6, 7)
) -> tuple[Tensor, TagSamples]:
    """Tags ``(B, C, D, h, w)`` float64, and samples of so many people in each image, 1 to C keypoints each."""
    rng = np.random.default_rng(seed)
    channels, height, width = shape
    tag = torch.from_numpy(rng.normal(size=(len(people), channels, dimension, height, width)))
    indices = []
    for count in people:
        rows = [
            (k, rng.integers(height), rng.integers(width), person)
            for person in range(count)
            for k in rng.permutation(channels)[: rng.integers(1, channels + 1)]
        ]
        indices.append(np.array(rows, dtype=np.int64).reshape(-1, 4))
    return tag, join_samples(indices)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("people", [[0], [1], [2], [0, 1, 2, 5, 0], [12, 0, 1]])
@pytest.mark.parametrize("dimension", [1, 3])
def test_tag_loss_is_the_formula(variant: dict, people: list[int], dimension: int) -> None:
    tag, samples = random_case(people, dimension=dimension)
    a, b = tag.clone().requires_grad_(), tag.clone().requires_grad_()
    ours, loops = tag_loss(a, samples, **variant), naive(b, samples, **variant)
    for value, oracle in zip(ours, loops, strict=True):
        torch.testing.assert_close(value, oracle)
    if any(people):
        weight = torch.linspace(0.5, 2, len(people), dtype=torch.float64)
        sum(((term * weight).sum() for term in ours), torch.zeros(())).backward()
        sum(((term * weight).sum() for term in loops), torch.zeros(())).backward()
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("variant", VARIANTS)
def test_images_with_nobody_and_one_person(variant: dict) -> None:
    tag, samples = random_case([0, 1, 0])
    pull, push = tag_loss(tag.requires_grad_(), samples, **variant)
    assert pull[0] == pull[2] == push[0] == push[2] == 0
    assert push[1] == (0 if variant["official_push"] else 1)  # the paper's diagonal: exp(0) / 1^2
    (pull.sum() + push.sum()).backward()
    assert torch.isfinite(tag.grad).all()


def test_a_batch_without_people_has_a_backward() -> None:
    tag, samples = random_case([0, 0])
    pull, push = tag_loss(tag.requires_grad_(), samples)
    assert pull.shape == push.shape == (2,)
    (pull.sum() + push.sum()).backward()
    assert (tag.grad == 0).all()


@pytest.mark.parametrize("variant", VARIANTS)
@given(
    people=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    constant=st.floats(-50, 50),
    seed=st.integers(0, 999),
    dimension=st.integers(1, 3),
)
@settings(max_examples=20, deadline=None)
def test_invariances(variant: dict, people: list[int], constant: float, seed: int, dimension: int) -> None:
    tag, samples = random_case(people, dimension=dimension, seed=seed)
    pull, push = tag_loss(tag, samples, **variant)
    assert torch.isfinite(pull).all()
    assert torch.isfinite(push).all()

    shifted = tag_loss(tag + constant, samples, **variant)
    torch.testing.assert_close(shifted, (pull, push), rtol=1e-6, atol=1e-9)

    groups = len(samples.groups)
    name = torch.randperm(groups, generator=torch.Generator().manual_seed(seed))  # old group -> new group
    row = torch.randperm(len(samples.group), generator=torch.Generator().manual_seed(seed))
    moved = [getattr(samples, field)[row] for field in ("batch", "channel", "y", "x")]
    renamed = TagSamples(*moved, group=name[samples.group[row]], groups=samples.groups[name.argsort()])
    torch.testing.assert_close(tag_loss(tag, renamed, **variant), (pull, push))

    image = torch.randperm(len(people), generator=torch.Generator().manual_seed(seed))  # new place -> old place
    place = image.argsort()
    shuffled = TagSamples(
        place[samples.batch], samples.channel, samples.y, samples.x, samples.group, place[samples.groups]
    )
    torch.testing.assert_close(tag_loss(tag[image], shuffled, **variant), (pull[image], push[image]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_images_do_not_mix(variant: dict) -> None:
    tag, samples = random_case([3, 2])
    changed = tag.clone()
    changed[1] += torch.randn(changed[1].shape, dtype=torch.float64)
    before, after = tag_loss(tag, samples, **variant), tag_loss(changed, samples, **variant)
    for a, b in zip(before, after, strict=True):
        assert a[0] == b[0]
        assert a[1] != b[1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_tag_gradient(variant: dict) -> None:
    tag, samples = random_case([2, 0, 3], dimension=2, shape=(2, 2, 3))
    assert torch.autograd.gradcheck(lambda t: tag_loss(t, samples, **variant), (tag.requires_grad_(),))


def test_repeated_dimensions_change_nothing() -> None:
    """The square of a difference is a mean over D: sigma keeps its meaning with mirror and scales."""
    tag, samples = random_case([3, 2])
    torch.testing.assert_close(tag_loss(tag.repeat(1, 1, 4, 1, 1), samples), tag_loss(tag, samples))


def test_gradient_steps_separate_two_people() -> None:
    tag, samples = random_case([2], seed=3)
    tag = (tag * 0.01).requires_grad_()
    optimizer = torch.optim.Adam([tag], lr=0.1)
    for _ in range(150):
        pull, push = tag_loss(tag, samples)
        loss = (pull + push).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert pull.item() < 0.02
    assert push.item() < 0.55  # 1/2 is the diagonal


def test_the_hinge_stops_where_tags_are_1_apart() -> None:
    tag = torch.tensor([0.0, 0.9, 2.0], requires_grad=True)
    samples = join_samples([np.array([[0, 0, x, x] for x in range(3)], dtype=np.int64)])
    _, push = tag_loss(tag.view(1, 1, 1, 1, 3), samples, **HINGE)
    torch.testing.assert_close(push, torch.tensor([0.5 * 2 * 0.1 / 6]))
    push.sum().backward()
    assert tag.grad[0] > 0 > tag.grad[1]
    assert tag.grad[2] == 0
    equal = torch.zeros(1, 1, 1, 1, 3, requires_grad=True)
    tag_loss(equal, samples, **HINGE)[1].sum().backward()
    assert (equal.grad == 0).all()  # nobody knows which way


def published(shared: Path, name: str) -> tuple[dict[str, np.ndarray], Tensor, TagSamples]:
    """Of four images: the golden values, the tags ``(4, 17, 1, h, w)`` and where they are read.

    Published code lists a person's places as flat indices (type, y, x), packed to the front.
    """
    golden = dict(np.load(shared / f"reference/goldens/{name}.npz"))
    side = int((golden["tags"].shape[1] / 17) ** 0.5)
    tag = torch.from_numpy(golden["tags"]).view(4, 17, 1, side, side).requires_grad_()
    indices = []
    for joints in golden["joints"]:
        person, slot = np.nonzero(joints[:, :, 1])
        channel, place = np.divmod(joints[person, slot, 0], side * side)
        indices.append(np.stack([channel, place // side, place % side, person], axis=1).astype(np.int64))
    return golden, tag, join_samples(indices)


@pytest.mark.parametrize("name", ["ae_loss_basic", "ae_loss_all_joints"])
def test_published_tag_loss(shared: Path, name: str) -> None:
    """HigherHRNet's and the official C code's values and gradients (peers.md 1.3), for 0, 1 and more people."""
    golden, tag, samples = published(shared, name)
    pull, push = tag_loss(tag, samples, **OFFICIAL)
    for author in ("hhr", "c"):
        np.testing.assert_allclose(pull.detach(), golden[f"{author}_pull"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(push.detach(), golden[f"{author}_push"], rtol=1e-5, atol=1e-6)
    weight = torch.from_numpy(golden["w"])
    ((push * weight[0]).sum() + (pull * weight[1]).sum()).backward()
    gradient = tag.grad.flatten(1).numpy()
    row, column = golden["grad_index"].T
    np.testing.assert_allclose(gradient[row, column], golden["grad_value"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gradient[row, column], golden["c_grad_value"], rtol=1e-4, atol=1e-6)
    gradient[row, column] = 0
    assert (gradient == 0).all()  # and nowhere else


@pytest.mark.parametrize("name", ["ae_loss_basic", "ae_loss_all_joints"])
def test_published_variants_of_the_tag_loss(shared: Path, name: str) -> None:
    """HigherHRNet's hinge; and mmpose 1.x, whose push holds the diagonal but divides by 2 N (N - 1): 1 / 2 (N - 1) is
    added, without a gradient (peers.md 1.3)."""
    golden, tag, samples = published(shared, name)
    pull, push = tag_loss(tag.detach(), samples, **HINGE)
    np.testing.assert_allclose(pull, golden["hhr_max_pull"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(push, golden["hhr_max_push"], rtol=1e-5, atol=1e-6)
    pull, push = tag_loss(tag.detach(), samples, **OFFICIAL)
    people = torch.bincount(samples.groups, minlength=4)
    diagonal = torch.where(people > 1, 0.5 / (people - 1), 0)
    np.testing.assert_allclose(pull, golden["mm1_pull"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(push + diagonal, golden["mm1_push_half"], rtol=1e-5, atol=1e-6)


def test_published_heatmap_loss(shared: Path) -> None:
    golden = np.load(shared / "reference/goldens/heatmap_loss.npz")
    heatmap, target = torch.from_numpy(golden["pred"]), torch.from_numpy(golden["gt"])
    valid = torch.from_numpy(golden["mask"])[:, None].expand_as(target)
    ours = mse_loss(heatmap, target, valid)
    np.testing.assert_allclose(ours, golden["hhr"], rtol=1e-5)
    np.testing.assert_allclose(ours, golden["pose_ae_train"], rtol=1e-5)


def heatmaps(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    heatmap, target = torch.rand(2, 2, 3, 4, 5, generator=generator, dtype=torch.float64)
    return heatmap, target, (torch.rand(2, 3, 4, 5, generator=generator) < 0.7).double()


def test_mse_foreground() -> None:
    heatmap, target, valid = heatmaps()
    loops = torch.zeros(2, dtype=torch.float64)
    for b, c, y, x in product(range(2), range(3), range(4), range(5)):
        i = (b, c, y, x)
        loops[b] += valid[i] * (1 + 9 * target[i]) * (heatmap[i] - target[i]) ** 2 / 60
    torch.testing.assert_close(mse_loss(heatmap, target, valid, foreground=10.0), loops)


def test_focal_is_the_formula() -> None:
    heatmap, target, valid = heatmaps()
    loops = torch.zeros(2, dtype=torch.float64)
    for b, c, y, x in product(range(2), range(3), range(4), range(5)):
        p, t = heatmap[b, c, y, x], target[b, c, y, x]
        share = t**8
        pixel = share * (1 - p) ** 2 * p.log() + (1 - share) * (1 - t) ** 4 * p**2 * (1 - p).log()
        loops[b] -= valid[b, c, y, x] * pixel
    mass = (target**8 * valid).sum(dim=(1, 2, 3)).clamp(min=1)
    torch.testing.assert_close(focal_loss(heatmap, target, valid), loops / mass)


@pytest.mark.parametrize("loss", [mse_loss, focal_loss])
def test_heatmap_gradient(loss) -> None:
    heatmap, target, valid = heatmaps()
    assert torch.autograd.gradcheck(lambda h: loss(h, target, valid), (heatmap.requires_grad_(),))


@given(target=st.floats(0, 1), heatmap=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_mse_minimum_is_at_the_target(target: float, heatmap: float) -> None:
    value, goal = torch.full((1, 1, 1, 1), heatmap), torch.full((1, 1, 1, 1), target)
    valid = torch.ones_like(goal)
    assert mse_loss(value, goal, valid) >= mse_loss(goal, goal, valid) == 0


@given(
    target=st.sampled_from([0.0, 1.0]), heatmap=st.one_of(st.sampled_from([0.0, 1.0, 1e-6, 1 - 1e-6]), st.floats(0, 1))
)
@settings(max_examples=60, deadline=None)
def test_focal_teaches_saturated_pixels(target: float, heatmap: float) -> None:
    """Finite, least at the target, and with a gradient towards it even where the heatmap is 0 or 1 by mistake."""
    goal = torch.full((1, 1, 1, 1), target, dtype=torch.float64)
    value = torch.full((1, 1, 1, 1), heatmap, dtype=torch.float64, requires_grad=True)
    loss = focal_loss(value, goal, torch.ones_like(goal))
    loss.sum().backward()
    assert torch.isfinite(value.grad).all()
    assert loss.item() >= 0
    if abs(heatmap - target) > 1e-3:
        assert torch.sign(value.grad).item() == np.sign(heatmap - target)


def test_focal_hardly_punishes_a_response_near_a_keypoint() -> None:
    response = torch.full((1, 1, 1, 1), 0.7)
    near, far = (focal_loss(response, torch.full((1, 1, 1, 1), t), torch.ones(1, 1, 1, 1)) for t in (0.7, 0.0))
    assert near < 0.1 * far


@pytest.mark.parametrize("loss", [mse_loss, focal_loss])
def test_masked_pixels_do_not_count(loss) -> None:
    heatmap, target, valid = heatmaps()
    noisy = torch.where(valid == 0, torch.rand_like(heatmap), heatmap)
    torch.testing.assert_close(loss(noisy, target, valid), loss(heatmap, target, valid))
    assert (loss(heatmap, target, torch.zeros_like(valid)) == 0).all()


def test_images_have_their_own_heatmap_loss() -> None:
    heatmap, target, valid = heatmaps()
    for loss in (mse_loss, focal_loss):
        alone = torch.cat([loss(heatmap[i : i + 1], target[i : i + 1], valid[i : i + 1]) for i in range(2)])
        torch.testing.assert_close(loss(heatmap, target, valid), alone)


def random_samples(seed: int, batch: int = 3, side: int = 6) -> tuple[TagSamples, list[tuple[int, int, int, int, int]]]:
    rng = np.random.default_rng(seed)
    rows, groups = [], []
    for image in range(batch):
        for _ in range(rng.integers(0, 4)):
            channel = int(rng.integers(2))
            for y, x in rng.integers(side, size=(rng.integers(1, 4), 2)).tolist():
                rows.append((image, channel, y, x, len(groups)))
            groups.append(image)
    columns = torch.tensor(rows, dtype=torch.int64).reshape(-1, 5).T
    return TagSamples(*columns, groups=torch.tensor(groups, dtype=torch.int64)), rows


@given(seed=st.integers(0, 999), dimension=st.integers(1, 3), near=st.sampled_from([0.0, 3.0]))
@settings(deadline=None, max_examples=40)
def test_pixel_loss_against_the_double_sum(seed: int, dimension: int, near: float) -> None:
    samples, rows = random_samples(seed)
    tag = torch.randn(3, 2, dimension, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    pull, push = [0.0] * 3, [0.0] * 3
    for a, b in product(rows, rows):
        if a[:2] != b[:2]:
            continue
        squared = float((tag[a[0], a[1], :, a[2], a[3]] - tag[b[0], b[1], :, b[2], b[3]]).square().mean())
        if a[4] == b[4]:
            pull[a[0]] += squared
        elif not near or (a[2] - b[2]) ** 2 + (a[3] - b[3]) ** 2 < near**2:
            push[a[0]] += float(np.exp(-squared / (2 * 0.7**2)))
    found = pixel_tag_loss(tag, samples, push_sigma=0.7, near=near)
    torch.testing.assert_close(found[0], torch.tensor(pull, dtype=torch.float64))
    torch.testing.assert_close(found[1], torch.tensor(push, dtype=torch.float64))


def test_cross_entropy_is_torchs() -> None:
    p, t = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    theirs = torch.nn.functional.binary_cross_entropy(p, t, reduction="none").mean(dim=(1, 2, 3))
    torch.testing.assert_close(cross_entropy_loss(p, t, torch.ones_like(p)), theirs, atol=1e-3, rtol=1e-3)
    assert (cross_entropy_loss(p, t, torch.zeros_like(p)) == 0).all()
