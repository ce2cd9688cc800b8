"""A model file's description is compared with its tensors before anything is built."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from associative_embedding.model_files.check_network import check_shapes, shapes_of
from associative_embedding.model_files.checkpoint import load_model, read_description
from associative_embedding.model_files.model_info import KEY
from associative_embedding.networks.zoo import BACKBONES, build_network
from support.memory import measured
from support.tiny import FIGURE, HOURGLASS, tiny_info

CHAIN = [f"k{i}" for i in range(20_000)]
ANIMAL = {"name": "a", "keypoints": CHAIN, "skeleton": [[i, i + 1] for i in range(1, len(CHAIN))]}
LONG_NAMES = {"name": "a", "keypoints": ["l_" * 5000 + str(i) for i in range(80)]}


def options(**values: Any) -> dict[str, Any]:
    return {"options": {**HOURGLASS, **values}}


def pyramid(**values: Any) -> dict[str, Any]:
    return {"backbone": "mobilenet_v2", "options": values}


# what a description states in place of the truth -> a part of the message
HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "stacks": (options(stacks=10**6), "far more tensors than the file"),
    "stacks without end": (options(stacks=10**15), "far more tensors than the file"),
    "a width": (options(widths=[50_000, 50_000, 50_000]), "has the shape"),
    "a width beyond torch": (options(widths=[10**12] * 3), "cannot have the options"),
    "many widths": (options(widths=[8] * 100_000), "options are more than 10000 characters"),
    "many levels": (options(widths=[8] * 3000), "far more tensors than the file"),
    "extra outputs": (options(extra_outputs=10**9), "has the shape"),
    "stem": (options(stem=[10**5, 10**5]), "has the shape"),
    "context": (pyramid(context=10**9), "far more tensors than the file"),
    "hidden": (pyramid(hidden=10**9), "has the shape"),
    "HRNet's width": ({"backbone": "hrnet_w32", "options": {"width": 20_000}}, "do not fit their description"),
    "another backbone": ({"backbone": "higherhrnet_w48", "options": {}}, "do not fit their description"),
    "tag size": ({"tag_size": 10**6}, "has the shape"),
    "tag size beyond": ({"tag_size": 10**9}, "tag_size must be at most 1e+06, not 1000000000"),
    "keypoints": ({"skeleton": ANIMAL}, "has 20000 keypoints; at most 1000 are read"),
    "names": ({"skeleton": LONG_NAMES}, "has a keypoint of 10002 characters; at most 100 are read"),
    "input size": ({"input_size": 10**9}, "input_size must be at most 4096, not 1000000000"),
    "size of crops": ({"refine_size": 10**9}, "refine_size must be at most 1024, not 1000000000"),
    "negative size of crops": ({"refine_size": -1}, "refine_size must be a positive integer or 0, not -1"),
    "small people": ({"fine_below": 10**9}, "fine_below must be at most 4096, not 1000000000"),
    "small people, true": ({"fine_below": True}, "fine_below must be a positive integer or 0, not True"),
    "no small people": ({"fine_below": -1}, "fine_below must be a positive integer or 0, not -1"),
    "side of small people": ({"fine_below": 1.5}, "fine_below must be a positive integer or 0, not 1.5"),
    "scales": ({"scales": [1.0] * 100_000}, "scales must be at most 16 numbers, not 100000"),
    "a scale": ({"scales": [99.0], "input_size": 4096}, "the input size 4096 times 99 is more than 4096 pixels"),
    "tag scales": ({"tag_scales": [3.0]}, "tag_scales must be some of the scales [1.0], not [3.0]"),
    "no tag scale": ({"tag_scales": []}, "tag_scales must be some of the scales [1.0], not []"),
    "a tag scale": ({"tag_scales": 1.0}, "tag_scales must be some of the scales [1.0], not 1.0"),
    "enlarge": ({"enlarge": 10**6}, "enlarge must be at most 32, not 1000000"),
    "zoom": ({"zoom": 1e-300}, "zoom must be 0, or a number in [0.01, 100), not 1e-300"),
    "notes": ({"notes": {"a": "x" * 2**20}}, "characters are more than the 1048576 that are read"),
    "task": ({"task": ["pose"]}, "its task ['pose'] is not known"),
}


def write_model(path: Path, **values: Any) -> Path:
    """A model file of a tiny hourglass with another description."""
    state = tiny_info().build().state_dict()
    text = json.dumps({**json.loads(tiny_info().to_json()), **values})
    path.write_bytes(safetensors.torch.save(state, metadata={KEY: text}))
    return path


@pytest.mark.slow
def test_a_description_that_asks_for_gigabytes_or_minutes_is_one_line(tmp_path: Path) -> None:
    code = """
import time
from associative_embedding.model_files.checkpoint import load_model
for path in sys.argv[1:]:
    start = time.process_time()
    try:
        load_model(path)
    except ValueError as error:
        print(error)
    seconds = time.process_time() - start
    assert seconds < 20, (path, seconds)
"""
    paths = [write_model(tmp_path / f"{i}.safetensors", **HOSTILE[name][0]) for i, name in enumerate(HOSTILE)]
    idle, done = measured(code), measured(code, *paths)
    lines = done.output.splitlines()
    assert len(lines) == len(HOSTILE), done.errors
    for path, line, (_, message) in zip(paths, lines, HOSTILE.values(), strict=True):
        assert line.startswith(f"{path}: ")
        assert message in line
        assert len(line) < 700
    assert done.megabytes < idle.megabytes + 200


@pytest.mark.slow
def test_every_command_checks_a_model_file_first(tmp_path: Path) -> None:
    model = write_model(tmp_path / "bad.safetensors", **options(stacks=10**6, widths=[4000, 4000, 4000]))
    code = "import json\nfrom associative_embedding.apps.cli.main import main\nlist(map(main, json.loads(sys.argv[1])))"
    picture = str(tmp_path / "a.png")
    torch_only = ["--runtime", "torch"]
    (tmp_path / "labels.json").write_text(
        json.dumps({"images": [], "annotations": [], "categories": [FIGURE.to_category()]})
    )
    commands = [
        ["info", str(model)],
        ["predict", picture, "--model", str(model)],
        ["predict", picture, "--model", str(model), *torch_only],
        ["predict", picture, "--refine", str(model)],
        ["evaluate", "--model", str(model), "--annotations", str(tmp_path / "labels.json"), "--images", str(tmp_path)],
        ["export", str(model), "--output", str(tmp_path / "a.onnx")],
        ["serve", "--model", str(model)],
        ["predict", str(tmp_path), "--model", str(model), "--track"],
    ]
    (tmp_path / "a.png").write_bytes(b"")
    done = measured(code, json.dumps(commands), folder=tmp_path)
    assert len(done.errors) == len(commands), done.errors
    wrong = [line for line in done.errors if "bad.safetensors: the weights do not fit their description" not in line]
    assert not wrong
    assert done.megabytes < 1500


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_backbone_is_built_without_memory_and_within_the_limit(name: str) -> None:
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in build_network(name, 17, 1, {}).state_dict().items()}
    check_shapes(lambda: build_network(name, 17, 1, {}), shapes)
    with pytest.raises(ValueError, match=r"has the shape \[.*\] in the file and \[.*\] in the network"):
        check_shapes(lambda: build_network(name, 18, 1, {}), shapes)


@pytest.mark.parametrize("calls", range(1, 60))
def test_a_network_of_too_many_tensors_leaves_torch_as_it_was(calls: int) -> None:
    assert shapes_of(lambda: build_network("hourglass", 17, 1, HOURGLASS), calls) is None
    assert torch.is_grad_enabled()
    assert torch.empty(1).device.type == "cpu"
    with torch.no_grad():
        assert shapes_of(lambda: build_network("hourglass", 17, 1, HOURGLASS), calls) is None
        assert not torch.is_grad_enabled()


def lies(header: dict[str, Any], values: int) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(values)


@pytest.mark.parametrize(
    "content",
    [
        lies({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 16]}}, 16),
        lies({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}, 16),
        lies({"a": {"dtype": "F32", "shape": [2**63, 2**63], "data_offsets": [0, 0]}}, 0),
        lies({n: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for n in "ab"}, 16),
        lies({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, 64),
        struct.pack("<Q", 2**40) + b"{}",
        struct.pack("<Q", 90 * 2**20) + b" " * 1000,
    ],
)
def test_a_header_that_lies_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    for read in (load_model, read_description):
        with pytest.raises(ValueError, match="not a readable safetensors file") as error:
            read(path)
        assert "\n" not in str(error.value)
