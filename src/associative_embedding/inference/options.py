"""How a model runs on images: every choice of a user, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from associative_embedding.io.optional_packages import Runtime
from associative_embedding.io.reading import Reading
from associative_embedding.tasks.single_person.settings import RefineRule, RefineViews


@dataclass(frozen=True)
class Options:
    """How a model runs on images. `load` takes the fields as keyword arguments, the command line as ``--flags``.

    None stands for the value in the model file.

    Attributes:
        input_size: side of the network's input, or of a tile; ``ae info MODEL`` prints whether it is the long or the
            short side of the image.
        scales: factors of the input size. The network runs once for each; the task merges the results.
        fine_below: longer side of a small person, pixels of the input at the smallest scale. The larger scales run only
            for images where the smallest scale finds a smaller person, or nobody. 0 = all scales always; default: the
            model file's value, if `scales` and `tag_scales` are not stated. Only for models that find people; tracks
            run all scales.
        flip: also run the mirror image; default: only for models of published code that does.
        zoom: input pixels per image pixel; images larger than the input are cut into tiles. 0 = fit the whole image
            into the input size. Only models that find masks use tiles.
        tag_scales: the scales whose tags are used; default: the model file's, else all, as in the paper (section 3.3),
            but only scale 1 for models of published code, which uses no other.
        refine: single-person model that refines every person; its name or path, or "none" = no refinement.
        refine_rule: how refined keypoints replace those found; "published" = as in the paper's demo code, see
            `RefineConfig`.
        refine_views: views of each person whose heatmaps the refinement averages: one = the largest size, the quickest
            (default); sizes = every size; all = every size and its mirror image, the most accurate.
        refine_size: longer side of a person's crop in the largest view of the refinement, pixels; default: what the
            model file states for its own refiner, else the refiner's input size.
        device: auto = a GPU if there is one; or cpu, cuda, cuda:1 ...
        runtime: library that runs the network; auto = on a CPU ONNX Runtime or OpenVINO if one is installed, else
            PyTorch.
        offline: download no model: published models and those of the Hugging Face Hub must be in their caches.
        reading: which planes and channels of an image are read, and which of its values become black and white.
        decode: decode settings that replace the values in the model file, for example {threshold: 0.2};
            ``ae info MODEL`` prints all of them.
    """

    # None and not a number: a command line that states nothing must not override what a model file states.
    input_size: int | None = None
    scales: tuple[float, ...] | None = None
    fine_below: int | None = None
    flip: bool | None = None
    zoom: float | None = None
    tag_scales: tuple[float, ...] | None = None
    refine: str | None = None
    refine_rule: RefineRule | None = None
    refine_views: RefineViews | None = None
    refine_size: int | None = None
    device: str = "auto"
    runtime: Runtime = "auto"
    offline: bool = False
    reading: Reading = field(default_factory=Reading)
    decode: Mapping[str, Any] = field(default_factory=dict)
