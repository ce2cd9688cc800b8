"""Results files are whole, valid COCO, and never in the way of each other."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.apps.cli.results_file import ResultsWriter, files_of_others
from associative_embedding.instances import Instances
from associative_embedding.io import files as output
from support.paths import ROOT
from support.random_people import made


def add_all(path: Path, results: Iterator[Instances]) -> None:
    with ResultsWriter(path) as writer:
        for result in results:
            writer.add(result)


def test_writer_writes_first_and_last(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with ResultsWriter(path) as writer:
        writer.add(made(1))
        assert len(json.loads(path.read_text())["images"]) == 1
        writer.add(made(1, "b.jpg"))
        assert len(json.loads(path.read_text())["images"]) == 1  # not before the interval is over
    document = json.loads(path.read_text())
    assert [image["file_name"] for image in document["images"]] == ["a.jpg", "b.jpg"]
    with ResultsWriter(tmp_path / "empty.json"):
        pass
    assert json.loads((tmp_path / "empty.json").read_text())["images"] == []


def test_writer_writes_at_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    path = tmp_path / "r.json"
    writer = ResultsWriter(path, interval=30)
    counts = []
    for step in (0.0, 20.0, 20.0, 20.0, 20.0):
        now[0] += step
        writer.add(made(1))
        counts.append(len(json.loads(path.read_text())["images"]))
    assert counts == [1, 1, 3, 3, 5]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_writer_keeps_what_was_computed(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "r.json"

    def compute() -> Iterator[Instances]:
        yield made(1)
        yield made(2)
        raise error

    with pytest.raises(error):
        add_all(path, compute())
    assert len(json.loads(path.read_text())["annotations"]) == 3


def test_writer_loses_nothing_for_a_bad_result(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    bad = made(1, "bad.jpg")
    bad.keypoints[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not a json document"):
        add_all(path, iter([made(1), made(2), bad]))
    assert len(json.loads(path.read_text())["annotations"]) == 3


def test_writer_fails_with_the_first_result(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^cannot write"):
        ResultsWriter(tmp_path / "file" / "r.json").add(made(1))


def test_writer_without_results_keeps_an_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    add_all(path, iter([made(2)]))
    before = path.read_bytes()
    add_all(path, iter([]))
    assert path.read_bytes() == before
    add_all(tmp_path / "new.json", iter([]))
    assert json.loads((tmp_path / "new.json").read_text())["images"] == []


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[2])
from support.random_people import made
from associative_embedding.apps.cli.results_file import ResultsWriter
with ResultsWriter(sys.argv[1], interval=0) as writer:
    while True:
        writer.add(made(5))
"""


def test_kill_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path), str(ROOT / "tests")])
    deadline = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    document = json.loads(path.read_text())
    assert len(document["annotations"]) == 5 * len(document["images"]) > 0


def test_the_entry_of_an_image_names_its_files(tmp_path: Path) -> None:
    with ResultsWriter(tmp_path / "r.json") as writer:
        writer.add(made(1), {"picture": tmp_path / "out" / "a.jpg"})
        writer.add(made(1, "b.jpg"))
    document = json.loads((tmp_path / "r.json").read_text())
    assert [image.get("picture") for image in document["images"]] == ["out/a.jpg", None]
    others = files_of_others(document, tmp_path, ["b.jpg"])
    assert others == [tmp_path / "out" / "a.jpg"]
    assert files_of_others(document, tmp_path, ["a.jpg", "b.jpg"]) == []


def test_planes_of_an_image_are_added_together(tmp_path: Path) -> None:
    """Else --resume would take an image for done whose last planes a killed process had not written."""
    path = tmp_path / "r.json"
    writer = ResultsWriter(path)
    writer.add_planes([made(1, "s.tif#t1"), made(2, "s.tif#t2")], [{}, {}])
    assert [image["file_name"] for image in json.loads(path.read_text())["images"]] == ["s.tif#t1", "s.tif#t2"]
    good = made(1, "bad.tif#t1")
    with pytest.raises(ValueError, match="json"):
        writer.add_planes([good, replace(good, score=np.full(1, np.nan))], [{}, {}])
    writer.write()
    assert len(json.loads(path.read_text())["images"]) == 2
