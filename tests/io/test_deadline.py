"""Work in a process that can be ended."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from associative_embedding.data.label_formats.convert import convert_labels
from associative_embedding.io.deadline import within

pytestmark = pytest.mark.slow


def test_the_result_comes_back() -> None:
    assert within(60, "a", json.loads, '{"a": [1, 2]}') == {"a": [1, 2]}


def test_an_endless_loop_is_ended() -> None:
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"a\.slp: is not read within 1 seconds"):
        within(1, "a.slp", time.sleep, 600)
    assert time.monotonic() - start < 60


def test_a_crash_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"a\.slp: cannot be read: the library for it ended with status -?\d+"):
        within(60, "a.slp", os.abort)


def test_errors_come_back_as_they_are() -> None:
    with pytest.raises(ValueError, match="Expecting property name"):
        within(60, "a", json.loads, "{")
    with pytest.raises(OSError, match="No such file"):
        within(60, "a", os.stat, "/no/such/file")


@pytest.mark.extra
def test_sleap_is_read_so(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="needs the extra [sleap]")
    from support.sleap_files import build

    made = convert_labels(str(build(tmp_path / "a.slp")), "sleap", "coco", str(tmp_path / "a.json"))
    assert len(json.loads(made.read_text())["annotations"]) == 2
    (tmp_path / "b.slp").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"b\.slp: cannot read the labels \(not an HDF5 file\)"):
        convert_labels(str(tmp_path / "b.slp"), "sleap", "coco", str(tmp_path / "b.json"))
    with pytest.raises(ValueError, match=r"cannot read the labels \(not a file\)"):
        convert_labels(str(tmp_path), "sleap", "coco", str(tmp_path / "b.json"))
