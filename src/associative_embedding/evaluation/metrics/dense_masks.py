"""COCO's evaluation of masks for images with any number of objects.

The rules are pycocotools' own, and so are the numbers, but only objects that meet are compared. For an image with N
true and N found objects pycocotools takes N² steps in Python, forty times, which is minutes for a thousand, and an
array of N² overlaps, which is a gigabyte for ten thousand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco
from pycocotools.cocoeval import COCOeval

BLOCK = 256  # found objects that are compared with all true ones at once
Candidates = list[list[tuple[int, float]]]  # of each found object, best first: the true ones that it meets, and the IoU


class DenseEval(COCOeval):  # type: ignore[misc]
    """`COCOeval` of masks, in which all found objects count.

    Args:
        truth, found: `COCO` objects.
        most: number of found objects of a class in an image that count, above 10.
    """

    def __init__(self, truth: Any, found: Any, most: int) -> None:
        super().__init__(truth, found, "segm")
        self.params.maxDets = [1, 10, most]

    def computeIoU(self, imgId: int, catId: int) -> Candidates:
        """Returns the true objects whose IoU with each found one reaches the lowest threshold."""
        truth, found = self._gts[imgId, catId], self._best(imgId, catId)
        regions, crowd = [row["segmentation"] for row in truth], [int(row["iscrowd"]) for row in truth]
        if not truth:
            return [[] for _ in found]
        met: Candidates = []
        for start in range(0, len(found), BLOCK):
            part = [row["segmentation"] for row in found[start : start + BLOCK]]
            iou = coco.iou(part, regions, crowd)
            rows = [np.flatnonzero(row >= self.params.iouThrs[0]) for row in iou]
            met += [[(int(j), float(iou[i, j])) for j in places] for i, places in enumerate(rows)]
        return met

    def _best(self, image: int, category: int) -> list[dict[str, Any]]:
        """Returns the found objects that count, by falling score; of equal scores the earlier one first."""
        rows: list[dict[str, Any]] = sorted(self._dts[image, category], key=lambda row: -row["score"])
        return rows[: self.params.maxDets[-1]]

    def evaluateImg(self, imgId: int, catId: int, aRng: Any, maxDet: int) -> dict[str, Any] | None:
        """Matches the found objects of one class in one image; returns what `COCOeval.accumulate` reads."""
        truth, found = self._gts[imgId, catId], self._best(imgId, catId)
        if not truth and not found:
            return None
        ignored = np.array([bool(row["ignore"]) or not aRng[0] <= row["area"] <= aRng[1] for row in truth], bool)
        outside = np.array([not aRng[0] <= row["area"] <= aRng[1] for row in found], bool)
        crowd = [bool(row["iscrowd"]) for row in truth]
        thresholds = self.params.iouThrs
        matched = np.zeros((len(thresholds), len(found)), bool)
        without = np.zeros((len(thresholds), len(found)), bool)
        for t, threshold in enumerate(thresholds):
            taken: set[int] = set()
            for d, candidates in enumerate(self.ious[imgId, catId]):
                # A true object that counts comes before an ignored one; of equal IoUs the later one is taken.
                free = [(not ignored[j], iou, j) for j, iou in candidates if iou >= threshold and j not in taken]
                if free:
                    counts, _, j = max(free)
                    matched[t, d], without[t, d] = True, not counts
                    if not crowd[j]:
                        taken.add(j)
        without |= ~matched & outside
        return {
            "image_id": imgId,
            "category_id": catId,
            "aRng": aRng,
            "maxDet": maxDet,
            "dtScores": [row["score"] for row in found],
            "dtMatches": matched,
            "dtIgnore": without,
            "gtIgnore": ignored,
        }

    def summarize(self) -> None:
        """Computes the twelve numbers; `COCOeval` reads the first one at 100 found objects, whatever the limit is."""
        super().summarize()
        precision = self.eval["precision"][:, :, :, 0, -1]
        counted = precision[precision > -1]
        self.stats[0] = counted.mean() if counted.size else -1
