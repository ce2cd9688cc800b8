"""How an image becomes the input of a network, and the outputs of the network become maps: two sets of rules.

`OwnRules` are those of the models that this project trains; `PublishedRules` those of the code that a published model
comes from, stated in its file (`Conventions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from associative_embedding.model_files.check_description import MAX_SIDE
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, centred, letterbox, long_side, round_up, warp
from associative_embedding.structures.maps import Maps, Peaks, enlarge, final_maps
from associative_embedding.tasks.multi_scale import View, merge_mirror, merge_views
from associative_embedding.tasks.published import views as published
from associative_embedding.tasks.published.conventions import Conventions
from associative_embedding.tasks.published.geometry import check_scales, input_geometry, sample
from associative_embedding.tasks.single_person.task import SinglePersonTask

# Of one scale. A network that was exported with peaks gives `Peaks` in place of `Maps`, one with the conventions of
# published code all outputs that count, not merged yet.
Output = Maps | Peaks | published.Outputs
Outputs = list[tuple[Output, ImageGeometry]]  # an entry per scale, largest first


@dataclass(frozen=True)
class Sizes:
    """At which sizes a network runs.

    Attributes:
        input_size, scales (largest first), tag_scales, zoom: as in `Options`.
        multiple: both sides of the network's input are multiples of it.
        stride: input pixels per map pixel.
    """

    input_size: int
    scales: tuple[float, ...]
    tag_scales: tuple[float, ...]
    zoom: float
    multiple: int
    stride: int


@dataclass(frozen=True)
class OwnRules:
    """The rules of the models that this project trains."""

    info: ModelInfo
    sizes: Sizes

    def geometry(self, size: tuple[int, int], scale: float) -> ImageGeometry:
        """Returns the geometry of an image or tile of `size` (H, W) at one scale."""
        multiple, stride = self.sizes.multiple, self.sizes.stride
        side, task = max(multiple, round(self.sizes.input_size * scale)), self.info.task
        if isinstance(task, SinglePersonTask):
            # The whole image is taken for a square crop with the person in the middle; no crop is wider than that.
            square = round_up(side, multiple)
            longest = max(*size, task.decode_config.min_size)
            return centred(size, (square, square), stride=stride, scale=square / longest)
        if self.sizes.zoom:
            side = max(multiple, round(self.sizes.zoom * max(size) * scale))
            return letterbox(size, side, multiple=multiple, stride=stride)
        # A strip of 100 x 100,000 pixels, whose short side is fitted, would otherwise take all memory.
        longest = min(MAX_SIDE, long_side(size, side, self.info.resize))
        return letterbox(size, longest, multiple=multiple, stride=stride)

    def sample(self, image: Array, geometry: ImageGeometry) -> Array:
        """Returns the network's input ``(H, W, 3)`` uint8."""
        return warp(image, geometry)

    def collect(self, outputs: Sequence[Maps], mirrored: Sequence[Maps], scale: float) -> Output:
        """Merges the outputs for a batch of one scale with those for its mirror image, if there are any."""
        maps = final_maps(outputs)
        if mirrored:
            assert self.info.task.flip_index is not None  # see Predictor._check
            maps = merge_mirror(maps, final_maps(mirrored), self.info.task.flip_index)
        # Heatmaps of all scales are averaged, but tags of small inputs are coarse and may be left out.
        return maps if scale in self.sizes.tag_scales else Maps(maps.heatmap, maps.tag[:, :, :0])

    def views(self, outputs: Outputs) -> list[View]:
        """Returns the maps as the task decodes them: at each scale, or merged and enlarged where the model asks so."""
        views = [(maps, geometry) for maps, geometry in outputs if isinstance(maps, Maps)]
        if len(views) < len(outputs):
            raise ValueError("a model exported with peaks has no maps")
        factor = self.info.enlarge
        if factor == 1:
            return views
        maps, geometry = merge_views(views)
        return [(enlarge(maps, factor), replace(geometry, stride=geometry.stride // factor))]


@dataclass(frozen=True)
class PublishedRules:
    """The rules of the code that a published model comes from.

    Raises:
        ValueError: for scales at which its network cannot run.
    """

    info: ModelInfo
    sizes: Sizes

    def __post_init__(self) -> None:
        check_scales(self.sizes.scales, self.sizes.multiple, self.conventions)

    @property
    def conventions(self) -> Conventions:
        assert self.info.conventions is not None  # see `rules_of`
        return self.info.conventions

    def geometry(self, size: tuple[int, int], scale: float) -> ImageGeometry:
        """As `OwnRules.geometry`."""
        smallest = min(self.sizes.scales)
        return input_geometry(size, self.sizes.input_size, self.conventions, scale=scale, smallest=smallest)

    def sample(self, image: Array, geometry: ImageGeometry) -> Array:
        """As `OwnRules.sample`."""
        return sample(image, geometry)

    def collect(self, outputs: Sequence[Maps], mirrored: Sequence[Maps], scale: float) -> Output:
        """Keeps the outputs that count; they are merged with those of the other scales."""
        return published.collect(outputs, mirrored, self.info.task.flip_index)

    def views(self, outputs: Outputs) -> list[View]:
        """Returns the maps of all scales, merged."""
        with_tags = [scale in self.sizes.tag_scales for scale in self.sizes.scales]
        all_outputs = [output for output, _ in outputs if isinstance(output, published.Outputs)]
        # The size of the maps is the input's at scale 1, also if no scale is 1.
        base = self.geometry(outputs[0][1].image_size, 1.0)
        return [published.merge(all_outputs, with_tags, base, self.conventions)]


Rules = OwnRules | PublishedRules


def rules_of(info: ModelInfo, sizes: Sizes) -> Rules:
    """Returns the rules of a model at some sizes.

    Raises:
        ValueError: see `PublishedRules`.
    """
    return PublishedRules(info, sizes) if info.conventions else OwnRules(info, sizes)
