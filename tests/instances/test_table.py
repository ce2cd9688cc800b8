"""Results as tables."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.instances.table import columns_of
from support.found_instances import found


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_people_are_rows_with_boxes_and_keypoints() -> None:
    people = replace(found(2, tracks=True), source="a, b.jpg")
    first, second = rows_of(people.to_csv())
    assert (first["image"], first["class"], first["track_id"], second["track_id"]) == ("a, b.jpg", "person", "7", "-1")
    assert float(first["score"]) == pytest.approx(0.9)
    assert [float(first[key]) for key in ("x", "y", "width", "height")] == pytest.approx(people.xywh[0], abs=1e-3)
    names = people.skeleton.keypoints  # type: ignore[union-attr]
    assert [float(second[f"{names[0]}_{part}"]) for part in ("x", "y", "score")] == pytest.approx(
        people.keypoints[1, 0], abs=1e-3
    )


def test_a_keypoint_that_was_not_found_is_empty_and_not_zero() -> None:
    people = found(1)
    name = people.skeleton.keypoints[3]  # type: ignore[union-attr]
    (row,) = rows_of(people.to_csv())
    assert (row[f"{name}_x"], row[f"{name}_y"], row[f"{name}_score"]) == ("", "", "0")
    assert np.isnan(columns_of(people)[f"{name}_x"]).all()


def test_masks_have_areas() -> None:
    assert [row["area"] for row in rows_of(found(2, masks=True).to_csv())] == ["199", "25"]


def test_nothing_found_is_a_line_of_names(tmp_path: Path) -> None:
    text = found(0).to_csv()
    assert text.startswith("image,class,score,x,y,width,height,")
    assert text.count("\n") == 1
    found(0).save(str(tmp_path / "a.csv"))
    assert (tmp_path / "a.csv").read_text() == text


@pytest.mark.extra
def test_a_data_frame_has_the_same_columns() -> None:
    pytest.importorskip("pandas", reason="needs pandas")
    people = found(2)
    frame = people.to_pandas()
    assert list(frame.columns) == list(columns_of(people))
    np.testing.assert_array_equal(frame["score"], people.score)
    assert frame["x"].dtype == np.float32


def test_a_missing_pandas_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ValueError, match=r"a DataFrame needs pandas: pip install 'associative-embedding\[notebook\]'"):
        found(1).to_pandas()
