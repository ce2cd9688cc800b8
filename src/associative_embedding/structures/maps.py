"""The nouns every other module speaks.

Letters, fixed everywhere: ``B`` batch, ``C`` heatmap channels, ``K`` keypoint types, ``N`` instances, ``G`` groups,
``M`` detections or samples, ``D`` tag dimension, ``H W`` image size, ``h w`` map size.

Coordinates are continuous: pixel ``i`` covers ``[i, i + 1)`` and its centre is ``i + 0.5``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from associative_embedding.masks import Masks
    from associative_embedding.skeleton import Skeleton

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Sample:
    """One annotated image, before it becomes a training target. Its N instances have keypoints, or masks and classes.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB.
        keypoints: ``(N, K, 3)`` float32 x, y in image pixels and visibility (0 unlabelled, 1 occluded, 2 visible); K
            is 0 where masks are what is known.
        area: ``(N,)`` float32, square pixels.
        labelled: ``(C,)`` bool, the keypoint types (or classes) that the source of this image labels at all. What it
            never labels must be masked in the loss, not taught as absent.
        ignore: ``(H, W)`` bool, True where nothing may be learned (crowds, void, people without labels), or None.
        image_id: the id in the annotation file.
        file_name: for messages.
        masks: the N regions, or None.
        class_id: ``(N,)`` int64 in ``[0, C)``, or None where masks is.
        focus: ``(4,)`` box x, y, width, height that training views are made around, or None: the whole image.
        track_id: ``(N,)`` int64: instances of one video that have the same one are the same; or None.
        later: another frame of the same video, whose tags are compared with this one's; or None.
    """

    image: Array
    keypoints: Array
    area: Array
    labelled: Array
    ignore: Array | None = None
    image_id: int = 0
    file_name: str = ""
    masks: Masks | None = None
    class_id: Array | None = None
    focus: Array | None = None
    track_id: Array | None = None
    later: Sample | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 3) uint8, not {self.image.shape} {self.image.dtype}")
        if self.keypoints.ndim != 3 or self.keypoints.shape[2] != 3:
            raise ValueError(f"keypoints must be (N, K, 3), not {self.keypoints.shape}")
        if self.masks is None and self.labelled.shape != (self.keypoints.shape[1],):
            raise ValueError(f"labelled must be (K,) = ({self.keypoints.shape[1]},), not {self.labelled.shape}")
        if self.masks is not None:
            if self.masks.size != self.image.shape[:2]:
                raise ValueError(f"masks are of an image of {self.masks.size}, not {self.image.shape[:2]}")
            if self.class_id is None or not len(self.masks) == len(self.keypoints) == len(self.class_id):
                raise ValueError("masks, keypoints and class_id must have the same length N")


@dataclass(frozen=True)
class TagSamples:
    """Where to read a tag, and which group it belongs to: all that the tag loss needs to know of a task.

    Attributes:
        batch, channel, y, x: ``(M,)`` int64 index into ``(B, C, h, w)``.
        group: ``(M,)`` int64 in ``[0, G)``, unique over the whole batch; a group lies in one batch element, or a track
            in the frames of one video, which follow each other in the batch.
        groups: ``(G,)`` int64, the batch element (of a track, that of the first frame) of each group.
    """

    batch: torch.Tensor
    channel: torch.Tensor
    y: torch.Tensor
    x: torch.Tensor
    group: torch.Tensor
    groups: torch.Tensor

    def to(self, device: torch.device | str) -> TagSamples:
        return TagSamples(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))


@dataclass(frozen=True)
class Target:
    """What the network is taught for a batch.

    Attributes:
        heatmap: ``(B, C, h, w)`` float32 in [0, 1].
        valid: ``(B, C, h, w)`` float32, 1 where the heatmap loss counts, 0 where it does not.
        samples: tags to be compared.
    """

    heatmap: torch.Tensor
    valid: torch.Tensor
    samples: TagSamples

    def to(self, device: torch.device | str) -> Target:
        return Target(
            self.heatmap.to(device, non_blocking=True),
            self.valid.to(device, non_blocking=True),
            self.samples.to(device),
        )


@dataclass(frozen=True)
class Maps:
    """One supervised output of the network.

    Attributes:
        heatmap: ``(B, C, h, w)`` detection scores.
        tag: ``(B, C, D, h, w)`` tags; D = 0 in an output that has none.
    """

    heatmap: torch.Tensor
    tag: torch.Tensor

    def __getitem__(self, index: slice) -> Maps:
        return Maps(self.heatmap[index], self.tag[index])


@dataclass(frozen=True)
class Peaks:
    """What is left of `Maps` when the network itself looks for peaks.

    Attributes:
        table: ``(B, P, 6 + D)`` float32, see `detect.peak_table`.
        total: ``(B,)`` the sum of all maps: not finite where one of their values is not.
        size: (C, h, w) of the maps.
    """

    table: torch.Tensor
    total: torch.Tensor
    size: tuple[int, int, int]


@dataclass(frozen=True)
class Detections:
    """Scored, tagged places that may belong together.

    Attributes:
        score: ``(M,)`` float.
        tag: ``(M, D)`` float.
        xy: ``(M, 2)`` float, map index coordinates (a pixel's centre is its integer index).
        step: ``(M,)`` int64; detections of one step exclude each other (pose: the keypoint type; tracking: the frame).
    """

    score: Array
    tag: Array
    xy: Array
    step: Array

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class Groups:
    """The answer of grouping.

    Attributes:
        group: ``(M,)`` int64, the group of each detection, -1 = dropped.
        tag: ``(G, D)`` mean tag of each group.
        score: ``(G,)`` mean score of the detections of each group.
    """

    group: Array
    tag: Array
    score: Array

    def __len__(self) -> int:
        return len(self.score)


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
        """The picture with skeletons or masks over it, ``(H, W, 3)`` uint8 RGB. Options: see `draw.draw_instances`."""
        from associative_embedding.draw import draw_instances

        picture = self.image if image is None else image
        if picture is None:
            raise ValueError("these instances keep no image: pass one, draw(image)")
        return draw_instances(picture, self, **options)

    def save(self, path: str) -> None:
        """Write one COCO dataset (``.json``), the annotated picture (``.jpg``, ``.png``) or, of masks, ``.tif`` labels.

        The label image is ``(H, W)`` integers: 0 = background, 1 = the first instance, 2 = the second ...
        """
        from associative_embedding.output import save_instances

        save_instances(self, path)
