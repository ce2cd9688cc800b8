"""Figures that are cut out of synthetic images, each a sample."""

from __future__ import annotations

from functools import partial
from typing import Any

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.readers.person_crops import Crop, PersonCrops
from associative_embedding.data.settings import SourceConfig
from associative_embedding.structures.geometry import crop_boxes
from support.tiny import FIGURE

SQUARES = partial(crop_boxes, margin=1.25, min_size=20)


def images_of(source: SourceConfig, **options: Any) -> CocoKeypoints:
    return CocoKeypoints(source.annotations, source.images, FIGURE, **options)


def crops_of(source: SourceConfig, crop: Crop = SQUARES) -> PersonCrops:
    return PersonCrops(images_of(source), crop=crop)
