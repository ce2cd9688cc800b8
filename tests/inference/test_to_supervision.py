"""What was found, as supervision and FiftyOne take it."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from associative_embedding.inference import to_fiftyone as to_fo
from associative_embedding.inference import to_supervision as to_sv
from associative_embedding.instances import Instances
from associative_embedding.structures.known_skeletons import LSP_14
from associative_embedding.structures.masks import Masks


def found(n: int = 2, *, masks: bool = False, tracks: bool = False) -> Instances:
    rng = np.random.default_rng(0)
    k = 0 if masks else len(LSP_14)
    keypoints = rng.uniform(1, 50, (n, k, 3)).astype(np.float32)
    keypoints[..., 2] /= 50
    if k:
        keypoints[:, 3] = 0
    labels = np.zeros((60, 80), int)
    labels[10:20, 30:50], labels[40:45, 0:5] = 1, 2
    labels[12, 31] = 0
    return Instances(
        score=np.linspace(0.9, 0.5, n).astype(np.float32),
        class_id=np.full(n, 1),
        tag=np.zeros((n, 1), np.float32),
        keypoints=keypoints,
        image_size=(60, 80),
        skeleton=None if masks else LSP_14,
        masks=Masks.from_labels(labels, n) if masks else None,
        track_id=np.array([7, -1])[:n] if tracks else None,
        class_names={1: "nucleus"} if masks else {},
    )


# ---- supervision


@pytest.fixture
def sv() -> Any:
    return pytest.importorskip("supervision", reason="needs the extra [supervision]")


@pytest.mark.parametrize("n", [0, 2])
def test_supervision_keypoints(n: int, sv: Any) -> None:
    people = found(n)
    result = to_sv.to_keypoints(people)
    assert isinstance(result, sv.KeyPoints)
    assert len(result) == n
    np.testing.assert_array_equal(result.xy, people.keypoints[..., :2])
    np.testing.assert_array_equal(result.keypoint_confidence, people.keypoints[..., 2])
    np.testing.assert_array_equal(result.detection_confidence, people.score)
    assert result.data["class_name"].tolist() == ["person"] * n
    assert not result.visible[:, 3].any()


def test_supervision_draws_them(sv: Any) -> None:
    """Its own annotators take them; what was not found is not drawn at 0, 0."""
    people = found(2)
    scene = sv.VertexAnnotator(radius=1, color=sv.Color.WHITE).annotate(
        np.zeros((60, 80, 3), np.uint8), to_sv.to_keypoints(people)
    )
    assert scene.any()
    assert not scene[0, 0].any()
    edges = (people.skeleton.edge_index + 1).tolist()  # type: ignore[union-attr]
    sv.EdgeAnnotator(edges=edges).annotate(scene, to_sv.to_keypoints(people))
    boxed = sv.BoxAnnotator().annotate(np.zeros((60, 80, 3), np.uint8), to_sv.to_detections(people))
    assert boxed.any()


def test_supervision_detections_with_masks_and_tracks(sv: Any) -> None:
    cells = found(2, masks=True, tracks=True)
    result = to_sv.to_detections(cells)
    assert isinstance(result, sv.Detections)
    np.testing.assert_array_equal(result.xyxy, [[30, 10, 50, 20], [0, 40, 5, 45]])
    assert result.mask.sum(axis=(1, 2)).tolist() == [199, 25]
    assert result.tracker_id.tolist() == [7, -1]
    assert result.data["class_name"].tolist() == ["nucleus"] * 2
    with pytest.raises(ValueError, match="no keypoints; to_detections takes masks"):
        to_sv.to_keypoints(cells)
    assert len(to_sv.to_detections(found(0))) == 0


@pytest.mark.parametrize(
    ("module", "call"),
    [("supervision", lambda: to_sv.to_keypoints(found())), ("fiftyone", lambda: to_fo.to_fiftyone("a.jpg", found()))],
)
def test_a_missing_extra_is_named(module: str, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"this needs {module}: pip install 'associative-embedding\[{module}\]'"):
        call()


# ---- FiftyOne


class Label(SimpleNamespace):
    """Keeps what it is given, as FiftyOne's labels and samples do, which need a database to be imported."""

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)


@pytest.fixture(params=["stub", "fiftyone"])
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
