"""Masks of an image, each stored as a small crop around its pixels.

A dense ``(N, H, W)`` array of the 50,000 nuclei of a slide would not fit into any memory; their crops do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.run_lengths import compress_runs, runs_of
from associative_embedding.structures.windows import Window, intersect, relative

ROWS = 256  # masks whose boxes are compared with all others at once; more need more memory and are not faster


@dataclass(frozen=True, eq=False)
class Masks:
    """N masks (regions) of one image, which may overlap and may be empty. Slices like an array.

    Attributes:
        size: (H, W) of the image.
        corners: ``(N, 2)`` int64 y, x of each crop's first pixel.
        crops: N bool arrays ``(h, w)`` inside of the image; an empty region may have a crop of 0 x 0.

    Raises:
        ValueError: for a crop of another type, or one that does not lie inside of the image.
    """

    size: tuple[int, int]
    corners: Array
    crops: tuple[Array, ...]

    def __post_init__(self) -> None:
        if self.corners.shape != (len(self.crops), 2):
            raise ValueError(f"corners must be (N, 2) = ({len(self.crops)}, 2), not {self.corners.shape}")
        for (y, x), crop in zip(self.corners.tolist(), self.crops, strict=True):
            if crop.ndim != 2 or crop.dtype != np.bool_:
                raise ValueError(f"a crop must be (h, w) bool, not {crop.shape} {crop.dtype}")
            if min(y, x) < 0 or y + crop.shape[0] > self.size[0] or x + crop.shape[1] > self.size[1]:
                raise ValueError(f"a crop of {crop.shape} at {(y, x)} leaves the image of {self.size}")

    # ---- from other forms

    @classmethod
    def empty(cls, size: tuple[int, int]) -> Masks:
        """Returns no mask, N = 0, of an image of `size` (H, W)."""
        return cls(size, np.zeros((0, 2), np.int64), ())

    @classmethod
    def from_labels(cls, labels: Array, count: int | None = None) -> Masks:
        """Returns the masks of a label image.

        Args:
            labels: ``(H, W)`` integers, 0 = background, i = region i - 1.
            count: N; default: the highest label. A label that does not occur is an empty region.
        """
        count = int(labels.max(initial=0)) if count is None else count
        from scipy import ndimage  # a photo of people does not wait for it

        # one pass over the image for all boxes; a comparison per label would cost N passes
        boxes = ndimage.find_objects(labels, max_label=count) if count else []
        corners = np.zeros((count, 2), np.int64)
        crops: list[Array] = [np.zeros((0, 0), bool)] * count
        for i, box in enumerate(boxes):
            if box is not None:
                corners[i] = box[0].start, box[1].start
                crops[i] = labels[box] == i + 1  # the box may contain pixels of other regions
        return cls((labels.shape[0], labels.shape[1]), corners, tuple(crops))

    @classmethod
    def from_dense(cls, dense: Iterable[Array], size: tuple[int, int]) -> Masks:
        """Returns the masks of N ``(H, W)`` bool arrays, each cropped to its own box.

        Raises:
            ValueError: for an array of another size (H, W).
        """
        corners, crops = [], []
        for mask in dense:
            if mask.shape != size:
                raise ValueError(f"a mask of {mask.shape} in an image of {size}")
            corner, crop = trim(np.asarray(mask, bool))
            corners.append(corner)
            crops.append(crop)
        return cls(size, np.array(corners, np.int64).reshape(-1, 2), tuple(crops))

    @classmethod
    def join(cls, parts: Sequence[Masks], size: tuple[int, int]) -> Masks:
        """Returns the masks of several, in one, in order.

        Raises:
            ValueError: when one of them is of an image of another size (H, W).
        """
        if any(part.size != size for part in parts):
            raise ValueError(f"masks of images of {[part.size for part in parts]} cannot be joined in one of {size}")
        corners = np.concatenate([np.zeros((0, 2), np.int64), *(part.corners for part in parts)])
        return cls(size, corners, tuple(crop for part in parts for crop in part.crops))

    # ---- as a sequence

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int | slice | Array | list[int]) -> Masks:
        # NumPy resolves numbers, slices, lists and bool arrays alike
        rows = np.atleast_1d(np.arange(len(self))[index])
        return Masks(self.size, self.corners[rows], tuple(self.crops[int(i)] for i in rows))

    def __iter__(self) -> Iterator[Masks]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Masks({len(self)} in {self.size[1]}x{self.size[0]})"

    def without(self, region: Array) -> Masks:
        """Returns the masks without the pixels of a ``(H, W)`` bool region. Crops keep their place and size.

        Raises:
            ValueError: for a region of another shape or type.
        """
        if region.shape != self.size or region.dtype != np.bool_:
            raise ValueError(f"a region must be (H, W) = {self.size} bool, not {region.shape} {region.dtype}")
        crops = tuple(crop & ~region[self.window(i)] for i, crop in enumerate(self.crops))
        return Masks(self.size, self.corners, crops)

    # ---- measurements

    @property
    def area(self) -> Array:
        """``(N,)`` int64 pixels."""
        return np.array([np.count_nonzero(crop) for crop in self.crops], dtype=np.int64)

    @property
    def xywh(self) -> Array:
        """``(N, 4)`` float32 x, y, width, height of the smallest boxes; zeros for an empty region."""
        boxes = np.zeros((len(self), 4), np.float32)
        for i, crop in enumerate(self.crops):
            (y, x), inner = trim(crop)  # a crop may be larger than its pixels, for example after `without`
            if inner.size:
                boxes[i] = self.corners[i, 1] + x, self.corners[i, 0] + y, inner.shape[1], inner.shape[0]
        return boxes

    def intersection(self, other: Masks) -> Array:
        """Returns ``(N, M)`` int64, the number of pixels in common with each of M other masks of the same image."""
        pixels = np.zeros((len(self), len(other)), np.int64)
        if not pixels.size:
            return pixels
        low, high = self._bounds()
        other_low, other_high = other._bounds()
        # Few pairs of boxes meet: boxes are compared many at once, and pixels only where they do.
        for start in range(0, len(self), ROWS):
            rows = slice(start, start + ROWS)
            met = np.maximum(low[rows, None], other_low) < np.minimum(high[rows, None], other_high)
            for i, j in (np.argwhere(met.all(axis=2)) + np.array([start, 0])).tolist():
                window, other_window = self.window(i), other.window(j)
                shared = intersect(window, other_window)
                assert shared is not None
                a, b = self.crops[i][relative(shared, window)], other.crops[j][relative(shared, other_window)]
                pixels[i, j] = np.count_nonzero(a & b)
        return pixels

    def iou(self, other: Masks) -> Array:
        """Returns ``(N, M)`` float64 intersection over union, 0 where both masks are empty."""
        common = self.intersection(other)
        union = self.area[:, None] + other.area - common
        return np.asarray(common / np.maximum(1, union))

    def _bounds(self) -> tuple[Array, Array]:
        """``(N, 2)`` first and one past the last y, x of the crops."""
        shape = np.array([crop.shape for crop in self.crops], np.int64).reshape(-1, 2)
        return self.corners, self.corners + shape

    # ---- to other forms

    def dense(self) -> Array:
        """Returns ``(N, H, W)`` bool."""
        canvas = np.zeros((len(self), *self.size), bool)
        for i, crop in enumerate(self.crops):
            canvas[i][self.window(i)] = crop
        return canvas

    def labels(self) -> Array:
        """Returns ``(H, W)`` int32, 0 = background, i + 1 = region i; where regions overlap, the first one."""
        canvas = np.zeros(self.size, np.int32)
        for i in reversed(range(len(self))):  # the first one is drawn last
            canvas[self.window(i)][self.crops[i]] = i + 1
        return canvas

    def window(self, i: int) -> Window:
        """Returns the window of crop i in the image."""
        y, x = self.corners[i].tolist()
        height, width = self.crops[i].shape
        return slice(y, y + height), slice(x, x + width)

    def moved(self, y: int, x: int, size: tuple[int, int]) -> Masks:
        """Returns the masks in a larger image of `size` (H, W), in which this image begins at pixel (y, x)."""
        return Masks(size, self.corners + np.array([y, x]), self.crops)

    def to_rle(self) -> list[dict[str, Any]]:
        """Returns N COCO run-length encodings ``{"size": [H, W], "counts": text}``."""
        return [self._rle(i) for i in range(len(self))]

    def _rle(self, i: int) -> dict[str, Any]:
        height, width = self.size
        x, y = np.nonzero(self.crops[i].T)  # column by column, as COCO counts
        places = (x + self.corners[i, 1]) * height + y + self.corners[i, 0]
        return {"size": [height, width], "counts": compress_runs(runs_of(places, height * width))}


def trim(mask: Array) -> tuple[tuple[int, int], Array]:
    """Cuts a ``(H, W)`` bool mask down to the smallest box around its pixels.

    Returns:
        y, x of the box's first pixel, and a copy of the box ``(h, w)`` bool; 0, 0 and 0 x 0 for an empty mask.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8)) if mask.size else (0, 0, 0, 0)
    return (y, x), mask[y : y + height, x : x + width].copy()


def require_masks(masks: Masks | None) -> Masks:
    """Returns the masks of instances or of a sample.

    Raises:
        ValueError: for None: the objects have keypoints instead.
    """
    if masks is None:
        raise ValueError("these objects have no masks")
    return masks
