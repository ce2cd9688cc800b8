"""Whatever is wrong, a person gets one clear line, never a traceback, and keeps what was computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from associative_embedding.apps.cli.main import main
from associative_embedding.data.readers.image_folder import ImageFolder
from associative_embedding.training.run_folder import plain
from support.tiny import tiny_data, tiny_model, tiny_recipe


@dataclass
class Place:
    """A folder with images, a model, annotations and a recipe, all of them good."""

    root: Path

    @property
    def photo(self) -> Path:
        return self.images / "000001.jpg"

    @property
    def images(self) -> Path:
        return self.root / "data" / "images"

    @property
    def truth(self) -> Path:
        return self.root / "data" / "annotations.json"

    @property
    def model(self) -> Path:
        return self.root / "model.safetensors"

    @property
    def recipe(self) -> Path:
        return self.root / "recipe.yaml"

    @property
    def output(self) -> Path:
        return self.root / "out"

    def change(self, **values: Any) -> None:
        """Change the annotations: top-level keys, or with ``annotation=`` and ``image=`` the first entry's."""
        document = json.loads(self.truth.read_text())
        document["annotations"][0] |= values.pop("annotation", {})
        document["images"][0] |= values.pop("image", {})
        document["categories"][0] |= values.pop("category", {})
        self.truth.write_text(json.dumps(document | values))

    def command(self, name: str) -> list[str]:
        model = ["--model", str(self.model), "--device", "cpu"]
        return {
            "predict": ["predict", str(self.images), *model, "--output", str(self.output), "--show", "nothing"],
            "evaluate": ["evaluate", *model, "--annotations", str(self.truth), "--images", str(self.images)],
            "train": ["train", str(self.recipe)],
        }[name]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    source = tiny_data(tmp_path, images=3)
    tiny_model(place.model)
    place.recipe.write_text(yaml.safe_dump(plain(tiny_recipe(tmp_path, source, steps=2))))
    return place


def huge_png(path: Path) -> None:
    """A small file that claims 60,000 x 60,000 pixels."""
    data = bytearray()
    Image.new("L", (8, 8)).save(path, format="PNG")
    data += path.read_bytes()
    header = data[12:16] + (60000).to_bytes(4, "big") * 2 + data[24:29]
    import zlib

    data[12:33] = header + zlib.crc32(header).to_bytes(4, "big")
    path.write_bytes(bytes(data))


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


PREDICT: dict[str, tuple[Callable[[Place], Any], str]] = {
    "truncated image": (lambda p: cut(p.photo, 700), "000001.jpg: is damaged or truncated"),
    "empty image": (lambda p: p.photo.write_bytes(b""), "000001.jpg: is empty"),
    "text as image": (lambda p: p.photo.write_text("hello"), "000001.jpg: is not an image of a known format"),
    "huge image": (lambda p: huge_png(p.photo), "000001.jpg: is 60000x60000, more than the limit"),
    "script as image": (lambda p: p.photo.write_text("%!PS\n(ls) show"), "000001.jpg: is not an image"),
    "unreadable video": (lambda p: p.photo.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(999)), "000001.jpg: "),
}


@pytest.mark.parametrize("case", PREDICT)
def test_predict_reports_a_bad_image_and_does_the_others(
    case: str, place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil, message = PREDICT[case]
    spoil(place)
    assert main(place.command("predict")) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("ae: ")
    assert message in line
    document = json.loads((place.output / "predictions.json").read_text())
    assert [Path(image["file_name"]).name for image in document["images"]] == ["000002.jpg", "000003.jpg"]


MODEL: dict[str, tuple[Callable[[Place], Any], str]] = {
    "missing model": (lambda p: p.model.unlink(), "is neither a shipped model"),
    "truncated model": (lambda p: cut(p.model, 3000), "not a readable safetensors file"),
    "empty model": (lambda p: p.model.write_bytes(b""), "not a readable safetensors file"),
    "image as model": (lambda p: p.model.write_bytes(p.photo.read_bytes()), "not a readable safetensors file"),
}


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("case", MODEL)
def test_a_bad_model_is_one_line(case: str, command: str, place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    spoil, message = MODEL[case]
    spoil(place)
    assert_one_line(place.command(command), message, capfd)
    assert not place.output.exists()


DATA: dict[str, tuple[Callable[[Place], Any], str]] = {
    "missing json": (lambda p: p.truth.unlink(), "annotations.json"),
    "empty json": (lambda p: p.truth.write_text(""), "not a json file"),
    "truncated json": (lambda p: cut(p.truth, 400), "not a json file"),
    "image as json": (lambda p: p.truth.write_bytes(p.photo.read_bytes()), "annotations.json: not a text file"),
    "list as json": (lambda p: p.truth.write_text("[1, 2]"), "annotations.json"),
    "no annotations key": (lambda p: p.truth.write_text('{"images": [], "categories": []}'), "annotations.json"),
    "no categories": (lambda p: p.change(categories=[]), "keypoints"),
    "category without keypoints": (lambda p: p.change(category={"keypoints": []}), "keypoints"),
    "other keypoints": (lambda p: p.change(category={"keypoints": list("abcde"), "flip_pairs": []}), ""),
    "too few numbers": (lambda p: p.change(annotation={"keypoints": [1, 2, 2]}), "annotation 1"),
    "text as keypoints": (lambda p: p.change(annotation={"keypoints": "none"}), "annotation 1"),
    "infinite keypoints": (lambda p: p.change(annotation={"keypoints": [1e999] * 15}), "annotation 1"),
    "infinite keypoints as texts": (lambda p: p.change(annotation={"keypoints": ["inf"] * 15}), "annotation 1"),
    "one infinite coordinate": (lambda p: p.change(annotation={"keypoints": [-1e999, 3, 2] * 5}), "annotation 1"),
    "infinite box": (lambda p: p.change(annotation={"bbox": [0, 0, 1e999, 5]}), "annotation 1"),
    "infinite area": (lambda p: p.change(annotation={"area": 1e999}), "annotation 1"),
    "infinite image id": (lambda p: p.change(annotation={"image_id": 1e999}), "'image_id' must be an integer"),
    "infinite width": (lambda p: p.change(image={"width": 1e999}), "'width'"),
    "visibility 3": (lambda p: p.change(annotation={"keypoints": [1, 1, 3] * 5}), "annotation 1"),
    "unknown image": (lambda p: p.change(annotation={"image_id": 99}), "annotation 1"),
    "unknown category": (lambda p: p.change(annotation={"category_id": 5}), "annotation 1"),
    "missing image": (lambda p: p.photo.unlink(), "000001.jpg"),
    "truncated image": (lambda p: cut(p.photo, 700), "000001.jpg"),
    "empty image": (lambda p: p.photo.write_bytes(b""), "000001.jpg"),
    "wrong size": (lambda p: p.change(image={"width": 1000}), "000001.jpg"),
    "path outside": (lambda p: p.change(image={"file_name": "../../secret.jpg"}), "image 1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize("case", DATA)
def test_bad_data_is_one_line(case: str, command: str, place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    spoil, message = DATA[case]
    spoil(place)
    assert_one_line(place.command(command), message, capfd)


def assert_one_line(command: list[str], message: str, capfd: pytest.CaptureFixture[str], status: int = 1) -> None:
    assert main(command) == status
    captured = capfd.readouterr()
    *notes, line = captured.err.splitlines()
    assert not any("error" in note for note in notes)
    assert line.startswith("ae: error: ")
    assert message in line
    assert len(line) < 700
    assert "Traceback" not in captured.out + captured.err


@pytest.mark.slow
def test_a_json_without_people_trains_nothing_and_has_no_numbers(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.change(annotations=[])
    assert_one_line(place.command("train"), "no image to train on is left, no image has a labelled person", capfd)
    assert main(place.command("evaluate")) == 0  # there is nothing to find, so all numbers are undefined
    assert set(capfd.readouterr().out.splitlines()[1].split()) == {"-"}


def test_keypoints_outside_of_the_image_are_not_labelled(place: Place) -> None:
    outside = [[-5.0, 10.0, 2], [10.0, 1e6, 2], [64.0, 3.0, 1], [20.0, 20.0, 2], [30.0, 30.0, 2]]
    place.change(annotation={"keypoints": [float(v) for row in outside for v in row]})
    assert main(place.command("train")) == 0
    assert main(place.command("evaluate")) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("predict", ["--scales", "0"], "scales must be positive"),
        ("predict", ["--scales", "1", "1"], "scales must be positive, each once"),
        ("predict", ["--input-size", "7"], "is not within 32..4096"),
        ("predict", ["--input-size", "100000"], "is not within 32..4096"),
        ("predict", ["--device", "toaster"], "device 'toaster' cannot be used"),
        ("predict", ["--json", "/dev/null/x.json"], "cannot write /dev/null/x.json"),
        ("evaluate", ["--limit", "-1"], "the limit 0 or more"),
        ("evaluate", ["--held-out", "2"], "must be in [0, 1]"),
        ("evaluate", ["--held-out", "0.000001"], "no image to evaluate on"),
        ("evaluate", ["--decode", "{treshold: 0.1}"], "unknown decode setting"),
        ("evaluate", ["--decode", "{threshold: -1}"], "decode.threshold must be positive"),
        ("evaluate", ["--decode", "{nms: 3.5}"], "decode.nms must be a whole number, not 3.5"),
        ("evaluate", ["--decode", "{min_score: a}"], "decode.min_score must be a number, not 'a'"),
        ("evaluate", ["--decode", "{score: foo}"], "decode.score must be one of 'all', 'found', 'shrunk',"),
        ("evaluate", ["--decode", "{fill: 'no'}"], "decode.fill must be true or false, not 'no'"),
        ("evaluate", ["--decode", "{top_k: true}"], "decode.top_k must be a whole number, not True"),
        ("evaluate", ["--decode", "{duplicate_oks: .nan}"], "decode.duplicate_oks must be above 0 and at most 1"),
        (
            "train",
            ["--network.options", "{stack: 2}"],
            "backbone hourglass has no option 'stack'; did you mean 'stacks'?",
        ),
        ("train", ["--network.backbone", "vgg"], "unknown backbone 'vgg'"),
        ("train", ["--network.start", "none.safetensors"], "network.start: model 'none.safetensors' is neither"),
        ("train", ["--network.frozen", "[nothing]"], "no parameter of the network starts with 'nothing'"),
        ("train", ["--data.skeleton", "coco-71"], "skeleton 'coco-71' is neither"),
        ("train", ["--data.sources", "[]"], "data.sources is empty"),
        ("train", ["--data.sources", "[{images: nowhere}]"], "nowhere: no such folder of images"),
        ("train", ["--train.device", "toaster"], "device 'toaster' cannot be used"),
    ],
)
def test_values_out_of_range_are_one_line(
    command: str, options: list[str], message: str, place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    assert_one_line([*place.command(command), *options], message, capfd)


def test_training_keeps_what_it_learned_before_the_bad_image(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that is damaged while a training runs ends it, but what was learned is saved."""
    original, reads = ImageFolder.pixels, []

    def damaged_later(self: ImageFolder[Any], record: Any) -> Any:
        reads.append(record)
        if len(reads) > 60:
            raise ValueError("000003.jpg: damaged")
        return original(self, record)

    monkeypatch.setattr(ImageFolder, "pixels", damaged_later)
    assert_one_line([*place.command("train"), "--train.batch=1", "--train.steps=100"], "000003.jpg", capfd)
    assert (place.root / "run" / "state.pt").is_file()


def test_a_bad_image_of_the_first_samples_stops_training_before_it_starts(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(place.images / "000003.jpg")
    assert_one_line([*place.command("train"), "--train.batch=1", "--train.steps=30"], "000003.jpg", capfd)
    assert not (place.root / "run").exists()


@pytest.mark.parametrize("options", [["--images", "0"], ["--seed", "-1"], ["--size", "3"], ["--size", "99999"]])
def test_synthetic_data_that_cannot_be(options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert_one_line(["data", "synthetic", str(tmp_path / "new"), *options], "synthetic data: images=", capfd)
    assert not (tmp_path / "new").exists()


def test_a_deep_skeleton_file_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 200_000)
    command = ["data", "synthetic", str(tmp_path / "new"), "--skeleton", str(deep)]
    assert_one_line(command, "deep.json: not a json file", capfd)
