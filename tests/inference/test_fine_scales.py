"""The smallest scale first, and the larger ones only where somebody is small (`Options.fine_below`).

The oracles are the plain ways: the smallest scale alone, and all scales always.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from associative_embedding.apps.cli.main import main
from associative_embedding.inference.load import load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.io.images import read_image
from associative_embedding.model_files.checkpoint import load_model, save_model
from associative_embedding.model_files.describe import model_summary, summary_lines
from associative_embedding.model_files.find import model_path
from associative_embedding.structures.arrays import Array
from support.paths import ROOT
from support.tiny import tiny_model

NEVER, ALWAYS = 1, 4096  # pixels: nobody is smaller than the first, everybody smaller than the second
BLANK = np.full((240, 320, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def surfers() -> Array:
    return read_image(ROOT / "docs/images/surfers.jpg")


def person(**options: Any) -> Predictor:
    return load("person", refine="none", **{"scales": (1.0, 0.5), "decode": {"min_score": 0.0}, **options})


def equal(first: Instances, second: Instances) -> bool:
    return np.array_equal(first.keypoints, second.keypoints) and np.array_equal(first.score, second.score)


def test_large_people_are_found_at_the_smallest_scale_alone(surfers: Array) -> None:
    found = person(fine_below=NEVER).find(surfers)
    assert len(found) > 3
    assert equal(found, person(scales=(0.5,)).find(surfers))


def test_all_scales_run_for_small_people(surfers: Array) -> None:
    found = person(fine_below=ALWAYS).find(surfers)
    assert equal(found, person().find(surfers))  # with scales stated, all run
    assert not equal(found, person(fine_below=NEVER).find(surfers))


def test_a_side_is_measured_in_pixels_of_the_smallest_input(surfers: Array) -> None:
    model = person(fine_below=NEVER)
    sides = model.find(surfers).xywh[:, 2:].max(axis=1) * 256 / max(surfers.shape)
    shortest = float(sides.min())
    for below, count in ((int(shortest), 1), (int(shortest) + 1, 2)):
        assert [len(o) for o in person(fine_below=below).run_network([model.prepare(surfers)])] == [count]


def test_all_scales_run_where_nobody_is_found() -> None:
    model = person(fine_below=NEVER)
    assert [len(outputs) for outputs in model.run_network([model.prepare(BLANK)])] == [2]


def test_every_image_of_a_batch_has_its_own_scales(surfers: Array) -> None:
    model = person(fine_below=NEVER)
    size = BLANK.shape[:2]
    images = [BLANK, np.ascontiguousarray(surfers[: size[0], : size[1]]), surfers]
    together = model.run_network([model.prepare(image) for image in images])
    alone = [model.run_network([model.prepare(image)])[0] for image in images]
    assert list(map(len, together)) == list(map(len, alone)) == [2, 1, 1]
    for first, second in zip(together, alone, strict=True):
        assert equal(model.decode(first).instances, model.decode(second).instances)


def test_a_stream_and_the_maps_that_are_shown_follow_the_same_rule(surfers: Array) -> None:
    model = person(fine_below=NEVER)
    (streamed,) = model.stream([surfers], min_score=0)
    assert equal(streamed, model(surfers, min_score=0))
    decoded, maps, geometry = model.explain(surfers)
    assert len(decoded.instances) == len(streamed)
    assert max(geometry.map_size) * geometry.stride == 256
    assert maps.heatmap.shape[2:] == geometry.map_size


def test_other_decode_settings_read_the_same_maps(surfers: Array) -> None:
    """A service keeps the maps of an image for requests with other settings."""
    model = person(fine_below=NEVER)
    other = model.with_decode(threshold=0.99)
    assert len(other.find(surfers)) == 0
    assert [len(outputs) for outputs in other.run_network([other.prepare(surfers)])] == [1]


def test_tracks_compare_tags_of_one_length(surfers: Array, tmp_path: Path) -> None:
    """One size runs for the first frame and two for the second; their tags would have 4 and 8 numbers."""
    smaller = np.full_like(surfers, 128)
    half = surfers[::2, ::2]
    smaller[: half.shape[0], : half.shape[1]] = half
    for number, frame in enumerate((surfers, smaller)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame[:, :, ::-1])
    sides = person(fine_below=NEVER).find(surfers).xywh[:, 2:].max(axis=1) * 256 / max(surfers.shape)
    network, info = load_model(model_path("person"))
    file = tmp_path / "m.safetensors"
    save_model(file, network, replace(info, scales=(1.0, 0.5), fine_below=int(sides.min())))
    model = load(file, refine="none", decode={"min_score": 0.0})
    assert [len(model.run_network([model.prepare(image)])[0]) for image in (surfers, smaller)] == [1, 2]
    tracked = [found for _, found in model.track(str(tmp_path / "*.png"), min_score=0)]
    assert [found.tag.shape[1] for found in tracked] == [8, 8]
    assert all(equal(a, b) for a, b in zip(tracked, person().stream([surfers, smaller], min_score=0), strict=True))


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_tracks_refuse_it(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"predict": [str(tmp_path)], "evaluate": ["--annotations", "a.json", "--images", str(tmp_path)]}
    assert main([command, *files[command], "--track", "--fine_below", "40"]) != 0
    with pytest.raises(ValueError, match="so all scales run; leave it out"):
        load("person", fine_below=40).track(str(tmp_path))
    assert "fine_below: tracks compare tags of all frames, so all scales run; leave it out" in capsys.readouterr().err


def test_whoever_states_scales_gets_all_of_them() -> None:
    assert load("person").fine_below > 0
    assert load("person", scales=(1.0, 0.5)).fine_below == load("person", tag_scales=(1.0,)).fine_below == 0
    assert load("person", scales=(1.0, 0.5), fine_below=40).settings["fine_below"] == 40
    assert load("person", fine_below=0).fine_below == 0


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("person", {"fine_below": -1}, r"fine_below -1 is not within 0\.\.4096 pixels"),
        ("person", {"fine_below": 5000}, r"fine_below 5000 is not within 0\.\.4096 pixels"),
        (
            "person",
            {"fine_below": 40, "scales": (1.0,)},
            "among several scales, and there is one: leave it out, or state 0",
        ),
        ("person", {"fine_below": 40, "tag_scales": (1.0,)}, r"needs the tags of the smallest scale, 0\.625, too"),
        ("nuclei", {"fine_below": 40, "scales": (1.0, 0.5)}, "only models of this project that find people"),
        ("single-person", {"fine_below": 40}, "only models of this project that find people"),
    ],
)
def test_options_that_do_nothing_are_refused(model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(model, **options)


def test_a_model_file_that_cannot_start_small_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A foreign file states it for one scale, or without the tags of the smallest; `fine_below=0` is the way out."""
    network, info = load_model(tiny_model(tmp_path / "m.safetensors", input_size=96))
    for name, changes, text in (
        ("one", {}, "there is one: leave it out, or state 0"),
        ("tags", {"scales": (1.0, 0.5), "tag_scales": (1.0,)}, "needs the tags of the smallest scale, 0.5, too"),
    ):
        file = tmp_path / f"{name}.safetensors"
        save_model(file, network, replace(info, fine_below=30, **changes))  # type: ignore[arg-type]
        cv2.imwrite(str(tmp_path / "a.png"), BLANK)
        command = ["predict", str(tmp_path / "a.png"), "--model", str(file), "--output", str(tmp_path / "found")]
        assert main(command) != 0
        assert text in capsys.readouterr().err
        assert main([*command, "--fine_below", "0"]) == 0


def test_a_model_file_states_it(tmp_path: Path) -> None:
    file = tiny_model(tmp_path / "m.safetensors", backbone="mobilenet_v2", input_size=96, scales=(1.0, 0.5))
    network, info = load_model(file)
    assert "fine_below" not in info.to_json()  # the file reads as those of earlier versions
    save_model(file, network, replace(info, fine_below=30))
    assert load_model(file)[1].fine_below == load(file).fine_below == 30
    text = "96 px on the long side, times 1 0.5; all of them only where somebody has less than 30 px at the smallest"
    assert text in "\n".join(summary_lines(model_summary(file)))
