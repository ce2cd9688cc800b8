"""Outlines and measurements as GeoJSON, for QuPath."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.io.outputs import own_json
from associative_embedding.structures.masks import Masks
from support.found_instances import found


def ring_area(ring: list[list[int]]) -> float:
    x, y = np.array(ring[:-1]).T
    return float(abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2)


def test_detections_have_outlines_classes_and_measurements(tmp_path: Path) -> None:
    cells = found(2, masks=True)
    cells.save(str(tmp_path / "a.geojson"))
    document = json.loads((tmp_path / "a.geojson").read_text())
    assert own_json("ae predict")(tmp_path / "a.geojson")
    assert document["type"] == "FeatureCollection"
    first, second = document["features"]
    assert first["type"] == "Feature"
    assert first["properties"]["objectType"] == "detection"
    assert first["properties"]["classification"]["name"] == "nucleus"
    assert len(first["properties"]["classification"]["color"]) == 3
    measured = first["properties"]["measurements"]
    assert (measured["label"], measured["area"], measured["score"]) == (1, 199, pytest.approx(0.9))
    outer, hole = first["geometry"]["coordinates"]
    assert (ring_area(outer), ring_area(hole)) == (200, 1)
    (ring,) = second["geometry"]["coordinates"]
    assert (second["geometry"]["type"], ring[0], len(ring)) == ("Polygon", ring[-1], 5)
    assert sorted(ring[:-1]) == [[0, 40], [0, 45], [5, 40], [5, 45]]


def test_objects_in_parts_and_without_pixels() -> None:
    cells = found(2, masks=True)
    labels = cells.masks.labels()  # type: ignore[union-attr]
    labels[labels == 1], labels[labels == 2] = 0, 0
    labels[5:7, 5:7], labels[9:12, 5:7] = 1, 1
    (feature,) = replace(cells, masks=Masks.from_labels(labels, 2)).to_geojson()["features"]
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert [ring_area(polygon[0]) for polygon in feature["geometry"]["coordinates"]] == [4, 6]


def test_people_have_no_outlines(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no masks"):
        found(2).to_geojson()
    with pytest.raises(ValueError, match="no masks"):
        found(2).save(str(tmp_path / "a.geojson"))
