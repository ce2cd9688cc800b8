"""Reads images with keypoint annotations in the COCO json format, for any skeleton.

Keypoints are matched BY NAME, so annotations of MPII or LSP can teach a COCO skeleton the types that they have. Types
that a source does not label are stated in `Sample.labelled`, regions in `Sample.ignore`: the loss leaves both out.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

import numpy as np

from associative_embedding.data.readers.coco_records import KeypointRecord, read_records
from associative_embedding.data.readers.image_folder import ImageFolder, check_folder
from associative_embedding.data.readers.keypoint_categories import KeypointCategories
from associative_embedding.data.readers.segmentations import fill_box, mark_regions
from associative_embedding.io.find_images import find_images
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.keypoints import hide_outside
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton

ENLARGE = 0.25  # share of its sides by which the box of a labelled person grows; outside of the boxes nothing is taught


class CocoKeypoints(ImageFolder[KeypointRecord]):
    """Images with people (or other objects that the skeleton describes), a map-style data set of `Sample`.

    A person without any labelled keypoint and a crowd (``iscrowd``) are ignored regions, not people. Keypoints outside
    of the image keep their coordinates but get visibility 0. For several categories see `keypoint_categories`.

    Args:
        annotations: a COCO json, or None: all images of the folder, and no image shows a person.
        images: the folder that each ``file_name`` is relative to.
        skeleton: the target; source keypoints of other names are dropped.
        complete: the source labels every person. If not, all outside of the labelled people's boxes is ignored.
        image_ids: ids of the images to read; None = all.
        people_only: leave out images without a labelled person. Without annotations it has no effect.
        cache: hold the encoded files in memory.
        rename: source name -> target name, where they differ (``{"upper_neck": "neck"}``).

    Attributes:
        categories: of the people in the images.
        videos: where videos and frame numbers come from, for messages; empty without tracks.

    Raises:
        ValueError: for a missing or broken file or entry, with file, id and key.
    """

    def __init__(
        self,
        annotations: str | None,
        images: str,
        skeleton: Skeleton,
        *,
        complete: bool = True,
        image_ids: Container[int] | None = None,
        people_only: bool = True,
        cache: bool = True,
        rename: Mapping[str, str] | None = None,
    ) -> None:
        check_folder(images)
        self.complete = complete
        if annotations is None:
            if not complete:
                raise ValueError(f"{images}: a folder without annotations teaches nothing unless it is complete")
            # nobody is in these images, so every type is known to be absent
            self.labelled = np.ones(len(skeleton.keypoints), bool)
            self.categories, self.videos = KeypointCategories({}, {}, {}), ""
            records = list(folder_records(Path(images), len(skeleton.keypoints)))
        else:
            records, self.categories, self.videos = read_records(annotations, skeleton, rename or {})
            self.labelled = np.isin(np.arange(len(skeleton)), self.categories.labelled)
            records = [r for r in records if len(r.keypoints) or not people_only]
        chosen = [r for r in records if image_ids is None or r.image_id in image_ids]
        super().__init__(images, chosen, annotations or images, cache=cache)

    @property
    def coco_splits(self) -> Counter[str]:
        """Number of images of each set of COCO ("val2017"); "" counts those whose set the file does not state."""
        return Counter(record.coco_split for record in self.records)

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        image = self.pixels(record)
        size = image.shape[:2]
        # copies: a sample that is changed must not change the next epoch's
        return Sample(
            image=image,
            keypoints=hide_outside(record.keypoints, size),
            area=record.area.copy(),
            labelled=self.labelled.copy(),
            ignore=ignore_mask(record, size, self.complete),
            image_id=record.image_id,
            file_name=record.file_name,
            track_id=None if record.track_id is None else record.track_id.copy(),
        )


def held_out(image_id: int, fraction: float = 0.1) -> bool:
    """Returns whether an image belongs to the validation part, by a hash of its id alone.

    The result does not depend on the other images, the order, the machine or the version. A smaller
    fraction holds out a subset of the images of a larger one.
    """
    return zlib.crc32(str(image_id).encode()) < fraction * 2**32


def folder_records(folder: Path, k: int) -> Iterator[KeypointRecord]:
    """Yields a record without people for every image in a folder and its subfolders, sorted by name, ids from 1."""
    # sorted: the ids, and so the held-out images, must be the same on every file system
    paths = sorted(map(Path, find_images([str(folder)], recursive=True)))
    nobody = (np.zeros((0, k, 3), np.float32), np.zeros(0, np.float32), np.zeros((0, 4)))
    for number, path in enumerate(paths, start=1):
        yield KeypointRecord(number, path.relative_to(folder).as_posix(), None, *nobody)


# ---- ignored regions


def ignore_mask(record: KeypointRecord, size: tuple[int, int], complete: bool) -> Array | None:
    """Returns ``(H, W)`` bool, True where nothing may be taught, or None if everything may."""
    if complete and not record.unlabelled:
        return None
    mask = np.full(size, not complete, np.bool_)
    if not complete:
        for box in record.boxes_xywh:
            fill_box(mask, enlarged(box, ENLARGE), False)
    # after the boxes: a person without labels inside of another one's box must stay ignored
    mark_regions(mask, record.unlabelled, f"{record.file_name}: image {record.image_id}")
    return mask


def enlarged(box_xywh: Array, fraction: float) -> Array:
    """Returns the box, ``(4,)`` xywh, with each side longer by a fraction and the same centre."""
    grow = box_xywh[2:] * fraction / 2
    return np.concatenate([box_xywh[:2] - grow, box_xywh[2:] + 2 * grow])
