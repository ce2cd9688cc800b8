"""Figures that are cut out of synthetic images, each a sample."""

from __future__ import annotations

from typing import Any

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.readers.person_crops import PersonCrops
from associative_embedding.data.settings import SourceConfig
from support.tiny import FIGURE


def images_of(source: SourceConfig, **options: Any) -> CocoKeypoints:
    return CocoKeypoints(source.annotations, source.images, FIGURE, **options)


def crops_of(source: SourceConfig) -> PersonCrops:
    return PersonCrops(images_of(source), margin=1.25, min_size=20)
