"""One image's result as one row of a parquet file.

``path``, ``width``, ``height`` (pixels), ``instances`` (a list: ``score``, ``category_id``, ``bbox`` x, y, width,
height, ``keypoints`` x, y, score triples, ``segmentation`` COCO's run-length text or null), and ``error``, null or the
one line that says why the image could not be looked at. The values are those of `Instances.to_coco`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from associative_embedding.instances import Instances
from associative_embedding.io.console import one_line

Row = dict[str, Any]


def found_row(path: str, found: Instances) -> Row:
    """The row of an image that was looked at."""
    height, width = found.image_size
    instances = [
        {
            "score": entry["score"],
            "category_id": entry["category_id"],
            "bbox": entry["bbox"],
            "keypoints": entry.get("keypoints"),
            "segmentation": entry["segmentation"]["counts"] if "segmentation" in entry else None,
        }
        for entry in found.to_coco()
    ]
    return {"path": path, "width": int(width), "height": int(height), "instances": instances, "error": None}


def failed_row(path: str, error: Exception) -> Row:
    """The row of an image that could not be."""
    text = one_line(error)
    if path not in text:
        text = f"{path}: {text.removeprefix('image: ')}"
    return {"path": path, "width": None, "height": None, "instances": None, "error": text}


def schema() -> Any:
    """pyarrow's."""
    import pyarrow as pa

    numbers = pa.list_(pa.float32())
    instance = pa.struct(
        [
            ("score", pa.float32()),
            ("category_id", pa.int32()),
            ("bbox", numbers),
            ("keypoints", numbers),
            ("segmentation", pa.string()),
        ]
    )
    return pa.schema(
        [
            ("path", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("instances", pa.list_(instance)),
            ("error", pa.string()),
        ]
    )


def to_parquet(rows: Sequence[Row], notes: Mapping[str, Any]) -> bytes:
    """A parquet file.

    Args:
        notes: what the file says of itself, for json; under the key ``associative_embedding`` of its metadata.
    """
    import pyarrow as pa
    from pyarrow import parquet

    metadata = {"associative_embedding": json.dumps(dict(notes))}
    table = pa.Table.from_pylist(list(rows), schema=schema().with_metadata(metadata))
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
