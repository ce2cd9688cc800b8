"""The result for one image: the instances found, with scores, tags, and keypoints or masks.

Results can be sliced, drawn, saved, and written as a COCO dataset.
"""

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
from associative_embedding.io.files import utf8_name, write_json
from associative_embedding.io.write_images import IMAGE_OPTIONS, write_image, write_labels
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
        # Rounded below the precision of any model, since digits are most of the file.
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


def draw_instances(
    image: Array,
    instances: Instances,
    *,
    scores: bool = False,
    threshold: float = MIN_KEYPOINT_SCORE,
    boxes: bool = False,
    trails: Mapping[int, Array] | None = None,
) -> Array:
    """Returns a copy of the image with skeletons or masks over it; the first instance lies on top.

    A limb has the colour of its instance. Keypoints are cyan on the left, orange on the right and white in the middle.
    Lines are wider for larger instances, within bounds that grow with the image. For masks, see
    `drawing.masks.draw_masks`. Instances with a track have its colour and number, the same in every frame; those
    without one are grey.

    Args:
        image: ``(H, W, 3)`` uint8 RGB of ``instances.image_size``.
        instances: what to draw.
        scores: write each instance's score beside it. In a mask it is written where it fits, after the class if there
            are several classes.
        threshold: in [0, 1]; keypoints with a lower score are not drawn, nor their limbs. Has no effect on masks.
        boxes: draw the box around the drawn keypoints or the mask.
        trails: track id -> ``(n, 2)`` x, y in image pixels, the path of the track, oldest first; drawn below all else.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        ValueError: for an image of another shape, type or size, or a threshold outside of [0, 1].
    """
    check_picture(image)
    if image.shape[:2] != tuple(instances.image_size):
        raise ValueError(f"image is {image.shape[:2]}, but the instances were found in one of {instances.image_size}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], not {threshold}")
    canvas = image.copy()
    # Trails first: people and masks must not be hidden by them.
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
    """Returns the text of each instance: its track, its class if there are several, its score."""
    texts = []
    for i in range(len(instances)):
        words: list[str] = []
        if instances.track_id is not None and instances.track_id[i] >= 0:  # -1: no track yet
            words.append(f"#{instances.track_id[i]}")
        if scores and instances.masks is not None and len(instances.class_names) > 1:
            class_id = int(instances.class_id[i])
            words.append(str(instances.class_names.get(class_id, class_id)))
        texts.append(" ".join([*words, f"{instances.score[i]:.2f}"] if scores else words))
    return texts


def save_instances(instances: Instances, path: str | Path) -> None:
    """Writes the result for one image: a COCO dataset, an annotated picture, or a label image.

    Args:
        instances: the result.
        path: ``.json`` = COCO dataset. An extension in `IMAGE_OPTIONS` = annotated picture; but for masks, ``.tif`` and
            ``.tiff`` = label image, in which the pixels of the first instance are 1, of the second 2 ..., and of the
            background 0 (see `write_labels` and `Masks.labels`).

    Raises:
        ValueError: for another extension, or for a picture when the instances keep no image.
        OSError: see `atomic_write`.
    """
    extension = Path(path).suffix.lower()
    if extension == ".json":
        write_json(path, coco_dataset([instances]))
    elif instances.masks is not None and extension in (".tif", ".tiff"):  # before pictures, which include .tif
        write_labels(path, instances.masks.labels())
    elif extension in IMAGE_OPTIONS:
        write_image(path, instances.draw())
    else:
        raise ValueError(f"cannot save {path}: the extension must be .json or one of {', '.join(IMAGE_OPTIONS)}")


def coco_dataset(results: Iterable[Instances], categories: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Returns results as one COCO dataset: ``info``, ``images``, ``annotations`` and ``categories``.

    Image ids count from 1 in the order of the results, annotation ids from 1 over all images. The third value of a
    keypoint is its score in [0, 1] (0 = not found), not COCO's visibility. ``annotations`` alone is the results file of
    COCO's evaluation, if the image ids are those of the dataset.

    Args:
        results: one `Instances` for each image, also for images without instances.
        categories: all categories, in the COCO format. Default: the categories in the results; a skeleton of which no
            instance was found gets the lowest free id.

    Raises:
        ValueError: when a category id stands for two categories, or is not in `categories`.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    known = {category["id"]: category for category in categories or ()}
    without_id: list[Skeleton] = []  # of images without an instance, so no category id is known
    for image_id, result in enumerate(results, start=1):
        height, width = result.image_size
        name = utf8_name(result.source)
        images.append({"id": image_id, "file_name": name, "width": int(width), "height": int(height)})
        _add_categories(known, result, closed=categories is not None)
        for annotation in result.to_coco(image_id):
            annotations.append({"id": len(annotations) + 1, **annotation})
        if not result.categories and result.skeleton is not None:
            without_id.append(result.skeleton)
    if categories is None:
        # Last: then every id that an instance has is taken.
        for skeleton in without_id:
            _add_skeleton(known, skeleton)
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


def _add_categories(known: dict[Any, Any], result: Instances, *, closed: bool) -> None:
    """Adds the categories of a result to those known, by id; `closed` = there must be no new one."""
    for category in result.categories:
        if category["id"] not in known and closed:
            raise ValueError(f"{result.source}: category id {category['id']} is none of {sorted(known)}")
        if known.setdefault(category["id"], category) != category:
            raise ValueError(f"{result.source}: category id {category['id']} stands for two categories")


def _add_skeleton(known: dict[Any, Any], skeleton: Skeleton) -> None:
    """Adds a category for a skeleton under the lowest free id, unless it has one."""
    if not any(skeleton.to_category(key) == category for key, category in known.items()):
        free = min(set(range(1, len(known) + 2)) - known.keys())
        known[free] = skeleton.to_category(free)


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
