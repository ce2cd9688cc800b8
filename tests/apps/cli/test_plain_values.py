"""Values that are given to jsonargparse: none is imported, and none grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from associative_embedding.apps.cli.main import main, parse
from associative_embedding.apps.cli.plain_values import check_argument
from associative_embedding.apps.errors import UsageError
from support.memory import measured_command

GROWS = "[" + ", ".join(f"&a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 10)}]" for i in range(9)) + "]"
MANY = "values, counted with those that aliases repeat"


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"output: {tmp_path / 'run'}")
    return str(path)


def test_a_free_value_stays_as_it_is(recipe: str) -> None:
    spec = "{class_path: collections.OrderedDict, init_args: {a: [1, 2]}}"
    options = parse(["train", recipe, f"--network.options={{a: [{spec}], b: {spec}, c: collections.OrderedDict}}"])
    plain = {"class_path": "collections.OrderedDict", "init_args": {"a": [1, 2]}}
    assert options["train"]["network"]["options"] == {"a": [plain], "b": plain, "c": "collections.OrderedDict"}


@pytest.mark.parametrize("text", ["collections.OrderedDict", "{class_path: collections.OrderedDict}"])
@pytest.mark.parametrize("name", ["train", "data.augment", "data.sources"])
def test_a_class_in_place_of_settings_is_one_line(
    name: str, text: str, recipe: str, capfd: pytest.CaptureFixture[str]
) -> None:
    value = f"[{text}]" if name == "data.sources" else text
    assert main(["train", recipe, f"--{name}={value}"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "must be a mapping of settings, not 'collections.OrderedDict'" in line


@pytest.mark.parametrize("flag", ["--config", "--conf"])
def test_further_recipes_are_checked_as_the_first(
    flag: str, recipe: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "second.yaml").write_text("trian: {lr: 1}")
    for words in ([flag, str(tmp_path / "second.yaml")], [f"{flag}={tmp_path / 'second.yaml'}"]):
        assert main(["train", recipe, *words]) == 2
        assert "second.yaml: unknown setting 'trian'; did you mean 'train'?" in capfd.readouterr().err


def test_patterns_and_names_are_no_yaml() -> None:
    for word in ("photos/*&*.jpg", "--output=a&b*", "*", "&", "[&a", "--decode={a: &a 1, b: *a}", "--link={x: '*&'}"):
        check_argument(word)
    with pytest.raises(UsageError, match=MANY):
        check_argument(f"--train.lr={GROWS}")


@pytest.mark.slow
def test_a_value_that_grows_takes_no_memory(recipe: str, tmp_path: Path) -> None:
    (tmp_path / "second.yaml").write_text(f"train: {{lr: '{GROWS}'}}")
    quoted = GROWS.replace("&", "\\x26")  # inside of a text that is read as YAML twice
    for words in (
        ["train", recipe, f"--network.options={{a: {GROWS}}}"],
        ["train", recipe, "--train.lr", GROWS],
        ["train", recipe, f"--data.validation_scales=[1, '{GROWS}']"],
        ["train", recipe, f'--train={{lr: "{quoted}"}}'],
        ["train", recipe, "--config", tmp_path / "second.yaml"],
        ["predict", "x.png", "--decode", f"{{a: {GROWS}}}"],
        ["predict", "x.png", "--input_size", GROWS],
    ):
        done = measured_command(*words)
        assert done.status == 2
        assert len(done.errors) == 1
        assert len(done.errors[0]) < 1100
        assert done.megabytes < 300
