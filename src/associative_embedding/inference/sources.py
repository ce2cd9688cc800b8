"""Which way an image, many images and a video take: a mix-up gets the name of the right one."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from associative_embedding.io.find_images import EXTENSIONS, find_images
from associative_embedding.io.find_videos import VIDEO_EXTENSIONS
from associative_embedding.io.zarr_images import is_zarr

PLANES = (".gif", ".apng", ".tif", ".tiff", ".zarr")  # images that may have several planes
MANY = "model.stream reads the images of a folder or pattern, model.track the frames of a video"


def check_image(source: Any) -> None:
    """Checks that a source may be one image.

    Raises:
        ValueError: for a folder, a pattern or a video.
    """
    if not isinstance(source, (str, Path)) or "://" in str(source):
        return
    name = str(source)
    if os.path.isdir(name) and not is_zarr(name):
        raise ValueError(f"{name}: is a folder; {MANY}")
    if glob.has_magic(name) and not os.path.exists(name):
        raise ValueError(f"{name}: is a pattern; {MANY}")
    if name.lower().endswith(VIDEO_EXTENSIONS):
        raise ValueError(f"{name}: is a video; model.track reads its frames")


def images_of(sources: str | Path | Iterable[Any]) -> Iterable[Any]:
    """Returns the images to read: those of a folder, pattern or file, or the given ones.

    Raises:
        ValueError: for a name without an image, and for a video.
    """
    if not isinstance(sources, (str, Path)):
        return sources
    if str(sources).lower().endswith(VIDEO_EXTENSIONS) and not os.path.isdir(sources):
        check_image(sources)
    return find_images([str(sources)])


def video_of(source: str | Path | int) -> str:
    """Returns the name of a video for `open_video`; a camera is a number.

    Raises:
        ValueError: for a file of one image.
    """
    name = str(source)
    if os.path.isfile(name) and name.lower().endswith(EXTENSIONS) and not name.lower().endswith(PLANES):
        raise ValueError(
            f"{name}: is one image, and tracks need frames: a film, a folder or a pattern; or model(image)"
        )
    return name


def check_min_score(value: float | None) -> None:
    """Checks a lowest score.

    Raises:
        ValueError: for a value outside of [0, 1].
    """
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"min_score must be in [0, 1], not {value}")
