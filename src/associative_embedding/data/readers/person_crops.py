"""The labelled people of a data set one by one, each with a crop around it, for a single-person model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.keypoints import hide_outside, labelled_xyxy
from associative_embedding.structures.sample import Sample

Crop = Callable[[Array], Array]  # boxes (N, 4) around keypoints -> boxes (N, 4) to crop: x, y, width, height


class PersonCrops:
    """A map-style data set with one `Sample` for each person: the whole image, this person, its crop as `focus`.

    All other people are taught as absent, labelled or not, since the crop alone states which person is meant. A
    person with few labelled keypoints is left out: the box around them can be far from the box around the person.

    Args:
        images: the images with people.
        crop: how people are cropped, `RefineConfig.crops`.
        min_keypoints: smallest number of labelled keypoints of a person, at least 1.

    Attributes:
        places: index of the image, and of the person in it, for each of the N samples.
        crops: ``(N, 4)`` x, y, width, height of each sample's crop, image pixels. Where the annotations lack the size
            of an image, keypoints outside of it count, and the `focus` of the sample may differ.
    """

    def __init__(self, images: CocoKeypoints, *, crop: Crop, min_keypoints: int = 4) -> None:
        self.images, self.crop, self.min_keypoints = images, crop, min_keypoints
        self.places: list[tuple[int, int]] = []
        boxes = []
        for image, record in enumerate(images.records):
            # An entry without a size is not checked here: its image would have to be decoded. `__getitem__` checks it.
            for person, keypoints in enumerate(hide_outside(record.keypoints, record.size or (1 << 30, 1 << 30))):
                box = labelled_xywh(keypoints)
                if box is not None and (keypoints[:, 2] > 0).sum() >= min_keypoints:
                    self.places.append((image, person))
                    boxes.append(box)
        self.crops = crop(np.array(boxes).reshape(-1, 4))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        image, person = self.places[index]
        sample = self.images[image]
        keypoints = sample.keypoints[person]
        box = labelled_xywh(keypoints)
        if box is None:
            raise ValueError(f"{sample.file_name}: a person's keypoints all lie outside of the image")
        return replace(
            sample,
            keypoints=keypoints[None],
            area=sample.area[person, None],
            ignore=None,  # regions of other people are taught: as absent
            track_id=None,
            focus=self.crop(box[None])[0],
        )


def labelled_xywh(keypoints: Array) -> Array | None:
    """Returns x, y, width, height of the box around the labelled keypoints ``(K, 3)``, or None if there are none."""
    box = labelled_xyxy(keypoints)
    return None if box is None else np.concatenate([box[:2], box[2:] - box[:2]])
