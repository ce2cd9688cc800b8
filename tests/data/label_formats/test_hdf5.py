"""HDF5 files that state or unpack to far more bytes than they have are refused in one line, before they take memory."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding.data.label_formats.sleap import read_sleap
from support.memory import measured_command
from support.sleap_files import FRAME, INSTANCE, POINT, VIDEO, build

pytestmark = pytest.mark.extra

h5py = pytest.importorskip("h5py", reason="needs the extra [sleap]")

MOST = 400  # megabytes of a process that refuses a file; h5py and OpenCV alone take 100
GIGABYTE = 2**30


def replaced(name: str, shape: Any, kind: Any, **options: Any) -> Callable[[Any], None]:
    """Replaces a table by one that has no data, so that all of its values are 0."""

    def change(file: Any) -> None:
        if name in file:
            del file[name]
        file.create_dataset(name, shape, dtype=kind, **options)

    return change


def packed_part(file: Any, filters: int = 1) -> None:
    """A part that states a megabyte and unpacks to half a gigabyte."""
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(2**20)) for _ in range(512)) + packer.flush()
    for _ in range(filters - 1):
        data = zlib.compress(data)
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((2**15,))
    for _ in range(filters):
        plan.set_deflate(9)
    del file["frames"]
    kind, space = h5py.h5t.py_create(FRAME), h5py.h5s.create_simple((2**15,))
    h5py.h5d.create(file.id, b"frames", kind, space, plan).write_direct_chunk((0,), data)


def large_part(file: Any) -> None:
    """Two rows in a part of 150 MB."""
    del file["frames"]
    file.create_dataset("frames", data=np.zeros(2, FRAME), chunks=(2**22,), maxshape=(None,), compression="gzip")


def one_text_many_times(file: Any) -> None:
    """Rows that refer to one text of the file's heap."""
    del file["videos_json"]
    texts = file.create_dataset("videos_json", (1000,), h5py.string_dtype(), chunks=(1000,), compression="gzip")
    texts[0] = json.dumps({**VIDEO, "more": " " * 2**21})
    plan = texts.id.read_direct_chunk((0,))[1]
    row = zlib.decompress(plan)[:16]
    texts.id.write_direct_chunk((0,), zlib.compress(row * 1000))


def shared_instances(file: Any) -> None:
    """Every frame states all instances."""
    for name, rows in (("frames", np.zeros(20_000, FRAME)), ("instances", np.zeros(100_000, INSTANCE))):
        del file[name]
        rows[rows.dtype.names[4]] = 100_000 if name == "frames" else 0
        file.create_dataset(name, data=rows, compression="gzip")


def shared_points(file: Any) -> None:
    """Every instance has the same points."""
    rows = np.zeros(3000, INSTANCE)
    rows["point_id_end"] = 3
    del file["instances"]
    file["instances"] = rows


def text_table(file: Any) -> None:
    del file["points"]
    file.create_dataset("points", (8,), np.dtype([("x", h5py.string_dtype())]))


def many_texts_in_an_attribute(file: Any) -> None:
    file["metadata"].attrs.create("json", ["{}"] * 1000, dtype=h5py.string_dtype())


BOMBS: dict[str, tuple[Callable[[Any], None], str]] = {
    "rows": (replaced("points", (60_000_000,), POINT, chunks=(2**16,), compression="gzip"), "points states 1029 MB"),
    "rows of any size": (replaced("points", (2**62, 4), "u1", chunks=(2**10, 4)), "points states"),
    "rows without data": (replaced("frames", (30_000_000,), FRAME, chunks=(2**16,)), "frames states 1029 MB"),
    "wide rows": (replaced("points", (2,), np.dtype([("x", "f8", (2**26,))]), chunks=(1,)), "points states 1024 MB"),
    "long texts": (replaced("videos_json", (3,), "S1000000000", chunks=(1,), compression="gzip"), "videos_json states"),
    "a large part": (large_part, "frames states"),
    "a part that unpacks to more": (packed_part, "frames unpacks to more than it states"),
    "packed twice": (lambda file: packed_part(file, 2), "frames is packed by the filters [1, 1]"),
    "another filter": (
        replaced("points", (9,), "i4", chunks=(9,), scaleoffset=4),
        "points is packed by the filters [6]",
    ),
    "one text in many rows": (one_text_many_times, "the texts of videos_json are larger than the file explains"),
    "instances in many frames": (shared_instances, "its frames state more instances than the 100000"),
    "points in many instances": (shared_points, "its instances state more points than the 18"),
    "texts in a table": (text_table, "points must be a table of numbers"),
    "texts in an attribute": (many_texts_in_an_attribute, "the attribute 'json' is larger"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("change", "says"), BOMBS.values(), ids=BOMBS)
def test_bombs(change: Callable[[Any], None], says: str, tmp_path: Path) -> None:
    path = build(tmp_path / "a.slp")
    with h5py.File(path, "a") as file:
        change(file)
    result = measured_command("data", "convert", path, "--from", "sleap", "--output", tmp_path / "a.json")
    (line,) = result.errors
    assert says in line
    assert result.status == 1
    assert result.megabytes < MOST


EMBEDDED = {"backend": {"filename": ".", "dataset": "video0/video"}}


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "says"), [((6, 3 * GIGABYTE), "video0/video states"), ((9, 2**20), "")])
def test_embedded_frames(shape: tuple[int, int], says: str, tmp_path: Path) -> None:
    path = build(tmp_path / "a.slp", videos=(EMBEDDED,))
    with h5py.File(path, "a") as file:
        frames = file.create_dataset("video0/video", shape, "i1", chunks=(1, 2**20), compression="gzip")
        frames.attrs["format"] = "png"
        file["video0/frame_numbers"] = [5, 7]
    folder = tmp_path / "images"
    result = measured_command(
        "data", "convert", path, "--from", "sleap", "--output", tmp_path / "a.json", "--images", folder
    )
    assert result.status == (1 if says else 0)
    assert says in " ".join(result.errors)
    assert result.megabytes < MOST


def test_frames_are_not_larger_together_than_the_file(tmp_path: Path) -> None:
    """Rows of a video may refer to one image of the file's heap."""
    path = build(tmp_path / "a.slp", videos=(EMBEDDED,), types=(0, 0, 0))
    with h5py.File(path, "a") as file:
        frames = file.create_dataset("video0/video", (8,), h5py.vlen_dtype(np.int8), chunks=(8,), compression="gzip")
        frames.attrs["format"] = "png"
        frames[0] = np.ones(18 * 2**20, np.int8)
        row = zlib.decompress(frames.id.read_direct_chunk((0,))[1])[:16]
        frames.id.write_direct_chunk((0,), zlib.compress(row * 8))
        del file["frames"]
        file["frames"] = np.array([(i, 0, i, min(i, 3), min(i + 1, 3)) for i in range(8)], FRAME)
    read_sleap(path, tmp_path / "images")
    assert len(list((tmp_path / "images").rglob("*.png"))) == 3
