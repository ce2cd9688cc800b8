"""What was found in one image: scores, tags, and keypoints or masks.

Results can be sliced, drawn, saved, and written as a COCO dataset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from associative_embedding.instances.coco import annotations_of
from associative_embedding.instances.picture import draw_instances
from associative_embedding.instances.save import save_instances
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks, require_masks
from associative_embedding.structures.skeleton import Skeleton


@dataclass(frozen=True)
class Instances:
    """The N people, animals or objects found in one image.

    Every instance has a score, a class and a tag, and either K keypoints or a mask; in a video it can also have a
    track. A predictor returns the instances best first. Results slice like an array:
    ``instances[instances.score > 0.5]``, ``instances[:3]``. Iteration yields results of one instance each.

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
        track_id: ``(N,)`` int64; instances with equal ids in the frames of a video are the same individual. -1 = not in
            a track (yet). None for single images.
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
    image: Array | None = field(
        default=None, repr=False, compare=False
    )  # a million numbers: neither shown nor compared
    source: str = ""
    masks: Masks | None = field(default=None, compare=False)
    track_id: Array | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)

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

    def __getitem__(self, index: int | slice | Array | list[int]) -> Instances:
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
        """Writes a COCO dataset (``.json``), an annotated picture (``.jpg``, ``.png``), or masks as labels (``.tif``).

        A label image is ``(H, W)`` integers: 0 = background, 1 = the first instance, 2 = the second ...

        Raises:
            ValueError, OSError: see `save_instances`.
        """
        save_instances(self, path)


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
