"""The tasks by their names, which model files and recipes store."""

from __future__ import annotations

from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.tasks.single_person.task import SinglePersonTask
from associative_embedding.tasks.task import Task
from associative_embedding.tasks.tracking.task import TrackingTask

TASKS: dict[str, type[Task]] = {
    "pose": PoseTask,
    "segmentation": SegmentationTask,
    "single-person": SinglePersonTask,
    "tracking": TrackingTask,
}
