"""Image -> instances: prepare -> network -> decode -> refine.

An image that is larger than a tile goes through the first three steps tile by tile.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from associative_embedding.inference.fine_scales import check_fine_below, needs_fine
from associative_embedding.inference.options import Options
from associative_embedding.inference.refiner import NO_REFINER, Refined, Refiner, unrefined
from associative_embedding.inference.rules import Output, Outputs, Rules, Sizes, rules_of
from associative_embedding.inference.tiles import stitch, windows
from associative_embedding.instances import Instances
from associative_embedding.io.console import errors_name
from associative_embedding.io.stacks import Slide
from associative_embedding.model_files.check_description import MAX_SIDE
from associative_embedding.model_files.exported_network import ExportedNetwork
from associative_embedding.model_files.model_info import ModelInfo
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.calibration import Calibration
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.map_values import mirrored
from associative_embedding.structures.maps import Peaks
from associative_embedding.structures.windows import Window
from associative_embedding.tasks.multi_scale import View, merge_views
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.published.views import tag_scales
from associative_embedding.tasks.segmentation.task import SegmentationTask
from associative_embedding.tasks.task import Decoded, Task

if TYPE_CHECKING:  # a network that ONNX Runtime runs does not wait for torch
    from associative_embedding.networks.network import Network

Inputs = list[tuple[Array, ImageGeometry]]  # an entry per scale, largest first

MAX_ZOOM = 16.0
MIN_SIDE = 32  # of the input at the smallest scale, pixels
# Share of the lowest shown score that a person needs after the first look for a second one. It leaves out half of the
# crops, and 1 % of the people who would be shown (benchmarks/second_look.py).
WORTH_A_LOOK = 0.4
OVERLAP = 0.25  # least share of a tile's side that neighbours have in common


class Pipeline:
    """A model and its settings, and the four steps from an image to instances with raw scores.

    Args:
        network: in eval mode.
        info: the description in the model file.
        options: how to run it. The options of the refiner, ``device`` and ``runtime`` are used by `load`,
            which makes the network and the refiner.
        refiner: refines every person with a single-person model; None = people stay as decoded.
        changes: fields of `Options`, which replace the fields of `options`.

    Attributes:
        input_size, scales (largest first), tag_scales, fine_below, flip, zoom: as in `Options`, None replaced by the
            model's value.
        first_task: the task of the first copy. It chooses the scales of an image, also for copies with other decode
            settings, so that they can share its maps.
        fine_stated: whether `fine_below` comes from the options, not from the model file.

    Raises:
        ValueError: for options that the model cannot run with.
    """

    def __init__(
        self,
        network: Network | ExportedNetwork,
        info: ModelInfo,
        options: Options | None = None,
        *,
        refiner: Refiner | None = None,
        **changes: Any,
    ) -> None:
        if wrong := {"refine", "refine_rule", "refine_views", "refine_size", "device", "runtime"} & changes.keys():
            raise ValueError(f"{', '.join(sorted(wrong))}: belongs to load, which makes the network and the refiner")
        options = replace(options or Options(), **changes)
        self.network, self.refiner = network, refiner
        mirror = info.conventions is not None and info.conventions.mirror and info.task.flip_index is not None
        self.flip = mirror if options.flip is None else options.flip
        self.info = replace(info, task=with_decode_settings(info.task, options.decode))
        self.input_size = info.input_size if options.input_size is None else options.input_size
        self.scales = tuple(sorted(info.scales if options.scales is None else options.scales, reverse=True))
        self.tag_scales = self._usual_tag_scales() if options.tag_scales is None else tuple(options.tag_scales)
        self.fine_below = self._usual_fine_below(options) if options.fine_below is None else options.fine_below
        self.first_task, self.fine_stated = self.info.task, options.fine_below is not None
        self.zoom = info.zoom if options.zoom is None else options.zoom
        own = options.reading.normalize
        self.reading = replace(options.reading, normalize=info.normalize if own is None else own)
        self._check()
        _ = self.rules  # they check the scales

    def _usual_tag_scales(self) -> tuple[float, ...]:
        """The scales whose tags are used if the user chooses none: the model's, as far as it runs at them."""
        if stated := tuple(scale for scale in self.info.tag_scales or () if scale in self.scales):
            return stated
        return tag_scales(self.scales) if self.info.conventions else self.scales

    def _usual_fine_below(self, options: Options) -> int:
        """The model's value if the options state no scales; stated scales all run."""
        stated = options.scales is not None or options.tag_scales is not None
        return 0 if stated else self.info.fine_below

    def _check(self) -> None:
        if self.fine_below:
            check_fine_below(self.fine_below, self.info, self.scales, self.tag_scales)
        if not 0 <= self.zoom <= MAX_ZOOM:
            raise ValueError(f"zoom must be in [0, {MAX_ZOOM}], not {self.zoom}")
        # A person across two tiles would become two people: only masks can be merged where tiles overlap.
        if self.zoom and not self.task.finds_masks:
            raise ValueError("only models that find masks work tile by tile: leave out the zoom")
        if not self.scales or min(self.scales) <= 0 or len(set(self.scales)) != len(self.scales):
            raise ValueError(f"scales must be positive, each once, not {', '.join(map(str, self.scales))}")
        if not MIN_SIDE <= self.input_size * min(self.scales) <= self.input_size * max(self.scales) <= MAX_SIDE:
            raise ValueError(
                f"input size {self.input_size} with scales {self.scales} is not within {MIN_SIDE}..{MAX_SIDE} pixels"
            )
        if self.network.stride % self.info.enlarge:
            raise ValueError(f"maps of stride {self.network.stride} cannot be enlarged {self.info.enlarge} times")
        if self.flip and self.task.flip_index is None:
            raise ValueError("the left and right keypoints of this model are not known: leave out the mirror image")
        # Peaks of several maps cannot be averaged, and the graph has returned no maps.
        if self.network.gives_peaks and (len(self.scales) > 1 or self.flip or self.info.enlarge > 1 or self.zoom):
            raise ValueError("a model exported with peaks runs at one size (--scales 1) without a mirror image")
        if self.network.gives_peaks and self.info.conventions:
            raise ValueError("a model of published code is decoded from its maps: export it without --with-peaks")
        if not self.tag_scales or not set(self.tag_scales) <= set(self.scales):
            raise ValueError(f"tag_scales must be some of the scales {self.scales}, not {self.tag_scales}")

    @property
    def rules(self) -> Rules:
        """How an image becomes input, and the network's outputs maps."""
        multiple, stride = self.network.multiple, self.network.stride
        return rules_of(self.info, Sizes(self.input_size, self.scales, self.tag_scales, self.zoom, multiple, stride))

    @property
    def task(self) -> Task:
        return self.info.task

    @property
    def device(self) -> str:
        """Where the network runs: ``cpu``, ``cuda:0`` ..."""
        return str(self.network.device)

    @property
    def names(self) -> dict[int, str]:
        """Class id -> name, of all classes that the model can find."""
        return {category["id"]: category["name"] for category in self.task.categories}

    def __repr__(self) -> str:
        """The task, what it finds, at which sizes, and what runs it."""
        names = list(self.names.values())
        what = ", ".join(names) if len(names) <= 5 else f"{len(names)} classes"
        parts = [f"{self.task.name}: {what}"]
        if not self.task.finds_masks:
            parts.append(f"{len(self.task.categories[0]['keypoints'])} keypoints")
        parts.append(" and ".join(f"{round(self.input_size * scale)}" for scale in self.scales) + " px")
        parts += [f"refined by {self.refiner.name}"] if self.refiner else []
        parts += ["and mirrored"] if self.flip else []
        return f"{type(self).__name__}({', '.join(parts)}, {type(self.network).__name__} on {self.device})"

    @property
    def settings(self) -> dict[str, Any]:
        """The options in use and the decode settings, for json."""
        return {
            "input_size": self.input_size,
            "zoom": self.zoom,
            "scales": list(self.scales),
            "tag_scales": list(self.tag_scales),
            "fine_below": self.fine_below,
            "flip": self.flip,
            "refine": self.refiner.name if self.refiner else None,
            "reading": asdict(self.reading),
            "refine_rule": self.refiner.config.rule if self.refiner else None,
            "refine_views": self.refiner.views if self.refiner else None,
            "refine_size": self.refiner.sizes[0] if self.refiner else None,
            "decode": asdict(self.task.decode_config),
        }

    def with_decode(self, **settings: Any) -> Self:
        """Returns a copy with other decode settings (`DecodeConfig`, `MaskDecodeConfig`); it shares the network.

        Raises:
            ValueError: for an unknown setting, or a value of the wrong type or out of range.
        """
        # A shallow copy: weights are shared, so a service can change a threshold for each request.
        other = copy.copy(self)
        other.info = replace(self.info, task=with_decode_settings(self.task, settings))
        return other

    def with_input_size(self, input_size: int) -> Self:
        """Returns a copy with another input size; it shares the network.

        Raises:
            ValueError: for a size out of range.
        """
        other = copy.copy(self)
        other.input_size = input_size
        other._check()
        return other

    def for_tracks(self) -> Self:
        """Returns a copy that runs all scales for every frame: tracks compare tags, which then have one length.

        Raises:
            ValueError: if `fine_below` was stated.
        """
        if self.fine_below and self.fine_stated:
            raise ValueError("fine_below: tracks compare tags of all frames, so all scales run; leave it out")
        other = copy.copy(self)
        other.fine_below = 0
        return other

    def calibration_with(self, refiner: str) -> Calibration:
        """Returns the map of raw scores to shown ones for people whom a refiner has seen (`NO_REFINER` = none).

        For a refiner that the model file does not know, its first map: raw scores would be far below `shown_score`.
        """
        maps = self.info.calibration
        return maps.get(refiner) or next(iter(maps.values()), Calibration())

    # ---- the way of one image

    def find(self, image: Array | Slide, *, min_score: float = 0.0) -> Instances:
        """Returns the instances in an image ``(H, W, 3)`` uint8 RGB or a slide, with raw scores and without a picture.

        Args:
            min_score: the caller shows nobody with a lower score, see `refine`.

        Raises:
            ValueError: when the network's output is not finite.
        """
        outputs = (self._run(self.prepare(image[tile])) for tile in self.tiles(image))
        return self.finish(image, outputs, min_score=min_score)

    def prepare(self, image: Array) -> Inputs:
        """Step 1. Resamples an image or tile ``(H, W, 3)`` uint8 RGB to the network's input, at each scale.

        Returns:
            for each scale, largest first: ``(1, 3, h, w)`` uint8, and its geometry.
        """
        return [self._input(image, scale) for scale in self.scales]

    def run_network(self, batch: Sequence[Inputs]) -> list[Outputs]:
        """Step 2. Predicts maps for several prepared images; inputs of one size run together.

        Returns:
            the outputs of each image, largest scale first: at all scales, or with `fine_below` perhaps only at the
            smallest.
        """
        outputs: list[Outputs] = [[] for _ in batch]
        rows = list(range(len(batch)))
        for number in reversed(range(len(self.scales))):
            at_scale = {i: batch[i][number] for i in rows}
            # Images keep their aspect ratio, so inputs differ in size; padding them to one size would cost more.
            for shape in {x.shape for x, _ in at_scale.values()}:
                alike = [i for i, (x, _) in at_scale.items() if x.shape == shape]
                result = self._predict(np.concatenate([at_scale[i][0] for i in alike]), self.scales[number])
                for n, i in enumerate(alike):
                    outputs[i].insert(0, (result[n : n + 1], at_scale[i][1]))
            if self.fine_below and number == len(self.scales) - 1:
                rows = [i for i in rows if self._needs_fine(outputs[i])]
        return outputs

    def _needs_fine(self, smallest: Outputs) -> bool:
        """Whether the larger scales run for an image, from its outputs at the smallest scale."""
        found, (_, geometry) = self.first_task.decode_views(self.rules.views(smallest))
        return needs_fine(found.instances, geometry, self.fine_below)

    def decode(self, outputs: Outputs) -> Decoded:
        """Step 3. Detects, groups, and returns instances in pixels of the image or tile.

        Raises:
            ValueError: when the network's output is not finite.
        """
        if self.network.gives_peaks:
            assert isinstance(self.task, PoseTask)  # the only task that is exported with peaks
            ((peaks, geometry),) = outputs
            assert isinstance(peaks, Peaks)
            return self.task.decode_peaks(peaks, geometry)
        return self.task.decode_views(self.rules.views(outputs))[0]

    def refine(self, found: Instances, image: Array, *, min_score: float = 0.0) -> Refined:
        """Step 4. Refines people by the single-person model; without a refiner all stay as they are.

        Args:
            found: the people in the image, with raw scores.
            image: ``(H, W, 3)`` uint8 RGB.
            min_score: the caller shows nobody with a lower calibrated score; 0 = everybody is refined and returned.
                Who is too doubtful after the first look, with less than `WORTH_A_LOOK` of this score, is left out.
        """
        if not self.refiner:
            return unrefined(found)
        score = self.calibration_with(NO_REFINER)(found.score)
        rows = np.flatnonzero(score >= WORTH_A_LOOK * min_score)
        refined = self.refiner(found[rows], image)
        return replace(refined, row=rows[refined.row])

    def finish(self, image: Array | Slide, outputs: Iterable[Outputs], *, min_score: float = 0.0) -> Instances:
        """Steps 3 and 4, for a whole image.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            outputs: of each of its `tiles`, in order; computed one by one if this is a generator.
            min_score: as of `find`.
        """
        return self.join(image, (self.decode(of_tile).instances for of_tile in outputs), min_score=min_score)

    def join(self, image: Array | Slide, parts: Iterable[Instances], *, min_score: float = 0.0) -> Instances:
        """Step 4, or for several tiles their union: what `decode` found -> the instances of the image.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            parts: the instances in each of its `tiles`, in order; computed one by one if this is a generator.
            min_score: as of `find`.
        """
        tiles = self.tiles(image)
        if len(tiles) == 1:
            # Models that find people do not use tiles, and only people are refined.
            assert isinstance(image, np.ndarray)  # a slide has many tiles
            return self.refine(next(iter(parts)), image, min_score=min_score).people
        assert isinstance(self.task, SegmentationTask)  # see _check
        size = (image.shape[0], image.shape[1])
        return self.task.cleaned(stitch(zip(tiles, parts, strict=True), size))

    # ---- parts of the steps

    @property
    def tile_side(self) -> int:
        """Side of a tile in image pixels; 0 = images are not cut into tiles."""
        return int(self.input_size / self.zoom) if self.zoom else 0

    def tiles(self, image: Array | Slide) -> list[Window]:
        """The windows of an image that the network gets one by one; most images are a single one."""
        size = (image.shape[0], image.shape[1])
        if not self.tile_side:
            return [(slice(0, size[0]), slice(0, size[1]))]
        grid = max(1, round(self.network.multiple / self.zoom))
        return windows(size, self.tile_side, round(OVERLAP * self.tile_side), grid)

    def maps(self, image: Array) -> View:
        """Returns the merged maps of one image ``(H, W, 3)`` uint8 RGB, batch 1, and the geometry of the largest scale.

        They have the size that the model is decoded at (`ModelInfo.enlarge`).
        """
        return merge_views(self.rules.views(self._run(self.prepare(image))))

    def _run(self, inputs: Inputs) -> Outputs:
        return self.run_network([inputs])[0]

    def _run_named(self, inputs: Inputs, name: str) -> Outputs:
        with errors_name(name):
            return self._run(inputs)

    def _input(self, image: Array, scale: float) -> tuple[Array, ImageGeometry]:
        rules = self.rules
        geometry = rules.geometry((image.shape[0], image.shape[1]), scale)
        pixels = rules.sample(image, geometry)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]), geometry

    def _predict(self, x: Array, scale: float) -> Output:
        """The network's answer for a batch ``(B, 3, h, w)`` of one scale, with that for its mirror image."""
        outputs = self.network.predict(x)
        if isinstance(outputs, Peaks):
            return outputs
        of_mirror = self.network.predict(mirrored(x)) if self.flip else ()
        assert not isinstance(of_mirror, Peaks)  # a network exported with peaks allows no mirror, see _check
        return self.rules.collect(outputs, of_mirror, scale)


def with_decode_settings(task: Task, settings: Mapping[str, Any]) -> Task:
    """Returns the task with some of its decode settings replaced.

    Raises:
        ValueError: for an unknown setting, or a value of the wrong type or out of range.
    """
    if not settings:
        return task
    known = [field.name for field in fields(task.decode_config)]
    if unknown := [str(name) for name in settings if name not in known]:
        raise ValueError(f"unknown decode setting {', '.join(unknown)}; known are {', '.join(known)}")
    try:
        return replace(task, decode_config=replace(task.decode_config, **settings))  # type: ignore[type-var]
    except TypeError as error:
        given = ", ".join(f"{name}: {value!r}" for name, value in settings.items())
        raise ValueError(f"decode settings {given}: a value is of the wrong type ({error})") from None
