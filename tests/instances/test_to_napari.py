"""Layers of napari; napari itself is not needed."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from support.found_instances import found


class Layer:
    def __init__(self, data: Any, **options: Any) -> None:
        self.data, self.options = data, options


@pytest.fixture
def napari(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("napari.layers")
    module.Labels = type("Labels", (Layer,), {})  # type: ignore[attr-defined]
    module.Image = type("Image", (Layer,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "napari", ModuleType("napari"))
    monkeypatch.setitem(sys.modules, "napari.layers", module)


@pytest.mark.usefixtures("napari")
def test_the_image_and_labels_with_features() -> None:
    cells = found(2, masks=True)
    (labels,) = cells.to_napari()
    assert np.array_equal(labels.data, cells.masks.labels())  # type: ignore[union-attr]
    assert list(labels.options["features"]["index"]) == [1, 2]
    assert list(labels.options["features"]["area"]) == [199, 25]
    assert "scale" not in labels.options
    image, labels = replace(cells, image=np.zeros((60, 80, 3), np.uint8), pixel_size=0.5, source="a.tif").to_napari()
    assert image.options["rgb"]
    assert image.options["scale"] == labels.options["scale"] == (0.5, 0.5)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "napari.layers", None)
    with pytest.raises(ValueError, match="napari"):
        found(2, masks=True).to_napari()
    with pytest.raises(ValueError, match="no masks"):
        found(2).to_napari()
