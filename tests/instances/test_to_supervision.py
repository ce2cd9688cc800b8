"""What was found, as supervision and FiftyOne take it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from associative_embedding.instances import to_fiftyone as to_fo
from associative_embedding.instances import to_supervision as to_sv
from support.found_instances import found

# ---- supervision


@pytest.fixture
def sv() -> Any:
    return pytest.importorskip("supervision", reason="needs the extra [supervision]")


@pytest.mark.extra
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


@pytest.mark.extra
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


@pytest.mark.extra
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


@pytest.mark.extra
def test_a_result_knows_its_container(sv: Any) -> None:
    assert isinstance(found(2).to_supervision(), sv.KeyPoints)
    assert isinstance(found(2, masks=True).to_supervision(), sv.Detections)


# ---- FiftyOne
