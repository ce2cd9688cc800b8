"""DeepLabCut's labels as it writes them (by its documentation)."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from associative_embedding.data.label_formats.deeplabcut import read_deeplabcut
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.structures.skeleton import Skeleton
from support.label_data import people_of


def deeplabcut(folder: Path, text: str, config: str | None = None) -> Path:
    video = folder / "labeled-data" / "film"
    video.mkdir(parents=True)
    (video / "CollectedData_me.csv").write_text(text)
    cv2.imwrite(str(video / "img0.png"), np.zeros((60, 80, 3), np.uint8))
    if config is not None:
        (folder / "config.yaml").write_text(config)
    return folder


def test_deeplabcut_one_animal(tmp_path: Path) -> None:
    """Whole coordinates are the centres of pixels there."""
    text = "scorer,me,me,me,me\nbodyparts,nose,nose,tail,tail\ncoords,x,y,x,y\nlabeled-data\\film\\img0.png,10,20.5,,\n"
    folder = deeplabcut(tmp_path, text, "skeleton:\n- - nose\n  - tail\n- - nose\n  - wing\n")
    found = read_deeplabcut(folder)
    assert people_of(found) == {"labeled-data/film/img0.png": [("animal", {"nose": (10.5, 21, 2)}, [10.5, 21, 0, 0])]}
    assert (found["images"][0]["width"], found["images"][0]["height"]) == (80, 60)
    skeleton = Skeleton.from_category(found["categories"][0])
    assert (skeleton.keypoints, skeleton.edges) == (("nose", "tail"), (("nose", "tail"),))
    (tmp_path / "a.json").write_text(json.dumps(found))
    assert len(CocoKeypoints(str(tmp_path / "a.json"), str(folder), skeleton)) == 1


def test_deeplabcut_several_animals_and_what_is_of_none(tmp_path: Path) -> None:
    text = (
        "scorer,,,me,me,me,me,me,me\nindividuals,,,a,a,b,b,single,single\nbodyparts,,,nose,nose,nose,nose,door,door\n"
        "coords,,,x,y,x,y,x,y\nlabeled-data,film,img0.png,1,2,3,4,5,6\nlabeled-data,film,img1.png,,,7,8,NaN,nan\n"
    )
    found = read_deeplabcut(deeplabcut(tmp_path, text) / "labeled-data" / "film" / "CollectedData_me.csv")
    assert people_of(found) == {
        "labeled-data/film/img0.png": [
            ("animal", {"nose": (1.5, 2.5, 2)}, [1.5, 2.5, 0, 0]),
            ("animal", {"nose": (3.5, 4.5, 2)}, [3.5, 4.5, 0, 0]),
            ("single", {"door": (5.5, 6.5, 2)}, [5.5, 6.5, 0, 0]),
        ],
        "labeled-data/film/img1.png": [("animal", {"nose": (7.5, 8.5, 2)}, [7.5, 8.5, 0, 0])],
    }
    assert "width" not in found["images"][1]  # it is not there


def test_deeplabcut_a_row_with_more_cells_than_columns_is_refused(tmp_path: Path) -> None:
    """Commas in numbers would move all values behind them to other body parts."""
    file = tmp_path / "CollectedData_me.csv"
    file.write_text("scorer,me,me,me,me\nbodyparts,a,a,b,b\ncoords,x,y,x,y\nlabeled-data/f/a.png,1,5,2,5,3,4\n")
    with pytest.raises(ValueError, match=r"me.csv: line 4: has 7 cells, not 5; has it decimal commas\?"):
        read_deeplabcut(file)
