"""The task tracking: pairs of frames, one tag loss over both, and who is who on drawn figures that walk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from associative_embedding.apps.cli.main import main
from associative_embedding.data.augmentation.augment import augment
from associative_embedding.data.preparation.split import split_coco
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.readers.frame_pairs import FramePairs
from associative_embedding.data.settings import Augment, SourceConfig
from associative_embedding.data.synthetic.videos import write_moving_dataset
from associative_embedding.evaluation.tracks import Seen, keypoint_numbers, track_numbers
from associative_embedding.instances import Instances
from associative_embedding.losses import tag_loss
from associative_embedding.model_files.checkpoint import load_model
from associative_embedding.tasks.targets import join_samples
from associative_embedding.tasks.tracking.settings import LinkConfig
from associative_embedding.tasks.tracking.task import TrackingTask
from associative_embedding.training.batches import Encode, collate_strides
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.train import train
from support.tiny import FIGURE, tiny_recipe


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("moving")
    return str(write_moving_dataset(folder, FIGURE, 2, 6, size=(64, 96), people=(2, 2)))


def frames_of(video: str) -> CocoKeypoints:
    return CocoKeypoints(video, str(Path(video).parent / "images"), FIGURE)


def test_pairs_are_near_and_of_one_video(video: str) -> None:
    data = frames_of(video)
    pairs = FramePairs(data, reach=3)
    assert len(pairs) == 2 * (5 + 4 + 3)
    apart = pairs.pairs[:, 1] - pairs.pairs[:, 0]
    assert apart.min() == 1
    assert apart.max() == 3
    assert (pairs.pairs // 6)[:, 0].tolist() == (pairs.pairs // 6)[:, 1].tolist()
    sample = pairs[0]
    assert sample.later is not None
    assert sample.track_id is not None
    assert (sample.image_id, sample.later.image_id) == tuple(data.image_ids[int(i)] for i in pairs.pairs[0])


def test_both_frames_are_seen_in_one_view(video: str) -> None:
    sample = FramePairs(frames_of(video), reach=5)[3]
    assert sample.later is not None
    still = replace(sample, later=replace(sample, later=None))
    plain = Augment(colour=0, grey=0, blur=0)
    seen = augment(still, np.random.default_rng(0), plain, (64, 64), FIGURE.flip_index)
    assert seen.later is not None
    np.testing.assert_array_equal(seen.image, seen.later.image)
    np.testing.assert_array_equal(seen.keypoints, seen.later.keypoints)
    assert seen.later.later is None
    coloured = augment(still, np.random.default_rng(0), Augment(colour=0.4), (64, 64), FIGURE.flip_index)
    assert coloured.later is not None
    assert (coloured.image != coloured.later.image).any()


def test_a_track_is_one_group_over_both_frames() -> None:
    """The loss of a pair is that of one image with all the pair's samples; of another pair it knows nothing."""
    rng = np.random.default_rng(0)
    indices = [np.column_stack([rng.integers(0, 3, (4, 3)), track]) for track in ([7, 7, 9, 9], [9, 9, 7, 8]) * 2]
    samples = join_samples(indices, frames=2)
    assert samples.batch.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert samples.group.tolist() == [0, 0, 2, 2, 2, 2, 0, 1, 3, 3, 5, 5, 5, 5, 3, 4]
    assert samples.groups.tolist() == [0] * 3 + [2] * 3
    tag = torch.randn(4, 3, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pull, push = tag_loss(tag, samples)
    assert pull[1::2].tolist() == push[1::2].tolist() == [0, 0]
    beside = torch.cat([tag[:1], tag[1:2]], dim=4)  # the same two frames side by side
    shifted = [indices[0], indices[1] + np.array([0, 0, 3, 0])]
    one = join_samples([np.concatenate(shifted)])
    for a, b in zip(tag_loss(beside, one), (pull, push), strict=True):
        assert a[0] == pytest.approx(float(b[0]))


def test_batches_of_pairs(video: str) -> None:
    task = TrackingTask(FIGURE)
    pairs = FramePairs(frames_of(video), reach=2)
    rows = [Encode(task, (4, 8))(pairs[i], np.random.default_rng(0)) for i in range(3)]
    image, targets = collate_strides(rows)
    assert image.shape == (6, 3, 64, 96)
    assert [t.heatmap.shape for t in targets] == [(6, 5, 16, 24), (6, 5, 8, 12)]
    assert set(targets[0].samples.groups.tolist()) <= {0, 2, 4}
    in_first = targets[0].samples.group[targets[0].samples.batch == 0].unique()
    assert set(in_first.tolist()) & set(targets[0].samples.group[targets[0].samples.batch == 1].tolist())


def recipe_of(video: str, folder: Path, images: str = "", **change: Any) -> Recipe:
    source = SourceConfig(annotations=video, images=images or str(Path(video).parent / "images"), **change)
    recipe = tiny_recipe(folder, source, steps=2, log_every=1)
    return replace(recipe, task="tracking", data=replace(recipe.data, reach=3), link=LinkConfig(max_gap=4, memory=9))


def test_training_writes_a_model_that_links(video: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = train(recipe_of(video, tmp_path))
    _, info = load_model(path)
    assert isinstance(info.task, TrackingTask)
    assert info.task.link == LinkConfig(max_gap=4, memory=9)
    images, output = str(Path(video).parent / "images"), tmp_path / "numbers.json"
    command = ["evaluate", "--track", "--model", str(path), "--annotations", video, "--images", images]
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
def test_frames_are_not_composed(change: dict[str, Any], message: str, video: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        train(recipe_of(video, tmp_path, **change))


def test_annotations_without_tracks(video: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(Path(video).read_text())
    images = str(Path(video).parent / "images")
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
        (["--link", "{}", "--annotations", video, "--images", images], "add --track"),
        (["--track", "--annotations", video], "needs --images"),
        (["--track", "--annotations", video, "--images", images, "--ablation"], "no meaning with --track"),
    ):
        assert main(["evaluate", *options]) in (1, 2)
        assert message in capsys.readouterr().err


def test_the_truth_itself_is_perfect_in_several_videos(video: str) -> None:
    """Every video has tracks 1 and 2, and they are not the same."""
    data = frames_of(video)
    frames = []
    for i in range(len(data)):
        truth = data[i]
        assert truth.track_id is not None
        n = len(truth.keypoints)
        found = Instances(
            score=np.ones(n, np.float32),
            class_id=np.ones(n, np.int64),
            tag=10.0 * truth.track_id[:, None].astype(np.float32),
            keypoints=truth.keypoints,
            image_size=truth.image.shape[:2],
            skeleton=FIGURE,
        )
        frames.append(Seen(i, data.records[i].video_id, truth, found))
    numbers = track_numbers(frames, LinkConfig(by="tags", min_frames=1))
    assert (numbers["HOTA"], numbers["MOTA"], numbers["IDF1"], numbers["switches"]) == (1, 1, 1, 0)
    assert keypoint_numbers(frames)["pixels_mean"] == 0


def test_the_end_of_a_video_is_split_off(video: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(Path(video).read_text())
    start, end = split_coco(document, 0.25)
    assert [image["id"] for image in start["images"]] == list(range(1, 10))
    assert {row["image_id"] for row in end["annotations"]} == {10, 11, 12}
    assert len(start["annotations"]) + len(end["annotations"]) == len(document["annotations"])
    assert main(["data", "split", video, "--output", str(tmp_path), "--last", "0.25"]) == 0
    assert json.loads((tmp_path / "test.json").read_text()) == end
    for wrong in ("0", "1", "2", "0.001"):
        assert main(["data", "split", video, "--output", str(tmp_path), "--last", wrong]) == 1
    assert "leaves a part without any" in capsys.readouterr().err


def test_drawn_videos(video: str, tmp_path: Path) -> None:
    document = json.loads(Path(video).read_text())
    assert [image["video_id"] for image in document["images"]] == [0] * 6 + [1] * 6
    of_first = [row for row in document["annotations"] if row["track_id"] == 1 and row["image_id"] <= 6]
    places = np.array([row["bbox"][:2] for row in of_first])
    assert 0 < np.abs(np.diff(places, axis=0)).max() < 15  # it moves, and does not jump
    assert main(["data", "synthetic", str(tmp_path / "a"), "--images", "1", "--frames", "2", "--size", "64"]) == 0
    assert main(["data", "synthetic", str(tmp_path / "a"), "--images", "1", "--frames", "1"]) == 1
