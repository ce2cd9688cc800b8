"""Keypoint annotations in the COCO json format, of any source and for any skeleton.

Keypoints are matched BY NAME, so MPII's or LSP's annotations teach a COCO skeleton what they know. What they do not
know is said in `Sample.labelled` (types) and `Sample.ignore` (regions): neither taught as present nor as absent.
"""

from __future__ import annotations

import zlib
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

import numpy as np

from associative_embedding.data.readers.coco_records import Record, read_records
from associative_embedding.data.readers.image_folder import ImageFolder, check_folder
from associative_embedding.data.readers.segmentations import fill_box, mark_regions
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton

ENLARGE = 0.25  # a labelled person's box grows by this part of its sides before all around it is ignored
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class CocoKeypoints(ImageFolder[Record]):
    """Images with people (or whatever the skeleton is of), a map-style data set of `Sample`.

    A person without any labelled keypoint and a crowd (``iscrowd``) are ignored regions, not people. Keypoints outside
    of the image keep their coordinates but get visibility 0. Of several categories, those that share the most keypoint
    names with the skeleton are read and the others skipped.

    Args:
        annotations: a COCO json, or None: all images of the folder, and none shows a person.
        images: the folder that each ``file_name`` is relative to.
        skeleton: the target; source keypoints of other names are dropped.
        complete: the source labels everybody. If not, all outside of the labelled people's boxes is ignored.
        image_ids: read these only; None = all.
        people_only: leave out images without a labelled person. It has no meaning without annotations.
        cache: hold the encoded files in memory (see `cached`).
        rename: source name -> target name, where they differ (``{"upper_neck": "neck"}``).

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
            self.labelled = np.ones(len(skeleton.keypoints), bool)
            records = list(folder_records(Path(images), len(skeleton.keypoints)))
        else:
            records, self.labelled = read_records(annotations, skeleton, rename or {})
            records = [r for r in records if len(r.keypoints) or not people_only]
        chosen = [r for r in records if image_ids is None or r.image_id in image_ids]
        super().__init__(images, chosen, annotations or images, cache=cache)

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        image = self.pixels(record)
        size = image.shape[:2]
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
    """Whether an image belongs to the validation part, by a hash of its id alone.

    The answer never changes with the other images, the order, the machine or the version; a smaller fraction is a
    subset of a larger one.
    """
    return zlib.crc32(str(image_id).encode()) < fraction * 2**32


def hide_outside(keypoints: Array, size: tuple[int, int]) -> Array:
    """A copy of ``(N, K, 3)`` keypoints with visibility 0 where x, y lie outside of an image of `size` (H, W)."""
    x, y = keypoints[..., 0], keypoints[..., 1]
    inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0])
    result = keypoints.copy()
    result[..., 2] *= inside
    return result


def folder_records(folder: Path, k: int) -> Iterator[Record]:
    """All images below a folder, sorted by name, numbered from 1, without people."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: no images ({', '.join(IMAGE_SUFFIXES)})")
    nobody = (np.zeros((0, k, 3), np.float32), np.zeros(0, np.float32), np.zeros((0, 4)))
    for number, path in enumerate(paths, start=1):
        yield Record(number, path.relative_to(folder).as_posix(), None, *nobody)


# ---- ignored regions


def ignore_mask(record: Record, size: tuple[int, int], complete: bool) -> Array | None:
    """``(H, W)`` bool of what must not be taught, or None if all may."""
    if complete and not record.unlabelled:
        return None
    mask = np.full(size, not complete, np.bool_)
    if not complete:
        for box in record.boxes_xywh:
            fill_box(mask, enlarged(box, ENLARGE), False)
    mark_regions(mask, record.unlabelled, f"{record.file_name}: image {record.image_id}")
    return mask


def enlarged(box_xywh: Array, fraction: float) -> Array:
    grow = box_xywh[2:] * fraction / 2
    return np.concatenate([box_xywh[:2] - grow, box_xywh[2:] + 2 * grow])
