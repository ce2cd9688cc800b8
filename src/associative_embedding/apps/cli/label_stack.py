"""The label image of a video of planes, such as a depth or the times of a microscope."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from associative_embedding.instances import Instances
from associative_embedding.io.outputs import DRAWN_MARK
from associative_embedding.io.videos import Video
from associative_embedding.io.write_label_stacks import Numbered, number_masks, write_label_stack
from associative_embedding.structures.masks import require_masks


class LabelStack:
    """Collects the label image of a video of planes: the value of a pixel is the number of its track.

    Objects without a track get the numbers behind those of the tracks. Without any track, the objects of each frame are
    numbered from 1 on. Masks stay in memory, as crops.

    Args:
        video: the planes.
        path: the file.
    """

    def __init__(self, video: Video, path: Path) -> None:
        self.video, self.path = video, path
        self.found: list[Instances] = []

    def add(self, found: Instances) -> None:
        """Adds the objects of the next frame."""
        self.found.append(replace(found, image=None))

    def write(self) -> None:
        """Writes the file, unless there was no frame.

        Raises:
            OSError: see `write_label_stack`.
        """
        if not self.found:
            return
        tracks = [part.track_id for part in self.found if part.track_id is not None]
        planes, last = [], max((int(numbers.max(initial=0)) for numbers in tracks), default=0)
        for part in self.found:
            masks = require_masks(part.masks)
            if part.track_id is None:
                planes.append(number_masks(masks))
                continue
            numbers = part.track_id.copy()
            alone = np.flatnonzero(numbers < 1)
            numbers[alone] = last + 1 + np.arange(len(alone))
            last += len(alone)
            planes.append(Numbered(masks, numbers))
        size = self.video.stack.pixel_size if self.video.stack else None
        write_label_stack(self.path, planes, self.video.axes, pixel_size=size, mark=DRAWN_MARK)
