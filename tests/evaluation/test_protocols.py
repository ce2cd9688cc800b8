"""Protocols of evaluation: whose rules count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from associative_embedding.data.settings import SourceConfig
from associative_embedding.evaluation.metrics.oks import evaluate_crowdpose
from associative_embedding.evaluation.protocols import PROTOCOLS, build_protocol
from support.commands import evaluate_command

RATES = ["keypoints_grouped_right", "people_grouped_right", "crowds_grouped_right"]


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
    assert evaluate_command(model, crowded, *options) == 0
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
    assert evaluate_command(model, headed, "--protocol", "mpii", "--json", tmp_path / "n.json") == 0
    said, columns, ap, pckh, *rates = capsys.readouterr().out.splitlines()
    assert said == "the model has no head_top: they do not count"
    assert columns.split() == ["Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Total"]
    assert [cell == "none" for cell in ap.split()[1:9]] == [True, False, True, True, False, True, True, False]
    assert ap.endswith("5 groups, 0 left out")
    assert pckh.endswith("0 single people")
    assert rates[0].split() == RATES
    written = json.loads((tmp_path / "n.json").read_text())
    assert written["settings"]["not_counted"] == ["head_top"]
    assert written["metrics"]["groups"] == 5


@pytest.mark.slow
def test_groups_of_a_release_need_its_places(
    model: str, source: SourceConfig, shared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Noticed before any image is looked at."""
    groups = shared / "reference/metrics/mpii_groups_v12.mat"
    assert evaluate_command(model, source, "--protocol", "mpii", "--groups", groups) == 1
    assert "groups need 'mpii_index'" in capfd.readouterr().err
    numbered = changed(
        source,
        tmp_path,
        images=lambda i: {"mpii_index": 1},
        annotations=lambda i: {"mpii_person": i % 2, "head_box": [0, 0, 30, 40]},
    )
    options = ["--protocol", "mpii", "--groups", groups, "--ablation", "--scales", 1, 0.5, "--limit", 1]
    assert evaluate_command(model, numbered, *options) == 0
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
