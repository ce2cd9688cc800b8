"""A teacher: a model, or one model in several views, whose heatmaps a network learns beside the labels.

The mean of several looks at an image is better than one look, and costs as many times more. A network that learns this
mean needs one look, and the teacher's heatmaps also show people whom nobody labelled.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from associative_embedding.inference.load import load
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.inference.refiner import NO_REFINER
from associative_embedding.io.console import list_briefly
from associative_embedding.losses import distillation_loss, mse_loss
from associative_embedding.structures.geometry import letterbox
from associative_embedding.structures.map_values import Values
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.multi_scale import View, merge_views, resample
from associative_embedding.tasks.task import Task
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.start_lines import names_of_types


class Teacher:
    """The merged heatmaps of a model at some sizes, with or without mirror images.

    Args:
        predictor: the model, and how it looks at an image.
        weight: factor of the loss.
        loss: heatmap, teacher's heatmap ``(B, C, h, w)`` -> ``(B,)``.
    """

    def __init__(
        self, predictor: Predictor, weight: float, loss: Callable[[Tensor, Tensor], Tensor] = distillation_loss
    ) -> None:
        self.predictor, self.weight, self.loss = predictor, weight, loss

    @torch.no_grad()
    def heatmaps(self, image: Tensor, sizes: Collection[tuple[int, int]]) -> dict[tuple[int, int], Tensor]:
        """Returns what the teacher sees in a batch ``(B, 3, H, W)`` uint8.

        Args:
            sizes: of the heatmaps, (h, w).

        Returns:
            for each size ``(B, C, h, w)`` in [0, 1].
        """
        predictor = self.predictor
        rows = image.permute(0, 2, 3, 1).cpu().numpy()
        outputs = predictor.run_network([predictor.prepare(np.ascontiguousarray(row)) for row in rows])
        views = [merge_views(predictor.rules.views(output)) for output in outputs]
        return {
            size: torch.cat([torch.as_tensor(heatmap_of_input(view, size)) for view in views])
            .to(image.device, torch.float32)
            .clamp(0, 1)
            for size in sizes
        }

    def __call__(self, outputs: Sequence[Maps], image: Tensor) -> Tensor:
        """Returns the loss, a scalar: the mean over the batch and over all outputs.

        Args:
            outputs: maps of every supervised output, in single precision.
            image: ``(B, 3, H, W)`` uint8, the batch they were predicted for.
        """
        sizes = [(maps.heatmap.shape[-2], maps.heatmap.shape[-1]) for maps in outputs]
        taught = self.heatmaps(image, set(sizes))
        pairs = zip(outputs, sizes, strict=True)
        return torch.stack([self.loss(maps.heatmap, taught[size]).mean() for maps, size in pairs]).mean()


def heatmap_of_input(view: View, size: tuple[int, int]) -> Values:
    """Returns the heatmap ``(1, C, h, w)`` of a view of a training input, on the grid of the network that learns.

    By places, not by a resize: a single-person model pads a narrow crop to a square.

    Args:
        view: maps of the whole input, and their geometry.
        size: (h, w) of the grid that covers the input.
    """
    maps, geometry = view
    height, width = geometry.image_size
    own = letterbox((height, width), max(height, width), multiple=1, stride=height // size[0])
    return resample(Maps(maps.heatmap, maps.tag[:, :, :0]), geometry, own).heatmap


def build_teacher(recipe: Recipe, task: Task, device: str) -> Teacher | None:
    """Returns the teacher of a recipe, or None.

    Args:
        task: of the network that learns; the teacher must have heatmaps of the same keypoint types or classes.
        device: where the network learns.

    Raises:
        ValueError: for a model that cannot be read or finds something else, or options that it cannot run with.
    """
    config = recipe.teacher
    if config.model is None:
        return None
    options = Options(
        input_size=config.input_size or recipe.data.input_size,
        scales=config.scales,
        flip=config.flip,
        fine_below=0,
        zoom=0.0,  # training images have been zoomed
        refine=NO_REFINER,
        device=device,
    )
    try:
        predictor = load(config.model, options)
    except ValueError as error:
        raise ValueError(f"teacher: {error}") from None
    own, taught = names_of_types(task), names_of_types(predictor.task)
    if own != taught:
        raise ValueError(f"teacher: {config.model} finds {list_briefly(taught)}, and the recipe {list_briefly(own)}")
    if predictor.network.gives_peaks:
        raise ValueError(f"teacher: {config.model} was exported with its peaks and has no heatmaps")
    return Teacher(predictor, config.weight, squared if recipe.loss.heatmap == "mse" else distillation_loss)


def squared(heatmap: Tensor, teacher: Tensor) -> Tensor:
    """Returns `mse_loss` without a mask, for networks whose heatmaps are no probabilities."""
    return mse_loss(heatmap, teacher, torch.ones_like(heatmap))


def teacher_lines(teacher: Teacher | None) -> Iterator[str]:
    """Yields what a run says of its teacher."""
    if teacher is not None:
        yield f"teacher: {teacher.predictor!r}"
