"""Pictures of a run: what the network is shown, and truth beside prediction at each validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from associative_embedding.data.stream import Stream
from associative_embedding.drawing.canvas import contact_sheet, draw_label_if_free, label_size
from associative_embedding.drawing.masks import draw_masks, mask_colours
from associative_embedding.drawing.palette import RIM, palette
from associative_embedding.drawing.skeletons import draw_skeletons, track_colours
from associative_embedding.evaluation.metrics.object_pairs import match_objects, overlaps
from associative_embedding.evaluation.metrics.oks import oks
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.outputs import check_output, own_mark
from associative_embedding.io.write_images import write_image
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import Masks, require_masks
from associative_embedding.structures.sample import Sample
from associative_embedding.structures.skeleton import Skeleton
from associative_embedding.tasks.pose.keypoint_task import KeypointTask
from associative_embedding.tasks.tag_pictures import tag_pictures, tag_sheet
from associative_embedding.tasks.task import Task

SIDE = 360  # pixels of the long side of a picture on a sheet
MOST = 12  # pictures of a batch
GAP = 6  # pixels between two rows of a sheet
FITS = 0.2  # IoU or OKS from which a found object has the colour of the true one
DIM, STRIPE = 0.3, 70.0  # brightness of what the loss leaves out, and of the stripes over it


def write_picture(path: Path, picture: Array) -> None:
    """Writes a picture into the folder of a run.

    Raises:
        ValueError: for a file that somebody else wrote.
    """
    check_output(path, own_mark(), announce=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, picture)


# ---- the batch


def batch_picture(stream: Stream, task: Task, numbers: Sequence[int], stride: int) -> Array:
    """Draws training samples as the network gets them, with their labels; what the loss leaves out is dark and striped.

    Args:
        stream: the samples.
        task: makes the targets.
        numbers: of the samples; the first `MOST` are drawn, and of a video both frames.
        stride: input pixels per map pixel.
    """
    samples = [stream.sample_at(number) for number in numbers[:MOST]]
    views = [frame for sample in samples for frame in (sample, sample.later) if frame is not None]
    return contact_sheet([shown_sample(view, task, stride) for view in views], columns=4)


def shown_sample(sample: Sample, task: Task, stride: int) -> Array:
    """Draws one sample; it is the darker and the more striped, the fewer keypoint types or classes the loss counts."""
    valid = task.encode(sample, stride=stride, rng=np.random.default_rng(0)).valid.mean(axis=0, dtype=np.float32)
    counted = cv2.resize(valid, sample.image.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)[:, :, None]
    y, x = np.indices(counted.shape[:2])
    stripes = STRIPE * (((x + y) // 6) % 3 == 0)[:, :, None]
    picture = (sample.image * (DIM + (1 - DIM) * counted) + stripes * (1 - counted)).clip(0, 255).astype(np.uint8)
    return titled(with_truth(picture, sample, skeleton_of(task)), Path(sample.file_name).name)


def skeleton_of(task: Task) -> Skeleton | None:
    """Returns the skeleton of a task with keypoints."""
    return task.skeleton if isinstance(task, KeypointTask) else None


def with_truth(picture: Array, sample: Sample, skeleton: Skeleton | None) -> Array:
    """Returns a picture of the size of the sheet with the labels of a sample."""
    if sample.masks is not None:
        return with_objects(picture, sample.masks, skeleton, true_colours(sample))
    keypoints = sample.keypoints.copy()
    keypoints[..., 2] = keypoints[..., 2] > 0  # drawn as a score
    return with_objects(picture, keypoints, skeleton, true_colours(sample))


def true_colours(sample: Sample) -> Array:
    """Returns the colours of the true objects, ``(T, 3)`` uint8 RGB; a track keeps its colour."""
    if sample.masks is not None:
        return mask_colours(sample.masks)
    return palette(len(sample.keypoints)) if sample.track_id is None else track_colours(sample.track_id)


def with_objects(picture: Array, found: Array | Masks, skeleton: Skeleton | None, colours: Array) -> Array:
    """Returns a picture of the size of the sheet with masks, or with people, whose lines are as wide in every image."""
    if isinstance(found, Masks):
        drawn = picture.copy()
        draw_masks(drawn, found, colours=colours)
        return resized(drawn)
    canvas = resized(picture)
    scale = np.array([canvas.shape[1] / picture.shape[1], canvas.shape[0] / picture.shape[0], 1.0])
    if skeleton is not None:
        draw_skeletons(canvas, found * scale, skeleton, colours=colours)
    return canvas


def resized(picture: Array) -> Array:
    """Returns a picture with a long side of `SIDE` pixels."""
    scale = SIDE / max(picture.shape[:2])
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))


def titled(picture: Array, title: str) -> Array:
    """Returns a picture with the end of a title in its lower left corner."""
    text = title[-24:]
    width, height = label_size(picture, text)
    draw_label_if_free(picture, text, np.array([width / 2, picture.shape[0] - height / 2]), RIM, [])
    return picture


# ---- a validation


def truth_beside_found(pairs: Sequence[tuple[Sample, Array | Masks]], skeleton: Skeleton | None) -> Array:
    """Draws, for each image, its truth and what the model finds, side by side.

    A found object has the colour of the true one that it fits; white = it fits none.

    Args:
        pairs: a sample with the keypoints ``(N, K, 3)`` or the masks that were found in it.
        skeleton: of the keypoints; None for masks.
    """
    pictures = []
    for sample, found in pairs:
        pictures.append(titled(with_truth(sample.image, sample, skeleton), "truth"))
        drawn = with_objects(sample.image, found, skeleton, colours_of_fits(sample, found, skeleton))
        pictures.append(titled(drawn, f"found: {len(found)}"))
    return in_rows(pictures, columns=4)


def in_rows(pictures: Sequence[Array], columns: int) -> Array:
    """Returns a sheet whose rows are only as high as their own pictures."""
    rows = [contact_sheet(pictures[i : i + columns], columns) for i in range(0, len(pictures), columns)]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.concatenate(padded)[:-GAP]


def colours_of_fits(sample: Sample, found: Array | Masks, skeleton: Skeleton | None) -> Array:
    """Returns the colours of N found objects, ``(N, 3)`` uint8 RGB, see `truth_beside_found`."""
    if isinstance(found, Masks):
        row, column, fit = overlaps(require_masks(sample.masks), found)
    else:
        assert skeleton is not None
        similarity = oks(found, sample.keypoints, sample.area, skeleton.sigmas).T
        row, column = np.nonzero(similarity)
        fit = similarity[row, column]
    kept = match_objects(row, column, fit, FITS)
    colours = np.full((len(found), 3), 255, np.uint8)
    colours[column[kept]] = true_colours(sample)[row[kept]]
    return colours


def picture_of_tags(predictor: Predictor, image: Array) -> Array | None:
    """Draws the tags in an image, or in its first tile; None for a model without tags."""
    if not predictor.info.tag_size:
        return None
    tile = image[predictor.tiles(image)[0]]
    explained = predictor.explain(tile)
    return tag_sheet(explained[0].instances.draw(), tag_pictures(*explained))
