"""Decodes texts as tools of any system write them: with a byte order mark, in UTF-16, packed by gzip."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
MAX_UNPACKED = 2 * 2**30  # bytes: a small gzip file can hold any number of them
# bytes that a packed file of any size may have, and how many times its size in addition; labels pack to a tenth
FLOOR, RATIO = 16 * 2**20, 30
# UTF-32 first: its mark begins with that of UTF-16
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decode_text(data: bytes, path: object, limit: int = MAX_UNPACKED) -> str:
    """Returns the text of a file: UTF-8, or what its byte order mark states, also packed by gzip.

    Args:
        data: the content of the file.
        path: the file, for the message.
        limit: largest number of bytes of a packed file's content.

    Raises:
        ValueError: for anything else.
    """
    if data.startswith(ZIP):
        raise ValueError(f"{path}: is a zip file; unpack it, and give the file inside")
    data = unpack(data, path, limit) if data.startswith(GZIP) else data
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file (UTF-8)") from None


def unpack(data: bytes, path: object, limit: int) -> bytes:
    """Returns the content of a gzip file.

    Raises:
        ValueError: for a damaged file, or more bytes than `limit` or its size allow.
    """
    limit = min(limit, FLOOR + RATIO * len(data))
    try:
        unpacked = gzip.GzipFile(fileobj=io.BytesIO(data)).read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: the gzip file is damaged ({error})") from None
    if len(unpacked) > limit:
        raise ValueError(f"{path}: unpacked it is larger than the {limit >> 20} MB that are read; unpack it")
    return unpacked
