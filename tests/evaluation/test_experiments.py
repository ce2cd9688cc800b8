"""Experiments of `ae evaluate`: tables of settings, and of true tags and detections."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from associative_embedding.data.settings import SourceConfig
from associative_embedding.evaluation import experiments as compare
from associative_embedding.evaluation.experiments import ablation, bottleneck, changed_options
from associative_embedding.evaluation.metrics.oks import KEYPOINT_METRICS
from associative_embedding.inference.options import Options
from associative_embedding.tasks.pose.task import PoseTask
from support.commands import evaluate_command
from support.tiny import tiny_model

RATES = ["keypoints_grouped_right", "people_grouped_right", "crowds_grouped_right"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    return tiny_model(folder / "model.safetensors", backbone="mobilenet_v2", input_size=96, scales=(1.0, 0.5))


# --- experiments


def test_the_rows_of_table_4() -> None:
    rows = ablation((1.0, 0.5), refine="r.safetensors")
    assert [(v.name, v.scales, v.flip, v.refine) for v in rows] == [
        ("single scale (1)", (1.0,), False, "none"),
        ("single scale (1) + refine", (1.0,), False, "r.safetensors"),
        ("single scale (1; mirror)", (1.0,), True, "none"),
        ("single scale (1; mirror) + refine", (1.0,), True, "r.safetensors"),
        ("multi scale (1, 0.5)", (1.0, 0.5), False, "none"),
        ("multi scale (1, 0.5) + refine", (1.0, 0.5), False, "r.safetensors"),
        ("multi scale (1, 0.5; mirror)", (1.0, 0.5), True, "none"),
        ("multi scale (1, 0.5; mirror) + refine", (1.0, 0.5), True, "r.safetensors"),
    ]
    assert ablation((2.0, 1.0)) == tuple(v for v in ablation((2.0, 1.0), "r") if v.refine == "none")
    with pytest.raises(ValueError, match="an ablation needs several scales"):
        ablation((1.0,))


def test_a_row_of_table_4_says_whose_tags_it_uses() -> None:
    rows = ablation((2.0, 1.0, 0.5), mirror=(True,), tag_scales=(1.0,))
    assert [(v.name, v.flip, v.tag_scales) for v in rows] == [
        ("single scale (1; mirror)", True, (1.0,)),
        ("multi scale (2, 1, 0.5; tags of 1; mirror)", True, (1.0,)),
    ]
    assert [v.tag_scales for v in ablation((2.0, 1.0), mirror=(False,))] == [(1.0,), (2.0, 1.0)]


def test_the_rows_of_the_bottleneck() -> None:
    assert [(v.scales, v.flip, v.refine, v.given) for v in bottleneck((1, 0.5), True, "r")] == [
        ((1, 0.5), True, "r", "nothing"),
        ((1, 0.5), True, "none", "detections"),
        ((1, 0.5), True, "none", "tags"),
    ]


def test_a_refined_row_is_refined_as_the_options_say() -> None:
    plain, refined = ablation((1.0,), "single-person", mirror=(False,), one_scale=True)
    stated = Options(refine="other", refine_views="all", refine_rule="published", refine_size=160)
    for options in (Options(), stated):  # without a name, the model file says which refiner, and how large crops are
        assert changed_options(options, refined) == replace(options, scales=(1.0,), flip=False, tag_scales=(1.0,))
        # no option of a refiner is left, which `load` would refuse
        assert changed_options(options, plain) == Options(scales=(1.0,), flip=False, tag_scales=(1.0,), refine="none")


def rows_of(table: str) -> dict[str, list[str]]:
    head, rule, *rows = [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines()]
    assert head[1:] == [*KEYPOINT_METRICS, *(name.replace("_", " ") for name in RATES)]
    assert rule == ["---", *["---:"] * 13]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.slow
def test_each_row_is_its_own_evaluation(
    model: str, source: SourceConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decode = ["--decode", "{tag_threshold: 2.0}", "--limit", 3]
    assert evaluate_command(model, source, "--ablation", "--json", tmp_path / "table.json", *decode) == 0
    rows = rows_of(capsys.readouterr().out)
    document = json.loads((tmp_path / "table.json").read_text())
    names = ["single scale (1)", "single scale (1; mirror)", "multi scale (1, 0.5)", "multi scale (1, 0.5; mirror)"]
    assert list(rows) == list(document["metrics"]) == names
    each: list[list[object]] = [["--scales", 1], ["--scales", 1, "--flip"], [], ["--flip"]]
    for name, options in zip(rows, each, strict=True):
        assert evaluate_command(model, source, "--json", tmp_path / "one.json", *options, *decode) == 0
        one = json.loads((tmp_path / "one.json").read_text())
        assert document["metrics"][name] == one["metrics"]
        assert rows[name] == ["-" if v is None else f"{v:.3f}" for v in one["metrics"].values()]
        same = document["settings"][name]
        assert {key: same[key] for key in ("scales", "flip", "decode", "images")} == {
            key: one["settings"][key] for key in ("scales", "flip", "decode", "images")
        }
    assert [(s["scales"], s["flip"]) for s in document["settings"].values()] == [
        ([1.0], False), ([1.0], True), ([1.0, 0.5], False), ([1.0, 0.5], True)]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--flip"], [([1.0], [1.0], True), ([1.0, 0.5], [1.0, 0.5], True)]),
        (["--no_flip", "--tag_scales", 1], [([1.0], [1.0], False), ([1.0, 0.5], [1.0], False)]),
        # The row of one scale has the tags of its only scale, whatever the others use.
        (["--no_flip", "--tag-scales", 0.5], [([1.0], [1.0], False), ([1.0, 0.5], [0.5], False)]),
    ],
)
def test_table_4_keeps_to_the_options(
    model: str, source: SourceConfig, tmp_path: Path, options: list[object], expected: list[object]
) -> None:
    assert evaluate_command(model, source, "--ablation", "--limit", 1, "--json", tmp_path / "t.json", *options) == 0
    rows = json.loads((tmp_path / "t.json").read_text())["settings"].values()
    assert [(row["scales"], row["tag_scales"], row["flip"]) for row in rows] == expected


def test_the_bottleneck_keeps_to_tag_scales(model: str, source: SourceConfig, tmp_path: Path) -> None:
    options = ["--limit", 1, "--json", tmp_path / "t.json", "--tag_scales", 1, "--flip"]
    assert evaluate_command(model, source, "--truth-detections", *options) == 0
    rows = json.loads((tmp_path / "t.json").read_text())["settings"].values()
    assert [(row["scales"], row["tag_scales"], row["flip"]) for row in rows] == [([1.0, 0.5], [1.0], True)] * 3


def test_a_model_of_one_scale_has_no_ablation_unless_told(
    source: SourceConfig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model(tmp_path / "model.safetensors", backbone="mobilenet_v2", input_size=96)
    assert evaluate_command(model, source, "--ablation") == 1
    assert "state them, --scales 1 0.5" in capfd.readouterr().err
    assert evaluate_command(model, source, "--ablation", "--scales", 1, 0.5, "--limit", 1) == 0
    assert len(capfd.readouterr().out.splitlines()) == 6


def test_a_model_of_unknown_sides_has_no_rows_with_the_mirror_image(
    source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PoseTask, "flip_index", None)
    model = tiny_model(tmp_path / "m.safetensors", backbone="mobilenet_v2", input_size=96, scales=(1.0, 0.5))
    assert evaluate_command(model, source, "--ablation", "--limit", 1) == 0
    assert list(rows_of(capsys.readouterr().out)) == ["single scale (1)", "multi scale (1, 0.5)"]


def test_an_unwritable_json_is_noticed_before_the_work(
    model: str, source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "evaluate_pose_model", lambda *_, **__: pytest.fail("it worked in vain"))
    assert evaluate_command(model, source, "--truth-detections", "--json", tmp_path) == 1


# --- protocols
