"""``--formats csv`` of images: one table, and it goes on where the results file does."""

from __future__ import annotations

import csv
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.apps.cli.results_file import identity
from associative_embedding.apps.cli.table_file import OWN_TABLE, TableFile
from associative_embedding.instances import Instances
from support.found_instances import found
from support.random_people import made


def write(path: Path, results: list[Instances], done: set[str] | None = None) -> list[str]:
    with closing(TableFile(path, done)) as table:
        for result in results:
            table.add(result)
    with path.open(newline="") as file:
        return [row["image"] for row in csv.DictReader(file)]


def test_a_row_for_each_instance_and_a_header_for_none(tmp_path: Path) -> None:
    path = tmp_path / "new" / "t.csv"
    assert write(path, [made(2), made(0, "b.jpg"), made(1, "c, d.jpg")]) == ["a.jpg", "a.jpg", "c, d.jpg"]
    header = path.read_text().splitlines()[0]
    assert write(path, [made(0)]) == []
    assert path.read_text() == header + "\n"
    assert OWN_TABLE(path)


def test_without_an_image_an_earlier_table_stays(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", [made(1)])
    assert write(tmp_path / "t.csv", []) == ["a.jpg"]


def test_it_goes_on_with_the_rows_of_the_images_that_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "t.csv"
    write(path, [made(1), made(1, "x\ny.jpg"), made(2, "lost.jpg")])
    done = {identity("a.jpg"), identity("x\ny.jpg")}
    # "lost.jpg" is in the table, and was not in the results file when the process was killed
    assert write(path, [made(2, "lost.jpg"), made(1, "new.jpg")], done) == [
        "a.jpg",
        "x\ny.jpg",
        "lost.jpg",
        "lost.jpg",
        "new.jpg",
    ]


def test_images_of_other_channels_have_empty_cells(tmp_path: Path) -> None:
    cells = replace(found(2, masks=True), source="a.tif")
    grey = replace(cells, image=np.full((60, 80, 3), 7, np.uint8))
    deep = replace(cells, values=np.ones((60, 80, 1)), channel_names=("DAPI",), pixel_size=0.5)
    path = tmp_path / "t.csv"
    write(path, [grey, deep])
    with path.open(newline="") as file:
        first, _, third, _ = csv.DictReader(file)
    assert (first["mean_intensity"], first["mean_DAPI"], first["area_um2"]) == ("7", "", "")
    assert (third["mean_intensity"], third["mean_DAPI"], third["area_um2"]) == ("", "1", "49.75")
    assert write(path, [grey], {identity("a.tif")}) == ["a.tif"] * 6


def test_what_cannot_be_continued(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is missing, so it cannot be continued"):
        TableFile(tmp_path / "t.csv", {"a"})
    (tmp_path / "t.csv").write_text("image,class,score,x,y,width,height,area\n")
    with pytest.raises(ValueError, match="has other columns"):
        TableFile(tmp_path / "t.csv", {"a"}).add(made(1))
