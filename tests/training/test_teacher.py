"""A teacher: what it sees, that its heatmaps are learned, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from associative_embedding.data.settings import SourceConfig
from associative_embedding.inference.load import load
from associative_embedding.losses import distillation_loss
from associative_embedding.model_files.export import export_model
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.single_person.task import SinglePersonTask
from associative_embedding.training.batches import build_task
from associative_embedding.training.recipe import LossConfig, Recipe, TeacherConfig
from associative_embedding.training.teacher import Teacher, build_teacher
from associative_embedding.training.train import train
from support.tiny import FIGURE, log_of, photo, tiny_model, tiny_recipe


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: str = tiny_model(tmp_path_factory.mktemp("teacher") / "teacher.safetensors", scales=(1.0, 0.5))
    return path


def taught_by(model: str, folder: Path, source: SourceConfig, **settings: Any) -> Recipe:
    recipe: Recipe = replace(tiny_recipe(folder, source), teacher=TeacherConfig(model, **settings))
    return recipe


def teacher_of(recipe: Recipe) -> Teacher:
    teacher = build_teacher(recipe, build_task(recipe), "cpu")
    assert teacher is not None
    return teacher


@pytest.mark.parametrize("flip", [False, True])
def test_it_sees_what_the_model_sees_in_each_image_of_a_batch(
    flip: bool, model: str, tmp_path: Path, source: SourceConfig
) -> None:
    teacher = teacher_of(taught_by(model, tmp_path, source, flip=flip))
    images = [photo(64, 64, seed) for seed in (1, 2)]
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    found = teacher.heatmaps(batch, [(16, 16)])[(16, 16)]
    looks = load(model, input_size=64, flip=flip)
    assert looks.scales == (1.0, 0.5)  # the model's
    for heatmap, image in zip(found, images, strict=True):
        maps, _ = looks.maps(image)
        np.testing.assert_allclose(heatmap, np.clip(maps.heatmap[0], 0, 1), atol=1e-6)
    assert not torch.allclose(found[0], found[1])


def test_a_narrow_crop_is_seen_where_it_is(tmp_path: Path, source: SourceConfig) -> None:
    """A single-person model looks at a square: the crop is the middle of it, and its heatmap the middle of the map."""
    model = tiny_model(tmp_path / "one.safetensors", task=SinglePersonTask(FIGURE), tag_size=0)
    recipe = taught_by(model, tmp_path, source)
    recipe = replace(recipe, task="single-person", network=replace(recipe.network, tag_size=0))
    narrow = photo(64, 32)
    square = np.zeros((64, 64, 3), np.uint8)
    square[:, 16:48] = narrow
    expected = load(model, input_size=64).maps(square)[0].heatmap[..., 4:12]
    batch = torch.from_numpy(narrow).permute(2, 0, 1)[None]
    heatmap = teacher_of(recipe).heatmaps(batch, [(16, 8)])[(16, 8)]
    np.testing.assert_allclose(heatmap, np.clip(expected, 0, 1), atol=1e-6)


def test_its_loss_is_the_mean_over_outputs_of_their_own_sizes(model: str, tmp_path: Path, source: SourceConfig) -> None:
    recipe = taught_by(model, tmp_path, source)
    teacher = teacher_of(replace(recipe, loss=LossConfig(heatmap="focal")))
    image = torch.from_numpy(photo(64, 64)).permute(2, 0, 1)[None]
    coarse, fine = (Maps(torch.rand(1, 5, side, side), torch.zeros(1, 5, 0, side, side)) for side in (16, 32))
    expected = [
        distillation_loss(maps.heatmap, teacher.heatmaps(image, [(side, side)])[(side, side)])
        for maps, side in ((coarse, 16), (fine, 32))
    ]
    assert float(teacher([coarse, fine], image)) == pytest.approx(float(sum(expected)) / 2)
    same = Maps(teacher.heatmaps(image, [(16, 16)])[(16, 16)], coarse.tag)
    assert float(teacher([same], image)) == pytest.approx(0, abs=1e-5)


def test_networks_without_a_sigmoid_learn_by_the_square_error(model: str, tmp_path: Path, source: SourceConfig) -> None:
    teacher = teacher_of(taught_by(model, tmp_path, source))
    image = torch.from_numpy(photo(64, 64)).permute(2, 0, 1)[None]
    below = Maps((teacher.heatmaps(image, [(16, 16)])[(16, 16)] - 2).requires_grad_(), torch.zeros(1, 5, 0, 16, 16))
    loss = teacher([below], image)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(4)
    assert (below.heatmap.grad < 0).all()  # up, also where it is below 0


def test_a_network_learns_its_heatmaps_without_labels(
    model: str, tmp_path: Path, source: SourceConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    nothing = LossConfig(heatmap_weight=0, pull=0, push=0)
    recipe = replace(taught_by(model, tmp_path, source), loss=nothing)
    train(replace(recipe, train=replace(recipe.train, steps=60, log_every=15, lr=1e-2)))
    assert "heatmaps are not taught" not in capfd.readouterr().err
    losses = [line["teacher"] for line in log_of(tmp_path / "run") if line["event"] == "train"]
    assert losses[-1] < 0.5 * losses[0]


def test_a_run_without_a_teacher_has_none_in_its_log(whole: Path) -> None:
    assert all("teacher" not in line for line in log_of(whole))


def test_a_run_says_who_teaches(
    model: str, tmp_path: Path, source: SourceConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = taught_by(model, tmp_path, source, flip=True)
    train(replace(recipe, train=replace(recipe.train, steps=1)))
    assert "ae: teacher: Predictor(pose: figure, 5 keypoints, 64 and 32 px, and mirrored" in capfd.readouterr().err


def test_a_teacher_of_something_else_or_that_is_missing_is_refused(tmp_path: Path, source: SourceConfig) -> None:
    for name, reason in (
        ("person", r"teacher: person finds nose, left_eye.*, and the recipe nose, left_shoulder"),
        (str(tmp_path / "none.safetensors"), "teacher: .*none.safetensors"),
    ):
        recipe = replace(tiny_recipe(tmp_path, source), teacher=TeacherConfig(name))
        with pytest.raises(ValueError, match=reason):
            train(recipe)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match=r"teacher\.weight must be positive"):
        TeacherConfig(weight=0)


@pytest.mark.extra
def test_a_teacher_exported_with_its_peaks_is_refused(tmp_path: Path, source: SourceConfig) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    pytest.importorskip("onnx", reason="needs the extra [onnx]")
    model = tiny_model(tmp_path / "one.safetensors")
    export_model(Path(model), str(tmp_path / "one.onnx"), "onnx", with_peaks=True)
    with pytest.raises(ValueError, match=r"teacher: .*one\.onnx was exported with its peaks and has no heatmaps"):
        teacher_of(taught_by(str(tmp_path / "one.onnx"), tmp_path, source))
