"""The log of a run is read as it was meant, also after a kill."""

from __future__ import annotations

import json
from pathlib import Path

from associative_embedding.training.history import Best, best_validation, read_log


def test_lost_steps_and_broken_lines_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [("start", 0, {}), ("train", 5, {"loss": 1}), ("validation", 5, {"AP": 0.5}), ("train", 3, {"loss": 2})]
    lines += [("train", 5, {"loss": 3}), ("validation", 10, {"AP": None})]
    texts = [json.dumps({"event": event, "step": step, **values}) for event, step, values in lines]
    path.write_text("\n".join([*texts, "[1]", '{"event": "train"', '{"step": 4}', ""]))
    found = read_log(path)
    assert [(line["event"], line["step"]) for line in found] == [
        ("start", 0), ("train", 3), ("train", 5), ("validation", 5), ("validation", 10)
    ]  # fmt: skip
    assert found[2]["loss"] == 3
    assert best_validation(found) == Best("AP", 0.5, 5, 0)
    assert read_log(tmp_path / "none") == []


def test_the_first_of_equal_validations_is_the_best() -> None:
    scores = [0.1, 0.4, 0.4, 0.2]
    log = [{"event": "validation", "step": i, "dsb_map": score} for i, score in enumerate(scores)]
    assert best_validation(log) == Best("dsb_map", 0.4, 1, 2)
    assert best_validation([{"event": "validation", "step": 1, "other": 1}]) is None
