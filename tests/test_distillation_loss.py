"""The loss of a teacher's heatmaps."""

from __future__ import annotations

import math

import pytest
import torch

from associative_embedding.losses import distillation_loss


def test_it_is_summed_over_pixels_and_averaged_over_heatmaps() -> None:
    heatmap, teacher = torch.full((1, 2, 1, 1), 0.4), torch.tensor([0.4, 0.1]).reshape(1, 2, 1, 1)
    second = 0.3**2 * -(0.1 * math.log(0.4) + 0.9 * math.log(0.6))
    assert float(distillation_loss(heatmap, teacher)) == pytest.approx(second / 2, rel=1e-5)
    large = distillation_loss(heatmap.expand(1, 2, 3, 4), teacher.expand(1, 2, 3, 4))
    assert float(large) == pytest.approx(12 * second / 2, rel=1e-5)


def test_it_is_least_and_0_where_both_are_equal_also_at_the_ends() -> None:
    teacher = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    teacher[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    assert distillation_loss(teacher, teacher).tolist() == pytest.approx([0, 0], abs=1e-5)
    heatmap = (teacher + 0.05).clamp(0, 1).requires_grad_()
    loss = distillation_loss(heatmap, teacher).sum()
    loss.backward()
    assert loss > 0
    assert heatmap.grad is not None
    assert torch.isfinite(heatmap.grad).all()
    inside = heatmap.detach() < 0.99
    assert (heatmap.grad[inside] >= 0).all()  # towards the teacher: down
