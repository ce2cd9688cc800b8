"""What users call: an image, many images or a video -> instances with shown scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, overload

import numpy as np

from associative_embedding.inference.pipeline import Pipeline
from associative_embedding.inference.prefetch import ahead
from associative_embedding.inference.refiner import NO_REFINER
from associative_embedding.inference.reported import reported
from associative_embedding.inference.sources import check_image, check_min_score, images_of, video_of
from associative_embedding.inference.video import find_in_video
from associative_embedding.instances import Instances
from associative_embedding.io.console import errors_name
from associative_embedding.io.images import OpenImage, open_image, read_image
from associative_embedding.io.stacks import Slide
from associative_embedding.io.stored_values import stored_values
from associative_embedding.io.videos import Clip, Frame, open_video
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.calibration import Calibration
from associative_embedding.structures.geometry import ImageGeometry
from associative_embedding.structures.maps import Maps
from associative_embedding.tasks.task import Decoded
from associative_embedding.tasks.tracking.smoothing import Smoother
from associative_embedding.tasks.tracking.task import link_config
from associative_embedding.tasks.tracking.tracker import Tracker


class Predictor(Pipeline):
    """A model, ready to run. Calling it with an image finds the people or objects in it.

    Arguments, attributes and errors: see `Pipeline`.
    """

    @overload
    def __call__(
        self,
        source: list[Any] | tuple[Any, ...],
        *,
        min_score: float | None = None,
        keep_image: bool = True,
        **reading: Any,
    ) -> list[Instances]: ...

    @overload
    def __call__(
        self, source: Any, *, min_score: float | None = None, keep_image: bool = True, **reading: Any
    ) -> Instances: ...

    def __call__(
        self, source: Any, *, min_score: float | None = None, keep_image: bool = True, **reading: Any
    ) -> Instances | list[Instances]:
        """Finds the people or objects in one image: a path, URL, bytes, ``(H, W[, 3 or 4])`` array (RGB) or PIL image.

            cells = model("stack.tif", channel=2, project="max")

        A list of images gives a list of results. A single-person model takes the whole image for one person. Of an
        image of several planes the first picture is read, see `Reading`; `stream` gives all. A slide of any size is
        read by windows, if the model works tile by tile.

        Args:
            min_score: lowest score of an instance, in [0, 1]; None = the task's `shown_score`, as in the commands and
                the service; 0 = all, also doubtful ones.
            keep_image: keep the picture in the result, for `Instances.draw`; slides are not kept.
            reading: fields of `Reading`, which replace those of the model's options.

        Raises:
            ValueError: when the image cannot be read, or the network's output is not finite.
        """
        if isinstance(source, (list, tuple)):
            return list(self.stream(source, min_score=min_score, keep_image=keep_image, **reading))
        check_image(source)
        opened = self.open(source, **reading)
        opened.say(first=True)
        return self.result(opened, 0, name_of(source), min_score=min_score, keep_image=keep_image)

    def result(
        self, opened: OpenImage, number: int, name: str, *, min_score: float | None = None, keep_image: bool = True
    ) -> Instances:
        """Finds the people or objects in one picture of an opened image.

        Args:
            opened: see `open`.
            number: of the picture, from 0.
            name: of the image, for the result.
            min_score, keep_image: as for a call.

        Raises:
            ValueError: as a call.
        """
        image, least = opened[number], self.least(min_score)
        with errors_name(name):  # `open_image` names the image itself
            found = self.shown(self.find(image, min_score=least), least)
        return told(found, opened, number, name, image if keep_image else None)

    def open(self, source: Any, **reading: Any) -> OpenImage:
        """Opens an image as a call reads it; its pictures are decoded one by one.

        Args:
            source, reading: as for a call.

        Raises:
            ValueError: as a call.
        """
        return open_image(source, replace(self.reading, **reading), windows=bool(self.tile_side))

    @property
    def calibration(self) -> Calibration:
        """The map of raw scores to shown ones for the refiner in use, see `calibration_with`."""
        # By the published rule the refiner leaves scores as they are.
        refiner = self.refiner
        return self.calibration_with(refiner.name if refiner and refiner.config.rule == "agreement" else NO_REFINER)

    def least(self, min_score: float | None) -> float:
        """Returns the lowest score of what is shown: `min_score`, or for None the task's `shown_score`."""
        check_min_score(min_score)
        return self.task.shown_score if min_score is None else min_score

    def shown(self, found: Instances, min_score: float | None = None) -> Instances:
        """Returns what a user sees: calibrated scores, the keypoints of `reported`, and those with at least a score.

        Args:
            found: with raw scores, see `find`.
            min_score: calibrated; None = the task's `shown_score`; 0 = all, also who was found twice.
        """
        least = self.least(min_score)
        score = self.calibration(found.score)
        kept = score >= least
        # Code of others reports all of its keypoints.
        if found.skeleton is not None and self.info.conventions is None:
            geometry = self.rules.geometry(found.image_size, max(self.scales))
            found, somebody = reported(found, geometry.stride / geometry.scale)
            kept &= somebody | (least == 0)
        return replace(found, score=score)[kept]

    def stream(
        self,
        sources: str | Path | Iterable[Any],
        *,
        min_score: float | None = None,
        keep_image: bool = True,
        **reading: Any,
    ) -> Iterator[Instances]:
        """Finds the instances of one picture after another, in order, in constant memory.

        An image of several planes gives a result for each of its pictures, see `Reading`. One thread reads and prepares
        the next images, one runs the network, and the caller's thread decodes.

        Args:
            sources: images as for a call, or the name of a folder or a pattern (``"photos/*.jpg"``).
            min_score, keep_image, reading: as for a call.

        Raises:
            ValueError: as a call, in place of the first image with a fault.
        """
        images, least = images_of(sources), self.least(min_score)

        def pictures() -> Iterator[tuple[OpenImage, int, str, Array | Slide]]:
            for source in images:
                opened = self.open(source, **reading)
                opened.say()
                for number in range(len(opened)):
                    yield opened, number, name_of(source), opened[number]

        prepared = (
            (picture, self.prepare(picture[3][tile])) for picture in pictures() for tile in self.tiles(picture[3])
        )
        outputs = ahead((picture, self._run_named(inputs, picture[2])) for picture, inputs in ahead(prepared))
        for (opened, number, name, image), first in outputs:
            # Lazily: the maps of all tiles of a slide would not fit into the memory.
            others = (output for _, output in islice(outputs, len(self.tiles(image)) - 1))
            with errors_name(name):
                found = self.shown(self.finish(image, chain([first], others), min_score=least), least)
            yield told(found, opened, number, name, image if keep_image else None)

    def track(
        self,
        source: str | Path | int,
        *,
        clip: Clip | None = None,
        min_score: float | None = None,
        link: Mapping[str, Any] | None = None,
        smooth: float | None = None,
    ) -> Iterator[tuple[Frame, Instances]]:
        """Yields the frames of a video and the instances in each, with the numbers of their tracks.

            for frame, people in model.track("film.mp4"):
                picture = people.draw(frame.image)

        Args:
            source: a film, a stream, the number of a camera, a folder or a pattern of frames; see `open_video`.
            clip: the frames to read, such as ``ae.Clip(start=2.0, every=3)``; default: all.
            min_score: as for a call.
            link: settings of tracks (`LinkConfig`) that replace those of the model.
            smooth: cutoff frequency for the keypoints of tracks, Hz; None = they are not smoothed.

        Raises:
            ValueError: for a source that cannot be read, also after the frames that can; for a wrong link setting.
        """
        if smooth is not None and self.task.finds_masks:
            raise ValueError("smooth works only for models that find keypoints")
        stream = self.for_tracks().stream
        tracker, smoother = Tracker(link_config(self.task, link or {})), Smoother(smooth) if smooth else None
        video, clip = open_video(video_of(source), reading=self.reading), clip or Clip()
        return find_in_video(stream, video, clip, min_score=min_score, tracker=tracker, smoother=smoother)

    def explain(self, source: Any, *, min_score: float = 0.0) -> tuple[Decoded, Maps, ImageGeometry]:
        """Returns the instances of one image (with the picture), their groups, and the maps they were decoded from.

        Args:
            source: as for a call.
            min_score: the caller shows nobody with a lower score; some of them may be among the instances.

        Raises:
            ValueError: as a call; and for an image of several tiles, as tags of different tiles cannot be compared.
        """
        image, name = read_image(source, reading=self.reading), name_of(source)
        with errors_name(name):
            if len(self.tiles(image)) > 1:
                raise ValueError(f"larger than a tile of {self.tile_side} pixels, so its tags cannot be shown")
            if self.network.gives_peaks:
                raise ValueError("a model exported with peaks has no maps of tags to show")
            decoded, (maps, geometry) = self.task.decode_views(self.rules.views(self._run(self.prepare(image))))
            refined = self.refine(decoded.instances, image, min_score=min_score)
        instances = replace(self.shown(refined.people, 0), image=image, source=name)
        return replace(decoded, instances=instances, group=decoded.group[refined.row]), maps, geometry


def told(found: Instances, opened: OpenImage, number: int, name: str, image: Array | Slide | None) -> Instances:
    """Returns the instances of a picture with what is known about it.

    Args:
        found: the instances.
        opened: the image of the picture.
        number: of the picture, from 0.
        name: of the image.
        image: the picture, to keep it; a slide is not kept.
    """
    title = opened.pictures.title(number)
    source = f"{name}#{title}" if name and title else name
    kept = image if isinstance(image, np.ndarray) else None
    found = replace(found, image=kept, source=source, pixel_size=opened.pixel_size)
    if kept is None or found.masks is None:
        return found
    values, names = stored_values(opened.pictures, number)
    return replace(found, values=values, channel_names=names)


def name_of(source: Any) -> str:
    """The name of an image in results and messages; "" for pixels."""
    return str(source) if isinstance(source, (str, Path)) else ""
