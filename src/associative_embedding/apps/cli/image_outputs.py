"""All files that ``ae predict`` writes for images: pictures, label images, the table and the results file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from associative_embedding.apps.cli.output_names import choose_stems, picture_ending, plane_path
from associative_embedding.apps.cli.results_file import ResultsWriter, files_of_others, identity
from associative_embedding.apps.cli.table_file import TableFile
from associative_embedding.instances import Instances
from associative_embedding.instances.save import COMMAND
from associative_embedding.io.console import remark_file, say, visible
from associative_embedding.io.image_limits import MAX_PIXELS
from associative_embedding.io.outputs import (
    DRAWN_MARK,
    Own,
    check_apart,
    check_output,
    own_json,
    own_mark,
    say_replaced,
)
from associative_embedding.io.write_images import write_image, write_labels
from associative_embedding.io.write_label_stacks import number_masks, write_label_stack, write_slide_labels
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.masks import require_masks
from associative_embedding.tasks.tag_pictures import tag_sheet

REGIONS = {"roi": "-rois.zip", "geojson": ".geojson"}  # the ends of the names of files of outlines


@dataclass(frozen=True)
class Kinds:
    """Which files are written for each image.

    Attributes:
        folder: of the pictures and label images.
        pictures: write annotated pictures.
        labels: file type of label images, or "none".
        scores: draw the score of each instance.
        regions: of "roi" and "geojson", the outlines of masks to write.
        names: draw the names of keypoints, and what their colours mean.
    """

    folder: str
    pictures: bool
    labels: str
    scores: bool
    regions: tuple[str, ...] = ()
    names: bool = False

    def draw(self, found: Instances) -> Array:
        """Returns the annotated picture of one image, ``(H, W, 3)`` uint8 RGB."""
        return found.draw(scores=self.scores, names=self.names, legend=self.names)

    def files(self, source: str, stem: str) -> dict[str, Path]:
        """Returns the files of one image: ``picture``, ``labels``; the keys are those of `results_file.FILES`."""
        files = {"picture": Path(self.folder) / f"{stem}{picture_ending(source)}"} if self.pictures else {}
        labels = Path(self.folder) / f"{stem}-labels.{self.labels}"
        files |= {"labels": labels} if self.labels != "none" else {}
        return files | {kind: Path(self.folder) / f"{stem}{REGIONS[kind]}" for kind in self.regions}


class ImageOutputs:
    """Writes the results of images: ``with ImageOutputs(...) as outputs: outputs.add(found, tags)``.

    Args:
        sources: paths and URLs of all images of the command.
        kinds: the files of each image.
        writer: of the results file.
        table: of all images, or None.

    Attributes:
        left: the sources whose results the results file does not contain yet.

    Raises:
        ValueError: when a picture or label image would replace a file of somebody else.
    """

    def __init__(
        self, sources: Sequence[str], kinds: Kinds, writer: ResultsWriter, table: TableFile | None = None
    ) -> None:
        self.kinds, self.writer, self.table = kinds, writer, table
        done = writer.done
        self.left = [source for source in sources if identity(source) not in done]
        if len(self.left) < len(sources):
            say(f"{len(sources) - len(self.left)} images are in {visible(writer.path)} already")
        self.files = name_files(sources, kinds, writer, [table.path] if table else [])
        check_files({source: self.files[source] for source in self.left}, [table.path] if table else [], writer)
        self._open = ExitStack()

    def add(self, found: Instances, tags: Sequence[Array], source: str) -> Mapping[str, Path]:
        """Writes the files of one image; returns them, without the results file and the table.

        Args:
            found: the instances, with the image.
            tags: pictures of their tags, which are drawn below the annotated picture.
            source: one of `left`.

        Raises:
            ValueError: when its result cannot be written as json, or its picture is too large for the format.
            OSError: when a file cannot be written.
        """
        files = self.files[source]
        if found.masks is None:
            files = {kind: path for kind, path in files.items() if kind != "labels"}
        if found.image is None and "picture" in files:
            files = {kind: path for kind, path in files.items() if kind != "picture"}
            remark_file(source, "is too large for a picture, so none is drawn")
        # Labels are a result: an image whose labels cannot be written is in no results, so --resume does it again.
        if found.masks is not None and "labels" in files:
            save_labels(files["labels"], found)
        for kind in self.kinds.regions:
            found.save(str(files[kind]))
        try:
            if "picture" in files:
                picture = tag_sheet(self.kinds.draw(found), tags)
                write_image(files["picture"], picture, DRAWN_MARK)
        except ValueError:
            files = {kind: path for kind, path in files.items() if kind != "picture"}
            self._add([found], [files])  # a picture that its format cannot hold: the result itself is not lost
            raise
        # Last: --resume skips an image whose result is in the results file, and its pictures must exist then.
        self._add([found], [files])
        return files

    def add_planes(self, results: Iterable[Instances], source: str, axes: str) -> tuple[list[Path], int]:
        """Writes the files of an image of several planes; returns them and the number of instances.

        The label image has a plane for each of its pictures. Annotated pictures are files of their own.

        Args:
            results: the instances of each picture, with the picture; computed one by one if this is a generator.
            source: one of `left`.
            axes: along which the pictures follow each other, see `OpenImage.axes`.

        Raises:
            ValueError, OSError: see `add`; and for label images as PNG, which have one plane.
        """
        files, planes = self.files[source], list[Instances]()
        pictures, outlines = list[Path](), list[dict[str, Path]]()
        if files.get("labels", Path()).suffix == ".png":
            raise ValueError("has several planes, and a .png one: write its labels with --labels tif")
        for found in results:
            if "picture" in files and found.image is not None:
                pictures.append(plane_path(files["picture"], found.source))
                check_output(pictures[-1], own_mark(), [source], announce=False)
                write_image(pictures[-1], self.kinds.draw(found), DRAWN_MARK)
            regions = {kind: plane_path(files[kind], found.source) for kind in self.kinds.regions}
            for path in regions.values():
                check_output(path, own_file(path), [source], announce=False)
                found.save(str(path))
            outlines.append(regions)
            planes.append(replace(found, image=None))
        masks = [plane.masks for plane in planes if plane.masks is not None]
        labels = {"labels": files["labels"]} if "labels" in files and masks else {}
        if labels:
            numbered = [number_masks(part) for part in masks]
            size = planes[0].pixel_size
            write_label_stack(labels["labels"], numbered, axes, pixel_size=size, mark=DRAWN_MARK)
        named = [({"picture": pictures[i]} if pictures else {}) | labels | outlines[i] for i in range(len(planes))]
        self._add(planes, named)
        paths = [path for regions in outlines for path in regions.values()]
        return [*pictures, *labels.values(), *paths], sum(map(len, planes))

    def _add(self, planes: Sequence[Instances], files: Sequence[Mapping[str, Path]]) -> None:
        # First the table: --resume leaves out rows of images that the results file does not have.
        if self.table:
            for found in planes:
                self.table.add(found)
        self.writer.add_planes(planes, files)

    def __enter__(self) -> Self:
        self._open.enter_context(self.writer)
        if self.table:
            self._open.callback(self.table.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


def save_labels(path: Path, found: Instances) -> None:
    """Writes the label image of one picture; of a slide tile by tile."""
    masks = require_masks(found.masks)
    if masks.size[0] * masks.size[1] <= MAX_PIXELS:
        write_labels(path, masks.labels(), DRAWN_MARK, pixel_size=found.pixel_size)
    elif path.suffix == ".png":
        raise ValueError("is too large for a .png: write its labels with --labels tif")
    else:
        write_slide_labels(path, number_masks(masks), pixel_size=found.pixel_size, mark=DRAWN_MARK)


def own_file(path: Path) -> Own:
    """Returns the test that an earlier run wrote a file of an image."""
    return own_json(COMMAND) if path.suffix == ".geojson" else own_mark()


def name_files(
    sources: Sequence[str], kinds: Kinds, writer: ResultsWriter, others: Sequence[Path]
) -> dict[str, dict[str, Path]]:
    """Returns the files of each source; names are chosen by `choose_stems`.

    Args:
        others: further files that the command writes.
    """
    taken: list[str | Path] = [*sources, writer.path, *others]
    if writer.earlier is not None:
        taken += files_of_others(writer.earlier, writer.path.parent, sources)
    stems = choose_stems(sources, lambda source, stem: list(kinds.files(source, stem).values()), taken)
    return {source: kinds.files(source, stems[source]) for source in sources}


def check_files(files: Mapping[str, Mapping[str, Path]], others: Sequence[Path], writer: ResultsWriter) -> None:
    """Checks that pictures and label images replace no file of somebody else, and names the files of earlier runs.

    Raises:
        ValueError: see `check_output`.
    """
    check_apart(writer.path, *others)
    replaced = [path for path in (writer.path, *others) if path.is_file() and writer.earlier is None]
    for source, paths in files.items():
        for path in paths.values():
            if check_output(path, own_file(path), [source], announce=False):
                replaced.append(path)
    say_replaced(replaced)
