"""Parses XML of unknown origin. Document types are refused: entities can fill the memory or read other files."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from associative_embedding.data.label_formats.reading import read_bytes


class NoDocumentType(ET.TreeBuilder):
    """Builds a tree, and raises a ValueError at a document type. The parser calls `doctype` by its name."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("it has a DOCTYPE, which no tool for labels writes")


def parse_xml(file: Path) -> ET.Element:
    """Returns the root of an XML document.

    Raises:
        ValueError: if the file cannot be read, is too large, is not XML, or has a document type.
    """
    data = read_bytes(file)
    try:
        return ET.fromstring(data, ET.XMLParser(target=NoDocumentType()))
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise ValueError(f"{file}: not an XML file that can be read ({error})") from None
