"""Results files are whole, valid COCO, and never in the way of each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from associative_embedding.apps.cli.results_file import ResultsWriter, annotated_name
from associative_embedding.instances import Instances, coco_dataset, save_instances
from associative_embedding.io import files as output
from associative_embedding.io.files import atomic_write, check_writable, write_image, write_json
from associative_embedding.io.images import read_image
from associative_embedding.structures.known_skeletons import COCO_17, LSP_14
from associative_embedding.structures.skeleton import Skeleton
from support.paths import ROOT
from support.random_people import made


def add_all(path: Path, results: Iterator[Instances]) -> None:
    with ResultsWriter(path) as writer:
        for result in results:
            writer.add(result)


def test_dataset_is_read_by_pycocotools(tmp_path: Path) -> None:
    results = [made(2), made(0, "b.jpg"), made(3, "c.jpg", seed=1)]
    write_json(tmp_path / "r.json", coco_dataset(iter(results)))
    coco = COCO(tmp_path / "r.json")
    assert [(image["id"], image["file_name"]) for image in coco.loadImgs([1, 2, 3])] == [
        (1, "a.jpg"),
        (2, "b.jpg"),
        (3, "c.jpg"),
    ]
    assert coco.imgs[1]["width"] == 64
    assert coco.imgs[1]["height"] == 48
    assert [len(coco.getAnnIds(imgIds=i)) for i in (1, 2, 3)] == [2, 0, 3]
    assert sorted(coco.anns) == [1, 2, 3, 4, 5]
    for annotation, expected in zip(coco.loadAnns(coco.getAnnIds(imgIds=3)), results[2], strict=True):
        keypoints = np.array(annotation["keypoints"]).reshape(17, 3)
        np.testing.assert_allclose(keypoints, expected.keypoints[0], atol=1e-4)
        assert annotation["num_keypoints"] == 17
        assert annotation["score"] == pytest.approx(float(expected.score[0]), abs=1e-5)
        assert annotation["category_id"] == 1
        assert annotation["iscrowd"] == 0
        assert annotation["area"] == pytest.approx(annotation["bbox"][2] * annotation["bbox"][3], rel=1e-2)
    assert len(coco.loadRes(coco.dataset["annotations"]).anns) == 5
    assert {"description", "version", "date_created"} <= coco.dataset["info"].keys()


def test_categories_give_the_skeletons_back() -> None:
    document = coco_dataset([made(1), made(1, skeleton=LSP_14, class_id=7), made(0)])
    assert {c["id"]: Skeleton.from_category(c) for c in document["categories"]} == {1: COCO_17, 7: LSP_14}
    empty = coco_dataset([made(0), made(0, skeleton=LSP_14), made(1, class_id=2)])
    assert {c["id"]: Skeleton.from_category(c) for c in empty["categories"]} == {2: COCO_17, 1: LSP_14}
    stated = coco_dataset([made(1)], [COCO_17.to_category(1), LSP_14.to_category(2)])
    assert [c["id"] for c in stated["categories"]] == [1, 2]
    with pytest.raises(ValueError, match=r"b\.jpg: category id 1 stands for two categories"):
        coco_dataset([made(1), made(1, "b.jpg", LSP_14)])
    with pytest.raises(ValueError, match=r"category id 9 is none of \[1\]"):
        coco_dataset([made(1, class_id=9)], [COCO_17.to_category(1)])


def test_json_refuses_what_json_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for document in ({"a": float("nan")}, {"a": np.zeros(2)}):
        with pytest.raises(ValueError, match=r"x\.json: not a json document"):
            write_json(path, document)
    assert list(tmp_path.iterdir()) == []


def test_atomic_write_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "x.bin"
    atomic_write(path, b"one")
    atomic_write(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["x.bin"]
    umask = os.umask(0o022)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    link = tmp_path / "link"
    link.symlink_to(path)
    atomic_write(link, b"three")
    assert link.is_symlink()
    assert path.read_bytes() == b"three"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, error: BaseException
) -> None:
    def fail(*_: Any) -> None:
        raise error

    path = tmp_path / "x.bin"
    atomic_write(path, b"old")
    monkeypatch.setattr(output.os, failing, fail)
    with pytest.raises(type(error)) as caught:
        atomic_write(path, b"new")
    if isinstance(error, OSError):
        assert str(caught.value) == f"cannot write {path}: No space left on device"
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.bin"]


def test_what_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, reason in (
        (tmp_path, "is not a regular file"),
        (Path(os.devnull), "is not a regular file"),
        (tmp_path / "file" / "x.json", "Not a directory|File exists"),
        (tmp_path / ("x" * 300), "too long"),
    ):
        with pytest.raises(OSError, match=f"^cannot write {path}: .*({reason})") as caught:
            atomic_write(path, b"")
        assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tif", ".tiff", ".PNG", ".jpg", ".jpeg", ".webp"])
def test_pictures_come_back(tmp_path: Path, extension: str) -> None:
    y, x = np.mgrid[:40, :60]
    picture = np.stack([x * 4, y * 6, 255 - x * 4], axis=2).astype(np.uint8)
    path = tmp_path / f"x{extension}"
    write_image(path, picture)
    tolerance = 0 if extension.lower() in (".png", ".bmp", ".tif", ".tiff") else 6
    assert np.abs(read_image(path).astype(int) - picture).mean() <= tolerance


def test_wrong_pictures(tmp_path: Path) -> None:
    for name in ("x.gif", "x", "x.pdf"):
        with pytest.raises(ValueError, match="the extension must be one of"):
            write_image(tmp_path / name, np.zeros((4, 4, 3), np.uint8))
    for array in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"must be \(H, W, 3\) uint8"):
            write_image(tmp_path / "x.png", array)
    with pytest.raises(ValueError, match="cannot hold 70000x1 pixels"):
        write_image(tmp_path / "x.jpg", np.zeros((1, 70_000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_save_instances(tmp_path: Path) -> None:
    instances = made(2)
    instances.save(str(tmp_path / "r.json"))
    document = json.loads((tmp_path / "r.json").read_text())
    assert len(document["images"]) == 1
    assert len(document["annotations"]) == 2
    save_instances(instances, tmp_path / "r.png")
    np.testing.assert_array_equal(read_image(tmp_path / "r.png"), instances.draw())
    with pytest.raises(ValueError, match=r"r\.txt: the extension must be \.json or one of"):
        save_instances(instances, tmp_path / "r.txt")


def test_annotated_names_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sources = ["a/x.jpg", "b/x.jpg", "x.jpg", "x.png", "x.gif", "../x.jpg", "http://h/x.jpg", "http://h/x.jpg?2", ""]
    names = [annotated_name(source, ".") for source in sources]
    assert len(set(names)) == len(sources)
    assert annotated_name("./a/../a/x.jpg", ".") == names[0] == annotated_name(str(tmp_path / "a/x.jpg"), ".")
    assert not {os.path.abspath(n) for n in names} & {os.path.abspath(s) for s in sources}
    assert [n.suffix for n in names[2:5]] == [".jpg", ".png", ".jpg"]
    assert all(n.name.startswith("x-") for n in names[:-1])
    assert annotated_name(str(names[0]), ".") != names[0]
    for odd in ("http://[h/ü b%2Fc.png?d", "é" * 300, "a/..", "\udcff.jpg"):
        path = tmp_path / annotated_name(odd, "out")
        assert path.parent == tmp_path / "out"
        write_image(path, np.zeros((2, 2, 3), np.uint8))


def test_writer_writes_first_and_last(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with ResultsWriter(path) as writer:
        writer.add(made(1))
        assert len(json.loads(path.read_text())["images"]) == 1
        writer.add(made(1, "b.jpg"))
        assert len(json.loads(path.read_text())["images"]) == 1  # not before the interval is over
    document = json.loads(path.read_text())
    assert [image["file_name"] for image in document["images"]] == ["a.jpg", "b.jpg"]
    with ResultsWriter(tmp_path / "empty.json"):
        pass
    assert json.loads((tmp_path / "empty.json").read_text())["images"] == []


def test_writer_writes_at_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    path = tmp_path / "r.json"
    writer = ResultsWriter(path, interval=30)
    counts = []
    for step in (0.0, 20.0, 20.0, 20.0, 20.0):
        now[0] += step
        writer.add(made(1))
        counts.append(len(json.loads(path.read_text())["images"]))
    assert counts == [1, 1, 3, 3, 5]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_writer_keeps_what_was_computed(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "r.json"

    def compute() -> Iterator[Instances]:
        yield made(1)
        yield made(2)
        raise error

    with pytest.raises(error):
        add_all(path, compute())
    assert len(json.loads(path.read_text())["annotations"]) == 3


def test_writer_loses_nothing_for_a_bad_result(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    bad = made(1, "bad.jpg")
    bad.keypoints[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not a json document"):
        add_all(path, iter([made(1), made(2), bad]))
    assert len(json.loads(path.read_text())["annotations"]) == 3


def test_writer_fails_with_the_first_result(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^cannot write"):
        ResultsWriter(tmp_path / "file" / "r.json").add(made(1))


def test_writer_without_results_keeps_an_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    add_all(path, iter([made(2)]))
    before = path.read_bytes()
    add_all(path, iter([]))
    assert path.read_bytes() == before
    add_all(tmp_path / "new.json", iter([]))
    assert json.loads((tmp_path / "new.json").read_text())["images"] == []


def test_check_writable_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "r.json"
    check_writable(path)
    assert list(path.parent.iterdir()) == []
    path.write_text("old")
    check_writable(path)
    assert path.read_text() == "old"
    for bad in (path.parent, path / "r.json", "/dev/null"):
        with pytest.raises(OSError, match=rf"^cannot write {bad}: "):
            check_writable(bad)


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[2])
from support.random_people import made
from associative_embedding.apps.cli.results_file import ResultsWriter
with ResultsWriter(sys.argv[1], interval=0) as writer:
    while True:
        writer.add(made(5))
"""


def test_kill_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path), str(ROOT / "tests")])
    deadline = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    document = json.loads(path.read_text())
    assert len(document["annotations"]) == 5 * len(document["images"]) > 0
