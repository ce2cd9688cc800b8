"""The classes of a PASCAL VOC tree and their colours: those of the archives, or those that a labelling tool lists."""

from __future__ import annotations

import re
from pathlib import Path

from associative_embedding.io.text_files import decode_text

VOC_CLASSES = tuple(
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep "
    "sofa train tvmonitor".split()
)
VOID = -1  # the index of void, which is 255 in files of 8 bits
VOID_COLOUR = 0xE0E0C0  # of index 255 in VOC's palette
LABELMAP, NAMES = "labelmap.txt", "class_names.txt"  # of CVAT and Datumaro; of labelme
BACKGROUND = ("background", "_background_", "__background__")
IGNORED = ("__ignore__", "_ignore_", "ignore", "void")
Colours = dict[int, int]  # colour as a number, 0xRRGGBB -> index
LABELMAP_LINE = re.compile(r"(?P<name>[^:]+):\s*(?P<red>\d+)\s*,\s*(?P<green>\d+)\s*,\s*(?P<blue>\d+)\s*(:.*)?")


def is_voc_tree(path: str | Path) -> bool:
    """Returns whether a folder is a VOC tree; older labelmes add PNG to the names of its folders."""
    return any((Path(path) / f"SegmentationObject{ending}").is_dir() for ending in ("", "PNG"))


def voc_classes(root: str | Path) -> tuple[str, ...]:
    """Returns the names of the classes of a tree, in the order of their indices from 1 on.

    They are those of ``labelmap.txt`` or ``class_names.txt`` in the tree, else the 20 of VOC.

    Raises:
        ValueError: for a file that cannot be read, or names that repeat.
    """
    root = Path(root)
    if (root / LABELMAP).is_file():
        names = [name for name, _ in labelmap(root / LABELMAP)]
    elif (root / NAMES).is_file():
        names = [line.strip() for line in text_of(root / NAMES).splitlines() if line.strip()]
    else:
        return VOC_CLASSES
    found = tuple(name for name in names if name not in BACKGROUND and name not in IGNORED)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{root}: its list of classes must have names, each once, not {', '.join(names) or 'none'}")
    return found


def voc_colours(root: str | Path) -> Colours:
    """Returns colour -> index of its class, for trees whose label images are colour pictures.

    Raises:
        ValueError: see `voc_classes`.
    """
    root = Path(root)
    names = voc_classes(root)
    found = {voc_colour(index): index for index in range(len(names) + 1)} | {VOID_COLOUR: VOID}
    if not (root / LABELMAP).is_file():
        return found
    found = {0: 0, VOID_COLOUR: VOID}
    for name, colour in labelmap(root / LABELMAP):
        found[colour] = 0 if name in BACKGROUND else VOID if name in IGNORED else names.index(name) + 1
    return found


def voc_colour(index: int) -> int:
    """Returns the colour of an index in VOC's palette: its bits, spread over the high bits of red, green and blue."""
    colour = 0
    for bit in range(8):
        digit = index >> 3 * bit
        for channel in range(3):
            colour |= (digit >> channel & 1) << (7 - bit) << 8 * (2 - channel)
    return colour


def labelmap(path: Path) -> list[tuple[str, int]]:
    """Returns the name and the colour of each line of a ``labelmap.txt``: ``name:red,green,blue:parts:actions``.

    Raises:
        ValueError: for a file that cannot be read.
    """
    found = []
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if (match := LABELMAP_LINE.fullmatch(line.strip())) is None:
            raise ValueError(f"{path}: line {number} must be name:red,green,blue::, not {line[:60]!r}")
        red, green, blue = (int(match[key]) for key in ("red", "green", "blue"))
        if max(red, green, blue) > 255:
            raise ValueError(f"{path}: line {number} has a colour beyond 255: {line[:60]!r}")
        found.append((match["name"].strip(), red << 16 | green << 8 | blue))
    return found


def text_of(path: Path) -> str:
    """Returns the text of a file.

    Raises:
        ValueError: when it cannot be read.
    """
    try:
        return decode_text(path.read_bytes(), path)
    except OSError as error:
        raise ValueError(f"{path}: cannot read the classes ({error.strerror})") from None
