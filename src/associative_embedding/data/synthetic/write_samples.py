"""Writes samples with keypoints as a COCO json and JPEG files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from associative_embedding.io.files import write_json
from associative_embedding.io.outputs import check_output, mark_image, marked, own_json, own_mark
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton

COMMAND = "ae data synthetic"


def write_samples(folder: Path, samples: Iterable[Sample], skeleton: Skeleton, frames: int = 0) -> Path:
    """Writes ``annotations.json`` and ``images/*.jpg``.

    Args:
        folder: made if it is missing.
        samples: the images, with ids and file names.
        skeleton: names the K keypoint types.
        frames: number of consecutive samples that are one video; 0 = no videos.

    Returns:
        the path of the json.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for i, sample in enumerate(samples):
        path = folder / "images" / sample.file_name
        # imencode with write_bytes: cv2.imwrite returns False for a full disk, without an error. OpenCV's order is BGR.
        data = cv2.imencode(".jpg", sample.image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        try:
            path.write_bytes(mark_image(data))
        except OSError as error:
            raise OSError(f"cannot write {path}: {error.strerror or error}") from None
        height, width = sample.image.shape[:2]
        video = {"video_id": i // frames, "frame": i % frames} if frames else {}
        entries.append(
            {"id": sample.image_id, "file_name": sample.file_name, "height": height, "width": width, **video}
        )
        annotations += to_annotations(sample, len(annotations) + 1)
    document = {"images": entries, "annotations": annotations, "categories": [skeleton.to_category()]}
    write_json(folder / "annotations.json", marked(document, COMMAND))
    return folder / "annotations.json"


def check_samples(folder: Path, count: int, skeleton: str) -> None:
    """Checks that `write_samples` would overwrite only its own files.

    Args:
        folder: where to write.
        count: number of images, with ids from 1.
        skeleton: the file that the skeleton comes from, or a known name.

    Raises:
        ValueError: for a file that somebody else wrote, or the skeleton's.
    """
    check_output(folder / "annotations.json", own_json(COMMAND), [skeleton])
    for number in range(1, count + 1):
        check_output(folder / "images" / image_name(number), own_mark())


def image_name(number: int) -> str:
    """Returns the file name of an image."""
    return f"{number:06d}.jpg"


def to_annotations(sample: Sample, first_id: int) -> list[dict[str, object]]:
    """Returns the COCO annotations of a sample, ids from `first_id` on; an unlabelled keypoint is 0, 0, 0."""
    annotations: list[dict[str, object]] = []
    tracks = [{}] * len(sample.area) if sample.track_id is None else [{"track_id": int(t)} for t in sample.track_id]
    for keypoints, area, track in zip(sample.keypoints, sample.area, tracks, strict=True):
        labelled = keypoints[:, 2] > 0
        low, high = keypoints[labelled, :2].min(axis=0), keypoints[labelled, :2].max(axis=0)
        annotations.append(
            {
                "id": first_id + len(annotations),
                "image_id": sample.image_id,
                "category_id": 1,
                # a thousandth of a pixel is exact enough, and the json a third as long
                "keypoints": [round(float(v), 3) for v in np.where(labelled[:, None], keypoints, 0).ravel()],
                "num_keypoints": int(labelled.sum()),
                "bbox": [round(float(v), 3) for v in (*low, *(high - low))],
                "area": round(float(area), 3),
                "iscrowd": 0,
                **track,
            }
        )
    return annotations
