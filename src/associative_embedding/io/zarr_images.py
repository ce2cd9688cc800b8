"""Opens OME-Zarr images in local folders by zarr (the extra ``[microscopy]``); chunks are decoded when they are read.

A folder of zarr says how its chunks are decoded. Only codecs that are data are used: zarr would also unpickle objects.
Formats: OME-NGFF 0.4 (zarr 2) and 0.5 (zarr 3).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from associative_embedding.io.axes import Axes, stack_of_array
from associative_embedding.io.console import remark_file
from associative_embedding.io.counts import counted
from associative_embedding.io.image_limits import ImageError
from associative_embedding.io.optional_packages import need
from associative_embedding.io.reading import Reading
from associative_embedding.io.stacks import Stack

ENDING = ".zarr"
GROUP_FILES = (".zattrs", ".zgroup", "zarr.json")
DESCRIPTIONS = (".zarray", ".zattrs", ".zgroup", "zarr.json")
MAX_METADATA = 2**24  # bytes
MAX_CHUNK = 2**28  # bytes of a decoded chunk
MAX_LEVELS = 64  # resolutions, each of which is opened
BLOSC_HEADER = 16  # bytes; the last four are the length of all
# Compressors, filters and codecs of zarr 2 and 3 that turn bytes into bytes or numbers.
CODECS = {"blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma", "shuffle", "bytes", "transpose", "crc32c", "delta"}
CODECS |= {"sharding_indexed", "bitround"}
UNITS = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6, "angstrom": 1e-4}


def is_zarr(path: str | Path) -> bool:
    """Returns whether a path is a folder of zarr."""
    return os.path.isdir(path) and any(os.path.isfile(os.path.join(path, name)) for name in GROUP_FILES)


def open_zarr(path: str, reading: Reading) -> Stack:
    """Opens an OME-Zarr image; only its description is read.

    Args:
        path: folder of the image.
        reading: its axes and level are used here.

    Raises:
        ImageError: for a folder that is no OME-Zarr image, a codec that is not data, or when zarr is missing.
    """
    try:
        return zarr_stack(path, reading)
    except ImageError:
        raise
    except (ValueError, TypeError, KeyError, OSError, AttributeError, IndexError) as error:
        raise ImageError(path, error if "pip install" in str(error) else f"is no OME-Zarr image ({error})") from None


def zarr_stack(path: str, reading: Reading) -> Stack:
    """Returns the stack of an image; see `open_zarr`."""
    attributes = attributes_of(Path(path))
    images = attributes.get("multiscales")
    if not isinstance(images, list) or not images:
        kind = "a plate; give the folder of one of its images, such as A/1/0" if "plate" in attributes else "no image"
        raise ImageError(path, f"is {kind}" if "plate" in attributes else "has no image of OME-Zarr (multiscales)")
    if len(images) > 1:
        remark_file(path, f"has {len(images)} images; the first is read")
    image = images[0]
    levels = [(str(level["path"]), level) for level in image["datasets"]]
    if not 1 <= len(levels) <= MAX_LEVELS:
        raise ImageError(path, f"states {len(levels)} resolutions")
    if reading.level >= len(levels):
        raise ImageError(path, f"has {counted(len(levels), 'resolution')}, so no level {reading.level}")
    letters = axes_in(image)
    arrays = [open_array(Path(path), name) for name, _ in levels]
    axes = [Axes.of(letters or DEFAULT_AXES[-array.ndim :], array.shape, path, reading.axes) for array in arrays]
    array, own = arrays[reading.level], axes[reading.level]
    rows = array.chunks[own.letters.index("y")]
    stack = stack_of_array(array, own, path, channel_names_of(attributes), step=int(rows))
    sizes = tuple(one.size for one in axes) if len(axes) > 1 else ()
    size = pixel_size_of(image, levels[reading.level][1])
    return Stack(**{**vars(stack), "levels": sizes, "pixel_size": size})


DEFAULT_AXES = "tczyx"  # of OME-NGFF before 0.4


def attributes_of(folder: Path) -> Mapping[str, Any]:
    """Returns the attributes of a group: of zarr 3 those below "ome"."""
    if (folder / "zarr.json").is_file():
        found = read_metadata(folder / "zarr.json").get("attributes", {})
        inner = found.get("ome", found)
        return inner if isinstance(inner, dict) else {}
    return read_metadata(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}


def read_metadata(file: Path) -> dict[str, Any]:
    """Returns a json object.

    Raises:
        ValueError: for another file, or one of more than `MAX_METADATA` bytes.
    """
    if file.stat().st_size > MAX_METADATA:
        raise ValueError(f"{file.name} has more than {MAX_METADATA} bytes")
    found = json.loads(file.read_bytes())
    if not isinstance(found, dict):
        raise ValueError(f"{file.name} is no json object")
    return found


def open_array(folder: Path, name: str) -> Any:
    """Opens an array of a group, read-only.

    Raises:
        ValueError: for a name that leaves the folder, or an array that is no plain numbers; or without zarr.
    """
    if os.path.isabs(name) or ".." in Path(name).parts or not (folder / name).is_dir():
        raise ValueError(f"{name!r} is no array inside of it")
    last = check_array(folder / name)
    zarr = need("zarr", "microscopy", "OME-Zarr")
    place = str(folder / name)
    array = zarr.open_array(checked_chunks(place, last) if last in STATED else place, mode="r")
    if array.dtype.kind not in "buif" or math.prod(array.chunks) * array.dtype.itemsize > MAX_CHUNK:
        raise ValueError(f"{name} has values of {array.dtype} in chunks of {array.chunks}")
    return array


def zstd_bytes(data: bytes) -> int:
    """Returns the number of bytes that a frame of Zstandard states (RFC 8878, 3.1.1.1); 0 if it states none."""
    flags = data[4] if len(data) > 4 else 0
    single, size = flags >> 5 & 1, (flags >> 5 & 1, 2, 4, 8)[flags >> 6]
    place = 6 - single + (0, 1, 2, 4)[flags & 3]
    return int.from_bytes(data[place : place + size], "little") + 256 * (size == 2)


# Codec -> the number of decoded bytes that a chunk states; decoders make room for as many.
STATED: dict[str, Callable[[bytes], int]] = {
    "blosc": lambda data: int.from_bytes(data[4:8], "little"),
    "lz4": lambda data: int.from_bytes(data[:4], "little"),
    "zstd": zstd_bytes,
}


def checked_chunks(folder: str, codec: str) -> Any:
    """Returns the store of an array, in which a chunk that is cut off, or states too many bytes, is an error."""
    from zarr.storage import LocalStore

    class CheckedChunks(LocalStore):
        async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
            found = await super().get(key, prototype, byte_range)
            if found is None or byte_range is not None or Path(key).name in DESCRIPTIONS:
                return found
            data = found.to_bytes()
            if (stated := STATED[codec](data)) > MAX_CHUNK:
                raise ValueError(f"chunk {key} states {stated} bytes")
            # Blosc reads on behind the end of a chunk
            if codec == "blosc" and (len(data) < BLOSC_HEADER or int.from_bytes(data[12:16], "little") > len(data)):
                raise ValueError(f"chunk {key} is cut off")
            return found

    return CheckedChunks(folder, read_only=True)


def check_array(folder: Path) -> str:
    """Checks the codecs of an array before zarr reads its description, and returns the name of the last one.

    Raises:
        ValueError: for one that is not in `CODECS`.
    """
    new = (folder / "zarr.json").is_file()
    description = read_metadata(folder / ("zarr.json" if new else ".zarray"))
    if new:
        used = codecs_in(description.get("codecs"))
        if description.get("storage_transformers"):
            raise ValueError("it has storage transformers")
    else:
        used = [entry["id"] for entry in (description.get("filters") or []) + [description.get("compressor")] if entry]
        if "O" in str(description.get("dtype")):
            raise ValueError("it has objects in place of numbers")
    if other := [str(name) for name in used if name not in CODECS]:
        raise ValueError(f"it has the codec {', '.join(other)}, which is not used here")
    return str(used[-1]) if used else ""


def codecs_in(codecs: Any) -> list[Any]:
    """Returns the names of codecs of zarr 3, with those inside of others."""
    found = []
    for codec in codecs if isinstance(codecs, list) else []:
        found.append(codec["name"])
        inside = codec.get("configuration") or {}
        found += codecs_in(inside.get("codecs")) + codecs_in(inside.get("index_codecs"))
    return found


def axes_in(image: Mapping[str, Any]) -> str:
    """Returns the letters of the axes; "" where they are not stated."""
    names = [axis["name"] if isinstance(axis, dict) else axis for axis in image.get("axes", [])]
    return "".join(str(name)[:1] for name in names)


def channel_names_of(attributes: Mapping[str, Any]) -> Sequence[str]:
    """Returns the names of the channels; none where they are not stated."""
    channels = (attributes.get("omero") or {}).get("channels") or []
    return [str(channel.get("label", "")) for channel in channels]


def pixel_size_of(image: Mapping[str, Any], level: Mapping[str, Any]) -> float | None:
    """Returns the side of a pixel of one resolution in micrometres; None where it is not stated."""
    axes = image.get("axes") or []
    place = next((i for i, axis in enumerate(axes) if isinstance(axis, dict) and axis.get("name") == "x"), None)
    factor = UNITS.get(str(axes[place].get("unit"))) if place is not None else None
    if place is None or factor is None:
        return None
    for transform in [*level.get("coordinateTransformations", []), *image.get("coordinateTransformations", [])]:
        if transform.get("type") == "scale":
            factor *= float(transform["scale"][place])
    return factor if factor > 0 else None
