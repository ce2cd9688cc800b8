"""The labelled people of a data set one by one, each with a crop around it, for a single-person model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.structures.geometry import crop_boxes
from associative_embedding.structures.keypoints import hide_outside, labelled_xyxy
from associative_embedding.structures.sample import Sample


class PersonCrops:
    """A map-style data set with one `Sample` for each person: the whole image, this person, its crop as `focus`.

    All other people are taught as absent, labelled or not, since the crop alone states which person is meant. A
    person with few labelled keypoints is left out: the box around them can be far from the box around the person.

    Args:
        images: the images with people.
        margin, min_size: see `crop_boxes`.
        min_keypoints: smallest number of labelled keypoints of a person.
    """

    def __init__(self, images: CocoKeypoints, *, margin: float, min_size: float, min_keypoints: int = 4) -> None:
        self.images, self.margin, self.min_size, self.min_keypoints = images, margin, min_size, min_keypoints
        # An entry without a size is not checked here: its image would have to be decoded. `__getitem__` checks it.
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
        box = labelled_xyxy(keypoints)
        if box is None:
            raise ValueError(f"{sample.file_name}: a person's keypoints all lie outside of the image")
        xywh = np.concatenate([box[:2], box[2:] - box[:2]])
        return replace(
            sample,
            keypoints=keypoints[None],
            area=sample.area[person, None],
            ignore=None,  # regions of other people are taught: as absent
            track_id=None,
            focus=crop_boxes(xywh[None], margin=self.margin, min_size=self.min_size)[0],
        )
