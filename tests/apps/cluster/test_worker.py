"""One worker of a large job, without Ray: what it writes, and what it says when nothing can be done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from associative_embedding.apps.cluster.job import Job, check_manifest, part_name, prepare_job
from associative_embedding.apps.cluster.worker import ShardWorker, find_in_batch
from associative_embedding.inference.options import Options
from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.images import read_image
from associative_embedding.io.object_stores import names_in
from associative_embedding.model_files.find import model_digest
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.single_person.task import SinglePersonTask
from support.noise import write_noise
from support.tiny import FIGURE, tiny_model

pytestmark = pytest.mark.extra

parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow (extra ray)")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, model: str) -> Job:
    folder = tmp_path_factory.mktemp("worker")
    return Job(folder=str(folder / "results"), model=model, digests={model: model_digest(model)})


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Five pictures of two sizes; one between them is none."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(5):
        write_noise(folder / f"{number}.png", number)
    (folder / "2-bad.png").write_bytes(b"no picture")
    return sorted(map(str, folder.iterdir()))


def rows_of(job: Job, shard: int = 0) -> list[dict[str, Any]]:
    return parquet.read_table(Path(job.folder) / part_name(shard)).to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("batch", [2, 4, 100])
def test_batches_change_nothing(job: Job, paths: list[str], batch: int) -> None:
    alone, together = replace(job, batch=1), replace(job, batch=batch, folder=f"{job.folder}-{batch}")
    for each in (alone, together):
        result = ShardWorker(each).predict_shard(0, paths)
        assert (result["images"], len(result["errors"]), result["fault"]) == (6, 1, "")
    for one, two in zip(rows_of(alone), rows_of(together), strict=True):
        assert {key: one[key] for key in ("path", "width", "height", "error")} == {
            key: two[key] for key in ("path", "width", "height", "error")
        }
        for a, b in zip(one["instances"] or [], two["instances"] or [], strict=True):
            np.testing.assert_allclose(a["keypoints"], b["keypoints"], atol=1e-3)
            assert a["score"] == pytest.approx(b["score"], abs=1e-4)


def test_paths_are_as_given_whatever_the_folder_and_store(job: Job, paths: list[str]) -> None:
    base = str(Path(paths[0]).parent)
    given = [Path(paths[0]).name, Path(paths[1]).as_uri(), "nowhere.png", "file:///nowhere.png"]
    ShardWorker(replace(job, base=base)).predict_shard(1, given)
    rows = rows_of(job, 1)
    assert [row["path"] for row in rows] == given
    assert [row["error"] is None for row in rows] == [True, True, False, False]
    assert rows[3]["error"] == "file:///nowhere.png: no such file or folder"


@pytest.mark.parametrize("batch", [1, 3])
def test_an_image_that_the_network_fails_on_is_one_row(
    job: Job, paths: list[str], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Predictor.run_network

    def failing(self: Predictor, batch: Any) -> Any:
        if any(geometry.image_size[1] == 64 for inputs in batch for _, geometry in inputs):
            raise torch.OutOfMemoryError("out of\nmemory")
        return original(self, batch)

    monkeypatch.setattr(Predictor, "run_network", failing)
    assert ShardWorker(replace(job, batch=batch)).predict_shard(2, paths)["fault"] == ""
    errors = {Path(row["path"]).name: row["error"] for row in rows_of(job, 2)}
    assert [name for name, error in errors.items() if error] == ["1.png", "2-bad.png", "3.png"]
    assert errors["1.png"] == f"{paths[1]}: out of memory"


def test_when_nothing_can_be_done_it_says_so(job: Job, paths: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for wrong, message in (
        (replace(job, folder=str(tmp_path / "file")), "cannot write"),
        (replace(job, digests={job.model: "0" * 64}), "the file on this machine differs from the job"),
        (replace(job, digests={}, model="nobody"), "is neither a shipped model"),
    ):
        fault = ShardWorker(wrong).predict_shard(0, paths)["fault"]
        assert message in fault
        assert "\n" not in fault


def test_masks_are_run_lengths(job: Job, tmp_path: Path) -> None:
    """A model that finds masks writes the counts that COCO's tools read."""
    from associative_embedding.structures.run_lengths import decode_runs

    image = np.full((96, 96, 3), 20, np.uint8)
    for x, y in ((25, 25), (70, 60), (30, 75)):
        cv2.circle(image, (x, y), 10, (200, 200, 200), -1)
    cv2.imwrite(str(tmp_path / "cells.png"), cv2.GaussianBlur(image, (5, 5), 1))
    nuclei = Job(folder=str(tmp_path / "results"), model="nuclei")
    assert ShardWorker(nuclei).predict_shard(0, [str(tmp_path / "cells.png")])["fault"] == ""
    (row,) = rows_of(nuclei)
    assert row["error"] is None
    for instance in row["instances"]:
        assert instance["keypoints"] is None
        assert decode_runs({"size": [row["height"], row["width"]], "counts": instance["segmentation"]}, (96, 96)).any()
    assert row["instances"]


def test_a_manifest_is_compared(job: Job, paths: list[str], tmp_path: Path) -> None:
    job = prepare_job(replace(job, folder=str(tmp_path / "results")), paths, 4)
    for _ in range(2):  # writes it, finds it
        check_manifest(job, names_in(job.folder))
    with pytest.raises(ValueError, match="the results there have other shard_size;"):
        check_manifest(prepare_job(job, paths, 5), names_in(job.folder))
    (tmp_path / "results" / "_manifest.json").write_text("[")
    with pytest.raises(ValueError, match=r"_manifest.json: not a json file"):
        check_manifest(job, names_in(job.folder))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.jpg").touch()
    with pytest.raises(ValueError, match="contains other files"):
        check_manifest(replace(job, folder=str(tmp_path / "other")), {"photo.jpg"})


@pytest.mark.parametrize(("name", "value"), [("refine_size", 96), ("fine_below", 40), ("fine_below", 0)])
def test_a_job_of_before_has_no_note_of_later_options(job: Job, name: str, value: int) -> None:
    """A job that does not state one can be continued from an older version's folder."""
    assert name not in prepare_job(job, ["a.jpg"], 4).notes
    stated = replace(job, model="person", options=Options(**{name: value}), digests={})
    assert prepare_job(stated, ["a.jpg"], 4).notes[name] == value


def test_who_cannot_be_shown_is_not_looked_at_again(job: Job, paths: list[str], tmp_path: Path) -> None:
    second = tiny_model(tmp_path / "second.safetensors", task=SinglePersonTask(FIGURE), tag_size=0)
    predictor = replace(job, options=Options(refine=second)).load()
    assert predictor.refiner is not None
    looked, crops = predictor.refiner.keypoints_in, list[int]()

    def counted(image: Array, boxes: Array) -> Array:
        crops.append(len(boxes))
        return looked(image, boxes)

    predictor.refiner.keypoints_in = counted  # type: ignore[method-assign]
    image = read_image(paths[0])
    for least in (0.0, 1.0):
        (row,) = find_in_batch(predictor, [(paths[0], image)], least)
        assert row["error"] is None
    assert crops[0] == len(predictor.decode(predictor.run_network([predictor.prepare(image)])[0]).instances)
    assert sum(crops[1:]) < crops[0]


def test_all_of_a_jobs_models_are_those_that_were_meant(job: Job, tmp_path: Path) -> None:
    """The model of the second look too, whether it is asked for, the model's own, or left out."""
    shipped = replace(job, model="person", digests={})
    for refine, second in ((None, ["single-person"]), ("single-person", ["single-person"]), ("none", [])):
        digests = prepare_job(replace(shipped, options=Options(refine=refine)), ["a.jpg"], 4).digests
        assert digests == {name: model_digest(name) for name in ["person", *second]}
    own = tiny_model(tmp_path / "second.safetensors", task=SinglePersonTask(FIGURE), tag_size=0)
    assert list(prepare_job(replace(job, options=Options(refine=own)), ["a.jpg"], 4).digests) == [job.model, own]
