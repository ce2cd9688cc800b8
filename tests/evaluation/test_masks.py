"""``ae evaluate`` of models that find masks, on a COCO json and on a VOC tree."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from associative_embedding.apps.cli.main import main
from associative_embedding.evaluation.masks import MaskTestSet, evaluate_mask_model, mask_tables, open_mask_test_set
from associative_embedding.evaluation.metrics.coco_masks import MASK_METRICS, evaluate_masks
from associative_embedding.inference.load import load
from associative_embedding.inference.predictor import Predictor
from associative_embedding.instances import Instances
from associative_embedding.structures.arrays import Array
from associative_embedding.tasks.segmentation.task import SegmentationTask
from support.coco_files import box_mask, compressed, document, plain, polygon, thing, write
from support.tiny import tiny_info, tiny_model, tiny_network
from support.voc_tree import tree

CELLS = ("dsb_ap50", "dsb_map", "aji", "pq", "sq", "rq", "precision50", "recall50")
CLASSES = ("tree", "cow", "cat")  # the truth has no cow; its dog is unknown to the model


class Known(Predictor):
    """Finds the truth of a test_set, in the classes of the model, and whatever it is told to invent."""

    def __init__(self, test_set: MaskTestSet, classes: tuple[str, ...], invent: int = 0) -> None:
        info = tiny_info(task=SegmentationTask(classes))
        super().__init__(tiny_network(info), info)
        self.samples = [test_set.data[i] for i in range(len(test_set.data))]
        self.invent = invent

    def find(self, image: Array) -> Instances:
        sample = next(s for s in self.samples if np.array_equal(s.image, image))
        assert sample.masks is not None
        assert sample.class_id is not None
        more = self.invent if len(sample.masks) else 0
        rows = np.append(np.arange(len(sample.masks)), np.zeros(more, int))
        classes = np.append(sample.class_id, np.full(more, CLASSES.index("cow")))
        n = len(rows)
        return Instances(
            score=np.linspace(1, 0.5, n).astype(np.float32),
            class_id=classes + 1,
            tag=np.zeros((n, 1), np.float32),
            keypoints=np.zeros((n, 0, 3), np.float32),
            image_size=sample.masks.size,
            skeleton=None,
            masks=sample.masks[rows],
        )


@pytest.fixture
def coco(tmp_path: Path) -> tuple[str, str]:
    """Two trees and a cat, a dog, a crowd of trees, a tree with a box alone, and an image without objects."""
    rows = [
        thing(1, compressed(box_mask(1, 1, 8, 7)), 6),
        thing(2, [polygon(12, 2, 6, 9)], 6),
        thing(3, plain(box_mask(2, 12, 9, 6))),
        thing(4, compressed(box_mask(20, 12, 5, 5)), 9),
        thing(5, plain(box_mask(25, 1, 9, 9)), 6, iscrowd=1),
        {**thing(6, None, 6), "bbox": [14, 14, 4, 4]},
    ]
    return write(tmp_path, document(*rows))


def test_a_list_of_ids_chooses_the_images(coco: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("8\n")
    assert open_mask_test_set(*coco, CLASSES, ids=str(tmp_path / "ids.txt")).data.image_ids == [8]


def test_the_truth_itself_is_perfect(coco: tuple[str, str]) -> None:
    test_set = open_mask_test_set(*coco, CLASSES)
    metrics = evaluate_mask_model(Known(test_set, CLASSES), test_set)
    assert tuple(metrics) == (*MASK_METRICS, *CELLS)
    assert [metrics[key] for key in ("AP", "AR100", "dsb_map", "aji", "pq")] == [1, 1, 1, 1, 1]
    assert test_set.classes == {6: "tree", 4: "cat"}
    assert test_set.unknown == ["dog"]


def test_what_is_found_of_a_class_that_the_truth_lacks_does_not_count(coco: tuple[str, str]) -> None:
    test_set = open_mask_test_set(*coco, CLASSES)
    assert evaluate_mask_model(Known(test_set, CLASSES, invent=3), test_set)["dsb_map"] == 1


def test_classes_of_another_order_are_matched_by_name(coco: tuple[str, str]) -> None:
    """A model that calls trees cats and cats trees is wrong everywhere, though its masks are right."""
    test_set = open_mask_test_set(*coco, CLASSES)
    swapped = replace(test_set, category=test_set.category[::-1])
    assert test_set.category.tolist() == [6, -1, 4]
    metrics = evaluate_mask_model(Known(test_set, CLASSES), swapped)
    # sample classes go through the same table, so only the COCO truth tells that they were swapped
    assert metrics["AP"] == 0
    assert metrics["dsb_map"] == 1


def test_a_voc_tree_is_scored_by_its_protocol(tmp_path: Path) -> None:
    classes = ("person", "cat", "unicorn")
    test_set = open_mask_test_set(str(tree(tmp_path)), None, classes, split="train")
    metrics = evaluate_mask_model(Known(test_set, classes), test_set)
    assert (metrics["mAP50"], metrics["mAP70"], metrics["AP50 person"], metrics["dsb_map"]) == (1, 1, 1, 1)
    assert len(test_set.data) == 2
    assert "AP70 cat" in mask_tables(test_set, metrics)


def test_a_coco_json_may_be_scored_by_the_rules_of_voc(coco: tuple[str, str]) -> None:
    test_set = open_mask_test_set(*coco, CLASSES, protocol="voc")
    metrics = evaluate_mask_model(Known(test_set, CLASSES), test_set)
    assert (metrics["mAP50"], metrics["AP70 tree"]) == (1, 1)


def test_a_file_without_objects_to_find_is_said(
    coco: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing annotated, or crowds alone: every metric is undefined."""
    document = json.loads(Path(coco[0]).read_text())
    crowds = [{**row, "iscrowd": 1} for row in document["annotations"]]
    for name, rows in (("none", []), ("crowds", crowds)):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**document, "annotations": rows}))
        open_mask_test_set(str(path), coco[1], ("tree", "cat"))
        line = f"{name}.json: no object of the model's classes has a mask (images: 2): metrics are undefined"
        assert line in capsys.readouterr().err


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network whose every pixel is a tree."""
    task = SegmentationTask(("tree", "cat"))
    values = {"task": task, "tag_size": 2, "input_size": 64}
    return tiny_model(tmp_path_factory.mktemp("model") / "m.safetensors", backbone="mobilenet_v2", **values)


def test_the_command_prints_and_writes_the_numbers(
    model: str, coco: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--annotations", coco[0], "--images", coco[1]]
    outputs = ["--json", str(tmp_path / "n.json"), "--results", str(tmp_path / "r.json")]
    settings = ["--zoom", "2", "--decode", "{threshold: 0.1, regions: false}"]
    assert main(["evaluate", "--model", model, *files, *outputs, *settings]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "the model has no dog: they do not count"
    assert shown[1].split() == list(MASK_METRICS)
    assert shown[3].split() == list(CELLS)
    written = json.loads((tmp_path / "n.json").read_text())
    assert (written["settings"]["zoom"], written["settings"]["decode"]["regions"]) == (2.0, False)
    results = json.loads((tmp_path / "r.json").read_text())
    assert {row["category_id"] for row in results} <= {4, 6}
    assert results
    truth = open_mask_test_set(*coco, ("tree", "cat")).truth
    assert truth is not None
    again = evaluate_masks(truth, results)
    assert again == {key: written["metrics"][key] for key in MASK_METRICS}


@pytest.mark.parametrize("scales", [(), ("--scales", "1", "2")])
def test_an_ablation(
    model: str, coco: tuple[str, str], scales: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--annotations", coco[0], "--images", coco[1], "--json", str(tmp_path / "t.json")]
    assert main(["evaluate", "--model", model, *files, "--ablation", *scales]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "the model has no dog: they do not count"
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("|")][2:]
    several = ["multi scale (2, 1)", "multi scale (2, 1; mirror)"] if scales else []
    assert rows == ["single scale (1)", "single scale (1; mirror)", *several]
    written = json.loads((tmp_path / "t.json").read_text())
    assert list(written["metrics"]) == rows
    assert written["settings"][rows[1]]["flip"]
    assert set(written["metrics"][rows[0]]) >= {"AP", "AP50", "dsb_map", "pq"}
    if not scales:
        assert main(["evaluate", "--model", model, *files[:4], "--json", str(tmp_path / "one.json")]) == 0
        assert json.loads((tmp_path / "one.json").read_text())["metrics"] == written["metrics"][rows[0]]
        assert main(["evaluate", "--model", model, *files, "--truth_detections"]) == 1
        assert "does not find the people of an image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "mpii"], "the protocol mpii is for poses"),
        (["--split", "val"], "split is for VOC trees"),
        (["--limit", "-1"], "the limit 0 or more"),
        (["--zoom", "-2"], "zoom must be in"),
        (["--refine", "single-person"], "only a model of the task pose can be refined"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    model: str, coco: tuple[str, str], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["evaluate", "--model", model, "--annotations", coco[0], "--images", coco[1], *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_trees_and_folders(tmp_path: Path, coco: tuple[str, str]) -> None:
    root = str(tree(tmp_path / "voc"))
    with pytest.raises(ValueError, match="scored by the protocol voc, not coco"):
        open_mask_test_set(root, None, ("cat",), split="val", protocol="coco")
    with pytest.raises(ValueError, match="a VOC tree needs a split"):
        open_mask_test_set(root, None, ("cat",))
    with pytest.raises(ValueError, match="--images, the folder of its images, is missing"):
        open_mask_test_set(coco[0], None, CLASSES)
    with pytest.raises(ValueError, match="no category name in common"):
        open_mask_test_set(*coco, ("unicorn",))


def test_poses_are_not_found_tile_by_tile(
    coco: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person = tiny_model(tmp_path / "p.safetensors")
    assert main(["predict", coco[1], "--model", person, "--zoom", "1", "--output", str(tmp_path / "o")]) == 1
    assert "only models that find masks" in capsys.readouterr().err


@pytest.mark.slow
def test_the_shipped_model_finds_nuclei_in_real_images(shared: Path) -> None:
    """Twelve images that it was not trained on, by the rule of the 2018 Data Science Bowl."""
    folder = shared / "data/segmentation/dsb2018"
    test_set = open_mask_test_set(
        str(folder / "annotations.json"), str(folder / "images"), ("nucleus",), held_out_share=0.1, limit=12
    )
    metrics = evaluate_mask_model(load("nuclei"), test_set)
    assert metrics["dsb_ap50"] is not None
    assert metrics["dsb_ap50"] > 0.75
