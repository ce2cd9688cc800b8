"""Image -> Instances: geometry, network, test-time scales and mirror, the task's decode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from associative_embedding.checkpoint import ModelInfo, load_model
from associative_embedding.device import choose_device
from associative_embedding.geometry import ImageGeometry, letterbox, long_side, warp
from associative_embedding.image_io import read_image
from associative_embedding.models.network import Network, enlarge, final_maps
from associative_embedding.tasks.task import Decoded
from associative_embedding.types import Array, Instances, Maps

WEIGHTS = Path(__file__).parent / "weights"
MAX_INPUT_SIDE = 4096


class Predictor:
    """A model with its task and geometry. Calling it with an image finds the people in it.

    Args:
        network: in eval mode.
        info: what the model file says.
        input_size: side of the network's input, pixels (`ModelInfo.resize` says which); None = the model's own.
        scales: of the input, for test-time averaging; heatmaps are averaged at the largest, tags stacked; None = the
            model's own.
        flip: also run the mirror image.
        tag_scales: those of the scales whose tags are stacked; None = all, as in the paper (section 3.3). The official
            code and HigherHRNet take them from scale 1 alone.
    """

    def __init__(
        self,
        network: Network,
        info: ModelInfo,
        *,
        input_size: int | None = None,
        scales: Sequence[float] | None = None,
        flip: bool = False,
        tag_scales: Sequence[float] | None = None,
    ):
        self.network, self.info = network, info
        self.task = info.task
        self.input_size = info.input_size if input_size is None else input_size
        self.scales = tuple(sorted(info.scales if scales is None else scales, reverse=True))
        self.flip = flip
        self.tag_scales = self.scales if tag_scales is None else tuple(tag_scales)
        if not self.scales or min(self.scales) <= 0 or len(set(self.scales)) != len(self.scales):
            raise ValueError(f"scales must be positive, each once, not {', '.join(map(str, self.scales))}")
        if not 32 <= self.input_size * min(self.scales) <= self.input_size * max(self.scales) <= MAX_INPUT_SIDE:
            raise ValueError(
                f"input size {self.input_size} with scales {self.scales} is not within 32..{MAX_INPUT_SIDE} pixels"
            )
        if self.network.stride % info.enlarge:
            raise ValueError(f"maps of stride {self.network.stride} cannot be enlarged {info.enlarge} times")
        if not self.tag_scales or not set(self.tag_scales) <= set(self.scales):
            raise ValueError(f"tag_scales must be some of the scales {self.scales}, not {self.tag_scales}")

    def with_decode(self, **settings: Any) -> Predictor:
        """A copy with other decode settings (see `config.DecodeConfig`).

        Raises:
            ValueError: for a setting that does not exist, or a value of another type or out of range.
        """
        config = self.task.decode_config
        known = [f.name for f in fields(config)]
        if unknown := [name for name in settings if name not in known]:
            raise ValueError(f"unknown decode setting {', '.join(unknown)}; known are {', '.join(known)}")
        try:
            decode = replace(config, **settings)
        except TypeError as error:
            given = ", ".join(f"{name}: {value!r}" for name, value in settings.items())
            raise ValueError(f"decode settings {given}: a value is of the wrong type ({error})") from None
        info = replace(self.info, task=replace(self.task, decode_config=decode))  # type: ignore[type-var]
        return Predictor(
            self.network,
            info,
            input_size=self.input_size,
            scales=self.scales,
            flip=self.flip,
            tag_scales=self.tag_scales,
        )

    @property
    def device(self) -> torch.device:
        return self.network.mean.device

    def __call__(self, source: Any, *, keep_image: bool = True) -> Instances:
        """People in one image: a path, URL, bytes, ``(H, W[, 3 or 4])`` array (RGB) or PIL image.

        All that the model's decode settings leave are returned (``decode.min_score``), unsure ones too; ``ae predict``
        shows those from `run_predict.MIN_SCORE` on: ``people[people.score >= MIN_SCORE]``.

        Args:
            keep_image: keep the picture in the result, for `Instances.draw`.

        Raises:
            ValueError: when the image cannot be read, or the network's output is not finite.
        """
        found = self.explain(source)[0].instances
        return found if keep_image else replace(found, image=None)

    def explain(self, source: Any) -> tuple[Decoded, Maps, ImageGeometry]:
        """The people in one image (which they keep), their groups, and the maps that all was read from.

        Raises:
            ValueError: as a call.
        """
        image = read_image(source)
        maps, geometry = self.maps(image)
        name = str(source) if isinstance(source, (str, Path)) else ""
        try:
            decoded = self.task.decode_groups(maps, geometry)
        except ValueError as error:
            raise ValueError(f"{name or 'image'}: {error}") from None
        return replace(decoded, instances=replace(decoded.instances, image=image, source=name)), maps, geometry

    def stream(self, sources: Iterable[Any]) -> Iterator[Instances]:
        """One image after another, lazily; memory does not grow."""
        return (self(source) for source in sources)

    @torch.inference_mode()
    def maps(self, image: Array) -> tuple[Maps, ImageGeometry]:
        """The merged maps of one image ``(H, W, 3)`` uint8 RGB, batch 1, and their geometry (the largest scale's).

        They are as large as the model wants them decoded (`ModelInfo.enlarge`).
        """
        views = [self._view(image, scale) for scale in self.scales]
        reference = views[0][1]
        heatmaps, tags = [], []
        for scale, (maps, geometry) in zip(self.scales, views, strict=True):
            maps = maps if geometry is reference else resample(maps, geometry, reference)
            heatmaps.append(maps.heatmap)
            if scale in self.tag_scales:
                tags.append(maps.tag)
        merged = Maps(torch.stack(heatmaps).mean(dim=0), torch.cat(tags, dim=2))
        factor = self.info.enlarge
        return enlarge(merged, factor), replace(reference, stride=reference.stride // factor)

    def _view(self, image: Array, scale: float) -> tuple[Maps, ImageGeometry]:
        size = (image.shape[0], image.shape[1])
        side = max(self.network.multiple, round(self.input_size * scale))
        longest = min(MAX_INPUT_SIDE, long_side(size, side, self.info.resize))
        geometry = letterbox(size, longest, multiple=self.network.multiple, stride=self.network.stride)
        x = torch.from_numpy(warp(image, geometry)).permute(2, 0, 1)[None].to(self.device)
        maps = final_maps(self.network(x))
        if self.flip:
            maps = merge_mirror(maps, final_maps(self.network(x.flip(-1))), self.task.flip_index)
        return maps, geometry


def merge_mirror(maps: Maps, mirrored: Maps, flip_index: Array) -> Maps:
    """Mean of the heatmaps, tags stacked on D. `mirrored`: of the image flipped left to right."""
    index = torch.as_tensor(flip_index, device=maps.heatmap.device)
    heatmap = mirrored.heatmap.flip(-1)[:, index]
    tag = mirrored.tag.flip(-1)[:, index]
    return Maps((maps.heatmap + heatmap) / 2, torch.cat([maps.tag, tag], dim=2))


def resample(maps: Maps, source: ImageGeometry, target: ImageGeometry) -> Maps:
    """Maps of one view of an image, sampled (bilinear) where another view's map pixels are."""
    h, w = target.map_size
    y, x = np.meshgrid(np.arange(h), np.arange(w), indexing="ij")
    xy = source.to_map(target.to_image(np.stack([x, y], axis=-1).astype(np.float64)))
    size = np.array([source.map_size[1], source.map_size[0]])
    grid = torch.from_numpy((xy + 0.5) / size * 2 - 1)[None].to(maps.heatmap)

    def sample(value: Tensor) -> Tensor:
        return F.grid_sample(value, grid, mode="bilinear", padding_mode="border", align_corners=False)

    return Maps(sample(maps.heatmap), sample(maps.tag.flatten(1, 2)).reshape(*maps.tag.shape[:3], h, w))


def model_path(name: str | Path) -> Path:
    """The file of a model: a shipped one by its name, else a path.

    Raises:
        ValueError: when it is neither.
    """
    shipped = WEIGHTS / f"{name}.safetensors"
    if "/" not in str(name) and shipped.is_file():
        return shipped
    if Path(name).is_file():
        return Path(name)
    names = ", ".join(sorted(path.stem for path in WEIGHTS.glob("*.safetensors")))
    raise ValueError(f"model {str(name)!r} is neither a shipped model ({names}) nor a file")


def load(
    model: str | Path = "person",
    *,
    device: str | torch.device = "cpu",
    input_size: int | None = None,
    scales: Sequence[float] | None = None,
    flip: bool = False,
    tag_scales: Sequence[float] | None = None,
) -> Predictor:
    """A ready predictor.

    Args:
        model: name of a shipped model, or the path of a model file.
        device: ``cpu``, ``cuda``, ``cuda:1`` ..., or ``auto`` = a GPU if there is one.
        input_size, scales, flip, tag_scales: see `Predictor`.

    Raises:
        ValueError: for a model or device that is not there, or a model that cannot be read.
    """
    network, info = load_model(model_path(model), choose_device(device))
    return Predictor(network, info, input_size=input_size, scales=scales, flip=flip, tag_scales=tag_scales)
