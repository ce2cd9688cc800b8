"""``ae predict`` with a model that finds masks: pictures, label images and run-length encodings of one run."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from associative_embedding.apps.cli import image_outputs
from associative_embedding.apps.cli import predict_images as run_predict
from associative_embedding.apps.cli.main import main
from associative_embedding.drawing.masks import mask_colours
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.images import read_image
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections, Groups
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.masks import Masks
from associative_embedding.structures.run_lengths import decode_runs
from associative_embedding.tasks import tag_pictures
from associative_embedding.tasks.multi_scale import View
from associative_embedding.tasks.pose.settings import DecodeConfig
from associative_embedding.tasks.segmentation.settings import MaskDecodeConfig
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.tasks.task import Decoded
from support.commands import document_of
from support.tiny import tiny_info, tiny_model

SIZE = (64, 96)


@dataclass(frozen=True)
class BlobTask:
    """Bright blobs of a class; what is joined is one object. Stands for a task that groups pixels by their tags."""

    decode_config: DecodeConfig = field(default_factory=DecodeConfig)
    categories: tuple[Mapping[str, Any], ...] = ({"id": 4, "name": "red"}, {"id": 9, "name": "green"})
    shown_score: float = 0.0
    name: str = "blobs"
    channels: int = 2
    finds_masks: bool = True

    @property
    def flip_index(self) -> Array:
        return np.arange(2)

    def decode_views(self, views: list[View]) -> tuple[Decoded, View]:
        return self.decode_groups(*views[0]), views[0]

    def decode_groups(self, maps: Maps, geometry: ImageGeometry) -> Decoded:
        labels = np.zeros(maps.heatmap.shape[1:], np.int64)
        for c, heatmap in enumerate(maps.heatmap[0]):
            own, _ = ndimage.label(heatmap > 0.5)
            labels[c] = np.where(own > 0, own + labels.max(), 0)
        channel, y, x = np.nonzero(labels)
        group, count = labels[channel, y, x] - 1, int(labels.max())
        xy = np.stack([x, y], axis=1).astype(float)
        tag = maps.tag[0][channel, :, y, x]
        dense = np.zeros((count, *geometry.image_size), bool)
        for i, (u, v) in zip(group, np.floor(geometry.to_image(xy)).astype(int), strict=True):
            side = round(geometry.stride / geometry.scale)
            dense[i, max(0, v - side // 2) : v + side // 2, max(0, u - side // 2) : u + side // 2] = True
        classes = np.array([channel[group == i][0] for i in range(count)], np.int64)
        means = np.array([tag[group == i].mean(axis=0) for i in range(count)]).reshape(count, tag.shape[1])
        found = Instances(
            score=np.linspace(0.9, 0.1, count, dtype=np.float32),
            class_id=np.array([4, 9])[classes],
            tag=means,
            keypoints=np.zeros((count, 0, 3), np.float32),
            image_size=geometry.image_size,
            skeleton=None,
            masks=Masks.from_dense(dense, geometry.image_size),
            class_names={4: "red", 9: "green"},
        )
        pixels = Detections(np.full(len(x), 0.9), tag, xy, np.zeros(len(x), np.int64))
        return Decoded(found, np.arange(count), pixels, channel, Groups(group, means, np.ones(count)))


class Colours:
    """A network whose maps are the red and the green of the picture; the tag is the place."""

    stride, multiple, tag_size = 4, 32, 1
    device, gives_peaks = "cpu", False

    def predict(self, x: Array) -> list[Maps]:
        batch, _, height, width = x.shape
        squares = x[:, :2].reshape(batch, 2, height // 4, 4, width // 4, 4).astype(np.float32)
        heatmap = squares.mean(axis=(3, 5)) / 255
        place = np.broadcast_to(np.arange(width // 4, dtype=np.float32) / 8, heatmap.shape)
        return [Maps(heatmap, np.stack([place, -place], axis=2))]


def picture(red: int = 3, green: int = 1) -> Array:
    """Red discs and green ones, on black."""
    image = np.zeros((*SIZE, 3), np.uint8)
    for i in range(red + green):
        colour = (255, 0, 0) if i < red else (0, 255, 0)
        cv2.circle(image, (12 + 20 * (i % 4), 14 + 24 * (i // 4)), 7, colour, -1)
    return image


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Predictor:
    info = tiny_info("mobilenet_v2", task=BlobTask(), input_size=96)
    made = Predictor(Colours(), info)  # type: ignore[arg-type]
    monkeypatch.setattr(run_predict, "load", lambda *_, **__: made)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four objects, none, and two."""
    path = tmp_path / "in"
    path.mkdir()
    for name, image in (("a.png", picture()), ("b.png", picture(0, 0)), ("c.jpg", picture(2, 0))):
        Image.fromarray(image).save(path / name)
    return path


def predict(output: Path, *arguments: object) -> int:
    return main(["predict", *map(str, arguments), "--output", str(output)])


def names(output: Path) -> list[str]:
    """Of pictures and label images."""
    return sorted(path.name for path in output.glob("*.*") if path.suffix != ".json")


@pytest.mark.usefixtures("run")
def test_pictures_labels_and_json_agree(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert predict(output, folder) == 0
    assert names(output) == ["a-labels.tif", "a.png", "b-labels.tif", "b.png", "c-labels.tif", "c.jpg"]
    document = document_of(output)
    assert [len([a for a in document["annotations"] if a["image_id"] == i]) for i in (1, 2, 3)] == [4, 0, 2]
    assert document["categories"] == [{"id": 4, "name": "red"}, {"id": 9, "name": "green"}]
    assert [a["category_id"] for a in document["annotations"]] == [4, 4, 4, 9, 4, 4]
    for image in document["images"]:
        labels = np.array(Image.open(output / image["labels"]))
        own = [a for a in document["annotations"] if a["image_id"] == image["id"]]
        assert labels.shape == SIZE
        assert labels.max() == len(own)
        for number, annotation in enumerate(own, start=1):
            np.testing.assert_array_equal(labels == number, decode_runs(annotation["segmentation"], SIZE))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"6 found in 3 of 3 images -> {output / 'predictions.json'}"
    assert lines[0].startswith(f"{folder / 'a.png'}: 4 found -> ")
    assert lines[0].endswith("-labels.tif")


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ([], [".tif", ".png"]),
        (["--labels", "png"], ["-labels.png", ".png"]),
        (["--labels", "none"], [".png"]),
        (["--show", "nothing"], [".tif"]),
        (["--show", "nothing", "--labels", "none"], []),
        (["--show", "people"], [".tif", ".png"]),
    ],
)
def test_what_is_written_is_what_was_asked_for(
    options: list[str], kinds: list[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert predict(output, folder / "a.png", *options) == 0
    files = [path.name for path in output.iterdir() if path.suffix != ".json"]
    assert len(files) == len(kinds)
    assert all(any(name.endswith(kind) for name in files) for kind in kinds)
    line, *_ = capsys.readouterr().out.splitlines()
    assert all(name in line for name in files)
    assert len(document_of(output)["annotations"]) == 4


@pytest.mark.extra
@pytest.mark.usefixtures("run")
def test_tables_regions_and_outlines(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roifile = pytest.importorskip("roifile", reason="needs roifile, of the extra [roi]")
    output = tmp_path / "out"
    formats = ("--formats", "labels", "csv", "roi", "geojson", "overlay", "--pixel-size", "0.5")
    assert predict(output, folder, *formats) == 0
    files = [f"{name}{end}" for name in "abc" for end in ("-labels.tif", "-rois.zip", ".geojson")]
    assert names(output) == sorted([*files, "a.png", "b.png", "c.jpg", "predictions.csv"])
    with (output / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["image"]).name for row in rows] == ["a.png"] * 4 + ["c.jpg"] * 2
    labels = np.array(Image.open(output / "a-labels.tif"))
    for row in rows[:4]:
        inside = labels == int(row["label"])
        assert float(row["area"]) == inside.sum() == 4 * float(row["area_um2"])
        assert float(row["max_red"]) == picture()[inside][:, 0].max()
    document = document_of(output)
    assert (document["images"][0]["roi"], document["images"][0]["geojson"]) == ("a-rois.zip", "a.geojson")
    assert len(json.loads((output / "a.geojson").read_text())["features"]) == 4
    assert len(roifile.roiread(output / "a-rois.zip")) == 4
    # again: they are known as our own, and told to be replaced
    assert predict(output, folder, *formats) == 0
    assert predict(output, folder, *formats, "--resume") == 0
    (output / "a.geojson").write_text("{}")
    assert predict(output, folder, *formats) == 1
    assert "a.geojson exists and was not written by ae" in capsys.readouterr().err


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--formats", "labels", "--labels", "none"), "--formats labels and --labels none differ"),
        (("--formats", "overlay", "--show", "nothing"), "--formats overlay and --show nothing differ"),
        (("--formats", "mot"), "--formats mot is for videos"),
        (("--pixel-size", "0"), "pixel_size must be above 0"),
        (("--names",), "--names needs keypoints"),
        (("--names", "--track", "--model", "nuclei"), "--names needs keypoints"),
    ],
)
def test_formats_that_cannot_be(
    options: tuple[str, ...], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(tmp_path / "out", folder, *options) == 2
    assert message in capsys.readouterr().err


def test_outlines_need_masks(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_model(tmp_path / "m.safetensors")
    for kind in ("geojson", "roi", "labels"):
        assert predict(tmp_path / "out", folder, "--model", model, "--formats", kind) == 2
        assert f"--formats {kind} needs masks, and this model finds keypoints" in capsys.readouterr().err
    assert predict(tmp_path / "out", folder, "--model", model, "--pixel-size", "0.5") == 2
    assert "--pixel_size measures masks, and this model finds keypoints" in capsys.readouterr().err


def test_the_score_from_which_things_are_shown_is_the_task_s(run: Predictor, folder: Path, tmp_path: Path) -> None:
    def shown(*options: object) -> list[float]:
        assert predict(tmp_path / "out", folder / "a.png", *options) == 0
        return [a["score"] for a in document_of(tmp_path / "out")["annotations"]]

    assert min(shown()) == pytest.approx(0.1)
    assert min(shown("--min-score", 0.5)) > 0.5
    run.info = replace(run.info, task=replace(run.task, shown_score=0.2))
    assert min(shown()) > 0.2
    assert min(shown("--min-score", 0)) == pytest.approx(0.1)


def test_the_lowest_score_shown_is_a_setting_of_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mask_decode.shown_score` was checked, stored and never read."""
    image = np.zeros((*SIZE, 3), np.uint8)
    for i, value in enumerate((255, 180, 150)):  # an object's score is the mean of its heatmap
        cv2.rectangle(image, (8 + 28 * i, 16), (28 + 28 * i, 48), (value, 0, 0), -1)
    Image.fromarray(image).save(tmp_path / "a.png")

    def shown(*options: object) -> int:
        assert predict(tmp_path / "out", tmp_path / "a.png", *options) == 0
        return len(document_of(tmp_path / "out")["annotations"])

    for lowest, count in ((0.2, 3), (0.65, 2), (0.8, 1)):
        task = SegmentationTask(("red", "green"), MaskDecodeConfig(shown_score=lowest))
        info = tiny_info("mobilenet_v2", task=task, input_size=96)
        made = Predictor(Colours(), info)  # type: ignore[arg-type]
        monkeypatch.setattr(run_predict, "load", lambda *_, made=made, **__: made)
        assert shown() == count
        assert shown("--min-score", 0) == 3


def test_a_model_of_keypoints_has_no_labels(tmp_path: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = tiny_model(tmp_path / "model.safetensors", backbone="mobilenet_v2")
    assert predict(tmp_path / "out", folder / "a.png", "--model", model) == 0
    assert not list((tmp_path / "out").glob("*labels*"))
    for kind in ("tif", "none"):
        assert predict(tmp_path / "none", folder / "a.png", "--model", model, "--labels", kind) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert line == (
            f"ae: error: --labels {kind}: label images need masks, and this model finds keypoints; leave it out"
        )
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("run")
def test_one_bad_image_does_not_stop_the_others(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot be read, and one whose labels its format cannot hold: that one is in no results either."""
    (folder / "bad.png").write_bytes(b"no image")
    original = Masks.labels
    monkeypatch.setattr(Masks, "labels", lambda self: original(self) + (70_000 if len(self) == 4 else 0))
    assert predict(tmp_path / "out", folder, "--labels", "png") == 1
    first, second = capfd.readouterr().err.splitlines()
    assert "a .png holds 65535 labels, not 70004; write a .tif" in first
    assert "bad.png" in second
    assert [Path(i["file_name"]).name for i in document_of(tmp_path / "out")["images"]] == ["b.png", "c.jpg"]


@pytest.mark.usefixtures("run")
def test_labels_are_there_before_the_result_counts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Interrupted while the second image's labels are written: it is not in the results, the first is, with labels."""
    original = image_outputs.write_labels

    def interrupted(path: Path, labels: Array, mark: bytes, **options: Any) -> None:
        if path.name.startswith("b"):
            signal.raise_signal(signal.SIGINT)
        original(path, labels, mark, **options)

    monkeypatch.setattr(image_outputs, "write_labels", interrupted)
    assert predict(tmp_path / "out", folder) == 130
    assert "interrupted; 1 of 3 images" in capfd.readouterr().err
    assert [Path(i["file_name"]).name for i in document_of(tmp_path / "out")["images"]] == ["a.png"]
    assert [path.name[0] for path in (tmp_path / "out").glob("*-labels.tif")] == ["a"]


@pytest.mark.usefixtures("run")
def test_labels_that_cannot_be_written_stop_with_one_line(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file, not a folder")
    assert predict(tmp_path / "out", folder, "--json", tmp_path / "r.json") == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("ae: error: cannot write")


# --- tags


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("name", ["a.png", "b.png"])
def test_the_picture_of_tags(name: str, folder: Path, tmp_path: Path) -> None:
    assert predict(tmp_path / "out", folder / name, "--show", "tags") == 0
    (path,) = (tmp_path / "out").glob("*.png")
    height, width = read_image(path).shape[:2]
    assert height > 64 + 64 + 90  # what was found, the maps, and a histogram
    assert width > 600


def test_objects_have_one_colour_in_all_pictures(run: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the histogram that of the picture, also where some are not shown."""
    seen: dict[str, Any] = {}

    def histogram(pixels: Detections, groups: Groups, channels: dict[str, int], colours: Array) -> Array:
        seen.update(pixels=pixels, groups=groups, channels=channels, colours=colours)
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr(tag_pictures, "draw_tag_histogram", histogram)
    decoded, maps, geometry = run.explain(picture())
    shown = run_predict.select_instances(decoded, np.array([False, True, True, True]))
    tag_pictures.tag_pictures(shown, maps, geometry)
    found, groups = shown.instances, seen["groups"]
    assert found.masks is not None
    np.testing.assert_array_equal(seen["colours"], mask_colours(found.masks))
    assert seen["channels"] == {"red": 0, "green": 1}
    labels, drawn = found.masks.labels(), found.draw()
    for xy, group in zip(geometry.to_image(decoded.detections.xy), groups.group, strict=True):
        x, y = np.floor(xy).astype(int)
        assert labels[y, x] == group + 1
    for i, colour in enumerate(seen["colours"]):
        assert (drawn == colour).all(axis=2)[labels == i + 1].any()


def test_maps_show_the_classes_that_were_found(run: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []

    def maps_of(image: Array, tag: Array, heatmap: Array, channels: dict[str, int], **options: Any) -> Array:
        assert image.shape[:2] == (4 * tag.shape[1], 4 * tag.shape[2])
        titles.append(" ".join(channels))
        return image

    monkeypatch.setattr(tag_pictures, "draw_tag_maps", maps_of)
    for image in (picture(), picture(0, 2), picture(1, 3), picture(0, 0)):
        tag_pictures.tag_pictures(*run.explain(image))
    assert titles == ["red green", "green", "green red", "red"]
