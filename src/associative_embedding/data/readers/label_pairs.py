"""Finds the label images of a folder of images, as tools for microscopes lay them out.

- ``images/a.tif`` and ``masks/a.tif``: equal names in two folders, as StarDist has them; endings may differ.
- ``a.tif`` and ``a_masks.tif``: a word behind or before the name, as cellpose has it; in one folder or two.
- ``a/images/a.png`` and ``a/masks/*.png``: a folder for each image, a file for each object, as the Data Science Bowl.
- ``labels/a/*.png``: a file for each object.
- a pattern of your own: ``labels/{name}_gt.tif``, or ``labels/{name}/*.png`` for a file for each object.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from associative_embedding.data.readers.voc_classes import is_voc_tree
from associative_embedding.io.console import Notes, list_briefly
from associative_embedding.io.find_images import EXTENSIONS, files_of_folder

NAME = "{name}"  # in a pattern: the name of the image without its ending
LABEL_ENDINGS = (".png", ".tif", ".tiff")  # without loss; a JPEG would change the numbers of objects
# Words of label images, the best first: cellpose puts its own predictions, cp_masks, beside the labels of people.
LABEL_WORDS = ("masks", "mask", "labels", "label", "gt", "instances", "instance", "seg", "cp_masks")
IMAGE_WORDS = ("img", "image", "raw", "im")
# what cellpose writes beside images, which is neither an image nor its labels
OTHER_WORDS = ("flows", "cp_flows", "cp_output", "output", "outlines", "cp_outlines", "dP", "probabilities")
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "raw")
LABEL_FOLDERS = ("masks", "mask", "labels", "label", "gt", "ground_truth", "instances")
HASH = re.compile(r"-[0-9a-f]{8}$")  # that `ae predict` puts behind a name that occurs twice


@dataclass(frozen=True)
class LabelPair:
    """An image and its label images.

    Attributes:
        name: of the image, relative to the folder of images.
        labels: one label image with numbers of objects, or a file for each object.
        each: whether it is a file for each object.
    """

    name: str
    labels: tuple[Path, ...]
    each: bool = False


def is_label_folder(annotations: str) -> bool:
    """Returns whether annotations are label images: a pattern, or a folder that is no VOC tree and has no COCO json."""
    path = Path(annotations)
    return NAME in annotations or (path.is_dir() and not is_voc_tree(path))


def image_folder(annotations: str, images: str | None) -> str:
    """Returns the folder of the images of label images.

    Args:
        annotations: folder or pattern of the label images.
        images: the folder, if it is stated; default: where tools put images.

    Raises:
        ValueError: when there is no such folder.
    """
    if images:
        folder = images
    elif NAME in annotations:
        folder = os.path.dirname(annotations.split(NAME)[0]) or os.curdir
    else:
        inside = subfolder(annotations, IMAGE_FOLDERS) if subfolder(annotations, LABEL_FOLDERS) else None
        folder = str(inside) if inside else annotations
    if not os.path.isdir(folder):
        raise ValueError(f"{folder}: no such folder of images")
    return folder


def find_pairs(annotations: str, images: str) -> list[LabelPair]:
    """Returns the images that have labels, sorted by name. Lines count the others and labels without an image.

    Args:
        annotations: folder or pattern of the label images.
        images: folder of the images, see `image_folder`.

    Raises:
        ValueError: when no image has labels, or one has several label images.
    """
    files = sorted(files_of_folder(images, recursive=True))
    names = [Path(os.path.relpath(path, images)).as_posix() for path in files if path.lower().endswith(EXTENSIONS)]
    names = [name for name in names if not has_word(name, OTHER_WORDS)]
    by_pattern = NAME in annotations
    pairs, unused = pairs_of_pattern(annotations, names) if by_pattern else pairs_of_folder(annotations, images, names)
    used = {os.path.realpath(path) for pair in pairs for path in pair.labels}
    pairs = [pair for pair in pairs if os.path.realpath(os.path.join(images, pair.name)) not in used]
    if not pairs:
        raise ValueError(f"{annotations}: {no_pair(images, len(names))}")
    notes, paired = Notes(annotations), {pair.name for pair in pairs}
    for name in names:
        path = os.path.realpath(os.path.join(images, name))
        if name not in paired and path not in used and path not in unused:
            notes.add("no label image; left out", "image", name)
    for path in sorted(unused):
        notes.add("no image of this name; left out", "label image", os.path.basename(path))
    notes.say()
    return pairs


def no_pair(images: str, count: int) -> str:
    """Returns what to do when no image of a folder has labels."""
    if any(path.endswith("_seg.npy") for path in files_of_folder(images, recursive=True)):
        return "the _seg.npy of cellpose is not read, as it can hold programs; save the masks as PNG or TIF in cellpose"
    return (
        f"no label image (.png, .tif) belongs to one of the {count} images in {images}; equal names, names with "
        f"_masks, _labels, _gt ..., or a pattern such as 'labels/{NAME}_gt.tif' pair them"
    )


def pairs_of_pattern(pattern: str, names: Sequence[str]) -> tuple[list[LabelPair], set[str]]:
    """Returns the pairs by a pattern of paths, in which `NAME` stands for the name of an image."""
    pairs = []
    for name in names:
        stem = os.path.splitext(name)[0]
        if "*" in pattern:
            found = sorted(glob.glob(glob.escape(stem).join(pattern.split(NAME))))
        else:
            found = [pattern.replace(NAME, stem)]
        if labels := tuple(
            Path(path) for path in found if path.lower().endswith(LABEL_ENDINGS) and os.path.isfile(path)
        ):
            pairs.append(LabelPair(name, labels, "*" in pattern))
    return pairs, set()


def pairs_of_folder(annotations: str, images: str, names: Sequence[str]) -> tuple[list[LabelPair], set[str]]:
    """Returns the pairs of a folder, and the paths of label images that belong to no image."""
    if bowl := pairs_of_bowl(images, names):
        return bowl, set()
    labels = str(subfolder(annotations, LABEL_FOLDERS) or annotations)
    same = os.path.realpath(labels) == os.path.realpath(images)
    found = [Path(os.path.relpath(path, labels)).as_posix() for path in sorted(files_of_folder(labels, recursive=True))]
    found = [name for name in found if name.lower().endswith(LABEL_ENDINGS) and not has_word(name, OTHER_WORDS)]
    if same:  # an image is no label image of itself
        found = [name for name in found if has_word(name, LABEL_WORDS)]
    else:
        inside = os.path.join(os.path.realpath(labels), "")
        names = [name for name in names if not os.path.realpath(os.path.join(images, name)).startswith(inside)]
    known, each = candidates(found), {} if same else objects_of_folders(found)
    pairs, used = [], set()
    for name in names:
        stem = os.path.splitext(name)[0]
        if (single := label_of(known, stem, labels)) and not (same and name in found):
            pairs.append(LabelPair(name, (Path(labels) / single,)))
            used.add(single)
        elif several := each.get(stem):
            pairs.append(LabelPair(name, tuple(Path(labels) / file for file in several), each=True))
            used |= set(several)
    # A second label image of lower rank, such as cellpose's own prediction, belongs to its image, too.
    others = {
        name
        for name in found
        if not used & {file for _, file in known.get(without_word(os.path.splitext(name)[0], LABEL_WORDS)[0], ())}
    }
    return pairs, {os.path.realpath(os.path.join(labels, name)) for name in others - used}


def pairs_of_bowl(images: str, names: Sequence[str]) -> list[LabelPair]:
    """Returns the pairs of folders ``a/images/*`` and ``a/masks/*``; none for another layout."""
    pairs = []
    for name in names:
        folder = Path(name).parent
        masks = next((m for m in LABEL_FOLDERS if (Path(images) / folder.parent / m).is_dir()), None)
        if folder.name in IMAGE_FOLDERS and folder.parent.name and masks:
            files = sorted(files_of_folder(str(Path(images) / folder.parent / masks), recursive=False))
            labels = tuple(Path(file) for file in files if file.lower().endswith(LABEL_ENDINGS))
            pairs.append(LabelPair(name, labels, each=True))
    # In other layouts a folder has several images, and the label images have the names of images.
    folders = [Path(pair.name).parent for pair in pairs]
    named = any(label.stem == Path(pair.name).stem for pair in pairs for label in pair.labels)
    return pairs if len(set(folders)) == len(folders) and not named else []


def candidates(files: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
    """Returns the name of an image, without ending -> the label files that may be its own, each with its rank."""
    known: dict[str, list[tuple[int, str]]] = {}
    for file in files:
        stem = os.path.splitext(file)[0]
        bare, rank = without_word(stem, LABEL_WORDS)
        known.setdefault(stem, []).append((-1, file))  # equal names come first
        if rank >= 0:
            for name in {bare, HASH.sub("", bare)}:
                known.setdefault(name, []).append((rank, file))
    return known


def label_of(known: Mapping[str, list[tuple[int, str]]], stem: str, folder: str) -> str | None:
    """Returns the label file of an image, or None.

    Raises:
        ValueError: when there are several of equal rank.
    """
    bare, _ = without_word(stem, IMAGE_WORDS)
    found = sorted({*known.get(stem, ()), *known.get(bare, ())})
    if len(found) > 1 and found[0][0] == found[1][0]:
        files = list_briefly([file for rank, file in found if rank == found[0][0]])
        raise ValueError(f"{folder}: image {stem} has several label images ({files}); keep one, or give a pattern")
    return found[0][1] if found else None


def objects_of_folders(files: Sequence[str]) -> dict[str, list[str]]:
    """Returns the name of a folder, which is that of an image -> its files, one for each object."""
    found: dict[str, list[str]] = {}
    for file in files:
        parent = Path(file).parent
        parent = parent.parent if parent.name in LABEL_FOLDERS else parent
        if parent.name:
            found.setdefault(parent.as_posix(), []).append(file)
    return found


def without_word(stem: str, words: Sequence[str]) -> tuple[str, int]:
    """Returns a name without the word before or behind it, and the place of that word in `words`; -1 = has none."""
    folder, name = os.path.split(stem)
    for rank, word in sorted(enumerate(words), key=lambda pair: -len(pair[1])):  # cp_masks before masks
        for part in (rf"[_. -]{word}$", rf"^{word}[_. -]"):
            bare = re.sub(part, "", name, flags=re.IGNORECASE)
            if bare and bare != name:
                return os.path.join(folder, bare), rank
    return stem, -1


def has_word(name: str, words: Sequence[str]) -> bool:
    """Whether a file has one of the words before or behind its name."""
    return without_word(os.path.splitext(name)[0], words)[1] >= 0


def subfolder(folder: str, names: Sequence[str]) -> Path | None:
    """Returns the first folder inside of another one that has one of the names; None without any."""
    inside = (
        {entry.name.lower(): entry.path for entry in os.scandir(folder) if entry.is_dir()}
        if os.path.isdir(folder)
        else {}
    )
    return next((Path(inside[name]) for name in names if name in inside), None)
