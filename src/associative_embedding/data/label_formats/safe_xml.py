"""Parses XML of unknown origin. Document types are refused: entities can fill the memory or read other files."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from associative_embedding.data.label_formats.reading import read_bytes

ELEMENT_BYTES = 12  # of a file, for each element, which takes a hundred bytes of memory and more for its attributes
MAX_ATTRIBUTES = 100  # of an element


class Builder(ET.TreeBuilder):
    """Builds a tree, and raises a ValueError at a document type or too many elements. The parser calls its methods.

    Args:
        most: number of elements.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def start(self, tag: str, attrs: dict[str, str]) -> ET.Element:
        self.left -= 1
        if self.left < 0 or len(attrs) > MAX_ATTRIBUTES:
            raise ValueError("it has far more elements or attributes than labels of its size")
        return super().start(tag, attrs)

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("it has a DOCTYPE, which no tool for labels writes")


def parse_xml(file: Path) -> ET.Element:
    """Returns the root of an XML document.

    Raises:
        ValueError: if the file cannot be read, is too large, is not XML, or has a document type.
    """
    data = read_bytes(file)
    try:
        return ET.fromstring(data, ET.XMLParser(target=Builder(1000 + len(data) // ELEMENT_BYTES)))
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise ValueError(f"{file}: not an XML file that can be read ({error})") from None
