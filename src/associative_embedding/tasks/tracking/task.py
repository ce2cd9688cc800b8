"""Tracking, the paper's third problem: as pose, but an instance keeps its tag from frame to frame of a video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.task import Task
from associative_embedding.tasks.tracking.settings import LinkConfig


@dataclass(frozen=True)
class TrackingTask(PoseTask):
    """Finds the instances of a frame just as `PoseTask`; what differs is training, and how frames are linked.

    Training takes pairs of frames (`data.frames`). One tag loss runs over both: an instance and its later self are one
    group. Of the two frames only the first counts in the mean over the batch, so pull and push are half of a pose
    model's: double their weights.

    Attributes:
        link: how instances become tracks; it travels with the model.
        reach: greatest distance of two frames in training.
    """

    link: LinkConfig = field(default_factory=LinkConfig)
    reach: int = 1
    name: str = "tracking"

    def describe(self) -> dict[str, Any]:
        """What a model file says of its task; `from_description` reads it."""
        return {**super().describe(), "link": asdict(self.link)}

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> TrackingTask:
        """
        Raises:
            KeyError, TypeError, ValueError: when it is not what `describe` gives.
        """
        skeleton = Skeleton.from_category(values["skeleton"])
        return cls(skeleton, DecodeConfig(**values["decode"]), link=LinkConfig(**values["link"]))


def link_config(task: Task, changes: Mapping[str, Any]) -> LinkConfig:
    """How a model's instances are linked: its own settings, or the defaults, with some of them replaced.

    Raises:
        ValueError: for a setting that is not there, or a value out of range.
    """
    own = task.link if isinstance(task, TrackingTask) else LinkConfig()
    try:
        return replace(own, **changes)
    except (TypeError, ValueError) as error:
        text = str(error).removeprefix("LinkConfig.__init__() got an ").removeprefix("link.")
        raise ValueError(f"link: {text}") from None
