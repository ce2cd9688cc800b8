"""How often instances with a given score are right, and the map that makes scores say so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from associative_embedding.evaluation.masks import MaskTestSet
from associative_embedding.evaluation.metrics.object_pairs import match_objects, overlaps
from associative_embedding.evaluation.metrics.oks import oks
from associative_embedding.evaluation.poses import PoseTestSet
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.console import errors_name
from associative_embedding.io.progress import Progress
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.calibration import APART, Calibration, from_pairs
from associative_embedding.structures.masks import require_masks
from associative_embedding.structures.sample import Sample

RIGHT = 0.5  # least OKS or IoU of an instance that is right, as in AP50
BINS = 10  # of equally many instances
PARTS = 5  # of a cross-validation
LEAST = 100  # instances: with fewer, the shares say more about chance than about the model


@dataclass(frozen=True, eq=False)
class Judged:
    """N found instances.

    Attributes:
        score: ``(N,)`` in [0, 1].
        right: ``(N,)`` bool.
    """

    score: Array
    right: Array

    def __len__(self) -> int:
        return len(self.score)

    def bins(self, count: int = BINS) -> list[tuple[float, float, int]]:
        """Returns mean score, share that is right and number of instances, for bins of about equally many."""
        order = np.argsort(self.score, kind="stable")
        parts = [part for part in np.array_split(order, count) if len(part)]
        return [(float(self.score[part].mean()), float(self.right[part].mean()), len(part)) for part in parts]

    def error(self) -> float:
        """Returns the expected calibration error: mean distance of score and share over the bins (Guo et al., 2017)."""
        return float(sum(abs(score - share) * n for score, share, n in self.bins()) / max(1, len(self)))


def judge(predictor: Predictor, test_set: PoseTestSet | MaskTestSet) -> Judged:
    """Runs a model on a test set, and says of each instance that it finds whether it is right.

    An instance is right if a true one of its class fits it by an OKS (keypoints) or IoU (masks) of at least `RIGHT`;
    of several that fit one true instance only one is right. One that is not right and lies mostly in an ignored region,
    such as a crowd, does not count. Scores are raw.

    Raises:
        ValueError: when an image cannot be read, the network's output is not finite, or fewer than `LEAST` instances
            count.
    """
    scores, rights = [np.zeros(0)], [np.zeros(0, bool)]
    data = test_set.data.read_as(predictor.reading)
    for i in Progress(range(len(data)), "calibrate", "image"):
        sample = data[i]
        with errors_name(sample.file_name):
            found = predictor.find(sample.image)
        right = right_people(sample, found) if found.masks is None else right_objects(sample, found)
        counts = right | ~ignored(sample, found)
        scores.append(found.score[counts])
        rights.append(right[counts])
    judged = Judged(np.concatenate(scores).astype(np.float64), np.concatenate(rights))
    if len(judged) < LEAST:
        raise ValueError(f"a calibration needs at least {LEAST} instances, and {len(judged)} count: use more images")
    return judged


def right_people(sample: Sample, found: Instances) -> Array:
    """Returns which of N people are right, ``(N,)`` bool; the best-scored chooses first, as in COCO's evaluation."""
    assert found.skeleton is not None
    similarity = oks(found.keypoints, sample.keypoints, sample.area, found.skeleton.oks_sigmas)  # (N, M)
    right, free = np.zeros(len(found), bool), np.ones(len(sample.keypoints), bool)
    for row in np.argsort(-found.score, kind="stable"):
        fit = np.where(free, similarity[row], 0)
        if fit.max(initial=0) >= RIGHT:
            right[row] = True
            free[int(fit.argmax())] = False
    return right


def right_objects(sample: Sample, found: Instances) -> Array:
    """Returns which of N objects are right, ``(N,)`` bool."""
    assert sample.class_id is not None
    row, column, iou = overlaps(require_masks(sample.masks), require_masks(found.masks))
    same = sample.class_id[row] + 1 == found.class_id[column]  # class ids of a model count from 1
    right = np.zeros(len(found), bool)
    right[column[match_objects(row, column, np.where(same, iou, 0), RIGHT)]] = True
    return right


def ignored(sample: Sample, found: Instances) -> Array:
    """Returns which of N instances lie mostly in the ignored region, ``(N,)`` bool."""
    if sample.ignore is None:
        return np.zeros(len(found), bool)
    if found.masks is not None:
        return found.masks.without(sample.ignore).area * 2 < found.masks.area
    height, width = sample.ignore.shape
    x, y = np.floor(found.keypoints[..., 0]).astype(int), np.floor(found.keypoints[..., 1]).astype(int)
    inside = sample.ignore[y.clip(0, height - 1), x.clip(0, width - 1)]  # (N, K)
    seen = found.keypoints[..., 2] > 0
    return np.asarray((inside & seen).sum(axis=1) * 2 > seen.sum(axis=1))


def fit_calibration(judged: Judged) -> Calibration:
    """Returns the map that fits what was judged best among rising ones (isotonic regression over the bins)."""
    score, share, count = np.array(judged.bins()).T
    # One more right and one more wrong instance, so that no bin says that it is never wrong (Laplace).
    share = (share * count + 1) / (count + 2)
    rising = isotonic_regression(share, weights=count).x
    # Bins with nearly equal scores would be one point with two values.
    kept = np.append(np.diff(score) >= APART, True) & (score >= APART) & (score <= 1 - APART)
    return from_pairs(list(zip(score[kept].tolist(), rising[kept].tolist(), strict=True)))


def cross_validated(judged: Judged) -> Judged:
    """Returns what was judged with calibrated scores, each from a map that did not see the instance."""
    part = np.arange(len(judged)) % PARTS
    score = np.zeros(len(judged))
    for k in range(PARTS):
        others = part != k
        score[~others] = fit_calibration(Judged(judged.score[others], judged.right[others]))(judged.score[~others])
    return Judged(score, judged.right)
