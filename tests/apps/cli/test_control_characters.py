"""No command prints a control character or a line that a file made up, whatever file states it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin
from scipy.io import savemat

from associative_embedding.apps.cli.main import main
from associative_embedding.structures.skeleton import Skeleton
from support.label_data import dataset, person, write_images
from support.png_files import chunk
from support.tiny import photo, tiny_model

# clears the screen, turns the text, moves the cursor, and begins a line that seems ours
BAD = "a\x1b[2J\x1b]0;b\x07\x9b31m\u202e\u2066\u200f\rc\nFORGED\x85d\u2028e\tf"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
FIGURE = Skeleton.build(BAD, [BAD, "left_eye" + BAD, "right_eye" + BAD, "x", "y"], [(BAD, "x")])

Command = list[str]


def image(folder: Path, name: str = f"{BAD}.png") -> Path:
    folder.mkdir(exist_ok=True)
    Image.fromarray(photo()).save(folder / name)
    return folder / name


def labels(folder: Path, **changes: Any) -> Path:
    document = dataset([person(track_id=1)], FIGURE)
    for entry in document["images"]:
        entry["file_name"] = f"{entry['id']}{BAD}.png"
    write_images(folder / "images", document)
    path = folder / f"{BAD}.json"
    path.write_text(json.dumps({**document, **changes}))
    return path


def yolo(folder: Path) -> Path:
    (folder / "data.yaml").write_text(
        f"kpt_shape: [1, 3]\ntrain: {json.dumps(BAD)}\nnames: [{json.dumps(BAD)}]\nkpt_names: [{json.dumps(BAD)}]\n"
    )
    (folder / BAD).mkdir()
    image(folder / BAD)
    (folder / BAD / f"{BAD}.txt").write_text(f"0 0.5 0.5 0.5 0.5 0.5 {BAD.split()[0]} 2")
    return folder


def cvat(folder: Path) -> Path:
    name = "a\u202eb\x85&#10;FORGED&#9;\u2028"  # XML has no other control characters
    shape = f'<points label="{name}" points="1,2"/><polygon label="{name}"/><box label="{name}" xtl="{name}"/>'
    path = folder / "annotations.xml"
    path.write_text(f'<annotations><image name="{name}" width="9" height="9">{shape}</image></annotations>')
    return path


def tasks(folder: Path) -> Path:
    path = folder / "a.json"
    region = {"id": BAD, "type": BAD, "original_width": 9, "original_height": 9, "value": {"x": BAD, "points": []}}
    path.write_text(json.dumps([{"id": BAD, "data": {BAD: BAD, "b": BAD}, "annotations": [{"result": [region]}]}]))
    return path


def csv(folder: Path) -> Path:
    path = folder / f"CollectedData_{BAD}.csv"
    part = BAD.replace("\n", " ").replace("\r", "")
    path.write_text(f"scorer,m,m\nbodyparts,{part},{part}\ncoords,x,y\n{part}.png,{part},2\n")
    return path


def text_of_png(folder: Path) -> Path:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment\x1b[2J", BAD)
    info.add_itxt("XML:com.adobe.xmp", BAD)
    Image.fromarray(photo()).save(folder / "a.png", pnginfo=info)
    data = (folder / "a.png").read_bytes()
    profile = chunk(b"iCCP", b"p\x1b[2J\nFORGED\0\0" + b"no profile")
    (folder / "a.png").write_bytes(data[:33] + profile + data[33:])
    Image.fromarray(photo()).save(folder / "plain.png")
    data = (folder / "plain.png").read_bytes()
    (folder / "plain.png").write_bytes(data[:33] + profile + data[33:])
    return folder


def exif_of_jpeg(folder: Path) -> Path:
    exif = Image.Exif()
    exif[0x010E], exif[0x0131] = BAD, BAD
    Image.fromarray(photo()).save(folder / "a.jpg", exif=exif, comment=BAD.encode())
    Image.fromarray(photo()).convert("CMYK").save(folder / "b.jpg", exif=exif)
    return folder


def text_of_tiff(folder: Path) -> Path:
    Image.fromarray(photo()).save(folder / "a.tif", tiffinfo={270: BAD, 305: BAD}, compression="tiff_lzw")
    data = (folder / "a.tif").read_bytes()
    (folder / "cut.tif").write_bytes(data[:-40])
    return folder


def matlab(folder: Path) -> Path:
    savemat(folder / "a.mat", {"RELEASE": {"annolist": {"image": {"name": BAD}}, "img_train": 1}})
    data = (folder / "a.mat").read_bytes()
    twice = data + data[128:].replace(b"RELEASE", b"a\x1b[2J\nb")
    (folder / f"{BAD}.mat").write_bytes(twice + data[128:])
    return folder / f"{BAD}.mat"


def video(folder: Path) -> Path:
    pytest.importorskip("av", reason="needs the extra [video]")
    from support.video_files import write

    path = Path(write(folder / "a.mp4"))
    return Path(shutil.move(path, folder / f"{BAD}.mp4"))


def recipe(folder: Path) -> Path:
    path = folder / f"{BAD}.yaml"
    path.write_text(f"output: {json.dumps(BAD)}\n{json.dumps(BAD)}: 1\nnetwork: {{backbone: {json.dumps(BAD)}}}\n")
    return path


def data_command(kind: str, make: Callable[[Path], Path], *options: str) -> Callable[[Path, str], Command]:
    return lambda folder, model: ["data", kind, str(make(folder)), *options, "--output", str(folder / BAD)]


def convert(source: str, make: Callable[[Path], Path], to: str = "coco") -> Callable[[Path, str], Command]:
    return data_command("convert", make, "--from", source, "--to", to)


def predict(make: Callable[[Path], Path], *options: str) -> Callable[[Path, str], Command]:
    return lambda folder, model: [
        "predict",
        str(make(folder)),
        "--model",
        model,
        "--output",
        f"{folder}/{BAD}",
        *options,
    ]


def hostile_model(folder: Path) -> str:
    notes = {"made by " + BAD: BAD}
    return tiny_model(
        folder / f"{BAD}.safetensors", backbone="mobilenet_v2", skeleton=FIGURE, input_size=96, notes=notes
    )


def truth(folder: Path, *options: str) -> Command:
    path = labels(folder)
    model = hostile_model(folder)
    return ["evaluate", "--model", model, "--annotations", str(path), "--images", str(folder / "images"), *options]


COMMANDS: dict[str, Callable[[Path, str], Command]] = {
    "predict": predict(image),
    "predict a folder": predict(lambda folder: image(folder).parent),
    "predict nothing": predict(lambda folder: folder / BAD),
    "predict text": predict(lambda folder: labels(folder)),
    "predict a png": predict(text_of_png),
    "predict a jpeg": predict(exif_of_jpeg),
    "predict a tiff": predict(text_of_tiff),
    "predict a video": predict(video),
    "predict no video": predict(lambda folder: shutil.copy(labels(folder), folder / f"{BAD}.mp4")),
    "model": lambda folder, model: ["predict", str(image(folder)), "--model", hostile_model(folder), "--output", "out"],
    "no model": lambda folder, model: ["predict", str(image(folder)), "--model", str(labels(folder))],
    "option": lambda folder, model: ["predict", f"--{BAD}"],
    "value": lambda folder, model: ["predict", "a.png", "--threads", BAD],
    "command": lambda folder, model: [BAD],
    "info": lambda folder, model: ["info", hostile_model(folder)],
    "export": lambda folder, model: ["export", hostile_model(folder), "--output", f"{folder}/{BAD}.onnx"],
    "evaluate": lambda folder, model: truth(folder),
    "evaluate tracks": lambda folder, model: truth(folder, "--track"),
    "evaluate with another model": lambda folder, model: [*truth(folder)[:2], model, *truth(folder)[3:]],
    "train": lambda folder, model: ["train", str(recipe(folder))],
    "convert weights": lambda folder, model: ["convert", str(labels(folder)), "--from", "mmpose", "--output", BAD],
    "split": data_command("split", labels, "--last", "0.5"),
    "split of one": data_command("split", lambda folder: labels(folder, annotations=BAD), "--last", "0.5"),
    "shard": lambda folder, model: [
        *data_command("shard", labels)(folder, model), "--images", str(folder / "images"), "--size", "1",
    ],
    "mpii": lambda folder, model: [*data_command("mpii", matlab)(folder, model), "--images", str(folder)],
    "coco": convert("coco", labels, "cvat"),
    "coco without a category": convert("coco", lambda folder: labels(folder, categories=[{"id": BAD, "name": BAD}])),
    "coco of numbers": convert("coco", lambda folder: labels(folder, images=[{"id": 1, "width": BAD}])),
    "yolo": convert("yolo", yolo),
    "cvat": convert("cvat", cvat),
    "label studio": convert("label-studio", tasks),
    "deeplabcut": convert("deeplabcut", csv),
    "sleap": convert("sleap", labels),
    "format": lambda folder, model: ["data", "convert", "a", "--from", BAD],
    "synthetic": lambda folder, model: [
        "data", "synthetic", f"{folder}/{BAD}", "--images", "1", "--skeleton", str(labels(folder)),
    ],
}  # fmt: skip


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="the system does not allow such names")
@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_nothing_from_a_file_reaches_the_terminal(
    command: Callable[[Path, str], Command],
    tmp_path: Path,
    model: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = command(tmp_path, model)
    capfd.readouterr()
    main(arguments)
    shown = "".join(capfd.readouterr())  # also of libraries in C
    assert shown
    assert RAW.findall(shown.replace("\n", "").replace("\t", "")) == []
    assert [line for line in shown.splitlines() if line.startswith("FORGED")] == []
    assert "Traceback" not in shown
