"""No file runs code: whatever a file names, no program is started and no module is imported (SECURITY.md)."""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import scipy.io
import torch
import yaml
from PIL import Image

from associative_embedding.data.preparation.write_shards import write_shards
from associative_embedding.model_files.model_info import KEY
from associative_embedding.training.run_folder import plain
from support.sleap_files import build, description
from support.tiny import tiny_data, tiny_info, tiny_model, tiny_recipe
from support.watched import PAYLOAD, PROOF, run_watched

pytestmark = pytest.mark.slow

START = f"{{class_path: subprocess.Popen, init_args: {{args: touch {PROOF}, shell: true}}}}"
IMPORT = f"{{class_path: {PAYLOAD}.Payload}}"
NAME = f"{PAYLOAD}.Payload"
RECIPES = [
    f"network: {{options: {{a: {START}}}}}",  # case 01
    f"network: {{options: {{a: [[{IMPORT}]], stride: {IMPORT}}}}}",
    f"network: {{options: {{a: {{b: {{class_path: {NAME}, init_args: {{c: {START}}}}}}}}}}}",
    f"network: {{options: {{a: '{IMPORT}'}}}}",  # a text that is read as YAML once more
    f"network: {{options: {{a: {NAME}, stride: {NAME}.run}}}}",
    f"network: {IMPORT}",
    f"network: {NAME}",
    f"network: {{backbone: {IMPORT}}}",
    f"data: {{sources: [{IMPORT}]}}",
    f"data: {{sources: '[{IMPORT}]'}}",
    f"data: {{sources: [{NAME}]}}",
    f"data: {{sources: {NAME}}}",
    f"data: {{sources: [{{images: x, rename: {START}}}]}}",
    f"data: {{augment: {IMPORT}}}",
    f"data: {{augment: {NAME}}}",
    f"train: {{class_path: {NAME}, init_args: {{}}}}",
    f"train: {{lr_factors: {START}}}",
    f"train: {{lr: {NAME}}}",
    f"class_path: {NAME}",
    f"train: !!python/object/apply:os.system ['touch {PROOF}']",
    f"output: !!python/name:{NAME} ''",
    f"output: !!python/module:{PAYLOAD} ''",
    "output: '${oc.env:HOME}'\nnetwork: {options: {a: '${eval:1}'}}",
    '{"network": {"options": {"a": {"class_path": "' + NAME + '"}}}}',
    f"[network.options.a]\nclass_path = '{NAME}'",
]
SETTINGS = [
    f"--network.options.a={START}",
    f"--network.options={{a: {IMPORT}}}",
    f"--network.options.a.class_path={NAME}",
    f"--network={IMPORT}",
    f"--network={NAME}",
    f"--data.sources=[{IMPORT}]",
    f"--data.sources+={NAME}",
    f"--data.augment={NAME}",
    f"--train={IMPORT}",
    f"--train.lr={NAME}",
    f"--config={{network: {{options: {{a: {IMPORT}}}}}}}",
    "--config=second.yaml",
    "--conf=second.yaml",
    f"--network.help={NAME}",
    f"--config.help={NAME}",
]


def test_no_recipe_runs_code(tmp_path: Path) -> None:
    commands = []
    for number, text in enumerate(RECIPES):
        (tmp_path / f"{number}.yaml").write_text(text)
        commands.append(["train", f"{number}.yaml"])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text(RECIPES[0])  # as in the folder of a run
    commands += [["train", "run/recipe.yaml"], ["train", "0.yaml", "--print_config"]]
    watched = run_watched(tmp_path, *commands)
    assert watched.started == []
    assert 0 not in watched.statuses[:-1]
    assert len(watched.lines) == len(commands) - 1  # one for each but the printed recipe


def test_no_setting_on_the_command_line_or_in_the_environment_runs_code(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("output: run")
    (tmp_path / "second.yaml").write_text(RECIPES[0])
    commands = [["train", "good.yaml", setting] for setting in SETTINGS]
    for words in (["predict", "x.png"], ["evaluate", "--annotations", "x.json"], ["serve"]):
        commands += [
            [*words, "--decode", START],
            [*words, f"--decode={{threshold: {IMPORT}}}"],
            [*words, "--model", NAME],
        ]
    commands += [["predict", "x.png", "--link", IMPORT], ["data", "convert", NAME, "--from", "coco", "--output", "x"]]
    given = {"AE_TRAIN__NETWORK__OPTIONS": f"{{a: {START}}}", "AE_TRAIN__TRAIN": IMPORT, "AE_CONFIG": "second.yaml"}
    watched = run_watched(tmp_path, *commands, JSONARGPARSE_DEFAULT_ENV="true", **given)
    assert watched.started == []
    assert 0 not in watched.statuses


class Starts:
    """Unpickled, it would start a program, or import a module of the folder."""

    def __init__(self, importing: bool = False) -> None:
        self.importing = importing

    def __reduce__(self) -> tuple[Any, ...]:
        return (importlib.import_module, (PAYLOAD,)) if self.importing else (os.system, (f"touch {PROOF}",))


PICKLES = [pickle.dumps({"state_dict": {"a": Starts(importing)}}) for importing in (False, True)]


def torch_file(importing: bool = False, *, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save({"state_dict": {"a": Starts(importing)}}, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


TORCH_FILES = [*PICKLES, torch_file(), torch_file(importing=True), torch_file(zipped=False)]


def write_all(folder: Path, contents: Mapping[str, bytes | str]) -> None:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def test_no_model_file_runs_code(tmp_path: Path) -> None:
    state = tiny_info().build().state_dict()
    told = json.loads(tiny_info().to_json())
    spec = {"class_path": f"{PAYLOAD}.Payload", "init_args": {}}
    changes: list[dict[str, Any]] = [
        {"backbone": spec},
        {"options": spec},
        {"options": {"stacks": spec}},
        {"task": spec},
        {"notes": spec},
    ]
    changes += [{"backbone": NAME}, {"refine": NAME}, {"decode": spec}, {"skeleton": spec}, {"__reduce__": spec}]
    for number, change in enumerate(changes):
        metadata = {KEY: json.dumps({**told, **change}), "__class__": NAME}
        safetensors.torch.save_file(state, tmp_path / f"{number}.safetensors", metadata=metadata)
    for number, content in enumerate(TORCH_FILES, start=len(changes)):
        (tmp_path / f"{number}.safetensors").write_bytes(content)
    write_png(tmp_path / "a.png")
    files = [f"{number}.safetensors" for number in range(len(changes) + len(TORCH_FILES))]
    commands = [["info", file] for file in files] + [["predict", "a.png", "--model", file] for file in files]
    watched = run_watched(tmp_path, *commands, AE_RUNTIME="torch")
    assert watched.started == []
    assert watched.statuses[len(changes) : len(files)] == [1] * len(TORCH_FILES)


def test_no_state_and_no_start_of_training_runs_code(tmp_path: Path) -> None:
    recipe = plain(tiny_recipe(tmp_path, tiny_data(tmp_path), steps=2))
    commands = []
    for number, content in enumerate(TORCH_FILES):
        write_all(tmp_path, {f"run{number}/state.pt": content, f"start{number}.safetensors": content})
        for name, change in {"run": {"output": f"run{number}"}, "start": {"output": "other"}}.items():
            network = recipe["network"] | ({"start": f"start{number}.safetensors"} if name == "start" else {})
            (tmp_path / f"{name}{number}.yaml").write_text(yaml.safe_dump({**recipe, **change, "network": network}))
            commands.append(["train", f"{name}{number}.yaml"])
    watched = run_watched(tmp_path, *commands)
    assert watched.started == []
    assert watched.statuses == [1] * len(commands)


def test_no_checkpoint_of_another_project_runs_code(tmp_path: Path) -> None:
    commands = []
    for number, content in enumerate(TORCH_FILES):
        (tmp_path / f"{number}.pth").write_bytes(content)
        for project in ("pose-ae", "higherhrnet", "mmpose", "efficientnet-lite0"):
            commands.append(["convert", f"{number}.pth", "--from", project, "--output", "out.safetensors"])
    manifest = {"paths": ["a.npy"], "weights": [{"name": "a", "shape": [1], "dtype": NAME}]}
    array = io.BytesIO()
    np.save(array, np.array([Starts()], object), allow_pickle=True)
    write_all(tmp_path, {"model.json": json.dumps({"weightsManifest": [manifest]}), "a.npy": array.getvalue()})
    watched = run_watched(
        tmp_path, *commands, ["convert", "model.json", "--from", "movenet", "--output", "o.safetensors"]
    )
    assert watched.started == []
    assert watched.statuses == [1] * (len(commands) + 1)


@pytest.mark.extra
def test_no_exported_graph_runs_code(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from support.graphs import wrong_graphs

    graphs = {name: content for name, (content, _) in wrong_graphs().items()}
    layer = f'<layer id="0" name="a" type="{NAME}" version="extension"/>'
    text = f"<!DOCTYPE a [<!ENTITY b SYSTEM 'payload.py'>]><net name='&b;' version='11'><layers>{layer}</layers></net>"
    write_all(tmp_path, {f"{name}.onnx": content for name, content in graphs.items()})
    write_all(tmp_path, {"a.onnx": PICKLES[0], "a.xml": text, "a.bin": PICKLES[0]})
    write_png(tmp_path / "a.png")
    files = [*(f"{name}.onnx" for name in graphs), "a.onnx", "a.xml"]
    watched = run_watched(tmp_path, *(["predict", "a.png", "--model", file] for file in files))
    assert watched.started == []
    assert watched.statuses == [1] * len(files)


@pytest.mark.extra
def test_no_labels_run_code(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    call = {"py/reduce": [{"py/function": "os.system"}, {"py/tuple": [f"touch {PROOF}"]}]}
    spec = {"class_path": NAME, "py/object": NAME, "__reduce__": ["os.system", f"touch {PROOF}"], **call}
    tag = f"!!python/object/apply:os.system ['touch {PROOF}']"
    entity = f"<!DOCTYPE a [<!ENTITY b SYSTEM '{PAYLOAD}.py'>]><annotations><version>&b;</version></annotations>"
    table = f"scorer,a,a\nbodyparts,b,b\ncoords,x,y\nlabeled-data/v/i.png,{NAME},1\n"
    file = io.BytesIO()
    scipy.io.savemat(file, {"RELEASE": np.array([NAME], object)})
    write_all(
        tmp_path,
        {
            "coco.json": json.dumps({"images": [spec], "annotations": [spec], "categories": [spec]}),
            "studio.json": json.dumps([{"data": spec, "annotations": [spec]}]),
            "yolo/data.yaml": f"kpt_shape: {tag}\nnames: {tag}",
            "cvat.xml": entity,
            "dlc/config.yaml": f"skeleton: {tag}",
            "dlc/labeled-data/v/CollectedData_a.csv": table,
            "dlc/labeled-data/v/CollectedData_a.h5": PICKLES[0],
            "mpii.mat": file.getvalue(),
            "pickle": PICKLES[1],
            "images/a.txt": "",
        },
    )
    described = description()
    described["skeletons"][0]["links"][0]["type"] = call
    described["skeletons"][0]["graph"] = spec
    with h5py.File(build(tmp_path / "a.slp"), "a") as file_of_sleap:
        file_of_sleap["metadata"].attrs["json"] = np.bytes_(json.dumps({**described, **call}))
    formats = {
        "coco": "coco.json",
        "label-studio": "studio.json",
        "yolo": "yolo",
        "cvat": "cvat.xml",
        "deeplabcut": "dlc/labeled-data/v/CollectedData_a.csv",
        "sleap": "a.slp",
    }
    commands = [
        ["data", "convert", name, "--from", form, "--output", f"{number}.json"]
        for number, (form, named) in enumerate(formats.items())
        for name in (named, "pickle")
    ]
    commands += [["data", "mpii", name, "--images", "images", "--output", "m.json"] for name in ("mpii.mat", "pickle")]
    commands += [["data", "split", "coco.json", "--output", "s", "--last", "0.5"]]
    watched = run_watched(tmp_path, *commands)
    assert watched.started == []
    assert 0 not in watched.statuses[1:]  # in the COCO json, all that is strange is left out with a line


def test_no_archive_runs_code(tmp_path: Path) -> None:
    source = tiny_data(tmp_path)
    shards = tmp_path / "shards"
    write_shards(str(source.annotations), source.images, str(shards), 100)
    (tar,) = shards.glob("*.tar")
    with tarfile.open(tar, "a") as archive:
        for name in (f"{PAYLOAD}.pyd", "0.pickle", f"../{PAYLOAD}.py", "__init__.py"):
            entry = tarfile.TarInfo(name)
            entry.size = len(PICKLES[0])
            archive.addfile(entry, io.BytesIO(PICKLES[0]))
    index = json.loads((shards / "shards.json").read_text())
    pickled = shards.with_name("pickled")
    shutil.copytree(shards, pickled)
    (pickled / "shards.json").write_bytes(PICKLES[0])
    (shards / "shards.json").write_text(json.dumps({**index, "class_path": NAME, "loader": NAME}))
    recipe = plain(tiny_recipe(tmp_path, source, steps=1))
    commands = []
    for folder in (shards, pickled):
        recipe["data"]["sources"] = [{"shards": str(folder)}]
        (tmp_path / f"{folder.name}.yaml").write_text(yaml.safe_dump(recipe))
        commands.append(["train", f"{folder.name}.yaml"])
    watched = run_watched(tmp_path, *commands)
    assert watched.started == []
    assert watched.statuses == [0, 1]  # members and entries that nobody asks for are left alone


def test_no_model_folder_runs_code(tmp_path: Path) -> None:
    """As on the Hugging Face Hub, whose models may name code to be loaded."""
    model = tmp_path / "model"
    model.mkdir()
    tiny_model(model / "model.safetensors")
    names = {"auto_map": {"AutoModel": NAME}, "custom_pipelines": {"a": {"impl": NAME}}, "class_path": NAME}
    proof = f"open({PROOF!r}, 'w')"
    write_all(
        model,
        {
            "config.json": json.dumps(names),
            "modeling.py": proof,
            "__init__.py": proof,
            "conftest.py": proof,
            "pytorch_model.bin": PICKLES[0],
            f"{PAYLOAD}.py": proof,
        },
    )
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    (broken / "model.safetensors").write_bytes(PICKLES[1])
    write_png(tmp_path / "a.png")
    watched = run_watched(
        tmp_path,
        ["info", "model"],
        ["predict", "a.png", "--model", "model"],
        ["info", "broken"],
        ["predict", "a.png", "--model", "broken"],
        AE_RUNTIME="torch",
    )
    assert watched.started == []
    assert watched.statuses == [0, 0, 1, 1]


@pytest.mark.extra
def test_no_image_and_no_video_runs_code(tmp_path: Path) -> None:
    script = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch {PROOF}) (w) file\nshowpage\n%%EOF\n"
    drawing = f"<svg xmlns='http://www.w3.org/2000/svg'><script>import {PAYLOAD}</script></svg>"
    playlist = f"#EXTM3U\n#EXTINF:1,\n{PAYLOAD}.py\n"
    contents: dict[str, bytes | str] = {
        "script": script,
        "drawing": drawing,
        "pickle": PICKLES[0],
        "list": playlist,
        "code": f"import {PAYLOAD}",
    }
    images = {f"{name}{end}": text for name, text in contents.items() for end in (".png", ".jpg", ".tif", ".gif")}
    videos = {f"{name}{end}": text for name, text in contents.items() for end in (".mp4", ".avi", ".mkv")}
    write_all(tmp_path / "files", images | videos)
    tiny_model(tmp_path / "model.safetensors")
    commands = [["predict", f"files/{name}", "--model", "model.safetensors"] for name in images | videos]
    watched = run_watched(tmp_path, *commands, AE_RUNTIME="torch")
    assert watched.started == []
    assert 0 not in watched.statuses


def test_a_module_in_the_current_folder_is_not_imported_in_place_of_a_package(tmp_path: Path) -> None:
    for name in ("torch", "cv2", "yaml", "numpy", "jsonargparse", "associative_embedding"):
        (tmp_path / f"{name}.py").write_text(f"open({PROOF!r}, 'w')\nraise SystemExit('imported')")
    command = Path(sys.executable).with_name("ae")
    if not command.is_file():
        pytest.skip("needs the installed command")
    done = subprocess.run([command, "info"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / PROOF).exists()


def write_png(path: Path) -> None:
    Image.new("RGB", (64, 64)).save(path)
