"""XML of others: no document types, so no entities that expand without end or read other files."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from associative_embedding.data.label_formats.reading import read_bytes


class _NoDocumentType(ET.TreeBuilder):
    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("it has a DOCTYPE, which no tool for labels writes")


def parse_xml(file: Path) -> ET.Element:
    """The root of a document.

    Raises:
        ValueError: when it cannot be read, is too large, no XML, or has a document type.
    """
    data = read_bytes(file)
    try:
        return ET.fromstring(data, ET.XMLParser(target=_NoDocumentType()))
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise ValueError(f"{file}: not an XML file that can be read ({error})") from None
