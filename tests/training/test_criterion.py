"""The loss of a batch: means over outputs, targets of their size, masks, and the settings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from associative_embedding.losses import focal_loss, mse_loss, tag_loss
from associative_embedding.structures.maps import Maps, TagSamples, Target
from associative_embedding.training.criterion import criterion
from associative_embedding.training.recipe import LossConfig


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
