"""Image -> `Maps`: every body gets the same input normalisation and the same outputs, heatmaps and tags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from associative_embedding.structures.arrays import Array
from associative_embedding.structures.map_values import as_array
from associative_embedding.structures.maps import Maps


class Network(nn.Module):
    """A body with input normalisation before it; splits the raw outputs into heatmaps and tags.

    Args:
        body: normalised ``(B, 3, H, W)`` -> list of raw ``(B, C + C D [+ unused], H / stride, W / stride)``, one per
            supervised output. An output of C channels has heatmaps only. The body has the attributes `stride` (of the
            last output), `multiple`, `mean` and `std` (RGB in 0..255), and `strides` if its outputs differ in stride.
        channels: C, heatmap channels.
        tag_size: D, tag dimension.

    Attributes:
        stride: input pixels per pixel of the last output.
        strides: the different strides of the outputs; training needs a target for each.
        multiple: both sides of an image must be multiples of it.

    Raises:
        ValueError: for a standard deviation that is not positive.
    """

    mean: Tensor
    std: Tensor
    gives_peaks = False  # the outputs are maps; an exported network may return peaks instead

    def __init__(self, body: nn.Module, channels: int, tag_size: int):
        super().__init__()
        self.body = body
        self.channels, self.tag_size = channels, tag_size
        self.stride: int = body.stride  # type: ignore[assignment]
        self.strides: tuple[int, ...] = getattr(body, "strides", (self.stride,))
        self.multiple: int = body.multiple  # type: ignore[assignment]
        # Not persistent: the backbone's options hold these values, so a state dict would store them a second time.
        self.register_buffer("mean", torch.tensor(body.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(body.std).view(1, 3, 1, 1), persistent=False)
        if not min(body.std) > 0:  # type: ignore[type-var, arg-type]
            raise ValueError(f"std must be three positive numbers, not {body.std}")

    def forward(self, image: Tensor) -> list[Maps]:
        """Normalises the image and returns the maps of every supervised output.

        Args:
            image: ``(B, 3, H, W)`` RGB in 0..255, uint8 or float; sides are multiples of `multiple`.

        Returns:
            One `Maps` per supervised output; `final_maps` makes of them the maps to decode.

        Raises:
            ValueError: when a side of the image is not a multiple of `multiple`.
        """
        height, width = image.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(f"input sides must be multiples of {self.multiple}, not {height} x {width}")
        normal = (image.to(self.mean.dtype) - self.mean) / self.std
        # Weights are channels-last, too (checkpoint.load_model, state.build_state): no layer has to copy its input.
        return [self._split(raw) for raw in self.body(normal.contiguous(memory_format=torch.channels_last))]

    @torch.inference_mode()
    def predict(self, image: Array) -> list[Maps]:
        """Returns the maps of every supervised output, as arrays, or on a GPU as tensors that stay there.

        Args:
            image: ``(B, 3, H, W)`` uint8 RGB, as `forward`.
        """
        outputs = self(torch.from_numpy(image).to(self.device))
        if self.device.type != "cpu":
            return outputs  # type: ignore[no-any-return]
        return [Maps(as_array(maps.heatmap), as_array(maps.tag)) for maps in outputs]

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.mean.device

    def _split(self, raw: Tensor) -> Maps:
        """``(B, C + C D [+ unused], h, w)`` -> heatmap ``(B, C, h, w)`` and tag ``(B, C, D, h, w)``."""
        c = self.channels
        tag = raw[:, c : c + c * self.tag_size]
        return Maps(raw[:, :c], tag.reshape(raw.shape[0], c, tag.shape[1] // c, *raw.shape[-2:]))


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Switches a network to eval mode inside the block, and every module back to its own mode afterwards."""
    # Not `network.train()` at the end: batch norms that a recipe freezes are in eval mode during training too.
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
