"""Protocols and experiments of `ae evaluate`: what is compared, and by whose rules."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from associative_embedding.apps.cli.main import main
from associative_embedding.data.readers.coco_keypoints import CocoKeypoints
from associative_embedding.data.settings import SourceConfig
from associative_embedding.evaluation import experiments as compare
from associative_embedding.evaluation.experiments import ablation, bottleneck
from associative_embedding.evaluation.metrics.oks import KEYPOINT_METRICS, evaluate_crowdpose
from associative_embedding.evaluation.oracle import Given, tags_of_truth
from associative_embedding.evaluation.poses import evaluate_pose_model, find_people, open_pose_test_set
from associative_embedding.evaluation.protocols import PROTOCOLS, build_protocol
from associative_embedding.grouping import group_sequentially
from associative_embedding.inference.predictor import Predictor
from associative_embedding.structures.arrays import Array
from associative_embedding.structures.detections import Detections
from associative_embedding.structures.geometry import ImageGeometry, letterbox
from associative_embedding.structures.maps import Maps
from associative_embedding.structures.sample import Sample
from support.tiny import FIGURE, TINY_DECODE, tiny_info, tiny_model, tiny_network

RATES = ["keypoints_grouped_right", "people_grouped_right"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    return tiny_model(folder / "model.safetensors", backbone="mobilenet_v2", input_size=96, scales=(1.0, 0.5))


def run(model: str, source: SourceConfig, *arguments: object) -> int:
    files = ["--annotations", str(source.annotations), "--images", source.images]
    return main(["evaluate", "--model", model, *files, *map(str, arguments)])


# --- experiments


def test_the_rows_of_table_4() -> None:
    rows = ablation((1.0, 0.5), refine="r.safetensors")
    assert [(v.name, v.scales, v.flip, v.refine) for v in rows] == [
        ("single scale (1)", (1.0,), False, "none"),
        ("single scale (1) + refine", (1.0,), False, "r.safetensors"),
        ("multi scale (1, 0.5; mirror)", (1.0, 0.5), True, "none"),
        ("multi scale (1, 0.5; mirror) + refine", (1.0, 0.5), True, "r.safetensors"),
    ]
    assert ablation((2.0, 1.0)) == tuple(v for v in ablation((2.0, 1.0), "r") if v.refine == "none")
    with pytest.raises(ValueError, match="an ablation needs several scales"):
        ablation((1.0,))


def test_the_rows_of_the_bottleneck() -> None:
    assert [(v.scales, v.flip, v.refine, v.given) for v in bottleneck((1, 0.5), True, "r")] == [
        ((1, 0.5), True, "r", "nothing"),
        ((1, 0.5), True, "none", "detections"),
        ((1, 0.5), True, "none", "tags"),
    ]


def rows_of(table: str) -> dict[str, list[str]]:
    head, rule, *rows = [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines()]
    assert head[1:] == [*KEYPOINT_METRICS, *(name.replace("_", " ") for name in RATES)]
    assert rule == ["---", *["---:"] * 12]
    return {row[0]: row[1:] for row in rows}


def test_each_row_is_its_own_evaluation(
    model: str, source: SourceConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decode = ["--decode", "{tag_threshold: 2.0}", "--limit", 3]
    assert run(model, source, "--ablation", "--json", tmp_path / "table.json", *decode) == 0
    rows = rows_of(capsys.readouterr().out)
    document = json.loads((tmp_path / "table.json").read_text())
    assert list(rows) == list(document["metrics"]) == ["single scale (1)", "multi scale (1, 0.5; mirror)"]
    for name, options in zip(rows, (["--scales", 1], ["--flip"]), strict=True):
        assert run(model, source, "--json", tmp_path / "one.json", *options, *decode) == 0
        one = json.loads((tmp_path / "one.json").read_text())
        assert document["metrics"][name] == one["metrics"]
        assert rows[name] == ["-" if v is None else f"{v:.3f}" for v in one["metrics"].values()]
        same = document["settings"][name]
        assert {key: same[key] for key in ("scales", "flip", "decode", "images")} == {
            key: one["settings"][key] for key in ("scales", "flip", "decode", "images")
        }
    assert [(s["scales"], s["flip"]) for s in document["settings"].values()] == [([1.0], False), ([1.0, 0.5], True)]


def test_a_model_of_one_scale_has_no_ablation_unless_told(
    source: SourceConfig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model(tmp_path / "model.safetensors", backbone="mobilenet_v2", input_size=96)
    assert run(model, source, "--ablation") == 1
    assert "state them, --scales 1 0.5" in capfd.readouterr().err
    assert run(model, source, "--ablation", "--scales", 1, 0.5, "--limit", 1) == 0
    assert len(capfd.readouterr().out.splitlines()) == 4


def test_an_unwritable_json_is_noticed_before_the_work(
    model: str, source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "evaluate_pose_model", lambda *_, **__: pytest.fail("it worked in vain"))
    assert run(model, source, "--truth-detections", "--json", tmp_path) == 1


class Tagger(Predictor):
    """Finds nothing, but its tags tell people apart by their place: `spread` per pixel."""

    def __init__(self, spread: float) -> None:
        info = tiny_info(decode=replace(TINY_DECODE, threshold=0.5, tag_threshold=1e-6, duplicate_oks=1.0))
        super().__init__(tiny_network(info), info, input_size=160)
        self.spread = spread
        self.people: list[Array] = []

    def maps(self, image: Array) -> tuple[Maps, ImageGeometry]:
        maps, geometry = super().maps(image)
        tag = torch.zeros_like(maps.tag)
        for n, person in enumerate(self.people):
            x, y = np.rint(geometry.to_map(person[:, :2].astype(np.float64))).astype(int).T
            tag[0, np.arange(len(person)), :, y, x] = self.spread * (1 + n)
        return Maps(torch.zeros_like(maps.heatmap), tag), geometry


def tagged(source: SourceConfig, spread: float, given: Given) -> Any:
    predictor = Tagger(spread)
    test_set = open_pose_test_set(str(source.annotations), source.images, FIGURE)
    kept = CocoKeypoints.__getitem__

    class Watched(CocoKeypoints):
        def __getitem__(self, index: int) -> Any:
            sample = kept(self, index)
            predictor.people = list(sample.keypoints)
            return sample

    test_set.data.__class__ = Watched
    return evaluate_pose_model(predictor, test_set, given=given)[0]


def test_true_detections_with_right_tags_are_perfect(source: SourceConfig) -> None:
    """Each keypoint where it is annotated, not where its map pixel is; and a heatmap of zeros does not matter."""
    found = tagged(source, 1.0, given="detections")
    assert found["AP"] == found["AR75"] == pytest.approx(1)
    assert found["people_grouped_right"] == 1
    assert tagged(source, 1.0, given="nothing")["AP"] == 0


def test_true_detections_with_equal_tags_are_mixed_up(source: SourceConfig) -> None:
    found = tagged(source, 0.0, given="detections")
    assert found["AP"] < 0.9
    assert found["people_grouped_right"] < 0.9


def test_true_detections_are_all_of_the_people(model: str, source: SourceConfig) -> None:
    """Nothing is filled in: as many keypoints as are labelled, each at its place."""
    test_set = open_pose_test_set(str(source.annotations), source.images, FIGURE)
    predictor = compare.load(model).with_decode(min_keypoints=0, duplicate_oks=1.0)
    sample = test_set.data[0]
    instances, _ = find_people(predictor, sample, "detections")
    found = instances.keypoints[instances.keypoints[:, :, 2] > 0][:, :2]
    truth = sample.keypoints[sample.keypoints[:, :, 2] > 0][:, :2]
    assert (instances.keypoints[:, :, 2][instances.keypoints[:, :, 2] > 0] == 1).all()
    np.testing.assert_allclose(*(a[np.lexsort(a.T)] for a in (found, truth)), atol=1e-3)


def test_true_tags_are_those_of_the_nearest_person() -> None:
    """Two people, the first without an ear; a detection far from all is of nobody, and nobody is two of them."""
    geometry = letterbox((100, 100), 100, multiple=4, stride=4)
    keypoints = np.zeros((2, len(FIGURE), 3), dtype=np.float32)
    keypoints[0, :2], keypoints[1, :2] = [[20, 20, 2], [24, 20, 0]], [[60, 20, 2], [64, 20, 1]]
    sample = Sample(np.zeros((100, 100, 3), np.uint8), keypoints, np.full(2, 900.0), np.ones(len(FIGURE), bool))
    xy = geometry.to_map(np.array([[58.0, 21], [21, 20], [24, 20], [63, 20], [5, 90], [95, 90]]))
    channel = np.array([0, 0, 1, 1, 0, 1])
    detections = Detections(np.ones(6), np.zeros((6, 3)), xy, channel)
    found = tags_of_truth(detections, channel, geometry, sample, FIGURE.sigmas)
    groups = group_sequentially(found, tag_threshold=1.0).group
    assert groups[0] == groups[3]
    assert len(set(groups.tolist())) == 5  # each of the others is alone, the ear of the first person too
    alone = replace(sample, keypoints=keypoints[:0], area=np.zeros(0))
    assert len(set(tags_of_truth(detections, channel, geometry, alone, FIGURE.sigmas).tag[:, 0])) == 6


# --- protocols


def changed(source: SourceConfig, folder: Path, images: Any = None, annotations: Any = None) -> SourceConfig:
    document = json.loads(Path(str(source.annotations)).read_text())
    for i, image in enumerate(document["images"]):
        image |= images(i) if images else {}
    for i, row in enumerate(document["annotations"]):
        row |= annotations(i) if annotations else {}
    (folder / "changed.json").write_text(json.dumps(document))
    return replace(source, annotations=str(folder / "changed.json"))


def test_crowdpose(model: str, source: SourceConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crowded = changed(source, tmp_path, images=lambda i: {"crowdIndex": 0.1 + 0.25 * i})
    options = ["--protocol", "crowdpose", "--json", tmp_path / "n.json", "--results", tmp_path / "r.json"]
    assert run(model, crowded, *options) == 0
    names = capsys.readouterr().out.splitlines()[0].split()
    assert names == ["AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard", *RATES]
    document = json.loads((tmp_path / "n.json").read_text())
    expected = evaluate_crowdpose(str(crowded.annotations), json.loads((tmp_path / "r.json").read_text()))
    assert {name: document["metrics"][name] for name in expected} == expected
    assert document["settings"]["protocol"] == "crowdpose"


def test_mpii(model: str, source: SourceConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The figure has four of MPII's keypoints; the other columns are none, and what does not count is said."""
    headed = changed(source, tmp_path, annotations=lambda i: {"head_box": [0, 0, 30, 40]})
    document = json.loads(Path(str(headed.annotations)).read_text())
    category = document["categories"][0]
    category["keypoints"][0] = "head_top"
    for key in ("oks_sigmas", "group_order", "flip_pairs"):
        category.pop(key)
    Path(str(headed.annotations)).write_text(json.dumps(document))
    assert run(model, headed, "--protocol", "mpii", "--json", tmp_path / "n.json") == 0
    said, columns, ap, pckh, *rates = capsys.readouterr().out.splitlines()
    assert said == "the model has no head_top: they do not count"
    assert columns.split() == ["Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Total"]
    assert [cell == "none" for cell in ap.split()[1:9]] == [True, False, True, True, False, True, True, False]
    assert ap.endswith("4 groups, 0 left out")
    assert pckh.endswith("0 single people")
    assert rates[0].split() == RATES
    written = json.loads((tmp_path / "n.json").read_text())
    assert written["settings"]["not_counted"] == ["head_top"]
    assert written["metrics"]["groups"] == 4


def test_groups_of_a_release_need_its_places(
    model: str, source: SourceConfig, shared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Noticed before any image is looked at."""
    groups = shared / "reference/metrics/mpii_groups_v12.mat"
    assert run(model, source, "--protocol", "mpii", "--groups", groups) == 1
    assert "groups need 'mpii_index'" in capfd.readouterr().err
    numbered = changed(
        source,
        tmp_path,
        images=lambda i: {"mpii_index": 1},
        annotations=lambda i: {"mpii_person": i % 2, "head_box": [0, 0, 30, 40]},
    )
    assert run(model, numbered, "--protocol", "mpii", "--groups", groups, "--ablation", "--limit", 1) == 0
    assert capfd.readouterr().out.startswith("|  | Head | Shoulder |")


def test_build_protocol(tmp_path: Path) -> None:
    assert build_protocol("coco") is PROTOCOLS["coco"]
    with pytest.raises(ValueError, match="unknown protocol 'voc'; known are coco, crowdpose, mpii"):
        build_protocol("voc")
    with pytest.raises(ValueError, match="groups of people belong to the protocol mpii, not coco"):
        build_protocol("coco", "g.mat")
    (tmp_path / "g.mat").write_text("no matrix")
    with pytest.raises(ValueError, match=r"g\.mat: not a MATLAB file with 'groups'"):
        build_protocol("mpii", str(tmp_path / "g.mat"))
