"""Converts the annotations of MPII Human Pose into a COCO json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from associative_embedding.data.preparation.mpii_file import (
    PERSON_HEIGHT,
    MpiiImage,
    MpiiPart,
    MpiiPerson,
    read_mpii,
)
from associative_embedding.io.coco_json import AREA_PER_BOX
from associative_embedding.io.files import check_writable, write_json
from associative_embedding.io.outputs import check_output, marked, own_json
from associative_embedding.structures.known_skeletons import MPII_16

COMMAND = "ae data mpii"


def write_mpii_as_coco(path: str | Path, folder: str | Path, output: str | Path, *, part: MpiiPart = "all") -> str:
    """Converts MPII's annotations into a COCO json for ``ae data mpii``.

    Args:
        path: ``mpii_human_pose_v1_u12_1.mat``.
        folder: folder of the images; images that are not there are left out.
        output: path of the COCO json.
        part: the part of the data set to convert.

    Returns:
        a line with the numbers of images and people written.

    Raises:
        ValueError: for a file with other content, or without any of its images in the folder; see `check_output`.
        OSError: when a file cannot be read or written.
    """
    check_output(output, own_json(COMMAND), [path])  # before the long work
    check_writable(output)
    images = read_mpii(path)
    dataset = mpii_to_coco(images, folder, part=part)
    write_json(output, marked(dataset, COMMAND))
    count, labelled = len(dataset["images"]), sum(row["num_keypoints"] > 0 for row in dataset["annotations"])
    missing = sum(image.of_part(part) for image in images) - count
    left_out = f"; {missing} are not in {folder} and were left out" if missing else ""
    return f"{output}: {count} images, {labelled} people with labels{left_out}"


def mpii_to_coco(images: Sequence[MpiiImage], folder: str | Path, *, part: MpiiPart = "all") -> dict[str, Any]:
    """Returns a COCO dataset of the images that are in a folder, with the keys that MPII's protocols need.

    Beside COCO's keys an image has ``mpii_index`` (its place in the release, from 0), ``mpii_train`` and
    ``mpii_single`` (the places of the people who stand apart), and an annotation ``mpii_person`` (its place in the
    image, from 0), ``single_person`` and, where known, ``head_box`` xyxy, ``objpos`` and ``scale``. The entry
    ``mpii_left_out`` of ``info`` lists the images of the part that are not in the folder: MPII's groups count them.
    ``area`` is 0.53 of the box. People without labels get a box from position and scale, which training ignores;
    without position or scale they are left out.

    Args:
        images: of `read_mpii`.
        folder: folder of the image files, which are opened for their sizes.
        part: the part of the data set to convert.

    Raises:
        ValueError: when no image is in the folder, or an image cannot be read.
    """
    chosen = [(i, image) for i, image in enumerate(images) if image.of_part(part)]
    there = [(i, image) for i, image in chosen if (Path(folder) / image.file_name).is_file()]
    if not there:
        raise ValueError(f"{folder}: none of the {len(chosen)} images of this part is there")
    rows = [row for i, image in there for row in annotation_rows(i, image)]
    present = {i for i, _ in there}
    return {
        "info": {"mpii_left_out": [place_in_release(i, image) for i, image in chosen if i not in present]},
        "images": [image_entry(i, image, Path(folder)) for i, image in there],
        # ids from 1: in pycocotools, annotation 0 means "no match"
        "annotations": [{"id": number, **row} for number, row in enumerate(rows, start=1)],
        "categories": [MPII_16.to_category()],
    }


def image_entry(index: int, image: MpiiImage, folder: Path) -> dict[str, Any]:
    """Returns the COCO entry of an image, with the size in the header of its file."""
    name = image.file_name
    try:
        with Image.open(folder / name, formats=["JPEG", "PNG"]) as file:
            width, height = file.size
    except Exception as error:  # Pillow raises many kinds for broken files
        raise ValueError(f"{folder / name}: not an image ({error})") from None
    size = {"width": width, "height": height}
    return {"id": index + 1, "file_name": name, **size, **place_in_release(index, image)}


def place_in_release(index: int, image: MpiiImage) -> dict[str, Any]:
    """Returns what MPII's groups of people need to know of an image."""
    single = [number for number, person in enumerate(image.people) if person.single]
    return {"mpii_index": index, "mpii_train": image.train, "mpii_single": single}


def annotation_rows(index: int, image: MpiiImage) -> list[dict[str, Any]]:
    """Returns the COCO annotations of an image, without their ids."""
    rows = []
    for number, person in enumerate(image.people):
        box = box_of(person)
        if box is None:
            continue
        known = {"head_box": person.head_box, "objpos": person.objpos, "scale": person.scale}
        rows.append(
            {
                "image_id": index + 1,
                "category_id": 1,
                "keypoints": person.keypoints.ravel().tolist(),
                "num_keypoints": int((person.keypoints[:, 2] > 0).sum()),
                "bbox": list(box),
                "area": AREA_PER_BOX * box[2] * box[3],
                "iscrowd": 0,
                "mpii_person": number,
                "single_person": person.single,
                **{key: value for key, value in known.items() if value is not None},
            }
        )
    return rows


def box_of(person: MpiiPerson) -> tuple[float, ...] | None:
    """Returns x, y, width, height around keypoints and head; without keypoints a square as high as the person.

    None if neither keypoints, nor position and scale are known.
    """
    labelled = person.keypoints[person.keypoints[:, 2] > 0, :2]
    if len(labelled):
        # the head box reaches beyond the keypoints: it also contains the face
        head = np.reshape(person.head_box or (), (-1, 2))
        corners = np.concatenate([labelled, head])
        return (*corners.min(axis=0).tolist(), *np.ptp(corners, axis=0).tolist())
    if person.objpos is None or person.scale is None:
        return None
    side = PERSON_HEIGHT * person.scale
    return (person.objpos[0] - side / 2, person.objpos[1] - side / 2, side, side)
