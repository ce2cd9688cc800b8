"""Names of the settings of a recipe, and the nearest one to a wrong name."""

from __future__ import annotations

from pathlib import Path

import pytest

from associative_embedding.training.recipe_file import check_recipe, setting_names, suggestion


def test_every_setting_has_a_name() -> None:
    names = setting_names()
    assert {"output", "train.lr", "data.sources.images", "data.augment.mirror", "network.options"} <= set(names)
    assert len(set(names)) == len(names)
    assert suggestion("trian.lr", names) == "; did you mean 'train.lr'?"
    assert suggestion("zzz", names) == ""


SOURCES = "data: {sources: [&a {images: x}, " + "*a, " * 300 + "]}"
BOMB = "[&a [1, 1, 1, 1, 1, 1, 1, 1], &b [*a, *a, *a, *a, *a, *a, *a], &c [*b, *b, *b, *b, *b, *b, *b], *c, *c, *c, *c]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SOURCES, "data.sources has 301 entries; at most 200 are read"),
        (f"train: {{lr: '{BOMB}'}}", "train.lr must not be a text of 111 characters"),
        (f"data: {{sources: '{BOMB}'}}", "data.sources must not be a text"),
        (f"data: {{sources: [{{weight: '{BOMB}'}}]}}", "data.sources.weight must not be a text"),
        (f"train: {{lr_factors: {{a: [['{BOMB}']]}}}}", "train.lr_factors must not be a text"),
        ("train: {lr: 1}\ntrain: {lr: 2}", "line 2: the key 'train' is there twice"),
    ],
    ids=lambda value: value[:20],
)
def test_what_would_grow_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"^/.*a\.yaml: ") as error:
        check_recipe(str(path))
    assert message in str(error.value)
