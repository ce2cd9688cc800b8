"""What was found, as FiftyOne takes it."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from associative_embedding.instances import to_fiftyone as to_fo
from support.found_instances import found


class Label(SimpleNamespace):
    """Keeps what it is given, as FiftyOne's labels and samples do, which need a database to be imported."""

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)


@pytest.fixture(params=["stub", pytest.param("fiftyone", marks=pytest.mark.extra)])
def fo(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "fiftyone":
        return pytest.importorskip("fiftyone", reason="needs the extra [fiftyone], too heavy for this project's tests")
    stub = SimpleNamespace(Sample=Label, Detection=Label, Detections=Label, Keypoint=Label, Keypoints=Label)
    monkeypatch.setitem(sys.modules, "fiftyone", stub)  # type: ignore[arg-type]
    return stub


def test_fiftyone_sample(fo: Any) -> None:
    people = found(2, tracks=True)
    sample = to_fo.to_fiftyone("/x/a.jpg", people)
    assert sample.filepath == "/x/a.jpg"
    boxes = np.array([label.bounding_box for label in sample.detections.detections])
    np.testing.assert_allclose(boxes * [80, 60, 80, 60], people.xywh, rtol=1e-5)
    for label, keypoints in zip(sample.keypoints.keypoints, people.keypoints, strict=True):
        assert label.label == "person"
        points = np.array(label.points)
        assert math.isnan(points[3, 0])
        seen = keypoints[:, 2] > 0
        np.testing.assert_allclose(points[seen] * [80, 60], keypoints[seen, :2], rtol=1e-5)
        np.testing.assert_allclose(label.confidence, keypoints[:, 2], rtol=1e-6)
    assert sample.detections.detections[0].index == 7
    assert sample.detections.detections[0].confidence == pytest.approx(0.9)


def test_fiftyone_masks(fo: Any) -> None:
    cells = found(2, masks=True)
    first, second = to_fo.to_fiftyone("/x/a.jpg", cells).detections.detections
    np.testing.assert_allclose(np.multiply(first.bounding_box, [80, 60, 80, 60]), [30, 10, 20, 10])
    assert first.mask.shape == (10, 20)
    assert first.mask.sum() == 199
    assert second.label == "nucleus"
