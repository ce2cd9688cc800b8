"""Names of the settings of a recipe, and the nearest one to a wrong name."""

from __future__ import annotations

from associative_embedding.training.recipe_file import setting_names, suggestion


def test_every_setting_has_a_name() -> None:
    names = setting_names()
    assert {"output", "train.lr", "data.sources.images", "data.augment.mirror", "network.options"} <= set(names)
    assert len(set(names)) == len(names)
    assert suggestion("trian.lr", names) == "; did you mean 'train.lr'?"
    assert suggestion("zzz", names) == ""
