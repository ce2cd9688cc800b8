"""SLEAP's files: built here table by table, and written by sleap-io (BSD-3-Clause) where that is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from associative_embedding.data.label_formats.sleap import read_sleap
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.skeleton import Skeleton
from support.sleap_files import POINT, VIDEO, build

pytestmark = pytest.mark.extra

h5py = pytest.importorskip("h5py", reason="needs the extra [sleap]")


def people(document: dict[str, Any]) -> dict[str, list[Any]]:
    names = {image["id"]: image["file_name"] for image in document["images"]}
    found: dict[str, list[Any]] = {name: [] for name in names.values()}
    for row in document["annotations"]:
        found[names[row["image_id"]]].append((np.reshape(row["keypoints"], (-1, 3)).tolist(), row.get("track_id")))
    return found


@pytest.mark.parametrize(("version", "shift"), [(None, 0), (1.0, 0), (1.1, 0.5), (1.2, 0.5), (2.8, 0.5)])
def test_labelled_instances(version: float | None, shift: float, tmp_path: Path) -> None:
    found = read_sleap(build(tmp_path / "a.slp", version=version))
    s = shift
    assert people(found) == {
        "two flies/000005.png": [
            ([[10 + s, 20 + s, 2], [0, 0, 0], [12.5 + s, 21 + s, 2]], 0),
            ([[1 + s, 2 + s, 2], [0, 0, 0], [5 + s, 6 + s, 2]], 1),
        ]
    }
    assert found["images"] == [{"id": 1, "file_name": "two flies/000005.png", "width": 80, "height": 60, "video_id": 1}]
    skeleton = Skeleton.from_category(found["categories"][0])
    assert (skeleton.name, skeleton.keypoints) == ("fly", ("head", "wing_a", "wing_b"))
    assert skeleton.edges == (("head", "wing_a"), ("head", "wing_b"))
    assert skeleton.flip_pairs == (("wing_a", "wing_b"),)


def test_predictions_alone_are_read_with_their_score(tmp_path: Path) -> None:
    found = read_sleap(build(tmp_path / "a.slp", types=(1, 1, 1)))
    assert [len(rows) for rows in people(found).values()] == [2, 1]
    assert [row["score"] for row in found["annotations"]] == [0, 0.25, 0.5]


def test_images_keep_their_names(tmp_path: Path) -> None:
    names = [f"frames/{i}.jpg" for i in range(9)]
    video = {"backend": {"type": "ImageVideo", "filename": names[0], "filenames": names, "height_": 60, "width_": 80}}
    found = read_sleap(build(tmp_path / "a.slp", videos=(video,)))
    assert list(people(found)) == ["frames/5.jpg"]
    assert found["images"][0]["height"] == 60


def build_package(path: Path, source: str = "C:\\films\\two flies.mp4", dataset: str = "video0/video") -> Array:
    """A file that holds its frame 5 as a PNG; its pixels."""
    source_video = {"filename": source, "backend": VIDEO["backend"]}
    build(path, videos=({"backend": {"filename": ".", "dataset": dataset}, "source_video": source_video},))
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    with h5py.File(path, "a") as file:
        encoded = cv2.imencode(".png", picture)[1].ravel().view(np.int8)
        data = file.create_dataset("video0/video", (1,), dtype=h5py.vlen_dtype(np.int8))
        data[0] = encoded
        data.attrs["format"] = "png"
        file["video0/frame_numbers"] = [5]
    return picture


def test_frames_within_the_file_are_written(tmp_path: Path) -> None:
    picture = build_package(tmp_path / "a.pkg.slp")
    found = read_sleap(tmp_path / "a.pkg.slp", tmp_path / "images")
    assert found["images"][0]["file_name"] == "two flies/000005.png"
    assert (cv2.imread(str(tmp_path / "images" / found["images"][0]["file_name"])) == picture).all()


def test_an_image_with_the_name_of_a_frame_is_kept(tmp_path: Path) -> None:
    build_package(tmp_path / "a.pkg.slp")
    read_sleap(tmp_path / "a.pkg.slp", tmp_path / "images")
    read_sleap(tmp_path / "a.pkg.slp", tmp_path / "images")  # the same frame is no other image
    frame = tmp_path / "images" / "two flies" / "000005.png"
    frame.write_bytes(b"somebody else's")
    with pytest.raises(ValueError, match="exists and was not written by ae"):
        read_sleap(tmp_path / "a.pkg.slp", tmp_path / "images")
    assert frame.read_bytes() == b"somebody else's"


@pytest.mark.parametrize("source", ["..", "C:\\films\\..", "/films/..", ".", "/", "C:\\"])
def test_frames_are_written_inside_of_the_folder(source: str, tmp_path: Path) -> None:
    build_package(tmp_path / "a.pkg.slp", source)
    read_sleap(tmp_path / "a.pkg.slp", tmp_path / "out" / "images")
    written = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")]
    assert written == ["out/images/video/000005.png"]


@pytest.mark.parametrize("linked", ["video0", "video0/video", "video0/frame_numbers"])
@pytest.mark.parametrize("soft", [False, True])
def test_frames_of_another_file_are_not_read(linked: str, soft: bool, tmp_path: Path) -> None:
    """Neither at once nor by way of a link inside."""
    build_package(tmp_path / "b.slp")
    build_package(tmp_path / "a.slp")
    with h5py.File(tmp_path / "a.slp", "a") as file:
        del file[linked]
        file["elsewhere" if soft else linked] = h5py.ExternalLink("b.slp", linked)
        if soft:
            file[linked] = h5py.SoftLink("/elsewhere")
    with pytest.raises(ValueError, match=f"{linked} is not a table of the file itself"):
        read_sleap(tmp_path / "a.slp", tmp_path / "images")
    assert not list(tmp_path.rglob("*.png"))


def test_broken_files_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.slp").write_text("no")
    with pytest.raises(ValueError, match=r"text.slp: cannot read the labels \(not an HDF5 file\)"):
        read_sleap(tmp_path / "text.slp")
    with pytest.raises(ValueError, match=r"no.slp: cannot read the labels \(no such file\)"):
        read_sleap(tmp_path / "no.slp")
    with pytest.raises(ValueError, match="is of the format 3"):
        read_sleap(build(tmp_path / "new.slp", version=3.0))
    for name in ("metadata", "frames", "instances", "points", "videos_json"):
        path = build(tmp_path / f"{name}.slp")
        with h5py.File(path, "a") as file:
            del file[name]
        with pytest.raises(ValueError, match=f"{name}.slp: not as SLEAP writes it"):
            read_sleap(path)
    for place, value in ((64, 100), (125, 16), (130, 4)):  # places in the first table of the file (found by fuzzing)
        path = build(tmp_path / f"damaged{place}.slp")
        data = bytearray(path.read_bytes())
        data[place] = value
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf"damaged{place}.slp: (not as SLEAP writes it|cannot read the labels)"):
            read_sleap(path)
    path = build(tmp_path / "cut.slp")
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ValueError, match=r"cut.slp"):
        read_sleap(path)


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    path = build(tmp_path / "a.slp")
    build(tmp_path / "b.slp")
    with h5py.File(path, "a") as file:
        del file["points"]
        file["points"] = h5py.ExternalLink("b.slp", "points")
    with pytest.raises(ValueError, match="points is not a table of the file itself"):
        read_sleap(path)


def test_a_table_that_is_too_large(tmp_path: Path) -> None:
    """A file of a few kilobytes may promise any size."""
    path = build(tmp_path / "a.slp")
    with h5py.File(path, "a") as file:
        del file["points"]
        file.create_dataset("points", (2**40,), dtype=POINT, chunks=(2**10,), compression="gzip")
    with pytest.raises(ValueError, match="points states 18874368 MB; of a file of this size 33 MB are read"):
        read_sleap(path)


def test_as_sleap_io_writes_and_reads_it(tmp_path: Path) -> None:
    sio = pytest.importorskip("sleap_io", reason="the official reader and writer, not needed by this project")
    skeleton = sio.Skeleton(["head", "wing_l", "wing_r"], edges=[("head", "wing_l")], symmetries=[("wing_l", "wing_r")])
    backend = {"type": "MediaVideo", "filename": "film.mp4", "shape": [9, 60, 80, 3], "grayscale": False}
    video = sio.Video(filename="film.mp4", backend_metadata=backend, open_backend=False)
    tracks = [sio.Track("a"), sio.Track("b")]
    rng = np.random.default_rng(0)
    frames = []
    for index in (3, 8):
        instances = []
        for track in tracks:
            xy = rng.uniform(0, 60, (3, 2))
            xy[rng.integers(3)] = np.nan
            instances.append(sio.Instance.from_numpy(xy, skeleton=skeleton, track=track))
        frames.append(sio.LabeledFrame(video=video, frame_idx=index, instances=instances))
    sio.save_slp(sio.Labels(frames), str(tmp_path / "a.slp"))
    official = sio.load_slp(str(tmp_path / "a.slp"), open_videos=False)
    ours = people(read_sleap(tmp_path / "a.slp"))
    assert list(ours) == ["film/000003.png", "film/000008.png"]
    for frame, found in zip(official, ours.values(), strict=True):
        assert [track for _, track in found] == [0, 1]
        for instance, (keypoints, _) in zip(frame.instances, found, strict=True):
            xy = instance.numpy()  # centres of pixels are whole there
            expected = [[x + 0.5, y + 0.5, 2] if np.isfinite(x) else [0, 0, 0] for x, y in xy.tolist()]
            np.testing.assert_allclose(keypoints, expected, atol=1e-4)
