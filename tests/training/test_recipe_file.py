"""Recipes: what is read, and the one line for a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from associative_embedding.apps.cli import main as cli
from associative_embedding.apps.cli.commands import build_recipe
from associative_embedding.training.recipe import Recipe
from associative_embedding.training.recipe_file import check_recipe, setting_names, suggestion
from support.paths import ROOT

RECIPES = ROOT / "recipes"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_our_recipes_are_right(path: Path) -> None:
    check_recipe(str(path))
    built = build_recipe(cli.parse(["train", str(path)]).train)
    assert isinstance(built, Recipe)
    assert built.data.sources


def test_every_setting_has_a_name() -> None:
    names = setting_names()
    assert {"output", "train.lr", "data.sources.images", "data.augment.mirror", "network.options"} <= set(names)
    assert len(set(names)) == len(names)
    assert suggestion("trian.lr", names) == "; did you mean 'train.lr'?"
    assert suggestion("zzz", names) == ""
