"""Training as a whole: what a run leaves, what ends it, and that it learns a few images by heart."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import open_keypoints
from associative_embedding.inference.load import load
from associative_embedding.training.recipe import LossConfig, NetworkConfig
from associative_embedding.training.state import build_state
from associative_embedding.training.train import train
from associative_embedding.training.validation import build_validation
from support.tiny import FIGURE, STILL, log_of, tiny_data, tiny_recipe

# --- losses


# --- optimisation


def test_a_shipped_model_is_started_from_by_its_name(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, SourceConfig(images="unused"))
    settings = NetworkConfig(backbone="mobilenet_v2", tag_size=4, options={"position": 2}, start="person-fast")
    state = build_state(replace(recipe, network=settings), 17, torch.device("cpu"))
    assert state.fresh == []


def test_only_what_is_used_is_read(tmp_path: Path) -> None:
    """A file of the validation part does not matter to training; what matters is held in memory unless told not to."""
    source = replace(tiny_data(tmp_path, images=12), held_out=0.3)
    everything = set(range(1, 13))
    used = set(open_keypoints(source, FIGURE, part="train").image_ids)
    assert used < everything
    for image in everything - used:
        (Path(source.images) / f"{image:06d}.jpg").write_bytes(b"")
    cached = open_keypoints(source, FIGURE, part="train")
    lazy = open_keypoints(replace(source, cache=False), FIGURE, part="train")
    for image in used:
        (Path(source.images) / f"{image:06d}.jpg").unlink()
    assert cached[0].image.shape == (64, 64, 3)
    with pytest.raises(ValueError, match="No such file or directory"):
        lazy[0]


def test_a_share_that_takes_all_is_said(tmp_path: Path) -> None:
    source = replace(tiny_data(tmp_path, images=1), held_out=0.999)
    with pytest.raises(ValueError, match=r"no image to train on is left, held_out: 0\.999 takes all 1"):
        open_keypoints(source, FIGURE, part="train")


def test_a_run_says_what_it_does_and_where_its_results_are(
    tmp_path: Path, source: SourceConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny_recipe(tmp_path, source, steps=2, validate_every=1)
    train(recipe, validate=lambda *_: {"AP": 0.5, "AR": 1.0, "people_grouped_right": None})
    lines = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"ae: task pose, hourglass with [\d,]+ parameters, on cpu, \d threads?", lines[0])
    assert lines[1:6] == [
        "ae: 5 keypoints: nose, left_shoulder, right_shoulder, left_hip, right_hip",
        f"ae: training: {source.annotations}: 6 images, 13 individuals, 5 of 5 keypoint types labelled",
        "ae: mirrored images exchange left_shoulder - right_shoulder, left_hip - right_hip",
        "ae: 2 steps of 2 samples, 64 x 64 pixels; 6 in all, about 67% of them",
        f"ae: log, pictures and model: {tmp_path / 'run'}",
    ]
    assert lines[6:8] == [f"ae: step {step}: AP 0.500, people_grouped_right -" for step in (1, 2)]
    assert lines[8:] == [f"ae: run: curves, pictures and numbers: {tmp_path / 'run' / 'report.html'}"]


def test_advice_promises_only_what_is_there(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, source, steps=40, lr=1e30, warmup=0, log_every=5)
    with pytest.raises(ValueError, match=r"the loss is nan at step \d+; nothing was saved yet\. Lower train\.lr"):
        train(recipe)


# --- log


# --- the whole


def test_a_run_leaves_a_log_a_recipe_a_state_and_a_model(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, source, validate=True, steps=7, log_every=3, save_every=3, validate_every=6, keep=2)
    path = train(recipe, validate=build_validation(recipe))
    log = log_of(path.parent)
    assert [(e["event"], e["step"]) for e in log] == [
        ("start", 0),
        ("train", 3),
        ("train", 6),
        ("validation", 6),
        ("train", 7),
        ("validation", 7),
    ]
    assert all(math.isfinite(log[i][name]) for i in (1, 2, 4) for name in ("loss", "heatmap", "pull", "push", "lr"))
    assert {"AP", "ARL", "people_grouped_right", "PCK", "pixel_error"} <= log[-1].keys()
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "batch.jpg",
        "log.jsonl",
        "model.safetensors",
        "recipe.yaml",
        "report.html",
        "state-00000006.pt",
        "state-00000007.pt",
        "state.pt",
        "validation",
    ]
    pictures = [f"step-{step:06d}-{name}.jpg" for step in (6, 7) for name in ("found", "tags")]
    assert sorted(p.name for p in (path.parent / "validation").iterdir()) == pictures
    predictor = load(path)
    assert predictor.info.notes == {"steps": 7}
    assert predictor.task.skeleton.keypoints == ("nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip")


def test_validation_leaves_no_trace_in_the_weights(tmp_path: Path, source: SourceConfig) -> None:
    plain = train(tiny_recipe(tmp_path / "a", source, steps=4, ema=0))
    recipe = tiny_recipe(tmp_path / "b", source, validate=True, steps=4, ema=0, validate_every=2)
    checked = train(recipe, validate=build_validation(recipe))
    assert plain.read_bytes() == checked.read_bytes()


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_good_state(
    tmp_path: Path, source: SourceConfig
) -> None:
    train(tiny_recipe(tmp_path, source, steps=2))
    before = (tmp_path / "run" / "state.pt").read_bytes()
    recipe = tiny_recipe(tmp_path, source, steps=40, lr=1e30, warmup=0, clip=0, log_every=1000, save_every=5)
    with pytest.raises(ValueError, match=r"not finite at step \d+; the last checkpoint is kept"):
        train(recipe)
    assert (tmp_path / "run" / "state.pt").read_bytes() == before
    with pytest.raises(ValueError, match=r"the loss is nan at step \d+; the last checkpoint is kept"):
        train(replace(recipe, train=replace(recipe.train, log_every=5, save_every=1000)))
    assert (tmp_path / "run" / "state.pt").read_bytes() == before


def test_clipping_and_adam_change_the_result(tmp_path: Path, source: SourceConfig) -> None:
    runs = {"plain": {}, "clip": {"clip": 1e-3}, "adam": {"optimizer": "adam", "weight_decay": 0.1}}
    files = [train(tiny_recipe(tmp_path / name, source, steps=3, **s)).read_bytes() for name, s in runs.items()]
    assert len(set(files)) == 3


@pytest.mark.slow
def test_a_few_images_are_learned_by_heart(tmp_path: Path) -> None:
    """The whole chain, in under a minute on one core: figures from data to targets, losses, decode and official AP."""
    source = tiny_data(tmp_path, images=6, size=(96, 96), people=(2, 3))
    recipe = tiny_recipe(tmp_path, source, validate=True, steps=400, batch=6, lr=3e-3, warmup=20, log_every=100)
    options = {"stacks": 1, "widths": [32, 48, 64, 64], "stem": [16, 32], "batch_norm": True}
    recipe = replace(
        recipe,
        network=NetworkConfig(backbone="hourglass", options=options),
        data=replace(recipe.data, input_size=96, validation_size=96, augment=STILL),
        loss=LossConfig(heatmap_weight=100, pull=1, push=1),
    )
    train(recipe, validate=build_validation(recipe))
    numbers = log_of(tmp_path / "run")[-1]
    assert numbers["AP"] > 0.9
    assert numbers["people_grouped_right"] == 1
