"""Draws the README's picture: people in two public photographs side by side, and the tags that group them.

python examples/readme_picture.py docs/images/tags.jpg
"""

from __future__ import annotations

import sys
from dataclasses import replace

import cv2
import numpy as np
import skimage.data

from associative_embedding import load
from associative_embedding.drawing.tag_plots import draw_tag_plot
from associative_embedding.instances import draw_instances
from associative_embedding.io.write_images import write_image


def picture() -> np.ndarray:
    camera = np.repeat(skimage.data.camera()[:, :, None], 3, axis=2)
    photo = np.concatenate([skimage.data.astronaut(), camera], axis=1)
    # not refined, as the plot shows the tags of the detections; a high threshold keeps it clear
    model = load(refine="none").with_decode(threshold=0.2)
    maps, geometry = model.maps(photo)
    people = model.task.decode(maps, geometry)
    detections, keypoint_type = model.task.detect(maps)
    groups = model.task.group(detections)
    print(f"{len(people)} people, scores {people.score.round(2)}")
    # the plot has a row for each keypoint type; `step` of the detections is the order of grouping
    plot = draw_tag_plot(replace(detections, step=keypoint_type), groups, model.task.skeleton)
    height = photo.shape[0]
    plot = cv2.resize(plot, (plot.shape[1] * height // plot.shape[0], height), interpolation=cv2.INTER_AREA)
    return np.concatenate([draw_instances(photo, people[people.score > 0.2]), plot], axis=1)


if __name__ == "__main__":
    write_image(sys.argv[1], picture())
