"""All recipes can be read; the paper's recipes train, at a size that a test can afford."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml

from associative_embedding.apps.cli.commands import build_recipe
from associative_embedding.apps.cli.main import main, parse
from associative_embedding.data.readers.voc import VOC_CLASSES
from associative_embedding.data.synthetic.figures import write_synthetic_dataset
from associative_embedding.inference.load import load
from associative_embedding.io.coco_json import load_skeleton
from associative_embedding.model_files.checkpoint import load_model
from associative_embedding.model_files.converters.published_pose_models import PROJECTS
from associative_embedding.networks.zoo import build_network
from associative_embedding.training.optimizer import learning_rate
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.recipe_file import check_recipe
from associative_embedding.training.train import train
from associative_embedding.training.validation import build_validation
from support.coco_files import document, write
from support.paths import ROOT
from support.tiny import log_of
from support.voc_tree import tree

RECIPES = sorted([*(ROOT / "recipes").rglob("*.yaml"), *(ROOT / "experiments").rglob("*.yaml")])
PUBLISHED = sorted((ROOT / "recipes" / "published").glob("*.yaml"))
MARKED = [*sorted((ROOT / "recipes" / "paper").glob("*.yaml")), *PUBLISHED]
MARKS = ("paper", "code", "ours", "[40]")
PAPER = {"coco": (17, 138_832_776), "mpii": (16, 138_829_184)}  # keypoint types, parameters


def read(name: str, *overrides: str) -> Recipe:
    """Reads a recipe of the paper as ``ae train`` does."""
    return build_recipe(parse(["train", path_of(name), *overrides])["train"])


def path_of(name: str) -> str:
    return str(ROOT / "recipes" / "paper" / f"{name}.yaml")


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_can_be_read(path: Path) -> None:
    check_recipe(str(path))
    recipe = build_recipe(parse(["train", str(path)])["train"])
    assert recipe.data.sources
    assert not any(Path(source.images).is_absolute() for source in recipe.data.sources)


@pytest.mark.parametrize("path", MARKED, ids=lambda path: path.stem)
def test_every_value_says_whose_it_is(path: Path) -> None:
    """In a comment behind it, by a mark that the head of the recipe explains."""
    lines = path.read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if re.match(r"\s*(- )?\w+: *[^\s#]", line)]
    assert len(values) > 30
    marks = {line: line.partition(" # ")[2] for line in values}
    assert [line for line, mark in marks.items() if not mark.startswith(MARKS)] == []
    used = {name for name in MARKS if any(mark.startswith(name) for mark in marks.values())}
    explained = {name for name in MARKS if any(re.match(rf"#   {re.escape(name)} += ", line) for line in lines)}
    assert used == explained


@pytest.mark.parametrize("name", PAPER)
def test_a_paper_recipe_says_what_the_paper_does(name: str) -> None:
    recipe = read(name)
    keypoints, parameters = PAPER[name]
    assert len(load_skeleton(recipe.data.skeleton)) == keypoints
    with torch.device("meta"):
        network = build_network("hourglass", keypoints, recipe.network.tag_size, recipe.network.options)
        assert len(network(torch.empty(1, 3, 512, 512))) == 4
        assert network(torch.empty(1, 3, 512, 512))[-1].heatmap.shape == (1, keypoints, 128, 128)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert (recipe.train.batch, recipe.train.optimizer, recipe.data.input_size, recipe.data.sigma) == (
        32,
        "adam",
        512,
        2,
    )
    assert [learning_rate(recipe.train, step) for step in (0, 99_999)] == [2e-4, 2e-4]
    assert learning_rate(recipe.train, 100_000) == pytest.approx(1e-5, rel=1e-12)
    assert (recipe.loss.heatmap, recipe.loss.pull, recipe.loss.push) == ("mse", 1e-3, 1e-3)
    assert recipe.data.augment.colours == "published"
    assert not recipe.train.amp
    assert all(source.complete for source in recipe.data.sources)  # else no background is learned


def test_the_printed_widths_can_be_said() -> None:
    recipe = read("coco", "--network.options", '{"stacks": 4, "widths": [256, 386, 512, 768]}')
    with torch.device("meta"):
        network = build_network("hourglass", 17, 1, recipe.network.options)
    assert network.multiple == 32
    assert network.body.hourglasses[3].inner.inner.down.conv.weight.shape == (768, 512, 3, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPER)
def test_a_paper_recipe_trains(name: str, tmp_path: Path) -> None:
    """It starts, logs, validates, saves, and goes on where it stopped; only sizes, paths and steps are others."""
    skeleton = load_skeleton(read(name).data.skeleton)
    annotations = write_synthetic_dataset(tmp_path / "data", skeleton, 6, size=(64, 64))
    whole = {"held_out": 0, "held_out_ids": None}
    source = {"annotations": str(annotations), "images": str(tmp_path / "data" / "images"), **whole}
    sources = json.dumps([source])
    overrides = {
        "output": str(tmp_path / "run"),
        "network.options": '{"stacks": 4, "widths": [4, 4, 4, 4, 4], "stem": [4, 4, 4]}',
        "data.sources": sources,
        "data.validation": sources,
        "data.input_size": "64",
        "data.validation_size": "64",
        "data.workers": "0",
        "train.batch": "2",
        "train.log_every": "1",
        "train.validate_every": "2",
        "train.device": "cpu",
    }
    arguments = ["train", path_of(name)]
    arguments += [f"--{key}={value}" for key, value in overrides.items()]
    assert main([*arguments, "--train.steps=2"]) == 0
    assert (tmp_path / "run" / "state.pt").is_file()
    assert main([*arguments, "--train.steps=4"]) == 0
    events = [(row["event"], row["step"]) for row in log_of(tmp_path / "run")]
    first = [("start", 0), ("train", 1), ("train", 2), ("validation", 2)]
    assert events == [*first, ("start", 2), ("train", 3), ("train", 4), ("validation", 4)]
    predictor = load(tmp_path / "run" / "model.safetensors")
    assert predictor.task.skeleton == skeleton
    assert len(predictor.network.body.outputs) == 4


@pytest.mark.slow
@pytest.mark.timeout(3600)  # a minute or two on a quiet core
def test_the_papers_own_form_learns_to_group(tmp_path: Path) -> None:
    """Stacked hourglasses, mean square error, one tag, weight 1e-3: here after 1,000 steps all are grouped right."""
    recipe = build_recipe(parse(["train", str(ROOT / "experiments" / "recipes" / "paper-form.yaml")])["train"])
    assert (recipe.network.backbone, recipe.network.options["stacks"], recipe.network.tag_size) == ("hourglass", 2, 1)
    assert (recipe.loss.heatmap, recipe.loss.pull, recipe.loss.push) == ("mse", 1e-3, 1e-3)
    annotations = write_synthetic_dataset(tmp_path / "data", load_skeleton("coco-17"), 16)
    source = replace(recipe.data.sources[0], annotations=str(annotations), images=str(tmp_path / "data" / "images"))
    data = replace(recipe.data, sources=[source], validation=[source])
    for steps in (1000, 1250, 1500):  # the rounding of another machine may need some steps more
        run = replace(recipe.train, steps=steps, validate_every=0, device="cpu")
        recipe = replace(recipe, output=str(tmp_path / "run"), data=data, train=run)
        train(recipe, validate=build_validation(recipe))
        last = log_of(tmp_path / "run")[-1]
        if last["keypoints_grouped_right"] >= 0.99 and last["people_grouped_right"] >= 0.94:
            return
    pytest.fail(f"after 1,500 steps: {last}")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["single-person", "mpii-single-person"])
def test_a_recipe_of_the_refinement_trains(name: str, tmp_path: Path) -> None:
    recipe = read(name)
    annotations = write_synthetic_dataset(tmp_path / "data", load_skeleton(recipe.data.skeleton), 4, size=(64, 64))
    images = str(tmp_path / "data" / "images")
    every = {"held_out": 0, "held_out_ids": None}  # else the recipe's stay
    sources = json.dumps([{"annotations": str(annotations), "images": images, **every}])
    small = '{"stacks": 2, "widths": [4, 4, 4], "stem": [4, 4, 4], "batch_norm": true}'
    settings = {"output": tmp_path / "run", "network.options": small, "data.sources": sources}
    assert train_one_step(path_of(name), {**settings, "data.validation": sources}) == 0
    assert load_model(tmp_path / "run" / "model.safetensors")[1].task.decode_config.rule == "published"


def train_one_step(path: str, settings: dict[str, object]) -> int:
    quick = {"data.input_size": 64, "data.validation_size": 64, "data.workers": 0, "train.batch": 2, "train.steps": 1}
    values = {**quick, "train.device": "cpu", **settings}
    return main(["train", path, *(f"--{name}={value}" for name, value in values.items())])


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_recipe_says_what_the_published_model_is(path: Path) -> None:
    """The same network, rules and decoding as the converted model of the authors."""
    recipe = build_recipe(parse(["train", str(path)])["train"])
    project = "mmpose" if path.stem.startswith("hrnet") else "higherhrnet"
    rules = PROJECTS[project]
    assert recipe.decode == rules.decode
    assert recipe.conventions == rules.conventions
    assert recipe.data.input_size == recipe.data.validation_size == rules.sizes.get(recipe.network.backbone, 512)
    assert recipe.data.augment.scale_of == rules.resize == "short"
    assert recipe.network.backbone == "_".join(path.stem.split("-")[:2])
    assert recipe.data.skeleton in rules.skeletons
    images = 64_115 if "coco" in path.stem else 12_000
    gpus = 8 if project == "mmpose" else 4
    epochs = recipe.train.steps * recipe.train.batch * gpus / images
    assert epochs == pytest.approx(300, abs=0.01)
    drops = [step * recipe.train.batch * gpus / images for step in recipe.train.drops]
    assert drops == pytest.approx([200, 260], abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_recipe_trains(path: Path, tmp_path: Path) -> None:
    recipe = build_recipe(parse(["train", str(path)])["train"])
    skeleton = load_skeleton(recipe.data.skeleton)
    annotations = write_synthetic_dataset(tmp_path / "data", skeleton, 4, size=(64, 96))
    sources = json.dumps([{"annotations": str(annotations), "images": str(tmp_path / "data" / "images")}])
    settings = {"output": tmp_path / "run", "network.options": "{width: 4}", "network.start": "null"}
    assert train_one_step(str(path), {**settings, "data.sources": sources, "data.validation": sources}) == 0
    info = load_model(tmp_path / "run" / "model.safetensors")[1]
    assert info.conventions == recipe.conventions
    assert load(tmp_path / "run" / "model.safetensors").flip


VOC_RECIPES = ("voc-coco", "voc")


@pytest.mark.parametrize("name", VOC_RECIPES)
def test_a_recipe_of_masks_says_what_the_paper_does(name: str) -> None:
    recipe = read(name)
    assert tuple(recipe.masks.classes) == VOC_CLASSES
    with torch.device("meta"):
        network = build_network("hourglass", 20, recipe.network.tag_size, recipe.network.options)
        maps = network(torch.empty(1, 3, 256, 256))[-1]
    assert (maps.heatmap.shape, maps.tag.shape) == ((1, 20, 64, 64), (1, 20, 1, 64, 64))
    assert (recipe.loss.pull, recipe.loss.push, recipe.loss.tags, recipe.loss.pull_reduction) == (
        1e-4,
        1e-4,
        "pixels",
        "sum",
    )
    assert (recipe.data.input_size, recipe.data.validation_scales, recipe.mask_decode.scales) == (
        256,
        (0.5, 1.0, 1.5),
        "proposals",
    )
    assert (recipe.mask_decode.regions, recipe.loss.near) == (False, 0)


def test_masks_are_taught_on_coco_then_on_voc(tmp_path: Path) -> None:
    """Both stages start, log, validate, save and go on; the second starts from all that the first learned."""
    (tmp_path / "coco").mkdir()
    annotations, images = write(tmp_path / "coco", document())
    voc = str(tree(tmp_path / "VOC2012"))
    small = {
        "network.options": '{"stacks": 2, "widths": [4, 4, 4], "stem": [4, 4, 4]}',
        "data.input_size": "64",
        "data.validation_size": "64",
        "data.workers": "0",
        "masks.object_size": "[1, 64]",
        "train.batch": "2",
        "train.log_every": "1",
        "train.validate_every": "2",
        "train.device": "cpu",
    }
    of_stage = {
        "voc-coco": ([{"annotations": annotations, "images": images, "rename": {"tree": "train"}}], {}),
        "voc": (
            [{"annotations": voc, "images": f"{voc}/JPEGImages", "split": "train"}],
            {"network.start": str(tmp_path / "voc-coco" / "model.safetensors")},
        ),
    }
    for name in VOC_RECIPES:
        sources, changes = of_stage[name]
        overrides = {
            **small,
            **changes,
            "output": str(tmp_path / name),
            "data.sources": json.dumps(sources),
            "data.validation": json.dumps(sources),
        }
        arguments = ["train", path_of(name)]
        arguments += [f"--{key}={value}" for key, value in overrides.items()]
        assert main([*arguments, "--train.steps=2"]) == 0
        assert main([*arguments, "--train.steps=4"]) == 0
        log = log_of(tmp_path / name)
        events = [(row["event"], row["step"]) for row in log]
        first = [("start", 0), ("train", 1), ("train", 2), ("validation", 2)]
        assert events == [*first, ("start", 2), ("train", 3), ("train", 4), ("validation", 4)]
    assert log[0]["fresh"] == 0
    model = str(tmp_path / "voc" / "model.safetensors")
    numbers = tmp_path / "numbers.json"
    files = ["--annotations", voc, "--split", "val", "--json", str(numbers)]
    assert main(["evaluate", "--model", model, *files]) == 0
    assert {"mAP50", "mAP70"} <= json.loads(numbers.read_text())["metrics"].keys()


def controlled_runs() -> ModuleType:
    spec = spec_from_file_location("controlled_runs", ROOT / "experiments" / "controlled_runs.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tags", "heatmaps", "refinement"])
def test_controlled_runs_differ_from_their_recipe_in_what_they_are_named_for(name: str, tmp_path: Path) -> None:
    runs = controlled_runs()
    comparison = runs.COMPARISONS[name]
    recipe = yaml.safe_load((ROOT / comparison.recipe).read_text())
    seen = []
    for variant, values in comparison.variants.items():
        file = tmp_path / f"{len(seen)}.yaml"
        file.write_text(yaml.safe_dump(runs.replaced(recipe, {**comparison.base, **values})))
        seen.append(build_recipe(parse(["train", str(file)])["train"]))
        assert seen.count(seen[-1]) == 1, f"{variant} is a run that there is already"
    assert yaml.safe_load((ROOT / comparison.recipe).read_text()) == recipe


def test_the_table_of_controlled_runs_has_a_cell_for_every_column() -> None:
    runs = controlled_runs()
    found = {"AP": 0.3, "keypoints_grouped_right": 0.9, "people_grouped_right": 0.7}
    metrics = {"predicted detections": found, "predicted detections, true tags": {"AP": 0.4}}
    train = {"pull": 0.06, "push": 0.5, "images_per_second": 7.6}
    pose = runs.row("a", {"metrics": metrics, "train": train})
    assert pose == "| a | 0.300 | 0.400 | 0.900 | 0.700 | 0.060 | 0.500 | 8 |"
    crops = runs.row("b", {"validation": {"OKS": 0.7, "PCK": 0.75}, "train": train})
    assert crops == "| b | 0.700 | 0.750 | 8 |"
    for name, cells in (("tags", pose), ("heatmaps", pose), ("refinement", crops)):
        assert all(line.count("|") == cells.count("|") for line in runs.head(name).splitlines())


def test_a_value_of_every_source_can_be_replaced() -> None:
    recipe = {"data": {"sources": [{"mosaic": 0.1}, {}]}, "train": {"seed": 3}}
    values = {"data.sources.*.mosaic": 0.0, "data.sources.1.mosaic": 0.2, "train.seed": 4}
    changed = controlled_runs().replaced(recipe, values)
    assert changed == {"data": {"sources": [{"mosaic": 0.0}, {"mosaic": 0.2}]}, "train": {"seed": 4}}
    assert recipe["train"] == {"seed": 3}
