"""Every shipped model with every command: a sensible result, or one clear line and another exit status than 0."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import associative_embedding as ae
from associative_embedding.apps.cli.main import main
from associative_embedding.instances import Instances
from associative_embedding.io.console import remark
from associative_embedding.model_files.find import shipped_models
from associative_embedding.structures.arrays import Array

pytestmark = [pytest.mark.slow, pytest.mark.extra, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings

PEOPLE = ("person", "person-fast")
ONE, CELLS = "single-person", "nuclei"
TASK = {ONE: "single-person", CELLS: "segmentation"}
MODELS = (*PEOPLE, ONE, CELLS)
models = pytest.mark.parametrize("model", MODELS)


def test_these_are_all_shipped_models() -> None:
    assert set(MODELS) == set(shipped_models())


# ---- what the models run on: one woman; disks that look like nuclei


@pytest.fixture(scope="module")
def woman() -> Array:
    data = pytest.importorskip("skimage.data", reason="needs scikit-image")
    return np.asarray(data.astronaut()[::2, ::2])  # 256 x 256 pixels


@pytest.fixture(scope="module")
def disks() -> Array:
    image = np.full((160, 200, 3), 20, np.uint8)
    for x, y in ((40, 40), (120, 50), (70, 110), (150, 120)):
        cv2.circle(image, (x, y), 14, (150, 150, 150), -1)
    return cv2.GaussianBlur(image, (5, 5), 1)


@pytest.fixture
def image(model: str, woman: Array, disks: Array) -> Array:
    return disks if model == CELLS else woman


@pytest.fixture
def photo(image: Array, tmp_path: Path) -> str:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), image[:, :, ::-1])
    return str(path)


@pytest.fixture
def frames(image: Array, tmp_path: Path) -> str:
    """A folder of four frames, in which everything moves by two pixels."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(4):
        cv2.imwrite(str(folder / f"{i}.png"), np.roll(image, 2 * i, axis=1)[:, :, ::-1])
    return str(folder)


@pytest.fixture
def annotations(model: str, photo: str, image: Array, tmp_path: Path) -> str:
    """What the model itself finds, as the truth."""
    predictor = ae.load(model)
    found = predictor(image)
    found = found[found.score >= predictor.task.shown_score]
    rows = [{**row, "id": i, "iscrowd": 0, "track_id": i} for i, row in enumerate(found.to_coco(1), start=1)]
    for row in rows:
        if "keypoints" in row:  # visibilities in place of scores
            keypoints = np.reshape(row["keypoints"], (-1, 3))
            row["keypoints"] = np.where(keypoints[:, 2:] > 0, [1, 1, 0] * keypoints + [0, 0, 2], 0).ravel().tolist()
    entry = {"id": 1, "file_name": "photo.png", "height": image.shape[0], "width": image.shape[1]}
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"images": [entry], "annotations": rows, "categories": predictor.task.categories}))
    return str(path)


def check_found(model: str, found: list[dict[str, Any]] | Instances) -> None:
    """The woman first, with her nose, or the four disks."""
    rows = found.to_coco(1) if isinstance(found, Instances) else found
    if model == CELLS:
        assert len(rows) == 4
        assert all(20 < side < 36 for row in rows for side in row["bbox"][2:])
        assert all(row["segmentation"] for row in rows)
    else:
        # `person` finds a part of her a second time, with a low score
        assert len(rows) in ((1, 2) if model == "person" else (1,))
        assert rows[0]["keypoints"][:2] == pytest.approx([112, 60], abs=8)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return str(line)


def annotations_in(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())["annotations"]  # type: ignore[no-any-return]


def frames_in(path: Path) -> list[dict[str, Any]]:
    """The lines of a video's results, without the first, which describes the video."""
    return [json.loads(line) for line in path.read_text().splitlines()][1:]


# ---- Python and the commands


@models
def test_python(model: str, image: Array, capsys: pytest.CaptureFixture[str]) -> None:
    predictor = ae.load(model)
    found = predictor(image)
    check_found(model, found[found.score >= predictor.task.shown_score])
    assert predictor(np.zeros((8, 300, 3), np.uint8)).image_size == (8, 300)
    assert capsys.readouterr().err == ""


@models
def test_info(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", model]) == 0
    assert model in capsys.readouterr().out


@models
def test_predict(model: str, photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remark.cache_clear()  # a remark is printed once in a process
    assert main(["predict", photo, "--model", model, "--output", str(tmp_path / "out")]) == 0
    check_found(model, annotations_in(tmp_path / "out" / "predictions.json"))
    remarks = capsys.readouterr().err
    assert ("takes each image for a crop of one person" in remarks) == (model == ONE)


@models
def test_predict_with_tags_shown(model: str, photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["predict", photo, "--model", model, "--output", str(tmp_path / "out"), "--show", "tags"])
    if model == ONE:
        assert status == 1
        assert "predicts no tags" in capsys.readouterr().err
    else:
        assert status == 0
        check_found(model, annotations_in(tmp_path / "out" / "predictions.json"))


@models
def test_predict_with_refinement(model: str, photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ["--output", str(tmp_path / "out")]
    status = main(["predict", photo, "--model", model, *output, "--refine", "single-person"])
    if model in PEOPLE:
        assert status == 0
        check_found(model, annotations_in(tmp_path / "out" / "predictions.json"))
    else:
        assert status == 1
        assert one_line(capsys) == f"ae: error: only a model of the task pose can be refined, not one of {TASK[model]}"


@models
@pytest.mark.parametrize("form", ["jsonl", "csv", "mot", "mp4"])
def test_track(model: str, form: str, frames: str, tmp_path: Path) -> None:
    arguments = ["--model", model, "--output", str(tmp_path / "out"), "--track", "--formats", form]
    assert main(["predict", frames, *arguments, "--link", "{min_frames: 1}"]) == 0
    (path,) = (tmp_path / "out").iterdir()
    if form == "jsonl":
        tracks = [sorted(row["track_id"] for row in frame["annotations"]) for frame in frames_in(path)]
        assert tracks == [tracks[0]] * 4
        assert tracks[0] in {CELLS: ([1, 2, 3, 4],), "person": ([1], [1, 2])}.get(model, ([1],))
    else:
        assert path.stat().st_size > 100


@models
def test_video(model: str, frames: str, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs the extra [video]")
    assert main(["predict", frames, "--model", model, "--output", str(tmp_path / "a"), "--track"]) == 0
    (film,) = (tmp_path / "a").glob("*.mp4")
    assert main(["predict", str(film), "--model", model, "--output", str(tmp_path / "b"), "--show", "nothing"]) == 0
    (path,) = (tmp_path / "b").glob("*.jsonl")
    assert len(frames_in(path)) == 4


@models
def test_options_of_videos_that_do_not_fit(
    model: str, frames: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", frames, "--model", model, "--output", str(tmp_path / "out"), "--track", "--formats", "csv"]
    assert main([*arguments, "--smooth", "2"]) == (2 if model == CELLS else 0)
    assert ("--smooth works only for models that find keypoints" in capsys.readouterr().err) == (model == CELLS)
    assert main([*arguments, "--link", "{by: tags}"]) == (2 if model == ONE else 0)
    assert ("predicts no tags: by must be motion" in capsys.readouterr().err) == (model == ONE)


@models
def test_evaluate(model: str, annotations: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--annotations", annotations, "--images", str(tmp_path), "--json", str(tmp_path / "numbers.json")]
    status = main(["evaluate", "--model", model, *arguments])
    if model == ONE:
        assert status == 1
        assert "does not find the people of an image; evaluate a pose model with --refine" in one_line(capsys)
    else:
        assert status == 0
        assert json.loads((tmp_path / "numbers.json").read_text())["metrics"]["AP"] == pytest.approx(1)


@models
@pytest.mark.parametrize("option", ["--track", "--ablation", "--truth_detections"])
def test_evaluate_in_other_ways(
    model: str, option: str, annotations: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--annotations", annotations, "--images", str(tmp_path), option]
    if option == "--ablation" and model in PEOPLE:
        arguments += ["--scales", "1", "0.5"]  # person-fast has one, of which there is nothing to compare
    status = main(["evaluate", "--model", model, *arguments])
    if model in PEOPLE:
        assert status == 0
    elif option == "--ablation" and TASK[model] == "segmentation":
        assert status == 0
        assert "single scale (1; mirror)" in capsys.readouterr().out
    else:
        assert status == 1
        assert f"a model of the task {TASK[model]} does not find the people of an image" in one_line(capsys)


@models
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_export_and_predict(model: str, form: str, photo: str, tmp_path: Path) -> None:
    pytest.importorskip(form if form == "openvino" else "onnxruntime", reason=f"needs the extra [{form}]")
    path = tmp_path / ("model.onnx" if form == "onnx" else "model.xml")
    assert main(["export", model, "--format", form, "--output", str(path)]) == 0
    assert main(["predict", photo, "--model", str(path), "--output", str(tmp_path / "out")]) == 0
    check_found(model, annotations_in(tmp_path / "out" / "predictions.json"))


@models
def test_export_with_peaks(model: str, photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    path = str(tmp_path / "model.onnx")
    status = main(["export", model, "--format", "onnx", "--output", path, "--with-peaks"])
    if model in PEOPLE:
        assert status == 0
        assert main(["predict", photo, "--model", path, "--scales", "1", "--output", str(tmp_path / "out")]) == 0
        check_found(model, annotations_in(tmp_path / "out" / "predictions.json"))
    else:
        assert status == 1
        assert "peaks are of poses" in one_line(capsys)


@models
def test_service(model: str, photo: str) -> None:
    pytest.importorskip("fastapi", reason="needs the extra [serve]")
    pytest.importorskip("httpx", reason="needs httpx")
    from fastapi.testclient import TestClient

    from associative_embedding.apps.server.service import create_app

    with TestClient(create_app(partial(ae.load, model)), base_url="http://localhost") as client:
        assert client.get("/health").json()["status"] == "ok"
        assert client.get("/").status_code == 200
        answer = client.post("/predict", content=Path(photo).read_bytes())
        assert answer.status_code == 200
        check_found(model, answer.json()["annotations"])
        assert client.post("/predict?format=picture", content=Path(photo).read_bytes()).status_code == 200


@models
def test_cluster(model: str, photo: str, tmp_path: Path, one_worker: Callable[[], None]) -> None:
    dataset = pytest.importorskip("pyarrow.dataset")
    output = tmp_path / "results.parquet"
    arguments = ["--engine", "ray", "--workers", "1", "--device", "cpu", "--output", str(output)]
    assert main(["predict", photo, "--model", model, *arguments]) == 0
    (row,) = dataset.dataset(output, format="parquet").to_table().to_pylist()
    assert row["error"] is None
    check_found(model, row["instances"])


@pytest.fixture(scope="module")
def one_worker() -> Any:
    """One Ray of one CPU for all models: starting it takes seconds."""
    pytest.importorskip("ray", reason="needs the extra [ray]")
    from associative_embedding.apps.cluster.predict import ray_runtime

    with ray_runtime(1):
        yield
