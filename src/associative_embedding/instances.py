"""What was found in an image: scores, tags, keypoints or masks; to slice, draw, save and exchange."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding import __version__
from associative_embedding.drawing.canvas import check_picture
from associative_embedding.drawing.masks import draw_masks
from associative_embedding.drawing.palette import to_colour
from associative_embedding.drawing.skeletons import MIN_KEYPOINT_SCORE, draw_skeletons, draw_trail, track_colours
from associative_embedding.io.files import write_json
from associative_embedding.io.write_images import IMAGE_OPTIONS, write_image, write_labels
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks, require_masks
from associative_embedding.structures.skeleton import Skeleton


@dataclass(frozen=True)
class Instances:
    """What was found in one image: scores, classes, tags and, for each of N instances, keypoints or a mask.

    Slices like an array: ``instances[instances.score > 0.5]``.

    Attributes:
        score: ``(N,)`` float32 in [0, 1], best first.
        class_id: ``(N,)`` int64, the category id.
        tag: ``(N, D)`` float32.
        keypoints: ``(N, K, 3)`` float32 x, y in image pixels and score in [0, 1]; score 0 = not found (x = y = 0). K
            is 0 where masks are what was found.
        image_size: ``(H, W)``.
        skeleton: names the K keypoint types; None if there are none.
        image: the ``(H, W, 3)`` uint8 RGB picture it was found in, kept for ``draw()``; or None.
        source: file name or URL.
        masks: the N regions, or None.
        track_id: ``(N,)`` int64, in a video: those with the same one are the same; -1 = not known (yet). Or None.
        class_names: category id -> name, of all that could have been found; the skeleton's name where it is empty.
    """

    score: Array
    class_id: Array
    tag: Array
    keypoints: Array
    image_size: tuple[int, int]
    skeleton: Skeleton | None
    image: Array | None = field(default=None, repr=False, compare=False)
    source: str = ""
    masks: Masks | None = field(default=None, compare=False)
    track_id: Array | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
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
            index = [int(index)]
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
        """``(N, 4)`` float32 boxes x, y, width, height around the masks or found keypoints (zeros if none)."""
        if self.masks is not None:
            return self.masks.xywh
        found = self.keypoints[:, :, 2] > 0
        xy = self.keypoints[:, :, :2]
        low = np.where(found[..., None], xy, np.inf).min(axis=1, initial=np.inf)
        high = np.where(found[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
        empty = ~found.any(axis=1)
        low[empty] = high[empty] = 0
        return np.concatenate([low, high - low], axis=1).astype(np.float32)

    @property
    def categories(self) -> list[dict[str, Any]]:
        """Categories of the COCO format, those that can be named: of ``class_names``, or of the ids that occur."""
        ids = list(self.class_names) or np.unique(self.class_id).tolist()
        if self.skeleton is not None:
            return [self.skeleton.to_category(int(i)) for i in ids]
        return [{"id": int(i), "name": self.class_names.get(i, str(i))} for i in ids]

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """Annotations of the COCO format: score, bbox xywh, area, and keypoints as x, y, score triples or a mask."""
        return [
            {
                "image_id": image_id,
                "category_id": int(self.class_id[i]),
                **shape,
                "score": round(float(self.score[i]), 5),
                "bbox": [round(float(v), 2) for v in box],
                "area": area,
                "iscrowd": 0,
                **({} if self.track_id is None else {"track_id": int(self.track_id[i])}),
            }
            for i, (box, shape, area) in enumerate(zip(self.xywh, self._shapes(), self._areas(), strict=True))
        ]

    def _shapes(self) -> list[dict[str, Any]]:
        if self.masks is not None:
            return [{"segmentation": encoded} for encoded in self.masks.to_rle()]
        return [
            {
                "keypoints": [round(float(v), 4) for v in keypoints.ravel()],
                "num_keypoints": int((keypoints[:, 2] > 0).sum()),
            }
            for keypoints in self.keypoints
        ]

    def _areas(self) -> list[float]:
        if self.masks is not None:
            return [float(area) for area in self.masks.area]
        return [round(float(width * height), 2) for _, _, width, height in self.xywh]

    def draw(self, image: Array | None = None, **options: Any) -> Array:
        """The picture with skeletons or masks over it, ``(H, W, 3)`` uint8 RGB. Options: see `draw_instances`."""
        picture = self.image if image is None else image
        if picture is None:
            raise ValueError("these instances keep no image: pass one, draw(image)")
        return draw_instances(picture, self, **options)

    def save(self, path: str) -> None:
        """Write one COCO dataset (``.json``), the annotated picture (``.jpg``, ``.png``) or, of masks, ``.tif`` labels.

        The label image is ``(H, W)`` integers: 0 = background, 1 = the first instance, 2 = the second ...
        """
        save_instances(self, path)


def draw_instances(
    image: Array,
    instances: Instances,
    *,
    scores: bool = False,
    threshold: float = MIN_KEYPOINT_SCORE,
    boxes: bool = False,
    trails: Mapping[int, Array] | None = None,
) -> Array:
    """The image with the skeletons or masks over it; the best instance lies on top.

    Limbs have the colour of their instance; keypoints are cyan on the left, orange on the right and white in the
    middle. Widths follow the size of the instance, within bounds of the size of the image. Of masks, see
    `draw_masks.draw_masks`. Instances with a track id have its colour and number, in every frame the same; those that
    have none yet are grey.

    Args:
        image: ``(H, W, 3)`` uint8 RGB of ``instances.image_size``.
        scores: write each instance's score beside it; into a mask, and with several classes the class before it, only
            where it fits.
        threshold: keypoints with a lower score, in [0, 1], are not drawn, nor are their limbs. Nothing to masks.
        boxes: draw the box around the drawn keypoints or the mask.
        trails: track id -> ``(n, 2)`` where it was, oldest first, in image pixels; drawn below.

    Raises:
        ValueError: for an image of another shape, type or size, or a threshold outside of [0, 1].
    """
    check_picture(image)
    if image.shape[:2] != tuple(instances.image_size):
        raise ValueError(f"image is {image.shape[:2]}, but the instances were found in one of {instances.image_size}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], not {threshold}")
    canvas = image.copy()
    for number, points in (trails or {}).items():
        draw_trail(canvas, points, to_colour(track_colours(np.array([number]))[0]))
    texts = _texts(instances, scores)
    colours = None if instances.track_id is None else track_colours(instances.track_id)
    if instances.masks is not None:
        draw_masks(canvas, instances.masks, texts=texts, boxes=boxes, colours=colours)
    elif instances.skeleton is not None:
        draw_skeletons(
            canvas,
            instances.keypoints,
            instances.skeleton,
            texts=texts,
            threshold=threshold,
            boxes=boxes,
            colours=colours,
        )
    return canvas


def _texts(instances: Instances, scores: bool) -> list[str]:
    """What is written beside each instance: its track, its class where there are several, its score."""
    texts = []
    for i in range(len(instances)):
        words = []
        if instances.track_id is not None and instances.track_id[i] >= 0:
            words.append(f"#{instances.track_id[i]}")
        if scores and instances.masks is not None and len(instances.class_names) > 1:
            class_id = int(instances.class_id[i])
            words.append(str(instances.class_names.get(class_id, class_id)))
        texts.append(" ".join([*words, f"{instances.score[i]:.2f}"] if scores else words))
    return texts


def save_instances(instances: Instances, path: str | Path) -> None:
    """One image's result: a COCO dataset (``.json``) or the annotated picture (an extension of `IMAGE_OPTIONS`).

    Of masks, a ``.tif`` or ``.tiff`` is not the picture but the label image: pixels of the first instance are 1, of
    the second 2, ..., of none 0 (see `write_labels` and `Masks.labels`).

    Raises:
        ValueError: for another extension, or for a picture when the instances keep no image.
        OSError: see `atomic_write`.
    """
    extension = Path(path).suffix.lower()
    if extension == ".json":
        write_json(path, coco_dataset([instances]))
    elif instances.masks is not None and extension in (".tif", ".tiff"):
        write_labels(path, instances.masks.labels())
    elif extension in IMAGE_OPTIONS:
        write_image(path, instances.draw())
    else:
        raise ValueError(f"cannot save {path}: the extension must be .json or one of {', '.join(IMAGE_OPTIONS)}")


def coco_dataset(results: Iterable[Instances], categories: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Results as one COCO dataset: ``info``, ``images``, ``annotations`` and ``categories``.

    Image ids count from 1 in the order of the results, annotation ids from 1 over all of them. The third value of a
    keypoint is its score in [0, 1] (0 = not found), not COCO's visibility. ``annotations`` alone is what COCO's
    evaluation calls a results file, when the image ids are the dataset's.

    Args:
        results: one `Instances` per image, images without instances too.
        categories: all that there are, in the COCO format. By default those that the results name; a skeleton of which
            nothing was found gets the lowest free id.

    Raises:
        ValueError: when a category id stands for two categories, or is none of `categories`.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    known = {category["id"]: category for category in categories or ()}
    unfound: list[Skeleton] = []
    for image_id, result in enumerate(results, start=1):
        height, width = result.image_size
        images.append({"id": image_id, "file_name": result.source, "width": int(width), "height": int(height)})
        for category in result.categories:
            if category["id"] not in known and categories is not None:
                raise ValueError(f"{result.source}: category id {category['id']} is none of {sorted(known)}")
            if known.setdefault(category["id"], category) != category:
                raise ValueError(f"{result.source}: category id {category['id']} stands for two categories")
        for annotation in result.to_coco(image_id):
            annotations.append({"id": len(annotations) + 1, **annotation})
        if not result.categories and result.skeleton is not None:
            unfound.append(result.skeleton)
    for skeleton in unfound:
        if categories is None and not any(skeleton.to_category(key) == named for key, named in known.items()):
            free = min(set(range(1, len(known) + 2)) - known.keys())
            known[free] = skeleton.to_category(free)
    return {
        "info": {
            "description": "Instances found by associative-embedding; a keypoint is x, y, score",
            "version": __version__,
            "date_created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "images": images,
        "annotations": annotations,
        "categories": [known[category_id] for category_id in sorted(known)],
    }


def concatenate(parts: Sequence[Instances]) -> Instances:
    """All instances of several results of one image, one after the other."""
    return replace(
        parts[0],
        score=np.concatenate([part.score for part in parts]),
        class_id=np.concatenate([part.class_id for part in parts]),
        tag=np.concatenate([part.tag for part in parts]),
        keypoints=np.concatenate([part.keypoints for part in parts]),
        masks=Masks.join([require_masks(part.masks) for part in parts], parts[0].image_size),
    )
