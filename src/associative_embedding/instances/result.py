"""What was found in one image: scores, tags, and keypoints or masks.

Results can be sliced, drawn, saved, and written as a COCO dataset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
from PIL import Image

from associative_embedding.instances.coco import annotations_of
from associative_embedding.instances.picture import draw_instances, notebook_png, plot
from associative_embedding.instances.save import save_instances
from associative_embedding.instances.table import to_csv, to_pandas
from associative_embedding.instances.to_geojson import to_geojson
from associative_embedding.instances.to_napari import to_napari
from associative_embedding.instances.to_supervision import to_detections, to_keypoints
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks, require_masks
from associative_embedding.structures.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class Instances:
    """The N people, animals or objects found in one image.

    Every instance has a score, a class and a tag, and either K keypoints or a mask; in a video it can also have a
    track. A predictor returns the instances best first. Results slice like an array:
    ``instances[instances.score > 0.5]``, ``instances[:3]``; ``instances["left_wrist"]`` is one keypoint of everybody.
    Iteration yields results of one instance each. In a notebook a result is its picture.

    Attributes:
        score: ``(N,)`` float32 in [0, 1], confidence of each instance.
        class_id: ``(N,)`` int64, category id of each instance, a key of `class_names` where that is not empty.
        tag: ``(N, D)`` float32, mean tag of the keypoints or pixels of each instance. D is the tag dimension of the
            model, times the scales and mirror images that were used; 0 for a single-person model. Tags have no unit:
            only distances between them have a meaning, for one model and one set of options.
        keypoints: ``(N, K, 3)`` float32. x and y are in image pixels, continuous: the first pixel covers [0, 1), its
            centre is at 0.5. The third value is the score in [0, 1]; 0 = not found, with x = y = 0. K is 0 for results
            with masks.
        image_size: (H, W) of the image, pixels.
        skeleton: names, edges and sides of the K keypoint types; None if K is 0.
        image: ``(H, W, 3)`` uint8 RGB, the image itself, for `draw`; None if it was not kept.
        source: file name or URL of the image; "" for an array.
        masks: N masks in image pixels; None for results with keypoints.
        track_id: ``(N,)`` int64; instances with equal ids in the frames of a video are the same individual. -1 = in no
            track. None for single images.
        pixel_size: side of a pixel in micrometres as the image states it; None = not known.
        values: ``(H, W, C)`` of any type, the values of all channels as the file has them, for objects with masks that
            are measured; None = those of `image`.
        channel_names: of the C channels.
        class_names: category id -> name, of every class that the model can find. Empty for results with keypoints,
            whose only class has the name of the skeleton.

    Raises:
        ValueError: when the shapes do not fit together.
    """

    score: Array
    class_id: Array
    tag: Array
    keypoints: Array
    image_size: tuple[int, int]
    skeleton: Skeleton | None
    image: Array | None = None
    source: str = ""
    masks: Masks | None = None
    track_id: Array | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)
    pixel_size: float | None = None
    values: Array | None = None
    channel_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # Checked here, since a wrong shape would otherwise fail later and elsewhere, in a picture or a file.
        n, k = len(self.score), len(self.skeleton.keypoints) if self.skeleton else 0
        if self.keypoints.shape != (n, k, 3):
            raise ValueError(f"keypoints must be (N, K, 3) = ({n}, {k}, 3), not {self.keypoints.shape}")
        if len(self.class_id) != n or len(self.tag) != n:
            raise ValueError(f"score, class_id and tag must have the same length {n}")
        if self.track_id is not None and len(self.track_id) != n:
            raise ValueError(f"track_id must have the length {n}, not {len(self.track_id)}")
        if self.masks is not None and (len(self.masks) != n or self.masks.size != tuple(self.image_size)):
            raise ValueError(f"masks must be {n} of an image of {self.image_size}, not {self.masks}")

    def __len__(self) -> int:
        return len(self.score)

    def __eq__(self, other: object) -> bool:
        """Whether the same was found in an image of the same size and name; whether pixels are kept does not count."""
        if not isinstance(other, Instances):
            return NotImplemented
        plain = ("image_size", "skeleton", "source", "class_names")
        arrays = ("score", "class_id", "tag", "keypoints", "track_id", "masks")
        return all(getattr(self, name) == getattr(other, name) for name in plain) and all(
            are_equal(getattr(self, name), getattr(other, name)) for name in arrays
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    @overload
    def __getitem__(self, index: str) -> Array: ...

    @overload
    def __getitem__(self, index: int | slice | Array | list[int]) -> Instances: ...

    def __getitem__(self, index: int | slice | Array | list[int] | str) -> Instances | Array:
        if isinstance(index, str):
            return self._keypoint(index)
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"instance {index} of {len(self)}")
            index = [int(index)]  # as a list: the result has N = 1, not one dimension less
        return replace(
            self,
            score=self.score[index],
            class_id=self.class_id[index],
            tag=self.tag[index],
            keypoints=self.keypoints[index],
            masks=None if self.masks is None else self.masks[index],
            track_id=None if self.track_id is None else self.track_id[index],
        )

    def _keypoint(self, name: str) -> Array:
        names = self.skeleton.keypoints if self.skeleton else ()
        if name not in names:
            raise KeyError(f"no keypoint {name!r}; there are {', '.join(names) or 'none'}")
        return self.keypoints[:, names.index(name)]

    def __iter__(self) -> Iterator[Instances]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        height, width = self.image_size
        parts = [f"{len(self)} in {width}x{height}"]
        if self.skeleton is not None:
            parts.append(f"keypoints {self.keypoints.shape}")
        if self.masks is not None:
            names = list(self.class_names.values())
            parts.append(f"masks of {', '.join(names) if len(names) <= 5 else f'{len(names)} classes'}")
        parts.append(f"tag {self.tag.shape}")
        if self.skeleton is not None:
            parts.append(f"skeleton {self.skeleton.name!r}")
        return f"Instances({', '.join(parts)})"

    @property
    def xywh(self) -> Array:
        """``(N, 4)`` float32 x, y, width, height in image pixels: the boxes around the masks or the found keypoints.

        Zeros for an instance without a keypoint or with an empty mask.
        """
        if self.masks is not None:
            return self.masks.xywh
        # Keypoints that were not found are 0, 0, and must not pull the box there.
        found = self.keypoints[:, :, 2] > 0
        xy = self.keypoints[:, :, :2]
        low = np.where(found[..., None], xy, np.inf).min(axis=1, initial=np.inf)
        high = np.where(found[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
        empty = ~found.any(axis=1)
        low[empty] = high[empty] = 0
        return np.concatenate([low, high - low], axis=1).astype(np.float32)

    @property
    def xyxy(self) -> Array:
        """``(N, 4)`` float32 x and y of the upper left and of the lower right corner of each box, image pixels."""
        low, size = np.split(self.xywh, 2, axis=1)
        return np.concatenate([low, low + size], axis=1)

    @property
    def class_name(self) -> Array:
        """``(N,)`` texts, the name of each instance's class."""
        names = {category["id"]: category["name"] for category in self.categories}
        return np.array([names.get(int(i), str(i)) for i in self.class_id], dtype=str)

    @property
    def categories(self) -> list[dict[str, Any]]:
        """Categories in the COCO format: those in `class_names`; if it is empty, those that occur in `class_id`."""
        ids = list(self.class_names) or np.unique(self.class_id).tolist()
        if self.skeleton is not None:
            return [self.skeleton.to_category(int(i)) for i in ids]
        return [{"id": int(i), "name": self.class_names.get(i, str(i))} for i in ids]

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """Returns N annotations in the COCO format, in image pixels.

        An annotation has ``score``, ``bbox`` (x, y, width, height), ``area`` (of the mask, or of the box), and either
        ``keypoints`` (x, y and score of each, flat) or ``segmentation`` (run lengths); in a video also ``track_id``.

        Args:
            image_id: of the image in the dataset.
        """
        return annotations_of(self, image_id)

    def to_pandas(self) -> Any:
        """Returns a ``pandas.DataFrame`` with a row for each instance; see `table.columns_of`.

        Raises:
            ValueError: when pandas is not installed.
        """
        return to_pandas(self)

    def to_csv(self) -> str:
        """Returns the same table as csv; ``save("people.csv")`` writes it."""
        return to_csv(self)

    def to_geojson(self) -> dict[str, Any]:
        """Returns outlines, classes and measurements as GeoJSON for QuPath; ``save("cells.geojson")`` writes it.

        Raises:
            ValueError: for results without masks.
        """
        return to_geojson(self)

    def to_napari(self) -> list[Any]:
        """Returns layers of napari: the image, and labels with measurements; see `to_napari.to_napari`.

        Raises:
            ValueError: for results without masks, or when napari is not installed.
        """
        return to_napari(self)

    def to_supervision(self) -> Any:
        """Returns ``sv.KeyPoints``, for masks ``sv.Detections``; `to_supervision.to_detections` gives boxes of people.

        Raises:
            ValueError: when supervision is not installed.
        """
        return to_detections(self) if self.skeleton is None else to_keypoints(self)

    def draw(self, image: Array | None = None, **options: Any) -> Array:
        """Returns the picture with skeletons or masks over it, ``(H, W, 3)`` uint8 RGB.

        Args:
            image: ``(H, W, 3)`` uint8 RGB to draw on; default: `self.image`. It is not changed.
            **options: see `draw_instances`.

        Raises:
            ValueError: without an image, or as `draw_instances`.
        """
        picture = self.image if image is None else image
        if picture is None:
            raise ValueError("these instances keep no image: pass one, draw(image)")
        return draw_instances(picture, self, **options)

    def save(self, path: str) -> None:
        """Writes a COCO dataset (``.json``), a table (``.csv``), a picture (``.jpg``, ``.png``), or labels (``.tif``).

        A label image is ``(H, W)`` integers: 0 = background, 1 = the first instance, 2 = the second ...

        Raises:
            ValueError, OSError: see `save_instances`.
        """
        save_instances(self, path)

    def show(self) -> None:
        """Opens the picture in the viewer of the system. In a notebook the result itself is shown: write its name.

        Raises:
            ValueError: without an image.
        """
        Image.fromarray(self.draw()).show()

    def plot(self, axes: Any = None) -> Any:
        """Draws the picture into axes of matplotlib, by default those in use, and returns them; see `picture.plot`."""
        return plot(self, axes)

    def _repr_png_(self) -> bytes | None:
        return notebook_png(self)


def are_equal(first: Any, second: Any) -> bool:
    """Whether two arrays or two lists of masks are equal; two that are None are."""
    if first is None or second is None:
        return first is second
    if isinstance(first, Masks):
        return bool(first.to_rle() == second.to_rle())
    return bool(np.array_equal(first, second))


def concatenate(parts: Sequence[Instances]) -> Instances:
    """Joins several results with masks of one image.

    Args:
        parts: at least one; image, source and class names are taken from the first.

    Returns:
        the instances of all parts, one part after the other; not sorted by score.

    Raises:
        ValueError: for a part without masks, or masks of another image size.
    """
    return replace(
        parts[0],
        score=np.concatenate([part.score for part in parts]),
        class_id=np.concatenate([part.class_id for part in parts]),
        tag=np.concatenate([part.tag for part in parts]),
        keypoints=np.concatenate([part.keypoints for part in parts]),
        masks=Masks.join([require_masks(part.masks) for part in parts], parts[0].image_size),
    )
