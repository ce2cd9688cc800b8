"""Finds the videos that files, folders, patterns, streams and cameras stand for. A path that exists is no pattern."""

from __future__ import annotations

import glob
import os
import re

from associative_embedding.io.console import list_briefly, remark
from associative_embedding.io.decode_videos import container_of
from associative_embedding.io.find_images import EXTENSIONS, files_of_folder, without_drawn
from associative_embedding.io.zarr_images import is_zarr

VIDEO_EXTENSIONS = tuple(
    ".264 .265 .3g2 .3gp .asf .avc .avi .divx .dv .f4v .flv .h264 .h265 .hevc .insv .ivf .lrv .m1v .m2p .m2t .m2ts "
    ".m2v .m4v .mjpeg .mjpg .mkv .mod .mov .mp4 .mpe .mpeg .mpg .mts .mxf .ogm .ogv .qt .tod .ts .vob .webm .wmv .wtv "
    ".y4m".split()
)
STREAMS = ("rtsp://", "rtsps://", "rtmp://", "udp://", "srt://")


def is_camera(source: str) -> bool:
    """Returns whether a source is the number of a camera. A file or folder with this name wins."""
    return source.isdecimal() and not os.path.exists(source)


def is_folder(source: str) -> bool:
    """Returns whether a source is a folder, or a glob pattern and no file."""
    return os.path.isdir(source) or ("://" not in source and glob.has_magic(source) and not os.path.exists(source))


def is_video(source: str) -> bool:
    """Returns whether a source stands for videos.

    A camera, a stream, a file with one of `VIDEO_EXTENSIONS`, a file of another ending whose content is a video, and
    a folder or pattern of videos without images.
    """
    if is_camera(source) or source.startswith(STREAMS):
        return True
    if is_zarr(source):
        return False
    if is_folder(source):
        films, images = contents(source)
        return bool(films and not images) or (not images and source.lower().endswith(VIDEO_EXTENSIONS))
    name = source.lower()
    return name.endswith(VIDEO_EXTENSIONS) or (not name.endswith(EXTENSIONS) and contains_video(source))


def contains_video(path: str) -> bool:
    """Returns whether the content of a file is a video; False without PyAV."""
    if not os.path.isfile(path):
        return False
    try:
        with container_of(path) as container:
            # FFmpeg also reads single images (png_pipe) and text (tty).
            return not re.search(r"_pipe$|^(image2|gif|apng|tty|webp)$", container.format.name)
    except ValueError:
        return False


def find_videos(source: str) -> list[str]:
    """Returns the videos of a source.

    A folder or pattern of images is one video, their frames. A folder or pattern of films gives each film. With both,
    the images are one video, and the films follow.

    Raises:
        ValueError: one line, for a source without a video.
    """
    if not is_folder(source) or is_zarr(source):
        if is_camera(source) or "://" in source or os.path.exists(source):
            return [source]
        raise ValueError(f"{source}: no such file, folder or pattern")
    films, images = contents(source)
    if not films and not images:
        verb = "holds" if os.path.isdir(source) else "matches"
        raise ValueError(f"{source}: {verb} no video ({', '.join(VIDEO_EXTENSIONS)}) and no image of a frame")
    if films and images:
        names = list_briefly([os.path.basename(path) for path in films])
        remark(f"{source}: the {len(images)} images are the frames of one video; each film is one more ({names})")
    return [source] * bool(images) + films


def frame_files(source: str) -> list[str]:
    """Returns the images of a folder or glob pattern. Numbers in their names are compared as numbers: 9 before 10.

    Raises:
        ValueError: when there is none.
    """
    _, images = contents(source)
    if not images:
        raise ValueError(f"{source}: holds no image ({', '.join(EXTENSIONS)})")
    return images


def contents(source: str) -> tuple[list[str], list[str]]:
    """Returns the videos and the images of a folder or pattern, in the order of their numbers.

    Without hidden files, and without the pictures and films that ``ae predict`` wrote.
    """
    if os.path.isdir(source):
        paths = list(files_of_folder(source, recursive=False))
    else:
        paths = [path for path in glob.iglob(source, recursive=True) if os.path.isfile(path)]
    paths.sort(key=lambda path: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path)])
    kinds = VIDEO_EXTENSIONS, EXTENSIONS
    films, images = (without_drawn([p for p in paths if p.lower().endswith(kind)], source) for kind in kinds)
    return films, images
