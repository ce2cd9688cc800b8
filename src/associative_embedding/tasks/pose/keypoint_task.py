"""What tasks with one heatmap per keypoint type share: several people (pose), videos (tracking), one person."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.multi_scale import View, merge_views
from associative_embedding.tasks.pose.target import encode_pose
from associative_embedding.tasks.targets import ImageTarget
from associative_embedding.tasks.task import Decoded


@dataclass(frozen=True)
class KeypointTask(ABC):
    """A task whose instances have the keypoints of a skeleton; a subclass adds how its maps are decoded.

    Attributes:
        skeleton: of the people (or animals).
        decode_config: an instance of `settings`.
        category_id: `Instances.class_id` of everything found.
        sigma, sigma_growth: of the training targets, see `encode_pose`.
        name: key in `all_tasks.TASKS`.
        settings: the dataclass of the decode settings.
    """

    # A subclass gives `decode_config` and `name` their type and default; their places in the constructor stay these.
    skeleton: Skeleton
    decode_config: Any
    category_id: int = 1
    sigma: float = 2.0
    sigma_growth: float = 0.0
    name: str = ""

    settings: ClassVar[type[Any]]
    finds_masks: ClassVar[bool] = False

    @property
    def channels(self) -> int:
        """C: one heatmap per keypoint type."""
        return len(self.skeleton)

    @property
    def flip_index(self) -> Array | None:
        """``(C,)`` int64: in a mirror image left and right types change places; None if they are not known."""
        return self.skeleton.flip_index if self.skeleton.sides_known else None

    @property
    def categories(self) -> list[dict[str, Any]]:
        """The one COCO category, with the skeleton."""
        return [self.skeleton.to_category(self.category_id)]

    def to_description(self) -> dict[str, Any]:
        """Returns the skeleton and the decode settings, for a model file; `from_description` reads them.

        Training settings (`sigma`) stay behind: they change no result of a trained model.
        """
        return {"skeleton": self.skeleton.to_category(), "decode": asdict(self.decode_config)}

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> Self:
        """Returns the task that `to_description` described.

        Raises:
            KeyError, TypeError, ValueError: for anything that `to_description` cannot return.
        """
        return cls(Skeleton.from_category(values["skeleton"]), cls.settings(**values["decode"]))

    def encode(self, sample: Sample, *, stride: int, rng: np.random.Generator) -> ImageTarget:
        """Turns a sample in input pixels into its training target; nothing is drawn at random."""
        return encode_pose(sample, stride=stride, sigma=self.sigma, sigma_growth=self.sigma_growth)

    @abstractmethod
    def decode_groups(self, maps: Maps, geometry: ImageGeometry) -> Decoded:
        """Turns the maps of one image (batch 1) into people, best first; keypoints in image pixels."""

    def decode_views(self, views: Sequence[View]) -> tuple[Decoded, View]:
        """Merges the maps of one image at several scales, and decodes them.

        Returns:
            the people, and the merged maps.

        Raises:
            ValueError: see `decode_groups`.
        """
        merged = merge_views(views)
        return self.decode_groups(*merged), merged
