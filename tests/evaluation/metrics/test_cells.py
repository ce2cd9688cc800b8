"""Scores of cells: hand-computed cases, a naive oracle on sets of pixels, adversity."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.evaluation.metrics.cells import CellScores, cell_scores
from associative_embedding.structures.masks import Masks
from support.memory import measured

SIZE = 9, 10
Pixels = frozenset[tuple[int, int]]
Image = tuple[list[np.ndarray], list[np.ndarray], np.ndarray | None]


def box(y0: int, x0: int, y1: int, x1: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def masks(*dense: np.ndarray, size: tuple[int, int] = SIZE) -> Masks:
    return Masks.from_dense(dense, size)


def score(truth: list[np.ndarray], found: list[np.ndarray], ignore: np.ndarray | None = None) -> CellScores:
    return cell_scores(masks(*truth), masks(*found), ignore)


def pixels(mask: np.ndarray) -> Pixels:
    return frozenset(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))


def iou_of(a: Pixels, b: Pixels) -> Fraction:
    return Fraction(len(a & b), len(a | b)) if a | b else Fraction(0)


def best_pairs(truth: list[Pixels], found: list[Pixels], percent: int) -> list[tuple[int, int]]:
    """Of all one-to-one pairings above the threshold the one with the most pairs, then the highest IoUs."""
    pairings = []
    for chosen in set(permutations([*range(len(found)), *[-1] * len(truth)], len(truth))):
        pairs = [(t, f) for t, f in enumerate(chosen) if f >= 0]
        ious = [iou_of(truth[t], found[f]) for t, f in pairs]
        if all(iou > Fraction(percent, 100) for iou in ious):
            pairings.append((len(pairs), sum(ious), pairs))
    return max(pairings)[2]


def naive_aji(truth: list[Pixels], found: list[Pixels], excused: list[bool]) -> float:
    common, union, used = 0, 0, set()
    for t in truth:
        best, best_iou = -1, Fraction(0)
        for i, f in enumerate(found):
            if iou_of(t, f) > best_iou:
                best, best_iou = i, iou_of(t, f)
        if best < 0:
            union += len(t)
            continue
        common += len(t & found[best])
        union += len(t | found[best])
        used.add(best)
    union += sum(len(f) for i, f in enumerate(found) if i not in used and not excused[i])
    return common / union if union else 1.0


def naive(images: list[Image]) -> dict[str, float | None]:
    """The definitions as they are written, on sets of pixels."""
    first, every, jaccard, ious = [], [], [], []
    tp = fp = fn = 0
    for truth_masks, found_masks, ignore_mask in images:
        ignore = pixels(np.zeros(SIZE, bool) if ignore_mask is None else ignore_mask)
        truth = [t - ignore for t in map(pixels, truth_masks) if t - ignore]
        found = [f - ignore for f in map(pixels, found_masks)]
        excused = [len(f & ignore) > len(f - ignore) for f in map(pixels, found_masks)]
        rates = []
        for percent in range(50, 100, 5):
            pairs = best_pairs(truth, found, percent)
            taken = {f for _, f in pairs}
            invented = sum(f not in taken and not excused[f] for f in range(len(found)))
            total = len(truth) + invented
            rates.append(len(pairs) / total if total else 1.0)
            if percent == 50:
                tp, fp, fn = tp + len(pairs), fp + invented, fn + len(truth) - len(pairs)
                ious += [iou_of(truth[t], found[f]) for t, f in pairs]
        first.append(rates[0])
        every.append(sum(rates) / 10)
        jaccard.append(naive_aji(truth, found, excused))
    objects = tp + fp / 2 + fn / 2
    return {
        "dsb_ap50": float(np.mean(first)),
        "dsb_map": float(np.mean(every)),
        "aji": float(np.mean(jaccard)),
        "pq": float(sum(ious)) / objects if objects else None,
        "sq": float(sum(ious)) / tp if tp else None,
        "rq": tp / objects if objects else None,
        "precision50": tp / (tp + fp) if tp + fp else None,
        "recall50": tp / (tp + fn) if tp + fn else None,
    }


def near(boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The boxes with their edges moved a little; some lost, some new."""
    moved = boxes + rng.integers(-1, 2, boxes.shape)
    return np.concatenate([moved[rng.random(len(moved)) < 0.8], rng.integers(0, 9, (rng.integers(0, 2), 4))])[:3]


def drawn(boxes: np.ndarray, *, disjoint: bool) -> list[np.ndarray]:
    dense = [box(*np.maximum(b, 0).tolist()) for b in boxes]
    if disjoint:
        labels = np.zeros(SIZE, int)
        for i, mask in enumerate(dense, start=1):
            labels[mask] = i
        dense = [labels == i + 1 for i in range(len(dense))]
    return [mask for mask in dense if mask.any()]


def random_image(rng: np.random.Generator, *, disjoint: bool) -> Image:
    corner = rng.integers(0, 6, (rng.integers(0, 4), 2))
    truth = np.concatenate([corner, corner + rng.integers(2, 6, corner.shape)], axis=1)
    ignore = rng.random(SIZE) < rng.choice([0.1, 0.5]) if disjoint and rng.random() < 0.6 else None
    return drawn(truth, disjoint=disjoint), drawn(near(truth, rng), disjoint=disjoint), ignore


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_is_the_naive_definition(seed: int, disjoint: bool) -> None:
    """Of disjoint masks also with ignored pixels; of others which found object is left over may be a tie."""
    rng = np.random.default_rng(seed)
    images = [random_image(rng, disjoint=disjoint) for _ in range(rng.integers(1, 4))]
    mine, expected = sum((score(*image) for image in images), CellScores()).numbers(), naive(images)
    assert list(mine) == list(expected)
    for name, value in expected.items():
        assert mine[name] == (None if value is None else pytest.approx(value)), name


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_order_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found, ignore = random_image(rng, disjoint=True)
    numbers = [score(truth[::step], found[::step], ignore).numbers() | {"aji": 0} for step in (1, -1)]
    assert numbers[0] == pytest.approx(numbers[1])  # but for aji, which takes the first in a tie


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_perfect_is_one_whatever_is_ignored(seed: int) -> None:
    truth, _, ignore = random_image(np.random.default_rng(seed), disjoint=True)
    assert all(value in (1, None) for value in score(truth, truth, ignore).numbers().values())


LEFT, RIGHT = box(0, 0, 4, 4), box(0, 4, 4, 10)  # 16 and 24 pixels


def test_perfect_and_nothing_found() -> None:
    assert set(score([LEFT, RIGHT], [RIGHT, LEFT]).numbers().values()) == {1.0}
    nothing = score([LEFT, RIGHT], []).numbers()
    assert nothing == dict.fromkeys(nothing, 0.0) | {"sq": None, "precision50": None}
    invented = score([], [LEFT]).numbers()
    assert invented == dict.fromkeys(nothing, 0.0) | {"sq": None, "recall50": None}


def test_an_empty_image_is_right() -> None:
    numbers = score([], []).numbers()
    assert numbers == dict.fromkeys(numbers) | {"dsb_ap50": 1.0, "dsb_map": 1.0, "aji": 1.0}
    assert CellScores().numbers() == dict.fromkeys(numbers)
    assert json.loads(json.dumps(numbers)) == numbers


def test_a_merged_pair() -> None:
    """One object over both: an IoU of 24/40 with the larger, 16/40 with the smaller."""
    scores = score([LEFT, RIGHT], [LEFT | RIGHT])
    assert (scores.matched, scores.missed, scores.invented) == (1, 1, 0)
    numbers = scores.numbers()
    assert numbers["dsb_ap50"] == 1 / 2
    assert numbers["dsb_map"] == pytest.approx(2 * (1 / 2) / 10)  # above 0.5 and 0.55, not above 0.6
    assert numbers["aji"] == pytest.approx((16 + 24) / (40 + 40))  # used twice, as in the paper
    assert numbers["sq"] == pytest.approx(24 / 40)
    assert numbers["rq"] == pytest.approx(2 / 3)
    assert numbers["pq"] == pytest.approx(24 / 40 * 2 / 3)
    assert (numbers["precision50"], numbers["recall50"]) == (1, 1 / 2)


def test_a_split_object() -> None:
    """In 60 and 40 hundredths: the larger part is a match at 0.5 and 0.55, the other is invented."""
    whole, parts = box(0, 0, 4, 10), [box(0, 0, 4, 6), box(0, 6, 4, 10)]
    scores = score([whole], parts)
    assert (scores.matched, scores.missed, scores.invented) == (1, 0, 1)
    numbers = scores.numbers()
    assert numbers["dsb_ap50"] == 1 / 2
    assert numbers["dsb_map"] == pytest.approx(2 * (1 / 2) / 10)
    assert numbers["aji"] == pytest.approx(24 / (40 + 16))
    assert numbers["pq"] == pytest.approx(0.6 / 1.5)


@pytest.mark.parametrize("part", [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
def test_a_match_is_strictly_above(part: int) -> None:
    """IoUs of part/20, which is each of the thresholds once: 0.55 is no match at 0.55."""
    size = 1, 20
    numbers = cell_scores(
        masks(box(0, 0, 1, 20, size), size=size), masks(box(0, 0, 1, part, size), size=size)
    ).numbers()
    assert numbers["dsb_map"] == pytest.approx((part - 10) / 10)
    assert numbers["dsb_ap50"] == (part > 10)


def test_means_are_over_images_and_counts_over_all() -> None:
    """One image with one object, found; one with three, none found."""
    three = [box(0, 0, 2, 2), box(3, 3, 5, 5), box(6, 6, 8, 8)]
    total = score([LEFT], [LEFT]) + score(three, [])
    assert (total.images, total.matched, total.missed, total.invented) == (2, 1, 3, 0)
    numbers = total.numbers()
    assert (numbers["dsb_ap50"], numbers["dsb_map"], numbers["aji"]) == (0.5, 0.5, 0.5)
    assert numbers["recall50"] == 1 / 4
    assert numbers["pq"] == pytest.approx(1 / 2.5)


def test_the_same_object_twice_is_invented_once() -> None:
    scores = score([LEFT], [LEFT, LEFT])
    assert (scores.matched, scores.missed, scores.invented) == (1, 0, 1)
    assert scores.aji == pytest.approx(16 / 32)


def test_ignored_pixels_count_for_neither() -> None:
    right_part = box(0, 2, 9, 10)
    wrong_there = LEFT | box(4, 3, 9, 10)
    assert score([LEFT], [wrong_there], right_part).numbers() == score([LEFT], [LEFT]).numbers()
    lost = score([LEFT, RIGHT], [LEFT], box(0, 4, 9, 10))  # a truth that lies all in them is none
    assert (lost.matched, lost.missed) == (1, 0)


def test_what_lies_mostly_in_ignored_pixels_is_not_invented() -> None:
    """Three quarters, a half, and all of it; but a match is a match."""
    stray = box(5, 0, 9, 4)
    for ignored, invented in ((box(5, 0, 8, 4), 0), (box(5, 0, 7, 4), 1), (box(4, 0, 9, 9), 0)):
        scores = score([LEFT], [LEFT, stray], ignored)
        assert (scores.matched, scores.invented) == (1, invented)
        assert scores.aji == pytest.approx(16 / (16 + 8 * invented))
    matched = score([LEFT], [LEFT], box(0, 0, 3, 4))
    assert (matched.matched, matched.missed, matched.invented) == (1, 0, 0)


def test_objects_without_pixels() -> None:
    nothing = np.zeros(SIZE, bool)
    scores = score([LEFT, nothing], [LEFT, nothing])
    assert (scores.matched, scores.missed, scores.invented) == (1, 0, 1)


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"of an image of \(9, 10\), but found masks of an image of \(4, 4\)"):
        cell_scores(masks(LEFT), Masks.empty((4, 4)))
    with pytest.raises(ValueError, match="a region must be"):
        cell_scores(masks(LEFT), masks(LEFT), np.zeros((4, 4), bool))


def test_hundreds_of_cells_are_quick() -> None:
    side = 20
    size = 20 * side, 20 * side + 10
    places = [(y, x) for y in range(0, 20 * side, side) for x in range(0, 20 * side, side)]
    truth = masks(*(box(y, x, y + 18, x + 18, size) for y, x in places), size=size)
    found = masks(*(box(y, x + i % 9, y + 18, x + i % 9 + 18, size) for i, (y, x) in enumerate(places)), size=size)
    start = time.process_time()
    scores = cell_scores(truth, found)
    assert time.process_time() - start < 1
    assert scores.matched + scores.missed == 400
    assert scores.missed == sum(i % 9 >= 6 for i in range(400))  # 12 of 24 columns are no match


GRID = """
import numpy as np
from associative_embedding.evaluation.metrics.cells import cell_scores
from associative_embedding.structures.masks import Masks
corners = np.stack(np.indices((100, 100)), axis=-1).reshape(-1, 2) * 6
crops = (np.ones((6, 6), bool),) * 10_000
truth, found = Masks((604, 604), corners, crops), Masks((604, 604), corners + 1, crops)
scores = cell_scores(truth, found)
print(scores.matched, scores.missed, scores.invented, round(scores.aji, 6), round(scores.dsb_map, 6))
"""


@pytest.mark.slow
def test_ten_thousand_cells_need_little_memory() -> None:
    """Each meets up to four others by an IoU of at most 25 / 47. An array of all pairs alone would have 800 MB."""
    result = measured(GRID)
    assert result.output.split() == ["10000", "0", "0", f"{25 / 47:.6f}", "0.1"]
    assert result.megabytes < 500
