"""Instances -> a file: json, table, picture or label image."""

from __future__ import annotations

from pathlib import Path

from associative_embedding.instances.coco import coco_dataset
from associative_embedding.instances.found import Found
from associative_embedding.instances.table import save_csv
from associative_embedding.instances.to_geojson import to_geojson
from associative_embedding.instances.to_imagej import to_imagej
from associative_embedding.io.files import atomic_write, write_json
from associative_embedding.io.outputs import marked
from associative_embedding.io.write_images import IMAGE_OPTIONS, write_image, write_labels

COMMAND = "ae predict"  # in the mark of a GeoJSON file


def save_instances(instances: Found, path: str | Path) -> None:
    """Writes the result for one image: a COCO dataset, a table, an annotated picture, or a label image.

    Args:
        instances: the result.
        path: ``.json`` = COCO dataset. ``.csv`` = a row for each instance (`table.columns_of`). ``.geojson`` = outlines
            for QuPath, ``.zip`` = regions for ImageJ, both of masks. An extension in `IMAGE_OPTIONS` = annotated
            picture; but for masks, ``.tif`` and ``.tiff`` = label image, in which the pixels of the first instance are
            1, of the second 2 ..., and of the background 0 (see `write_labels` and `Masks.labels`).

    Raises:
        ValueError: for another extension, or for a picture when the instances keep no image.
        OSError: see `atomic_write`.
    """
    extension = Path(path).suffix.lower()
    if extension == ".json":
        write_json(path, coco_dataset([instances]))
    elif extension == ".csv":
        save_csv(instances, path)
    elif extension == ".geojson":
        write_json(path, marked(to_geojson(instances), COMMAND))
    elif extension == ".zip":
        atomic_write(path, to_imagej(instances))
    elif instances.masks is not None and extension in (".tif", ".tiff"):  # before pictures, which include .tif
        write_labels(path, instances.masks.labels(), pixel_size=instances.pixel_size)
    elif extension in IMAGE_OPTIONS:
        write_image(path, instances.draw())
    else:
        others = ", ".join([".geojson", ".zip", *IMAGE_OPTIONS])
        raise ValueError(f"cannot save {path}: the extension must be .json, .csv or one of {others}")
