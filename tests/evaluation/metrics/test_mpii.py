"""MPII Multi-Person AP and PCKh: hand-computed cases, a naive oracle, adversity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from associative_embedding.evaluation.metrics.mpii import (
    COLUMNS,
    COUNTED,
    PeopleGroup,
    average_precision,
    head_sizes,
    mpii_multiperson_ap,
    pckh,
)
from associative_embedding.evaluation.metrics.mpii_groups import assign_to_group, group_region, read_groups
from support.mpii_oracle import ALL, IDS, PAIRS, naive_ap


def people(count: int, seed: int = 0, *, mark: float = 1.0) -> np.ndarray:
    """(N, 16, 3), all keypoints with the third number `mark`; people are 1,000 pixels apart."""
    xy = np.random.default_rng(seed).uniform(0, 100, (count, 16, 2)) + 1000 * np.arange(count)[:, None, None]
    return np.concatenate([xy, np.full((count, 16, 1), mark)], axis=2)


def group(predicted: np.ndarray, truth: np.ndarray, size: float = 10.0) -> PeopleGroup:
    return PeopleGroup(predicted, truth, np.full(len(truth), size))


NOBODY = people(0)


def random_groups(seed: int) -> list[PeopleGroup]:
    """People who overlap, near misses, keypoints left out on both sides, equal scores."""
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(rng.integers(0, 4)):
        truth = rng.uniform(0, 30, (rng.integers(0, 4), 16, 3))
        truth[:, :, 2] = rng.integers(0, 3, truth.shape[:2])
        rows = rng.integers(0, max(len(truth), 1), rng.integers(0, 5) if len(truth) else 0)
        predicted = np.concatenate([truth[rows], rng.uniform(0, 30, (rng.integers(0, 2), 16, 3))])
        predicted[:, :, :2] += rng.normal(0, 3, (*predicted.shape[:2], 2))
        predicted[:, :, 2] = rng.integers(0, 5, predicted.shape[:2]) / 4
        groups.append(PeopleGroup(predicted, truth, rng.uniform(3, 15, len(truth))))
    return groups


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.5, 2.0]))
def test_is_the_naive_protocol(seed: int, threshold: float) -> None:
    groups = random_groups(seed)
    mine, naive = mpii_multiperson_ap(groups, threshold=threshold), naive_ap(groups, threshold)
    assert list(mine) == ALL
    for name in ALL:
        assert mine[name] == (None if naive[name] is None else pytest.approx(naive[name])), name


def test_the_14_parts() -> None:
    assert sorted(COUNTED) == sorted(IDS)
    assert {name: {IDS[i] for i in places} for name, places in PAIRS.items()} == {
        name: set(COUNTED[2 * i : 2 * i + 2].tolist()) for i, name in enumerate(COLUMNS)
    }


def test_perfect_is_100() -> None:
    assert mpii_multiperson_ap([group(people(3), people(3))]) == pytest.approx(dict.fromkeys(ALL, 100.0))


def test_no_predictions_and_no_truths() -> None:
    assert mpii_multiperson_ap([group(NOBODY, people(2))]) == dict.fromkeys(ALL, 0.0)
    assert mpii_multiperson_ap([group(people(2), NOBODY)]) == dict.fromkeys(ALL)
    assert mpii_multiperson_ap([]) == dict.fromkeys(ALL)


def test_a_group_without_predictions_counts_as_missed() -> None:
    both = [group(people(1), people(1)), group(NOBODY, people(1))]
    assert mpii_multiperson_ap(both) == pytest.approx(dict.fromkeys(ALL, 50.0))


def test_false_positive_above_and_below() -> None:
    """One person, found; a second prediction far away. Precision at recall 1 is 1/2 if it scores higher, else 1."""
    for other, expected in ((2.0, 50.0), (0.5, 100.0)):
        predicted = np.concatenate([people(1), people(1, 1, mark=other) + np.array([5000, 0, 0])])
        assert mpii_multiperson_ap([group(predicted, people(1))]) == pytest.approx(dict.fromkeys(ALL, expected))


def test_half_a_head_is_the_limit() -> None:
    for shift, expected in ((5.0, 100.0), (5.01, 0.0)):
        truth = np.round(people(1))
        assert mpii_multiperson_ap([group(truth + np.array([shift, 0, 0]), truth, 10.0)])["Total"] == pytest.approx(
            expected
        )


def test_one_wrong_keypoint_costs_its_column() -> None:
    predicted = people(1)
    predicted[0, 9, :2] += 500  # the head top
    ap = mpii_multiperson_ap([group(predicted, people(1))])
    assert ap == pytest.approx(dict.fromkeys(ALL, 100.0) | {"Head": 50.0, "Total": 100 * 13 / 14})


def test_pelvis_and_thorax_do_not_count() -> None:
    predicted = people(1)
    predicted[0, 6:8, :2] += 500
    assert mpii_multiperson_ap([group(predicted, people(1))])["Total"] == pytest.approx(100)


def test_keypoints_of_an_unassigned_prediction_are_false() -> None:
    """Two predictions of one person: the better takes it, the other's keypoints are wrong where they lie right."""
    better, worse = people(1, mark=0.5), people(1, mark=1.0)
    worse[0, 10, :2] += 500
    predicted = np.concatenate([worse, better])
    ap = mpii_multiperson_ap([group(predicted, people(1))])
    assert ap["Knee"] == pytest.approx(50)  # the false one scores higher
    assert ap["Wrist"] == pytest.approx(50)


def test_of_equal_predictions_the_first_is_assigned() -> None:
    """Of two equal predictions the first takes the truth: AP tells by which score it is."""
    for scores, expected in (((1.0, 0.5), 100.0), ((0.5, 1.0), 50.0)):
        predicted = np.concatenate([people(1, mark=score) for score in scores])
        assert mpii_multiperson_ap([group(predicted, people(1))])["Total"] == pytest.approx(expected)


def test_a_person_assembled_from_two_is_half_wrong() -> None:
    """Wrong grouping costs: the arms of the two people are exchanged."""
    predicted = people(2)
    arms = [10, 11, 12, 13, 14, 15]
    predicted[:, arms] = predicted[::-1, arms]
    ap = mpii_multiperson_ap([group(predicted, people(2))])
    assert {name: round(value or 0) for name, value in ap.items()} == {
        "Head": 100, "Shoulder": 0, "Elbow": 0, "Wrist": 0, "Hip": 100, "Knee": 100, "Ankle": 100, "Total": 57,
    }  # fmt: skip


def test_unannotated_types_do_not_count() -> None:
    truth = people(1)
    truth[0, :, 2] = 0
    truth[0, [0, 8], 2] = 1  # right ankle, neck
    ap = mpii_multiperson_ap([group(people(1), truth)])
    assert ap == dict.fromkeys(ALL) | {"Head": 100, "Ankle": 100, "Total": 100}


def test_average_precision_by_hand() -> None:
    """Right, wrong, right of 4: precision 1 at recall 1/4, 2/3 at 1/2."""
    score = np.array([0.9, 0.8, 0.7])
    assert average_precision(score, np.array([True, False, True]), 4) == pytest.approx(1 / 4 + 2 / 3 / 4)
    assert average_precision(score, np.array([False, True, True]), 2) == pytest.approx(2 / 3)
    assert average_precision(np.zeros(0), np.zeros(0, bool), 3) == 0
    tied = np.ones(2)
    assert average_precision(tied, np.array([True, False]), 1) == pytest.approx(0.5)  # the later counts first
    assert average_precision(tied, np.array([False, True]), 1) == pytest.approx(1)


def test_head_size() -> None:
    np.testing.assert_allclose(head_sizes(np.array([[10.0, 20.0, 40.0, 60.0]])), [30.0])


def test_pckh_by_hand() -> None:
    truth = people(4)
    predicted = people(4)
    predicted[0, 9, :2] += 100  # one head top of four
    predicted[1, 0] = 0  # an ankle not predicted
    truth[2, 0, 2] = 0  # and one not annotated
    size = np.full(4, 10.0)
    rate = pckh(predicted, truth, size)
    expected = dict.fromkeys(ALL, 100.0) | {"Head": 87.5, "Ankle": (100 * 2 / 3 + 100) / 2, "Total": 100 * 53 / 55}
    assert rate == pytest.approx(expected)
    assert pckh(NOBODY, NOBODY, np.zeros(0)) == dict.fromkeys(ALL)
    with pytest.raises(ValueError, match="row by row"):
        pckh(predicted[:3], truth, size)


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_numbers_that_are_not_finite(place: int, value: float) -> None:
    broken = people(2)
    broken[1, 3, place] = value
    with pytest.raises(ValueError, match="predicted has a number that is not finite"):
        group(broken, people(2))
    with pytest.raises(ValueError, match="truth has a number that is not finite"):
        group(people(2), broken)
    with pytest.raises(ValueError, match="not finite"):
        assign_to_group(broken, np.zeros((1, 4)), np.ones(1))


def test_refuses_shapes_and_head_sizes() -> None:
    with pytest.raises(ValueError, match=r"predicted must be \(N, 16, 3\), not \(1, 17, 3\)"):
        group(np.zeros((1, 17, 3)), people(1))
    with pytest.raises(ValueError, match=r"head_size must be \(T,\)"):
        PeopleGroup(people(1), people(2), np.ones(1))
    for size in (0.0, np.nan):
        with pytest.raises(ValueError, match="above 0"):
            group(people(1), people(1), size)
    with pytest.raises(ValueError, match="at least one person"):
        group_region(np.zeros((0, 2)), np.zeros(0))


def test_read_groups(shared: Path) -> None:
    groups = read_groups(shared / "reference/metrics/mpii_groups_v12.mat")
    assert len(groups) == 24987
    assert [g.tolist() for g in groups[1]] == [[0, 1]]
    sizes = [len(g) for image in groups for g in image]
    assert (len(sizes), sum(size > 1 for size in sizes), sum(sizes)) == (32034, 5581, 40616)
    assert min(g.min() for image in groups for g in image) == 0
    assert all(len(np.unique(g)) == len(g) for image in groups for g in image)


@pytest.mark.parametrize("length", [0, 50, 130, 5000])
def test_read_groups_refuses_a_file_cut_short(length: int, shared: Path, tmp_path: Path) -> None:
    whole = (shared / "reference/metrics/mpii_groups_v12.mat").read_bytes()
    (tmp_path / "cut.mat").write_bytes(whole[:length])
    with pytest.raises(ValueError, match=r"cut\.mat: not a MATLAB file"):
        read_groups(tmp_path / "cut.mat")


def test_read_groups_refuses(tmp_path: Path) -> None:
    (tmp_path / "text.mat").write_text("not a matrix, but quite a long text. " * 20)
    savemat(tmp_path / "other.mat", {"people": [1]})
    savemat(tmp_path / "plain.mat", {"groups": [1]})
    for name in ("text", "other", "plain"):
        with pytest.raises(ValueError, match=rf"{name}\.mat: .*'groups'"):
            read_groups(tmp_path / f"{name}.mat")
    with pytest.raises(FileNotFoundError):
        read_groups(tmp_path / "missing.mat")


def test_regions() -> None:
    region, scale = group_region(np.array([[300.0, 50.0], [100.0, 90.0]]), np.array([1.0, 2.0]))
    np.testing.assert_allclose(region, [100, 50, 300, 90])
    assert scale == 1.5


def test_assign_to_group() -> None:
    """Boxes 0..100 and 160..200, margins of 50 pixels: 130 is nearer to the second, 260 to none."""
    regions, scale = np.array([[0.0, 0, 100, 100], [160, 0, 200, 100]]), np.ones(2)
    centres = np.array([[50.0, 50], [120, 50], [140, 50], [180, 149], [180, 151], [260, 50], [0, 0]])
    keypoints = np.zeros((7, 16, 3))
    keypoints[:, 3] = np.column_stack([centres - 20, np.ones(7)])
    keypoints[:, 5] = np.column_stack([centres + 20, np.ones(7)])
    keypoints[6] = 0  # no keypoint at all
    assert assign_to_group(keypoints, regions, scale).tolist() == [0, 0, 1, 1, -1, -1, -1]
    assert assign_to_group(keypoints, regions, scale, margin=0).tolist() == [0, -1, -1, -1, -1, -1, -1]
    assert assign_to_group(keypoints, regions, 10 * scale).tolist() == [0, 0, 1, 1, 1, 1, -1]
    assert assign_to_group(keypoints, np.zeros((0, 4)), np.zeros(0)).tolist() == [-1] * 7
    assert assign_to_group(keypoints[:0], regions, scale).shape == (0,)
