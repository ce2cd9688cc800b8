"""``--formats csv`` of images: one table, and it goes on where the results file does."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from associative_embedding.apps.cli.results_file import identity
from associative_embedding.apps.cli.table_file import OWN_TABLE, TableFile
from associative_embedding.instances import Instances
from support.random_people import made


def write(path: Path, results: list[Instances], done: set[str] | None = None) -> list[str]:
    with TableFile(path, done) as table:
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


def test_what_cannot_be_continued(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is missing, so it cannot be continued"):
        TableFile(tmp_path / "t.csv", {"a"})
    (tmp_path / "t.csv").write_text("image,class,score,x,y,width,height,area\n")
    with pytest.raises(ValueError, match="has other columns"):
        TableFile(tmp_path / "t.csv", {"a"}).add(made(1))
