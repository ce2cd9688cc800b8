"""The nouns every other module speaks.

Letters, fixed everywhere: ``B`` batch, ``C`` heatmap channels, ``K`` keypoint types, ``N`` instances, ``G`` groups,
``M`` detections or samples, ``D`` tag dimension, ``H W`` image size, ``h w`` map size.

Coordinates are continuous: pixel ``i`` covers ``[i, i + 1)`` and its centre is ``i + 0.5``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from associative_embedding.skeleton import Skeleton

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Sample:
    """One annotated image, before it becomes a training target.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB.
        keypoints: ``(N, K, 3)`` float32 x, y in image pixels and visibility (0 unlabelled, 1 occluded, 2 visible).
        area: ``(N,)`` float32, square pixels.
        labelled: ``(K,)`` bool, the keypoint types that the source of this image labels at all. A type that it never
            labels must be masked in the loss, not taught as absent.
        ignore: ``(H, W)`` bool, True where nothing may be learned (crowds, people without labels), or None.
        image_id: the id in the annotation file.
        file_name: for messages.
    """

    image: Array
    keypoints: Array
    area: Array
    labelled: Array
    ignore: Array | None = None
    image_id: int = 0
    file_name: str = ""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 3) uint8, not {self.image.shape} {self.image.dtype}")
        if self.keypoints.ndim != 3 or self.keypoints.shape[2] != 3:
            raise ValueError(f"keypoints must be (N, K, 3), not {self.keypoints.shape}")
        if self.labelled.shape != (self.keypoints.shape[1],):
            raise ValueError(f"labelled must be (K,) = ({self.keypoints.shape[1]},), not {self.labelled.shape}")


@dataclass(frozen=True)
class TagSamples:
    """Where to read a tag, and which group it belongs to: all that the tag loss needs to know of a task.

    Attributes:
        batch, channel, y, x: ``(M,)`` int64 index into ``(B, C, h, w)``.
        group: ``(M,)`` int64 in ``[0, G)``, unique over the whole batch; a group lies in one batch element.
        groups: ``(G,)`` int64, the batch element of each group.
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
        tag: ``(B, C, D, h, w)`` tags.
    """

    heatmap: torch.Tensor
    tag: torch.Tensor

    def __getitem__(self, index: slice) -> Maps:
        return Maps(self.heatmap[index], self.tag[index])


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
    """What was found in one image: scores, tags, and keypoints (N people).

    Slices like an array: ``instances[instances.score > 0.5]``.

    Attributes:
        score: ``(N,)`` float32 in [0, 1], best first.
        class_id: ``(N,)`` int64, the category id.
        tag: ``(N, D)`` float32.
        keypoints: ``(N, K, 3)`` float32 x, y in image pixels and score in [0, 1]; score 0 = not found (x = y = 0).
        image_size: ``(H, W)``.
        skeleton: names the K keypoint types.
        image: the ``(H, W, 3)`` uint8 RGB picture it was found in, kept for ``draw()``; or None.
        source: file name or URL.
    """

    score: Array
    class_id: Array
    tag: Array
    keypoints: Array
    image_size: tuple[int, int]
    skeleton: Skeleton
    image: Array | None = field(default=None, repr=False, compare=False)
    source: str = ""

    def __post_init__(self) -> None:
        n, k = len(self.score), len(self.skeleton.keypoints)
        if self.keypoints.shape != (n, k, 3):
            raise ValueError(f"keypoints must be (N, K, 3) = ({n}, {k}, 3), not {self.keypoints.shape}")
        if len(self.class_id) != n or len(self.tag) != n:
            raise ValueError(f"score, class_id and tag must have the same length {n}")

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
        )

    def __iter__(self) -> Iterator[Instances]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        height, width = self.image_size
        return (
            f"Instances({len(self)} in {width}x{height}, keypoints {self.keypoints.shape}, "
            f"tag {self.tag.shape}, skeleton {self.skeleton.name!r})"
        )

    @property
    def xywh(self) -> Array:
        """``(N, 4)`` float32 boxes x, y, width, height around the found keypoints (zeros if there are none)."""
        found = self.keypoints[:, :, 2] > 0
        xy = self.keypoints[:, :, :2]
        low = np.where(found[..., None], xy, np.inf).min(axis=1, initial=np.inf)
        high = np.where(found[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
        empty = ~found.any(axis=1)
        low[empty] = high[empty] = 0
        return np.concatenate([low, high - low], axis=1).astype(np.float32)

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """Annotations of the COCO format: keypoints as x, y, score triples, score, bbox xywh."""
        return [
            {
                "image_id": image_id,
                "category_id": int(self.class_id[i]),
                "keypoints": [round(float(v), 4) for v in self.keypoints[i].ravel()],
                "num_keypoints": int((self.keypoints[i, :, 2] > 0).sum()),
                "score": round(float(self.score[i]), 5),
                "bbox": [round(float(v), 2) for v in box],
                "area": round(float(box[2] * box[3]), 2),
                "iscrowd": 0,
            }
            for i, box in enumerate(self.xywh)
        ]

    def draw(self, image: Array | None = None, **options: Any) -> Array:
        """The picture with the skeletons over it, ``(H, W, 3)`` uint8 RGB. Options: see `draw.draw_instances`."""
        from associative_embedding.draw import draw_instances

        picture = self.image if image is None else image
        if picture is None:
            raise ValueError("these instances keep no image: pass one, draw(image)")
        return draw_instances(picture, self, **options)

    def save(self, path: str) -> None:
        """Write one COCO dataset (``.json``) or the annotated picture (``.jpg``, ``.png``)."""
        from associative_embedding.output import save_instances

        save_instances(self, path)
