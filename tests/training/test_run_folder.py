"""The folder of a run: what the terminal shows of a validation, when a run ends, and files of others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from associative_embedding.data.settings import SourceConfig
from associative_embedding.io.yaml_files import load_yaml
from associative_embedding.training.batches import build_task
from associative_embedding.training.history import Best
from associative_embedding.training.processes import ALONE
from associative_embedding.training.run_folder import Run, in_short, lines_of, no_picture_ends_a_run, plain
from associative_embedding.training.state import build_state
from support.tiny import tiny_recipe


def new_run(folder: Path, source: SourceConfig, **train: object) -> Run:
    recipe = tiny_recipe(folder, source, **train)
    return Run(recipe, build_state(recipe, 5, torch.device("cpu")), build_task(recipe), None, ALONE)


def test_the_important_numbers_come_first_and_classes_on_a_line_of_their_own() -> None:
    numbers = {"pq": 0.5, "mAP50": 0.25, "AP50 cat": 0.125, "AP50 dog": None, "sq": 1.0}
    assert list(lines_of(numbers)) == ["mAP50 0.250, pq 0.500", "AP50 cat 0.125"]
    assert in_short({"AP": 1.0, "pixel_error": None}) == "AP 1.000, pixel_error -"


def test_a_line_has_no_more_classes_than_can_be_read() -> None:
    _, line = lines_of({f"AP50 {name}": 0.5 for name in range(80)})
    assert line.endswith("AP50 19 0.500 and 60 more")


def test_what_is_due(tmp_path: Path, source: SourceConfig) -> None:
    run = new_run(tmp_path, source)
    run.state.step = 6
    assert [run.due(every) for every in (0, 1, 3, 4)] == [False, True, True, False]


def test_why_a_run_ended(tmp_path: Path, source: SourceConfig) -> None:
    run = new_run(tmp_path, source, steps=9, patience=2, validate_every=1)
    run.state.step = 4
    assert (run.stopped_early, run.end_line()) == (False, "")
    for score, since, stopped in ((0.5, 1, False), (0.5, 2, True), (0.0, 5, False)):
        run.best = Best("AP", score, 2, since)
        assert run.stopped_early == stopped
    run.best = Best("AP", 0.5, 2, 2)
    assert run.end_line() == "ended early at step 4: no better than AP 0.500 of step 2 in 2 validations"
    run.state.step = 9
    assert run.end_line() == ""
    timed = new_run(tmp_path, source, steps=9, time="1m")
    timed.state.step = 5
    assert timed.end_line() == "ended at step 5 of 9: its time of 1m is used"


def test_a_better_validation_has_a_higher_score(tmp_path: Path, source: SourceConfig) -> None:
    run = new_run(tmp_path, source)
    assert run.is_better({"AP": 0.0})
    assert not run.is_better({"AP": None})
    run.best = Best("AP", 0.5, 2, 0)
    assert [run.is_better({"AP": score}) for score in (0.4, 0.5, 0.6)] == [False, False, True]


def test_the_recipe_in_the_folder_is_that_of_the_run(tmp_path: Path, source: SourceConfig) -> None:
    run = new_run(tmp_path, source)
    run.start(["hello"])
    path = tmp_path / "run" / "recipe.yaml"
    assert load_yaml(path.read_text(), path) == plain(run.recipe)
    assert run.notes == ["hello"]


@pytest.mark.parametrize("name", ["recipe.yaml", "log.jsonl", "batch.jpg", "report.html"])
def test_files_of_others_stay(tmp_path: Path, source: SourceConfig, name: str) -> None:
    run = new_run(tmp_path, source)
    path = tmp_path / "run" / name
    path.parent.mkdir()
    path.write_text("mine")
    with pytest.raises(ValueError, match=f"{name}.* was not written by ae"):
        run.start()
    assert path.read_text() == "mine"


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path, source: SourceConfig) -> None:
    run = new_run(tmp_path, source)
    next(run.state.network.parameters()).data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"weights are not finite at step 0; nothing was saved yet\. Lower train\.lr"):
        run.save()
    assert not run.model_file.exists()


def test_a_picture_that_cannot_be_written_is_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    with no_picture_ends_a_run():
        raise OSError("no space left")
    assert capfd.readouterr().err == "ae: no space left\n"
