"""Tracking, the paper's third problem: pose whose instances keep their tags from frame to frame of a video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.single_person.task import SinglePersonTask
from associative_embedding.tasks.task import Task
from associative_embedding.tasks.tracking.settings import LinkConfig


@dataclass(frozen=True)
class TrackingTask(PoseTask):
    """Finds the instances of a frame as `PoseTask`; training differs, and the model file also stores how to link.

    Training takes pairs of frames (`data.readers.frame_pairs`), with one tag loss over both: an instance and its later
    self are one group. Groups are counted for the first frame alone, so in the mean over the batch pull and push are
    half of a pose model's: double their weights.

    Attributes:
        link: how instances become tracks; stored in the model file.
        reach: greatest distance between the two frames of a training pair, in frames.
    """

    link: LinkConfig = field(default_factory=LinkConfig)
    reach: int = 1
    name: str = "tracking"

    def to_description(self) -> dict[str, Any]:
        """Returns the description of a pose task with the settings of linking."""
        return {**super().to_description(), "link": asdict(self.link)}

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> Self:
        """Returns the task that `to_description` described.

        Raises:
            KeyError, TypeError, ValueError: for anything that `to_description` cannot return.
        """
        return replace(super().from_description(values), link=LinkConfig(**values["link"]))


def link_config(task: Task, changes: Mapping[str, Any]) -> LinkConfig:
    """Returns how a model's instances are linked: its own settings, or the defaults, with some of them replaced.

    Raises:
        ValueError: for an unknown setting, or a value out of range.
    """
    # Any task's instances can be linked, also by motion alone; only a tracking model was trained with settings for it.
    own = task.link if isinstance(task, TrackingTask) else LinkConfig()
    if isinstance(task, SinglePersonTask):
        own = replace(own, by="motion")
        if changes.get("by", "motion") != "motion":
            raise ValueError(f"link: a single-person model predicts no tags: by must be motion, not {changes['by']}")
    try:
        return replace(own, **changes)
    except (TypeError, ValueError) as error:
        text = str(error).removeprefix("LinkConfig.__init__() got an ").removeprefix("link.")
        raise ValueError(f"link: {text}") from None
