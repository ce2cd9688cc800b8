"""A COCO json of videos is split in time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from associative_embedding.apps.cli.main import main
from associative_embedding.data.preparation.split import split_coco
from associative_embedding.io.outputs import marked


def test_the_end_of_a_video_is_split_off(videos_json: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(Path(videos_json).read_text())
    start, end = split_coco(document, 0.25)
    assert [image["id"] for image in start["images"]] == list(range(1, 10))
    assert {row["image_id"] for row in end["annotations"]} == {10, 11, 12}
    assert len(start["annotations"]) + len(end["annotations"]) == len(document["annotations"])
    assert main(["data", "split", videos_json, "--output", str(tmp_path), "--last", "0.25"]) == 0
    assert json.loads((tmp_path / "test.json").read_text()) == marked(end, "ae data split")
    for wrong in ("0", "1", "2", "0.001"):
        assert main(["data", "split", videos_json, "--output", str(tmp_path), "--last", wrong]) == 1
    assert "leaves a part without any" in capsys.readouterr().err


def test_frames_are_split_in_time_whatever_their_order(videos_json: str) -> None:
    document = json.loads(Path(videos_json).read_text())
    mixed = {**document, "images": document["images"][::2] + document["images"][::-2]}
    assert [image["id"] for image in split_coco(mixed, 0.25)[1]["images"]] == [10, 11, 12]
    for image in mixed["images"]:  # no frame number: the order of the file counts
        del image["frame"]
    assert split_coco(mixed, 0.25)[1]["images"] == mixed["images"][-3:]


@pytest.mark.parametrize("wrong", [[1], None, 0.5, True, {}], ids=repr)
def test_images_without_an_integer_id_are_one_line(
    videos_json: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: object
) -> None:
    document = json.loads(Path(videos_json).read_text())
    document["images"][0]["id"] = wrong
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(document))
    assert main(["data", "split", str(path), "--output", str(tmp_path), "--last", "0.5"]) == 1
    assert f"ae: error: {path}: image: 'id' must be an integer" in capsys.readouterr().err
