"""Image -> Instances: geometry, network, test-time scales and mirror, the task's decode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from associative_embedding.inference.prefetch import ahead
from associative_embedding.inference.refiner import Refined, Refiner, unrefined
from associative_embedding.inference.tiles import stitch, windows
from associative_embedding.instances import Instances
from associative_embedding.io.images import read_image
from associative_embedding.model_files.checkpoint import ModelInfo
from associative_embedding.model_files.exported_network import ExportedNetwork
from associative_embedding.networks.network import Network, enlarge, final_maps
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.geometry import ImageGeometry, letterbox, long_side, warp
from associative_embedding.structures.maps import Maps, Peaks
from associative_embedding.tasks.multi_scale import View, merge_mirror, merge_views
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.task import Decoded

Seen = list[View] | tuple[Peaks, ImageGeometry] | None
MAX_INPUT_SIDE = 4096
MAX_ZOOM = 16.0
OVERLAP, MARGIN = 0.25, 0.0625  # of a tile's side: what neighbours share, and what is not trusted at an inner side


class Predictor:
    """A model with its task and geometry. Calling it with an image finds the people or objects in it.

    Args:
        network: in eval mode.
        info: what the model file says.
        input_size: side of the network's input (`ModelInfo.resize` says which), or of a tile if there is a zoom;
            pixels; None = the model's own.
        scales: of the input, to be seen at several sizes; what becomes of them is the task's; None = the model's own.
        flip: also run the mirror image.
        zoom: input pixels per image pixel, for images of any size; 0 = every image is fitted into the input size;
            None = the model's own.
        tag_scales: those of the scales whose tags are stacked; None = all, as in the paper (section 3.3). The official
            code and HigherHRNet take them from scale 1 alone.
        refiner: looks at everybody found a second time, or None.
    """

    def __init__(
        self,
        network: Network | ExportedNetwork,
        info: ModelInfo,
        *,
        input_size: int | None = None,
        scales: Sequence[float] | None = None,
        flip: bool = False,
        zoom: float | None = None,
        tag_scales: Sequence[float] | None = None,
        refiner: Refiner | None = None,
    ):
        self.network, self.info = network, info
        self.task = info.task
        self.input_size = info.input_size if input_size is None else input_size
        self.scales = tuple(sorted(info.scales if scales is None else scales, reverse=True))
        self.zoom = info.zoom if zoom is None else zoom
        if not 0 <= self.zoom <= MAX_ZOOM:
            raise ValueError(f"zoom must be in [0, {MAX_ZOOM}], not {self.zoom}")
        if self.zoom and not info.task.finds_masks:
            raise ValueError("only objects with masks are found tile by tile: leave out the zoom")
        self.tag_scales = self.scales if tag_scales is None else tuple(tag_scales)
        self.flip, self.refiner = flip, refiner
        if not self.scales or min(self.scales) <= 0 or len(set(self.scales)) != len(self.scales):
            raise ValueError(f"scales must be positive, each once, not {', '.join(map(str, self.scales))}")
        if not 32 <= self.input_size * min(self.scales) <= self.input_size * max(self.scales) <= MAX_INPUT_SIDE:
            raise ValueError(
                f"input size {self.input_size} with scales {self.scales} is not within 32..{MAX_INPUT_SIDE} pixels"
            )
        if self.network.stride % info.enlarge:
            raise ValueError(f"maps of stride {self.network.stride} cannot be enlarged {info.enlarge} times")
        if network.gives_peaks and (len(self.scales) > 1 or flip or info.enlarge > 1 or self.zoom):
            raise ValueError("a model exported with peaks sees one size (--scales 1) and no mirror: export it without")
        if not self.tag_scales or not set(self.tag_scales) <= set(self.scales):
            raise ValueError(f"tag_scales must be some of the scales {self.scales}, not {self.tag_scales}")

    def with_decode(self, **settings: Any) -> Predictor:
        """A copy with other decode settings (see `settings.DecodeConfig`).

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
            zoom=self.zoom,
            refiner=self.refiner,
        )

    @property
    def device(self) -> torch.device:
        return self.network.device

    def __call__(self, source: Any, *, keep_image: bool = True) -> Instances:
        """People or objects in one image: a path, URL, bytes, ``(H, W[, 3 or 4])`` array (RGB) or PIL image.

        All that the model's decode settings leave are returned (``decode.min_score``), unsure ones too; ``ae predict``
        shows those from the task's score on: ``people[people.score >= model.task.shown_score]``.

        Args:
            keep_image: keep the picture in the result, for `Instances.draw`.

        Raises:
            ValueError: when the image cannot be read, or the network's output is not finite.
        """
        image, name = read_image(source), name_of(source)
        found = self._find(image, name, self._look(image, name))
        return replace(found, image=image if keep_image else None, source=name)

    def explain(self, source: Any) -> tuple[Decoded, Maps, ImageGeometry]:
        """What was found in one image (which it keeps), the groups, and the maps that all was read from.

        Raises:
            ValueError: as a call; and for an image that takes several tiles, as their tags have nothing in common.
        """
        image = read_image(source)
        name = name_of(source)
        if (tile := self.tile(image)) is not None:
            raise ValueError(f"{name or 'image'}: larger than a tile of {tile} pixels, so its tags cannot be shown")
        seen = self._look(image, name)
        if not isinstance(seen, list):
            raise ValueError("a model exported with peaks has no maps of tags to show")
        decoded, (maps, geometry) = self._decode(image, name, seen)
        return replace(decoded, instances=replace(decoded.instances, image=image, source=name)), maps, geometry

    def tile(self, image: Array) -> int | None:
        """The side of the tiles, in image pixels, that an image must be cut into; None = it is seen as a whole."""
        side = int(self.input_size / self.zoom) if self.zoom else 0
        return side if side and max(image.shape[:2]) > side else None

    def find(self, image: Array, seen: Seen) -> Instances:
        """What was found in an image ``(H, W, 3)`` uint8 RGB, by what `look_at_all` gave; keeps no image.

        Raises:
            ValueError: when the network's output is not finite.
        """
        return self._find(image, "", seen)

    @torch.inference_mode()
    def look_at_all(self, images: Sequence[Array]) -> list[Seen]:
        """What the network says of several images ``(H, W, 3)`` uint8 RGB; those of one input size make one batch."""
        whole = [i for i, image in enumerate(images) if self.tile(image) is None]
        if self.network.gives_peaks or self.info.enlarge != 1:
            return [self._look(image, "") for image in images]
        views: dict[int, list[View]] = {i: [] for i in whole}
        for scale in self.scales:
            inputs = {i: self._input(images[i], scale) for i in whole}
            for shape in {x.shape for x, _ in inputs.values()}:
                rows = [i for i in whole if inputs[i][0].shape == shape]
                maps = self._seen_at(torch.cat([inputs[i][0] for i in rows]), scale)
                for n, i in enumerate(rows):
                    views[i].append((maps[n : n + 1], inputs[i][1]))
        return [views.get(i) for i in range(len(images))]

    def _look(self, image: Array, name: str) -> Seen:
        """What the network says of an image: its maps or peaks; None: it takes several tiles, one by one."""
        if self.tile(image) is not None:
            return None
        if self.network.gives_peaks:
            return self._peaks(image)
        try:
            return self.views(image) if self.info.enlarge == 1 else [self.maps(image)]
        except ValueError as error:
            raise ValueError(f"{name or 'image'}: {error}") from None

    def _peaks(self, image: Array) -> tuple[Peaks, ImageGeometry]:
        x, geometry = self._input(image, self.scales[0])
        found = self.network(x)
        assert isinstance(found, Peaks)
        return found, geometry

    def _find(self, image: Array, name: str, seen: Seen) -> Instances:
        """What was found in one image, by what `_look` gave."""
        if isinstance(seen, list):
            return self._decode(image, name, seen)[0].instances
        if seen is not None:
            assert isinstance(self.task, PoseTask)
            try:
                return self.refine(self.task.decode_peaks(*seen).instances, image).people
            except ValueError as error:
                raise ValueError(f"{name or 'image'}: {error}") from None
        size, tile = (image.shape[0], image.shape[1]), self.tile(image) or 0
        places = windows(size, tile, round(OVERLAP * tile))
        parts = ((place, self._find(image[place], name, self._look(image[place], name))) for place in places)
        return stitch(parts, size, round(MARGIN * tile))

    def _decode(self, image: Array, name: str, views: Sequence[View]) -> tuple[Decoded, View]:
        try:
            decoded, view = self.task.decode_views(views)
            refined = self.refine(decoded.instances, image)
        except ValueError as error:
            raise ValueError(f"{name or 'image'}: {error}") from None
        return replace(decoded, instances=refined.people, group=decoded.group[refined.row]), view

    def refine(self, found: Instances, image: Array) -> Refined:
        """The people of one image ``(H, W, 3)`` uint8 RGB after the refiner's second look, if there is one."""
        return self.refiner(found, image) if self.refiner else unrefined(found)

    def stream(self, sources: Iterable[Any], *, keep_image: bool = True) -> Iterator[Instances]:
        """One image after another, in order; memory does not grow.

        One thread reads the next images and one runs the network on them, while this one groups what was seen before.

        Raises:
            ValueError: as a call, in place of the first image that has a fault.
        """
        images = ahead((read_image(source), name_of(source)) for source in sources)
        seen = ahead((image, name, self._look(image, name)) for image, name in images)
        for image, name, views in seen:
            yield replace(self._find(image, name, views), image=image if keep_image else None, source=name)

    def maps(self, image: Array) -> View:
        """The merged maps of one image ``(H, W, 3)`` uint8 RGB, batch 1, and their geometry (the largest scale's).

        They are as large as the model wants them decoded (`ModelInfo.enlarge`).
        """
        merged, geometry = merge_views(self.views(image))
        factor = self.info.enlarge
        return enlarge(merged, factor), replace(geometry, stride=geometry.stride // factor)

    @torch.inference_mode()
    def views(self, image: Array) -> list[View]:
        """The maps of one image ``(H, W, 3)`` uint8 RGB, batch 1, and their geometry at each scale, largest first."""
        return [self._view(image, scale) for scale in self.scales]

    def _input(self, image: Array, scale: float) -> tuple[torch.Tensor, ImageGeometry]:
        """An image as the network's input at a scale, batch 1."""
        size = (image.shape[0], image.shape[1])
        if self.zoom:
            longest = max(self.network.multiple, round(self.zoom * max(size) * scale))
        else:
            side = max(self.network.multiple, round(self.input_size * scale))
            longest = min(MAX_INPUT_SIDE, long_side(size, side, self.info.resize))
        geometry = letterbox(size, longest, multiple=self.network.multiple, stride=self.network.stride)
        return torch.from_numpy(warp(image, geometry)).permute(2, 0, 1)[None].to(self.device), geometry

    def _view(self, image: Array, scale: float) -> View:
        x, geometry = self._input(image, scale)
        return self._seen_at(x, scale), geometry

    def _seen_at(self, x: torch.Tensor, scale: float) -> Maps:
        """The maps of a batch of inputs of one scale, merged with those of the mirror image if there is to be one."""
        maps = self._maps_of(x)
        if self.flip:
            maps = merge_mirror(maps, self._maps_of(x.flip(-1)), self.task.flip_index)
        return maps if scale in self.tag_scales else Maps(maps.heatmap, maps.tag[:, :, :0])

    def _maps_of(self, x: torch.Tensor) -> Maps:
        outputs = self.network(x)
        if isinstance(outputs, Peaks):
            raise ValueError("a model exported with peaks has no maps")
        return final_maps(outputs)


def name_of(source: Any) -> str:
    return str(source) if isinstance(source, (str, Path)) else ""
