"""Large jobs by Ray Data on two local workers: equal results, failures as rows, restarts, a worker that is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import associative_embedding as ae
from associative_embedding.apps.cli.main import main
from associative_embedding.apps.cluster.job import MANIFEST
from support.noise import write_noise
from support.tiny import tiny_model

pytest.importorskip("ray", reason="needs Ray Data: pip install 'associative-embedding[ray]'")
dataset = pytest.importorskip("pyarrow.dataset")
parquet = pytest.importorskip("pyarrow.parquet")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.extra,
    pytest.mark.filterwarnings("ignore"),
]  # Ray's own, and of its processes at exit


@pytest.fixture(scope="module", autouse=True)
def two_workers() -> Iterator[None]:
    """One Ray of two CPUs for all tests: starting it takes seconds."""
    from associative_embedding.apps.cluster.predict import ray_runtime

    with ray_runtime(2):
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures of noise of two sizes, and a file that is none."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(24):
        write_noise(folder / f"{number:02d}.png", number)
    (folder / "05-bad.png").write_bytes(b"no picture")
    return folder


def predict(output: Path, model: str, *arguments: Any) -> int:
    engine = ["--engine", "ray", "--workers", "2", "--shard-size", "4", "--device", "cpu"]
    return main(["predict", *map(str, arguments), *engine, "--model", model, "--output", str(output)])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, model: str, images: Path) -> Path:
    output = tmp_path_factory.mktemp("results") / "results.parquet"
    assert predict(output, model, images) == 1  # one image failed
    return output


def rows_of(output: Path) -> list[dict[str, Any]]:
    return dataset.dataset(output, format="parquet").to_table().to_pylist()  # type: ignore[no-any-return]


def stamps(output: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in output.glob("*.parquet")}


def test_results_are_those_of_the_predictor(results: Path, model: str, images: Path) -> None:
    rows = rows_of(results)
    assert [row["path"] for row in rows] == sorted(map(str, images.iterdir()))
    predictor = ae.load(model)
    for row in rows:
        if row["error"]:
            continue
        found = predictor(row["path"])
        found = found[found.score >= predictor.task.shown_score]
        assert (row["height"], row["width"]) == found.image_size
        assert len(row["instances"]) == len(found) > 0
        for instance, expected in zip(row["instances"], found.to_coco(), strict=True):
            assert instance["segmentation"] is None
            assert instance["category_id"] == expected["category_id"]
            for key in ("score", "bbox", "keypoints"):
                np.testing.assert_allclose(instance[key], expected[key], atol=1e-3)


def test_a_failed_image_is_a_row(results: Path) -> None:
    (row,) = [row for row in rows_of(results) if row["error"]]
    assert row["path"].endswith("05-bad.png")
    assert row["error"] == f"{row['path']}: is not an image of a known format"
    assert row["instances"] is row["width"] is row["height"] is None


def test_files_say_what_they_are(results: Path, model: str) -> None:
    manifest = json.loads((results / MANIFEST).read_text())
    assert manifest["images"] == 25
    assert manifest["categories"] == ae.load(model).task.categories
    for path in results.glob("part-*.parquet"):
        metadata = parquet.read_schema(path).metadata[b"associative_embedding"]
        assert json.loads(metadata) == manifest


def test_a_restart_does_only_what_is_missing(
    results: Path, model: str, images: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before, rows = stamps(results), rows_of(results)
    assert len(before) == 7
    assert predict(results, model, images) == 1
    assert stamps(results) == before
    for name in ("part-000001.parquet", "part-000006.parquet"):
        (results / name).unlink()
    capfd.readouterr()
    assert predict(results, model, images) == 1
    assert f"5 of 7 shards are in {results} already" in capfd.readouterr().out
    after = stamps(results)
    assert after.keys() == before.keys()
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"part-000001.parquet", "part-000006.parquet"}
    assert rows_of(results) == rows


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--flip"], "the results there have other flip; continue with the same command, or choose another --output"),
        (["--shard-size", "5"], "the results there have other shard_size;"),
        (["--min-score", "0.5"], "the results there have other min_score;"),
    ],
)
def test_a_restart_with_other_settings_is_refused(
    arguments: list[str], message: str, results: Path, model: str, images: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = ["--engine", "ray", "--model", model, "--output", str(results), "--device", "cpu"]
    before = stamps(results)
    assert main(["predict", str(images), *output, "--shard-size", "4", *arguments]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line
    assert stamps(results) == before


def test_other_images_or_another_model_are_refused(
    results: Path, model: str, images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert predict(results, model, images / "0*.png") == 1
    assert "the results there have other images, list_sha256;" in capfd.readouterr().err
    other = tiny_model(tmp_path / "model.safetensors", backbone="mobilenet_v2", input_size=96, tag_size=4)
    assert predict(results, other, images) == 1
    assert "the results there have other models;" in capfd.readouterr().err


def children(parent: int) -> Iterator[tuple[int, str]]:
    """Process ids and titles of what descends from a process."""
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                yield int(folder.name), (folder / "cmdline").read_text().replace("\0", " ").strip()
                yield from children(int(folder.name))
        except OSError:  # it ended meanwhile
            continue


def kill_a_worker(output: Path, killed: list[int]) -> None:
    """As soon as a shard is done, SIGKILL for a worker, in the middle of another one."""
    deadline = time.monotonic() + 200
    while not stamps(output) and time.monotonic() < deadline:
        time.sleep(0.005)
    workers = [pid for pid, title in children(os.getpid()) if "ray::" in title and "Worker" in title]
    for pid in workers[:1]:
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)


def test_a_killed_worker_loses_nothing(
    results: Path, model: str, images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output, killed = tmp_path / "results.parquet", list[int]()
    thread = threading.Thread(target=kill_a_worker, args=(output, killed))
    thread.start()
    status = predict(output, model, images)
    left = len(killed)
    thread.join()
    assert left == 1, "the worker was not killed while it worked"
    assert status == 1
    assert rows_of(output) == rows_of(results)
