"""Draws the pictures of the README and of the site: people, nuclei and flies, each with the tags that group them.

    python examples/readme_picture.py ../shared/data --flies runs/flies/model.safetensors --output docs/images

The images and their licences are listed in docs/licences.md. The model of the flies is that of docs/own-animal.md.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from associative_embedding import load
from associative_embedding.drawing.canvas import draw_dot, draw_line, write_text
from associative_embedding.drawing.masks import mask_colours
from associative_embedding.drawing.palette import to_colour
from associative_embedding.drawing.skeletons import track_colours
from associative_embedding.drawing.tag_plots import draw_tag_plot, first_component
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.images import read_image
from associative_embedding.io.videos import Frame
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.tasks.task import Decoded

PEOPLE = "pose/coco/images/000000081988.jpg"  # "Learning to surf" by fotologic, CC BY 2.0; not trained on
NUCLEI = "segmentation/dsb2018/images/449a9c32e53a37c8.jpg"  # BBBC038, CC0; not trained on
FLIES = "tracking/flies/images"  # SLEAP's test clip, BSD-3-Clause-Clear
FRAMES = range(860, 960)  # of the flies, none of which was trained on
AROUND_FLIES = (0, 44, 210, 184)  # left, top, right, bottom, pixels

WIDTH, HEIGHT, GAP, HEAD = 600, 400, 12, 40  # pixels: a panel, the space between panels, the line of captions
INK = (40, 44, 52)
QUALITY = 85  # of the JPEG files


def fit(image: Array) -> Array:
    """Scales an image to fill a panel, ``(HEIGHT, WIDTH, 3)``; what is too much is cut off on both sides."""
    scale = max(WIDTH / image.shape[1], HEIGHT / image.shape[0])
    size = (max(WIDTH, round(image.shape[1] * scale)), max(HEIGHT, round(image.shape[0] * scale)))
    large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    top, left = (size[1] - HEIGHT) // 2, (size[0] - WIDTH) // 2
    return large[top : top + HEIGHT, left : left + WIDTH]


def inside(image: Array) -> Array:
    """Scales a picture to fit into a white panel."""
    scale = min(WIDTH / image.shape[1], HEIGHT / image.shape[0])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    panel = blank()
    top, left = (HEIGHT - small.shape[0]) // 2, (WIDTH - small.shape[1]) // 2
    panel[top : top + small.shape[0], left : left + small.shape[1]] = small
    return panel


def blank() -> Array:
    return np.full((HEIGHT, WIDTH, 3), 255, np.uint8)


def instance_groups(decoded: Decoded) -> Groups:
    """Returns the groups numbered as the instances, which gives both the same colours; others are dropped (-1)."""
    found = decoded.instances
    number = np.full(len(decoded.groups) + 1, -1)
    known = np.flatnonzero(decoded.group >= 0)
    number[decoded.group[known]] = known
    return Groups(group=number[decoded.groups.group], tag=found.tag, score=found.score)


def people(model: Predictor, photo: Array) -> tuple[Array, Array]:
    """Returns the photo with its people, and the tags of their keypoints: a row of dots for each keypoint type."""
    decoded, _, _ = model.explain(photo)
    all_peaks, groups = decoded.detections, instance_groups(decoded)
    kept = groups.group >= 0  # the plot is about the people that are shown
    detections = Detections(all_peaks.score[kept], all_peaks.tag[kept], all_peaks.xy[kept], decoded.channel[kept])
    plot = draw_tag_plot(detections, replace(groups, group=groups.group[kept]), model.task.skeleton)
    return decoded.instances.draw(), inside(plot)


def nuclei(image: Path) -> tuple[Array, Array]:
    """Returns the image with its masks, and the first two numbers of each pixel's tag, in the colour of its nucleus."""
    decoded, _, _ = load("nuclei").explain(str(image))
    groups = instance_groups(decoded)
    kept = groups.group >= 0
    colours = mask_colours(decoded.instances.masks)
    return decoded.instances.draw(), scatter(decoded.detections.tag[kept, :2], colours[groups.group[kept]])


def scatter(tags: Array, colours: Array) -> Array:
    """Draws ``(M, 2)`` tags as dots; the axes point to the right and downwards, as those of an image."""
    panel, margin = blank(), 24
    low, high = tags.min(axis=0), tags.max(axis=0)
    scale = min((WIDTH - 2 * margin) / (high[0] - low[0]), (HEIGHT - 2 * margin) / (high[1] - low[1]))
    corner = (np.array([WIDTH, HEIGHT]) - scale * (high - low)) / 2
    for tag, colour in zip(tags, colours, strict=True):
        draw_dot(panel, corner + scale * (tag - low), 2.2, to_colour(colour), rim=0.3)
    return panel


def flies(model: Predictor, frames: Path) -> tuple[Array, Array]:
    """Returns the last frame around both flies with their tracks, and the tag of each fly in all frames."""
    tags: list[tuple[int, int, Array]] = []  # frame, track, tag
    for number, (frame, found) in enumerate(tracked(model, frames)):
        rows = zip(found.track_id, found.tag, strict=True)
        tags += [(number, int(track), tag) for track, tag in rows if track >= 0]
        last = frame.image, found
    return close_up(*last), over_time(tags)


def close_up(image: Array, found: Instances) -> Array:
    """Draws instances over an enlarged part of their image: lines stay sharp."""
    left, top, right, bottom = AROUND_FLIES
    scale = WIDTH / (right - left)
    keypoints = found.keypoints.copy()
    keypoints[:, :, :2] = scale * (keypoints[:, :, :2] - [left, top])
    large = fit(image[top:bottom, left:right])
    return replace(found, keypoints=keypoints, image_size=large.shape[:2]).draw(large)


def tracked(model: Predictor, frames: Path) -> Iterator[tuple[Frame, Instances]]:
    """Yields the frames that are shown: a folder of them is a video."""
    with tempfile.TemporaryDirectory() as folder:
        for number in FRAMES:
            shutil.copy(frames / f"{number:06d}.jpg", folder)
        yield from model.track(folder, min_score=0.3)


def over_time(rows: list[tuple[int, int, Array]]) -> Array:
    """Draws the first principal component of the tags over the frames, in the colours of the tracks."""
    panel, margin = blank(), 46
    values, _ = first_component(np.stack([tag for _, _, tag in rows]).astype(np.float64), len(rows))
    low, high = float(values.min()), float(values.max())
    bottom = HEIGHT - margin
    draw_line(panel, (margin, bottom), (WIDTH - 16, bottom), 0.6, INK)
    draw_line(panel, (margin, 16), (margin, bottom), 0.6, INK)
    write_text(panel, "frame", (WIDTH / 2, HEIGHT - 22), 14, INK, anchor="mm")
    write_text(panel, "tag", (24, HEIGHT / 2), 14, INK, anchor="mm")
    for (number, track, _), value in zip(rows, values, strict=True):
        x = margin + 10 + (WIDTH - margin - 36) * number / (len(FRAMES) - 1)
        y = bottom - 14 - (bottom - 44) * (value - low) / (high - low)
        draw_dot(panel, (x, y), 3.5, to_colour(track_colours(np.array([track]))[0]), rim=0.6)
    return panel


def hero(columns: dict[tuple[str, str], tuple[Array, Array]]) -> Array:
    """Puts the results above and the tags below, one column for each task, both with a caption."""
    width = len(columns) * (WIDTH + GAP) - GAP
    canvas = np.full((2 * HEAD + 2 * HEIGHT, width, 3), 255, np.uint8)
    for n, (captions, pictures) in enumerate(columns.items()):
        left = n * (WIDTH + GAP)
        for top, caption, picture in zip((0, HEAD + HEIGHT), captions, pictures, strict=True):
            write_text(canvas, caption, (left + 4, top + HEAD / 2), 22, INK, anchor="lm")
            canvas[top + HEAD : top + HEAD + HEIGHT, left : left + WIDTH] = fit(picture)
    return canvas


def write(path: Path, picture: Array) -> None:
    """Writes a JPEG that a page loads quickly."""
    Image.fromarray(picture).save(path, quality=QUALITY, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("data", type=Path, help="folder with pose/, segmentation/ and tracking/")
    parser.add_argument("--flies", required=True, help="the model of the flies")
    parser.add_argument("--output", type=Path, required=True, help="folder of the pictures")
    options = parser.parse_args()
    data, output = options.data, options.output
    photo = fit(read_image(str(data / PEOPLE)))
    found = people(load("person"), photo)
    animals = load(options.flies, decode={"tag_threshold": 1.2})  # 0.8 makes two of one fly
    columns = {
        ("People: poses", "the tag of each keypoint, a row for each type"): found,
        ("Nuclei: masks", "the tag of each pixel, a cluster for each nucleus"): nuclei(data / NUCLEI),
        ("Flies: tracks", "the tag of each fly, frame by frame"): flies(animals, data / FLIES),
    }
    for name, (result, _) in zip(("people", "nuclei", "flies"), columns.values(), strict=True):
        write(output / f"{name}.jpg", fit(result))
    write(output / "three-tasks.jpg", hero(columns))
    write(output / "tags.jpg", np.concatenate(found, axis=1))
    before = load("person", refine="none")(photo)
    write(output / "refinement.jpg", np.concatenate([before.draw(), found[0]], axis=1))


if __name__ == "__main__":
    main()
