"""mAP^r of PASCAL VOC: hand-computed cases, a naive oracle, void pixels, ties, adversity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from associative_embedding.evaluation.metrics.ranking import mean_of_defined, ranked_precision
from associative_embedding.evaluation.metrics.voc import VocImage, hits, voc_map
from associative_embedding.structures.masks import Masks

SIZE = 8, 10
CLASSES = {1: "cat", 2: "dog", 7: "sofa"}


def box(y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def image(
    truth: list[tuple[np.ndarray, int]], found: list[tuple[np.ndarray, int, float]], void: np.ndarray | None = None
) -> VocImage:
    return VocImage(
        truth=Masks.from_dense([row[0] for row in truth], SIZE),
        truth_class=np.array([row[1] for row in truth], np.int64),
        found=Masks.from_dense([row[0] for row in found], SIZE),
        found_class=np.array([row[1] for row in found], np.int64),
        score=np.array([row[2] for row in found], np.float64),
        void=void,
    )


def naive_ap(images: list[VocImage], class_id: int, threshold: float) -> float | None:
    """As it is written: all detections by score, each against what is uncovered in its image; dense masks."""
    rows, covered, total = [], set(), 0
    for n, one in enumerate(images):
        clear = np.ones(SIZE, bool) if one.void is None else ~one.void
        truth = [t & clear for t, c in zip(one.truth.dense(), one.truth_class, strict=True) if c == class_id]
        total += sum(bool(t.any()) for t in truth)
        for mask, c, score in zip(one.found.dense(), one.found_class, one.score, strict=True):
            if c == class_id:
                rows.append((score, n, mask & clear, truth))
    precisions, true = [], 0
    for number, (_, n, mask, truth) in enumerate(sorted(rows, key=lambda row: row[0], reverse=True), start=1):
        best, best_iou = -1, 0.0
        for t, other in enumerate(truth):
            union = (mask | other).sum()
            if (n, t) not in covered and union and (mask & other).sum() / union > best_iou:
                best, best_iou = t, (mask & other).sum() / union
        if best_iou > threshold:
            covered.add((n, best))
            true += 1
        precisions.append((true, true / number))
    # at each recall k / total, the best precision that has at least this recall
    levels = [max([p for right, p in precisions if right >= k], default=0.0) for k in range(1, total + 1)]
    return sum(levels) / total if total else None


def random_image(rng: np.random.Generator) -> VocImage:
    """Objects that overlap and near misses, equal scores, classes that only one side has."""
    truth = [(box(y, x, y + h, x + w), c) for y, x, h, w, c in draw(rng, int(rng.integers(0, 4)))]
    found = [
        (np.roll(mask, rng.integers(-1, 2, 2), (0, 1)), int(rng.choice([c, c, c, 2])), rng.integers(0, 4) / 4)
        for mask, c in (truth[i] for i in rng.integers(0, max(len(truth), 1), 4 if truth else 0))
    ]
    found += [(box(y, x, y + h, x + w), c, 0.5) for y, x, h, w, c in draw(rng, int(rng.integers(0, 2)))]
    return image(truth, found, rng.random(SIZE) < 0.2 if rng.random() < 0.5 else None)


def draw(rng: np.random.Generator, count: int) -> list[list[int]]:
    rows = np.column_stack([rng.integers(0, 5, (count, 2)), rng.integers(2, 5, (count, 2))])
    return np.column_stack([rows, rng.choice([1, 2, 5], count)]).tolist()


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6))
def test_is_the_naive_protocol(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [random_image(rng) for _ in range(rng.integers(0, 5))]
    numbers = voc_map(iter(images), CLASSES)
    for percent in (50, 70):
        expected = [naive_ap(images, class_id, percent / 100) for class_id in CLASSES]
        mine = [numbers[f"AP{percent} {name}"] for name in CLASSES.values()]
        assert mine == [None if value is None else pytest.approx(value) for value in expected]
        known = [value for value in expected if value is not None]
        assert numbers[f"mAP{percent}"] == (pytest.approx(sum(known) / len(known)) if known else None)


CAT, DOG = box(0, 0, 4, 5), box(4, 5, 8, 10)


def test_perfect_nothing_and_no_truth() -> None:
    perfect = image([(CAT, 1), (DOG, 2)], [(DOG, 2, 0.1), (CAT, 1, 0.9)])
    numbers = voc_map([perfect], CLASSES)
    assert list(numbers) == ["mAP50", "mAP70"] + [f"AP{t} {name}" for name in CLASSES.values() for t in (50, 70)]
    assert numbers == dict.fromkeys(numbers, 1.0) | {"AP50 sofa": None, "AP70 sofa": None}
    assert voc_map([image([(CAT, 1)], [])], {1: "cat"}) == dict.fromkeys(["mAP50", "mAP70", "AP50 cat", "AP70 cat"], 0)
    assert voc_map([], CLASSES) == dict.fromkeys(numbers)
    assert voc_map([image([], [(CAT, 1, 1.0)])], CLASSES) == dict.fromkeys(numbers)


def test_a_class_without_truth_does_not_count_but_one_missed_does() -> None:
    found = image([(CAT, 1), (DOG, 2)], [(CAT, 1, 0.9), (DOG, 7, 0.9)])
    assert voc_map([found], CLASSES)["mAP50"] == 0.5
    assert voc_map([found], {1: "cat", 7: "sofa"})["mAP50"] == 1


def test_an_iou_of_the_threshold_is_no_match() -> None:
    """A half is not found at 0.5, and 14 of 20 pixels not at 0.7."""
    half, more = box(0, 0, 2, 5), CAT & ~box(0, 0, 1, 5) & ~box(3, 4, 4, 5)
    assert (half.sum(), more.sum(), CAT.sum()) == (10, 14, 20)
    assert voc_map([image([(CAT, 1)], [(half, 1, 1.0)])], {1: "cat"})["mAP50"] == 0
    assert voc_map([image([(CAT, 1)], [(more, 1, 1.0)])], {1: "cat"}) == {
        "mAP50": 1, "mAP70": 0, "AP50 cat": 1, "AP70 cat": 0,
    }  # fmt: skip
    assert voc_map([image([(CAT, 1)], [(half, 1, 1.0)])], {1: "cat"}, [0.49]) == {"mAP49": 1, "AP49 cat": 1}


def test_the_second_of_one_object_is_false() -> None:
    for scores, expected in (((0.9, 0.8), 1.0), ((0.8, 0.9), 1.0)):
        twice = image([(CAT, 1)], [(CAT, 1, scores[0]), (CAT, 1, scores[1])])
        assert voc_map([twice], {1: "cat"})["mAP50"] == expected
    both = image([(CAT, 1), (DOG, 1)], [(CAT, 1, 0.9), (CAT, 1, 0.8), (DOG, 1, 0.7)])
    assert voc_map([both], {1: "cat"})["mAP50"] == pytest.approx((1 + 2 / 3) / 2)


def test_a_covered_truth_leaves_the_next_best() -> None:
    """Rows in score order: the second takes what the first left it, the third comes too late."""
    iou = np.array([[0.9, 0.8], [0.9, 0.6], [0.9, 0.7]])
    assert hits(iou, 0.5).tolist() == [True, True, False]
    assert hits(iou, 0.6).tolist() == [True, False, True]
    assert iou[0, 0] == 0.9  # the caller's stay as they are
    assert hits(np.zeros((2, 0)), 0.5).tolist() == [False, False]


def test_of_equal_scores_the_earlier_counts_first() -> None:
    for found, expected in (([CAT, DOG], 1.0), ([DOG, CAT], 0.5)):
        tied = [image([(CAT, 1)], [(mask, 1, 0.5) for mask in found])]
        assert voc_map(tied, {1: "cat"})["mAP50"] == expected
    right, wrong = image([(CAT, 1)], [(CAT, 1, 0.5)]), image([], [(DOG, 1, 0.5)])
    assert voc_map([right, wrong], {1: "cat"})["mAP50"] == 1
    assert voc_map([wrong, right], {1: "cat"})["mAP50"] == 0.5


def test_scores_are_compared_across_images() -> None:
    images = [image([(CAT, 1)], [(DOG, 1, 0.6)]), image([(CAT, 1)], [(CAT, 1, 0.5)])]
    assert voc_map(images, {1: "cat"})["mAP50"] == pytest.approx(1 / 2 * 1 / 2)


def test_void_pixels_count_for_neither() -> None:
    """Found twice as large as it is, but all that is too much lies in void."""
    large, void = box(0, 0, 8, 5), box(4, 0, 8, 10)
    for mask, expected in ((void, 1.0), (None, 0.0)):
        assert voc_map([image([(CAT, 1)], [(large, 1, 1.0)], mask)], {1: "cat"})["mAP50"] == expected
    hidden = image([(CAT, 1), (DOG, 1)], [(CAT, 1, 1.0)], void)  # a truth that lies all in void is none
    assert voc_map([hidden], {1: "cat"})["mAP50"] == 1
    inside = image([(CAT, 1)], [(DOG, 1, 1.0), (CAT, 1, 0.5)], void)  # what is found there is still false
    assert voc_map([inside], {1: "cat"})["mAP50"] == 0.5


def test_ranked_precision_by_hand() -> None:
    """Right, wrong, right of 4: precision 1 at recall 1/4, 2/3 at 1/2."""
    assert ranked_precision(np.array([True, False, True]), 4) == pytest.approx(1 / 4 + 2 / 3 / 4)
    assert ranked_precision(np.array([False, True, True]), 2) == pytest.approx(2 / 3)
    assert ranked_precision(np.zeros(0, bool), 3) == 0
    assert mean_of_defined([None, 1.0, 0.5]) == 0.75
    assert mean_of_defined([None]) is None


def test_refuses() -> None:
    masks, one = Masks.from_dense([CAT], SIZE), np.ones(1)
    with pytest.raises(ValueError, match=r"of an image of \(8, 10\), but found masks of an image of \(3, 3\)"):
        VocImage(masks, one, Masks.empty((3, 3)), one[:0], one[:0])
    with pytest.raises(ValueError, match=r"truth_class must be \(T,\) = \(1,\), not \(0,\)"):
        VocImage(masks, one[:0], masks, one, one)
    with pytest.raises(ValueError, match=r"found_class and score must be \(F,\) = \(1,\), not \(1,\) and \(2,\)"):
        VocImage(masks, one, masks, one, np.ones(2))
    with pytest.raises(ValueError, match="a score is not finite"):
        VocImage(masks, one, masks, one, np.array([np.nan]))
    with pytest.raises(ValueError, match="a region must be"):
        voc_map([VocImage(masks, one, masks, one, one, np.zeros((2, 2), bool))], CLASSES)
