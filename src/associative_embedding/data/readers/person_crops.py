"""The labelled people of a data set one by one, each in the middle of its own crop, for a single-person model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from associative_embedding.data.augmentation.compose import people_box
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints, hide_outside
from associative_embedding.structures.geometry import crop_squares
from associative_embedding.structures.sample import Sample


class PersonCrops:
    """One sample a person, a map-style data set: its keypoints alone, in the whole image, with the crop as `focus`.

    All other people are taught as absent, labelled or not: whose keypoints are meant is what the crop says. A person
    with few labelled keypoints is left out, as the box around them says little of where it is.

    Args:
        images: with people.
        margin, min_size: of a crop, see `crop_squares`.
        min_keypoints: a person of fewer labelled keypoints is left out.
    """

    def __init__(self, images: CocoKeypoints, *, margin: float, min_size: float, min_keypoints: int = 4) -> None:
        self.images, self.margin, self.min_size, self.min_keypoints = images, margin, min_size, min_keypoints
        self.places = [
            (image, person)
            for image, record in enumerate(images.records)
            for person, keypoints in enumerate(hide_outside(record.keypoints, record.size or (1 << 30, 1 << 30)))
            if (keypoints[:, 2] > 0).sum() >= min_keypoints
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        image, person = self.places[index]
        sample = self.images[image]
        keypoints = sample.keypoints[person]
        box = people_box(keypoints)
        if box is None:
            raise ValueError(f"{sample.file_name}: a person's keypoints all lie outside of the image")
        xywh = np.concatenate([box[:2], box[2:] - box[:2]])
        return replace(
            sample,
            keypoints=keypoints[None],
            area=sample.area[person, None],
            ignore=None,
            track_id=None,
            focus=crop_squares(xywh[None], margin=self.margin, min_size=self.min_size)[0],
        )
