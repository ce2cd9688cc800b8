"""What the modules of this room read of a result: `Instances` has all of it, and uses these modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.skeleton import Skeleton


class Found(Protocol):
    """The instances found in one image; `Instances` explains each value."""

    def __len__(self) -> int: ...

    @property
    def score(self) -> Array: ...

    @property
    def class_id(self) -> Array: ...

    @property
    def keypoints(self) -> Array: ...

    @property
    def image_size(self) -> tuple[int, int]: ...

    @property
    def skeleton(self) -> Skeleton | None: ...

    @property
    def image(self) -> Array | None: ...

    @property
    def source(self) -> str: ...

    @property
    def masks(self) -> Masks | None: ...

    @property
    def track_id(self) -> Array | None: ...

    @property
    def class_names(self) -> Mapping[int, str]: ...

    @property
    def pixel_size(self) -> float | None: ...

    @property
    def values(self) -> Array | None: ...

    @property
    def channel_names(self) -> tuple[str, ...]: ...

    @property
    def xywh(self) -> Array: ...

    @property
    def class_name(self) -> Array: ...

    @property
    def categories(self) -> list[dict[str, Any]]: ...

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]: ...

    def draw(self) -> Array: ...
