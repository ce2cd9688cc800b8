"""MPII's annotation: a small file of the same nested structure, and the COCO json that is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from associative_embedding.apps.cli.main import main
from associative_embedding.data.preparation.mpii import mpii_to_coco
from associative_embedding.data.preparation.mpii_file import MpiiImage, read_mpii
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.structures.known_skeletons import MPII_16
from support.mpii_release import EMPTY, person, point, release, structs

W, H = 80, 60


ALL = [point(j, "1" if j % 2 else "0") for j in range(16)]
TWO = [
    person(ALL),
    person([point(9, EMPTY), point(8, EMPTY), point(0, 1), point(1, 0)], x1=EMPTY, objpos=EMPTY),
]
ONE = [person([point(3, 1)])]
TEST = [{"scale": 2.0, "objpos": structs([{"x": 300.0, "y": 200.0}])}]  # keypoints and heads are withheld
BARE = [{"scale": EMPTY, "objpos": EMPTY}]


def write(folder: Path, content: Any) -> Path:
    savemat(folder / "mpii.mat", {"RELEASE": content})
    return folder / "mpii.mat"


@pytest.fixture
def annotation(tmp_path: Path) -> Path:
    content = release([TWO, ONE, [], TEST, BARE], [1, 1, 1, 0, 0], [[], np.array([[1.0]]), [], np.array([[1.0]]), []])
    for i in range(5):
        Image.new("RGB", (W, H)).save(tmp_path / f"{i}.png")
    return write(tmp_path, content)


def test_reads_every_field(annotation: Path) -> None:
    images = read_mpii(annotation)
    assert [image.file_name for image in images] == [f"{i}.png" for i in range(5)]
    assert [image.train for image in images] == [True, True, True, False, False]
    assert [len(image.people) for image in images] == [2, 1, 0, 1, 1]
    first, second = images[0].people
    assert first.keypoints.tolist() == [[10.0 + j, 20.5 + j, 2 if j % 2 else 1] for j in range(16)]
    assert first.head_box == (12, 8, 42, 48)
    assert (first.objpos, first.scale, first.single) == ((30, 40), 1.5, False)
    assert images[1].people[0].single
    assert second.keypoints[:, 2].tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0]
    assert (second.head_box, second.objpos) == (None, None)
    hidden, bare = images[3].people[0], images[4].people[0]
    assert not hidden.keypoints.any()
    assert (hidden.head_box, hidden.objpos, hidden.scale, hidden.single) == (None, (300, 200), 2, True)
    assert (bare.head_box, bare.objpos, bare.scale, bare.single) == (None, None, None, False)


def test_one_image_alone(tmp_path: Path) -> None:
    """MATLAB's reader gives a structure of one element without its array, and a cell without its cell."""
    for single, expected in ((np.array([[2.0]]), [False, True]), (np.array([[1.0, 2.0]]), [True, True])):
        (image,) = read_mpii(write(tmp_path, release([TWO], [1], [single])))
        assert [p.single for p in image.people] == expected
    (image,) = read_mpii(write(tmp_path, release([[person(None)]], [0], [[]])))
    assert not image.people[0].keypoints.any()
    assert not image.people[0].single


@pytest.mark.parametrize("value", [0, 1, "0", "1", EMPTY, "", 0.0, 1.0, np.uint8(0), True, False])
def test_visibility_is_a_number_a_text_or_empty(value: Any, tmp_path: Path) -> None:
    (image,) = read_mpii(write(tmp_path, release([[person([point(4, value)])]], [1], [[]])))
    occluded = str(value) in ("0", "0.0", "False")
    assert image.people[0].keypoints[4, 2] == (1 if occluded else 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (release([ONE], [1, 0], [[]]), "must have the same length, not 1, 2 and 1"),
        (release([ONE, ONE], [1, 0], [[], [], []]), "must have the same length, not 2, 2 and 3"),
        ({"annolist": 3}, "'RELEASE' must be a structure with 'annolist' and 'img_train'"),
        (np.zeros(3), "'RELEASE' must be a structure"),
        (
            release([ONE, [person([point(16, 1)])]], [1, 1], [[], []]),
            "image 2, person 1: a keypoint must have 'x', 'y'",
        ),
        (release([[person([point(3, 1, float("nan"))])]], [1], [[]]), "image 1, person 1: 'x', 'y' must be finite"),
        (release([[person(ALL, scale="big")]], [1], [[]]), "image 1, person 1: 'scale' must be finite numbers"),
        (release([ONE], [1], [[]], annolist=structs([{"image": EMPTY}])), "image 1: 'image.name' must be a text"),
        *(
            (
                release([ONE], [1], [[]], annolist=structs([{"image": structs([{"name": name}])}])),
                "must be a file in the",
            )
            for name in ("../a.jpg", "/a.jpg", "C:\\a.jpg")
        ),
    ],
)
def test_refuses(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_mpii(write(tmp_path, content))
    assert str(caught.value).startswith(str(tmp_path / "mpii.mat"))
    assert "\n" not in str(caught.value)


def test_refuses_other_files(tmp_path: Path) -> None:
    savemat(tmp_path / "other.mat", {"groups": [1]})
    (tmp_path / "text.mat").write_text("no matrix")
    for name in ("other", "text"):
        with pytest.raises(ValueError, match=rf"{name}\.mat: not a MATLAB file with 'RELEASE'"):
            read_mpii(tmp_path / f"{name}.mat")
    with pytest.raises(FileNotFoundError):
        read_mpii(tmp_path / "none.mat")


def by_image(dataset: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    return {i["id"]: [a for a in dataset["annotations"] if a["image_id"] == i["id"]] for i in dataset["images"]}


def test_as_coco(annotation: Path, tmp_path: Path) -> None:
    dataset = mpii_to_coco(read_mpii(annotation), tmp_path)
    place = {"mpii_index": 3, "mpii_train": False, "mpii_single": [0]}
    assert dataset["images"][3] == {"id": 4, "file_name": "3.png", "width": W, "height": H, **place}
    assert dataset["images"][0]["mpii_single"] == []
    assert dataset["info"]["mpii_left_out"] == []
    assert [c["keypoints"] for c in dataset["categories"]] == [list(MPII_16.keypoints)]
    rows = by_image(dataset)
    assert {key: len(value) for key, value in rows.items()} == {1: 2, 2: 1, 3: 0, 4: 1, 5: 0}
    first, second = rows[1]
    assert (first["head_box"], first["objpos"], first["scale"]) == ((12, 8, 42, 48), (30, 40), 1.5)
    assert first["bbox"] == [10, 8, 32, 40]  # around the keypoints and the head
    assert first["area"] == pytest.approx(0.53 * 32 * 40)
    assert (first["mpii_person"], second["mpii_person"]) == (0, 1)
    assert "head_box" not in second
    assert second["num_keypoints"] == 4
    assert rows[4][0]["bbox"] == [100, 0, 400, 400]  # 200 x the scale, around the position
    assert rows[4][0]["num_keypoints"] == 0
    assert [row["id"] for row in dataset["annotations"]] == [1, 2, 3, 4]


@pytest.mark.parametrize(("part", "ids"), [("train", [1, 2, 3]), ("test", [4, 5]), ("all", [1, 2, 3, 4, 5])])
def test_parts(part: Any, ids: list[int], annotation: Path, tmp_path: Path) -> None:
    assert [i["id"] for i in mpii_to_coco(read_mpii(annotation), tmp_path, part=part)["images"]] == ids


def test_images_that_are_not_there_are_left_out(annotation: Path, tmp_path: Path) -> None:
    (tmp_path / "0.png").unlink()
    dataset = mpii_to_coco(read_mpii(annotation), tmp_path)
    assert [i["mpii_index"] for i in dataset["images"]] == [1, 2, 3, 4]
    assert dataset["info"]["mpii_left_out"] == [{"mpii_index": 0, "mpii_train": True, "mpii_single": []}]
    (tmp_path / "1.png").write_text("text")
    with pytest.raises(ValueError, match=r"1\.png: not an image"):
        mpii_to_coco(read_mpii(annotation), tmp_path)
    with pytest.raises(ValueError, match="none of the 1 images of this part is there"):
        mpii_to_coco([MpiiImage("x.png", True, ())], tmp_path, part="train")


def test_the_command_writes_what_training_reads(
    annotation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "2.png").unlink()
    output = tmp_path / "out" / "train.json"
    command = ["data", "mpii", str(annotation), "--images", str(tmp_path), "--output", str(output), "--part", "train"]
    assert main(command) == 0
    expected = f"{output}: 2 images, 3 people with labels; 1 are not in {tmp_path} and were left out\n"
    assert capsys.readouterr().out == expected
    data = CocoKeypoints(str(output), str(tmp_path), MPII_16)
    assert [len(data[i].keypoints) for i in range(2)] == [2, 1]
    np.testing.assert_allclose(data[0].keypoints[0], read_mpii(annotation)[0].people[0].keypoints)
    assert json.loads(output.read_text())["annotations"][0]["head_box"] == [12, 8, 42, 48]


def test_a_place_that_cannot_be_written_is_noticed_first(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "mpii", "none.mat", "--images", "x", "--output", str(tmp_path)]) == 1
    assert capfd.readouterr().err.startswith(f"ae: error: cannot write {tmp_path}: ")
