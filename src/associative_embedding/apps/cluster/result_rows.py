"""The result of one image as one row of a parquet file.

The columns are ``path``; ``width`` and ``height`` in pixels; ``instances``, a list; and ``error``, one line for an
image that failed, else null. An instance has ``score``, ``category_id``, ``bbox`` (x, y, width, height), ``keypoints``
(x, y, score of each) and ``segmentation`` (COCO's run-length text, or null), with the values of `Instances.to_coco`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from associative_embedding.instances import Instances
from associative_embedding.io.console import one_line
from associative_embedding.io.files import utf8_name

Row = dict[str, Any]


def found_row(path: str, found: Instances) -> Row:
    """Returns the row of an image."""
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
    return {"path": utf8_name(path), "width": int(width), "height": int(height), "instances": instances, "error": None}


def failed_row(path: str, error: Exception) -> Row:
    """Returns the row of an image that failed."""
    text = one_line(error)
    # Errors of the network do not contain the path, errors of reading do.
    if path not in text:
        text = f"{path}: {text.removeprefix('image: ')}"
    return {"path": utf8_name(path), "width": None, "height": None, "instances": None, "error": utf8_name(text)}


def schema() -> Any:
    """Returns the columns and their types, as a pyarrow schema."""
    import pyarrow as pa

    # Stated, not inferred: a shard whose images all fail has only nulls, and its columns would get the type null.
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
    """Returns the bytes of a parquet file.

    Args:
        rows: the results.
        notes: settings of the job, stored as json under the key ``associative_embedding`` of the file's metadata.
    """
    import pyarrow as pa
    from pyarrow import parquet

    metadata = {"associative_embedding": json.dumps(dict(notes))}
    table = pa.Table.from_pylist(list(rows), schema=schema().with_metadata(metadata))
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
