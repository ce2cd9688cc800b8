"""How a model runs on images: every choice of a user, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from associative_embedding.io.optional_packages import Runtime


@dataclass(frozen=True)
class Options:
    """How a model runs on images. `load` takes the fields as keyword arguments, the command line as ``--flags``.

    None stands for the value in the model file.

    Attributes:
        input_size: side of the network's input in pixels (`ModelInfo.resize` states which side), or of a tile.
        scales: factors of the input size. The network runs once for each; the task merges the results.
        flip: also run the mirror image.
        zoom: input pixels per image pixel, for images of any size, cut into tiles; 0 = fit the whole image into the
            input size. Only models that find masks use tiles.
        tag_scales: the scales whose tags are used; default: all of them, as in the paper (section 3.3). The published
            code of the paper and HigherHRNet use scale 1 alone.
        refine: name or path of the single-person model that refines every person; "none" = no second look.
        device: cpu, cuda, cuda:1 ..., or auto = a GPU if there is one.
        runtime: what runs the network; auto = on a CPU ONNX Runtime or OpenVINO where installed, else PyTorch.
        decode: decode settings that replace the values in the model file, {threshold: 0.2}.
    """

    input_size: int | None = None
    scales: tuple[float, ...] | None = None
    flip: bool = False
    zoom: float | None = None
    tag_scales: tuple[float, ...] | None = None
    refine: str | None = None
    device: str = "cpu"
    runtime: Runtime = "auto"
    decode: Mapping[str, Any] = field(default_factory=dict)
