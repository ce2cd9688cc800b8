"""The task tracking: pairs of frames, one tag loss over both, and who is who on drawn figures that walk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from associative_embedding.apps.cli.main import main
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.readers.frame_pairs import FramePairs
from associative_embedding.data.settings import SourceConfig
from associative_embedding.model_files.checkpoint import load_model
from associative_embedding.tasks.pose.task import PoseTask
from associative_embedding.tasks.single_person.task import SinglePersonTask
from associative_embedding.tasks.tracking.settings import LinkConfig
from associative_embedding.tasks.tracking.task import TrackingTask, link_config
from associative_embedding.training.batches import Encode, collate_strides
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.train import train
from support.frame_pairs import frames_of
from support.tiny import FIGURE, tiny_recipe


def test_batches_of_pairs(videos_json: str) -> None:
    task = TrackingTask(FIGURE)
    pairs = FramePairs(frames_of(videos_json), reach=2)
    rows = [Encode(task, (4, 8))(pairs[i], np.random.default_rng(0)) for i in range(3)]
    image, targets = collate_strides(rows)
    assert image.shape == (6, 3, 64, 96)
    assert [t.heatmap.shape for t in targets] == [(6, 5, 16, 24), (6, 5, 8, 12)]
    assert set(targets[0].samples.groups.tolist()) <= {0, 2, 4}
    in_first = targets[0].samples.group[targets[0].samples.batch == 0].unique()
    assert set(in_first.tolist()) & set(targets[0].samples.group[targets[0].samples.batch == 1].tolist())


def recipe_of(videos_json: str, folder: Path, images: str = "", **change: Any) -> Recipe:
    source = SourceConfig(annotations=videos_json, images=images or str(Path(videos_json).parent / "images"), **change)
    recipe = tiny_recipe(folder, source, steps=2, log_every=1)
    return replace(recipe, task="tracking", data=replace(recipe.data, reach=3), link=LinkConfig(max_gap=4, memory=9))


def test_training_writes_a_model_that_links(
    videos_json: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = train(recipe_of(videos_json, tmp_path))
    _, info = load_model(path)
    assert isinstance(info.task, TrackingTask)
    assert info.task.link == LinkConfig(max_gap=4, memory=9)
    images, output = str(Path(videos_json).parent / "images"), tmp_path / "numbers.json"
    command = ["evaluate", "--track", "--model", str(path), "--annotations", videos_json, "--images", images]
    assert main([*command, "--link", "{by: motion}", "--json", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "linked by tags" in printed
    document = json.loads(output.read_text())
    assert set(document["linkers"]) == {"tags", "motion", "both"}
    assert document["metrics"]["HOTA"] == document["linkers"]["motion"]["HOTA"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mosaic": 0.5}, "mosaic and overlap are for the task pose"),
        ({"overlap": 0.5}, "mosaic and overlap are for the task pose"),
    ],
)
def test_frames_are_not_composed(change: dict[str, Any], message: str, videos_json: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        train(recipe_of(videos_json, tmp_path, **change))


def test_a_single_person_model_is_linked_by_motion() -> None:
    """It predicts no tags: all people would be equal."""
    task = SinglePersonTask(FIGURE)
    assert link_config(task, {}).by == link_config(task, {"by": "motion"}).by == "motion"
    assert link_config(PoseTask(FIGURE), {}).by != "motion"
    with pytest.raises(ValueError, match="link: a single-person model predicts no tags: by must be motion, not both"):
        link_config(task, {"by": "both"})


def test_annotations_without_tracks(videos_json: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(Path(videos_json).read_text())
    images = str(Path(videos_json).parent / "images")
    twice = json.loads(json.dumps(document))
    for row in twice["annotations"]:
        row["track_id"] = 1
    for row in document["annotations"]:
        del row["track_id"]
    (tmp_path / "none.json").write_text(json.dumps(document))
    (tmp_path / "twice.json").write_text(json.dumps(twice))
    with pytest.raises(ValueError, match="needs a 'track_id' in every annotation"):
        train(recipe_of(str(tmp_path / "none.json"), tmp_path, images))
    with pytest.raises(ValueError, match="the same 'track_id'"):
        CocoKeypoints(str(tmp_path / "twice.json"), images, FIGURE)
    for options, message in (
        (
            ["--track", "--annotations", str(tmp_path / "none.json"), "--images", images],
            "no annotation has a 'track_id'",
        ),
        (["--link", "{}", "--annotations", videos_json, "--images", images], "need --track"),
        (["--track", "--annotations", videos_json], "needs --images"),
        (["--track", "--annotations", videos_json, "--images", images, "--ablation"], "has no effect with --track"),
    ):
        assert main(["evaluate", *options]) in (1, 2)
        assert message in capsys.readouterr().err
