"""The table of published models: complete, without two models of one name, and with each author's rules."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from associative_embedding.apps.cli.main import main
from associative_embedding.model_files.converters.clues import Clues
from associative_embedding.model_files.converters.layouts import LAYOUTS
from associative_embedding.model_files.converters.published_pose_models import PROJECTS, describe, published_skeleton
from associative_embedding.model_files.published.table import (
    PublishedModel,
    find_published,
    plain,
    published_models,
    read_table,
    terms,
)
from associative_embedding.structures.known_skeletons import SKELETONS
from support.paths import ROOT


def test_the_rows_are_plain_facts() -> None:
    models = published_models()
    names = [plain(name) for model in models for name in (model.name, *model.aliases)]
    assert len(names) == len(set(names))
    assert len({model.file for model in models}) >= len(models) - 1  # one file is published under two names
    for model in models:
        assert model.project in PROJECTS
        assert len(SKELETONS[model.skeleton]) == model.keypoints
        assert all(url.startswith("https://") for url in model.urls)
        assert len(model.sha256) in (0, 8, 64)
        assert not set(model.sha256) - set("0123456789abcdef")
        assert bool(model.sha256) >= bool(model.urls)  # what is downloaded has a digest
        assert "/" not in model.file
        assert terms(model)["licence"]
        assert terms(model)["data"]
    assert set(read_table()["projects"]) == set(PROJECTS)


def test_names_in_any_spelling() -> None:
    model = find_published("higherhrnet-w32-coco")
    assert model is not None
    assert find_published("HigherHRNet_W32_COCO") is model
    assert find_published("associative_embedding_higherhrnet_w32_coco_512x512") is model
    assert find_published("higherhrnet") is None


def test_the_list_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "models.json"
    assert main(["info", "--published", "--json", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for model, line in zip(published_models(), lines[1:], strict=False):
        assert line.split()[0] == model.name
        assert terms(model)["licence"] in line
    found = json.loads(path.read_text())["models"]
    assert [row["name"] for row in found] == [model.name for model in published_models()]
    assert main(["info", "--published", "--json", str(path)]) == 0
    assert main(["info", "person", "--published"]) == 2


def test_the_page_has_every_model() -> None:
    lines = (ROOT / "docs/published-models.md").read_text(encoding="utf-8").splitlines()
    for model in published_models():
        what = f"| {model.dataset} | {model.keypoints} | {model.input_size}"
        (line,) = [line for line in lines if line.startswith(f"| `{model.name}` |") and what in line]
        assert model.ap is None or f"| {100 * model.ap:.1f}" in line
        assert terms(model)["licence"] in line


def entries(shared: Path) -> list[dict[str, Any]]:
    rows = json.loads((shared / "reference/zoo/zoo.json").read_text())["checkpoints"]
    return [row for row in rows if "same_file_as" not in row]


def model_of(entry: dict[str, Any]) -> PublishedModel:
    file = entry["sha256_prefix"]
    found = [m for m in published_models() if entry["name"] in m.aliases or (file and m.sha256.startswith(file))]
    if not found:  # an alias that is another model's name is left out
        name = plain(entry["name"]).removesuffix("-512")
        found = [m for m in published_models() if m.name in (name, f"{name}-authors")][-1:]
    return found[0]


def test_every_checkpoint_of_the_zoo_is_in_the_table(shared: Path) -> None:
    for entry in entries(shared):
        model = model_of(entry)
        assert list(model.urls) == [url for url in [entry.get("url"), *entry.get("other_urls", [])] if url]
        assert model.sha256.startswith(entry["sha256_prefix"] or "")
        single = entry["results"].get("single_scale") or {}
        assert model.ap == single.get("AP", single.get("Whole AP"))
        assert model.ap_multi_scale == (entry["results"].get("multi_scale") or {}).get("AP")
        assert (model.keypoints, model.input_size) == (entry["keypoints"], entry["input"]["size"])
        assert model.skeleton.startswith(entry["dataset"].replace("_", "-"))
        if "keys" in entry:
            assert model.parameters == entry["keys"]["parameters"]
            assert model.bytes >= entry["keys"]["float32_bytes"]
    assert {model.name for model in published_models()} - {model_of(entry).name for entry in entries(shared)} == {
        "hrnet-w32-coco-mmpose1"
    }


def test_every_checkpoint_has_the_rules_of_its_config(shared: Path) -> None:
    for entry in entries(shared):
        if "keys" not in entry:
            continue
        model = model_of(entry)
        with gzip.open(shared / "reference/zoo" / entry["keys"]["keys_file"]) as file:
            state = {name: torch.empty(shape, device="meta") for name, shape in json.load(file)["keys"]}
        layout = LAYOUTS[model.project](state, model.keypoints)
        skeleton = published_skeleton(model.project, model.skeleton)
        info = describe(model.project, layout, skeleton, Clues(model.skeleton, model.input_size, model.udp))
        rules, decode, conventions = entry["test_cfg"], info.task.decode_config, info.conventions
        assert conventions is not None
        order = entry["group_order"]
        listed = list(range(model.keypoints)) if order == "as listed" else order
        assert skeleton.group_index.tolist() == listed
        assert info.input_size == entry["input"]["size"]
        assert conventions.fit == {"center": "centre", "udp": "corner"}[entry["input"]["rule"]]
        assert conventions.align_corners == rules["align_corners"]
        assert (conventions.map_size == "network") == (not rules["project2image"])
        assert conventions.mirror == rules["flip_test"]
        assert (conventions.rounding == "down") == (entry["project"] != "mmpose")
        assert (decode.nms, decode.threshold) == (rules["nms_kernel"], rules["detection_threshold"])
        assert (decode.tag_threshold, decode.tag_distance) == (rules["tag_threshold"], "l2")
        assert (decode.position == "dark") == entry["use_udp"]
        assert decode.fill == rules["refine"]
        assert (decode.max_people, decode.crowd) == ((0, "keep") if entry["project"] == "mmpose" else (30, "join"))
        assert {decode.assignment, decode.fill_rule} == {"published"}
