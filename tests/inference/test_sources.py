"""Images, folders and videos from Python: each by one way, and a mix-up names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import associative_embedding as ae
from associative_embedding.inference.predictor import Predictor
from support.tiny import photo


@pytest.fixture
def run(model: str) -> Predictor:
    return ae.load(model, device="cpu")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(photo(seed=i)).save(folder / f"{i}.png")
    return folder


def test_a_folder_a_pattern_a_file_and_a_list_are_streamed(run: Predictor, photos: Path) -> None:
    expected = [str(photos / f"{i}.png") for i in range(3)]
    for sources in (photos, str(photos), f"{photos}/*.png", [str(path) for path in sorted(photos.iterdir())]):
        assert [found.source for found in run.stream(sources)] == expected
    assert len(list(run.stream(photos / "1.png"))) == 1
    assert [found.source for found in run(expected)] == expected


def test_what_a_call_does_not_read_names_what_does(run: Predictor, photos: Path) -> None:
    for source in (photos, str(photos)):
        with pytest.raises(ValueError, match=r"photos: is a folder; model\.stream reads the images of a folder"):
            run(source)
    with pytest.raises(ValueError, match=r"\*\.png: is a pattern; model\.stream"):
        run(f"{photos}/*.png")
    for read in (run, lambda source: list(run.stream(source))):
        with pytest.raises(ValueError, match=r"film\.mp4: is a video; model\.track reads its frames"):
            read(str(photos / "film.mp4"))
    with pytest.raises(ValueError, match=r"1\.png: is one image, and tracks need frames"):
        run.track(photos / "1.png")


def test_names_with_signs_of_patterns_are_files(run: Predictor, photos: Path) -> None:
    Image.fromarray(photo()).save(photos / "x[1].png")
    assert run(str(photos / "x[1].png")).source.endswith("x[1].png")


def test_a_folder_of_frames_is_tracked_by_its_path(run: Predictor, photos: Path) -> None:
    numbers = [frame.number for frame, _ in run.track(photos, clip=ae.Clip(every=2), link={"min_frames": 1})]
    assert numbers == [0, 2]


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_lowest_score_out_of_range(run: Predictor, value: float) -> None:
    with pytest.raises(ValueError, match=r"min_score must be in \[0, 1\], not"):
        run(photo(), min_score=value)


def test_tensors_and_channels_first_get_a_hint(run: Predictor) -> None:
    torch = pytest.importorskip("torch")
    first = np.ascontiguousarray(photo().transpose(2, 0, 1))
    with pytest.raises(ValueError, match=r"channels come last: array\.transpose\(1, 2, 0\)"):
        run(first)
    with pytest.raises(ValueError, match=r"of a tensor: tensor\.permute\(1, 2, 0\)\.cpu\(\)\.numpy\(\)"):
        run(torch.from_numpy(first))


def test_an_option_that_load_does_not_have(model: str) -> None:
    with pytest.raises(TypeError, match=r"load has no option conf; it has input_size, .*min_score is given with each"):
        ae.load(model, conf=0.5)
