"""With an author's settings, the author's people: the same keypoints within half a map pixel, and the same scores.

T pose-ae-train, D pose-ae-demo, H HigherHRNet, M0 mmpose 0.29, M1 mmpose 1.x, OV OpenVINO (peers.md sections 1.6, 5.3
and 6). x, y of the goldens are map indices + 0.5, that is continuous map coordinates.

What is left of conventions, and translated here: a quarter of a pixel towards the higher neighbour, where ours is the
top of a parabola (never half a pixel apart); OV's missing + 0.5; T's score 1 for every filled keypoint (fault 9); T's y
of filled keypoints, which looks at the wrong row (fault 11), and M1's, which is the pixel's corner.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from associative_embedding.grouping import MATCHING
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import tag_distance
from associative_embedding.structures.known_skeletons import COCO_17
from associative_embedding.tasks.pose.missing_keypoints import fill_missing
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from support.published import CASES, decode, load, read_maps

PUBLISHED: dict[str, Any] = {
    "threshold": 0.1,
    "top_k": 30,
    "tag_threshold": 1.0,
    "tag_distance": "l2",
    "matching": "rounded",
    "assignment": "optimal",
    "fill_rule": "rounded",
    "fill_threshold": 1e-9,
    "score": "all",
    "min_keypoints": 1,
    "duplicate_oks": 1.0,
}
AUTHORS: dict[str, dict[str, Any]] = {
    "ae_train": PUBLISHED | {"nms": 3, "tag_distance": "rms"},
    "demo": PUBLISHED | {"nms": 3, "tag_distance": "rms", "threshold": 0.03, "fill": False},
    "hhr": PUBLISHED | {"nms": 5},
    "hhr_nms3": PUBLISHED | {"nms": 3},
    "hhr_ignore": PUBLISHED | {"nms": 5},
    "mm029": PUBLISHED | {"nms": 5},
    "mm1": PUBLISHED | {"nms": 5},
    "openvino": PUBLISHED | {"nms": 5},
}
STAGES = ["ae_train_raw", "ae_train_norefine", "hhr_raw", "hhr_norefine"]  # before filling; raw: integer pixels
SOMEBODY = [case for case in CASES if case != "n0"]
OFFSET = dict.fromkeys(["ae_train_raw", "hhr_raw", "openvino"], 0.5)
CAP = [("ae_train", "n30"), ("hhr_nms3", "n30"), ("hhr_ignore", "n30")]  # fault 3: only 30 people are matched
TIES = [(author, "n6_missing") for author in ("hhr", "hhr_nms3", "hhr_ignore", "mm029", "mm1")]
REWEIGHTED = [("openvino", "n30")]  # by distance on the map
EXCEPTIONS = [*CAP, *TIES, *REWEIGHTED]  # each has a test of its own below


def author_of(output: str) -> str:
    return output.removesuffix("_raw").removesuffix("_norefine")


def theirs(golden: dict[str, Array], output: str) -> tuple[Array, Array]:
    """People ``(N, 17, 3)`` in continuous map coordinates and their scores ``(N,)``."""
    people = golden[output][:, :, :3].astype(np.float64)
    people[:, :, :2] += OFFSET.get(output, 0)
    return people, golden[f"{output}_scores"]


def pair(ours: Array, others: Array) -> tuple[Array, Array]:
    """Rows of ours and of theirs: people with the most keypoints in common places."""
    both = (ours[:, None, :, 2] > 0) & (others[None, :, :, 2] > 0)
    near = np.abs(ours[:, None, :, :2] - others[None, :, :, :2]).max(axis=-1) <= 0.5
    return linear_sum_assignment((both & near).sum(axis=-1), maximize=True)  # type: ignore[no-any-return]


def same_pixel(ours: Array, others: Array) -> Array:
    """Whether ours are at most half a pixel away from the middle of the pixel that theirs lie in."""
    return np.asarray((np.abs(ours[..., :2] - np.floor(others[..., :2]) - 0.5) <= 0.5).all(axis=-1))


def outputs() -> list[Any]:
    """(author's output, case), but for the exceptions below."""
    names = [*STAGES, *(author for author in AUTHORS if author != "demo")]
    cases = [(name, case) for case in CASES for name in names if (name, case) != ("openvino", "n6_missing")]
    return [c for c in cases if (author_of(c[0]), c[1]) not in EXCEPTIONS]


@pytest.mark.parametrize(("output", "case"), outputs())
def test_published_people(shared: Path, output: str, case: str) -> None:
    golden = load(shared, case)
    others, scores = theirs(golden, output)
    config = AUTHORS[author_of(output)] | ({"fill": False} if output in STAGES else {})
    ours = decode(golden, **config)
    assert len(ours) == len(others) == len(scores)
    a, b = pair(ours.keypoints, others)
    mine, their = ours.keypoints[a], others[b]
    np.testing.assert_allclose(ours.score[a], scores[b], atol=1e-6)
    np.testing.assert_array_equal(mine[:, :, 2] > 0, their[:, :, 2] > 0)
    detected = decode(golden, **config | {"fill": False}).keypoints[a][:, :, 2] > 0
    filled = (mine[:, :, 2] > 0) & ~detected
    away = np.abs(mine[:, :, :2] - their[:, :, :2]).max(axis=-1)
    assert (away[detected] <= 0.5).all()
    if output == "ae_train":
        assert (their[filled, 2] == 1).all()  # fault 9
    if output == "ae_train" and case == "n6_missing":
        return  # it groups by RMS and fills by L2: see the test of filling
    if output in ("ae_train", "mm1"):
        assert same_pixel(mine, their)[filled].all()  # fault 11, and the pixel's corner
    else:
        assert (away[filled] <= 0.5).all()
    scored = detected if output == "ae_train" else mine[:, :, 2] > 0
    np.testing.assert_allclose(mine[scored, 2], their[scored, 2], atol=1e-6)


@pytest.mark.parametrize("case", SOMEBODY)
@pytest.mark.parametrize("author", ["ae_train", "hhr"])
def test_published_filling(shared: Path, author: str, case: str) -> None:
    """Filling alone, from the author's own groups: also of more than 30 people, and of many missing (D = 2).

    T measures by L2 here, though its grouping measures by RMS. Fault 11: it compares with row 17 (the keypoint types)
    where it means the next one, if that comes later, and with a column as far as the map is high; the quarter pixel
    that it moves by may then be the wrong way, but the pixel is the same.
    """
    golden = load(shared, case)
    grouped, filled = golden[f"{author}_norefine"].astype(np.float64), golden[author]
    tag = np.array([person[person[:, 2] > 0, 3:].mean(axis=0) for person in grouped]).reshape(len(grouped), -1)
    half = np.array([0.5, 0.5, 0])
    ours = half + fill_missing(grouped[:, :, :3] - half, tag, read_maps(golden), 1e-9, 1.0, norm="l2", rule="rounded")
    lacked = grouped[:, :, 2] == 0
    assert (ours[:, :, 2] > 0).all()
    assert same_pixel(ours, filled)[lacked].all()
    away = np.abs(ours[:, :, :2] - filled[:, :, :2])[lacked]
    if author == "ae_train":
        assert (filled[lacked, 1][away[:, 1] > 0.5] >= 16).all()
        assert (filled[lacked, 0][away[:, 0] > 0.5] >= golden["det"].shape[1] - 1).all()
    else:
        assert (away <= 0.5).all()
        np.testing.assert_allclose(ours[lacked, 2], filled[lacked, 2], atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_published_peaks(shared: Path, case: str) -> None:
    """HigherHRNet's best 30 of each type, with its window of 5, and zeros where there are fewer.

    Left out: equal scores, which may change places or be one peak in ours, and the lowest, whose equal may be the 31st.
    """
    golden = load(shared, case)
    config = DecodeConfig(threshold=1e-9, nms=5, top_k=30)
    detections, channel = PoseTask(COCO_17, config).detect(read_maps(golden))
    for k in range(17):
        score, xy, tag = (golden[f"topk_{name}"][k] for name in ("val", "loc", "tag"))
        single = np.array([(score == value).sum() == 1 and value > score.min() for value in score])
        mine = channel == k
        place = {float(s): i for i, s in enumerate(detections.score[mine])}
        rows = [place[float(value)] for value in score[single]]
        assert single.sum() > 20
        np.testing.assert_array_less(np.abs(detections.xy[mine][rows] - xy[single]), 0.5 + 1e-6)
        np.testing.assert_allclose(detections.tag[mine][rows], tag[single])


def owners(people: Array, tags: Array, scores: Array) -> Array:
    """Which published person has each detection of one keypoint type, known again by score and tag; -1 = nobody.

    Args:
        people: ``(N, 3 + D)`` x, y, score, tag.
    """
    same = (people[:, 2] == scores[:, None]) & (people[:, 3:] == tags[:, None]).all(axis=-1)
    assert (same.sum(axis=1) <= 1).all()
    return np.where(same.any(axis=1), same.argmax(axis=1), -1)


def best_sum(weight: Array) -> float:
    return float(weight[linear_sum_assignment(weight, maximize=True)].sum())


def shortfalls(golden: dict[str, Array], output: str, *, stops: bool) -> list[float]:
    """How much less than the optimum of the published rule each published step is worth (0 = it is an optimum).

    The people are taken in the order they were made; only the first 30 of them are matched. Means are in single
    precision, as theirs: some distances are 0.5 but for a bit.

    Args:
        stops: with 30 people, no more detections are looked at (`ignore_too_much`).
    """
    config, people = AUTHORS[author_of(output)], golden[output]
    detections, channel = PoseTask(COCO_17, DecodeConfig(**config)).detect(read_maps(golden))
    grouped = (people[:, :, 3:] != 0).any(axis=-1)  # what was filled in has no tag
    members: dict[int, list[Array]] = {}
    lost = []
    for k in COCO_17.group_index:
        tags, scores = detections.tag[channel == k], detections.score[channel == k]
        owner = owners(people[:, k], tags, scores)
        known = sorted(members)[:30]
        if stops and len(known) == 30:
            assert not grouped[:, k].any()
        elif known and len(tags):
            mean = np.array([np.mean(members[person], axis=0) for person in known])
            distance = tag_distance(tags[:, None], mean[None], config["tag_distance"])
            weight = MATCHING["rounded"](distance, scores, 1.0)
            joined = [(row, known.index(person)) for row, person in enumerate(owner) if person in known]
            assert all(distance[pair] < 1 for pair in joined)
            # whoever joined nobody was given to somebody too far away, in the best way that was left
            rest = np.delete(np.delete(weight, [r for r, _ in joined], axis=0), [c for _, c in joined], axis=1)
            lost.append(best_sum(weight) - sum(weight[pair] for pair in joined) - best_sum(rest))
        for person in np.flatnonzero(grouped[:, k]):
            members.setdefault(int(person), []).append(people[person, k, 3:])
    return lost


@pytest.mark.parametrize("case", SOMEBODY)
@pytest.mark.parametrize("output", ["ae_train_raw", "ae_train", "hhr_raw", "hhr", "hhr_nms3", "hhr_ignore", "mm029"])
def test_published_groups_are_an_optimum_of_the_published_rule(shared: Path, output: str, case: str) -> None:
    """Step by step, at the 30-people cap too: where ours are other people, it is the cap, or a tie of rounded sums."""
    golden = load(shared, case)
    lost = shortfalls(golden, output, stops=output.startswith("ae_train") or output == "hhr_ignore")
    np.testing.assert_allclose(lost, 0, atol=1e-4)
    assert len(lost) > 0


@pytest.mark.parametrize("case", [case for case in CASES if case != "n30"])
def test_demo_groups_are_an_optimum_of_the_published_rule(shared: Path, case: str) -> None:
    """At its threshold of 0.03 noise gives 30 people in every picture, and most sums are tied.

    Not n30: there it made more people, and returns 30.
    """
    golden = load(shared, case)
    assert len(golden["demo"]) == 30
    np.testing.assert_allclose(shortfalls(golden, "demo", stops=False), 0, atol=1e-4)


@pytest.mark.parametrize(("author", "case"), TIES)
def test_a_tie_of_rounded_sums(shared: Path, author: str, case: str) -> None:
    """The distances 0 + 5.4 and 2.3 + 3.0 both round to 5: theirs is the second, and makes one keypoint a person."""
    golden = load(shared, case)
    others, scores = theirs(golden, "hhr_norefine")
    if author != "hhr":
        np.testing.assert_allclose(np.sort(golden[f"{author}_scores"]), np.sort(scores), atol=1e-6)
    config = AUTHORS[author] | {"fill": False}
    ours = decode(golden, **config)
    assert len(ours) == len(others) - 1
    a, b = pair(ours.keypoints, others)
    mine, their = ours.keypoints[a], others[b]
    assert ((mine[:, :, 2] > 0) & (their[:, :, 2] == 0)).sum() == 1
    assert ((mine[:, :, 2] == 0) & (their[:, :, 2] > 0)).sum() == 0
    both = their[:, :, 2] > 0
    np.testing.assert_array_less(np.abs(mine - their)[both], 0.5)
    alone = np.setdiff1d(np.arange(len(others)), b)
    assert (others[alone, :, 2] > 0).sum() == 1


def test_openvino_splits_two_people(shared: Path) -> None:
    """It re-weights tag distances by how far a detection is from the person's centre; the tags alone would not part
    them: two detections are people of their own, which would be far-off keypoints of two others."""
    golden = load(shared, "n30")
    others, scores = theirs(golden, "openvino")
    ours = decode(golden, **AUTHORS["openvino"])
    assert len(others) == len(ours) + 2
    a, b = pair(ours.keypoints, others)
    np.testing.assert_array_less(np.abs(ours.keypoints[a] - others[b]).max(axis=(1, 2)), 0.5)
    alone = np.setdiff1d(np.arange(len(others)), b)
    lost = ours.score[a] - scores[b]
    assert (np.abs(lost) > 1e-6).sum() == 2
    np.testing.assert_allclose(np.sort(lost)[-2:], np.sort(scores[alone]), atol=1e-6)
