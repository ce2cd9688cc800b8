"""Label Studio's labels as it writes them (by its documentation)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from associative_embedding.data.label_formats.label_studio import read_label_studio
from support.label_data import dataset, people_of, write_images


def region(kind: str, label: str, name: str, **more: Any) -> dict[str, Any]:
    place = {"x": 25, "y": 50, "width": 0.5} | ({"height": 25} if kind == "rectanglelabels" else {})
    value = {**place, **more.pop("value", {}), kind: [label]}
    return {"id": name, "type": kind, "original_width": 80, "original_height": 60, "value": value, **more}


def studio(folder: Path, result: list[dict[str, Any]], image: str = "/data/upload/3/1a2b3c4d-a.png") -> dict[str, Any]:
    cancelled = {"was_cancelled": True, "result": [region("keypointlabels", "wrong", "w")]}
    task = {"id": 1, "data": {"image": image}, "annotations": [cancelled, {"result": result}]}
    undone = {"id": 2, "data": {"image": "b.png"}, "annotations": []}
    (folder / "a.json").write_text(json.dumps([task, undone]))
    return read_label_studio(folder / "a.json", folder)


def test_label_studio_relations_and_parents(tmp_path: Path) -> None:
    rows = [
        region("rectanglelabels", "cat", "r1", value={"x": 0, "y": 0, "width": 100, "height": 100}),
        region("keypointlabels", "nose", "p1"),
        region("keypointlabels", "tail", "p2", parentID="r1", meta={"text": ["occluded"]}),
        region("keypointlabels", "nose", "p3", value={"x": 75}),
        region("keypointlabels", "tail", "p4"),
        {"type": "relation", "from_id": "p1", "to_id": "r1", "direction": "right"},
        {"type": "relation", "from_id": "p3", "to_id": "p4", "direction": "bi"},
        {"type": "choices", "value": {"choices": ["good"]}},
    ]
    found = people_of(studio(tmp_path, rows))
    assert found == {
        "1a2b3c4d-a.png": [
            ("cat", {"nose": (20, 30, 2), "tail": (20, 30, 1)}, [0, 0, 80, 60]),
            ("person", {"nose": (60, 30, 2), "tail": (20, 30, 2)}, [20, 30, 40, 0]),
        ]
    }


def test_label_studio_names_of_files(tmp_path: Path) -> None:
    rows = [region("keypointlabels", "nose", "p1")]
    assert list(people_of(studio(tmp_path, rows, "/data/local-files/?d=sub/b%20c.png"))) == ["sub/b c.png"]
    assert list(people_of(studio(tmp_path, rows, "https://example.org/x/b%20c.png?token=1"))) == ["b c.png"]
    write_images(tmp_path, dataset(images=1))
    assert list(people_of(studio(tmp_path, rows, "/data/upload/3/1a2b3c4d-a0.png"))) == ["a0.png"]


def test_label_studio_a_long_chain_of_relations(tmp_path: Path) -> None:
    count = 3000
    rows = [region("keypointlabels", f"k{i}", f"p{i}") for i in range(count)]
    links = [{"type": "relation", "from_id": f"p{i}", "to_id": f"p{i + 1}"} for i in range(count - 1)]
    assert studio(tmp_path, rows + links)["annotations"][0]["num_keypoints"] == count
