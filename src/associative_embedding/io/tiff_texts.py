"""What the texts of a TIFF state: the number of images, the names of channels, the size of a pixel."""

from __future__ import annotations

import html
import math
import re
import xml.etree.ElementTree as ET

from associative_embedding.io.tiff_files import TiffPage

DESCRIPTION, X_RESOLUTION, UNIT = 270, 282, 296  # tags
CENTIMETRE = 3  # value of UNIT
# A length -> micrometres. Bio-Formats writes the sign for micro in two ways, ImageJ as an escape.
UNITS = {"µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0}
UNITS |= {"nm": 1e-3, "nanometer": 1e-3, "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6}
COARSE = 50.0  # micrometres
MAX_TEXT = 2**22  # characters of a description
NUMBER = r"([0-9.]+(?:[eE][-+]?\d+)?)"
MOST_STATED = 10**6  # planes that OME-XML states; a file of a set states those of the whole set


def images_in(text: str) -> int:
    """Returns the number of images that ImageJ states; 0 without."""
    found = re.search(r"^images=(\d{1,9})$", text, re.MULTILINE) if text.startswith("ImageJ=") else None
    return int(found[1]) if found else 0


def states_planes(text: str) -> bool:
    """Returns whether a directory may stand for several planes.

    ImageJ writes one alone for a stack of more than 4 GB, tifffile where it is asked to.
    """
    return images_in(text) > 1 or (text.startswith('{"shape"') and '"truncated": true' in text)


def check_ome(text: str, pixels: int) -> None:
    """Checks the numbers in OME-XML, before tifffile makes lists as long.

    Args:
        text: "" for none; one that is no XML is no description to tifffile, either.
        pixels: of a page.

    Raises:
        ValueError: for more than `MOST_STATED` planes, and for a document type, whose entities may fill the memory.
    """
    if "<!DOCTYPE" in text:
        raise ValueError("its OME-XML has a DOCTYPE, which no microscope writes")
    try:
        elements = list(ET.fromstring(text).iter())
    except ET.ParseError:
        return
    for element in elements:
        get, kind = element.attrib.get, element.tag.rpartition("}")[2]
        planes = math.prod(int(get(f"Size{axis}", 1)) for axis in "ZCT")
        area = int(get("SizeX", 1)) * int(get("SizeY", 1))
        stated = [planes, planes * area // pixels, int(get("PlaneCount", 0)), int(get("NumPlanes", 0))]
        if kind[:-1].endswith("Along") and "Start" in element.attrib:
            stated.append(int((float(get("End", 0)) - float(get("Start", 0))) / float(get("Step", 1))))
        if max(stated) > MOST_STATED:
            raise ValueError(f"its OME-XML states {max(stated)} planes")


def description_of(page: TiffPage) -> str:
    """Returns the text in which OME, ImageJ and makers of slides state the channels and the size of a pixel."""
    text = str(page.tags.get(DESCRIPTION, ""))[:MAX_TEXT]
    try:
        return text.encode("latin-1").decode()  # tags are read as Latin-1, and OME-XML is UTF-8
    except UnicodeError:
        return text


def channel_names_in(text: str) -> list[str]:
    """Returns the names of the channels in OME-XML; none without them."""
    image = re.split(r"</(?:\w+:)?Pixels>", text, maxsplit=1)[0]
    found = re.findall(r"<(?:\w+:)?Channel\b[^>]*?\bName=\"([^\"]{0,100})\"", image)
    return [html.unescape(name) for name in found]


def pixel_size_of(page: TiffPage) -> float | None:
    """Returns the side of a pixel in micrometres as a file states it; None if it does not."""
    text = description_of(page)
    if match := re.search(rf"PhysicalSizeX=\"{NUMBER}\"", text):
        unit = re.search(r"PhysicalSizeXUnit=\"([^\"]{0,20})\"", text)
        factor = UNITS.get(html.unescape(unit[1])) if unit else 1.0
        return positive(float(match[1]) * factor) if factor else None
    if match := re.search(rf"\bMPP = {NUMBER}", text):  # Aperio
        return positive(float(match[1]))
    stated = page.tags.get(X_RESOLUTION)
    per_unit = float(stated) if stated else 0.0  # type: ignore[arg-type]
    if per_unit <= 0:
        return None
    if text.startswith("ImageJ="):
        unit = re.search(r"^unit=(.{1,20})$", text, re.MULTILINE)
        factor = UNITS.get(unit[1].strip()) if unit else None
        return positive(factor / per_unit) if factor else None
    # Scanners and cameras state dots per inch, which mean nothing; only a fine grid is that of a microscope.
    size = 1e4 / per_unit
    return positive(size) if page.number(UNIT, 0) == CENTIMETRE and size < COARSE else None


def positive(size: float) -> float | None:
    """Returns a size in micrometres; None for one that cannot be."""
    return size if 0 < size < 1e6 else None
