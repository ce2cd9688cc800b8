"""Videos whose frames have their number as grey level."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from associative_embedding.io.outputs import DRAWN_MARK
from associative_embedding.io.write_videos import VideoWriter
from associative_embedding.structures.arrays import Array

# Seconds of the frames of a phone that films in the dark: the rate falls and rises.
VARYING = [0.0, 0.1, 0.2, 0.3, 1.0, 1.03, 1.07, 1.1, 1.13, 1.17, 2.0, 3.0, 3.02, 3.04, 3.06, 3.08, 3.5, 3.6, 3.7, 3.8]
STEADY = [i / 10 for i in range(20)]


def shade(i: int, size: tuple[int, int] = (48, 64)) -> Array:
    """A frame whose grey level says its number."""
    return np.full((*size, 3), 20 + 10 * i, np.uint8)


def write(path: Path, frames: int = 20, fps: float = 10, times: list[float] | None = None) -> str:
    with VideoWriter(path, fps) as writer:
        for i in range(frames):
            writer.add(shade(i), times[i] if times else i / fps)
    # As if another program had written it: `ae predict` leaves out its own films where they are in a folder.
    path.write_bytes(path.read_bytes().replace(DRAWN_MARK, b"x" * len(DRAWN_MARK)))
    return str(path)


def encode(
    path: Path,
    times: list[float],
    *,
    codec: str = "libx264",
    rate: int = 10,
    container: str | None = None,
    **options: str,
) -> str:
    """Writes a film of another container or codec, with a key frame every 6 frames and B-frames between.

    Args:
        path: the file.
        times: seconds of its frames.
        codec: the name of an encoder of FFmpeg.
        rate: frames per second, by which a film is steady.
        container: the name of a container of FFmpeg; default: by the ending.
        options: of the encoder.
    """
    import av

    with av.open(str(path), "w", format=container) as film:
        stream: Any = film.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        varies = times != [i / rate for i in range(len(times))]
        stream.codec_context.time_base = Fraction(1, 1000) if varies else Fraction(1, rate)
        stream.codec_context.gop_size = 6
        stream.options = options
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(shade(i), format="rgb24")
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(time / frame.time_base)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return str(path)


def copy_stream(new: Any, old: Any) -> Any:
    """Adds a stream to an open PyAV container, for packets of another container."""
    template = old.streams.video[0]
    if hasattr(new, "add_stream_from_template"):
        return new.add_stream_from_template(template)
    return new.add_stream(template=template)  # PyAV 13


def remux(source: str, path: Path, shift: float = 0.0, *, first: int = 0, pause: tuple[int, float] = (0, 0.0)) -> str:
    """Copies the packets of a film into another container.

    Args:
        source: the film.
        path: the copy.
        shift: seconds to add to all times.
        first: packets to leave out at the beginning.
        pause: packet from which on, and how many, seconds more are added.
    """
    import av

    with av.open(source) as old, av.open(str(path), "w") as new:
        stream = copy_stream(new, old)
        for i, packet in enumerate(old.demux(video=0)):
            if packet.dts is None or i < first:
                continue
            extra = round((shift + (pause[1] if pause[0] and i >= pause[0] else 0)) / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts + extra, packet.dts + extra, stream
            new.mux(packet)
    return str(path)
