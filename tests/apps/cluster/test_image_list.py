"""Which images a large job looks at, and files behind URIs."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from associative_embedding.apps.cli.main import main
from associative_embedding.apps.cluster.image_list import cut_into_shards, list_digest, list_images, sorted_once

needs_pyarrow = pytest.mark.skipif(not find_spec("pyarrow"), reason="needs pyarrow (extra ray)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.jpg", "inner/c.png"):
        (tmp_path / "images" / name).parent.mkdir(exist_ok=True, parents=True)
        cv2.imwrite(str(tmp_path / "images" / name), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path / "images"


def test_shards_are_a_function_of_the_sorted_list() -> None:
    paths = sorted_once(["c", "a", "b", "a"])
    assert list(cut_into_shards(paths, 2)) == [(0, ["a", "b"]), (1, ["c"])]
    assert list_digest(paths) == list_digest(["a", "b", "c"]) != list_digest(["ab", "c"])


@pytest.mark.extra
@needs_pyarrow
def test_a_store_is_listed_as_a_folder_is(folder: Path) -> None:
    uri = folder.as_uri()
    assert list_images(uri, recursive=False) == [f"{uri}/a.jpg", f"{uri}/b.png"]
    assert list_images(uri, recursive=True) == [f"{uri}/a.jpg", f"{uri}/b.png", f"{uri}/inner/c.png"]
    assert list_images(f"{uri}/a.jpg", recursive=False) == [f"{uri}/a.jpg"]
    assert list_images(str(folder), recursive=False) == [str(folder / "a.jpg"), str(folder / "b.png")]


@pytest.mark.extra
@needs_pyarrow
def test_a_parquet_of_paths(folder: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = tmp_path / "paths.parquet"
    parquet.write_table(pa.table({"path": ["x.jpg", "s3://b/y.png"], "other": [1, 2]}), table)
    for source in (str(table), table.as_uri()):
        assert list_images(source, recursive=False) == ["x.jpg", "s3://b/y.png"]
    for columns, message in (
        ({"file": ["x"]}, "paths.parquet: has no column 'path', only file"),
        ({"path": [1]}, "the column 'path' must contain one text per image"),
        ({"path": ["x", None]}, "the column 'path' must contain one text per image"),
        ({"path": pa.array([], pa.string())}, "at least one"),
    ):
        parquet.write_table(pa.table(columns), table)
        with pytest.raises(ValueError, match=message):
            list_images(str(table), recursive=False)
    table.write_bytes(b"PAR1 but not really")
    with pytest.raises(ValueError, match=r"paths.parquet: ") as caught:
        list_images(str(table), recursive=False)
    assert "\n" not in str(caught.value)


@pytest.mark.extra
@needs_pyarrow
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gopher://a/b", "gopher://a/b: no such store"),
        ("file:///nowhere/at/all", "contains no image"),
        ("s3://bucket/*/a?", "an object store has no patterns"),
        ("nowhere.parquet", "nowhere.parquet: "),
    ],
)
def test_a_source_without_images_gets_one_line(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")) as caught:
        list_images(source, recursive=False)
    assert "\n" not in str(caught.value)


# --- the command line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "2"], "--workers needs --engine ray"),
        (["--engine", "ray", "--show", "tags"], "--show has no effect with --engine ray"),
        (["--engine", "ray", "--track"], "--track has no effect with --engine ray"),
        (["--engine", "ray", "--workers", "0"], "workers must be 1 or more, not 0"),
        (["--engine", "ray", "--shard-size", "0"], "shard_size must be 1 or more, not 0"),
        (["--engine", "ray", "--batch", "0"], "batch must be 1 or more, not 0"),
        (["--engine", "ray", "--gpus", "0"], "gpus must be positive, not 0"),
        (["--engine", "ray", "--device", "cuda:1"], "--device cuda:1: Ray chooses the GPU of each worker"),
        (["--engine", "spark"], "engine: must be one of 'here', 'ray', not 'spark'"),
    ],
)
def test_wrong_options_get_one_line(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "a.jpg", *arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line


def test_without_ray_it_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    output = ["--output", str(tmp_path / "r.parquet")]
    assert main(["predict", str(folder), "--engine", "ray", "--device", "cpu", *output]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith("pip install 'associative-embedding[ray]'")
    assert not (tmp_path / "r.parquet").exists()


@pytest.mark.extra
def test_somebody_elses_folder_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="needs Ray Data (extra ray)")
    assert main(["predict", str(folder), "--engine", "ray", "--device", "cpu", "--output", str(folder)]) == 1
    assert "contains other files than results of ae predict --engine ray" in capfd.readouterr().err
    assert {path.name for path in folder.iterdir()} == {"a.jpg", "b.png", "inner", "notes.txt"}
