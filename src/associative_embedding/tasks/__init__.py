"""Tasks: a sample becomes a training target (`encode`), maps become instances (`decode`)."""

from __future__ import annotations

from associative_embedding.tasks.pose import PoseTask
from associative_embedding.tasks.segmentation import SegmentationTask
from associative_embedding.tasks.single_pose import SinglePersonTask
from associative_embedding.tasks.task import Task
from associative_embedding.tasks.tracking import TrackingTask

TASKS: dict[str, type[Task]] = {
    "pose": PoseTask,
    "segmentation": SegmentationTask,
    "single-person": SinglePersonTask,
    "tracking": TrackingTask,
}
