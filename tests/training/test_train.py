"""The loop's parts, each against what its docstring says, and the whole: a few images are learned by heart."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from associative_embedding.data.settings import SourceConfig
from associative_embedding.data.sources import open_source
from associative_embedding.inference.load import load
from associative_embedding.losses import focal_loss, mse_loss, tag_loss
from associative_embedding.structures.maps import Maps, TagSamples, Target
from associative_embedding.training import optimizer as optimisation
from associative_embedding.training.criterion import criterion
from associative_embedding.training.log import Journal, Meter
from associative_embedding.training.optimizer import learning_rate, parameter_groups, update_average
from associative_embedding.training.recipe import LossConfig, NetworkConfig, TrainConfig
from associative_embedding.training.state import build_state
from associative_embedding.training.train import train
from associative_embedding.training.validation import build_validation
from support.tiny import FIGURE, STILL, log_of, tiny_data, tiny_recipe

# --- losses


def batch() -> tuple[list[Maps], Target]:
    generator = torch.Generator().manual_seed(0)
    outputs = [
        Maps(torch.rand(2, 3, 4, 4, generator=generator), torch.randn(2, 3, 1, 4, 4, generator=generator))
        for _ in range(2)
    ]
    columns = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 2, 3, 0], [0, 2, 2, 2, 1], [1, 1, 0, 0, 2]]).T
    samples = TagSamples(*columns, groups=torch.tensor([0, 0, 1]))
    return outputs, Target(torch.rand(2, 3, 4, 4, generator=generator), torch.ones(2, 3, 4, 4), samples)


def test_the_loss_is_the_mean_over_outputs_and_batch() -> None:
    outputs, target = batch()
    config = LossConfig(heatmap_weight=3, pull=0.5, push=0.25)
    total, terms = criterion(outputs, [target], config, step=0)
    heatmap = sum(mse_loss(m.heatmap, target.heatmap, target.valid).mean() for m in outputs) / 2
    pull, push = (sum(tag_loss(m.tag, target.samples)[i].mean() for m in outputs) / 2 for i in (0, 1))
    assert terms["heatmap"] == pytest.approx(float(heatmap))
    assert terms["pull"] == pytest.approx(float(pull))
    assert terms["push"] == pytest.approx(float(push))
    assert total == pytest.approx(float(3 * heatmap + 0.5 * pull + 0.25 * push))


def test_every_output_has_the_target_of_its_size() -> None:
    """A second output of twice the size without tags, as HigherHRNet has."""
    (coarse, _), target = batch()
    fine = Maps(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 0, 8, 8))
    large = replace(target, heatmap=torch.rand(2, 3, 8, 8), valid=torch.ones(2, 3, 8, 8))
    _, terms = criterion([coarse, fine], [large, target], LossConfig(), step=0)
    heatmap = [mse_loss(m.heatmap, t.heatmap, t.valid).mean() for m, t in ((coarse, target), (fine, large))]
    pull, push = (value.mean() for value in tag_loss(coarse.tag, target.samples))
    assert terms["heatmap"] == pytest.approx(float(sum(heatmap) / 2))
    assert terms["pull"] == pytest.approx(float(pull))
    assert terms["push"] == pytest.approx(float(push))


def test_every_output_is_taught() -> None:
    outputs, target = batch()
    leaves = [Maps(m.heatmap.requires_grad_(), m.tag.requires_grad_()) for m in outputs]
    criterion(leaves, [target], LossConfig(pull=1, push=1), step=0)[0].backward()
    assert all(bool((m.heatmap.grad.abs().sum() > 0) & (m.tag.grad.abs().sum() > 0)) for m in leaves)


def test_masked_pixels_do_not_count() -> None:
    outputs, target = batch()
    outputs = [Maps(m.heatmap.requires_grad_(), m.tag) for m in outputs]
    target.valid[:, 1] = 0
    criterion(outputs, [target], LossConfig(), step=0)[0].backward()
    assert (outputs[0].heatmap.grad[:, 1] == 0).all()
    assert (outputs[0].heatmap.grad[:, 0] != 0).all()


def test_focal_and_pull_warmup_are_settings_that_work() -> None:
    outputs, target = batch()
    _, terms = criterion(outputs, [target], LossConfig(heatmap="focal"), step=0)
    expected = sum(focal_loss(m.heatmap, target.heatmap, target.valid).mean() for m in outputs) / 2
    assert terms["heatmap"] == pytest.approx(float(expected))
    config = LossConfig(heatmap_weight=0, push=0, pull=1, pull_warmup=10)
    totals = [float(criterion(outputs, [target], config, step)[0]) for step in (0, 5, 10, 20)]
    assert totals == pytest.approx([0, totals[2] / 2, totals[2], totals[2]])
    assert totals[2] > 0


# --- optimisation


def test_learning_rate_warms_up_and_follows_its_schedule() -> None:
    config = TrainConfig(steps=100, lr=1.0, warmup=10, lr_end=0.1)
    assert learning_rate(replace(config, schedule="constant"), 0) == pytest.approx(0.1)
    assert learning_rate(replace(config, schedule="constant"), 9) == learning_rate(
        replace(config, schedule="constant"), 99
    )
    cosine = [learning_rate(config, step) for step in (50, 100)]
    assert cosine == pytest.approx([0.55, 0.1])
    steps = replace(config, schedule="step", drops=(20, 40), warmup=0)
    assert [learning_rate(steps, s) for s in (19, 20, 40)] == pytest.approx([1, 0.1, 0.01])
    assert [learning_rate(replace(steps, drop_factor=0.5), s) for s in (19, 20, 40)] == [1, 0.5, 0.25]


def body() -> nn.Module:
    return nn.ModuleDict({"encoder": nn.Conv2d(3, 4, 1), "head": nn.Conv2d(4, 2, 1)})


def test_parameters_have_their_own_rate_and_decay() -> None:
    module = body()
    config = TrainConfig(lr=1.0, lr_factors={"encoder": 0.1}, weight_decay=0.5)
    optimizer = optimisation.build_optimizer(module, config, ())
    optimisation.set_learning_rate(optimizer, 0.2)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert found[id(module["encoder"].weight)] == pytest.approx((0.02, 0.5))
    assert found[id(module["encoder"].bias)] == pytest.approx((0.02, 0))
    assert found[id(module["head"].weight)] == pytest.approx((0.2, 0.5))


def test_frozen_parameters_do_not_learn() -> None:
    module = body()
    groups = parameter_groups(module, TrainConfig(), ("encoder.weight",))
    assert not module["encoder"].weight.requires_grad
    assert sum(len(g["params"]) for g in groups) == 3


def test_frozen_norms_keep_their_statistics(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, source, validate=True, steps=4, ema=0, validate_every=2)
    network = replace(recipe.network, options={**recipe.network.options, "batch_norm": True}, frozen=("stem",))
    path = train(replace(recipe, network=network), validate=build_validation(recipe))
    means = {n: v for n, v in load(path).network.state_dict().items() if n.endswith("running_mean")}
    assert {bool(v.any()) for n, v in means.items() if n.startswith("body.stem")} == {False}
    assert {bool(v.any()) for n, v in means.items() if not n.startswith("body.stem")} == {True}


def test_a_shipped_model_is_started_from_by_its_name(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, SourceConfig(images="unused"))
    settings = NetworkConfig(backbone="mobilenet_v2", tag_size=4, options={"position": 2}, start="person-fast")
    state = build_state(replace(recipe, network=settings), 17, torch.device("cpu"))
    assert state.fresh == []


def test_only_what_is_used_is_read(tmp_path: Path) -> None:
    """A file of the validation part does not matter to training; what matters is held in memory unless told not to."""
    source = replace(tiny_data(tmp_path, images=12), held_out=0.3)
    everything = set(range(1, 13))
    used = set(open_source(source, FIGURE, part="train").image_ids)
    assert used < everything
    for image in everything - used:
        (Path(source.images) / f"{image:06d}.jpg").write_bytes(b"")
    cached = open_source(source, FIGURE, part="train")
    lazy = open_source(replace(source, cache=False), FIGURE, part="train")
    for image in used:
        (Path(source.images) / f"{image:06d}.jpg").unlink()
    assert cached[0].image.shape == (64, 64, 3)
    with pytest.raises(ValueError, match="cannot read the image"):
        lazy[0]


def test_a_share_that_takes_all_is_said(tmp_path: Path) -> None:
    source = replace(tiny_data(tmp_path, images=1), held_out=0.999)
    with pytest.raises(ValueError, match=r"no image to train on is left, held_out: 0\.999 takes all 1"):
        open_source(source, FIGURE, part="train")


def test_a_run_without_a_progress_bar_says_where_its_log_is(
    tmp_path: Path, source: SourceConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny_recipe(tmp_path, source, steps=2, validate_every=1)
    train(recipe, validate=lambda *_: {"AP": 0.5, "AR": 1.0, "people_grouped_right": None})
    first, *others = capfd.readouterr().err.splitlines()
    assert str(tmp_path / "run" / "log.jsonl") in first
    assert others == [f"ae: step {step}: AP 0.500, people_grouped_right None" for step in (1, 2)]


def test_advice_promises_only_what_is_there(tmp_path: Path, source: SourceConfig) -> None:
    recipe = tiny_recipe(tmp_path, source, steps=40, lr=1e30, warmup=0, log_every=5)
    with pytest.raises(ValueError, match=r"the loss is nan at step \d+; nothing was saved yet\. Lower train\.lr"):
        train(recipe)


@pytest.mark.parametrize(
    ("frozen", "factors", "message"),
    [
        (("encodr",), {}, "no parameter .*'encodr'; there are encoder, head"),
        ((), {"tail": 1.0}, "'tail'"),
        (("encoder", "head"), {}, "every parameter"),
    ],
)
def test_prefixes_that_match_nothing_are_refused(frozen: tuple[str, ...], factors: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parameter_groups(body(), TrainConfig(lr_factors=factors), frozen)


def test_the_average_forgets_the_start_and_follows_the_weights() -> None:
    average, network = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    with torch.no_grad():
        average.weight.fill_(0), network.weight.fill_(1)
    network.num_batches_tracked.fill_(7)
    update_average(average, network, 0.9, step=0)
    assert float(average.weight.detach()) == pytest.approx(0.9)  # decay (1 + 0) / (10 + 0)
    update_average(average, network, 0.9, step=10**6)
    assert float(average.weight.detach()) == pytest.approx(0.91)
    assert int(average.num_batches_tracked) == 7


# --- log


def test_the_meter_gives_means_and_starts_anew() -> None:
    meter = Meter()
    for value in (1.0, 2.0, 6.0):
        meter.add(4, {"loss": torch.tensor(value)})
    log = meter.take()
    assert log["loss"] == 3
    assert log["images_per_second"] > 0
    meter.add(4, {"loss": torch.tensor(5.0)})
    assert meter.take()["loss"] == 5


def test_the_meter_does_not_count_pauses() -> None:
    meter = Meter()
    meter.add(100, {"loss": torch.tensor(1.0)})
    with meter.paused():
        time.sleep(0.5)
    assert meter.take()["images_per_second"] > 100 / 0.5


def test_the_journal_is_one_json_object_a_line(tmp_path: Path) -> None:
    Journal(tmp_path / "new", silent=True).write("train", 1, {"loss": 1.0})
    assert not (tmp_path / "new").exists()
    journal = Journal(tmp_path / "new")
    journal.write("train", 1, {"loss": 1.0})
    journal.write("train", 2, {"loss": None})
    assert [(e["event"], e["step"], e["loss"]) for e in log_of(tmp_path / "new")] == [
        ("train", 1, 1.0),
        ("train", 2, None),
    ]


def test_tensorboard_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"pip install 'associative-embedding\[tensorboard\]'"):
        Journal(tmp_path, tensorboard=True)


def test_tensorboard_gets_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            seen.append((name, value, step))

        def flush(self) -> None:
            pass

    module = type(sys)("tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    Journal(tmp_path, tensorboard=True).write("train", 3, {"loss": 0.5, "device": "cpu"})
    assert seen == [("train/loss", 0.5, 3)]


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
    assert {"AP", "ARL", "people_grouped_right"} <= log[-1].keys()
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "log.jsonl",
        "model.safetensors",
        "recipe.yaml",
        "state-00000006.pt",
        "state-00000007.pt",
        "state.pt",
    ]
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
