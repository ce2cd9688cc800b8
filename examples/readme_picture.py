"""The README's picture: people in two public photographs side by side, and the tags that group them.

python examples/readme_picture.py docs/images/tags.jpg
"""

from __future__ import annotations

import sys

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
    model = load(refine="none").with_decode(threshold=0.2)  # the first look's own, and of it what is sure: a clear plot
    maps, geometry = model.maps(photo)
    people = model.task.decode(maps, geometry)
    detections, kinds = model.task.detect(maps)
    groups = model.task.group(detections)
    print(f"{len(people)} people, scores {people.score.round(2)}")
    plot = draw_tag_plot(
        type(detections)(detections.score, detections.tag, detections.xy, kinds), groups, model.info.task.skeleton
    )
    height = photo.shape[0]
    plot = cv2.resize(plot, (plot.shape[1] * height // plot.shape[0], height), interpolation=cv2.INTER_AREA)
    return np.concatenate([draw_instances(photo, people[people.score > 0.2]), plot], axis=1)


if __name__ == "__main__":
    write_image(sys.argv[1], picture())
